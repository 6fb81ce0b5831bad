//! An emulated network for one searcher, as [`crate::world`] has it, in which not everybody is
//! honest: of the nodes a share lies, and around the target there may be a crowd.
//!
//! The tables of the honest are Kademlia ones: from each bucket up to eight members at random, all of
//! those close by; a share of the contacts is stale. Whoever crowds a target has made himself known
//! to everybody in whose bucket there was a place left, and in a full one has taken each place with
//! the chance that [`Crowd::pushed`] says.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

use chacha20::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use tinybt_core::dht::{Event, Outcome};
use tinybt_core::limits::DATAGRAM_MAX;
use tinybt_core::wire::krpc::{self, Answer, Body, Envelope, Message, Values};
use tinybt_core::{Contact, Family, Id, Instant, Machine, Step, buffer};

use crate::net::{mix, uniform};
use crate::nodes::{TestNode, addr, id};
use crate::world::World;

/// Where the searcher is.
pub const SEARCHER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(9, 9, 9, 9)), 9);

/// Whom liars want to be flooded.
pub const VICTIM: std::net::Ipv4Addr = std::net::Ipv4Addr::new(77, 77, 77, 77);

/// What liars say. They give tokens, acknowledge announces and store nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lies {
    /// They tell of nodes near the target that do not exist, at random addresses.
    pub nodes: bool,
    /// The same, all of them at the victim's address.
    pub victim: bool,
    /// They tell of the liars closest to the target, and of nobody else.
    pub each_other: bool,
    /// They name a hundred peers that do not exist: half of these all of them name, half each alone.
    pub peers: bool,
    /// They say that the searcher is elsewhere.
    pub address: bool,
}

/// Nodes that sit around the target, closer than anybody else.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// How many.
    pub count: usize,
    /// From one /16, in which each has a /24 of its own; otherwise each from elsewhere.
    pub one_site: bool,
    /// How many bits more than the closest honest node they share with the target.
    pub bits: usize,
    /// The chance, in thousandths, that a place of an honest node in a bucket is theirs.
    pub pushed: u32,
}

/// Who is not honest.
#[derive(Clone, Copy, Debug, Default)]
pub struct Villains {
    /// Of a thousand living nodes, liars.
    pub liars: u32,
    /// What they say.
    pub lies: Lies,
    /// Around the target.
    pub crowd: Option<Crowd>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Honest,
    Dead,
    Liar,
    Crowd,
}

/// A network with a target and the truth about it.
pub struct Stage<'a> {
    world: &'a World,
    villains: Villains,
    seed: u64,
    /// What is looked for.
    pub target: Id,
    nodes: Vec<(Id, SocketAddr, Role)>,
    /// Sorted by id: those in the tables, dead ones, the crowd.
    living: Vec<(Id, usize)>,
    dead: Vec<(Id, usize)>,
    crowd: Vec<(Id, usize)>,
    /// Liars, closest to the target first.
    liars: Vec<usize>,
    by_addr: HashMap<SocketAddr, usize>,
    /// The eight living nodes closest to the target, the crowd aside; those of them that are honest
    /// hold the peers.
    pub truth: Vec<usize>,
    told: RefCell<HashMap<(usize, Id), Vec<usize>>>,
}

/// What one search came to.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// Peers that the searcher was told of, each once.
    pub peers: Vec<SocketAddr>,
    /// How many true and how many invented ones were named by one network, by two, and so on.
    pub named: [(usize, usize); 8],
    /// Milliseconds to the first true one.
    pub first: Option<f64>,
    /// Milliseconds to the end.
    pub done: f64,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Honest nodes among the closest that stored the announce.
    pub stored: usize,
    /// Datagrams sent by the searcher; of these, to nobody; to the victim.
    pub sent: u32,
    /// To addresses where nobody is.
    pub astray: u32,
    /// To the victim.
    pub at_victim: u32,
    /// Datagrams that reached the searcher.
    pub received: u32,
}

