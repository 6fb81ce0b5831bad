//! A world for a crawler: thousands of nodes that hold info-hashes and answer as real ones do, each
//! from a routing table of its own; some are dead, some lie. It notes whoever is asked too soon.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use chacha20::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use tinybt_core::dht::crawl::{CrawlConfig, Crawler, Event, Prefix};
use tinybt_core::dht::{Heap, Node};
use tinybt_core::limits::DATAGRAM_MAX;
use tinybt_core::wire::krpc::{self, Answer, Body, Envelope, SampleInfo};
use tinybt_core::{Contact, Family, Id, InfoHash, Instant, Machine, Step, buffer};

use crate::net::mix;
use crate::nodes::{addr, id};

/// A crawler as tests use it.
pub type TestCrawler = Crawler<Heap, ChaCha8Rng>;

/// When everything begins.
pub const START: Instant = Instant::from_secs(1_000);
/// How long a datagram takes.
const DELAY: Duration = Duration::from_millis(40);
/// Info-hashes that fit into an answer.
const SAMPLE: usize = 30;

/// What a node is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As BEP 51 says.
    Honest,
    /// It answers what it does not know with error 204.
    Refuses,
    /// It answers what it does not know as `find_node`.
    Plain,
    /// It is not there.
    Dead,
    /// It tells of nodes that are not there, where they are asked for, for ever.
    Inventor,
    /// The same, and the nodes it tells of are itself, at another port and address of its network.
    Crowd,
    /// It tells hashes that nobody has, others each time, says that it has a billion, and that there
    /// is nothing to wait for.
    Endless,
    /// It has another id in each answer.
    Shifty,
}

/// What a world is like.
#[derive(Clone, Debug)]
pub struct World {
    /// Nodes, whatever they are like.
    pub nodes: usize,
    /// Info-hashes, each held by its eight closest honest nodes.
    pub hashes: usize,
    /// Seconds that nodes want to be spared.
    pub interval: i64,
    /// Of the datagrams, lost, each way, in thousandths.
    pub loss: u32,
    /// Of the nodes, in thousandths, such as are like this.
    pub manners: Vec<(Manner, u64)>,
}

impl Default for World {
    fn default() -> Self {
        let manners = Vec::new();
        Self { nodes: 5_000, hashes: 100_000, interval: 600, loss: 0, manners }
    }
}

struct Emulated {
    id: Id,
    manner: Manner,
    /// The nodes it knows.
    table: Vec<usize>,
    /// The hashes it holds.
    holds: Vec<u32>,
    asked: u32,
}

/// An answer under way: when it arrives, its number, who it is from, what it says.
type Travelling = (Instant, u64, SocketAddr, Vec<u8>);

/// A crawler, and who is around it.
pub struct Crawl {
    /// The crawler.
    pub crawler: TestCrawler,
    /// The present.
    pub now: Instant,
    /// Hashes told that there are.
    pub found: BTreeSet<InfoHash>,
    /// How often a hash was told that was told before.
    pub told_again: u64,
    /// Hashes told that nobody has.
    pub invented: u64,
    /// Everything told, hashes and samples aside.
    pub events: Vec<(Instant, Event)>,
    /// Addresses asked for samples too soon.
    pub violations: Vec<SocketAddr>,
    /// Datagrams that the crawler sent.
    pub sent: u64,
    /// The most of them in one second.
    pub rate_max: u64,
    world: World,
    nodes: Vec<Emulated>,
    places: HashMap<SocketAddr, usize>,
    /// When the crawler may ask for another sample, as far as it was told.
    spared: HashMap<SocketAddr, Instant>,
    seconds: BTreeMap<u64, u64>,
    random: ChaCha8Rng,
    way: BinaryHeap<Reverse<Travelling>>,
    serial: u64,
    /// Nothing arrives.
    pub is_cut: bool,
}

/// The hashes of a world.
pub fn hash(index: usize) -> InfoHash {
    InfoHash(id(77, index).0)
}

