//! An emulated world for one searcher: tens of thousands of nodes that answer as real ones would,
//! made up when they are asked; and the floor, what a searcher could do that knew everything but
//! still had to be told each address by somebody.
//!
//! Of the nodes, a share is dead. Every routing table is a Kademlia one: from each bucket up to
//! eight members at random, all of those close by; a share of the contacts is stale: they are dead
//! ones. Round trips are log-normal over pairs, datagrams are lost each way. The eight living nodes
//! closest to the target each hold a random part of the peers.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

use chacha20::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use tinybt_core::dht::{Config, Event, Port};
use tinybt_core::limits::DATAGRAM_MAX;
use tinybt_core::wire::krpc::{self, Answer, Body, Envelope, Message, Values};
use tinybt_core::{Contact, Family, Id, InfoHash, Instant, Machine, Step, buffer};

use crate::net::{Delay, mix, uniform};
use crate::nodes::{TestNode, addr, id, node};

/// What the world is like. Shares are in thousandths.
#[derive(Clone, Debug)]
pub struct World {
    /// Nodes, dead ones included.
    pub nodes: usize,
    /// Of these, dead.
    pub dead: u32,
    /// Of the contacts in routing tables, such as point to dead nodes.
    pub stale: u32,
    /// Of the datagrams, lost, each way.
    pub loss: u32,
    /// Round trips.
    pub delay: Delay,
    /// Peers of the torrent.
    pub peers: usize,
    /// Of these, held by each of the eight.
    pub held: u32,
    /// Where each node is: on real sockets it has to be a loopback.
    pub addr: fn(usize) -> SocketAddr,
}

impl Default for World {
    fn default() -> Self {
        Self {
            nodes: 10_000,
            dead: 200,
            stale: 150,
            loss: 20,
            delay: Delay::LogNormal {
                median: Duration::from_millis(120),
                p95: Duration::from_millis(600),
            },
            peers: 50,
            held: 600,
            addr,
        }
    }
}

/// What one search came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Result {
    /// Milliseconds to the first peer.
    pub first: f64,
    /// Milliseconds to nine tenths of the peers.
    pub most: f64,
    /// Milliseconds until the search was over.
    pub done: f64,
    /// Datagrams that the searcher sent.
    pub sent: f64,
    /// Datagrams that it received.
    pub received: f64,
    /// Of the eight closest living nodes, those whose answer came before the end.
    pub answered: f64,
    /// Of the same, those that stored the announce.
    pub stored: f64,
    /// Announces sent, to how many nodes.
    pub announced_to: f64,
    /// Milliseconds that the all-knowing need to the first peer.
    pub floor_first: f64,
    /// Milliseconds that the all-knowing need until the eight have answered.
    pub floor_done: f64,
}

/// A world with a target and the truth about it.
pub struct Made<'a> {
    world: &'a World,
    seed: u64,
    /// What is looked for.
    pub target: Id,
    /// Sorted by id, with the index that gives the address.
    living: Vec<(Id, usize)>,
    dead: Vec<(Id, usize)>,
    by_addr: HashMap<SocketAddr, usize>,
    ids: Vec<Id>,
    alive: Vec<bool>,
    /// The eight closest living nodes.
    pub truth: Vec<usize>,
    answers: std::cell::RefCell<HashMap<(usize, Id), Vec<usize>>>,
}

impl<'a> Made<'a> {
    /// With a target of the seed's.
    pub fn new(world: &'a World, seed: u64) -> Self {
        Self::around(world, seed, id(seed, usize::MAX))
    }

    /// With this target.
    pub fn around(world: &'a World, seed: u64, target: Id) -> Self {
        let ids: Vec<Id> = (0..world.nodes).map(|index| id(seed, index)).collect();
        let alive: Vec<bool> = (0..world.nodes)
            .map(|index| mix(seed, &[index as u64, 11]) % 1_000 >= u64::from(world.dead))
            .collect();
        let sorted = |wanted: bool| {
            let mut nodes: Vec<_> = (0..world.nodes)
                .filter(|index| alive[*index] == wanted)
                .map(|index| (ids[index], index))
                .collect();
            nodes.sort_unstable();
            nodes
        };
        let (living, dead) = (sorted(true), sorted(false));
        let mut truth: Vec<usize> = living.iter().map(|(_, index)| *index).collect();
        truth.sort_by_key(|index| ids[*index].distance(target));
        truth.truncate(8);
        let by_addr = (0..world.nodes).map(|index| ((world.addr)(index), index)).collect();
        Self {
            world,
            seed,
            target,
            living,
            dead,
            by_addr,
            ids,
            alive,
            truth,
            answers: Default::default(),
        }
    }