impl Heard {
    /// How many of the peers are true ones, and how many invented.
    pub fn true_and_invented(&self) -> (usize, usize) {
        let count = self.peers.iter().filter(|peer| is_true(peer)).count();
        (count, self.peers.len() - count)
    }
}

impl<'a> Stage<'a> {
    /// A network of the seed's, with a target of its.
    pub fn new(world: &'a World, villains: Villains, seed: u64) -> Self {
        let target = id(seed, usize::MAX);
        let dice = |index: usize, salt: u64| mix(seed, &[index as u64, salt]) % 1_000;
        let role = |index: usize| match index {
            _ if dice(index, 11) < u64::from(world.dead) => Role::Dead,
            _ if dice(index, 12) < u64::from(villains.liars) => Role::Liar,
            _ => Role::Honest,
        };
        let mut nodes: Vec<(Id, SocketAddr, Role)> =
            (0..world.nodes).map(|index| (id(seed, index), addr(index), role(index))).collect();
        let list = |wanted: &dyn Fn(Role) -> bool, nodes: &[(Id, SocketAddr, Role)]| {
            let all = nodes.iter().enumerate();
            let mut list: Vec<(Id, usize)> = all
                .filter(|(_, node)| wanted(node.2))
                .map(|(index, node)| (node.0, index))
                .collect();
            list.sort_unstable();
            list
        };
        let living = list(&|role| matches!(role, Role::Honest | Role::Liar), &nodes);
        let dead = list(&|role| role == Role::Dead, &nodes);
        let closest = |mut list: Vec<(Id, usize)>| {
            list.sort_by_key(|(id, _)| id.distance(target));
            list.into_iter().map(|(_, index)| index).collect::<Vec<usize>>()
        };
        let mut truth = closest(living.clone());
        truth.truncate(8);
        let liars = closest(list(&|role| role == Role::Liar, &nodes));
        if let Some(crowd) = villains.crowd {
            let shared = nodes[truth[0]].0.distance(target).leading_zeros() as usize + crowd.bits;
            for number in 0..crowd.count {
                let node = (beside(target, shared, mix(seed, &[number as u64, 13])), number);
                nodes.push((node.0, crowd_addr(number, crowd.one_site), Role::Crowd));
            }
        }
        let crowd = list(&|role| role == Role::Crowd, &nodes);
        let by_addr = nodes.iter().enumerate().map(|(index, node)| (node.1, index)).collect();
        let told = RefCell::default();
        Self {
            world,
            villains,
            seed,
            target,
            nodes,
            living,
            dead,
            crowd,
            liars,
            by_addr,
            truth,
            told,
        }
    }

    /// Peers that honest nodes among the closest hold.
    pub fn true_peers(&self) -> usize {
        let held = |peer: u8| self.truth.iter().any(|node| self.holds(*node, peer));
        (0..self.world.peers as u8).filter(|peer| held(*peer)).count()
    }

    fn holds(&self, node: usize, peer: u8) -> bool {
        self.nodes[node].2 == Role::Honest
            && self.truth.contains(&node)
            && mix(self.seed, &[node as u64, u64::from(peer), 5]) % 1_000
                < u64::from(self.world.held)
    }

    /// Four honest nodes to begin at.
    pub fn bootstrap(&self) -> Vec<SocketAddr> {
        let mut random = ChaCha8Rng::seed_from_u64(mix(self.seed, &[6]));
        let mut found = Vec::new();
        while found.len() < 4 {
            let (_, index) = self.living[random.next_u32() as usize % self.living.len()];
            if self.nodes[index].2 == Role::Honest {
                found.push(self.nodes[index].1);
            }
        }
        found
    }