/// A crawler that begins at the first two nodes.
pub fn crawler(config: CrawlConfig, rate: Option<u32>) -> TestCrawler {
    let random = |seed| ChaCha8Rng::seed_from_u64(seed);
    let node = CrawlConfig::node(Family::V4, rate);
    let mut node = Node::new(node, config.storage(), random(1));
    for index in 0..2 {
        node.add_source(addr(index));
    }
    Crawler::new(config, node, random(2))
}

impl Crawl {
    /// A world with a crawler in it.
    pub fn new(world: World, crawler: TestCrawler) -> Self {
        let seed = 5;
        let mut nodes: Vec<Emulated> = (0..world.nodes)
            .map(|index| {
                let mut dice = mix(seed, &[index as u64]) % 1_000;
                let manner = world.manners.iter().find_map(|(manner, share)| {
                    let is_it = dice < *share;
                    dice = dice.saturating_sub(*share);
                    // Somebody to begin with.
                    (is_it && index > 1).then_some(*manner)
                });
                let manner = manner.unwrap_or(Manner::Honest);
                let (table, holds, asked) = (Vec::new(), Vec::new(), 0);
                Emulated { id: id(seed, index), manner, table, holds, asked }
            })
            .collect();
        let mut sorted: Vec<(Id, usize)> =
            nodes.iter().enumerate().map(|(index, node)| (node.id, index)).collect();
        sorted.sort_unstable();
        for (index, node) in nodes.iter_mut().enumerate() {
            node.table = table(&sorted, node.id, mix(seed, &[index as u64, 1]));
        }
        sorted.retain(|(_, index)| nodes[*index].manner == Manner::Honest);
        for index in 0..world.hashes {
            for holder in closest(&sorted, Id(hash(index).0), 8) {
                nodes[holder].holds.push(index as u32);
            }
        }
        Self {
            crawler,
            now: START,
            found: BTreeSet::new(),
            told_again: 0,
            invented: 0,
            events: Vec::new(),
            violations: Vec::new(),
            sent: 0,
            rate_max: 0,
            places: (0..world.nodes).map(|index| (addr(index), index)).collect(),
            world,
            nodes,
            spared: HashMap::new(),
            seconds: BTreeMap::new(),
            random: ChaCha8Rng::seed_from_u64(seed),
            way: BinaryHeap::new(),
            serial: 0,
            is_cut: false,
        }
    }

    /// The share of the hashes that was found.
    pub fn share(&self) -> f64 {
        self.found.len() as f64 / self.world.hashes.max(1) as f64
    }

    /// Nodes of a manner, and how many of them were asked.
    pub fn asked(&self, manner: Manner) -> (usize, usize) {
        let all = || self.nodes.iter().filter(|node| node.manner == manner);
        (all().count(), all().filter(|node| node.asked > 0).count())
    }

    /// Whether a node was asked anything.
    pub fn was_asked(&self, index: usize) -> bool {
        self.nodes[index].asked > 0
    }

    /// Puts another crawler in the place of this one, as if the program had been started again.
    pub fn replace(&mut self, crawler: TestCrawler) {
        self.crawler = crawler;
        self.way.clear();
    }

