//! A small network of real nodes in which a fuzzer chooses what goes wrong: losses, partitions,
//! deaths, restarts, clocks that leap, boxes that bar, datagrams that nobody sent, commands.
//!
//! Most networks are small, and end when the faults do; one in [`DEAR`] is
//! large and has time to recover.
//! Whatever the fuzzer chooses, nobody panics or fails to come to rest, every command ends once, and rows
//! stay within their bounds. When the faults are over and time has passed, lookups find whoever
//! there is, and what was announced.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use tinybt_core::dht::item::Item;
use tinybt_core::dht::node::SAVE_MAX;
use tinybt_core::dht::{AskId, Config, Event, LookupId, Node, Port, Sought};
use tinybt_core::limits::K;
use tinybt_core::wire::krpc::Question;
use tinybt_core::{Buffer, Family, Id, Ignored, InfoHash, Instant, Machine, Transmit};

use crate::fuzz_laws::{Look, is_one_in};
use crate::net::{Link, Nat, Network};
use crate::nodes::{addr, id, tiny};
use crate::population::{Dice, SimNode};

/// One network in so many is a large one.
pub const DEAR: u64 = 64;
/// How many nodes there are in a large one: mostly few, as the cost is their square.
const COUNTS: [usize; 16] = [3, 4, 5, 6, 8, 10, 12, 3, 4, 5, 7, 9, 11, 3, 4, 6];
/// Faults of one network at most.
const FAULTS_MAX: usize = 48;
/// For how long, in virtual time, faults are there.
const TROUBLE_MAX: Duration = Duration::from_secs(1_200);
/// The same in a small one.
const TROUBLE_SMALL: Duration = Duration::from_secs(240);
/// How long a network has to recover: the longest wait between two tries to get into it is ten
/// minutes, a node not heard of is asked after fifteen, and all may be late by [`Host::BACK_MAX`].
const RECOVERY: Duration = Duration::from_secs(1_200);
/// A command has ended after this in any case.
const PATIENCE: Duration = Duration::from_secs(800);

/// A node whose clock is not everybody's, and which remembers what it was sent last.
#[derive(Clone)]
struct Host {
    node: SimNode,
    /// Microseconds that its clock is ahead.
    ahead: i64,
    /// Microseconds that it may still be set back.
    back: i64,
    last: Option<(SocketAddr, Vec<u8>)>,
    /// The lookup whose closest nodes are looked at when it ends.
    watched: Option<LookupId>,
    closest: Vec<Id>,
}

impl Host {
    /// A month, in microseconds.
    const AHEAD_MAX: i64 = 2_592_000_000_000;
    /// By how much a clock is set back, all in all: what was to come then comes as much later.
    const BACK_MAX: i64 = 200_000_000;

    fn local(&self, now: Instant) -> Instant {
        Instant::from_micros(now.as_micros().saturating_add_signed(self.ahead))
    }
}

impl Machine for Host {
    type Event = Event;

    fn handle_datagram(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Ignored> {
        let (sender, last) = self.last.get_or_insert_with(|| (from, Vec::new()));
        *sender = from;
        last.clear();
        last.extend_from_slice(datagram);
        self.node.handle_datagram(self.local(now), from, datagram)
    }

    fn poll_transmit(&mut self, now: Instant, buffer: &mut Buffer) -> Option<Transmit> {
        self.node.poll_transmit(self.local(now), buffer)
    }

    fn poll_event(&mut self) -> Option<Event> {
        let event = self.node.poll_event()?;
        if let Some(watched) = self.watched
            && matches!(event, Event::Finished { lookup, .. } if lookup == watched)
        {
            self.closest = self.node.closest(watched).map(|contact| contact.id).collect();
        }
        Some(event)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let at = self.node.poll_timeout()?;
        Some(Instant::from_micros(at.as_micros().saturating_add_signed(-self.ahead)))
    }
}

/// What was begun and is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Begun {
    Lookup(LookupId),
    Ask(AskId),
}

struct Trouble<'a> {
    bytes: &'a [u8],
    network: Network<Host>,
    config: Config,
    count: usize,
    /// How long the faults last at most.
    trouble: Duration,
    /// What was begun at which host, and whether it has ended.
    begun: BTreeMap<(usize, Begun), bool>,
    /// Restarts so far: every machine has a random device of its own.
    made: u64,
    end: Instant,
}