    /// Nodes of a sorted list that share exactly `bits` bits with `own`.
    fn range(list: &[(Id, usize)], own: Id, bits: usize) -> &[(Id, usize)] {
        let mut low = own;
        let (byte, mask) = (bits / 8, 0x80u8 >> (bits % 8));
        low.0[byte] ^= mask;
        let mut high = low;
        for position in bits + 1..160 {
            low.0[position / 8] &= !(0x80 >> (position % 8));
            high.0[position / 8] |= 0x80 >> (position % 8);
        }
        let from = list.partition_point(|(id, _)| *id < low);
        let to = list.partition_point(|(id, _)| *id <= high);
        &list[from..to]
    }

    /// What a node would tell when asked for a target: the eight closest it knows.
    fn tells(&self, node: usize, target: Id) -> Vec<usize> {
        if let Some(known) = self.answers.borrow().get(&(node, target)) {
            return known.clone();
        }
        let own = self.ids[node];
        let mut known = Vec::new();
        let home = own.distance(target).leading_zeros() as usize;
        for bits in (home..40).chain((0..home).rev()) {
            if bits < home && known.len() >= 8 {
                break;
            }
            self.bucket(node, own, bits, &mut known);
        }
        known.sort_by_key(|index| self.ids[*index].distance(target));
        known.truncate(8);
        self.answers.borrow_mut().insert((node, target), known.clone());
        known
    }

    fn bucket(&self, node: usize, own: Id, bits: usize, known: &mut Vec<usize>) {
        let living = Self::range(&self.living, own, bits);
        let dead = Self::range(&self.dead, own, bits);
        let mut random = ChaCha8Rng::seed_from_u64(mix(self.seed, &[node as u64, bits as u64, 3]));
        let mut pick = |list: &[(Id, usize)], count: usize, into: &mut Vec<usize>| {
            let mut left: Vec<usize> = list.iter().map(|(_, index)| *index).collect();
            for _ in 0..count.min(left.len()) {
                let at = random.next_u32() as usize % left.len();
                into.push(left.swap_remove(at));
            }
        };
        // Each of eight places is stale with the given chance.
        let mut stale = 0;
        let mut dice = ChaCha8Rng::seed_from_u64(mix(self.seed, &[node as u64, bits as u64, 4]));
        for _ in 0..8 {
            stale += usize::from(dice.next_u32() % 1_000 < self.world.stale);
        }
        let fresh = 8 - stale;
        pick(living, fresh, known);
        pick(dead, stale, known);
    }

    /// The round trip to a node, the same wherever its address is.
    pub fn rtt(&self, node: usize) -> Duration {
        let me = SocketAddr::from(([9, 9, 9, 9], 9));
        2 * self.world.delay.between(self.seed, me, addr(node))
    }

    /// The peers that a node holds, packed.
    pub fn holds(&self, node: usize) -> Vec<u8> {
        let mut packed = Vec::new();
        if self.truth.contains(&node) {
            for peer in 0..self.world.peers {
                let dice = mix(self.seed, &[node as u64, peer as u64, 5]) % 1_000;
                if dice < u64::from(self.world.held) {
                    packed.extend_from_slice(&[99, 0, 0, peer as u8, 0x1a, 0xe1]);
                }
            }
        }
        packed
    }

    /// How many nodes live.
    pub fn living(&self) -> usize {
        self.living.len()
    }

    /// Where a searcher may begin.
    pub fn bootstrap(&self) -> Vec<usize> {
        (0..4)
            .map(|n| self.living[mix(self.seed, &[n, 6]) as usize % self.living.len()].1)
            .collect()
    }