    /// Runs until `done` says so, or this much time has passed. Returns whether it did.
    pub fn run(&mut self, time: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let until = self.now + time;
        let mut buffer = buffer();
        while !done(self) {
            let deadline = loop {
                match self.crawler.step(self.now, &mut buffer) {
                    Step::Send(transmit) => self.carry(transmit.to, &buffer[..transmit.len]),
                    Step::Event(event) => self.hear(event),
                    Step::Wait(deadline) => break deadline,
                }
            };
            let arrival = self.way.peek().map(|Reverse((at, ..))| *at);
            let next = [arrival, deadline].into_iter().flatten().min();
            match next {
                Some(at) if at <= until => self.now = self.now.max(at),
                _ => {
                    self.now = until;
                    return done(self);
                }
            }
            if arrival.is_some_and(|at| at <= self.now)
                && let Some(Reverse((_, _, from, bytes))) = self.way.pop()
            {
                self.arrive(from, &bytes);
            }
        }
        true
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Hash { info_hash } => {
                if is_invented(info_hash) {
                    self.invented += 1;
                } else if !self.found.insert(info_hash) {
                    self.told_again += 1;
                }
            }
            Event::Sampled { .. } => {}
            event => self.events.push((self.now, event)),
        }
    }

    fn carry(&mut self, to: SocketAddr, query: &[u8]) {
        self.sent += 1;
        let count = self.seconds.entry(self.now.as_micros() / 1_000_000).or_insert(0);
        *count += 1;
        self.rate_max = self.rate_max.max(*count);
        let Some(place) = self.place(to) else { return };
        let message = krpc::decode(query).expect("our own queries are well-formed");
        let Body::Query(asked) = &message.body else { panic!("a crawler only asks") };
        if asked.method == b"sample_infohashes"
            && self.spared.get(&to).is_some_and(|until| self.now < *until)
        {
            self.violations.push(to);
        }
        self.nodes[place].asked += 1;
        if self.is_cut || self.is_lost() {
            return;
        }
        let Some(reply) = self.reply(place, to, &message) else { return };
        if !self.is_lost() {
            self.serial += 1;
            self.way.push(Reverse((self.now + 2 * DELAY, self.serial, to, reply)));
        }
    }

    fn arrive(&mut self, from: SocketAddr, bytes: &[u8]) {
        let taken = self.crawler.handle_datagram(self.now, from, bytes);
        let message = krpc::decode(bytes).expect("our own answers are well-formed");
        if let (Ok(()), Body::Response(response)) = (taken, message.body)
            && let Some(samples) = response.samples()
        {
            let interval = Duration::from_secs(samples.interval.clamp(0, 21_600) as u64);
            let spared = self.spared.entry(from).or_insert(START);
            *spared = (*spared).max(self.now + interval);
        }
    }

    /// Who is at an address: a crowd is everywhere in its network.
    fn place(&self, addr: SocketAddr) -> Option<usize> {
        if let Some(place) = self.places.get(&addr) {
            return Some(*place);
        }
        let SocketAddr::V4(v4) = addr else { return None };
        let [a, b, c, _] = v4.ip().octets();
        let place = *self.places.get(&SocketAddr::from(([a, b, c, 7], 6881)))?;
        (self.nodes[place].manner == Manner::Crowd).then_some(place)
    }

    fn is_lost(&mut self) -> bool {
        self.random.next_u32() % 1_000 < self.world.loss
    }

    fn reply(
        &mut self,
        place: usize,
        to: SocketAddr,
        message: &krpc::Message<'_>,
    ) -> Option<Vec<u8>> {
        let Body::Query(asked) = &message.body else { return None };
        let target = asked.target().ok()?;
        let manner = self.nodes[place].manner;
        let wants_samples = asked.method == b"sample_infohashes";
        let envelope = Envelope {
            transaction: message.transaction,
            version: None,
            read_only: false,
            external: None,
        };
        let mut bytes = vec![0; DATAGRAM_MAX];
        if manner == Manner::Refuses && wants_samples {
            let len = krpc::encode_error(&mut bytes, &envelope, 204, b"method unknown").ok()?;
            bytes.truncate(len);
            return Some(bytes);
        }
        let contacts: Vec<Contact> = match manner {
            Manner::Dead => return None,
            Manner::Inventor | Manner::Crowd => (0..8).map(|_| self.invent(target, to)).collect(),
            _ => {
                let mut known = self.nodes[place].table.clone();
                known.sort_by_key(|index| self.nodes[*index].id.distance(target));
                known.truncate(8);
                known.iter().map(|at| Contact { id: self.nodes[*at].id, addr: addr(*at) }).collect()
            }
        };
        let (packed, stored, interval) = self.sample(place);
        let id = match manner {
            Manner::Shifty => Id::random(&mut self.random),
            _ => self.nodes[place].id,
        };
        let samples = SampleInfo { interval, stored, packed: &packed };
        let answer = Answer {
            id,
            nodes: Some(&contacts),
            samples: (wants_samples && manner != Manner::Plain).then_some(samples),
            ..Answer::default()
        };
        let len = krpc::encode_response(&mut bytes, &envelope, &answer).expect("it fits");
        bytes.truncate(len);
        Some(bytes)
    }

    /// A node close to the target, which is not there, or in the network of who tells of it.
    fn invent(&mut self, target: Id, teller: SocketAddr) -> Contact {
        let mut id = Id::random(&mut self.random);
        id.0[..6].copy_from_slice(&target.0[..6]);
        let port = self.random.next_u32() as u16 | 1;
        let place = self.places.get(&teller).copied();
        let is_crowd = place.is_none_or(|place| self.nodes[place].manner == Manner::Crowd);
        let [a, b, c, _] = match teller {
            SocketAddr::V4(v4) => v4.ip().octets(),
            SocketAddr::V6(_) => [0; 4],
        };
        let [w, x, y, z] = self.random.next_u32().to_be_bytes();
        let ip = if is_crowd { [a, b, c, z] } else { [100 + w % 60, x, y, z] };
        Contact { id, addr: SocketAddr::from((ip, port)) }
    }

    /// The sample of this interval: hashes, how many there are, how long it is the same.
    fn sample(&mut self, place: usize) -> (Vec<u8>, i64, i64) {
        if self.nodes[place].manner == Manner::Endless {
            let invented = |random: &mut ChaCha8Rng| {
                let mut hash = Id::random(random).0;
                hash[1] = hash[0];
                hash[2] = hash[0];
                hash
            };
            let packed = (0..SAMPLE).flat_map(|_| invented(&mut self.random)).collect();
            return (packed, 1_000_000_000, 0);
        }
        let interval = self.world.interval;
        let age = self.now.as_micros() / 1_000_000 / interval.max(1) as u64;
        let node = &self.nodes[place];
        let mut random = ChaCha8Rng::seed_from_u64(mix(9, &[place as u64, age]));
        let mut left = node.holds.clone();
        let mut packed = Vec::new();
        for _ in 0..SAMPLE.min(left.len()) {
            let at = random.next_u32() as usize % left.len();
            packed.extend_from_slice(&hash(left.swap_remove(at) as usize).0);
        }
        (packed, node.holds.len() as i64, interval)
    }
}