    /// Nodes of a sorted list that share exactly `bits` bits with `own`.
    fn range(list: &[(Id, usize)], own: Id, bits: usize) -> &[(Id, usize)] {
        let mut low = own;
        low.0[bits / 8] ^= 0x80 >> (bits % 8);
        let mut high = low;
        for position in bits + 1..160 {
            low.0[position / 8] &= !(0x80 >> (position % 8));
            high.0[position / 8] |= 0x80 >> (position % 8);
        }
        let from = list.partition_point(|(id, _)| *id < low);
        let to = list.partition_point(|(id, _)| *id <= high);
        &list[from..to]
    }

    /// The eight closest to a point that a node knows.
    fn knows(&self, node: usize, target: Id) -> Vec<usize> {
        if let Some(known) = self.told.borrow().get(&(node, target)) {
            return known.clone();
        }
        let own = self.nodes[node].0;
        let mut known = Vec::new();
        let home = (own.distance(target).leading_zeros() as usize).min(150);
        for bits in (home..(home + 40).min(159)).chain((0..home).rev()) {
            if bits < home && known.len() >= 8 {
                break;
            }
            self.bucket(node, own, bits, &mut known);
        }
        known.sort_by_key(|index| self.nodes[*index].0.distance(target));
        known.truncate(8);
        self.told.borrow_mut().insert((node, target), known.clone());
        known
    }

    fn bucket(&self, node: usize, own: Id, bits: usize, known: &mut Vec<usize>) {
        let living = Self::range(&self.living, own, bits);
        let dead = Self::range(&self.dead, own, bits);
        let mut random = ChaCha8Rng::seed_from_u64(mix(self.seed, &[node as u64, bits as u64, 3]));
        // Each of eight places is stale with the given chance.
        let stale = (0..8).filter(|_| random.next_u32() % 1_000 < self.world.stale).count();
        let mut places = pick(living, 8 - stale, &mut random);
        let crowd = Self::range(&self.crowd, own, bits);
        if let Some(rule) = self.villains.crowd.filter(|_| !crowd.is_empty()) {
            places.retain(|_| random.next_u32() % 1_000 >= rule.pushed);
            let left = 8 - stale - places.len();
            places.extend(pick(crowd, left, &mut random));
        }
        places.extend(pick(dead, stale, &mut random));
        known.extend(places);
    }

    fn rtt(&self, node: usize) -> Duration {
        2 * self.world.delay.between(self.seed, SEARCHER, self.nodes[node].1)
    }

    /// What a node says to a query; nothing if it is dead.
    fn reply(
        &self,
        node: usize,
        message: &Message<'_>,
        random: &mut ChaCha8Rng,
    ) -> Option<Vec<u8>> {
        let Body::Query(asked) = &message.body else { return None };
        let role = self.nodes[node].2;
        let target = asked.target().or(asked.info_hash().map(|hash| hash.as_id()));
        let target = target.unwrap_or(self.nodes[node].0);
        let is_liar = role == Role::Liar;
        let lies = if is_liar { self.villains.lies } else { Lies::default() };
        let contact = |index: usize| Contact { id: self.nodes[index].0, addr: self.nodes[index].1 };
        let mut nodes: Vec<Contact> = match role {
            Role::Dead => return None,
            Role::Crowd => pick(&self.crowd, 8, random).into_iter().map(contact).collect(),
            Role::Liar if lies.each_other => {
                self.liars.iter().take(8).map(|liar| contact(*liar)).collect()
            }
            _ => self.knows(node, target).into_iter().map(contact).collect(),
        };
        if lies.nodes || lies.victim {
            nodes.truncate(if lies.each_other { 4 } else { 0 });
            while nodes.len() < 8 {
                let id = beside(target, 24 + random.next_u32() as usize % 40, random.next_u64());
                let ip = std::net::Ipv4Addr::from_bits(0x5000_0000 | random.next_u32() >> 4);
                let ip = if lies.victim && nodes.len().is_multiple_of(2) { VICTIM } else { ip };
                nodes
                    .push(Contact { id, addr: (ip, 1 + random.next_u32() as u16 % 65_000).into() });
            }
        }
        let mut packed = Vec::new();
        let mut peer = |bytes: [u8; 4]| packed.extend([&bytes[..], &[0x1a, 0xe1]].concat());
        for held in (0..self.world.peers as u8).filter(|peer| self.holds(node, *peer)) {
            peer([99, 0, 0, held]);
        }
        if lies.peers {
            for number in 0..50 {
                peer([88, 0, 0, number]);
                peer([88, 1 + (node >> 8) as u8, node as u8, number]);
            }
        }
        let token = (node as u32).to_be_bytes();
        let mut answer = Answer { id: self.nodes[node].0, ..Answer::default() };
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
        let external = if lies.address { (VICTIM, 1).into() } else { SEARCHER };
        let transaction = message.transaction;
        let envelope =
            Envelope { transaction, version: None, read_only: false, external: Some(external) };
        let mut bytes = vec![0; 2 * DATAGRAM_MAX];
        let len = krpc::encode_response(&mut bytes, &envelope, &answer).expect("it fits");
        bytes.truncate(len);
        Some(bytes)
    }
}