    /// Milliseconds to the first peer and to the last of the eight, for the all-knowing.
    pub fn floor(&self) -> (f64, f64) {
        let mut done: BTreeMap<usize, Duration> = BTreeMap::new();
        let mut queue: BinaryHeap<Reverse<(Duration, usize)>> = BinaryHeap::new();
        let mut seen: HashMap<usize, Duration> = HashMap::new();
        for node in self.bootstrap() {
            queue.push(Reverse((self.rtt(node), node)));
        }
        let mut first = None;
        while let Some(Reverse((at, node))) = queue.pop() {
            if done.contains_key(&node) {
                continue;
            }
            done.insert(node, at);
            if self.truth.contains(&node) {
                first = first.or(Some(at));
                if self.truth.iter().all(|node| done.contains_key(node)) {
                    return (millis(first.unwrap_or(at)), millis(at));
                }
            }
            for told in self.tells(node, self.target) {
                let then = at + self.rtt(told);
                if self.alive[told] && seen.get(&told).is_none_or(|known| then < *known) {
                    seen.insert(told, then);
                    queue.push(Reverse((then, told)));
                }
            }
        }
        (f64::NAN, f64::NAN)
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Whether the searcher only looks, or announces as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// `get_peers`
    Look,
    /// `announce`
    Announce,
}

/// Runs one search of a node that knows nothing but four places to begin with.
pub fn cold(world: &World, seed: u64, errand: Errand) -> Result {
    let config = Config::new(Family::V4);
    run(world, seed, errand, node(mix(seed, &[1]), config), true)
}

fn run(world: &World, seed: u64, errand: Errand, mut node: TestNode, begin: bool) -> Result {
    let made = Made::new(world, seed);
    let start = Instant::from_secs(1_000);
    if begin {
        for source in made.bootstrap() {
            node.add_source((world.addr)(source));
        }
    }
    let info_hash = InfoHash(made.target.0);
    match errand {
        Errand::Look => node.get_peers(start, info_hash).unwrap(),
        Errand::Announce => node.announce(start, info_hash, Port::Number(7)).unwrap(),
    };
    let (floor_first, floor_done) = made.floor();
    let result = Result { floor_first, floor_done, ..Result::default() };
    let (stored, told) = (HashSet::new(), HashSet::new());
    let mut peers = Peers { made: &made, start, result, count: 0, stored, told };
    let traffic = made.drive(&mut node, start, &mut peers);
    let Peers { mut result, stored, told, .. } = peers;
    let of_truth = |nodes: &HashSet<usize>| {
        made.truth.iter().filter(|node| nodes.contains(node)).count() as f64
    };
    result.sent = traffic.sent as f64;
    result.received = traffic.received as f64;
    result.answered = of_truth(&traffic.answered);
    result.stored = of_truth(&stored);
    result.announced_to = told.len() as f64;
    result
}

/// What the nodes of a world say, and who listens to the searcher.
pub trait Play {
    /// The searcher sent a query to a node, which may be dead.
    fn sent(&mut self, _to: usize, _query: &[u8]) {}

    /// What a node answers.
    fn reply(&mut self, node: usize, query: &[u8]) -> Vec<u8>;

    /// The searcher tells something. Whether that is the end.
    fn hear(&mut self, now: Instant, searcher: &mut TestNode, event: Event) -> bool;
}

/// What went over the network.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// Datagrams that the searcher sent.
    pub sent: u32,
    /// Datagrams that reached it.
    pub received: u32,
    /// Nodes whose answer it heeded.
    pub answered: HashSet<usize>,
}

impl Made<'_> {
    /// Lets a searcher that has been told what to do search, until the play ends.
    pub fn drive(&self, searcher: &mut TestNode, start: Instant, play: &mut impl Play) -> Traffic {
        let (mut now, mut traffic, mut serial) = (start, Traffic::default(), 0u64);
        let mut random = ChaCha8Rng::seed_from_u64(mix(self.seed, &[8]));
        let mut queue: BinaryHeap<Reverse<(Instant, u64)>> = BinaryHeap::new();
        let mut flying: HashMap<u64, (SocketAddr, Vec<u8>)> = HashMap::new();
        let mut buffer = buffer();
        let lost = |random: &mut ChaCha8Rng| random.next_u32() % 1_000 < self.world.loss;
        loop {
            let deadline = loop {
                match searcher.step(now, &mut buffer) {
                    Step::Send(transmit) => {
                        traffic.sent += 1;
                        let to = self.by_addr[&transmit.to];
                        let query = &buffer[..transmit.len];
                        play.sent(to, query);
                        if !self.alive[to] || lost(&mut random) {
                            continue;
                        }
                        let reply = play.reply(to, query);
                        if !lost(&mut random) {
                            let jitter = 1.0 + 0.1 * uniform(&mut random);
                            serial += 1;
                            flying.insert(serial, (transmit.to, reply));
                            queue.push(Reverse((now + self.rtt(to).mul_f64(jitter), serial)));
                        }
                    }
                    Step::Event(event) if play.hear(now, searcher, event) => return traffic,
                    Step::Event(_) => {}
                    Step::Wait(deadline) => break deadline,
                }
            };
            let arrival = queue.peek().map(|Reverse((at, _))| *at);
            match (arrival, deadline) {
                (Some(at), deadline) if deadline.is_none_or(|deadline| at <= deadline) => {
                    now = at;
                    let Some(Reverse((_, serial))) = queue.pop() else { continue };
                    let Some((from, bytes)) = flying.remove(&serial) else { continue };
                    traffic.received += 1;
                    if searcher.handle_datagram(now, from, &bytes).is_ok() {
                        traffic.answered.insert(self.by_addr[&from]);
                    }
                }
                (_, Some(at)) => now = at,
                _ => panic!("the search does not end"),
            }
            assert!(now.since(start) < Duration::from_secs(600), "the search takes for ever");
        }
    }

    /// The contacts that a node would tell.
    pub fn contacts(&self, node: usize) -> Vec<Contact> {
        self.contacts_near(node, self.target)
    }

    /// Those that it would tell to whoever looks for something else.
    pub fn contacts_near(&self, node: usize, target: Id) -> Vec<Contact> {
        self.tells(node, target).into_iter().map(|index| self.contact(index)).collect()
    }

    /// Who a node is, and where.
    pub fn contact(&self, node: usize) -> Contact {
        Contact { id: self.ids[node], addr: (self.world.addr)(node) }
    }

    /// The living node at an address.
    pub fn living_at(&self, addr: SocketAddr) -> Option<usize> {
        self.by_addr.get(&addr).copied().filter(|node| self.alive[*node])
    }

    /// An answer of a node to a query, with its id.
    pub fn encode(&self, node: usize, query: &Message<'_>, answer: &Answer<'_>) -> Vec<u8> {
        let envelope = Envelope {
            transaction: query.transaction,
            version: None,
            read_only: false,
            external: Some(SocketAddr::from(([9, 9, 9, 9], 9))),
        };
        let answer = Answer { id: self.ids[node], ..*answer };
        let mut bytes = vec![0; 2 * DATAGRAM_MAX];
        let len = krpc::encode_response(&mut bytes, &envelope, &answer).expect("it fits");
        bytes.truncate(len);
        bytes
    }
}