/// What a routing table holds: of each bucket eight at random, and all that are close by.
fn table(sorted: &[(Id, usize)], own: Id, seed: u64) -> Vec<usize> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut known = Vec::new();
    for bits in 0..30u8 {
        let mut other = own;
        other.0[usize::from(bits / 8)] ^= 0x80 >> (bits % 8);
        let bucket = Prefix::around(other, bits + 1);
        let (first, last) = (bucket.first(), bucket.last());
        let from = sorted.partition_point(|(id, _)| *id < first);
        let to = sorted.partition_point(|(id, _)| *id <= last);
        let mut left: Vec<usize> = sorted[from..to].iter().map(|(_, index)| *index).collect();
        for _ in 0..8.min(left.len()) {
            known.push(left.swap_remove(random.next_u32() as usize % left.len()));
        }
    }
    known
}

/// The closest to a point, of a sorted list.
fn closest(sorted: &[(Id, usize)], point: Id, count: usize) -> Vec<usize> {
    // All that are closer share more bits; so the part that holds enough holds the closest.
    let mut part = Prefix::around(point, 20);
    loop {
        let (first, last) = (part.first(), part.last());
        let from = sorted.partition_point(|(id, _)| *id < first);
        let to = sorted.partition_point(|(id, _)| *id <= last);
        let parent = part.parent();
        if to - from >= count || parent.is_none() {
            let mut found = sorted[from..to].to_vec();
            found.sort_by_key(|(id, _)| id.distance(point));
            return found.into_iter().take(count).map(|(_, index)| index).collect();
        }
        if let Some(parent) = parent {
            part = parent;
        }
    }
}

/// Invented hashes begin with a byte three times.
fn is_invented(hash: InfoHash) -> bool {
    hash.0[0] == hash.0[1] && hash.0[1] == hash.0[2]
}