fn is_true(peer: &SocketAddr) -> bool {
    matches!(peer, SocketAddr::V4(v4) if v4.ip().octets()[0] == 99)
}

/// An id that shares this many bits with another, and no more than by chance.
pub fn beside(target: Id, shared: usize, salt: u64) -> Id {
    let mut id = id(salt, 0);
    for position in 0..=shared.min(159) {
        let (byte, mask) = (position / 8, 0x80u8 >> (position % 8));
        let wanted = target.0[byte] & mask ^ if position == shared { mask } else { 0 };
        id.0[byte] = id.0[byte] & !mask | wanted;
    }
    id
}

fn crowd_addr(number: usize, one_site: bool) -> SocketAddr {
    let number = number as u8;
    match one_site {
        true => ([66, 6, number, 7], 6881).into(),
        false => ([130 + number % 90, number, 1, 7], 6881).into(),
    }
}

fn pick(list: &[(Id, usize)], count: usize, random: &mut ChaCha8Rng) -> Vec<usize> {
    let count = count.min(list.len());
    let mut places: Vec<usize> = Vec::with_capacity(count);
    while places.len() < count {
        let at = random.next_u32() as usize % list.len();
        if !places.contains(&at) {
            places.push(at);
        }
    }
    places.into_iter().map(|at| list[at].1).collect()
}

/// A searcher on its way, in virtual time.
pub struct Drive<'a> {
    stage: &'a Stage<'a>,
    /// The present.
    pub now: Instant,
    random: ChaCha8Rng,
    queue: BinaryHeap<Reverse<(Instant, u64)>>,
    flying: HashMap<u64, (SocketAddr, Vec<u8>)>,
    serial: u64,
    /// Who else speaks to the searcher.
    noise: Option<&'a mut dyn Noise>,
}

/// Somebody who speaks to the searcher without being asked.
pub trait Noise {
    /// How long it is silent between two times.
    fn pause(&self) -> Duration;

    /// Its turn.
    fn speak(&mut self, now: Instant, searcher: &mut TestNode);

    /// It sees whom the searcher asks.
    fn sees(&mut self, _to: SocketAddr) {}

    /// It gets hold of an answer that the searcher has had.
    fn overhears(&mut self, _from: SocketAddr, _answer: &[u8]) {}
}

impl<'a> Drive<'a> {
    /// At the beginning.
    pub fn new(stage: &'a Stage<'a>) -> Self {
        Self {
            stage,
            now: Instant::from_secs(10_000),
            random: ChaCha8Rng::seed_from_u64(mix(stage.seed, &[8])),
            queue: BinaryHeap::new(),
            flying: HashMap::new(),
            serial: 0,
            noise: None,
        }
    }