/// Peers are looked for, and perhaps announced.
struct Peers<'a> {
    made: &'a Made<'a>,
    start: Instant,
    result: Result,
    count: usize,
    stored: HashSet<usize>,
    told: HashSet<usize>,
}

impl Play for Peers<'_> {
    fn sent(&mut self, to: usize, query: &[u8]) {
        if query.windows(15).any(|w| w == b"13:announce_pee") {
            self.told.insert(to);
        }
    }

    fn reply(&mut self, node: usize, query: &[u8]) -> Vec<u8> {
        let message = krpc::decode(query).expect("our own queries are well-formed");
        let Body::Query(asked) = &message.body else { panic!("a searcher only asks") };
        let packed = self.made.holds(node);
        let token = (node as u32).to_be_bytes();
        if asked.method == b"announce_peer" {
            assert_eq!(asked.token(), Ok(&token[..]));
            self.stored.insert(node);
        }
        let nodes = self.made.contacts(node);
        let mut answer = Answer::default();
        match asked.method {
            b"find_node" => answer.nodes = Some(&nodes),
            b"get_peers" => {
                answer.nodes = Some(&nodes);
                answer.token = Some(&token);
                if !packed.is_empty() {
                    answer.values = Some(Values { family: Family::V4, packed: [&packed, &[]] });
                }
            }
            _ => {}
        }
        self.made.encode(node, &message, &answer)
    }

    fn hear(&mut self, now: Instant, _: &mut TestNode, event: Event) -> bool {
        let at = millis(now.since(self.start));
        match event {
            Event::Peer { .. } => {
                self.count += 1;
                if self.count == 1 {
                    self.result.first = at;
                }
                if self.count * 10 >= self.made.world.peers * 9 && self.result.most == 0.0 {
                    self.result.most = at;
                }
                false
            }
            Event::Finished { .. } => {
                self.result.done = at;
                true
            }
            _ => false,
        }
    }
}

/// The median of one figure over many results.
pub fn median(results: &[Result], figure: impl Fn(&Result) -> f64) -> f64 {
    let mut values: Vec<f64> = results.iter().map(figure).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The mean of one figure over many results.
pub fn mean(results: &[Result], figure: impl Fn(&Result) -> f64) -> f64 {
    results.iter().map(figure).sum::<f64>() / results.len() as f64
}

/// A table of figures over `runs` seeds.
pub fn table(world: &World, runs: u64, errand: Errand) -> (Vec<Result>, String) {
    let results: Vec<Result> = (0..runs).map(|seed| cold(world, 1_000 + seed, errand)).collect();
    let m = |figure: fn(&Result) -> f64| median(&results, figure);
    let text = format!(
        "first {:.0} ms ({:.2} of the floor), 90 % {:.0} ms, done {:.0} ms ({:.2} of the floor {:.0} \
         ms), sent {:.0}, received {:.0}, of the true 8 answered {:.2} and stored {:.2}, told {:.1}",
        m(|r| r.first),
        m(|r| r.first / r.floor_first),
        m(|r| r.most),
        m(|r| r.done),
        m(|r| r.done / r.floor_done),
        m(|r| r.floor_done),
        m(|r| r.sent),
        m(|r| r.received),
        mean(&results, |r| r.answered),
        mean(&results, |r| r.stored),
        mean(&results, |r| r.announced_to),
    );
    (results, text)
}