/// How large a network is made for this input.
pub fn look(data: &[u8]) -> Look {
    if is_one_in(DEAR, data) { Look::Close } else { Look::Passing }
}

/// A whole network: the first byte says how many nodes it has and what kind, the rest what happens.
pub fn network(data: &[u8], look: Look) {
    let Some((first, bytes)) = data.split_first() else { return };
    let mut config =
        if first & 16 == 0 { Config::private(Family::V4) } else { Config::new(Family::V4) };
    config.paths = 1 + (first >> 6);
    let count = COUNTS[usize::from(first & 15)];
    let (count, trouble) = match look {
        Look::Close => (count, TROUBLE_MAX),
        Look::Passing => (2 + count / 5, TROUBLE_SMALL),
    };
    let mut trouble = Trouble {
        bytes,
        network: Network::new(0, Link::default()),
        config,
        count,
        trouble,
        begun: BTreeMap::new(),
        made: 0,
        end: Instant::EPOCH,
    };
    trouble.begin(*first);
    for _ in 0..FAULTS_MAX {
        let Some(kind) = trouble.byte() else { break };
        trouble.fault(kind);
        trouble.hear();
    }
    trouble.heal();
    trouble.all_ends();
    if first & 32 != 0 && look == Look::Close {
        trouble.recovered();
    }
}