    /// With somebody who speaks to the searcher meanwhile.
    pub fn with_noise(stage: &'a Stage<'a>, noise: &'a mut dyn Noise) -> Self {
        Self { noise: Some(noise), ..Self::new(stage) }
    }

    /// Lets a searcher that was just told to search do so, until its lookup is over.
    pub fn search(&mut self, searcher: &mut TestNode) -> Heard {
        let start = self.now;
        let (mut heard, mut stored) = (Heard::default(), HashSet::new());
        let mut out = buffer();
        let mut speaks = self.now;
        loop {
            let deadline = loop {
                match searcher.step(self.now, &mut out) {
                    Step::Send(transmit) => {
                        self.carry(transmit.to, &out[..transmit.len], &mut heard, &mut stored);
                    }
                    Step::Event(Event::Peer { peer, .. }) => {
                        if is_true(&peer) && heard.first.is_none() {
                            heard.first = Some(self.now.since(start).as_secs_f64() * 1e3);
                        }
                        if !heard.peers.contains(&peer) {
                            heard.peers.push(peer);
                        }
                    }
                    Step::Event(Event::Finished { outcome, lookup }) => {
                        for (peer, by) in searcher.named(lookup) {
                            let count = &mut heard.named[usize::from(by).clamp(1, 8) - 1];
                            if is_true(&peer) { count.0 += 1 } else { count.1 += 1 }
                        }
                        heard.done = self.now.since(start).as_secs_f64() * 1e3;
                        heard.outcome = Some(outcome);
                        let close = |node: &&usize| stored.contains(*node);
                        heard.stored = self.stage.truth.iter().filter(close).count();
                        return heard;
                    }
                    Step::Event(_) => {}
                    Step::Wait(deadline) => break deadline,
                }
            };
            let arrival = self.queue.peek().map(|Reverse((at, _))| *at);
            let noise = self.noise.as_ref().map(|_| speaks);
            let Some(next) = [deadline, arrival, noise].into_iter().flatten().min() else {
                panic!("the lookup does not end");
            };
            assert!(next.since(start) < Duration::from_secs(600), "the lookup takes for ever");
            self.now = self.now.max(next);
            if let Some(noise) = self.noise.as_mut().filter(|_| speaks <= next) {
                noise.speak(self.now, searcher);
                speaks = self.now + noise.pause();
            } else if arrival == Some(next)
                && let Some(Reverse((_, serial))) = self.queue.pop()
                && let Some((from, bytes)) = self.flying.remove(&serial)
            {
                heard.received += 1;
                let _ = searcher.handle_datagram(self.now, from, &bytes);
                if let Some(noise) = &mut self.noise {
                    noise.overhears(from, &bytes);
                }
            }
        }
    }

    fn carry(
        &mut self,
        to: SocketAddr,
        bytes: &[u8],
        heard: &mut Heard,
        stored: &mut HashSet<usize>,
    ) {
        let Ok(message) = krpc::decode(bytes) else { return };
        let Body::Query(query) = &message.body else { return };
        heard.sent += 1;
        if let Some(noise) = &mut self.noise {
            noise.sees(to);
        }
        let Some(&node) = self.stage.by_addr.get(&to) else {
            heard.astray += 1;
            heard.at_victim += u32::from(to.ip() == VICTIM);
            return;
        };
        let mut lost = || self.random.next_u32() % 1_000 < self.stage.world.loss;
        let (gone, back) = (lost(), lost());
        if gone {
            return;
        }
        let Some(reply) = self.stage.reply(node, &message, &mut self.random) else { return };
        if query.method == b"announce_peer" && self.stage.nodes[node].2 == Role::Honest {
            stored.insert(node);
        }
        if !back {
            let jitter = 1.0 + 0.1 * uniform(&mut self.random);
            self.serial += 1;
            self.flying.insert(self.serial, (to, reply));
            let at = self.now + self.stage.rtt(node).mul_f64(jitter);
            self.queue.push(Reverse((at, self.serial)));
        }
    }
}