impl Trouble<'_> {
    /// A network in which nothing has gone wrong yet. They are all alike: the first of its kind is
    /// made and kept, of the others each is a copy.
    fn begin(&mut self, first: u8) {
        thread_local! {
            static BEGUN: RefCell<HashMap<(u8, usize), Network<Host>>> = RefCell::default();
        }
        let kind = (first & !32, self.count);
        BEGUN.with_borrow_mut(|begun| {
            let network = begun.entry(kind).or_insert_with(|| {
                let mut network = Network::new(u64::from(first & 15), Link::default());
                for index in 0..self.count {
                    network.add(addr(index), self.make(index));
                }
                network.run_for(Duration::from_secs(2));
                network
            });
            self.network = network.fork();
        });
        self.made = self.count as u64;
        self.end = self.network.now() + self.trouble;
    }

    fn make(&mut self, index: usize) -> Host {
        self.made += 1;
        let mut config = self.config.clone();
        config.id = Some(id(7, self.made as usize));
        let mut node = Node::new(config, tiny(), Dice::new(self.made));
        for source in 0..2 {
            if source != index {
                node.add_source(addr(source));
            }
        }
        Host {
            node,
            ahead: 0,
            back: Host::BACK_MAX,
            last: None,
            watched: None,
            closest: Vec::new(),
        }
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*byte)
    }

    fn number(&mut self) -> u8 {
        self.byte().unwrap_or(0)
    }

    fn host(&mut self) -> usize {
        usize::from(self.number()) % self.count
    }

    fn fault(&mut self, kind: u8) {
        match kind % 16 {
            0 | 1 => {
                let millis = u64::from(self.number());
                self.pass(Duration::from_millis(millis * millis / 8));
            }
            2 => {
                let seconds = u64::from(self.number());
                self.pass(Duration::from_secs(seconds));
            }
            3 => self.network.link.loss = u32::from(self.number()) * 4,
            4 => self.network.link.duplication = u32::from(self.number()) * 4,
            5 => self.network.link.jitter = Duration::from_millis(u64::from(self.number()) * 8),
            6 => {
                let sides = self.number();
                for index in 0..self.count {
                    self.network.set_side(addr(index), sides >> (index % 8) & 1);
                }
                self.network.partitioned = sides != 0;
            }
            7 => {
                let (index, alive) = (self.host(), kind & 16 == 0);
                self.network.set_alive(addr(index), alive);
            }
            8 => self.restart(kind & 16 == 0),
            9 => self.leap(kind & 16 == 0),
            10 => {
                let nat = if kind & 16 == 0 { Nat::Restricted } else { Nat::Open };
                let index = self.host();
                self.network.set_nat(addr(index), nat);
            }
            11 => self.forge(),
            12 => self.replay(),
            13 => self.give_up(),
            _ => self.command(),
        }
    }

    fn pass(&mut self, time: Duration) {
        let until = (self.network.now() + time).min(self.end);
        self.network.run_until(until);
    }

    /// Ends a machine and starts another in its place, from what it saved or from nothing.
    fn restart(&mut self, saved: bool) {
        let index = self.host();
        self.hear();
        let Some(before) = self.network.remove(addr(index)) else { return };
        self.begun.retain(|(host, _), _| *host != index);
        let now = self.network.now();
        let mut host = self.make(index);
        (host.ahead, host.back) = (before.ahead, before.back);
        if saved {
            let mut state = [0; SAVE_MAX];
            let len = before.node.save(&mut state);
            let taken = host.node.restore(host.local(now), &state[..len]);
            assert!(taken.is_ok(), "{taken:?}");
        }
        self.network.add(addr(index), host);
    }

    fn leap(&mut self, ahead: bool) {
        let (index, exponent) = (self.host(), u32::from(self.number() % 23));
        let micros = 1_000_000_i64 << exponent;
        self.network.command(addr(index), |host, _| {
            if ahead {
                host.ahead = (host.ahead + micros).min(Host::AHEAD_MAX);
            } else {
                let micros = micros.min(host.back);
                host.back -= micros;
                host.ahead -= micros;
            }
        });
    }

    /// A datagram of the fuzzer's making, from a host or from an address where nobody is.
    fn forge(&mut self) {
        let (from, to) = (usize::from(self.number()) % (self.count + 4), self.host());
        let len = usize::from(self.number()).min(self.bytes.len());
        let (bytes, rest) = self.bytes.split_at(len);
        self.bytes = rest;
        self.network.inject(addr(from), addr(to), bytes);
    }

    /// What somebody was sent last once more: to anybody, from anybody, with a byte changed.
    fn replay(&mut self) {
        let (whose, to) = (self.host(), self.host());
        let (from, at, change) = (self.number(), self.number(), self.number());
        let Some((sender, mut bytes)) = self.network.machine(addr(whose)).last.clone() else {
            return;
        };
        let from = if from & 1 == 0 { sender } else { addr(usize::from(from) % (self.count + 4)) };
        let at = usize::from(at) * bytes.len() / 256;
        if let Some(byte) = bytes.get_mut(at) {
            *byte = byte.wrapping_add(change);
        }
        self.network.inject(from, addr(to), &bytes);
    }

    fn give_up(&mut self) {
        let which = usize::from(self.number());
        let open: Vec<_> =
            self.begun.iter().filter(|(_, ended)| !**ended).map(|(name, _)| *name).collect();
        if open.is_empty() {
            return;
        }
        let (index, begun) = open[which % open.len()];
        self.network.command(addr(index), |host, now| match begun {
            Begun::Lookup(lookup) => host.node.cancel(host.local(now), lookup),
            Begun::Ask(ask) => host.node.withdraw(ask),
        });
        if matches!(begun, Begun::Ask(_)) {
            self.hear();
            self.begun.remove(&(index, begun));
        }
    }

    fn command(&mut self) {
        let (index, which, what) = (self.host(), self.number(), self.number());
        let other = addr(usize::from(what) % (self.count + 2));
        let hash = InfoHash([what; 20]);
        let value = [b'1', b':', what];
        let begun = self.network.command(addr(index), |host, now| {
            let now = host.local(now);
            let node = &mut host.node;
            let item = Item::Immutable(&value);
            let sought = Sought { newer_than: None, ..Sought::at(item.target()) };
            let lookup = match which % 10 {
                0 | 1 => node.get_peers(now, hash).ok(),
                2 => node.find_node(now, hash.as_id()).ok(),
                3 => node.announce(now, hash, Port::Number(7)).ok(),
                4 => node.scrape(now, hash).ok(),
                5 => node.get(now, &sought).ok(),
                6 => node.put(now, &item, None).ok(),
                7 => return node.ask(other, &Question::Ping).ok().map(Begun::Ask),
                8 => {
                    node.add_node(other);
                    None
                }
                _ => {
                    node.block(now, other, Duration::from_secs(u64::from(which)));
                    None
                }
            };
            lookup.map(Begun::Lookup)
        });
        if let Some(begun) = begun {
            let before = self.begun.insert((index, begun), false);
            assert_eq!(before, None, "one name for two commands");
            self.hear();
        }
    }

    /// Takes in what was told: nothing ends twice, and nothing that was never begun.
    fn hear(&mut self) {
        for (_, at, event) in self.network.events.drain(..) {
            let begun = match event {
                Event::Finished { lookup, .. } => Begun::Lookup(lookup),
                Event::Answered { ask, .. }
                | Event::Refused { ask, .. }
                | Event::Silent { ask } => Begun::Ask(ask),
                _ => continue,
            };
            let index = (0..self.count).find(|index| addr(*index) == at).expect("a host");
            let Some(ended) = self.begun.get_mut(&(index, begun)) else {
                panic!("{begun:?} of host {index} was never begun");
            };
            assert!(!*ended, "{begun:?} of host {index} ends twice");
            *ended = true;
        }
    }

    fn heal(&mut self) {
        self.network.link = Link::default();
        self.network.partitioned = false;
        for index in 0..self.count {
            self.network.set_nat(addr(index), Nat::Open);
            self.network.set_alive(addr(index), true);
        }
        self.hear();
    }

    fn all_ends(&mut self) {
        let until = self.network.now() + PATIENCE;
        while self.begun.values().any(|ended| !ended) {
            let more = self.network.run_while(until, |events| events.is_empty());
            self.hear();
            let left = self.begun.iter().find(|(_, ended)| !**ended);
            assert!(more || left.is_none(), "{left:?} does not end");
        }
        let (now, bounds) = (self.network.now(), tiny());
        for index in 0..self.count {
            let host = self.network.machine(addr(index));
            let status = host.node.status(host.local(now));
            let nodes = status.nodes_good + status.nodes_questionable + status.nodes_bad;
            assert!(nodes <= bounds.buckets * K, "{status:?}");
            assert!(status.lookups <= 1 && status.in_flight <= bounds.in_flight, "{status:?}");
            assert!(status.peers <= bounds.peers_stored.peers, "{status:?}");
            assert!(status.items <= bounds.items_stored.items, "{status:?}");
        }
    }

    /// The faults are over: a lookup finds the closest that there are, and what was announced.
    fn recovered(&mut self) {
        self.network.run_for(RECOVERY);
        self.hear();
        let (asker, announcer) = (self.host(), self.host());
        let hash = InfoHash([self.number(); 20]);
        let announce = |host: &mut Host, now: Instant| {
            host.node.announce(host.local(now), hash, Port::Number(4_242))
        };
        let lookup = self.network.command(addr(announcer), announce).expect("a free row");
        self.ended(announcer, lookup);
        let seek = |host: &mut Host, now: Instant| {
            let lookup = host.node.get_peers(host.local(now), hash);
            host.watched = lookup.ok();
            lookup
        };
        let lookup = self.network.command(addr(asker), seek).expect("a free row");
        let events = self.ended(asker, lookup);
        let peer = SocketAddr::new(addr(announcer).ip(), 4_242);
        let is_peer =
            |event: &Event| matches!(event, Event::Peer { peer: told, .. } if *told == peer);
        assert!(asker == announcer || events.iter().any(is_peer), "{peer}: {events:?}");
        let ids = (0..self.count).map(|index| self.network.machine(addr(index)).node.id());
        let mut closest: Vec<Id> = ids.collect();
        closest.remove(asker);
        closest.sort_by_key(|id| id.distance(hash.as_id()));
        closest.truncate(K);
        assert_eq!(self.network.machine(addr(asker)).closest, closest);
    }

    /// Waits for the end of a lookup; what its host told until then.
    fn ended(&mut self, index: usize, lookup: LookupId) -> Vec<Event> {
        let is_end = |(_, at, event): &(Instant, SocketAddr, Event)| {
            *at == addr(index)
                && matches!(event, Event::Finished { lookup: ended, .. } if *ended == lookup)
        };
        let until = self.network.now() + PATIENCE;
        let ended = self.network.run_while(until, |events| !events.iter().any(is_end));
        assert!(ended, "{lookup:?} does not end");
        let events = self.network.events.drain(..);
        events.filter(|(_, at, _)| *at == addr(index)).map(|(_, _, event)| event).collect()
    }
}
