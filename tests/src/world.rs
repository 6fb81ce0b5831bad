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
use std::rc::Rc;
use std::time::Duration;

use chacha20::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use tinybt_core::dht::table::Routing;
use tinybt_core::dht::{Config, Event, Port};
use tinybt_core::limits::DATAGRAM_MAX;
use tinybt_core::wire::krpc::{self, Answer, Body, Envelope, Message, Query, Values};
use tinybt_core::{Contact, Family, Id, InfoHash, Instant, Machine, Step, buffer};

use crate::net::{Delay, mix, uniform};
use crate::nodes::{TestNode, addr, id, index, node};

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
    /// The first of the seeds that [`searches`] runs: figures that were tuned on some are to be judged
    /// on others.
    pub seed: u64,
    /// Disjoint paths of a lookup.
    pub paths: u8,
}

impl World {
    /// More nodes are dead, more contacts stale, more datagrams lost.
    pub fn harder() -> Self {
        Self { dead: 300, stale: 220, loss: 50, ..Self::default() }
    }
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
            seed: 1_000,
            paths: 1,
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

/// Who is in a world: shared by any number of targets.
pub struct Population {
    /// In order, so the index of a node is its rank.
    ids: Vec<Id>,
    alive: Vec<bool>,
    /// Ranks of the living, in order.
    living: Vec<u32>,
    dead: Vec<u32>,
}

impl Population {
    /// As many nodes as the world is to have.
    pub fn new(world: &World, seed: u64) -> Self {
        let mut ids: Vec<Id> = (0..world.nodes).map(|index| id(seed, index)).collect();
        ids.sort_unstable();
        let lives = |index| mix(seed, &[index as u64, 11]) % 1_000 >= u64::from(world.dead);
        let alive: Vec<bool> = (0..world.nodes).map(lives).collect();
        let all = 0..world.nodes as u32;
        let (living, dead) = all.partition(|index| alive[*index as usize]);
        Self { ids, alive, living, dead }
    }

    /// Of these ranks, those of nodes that share exactly `bits` bits with `own`.
    fn beside<'a>(&self, ranks: &'a [u32], own: Id, bits: usize) -> &'a [u32] {
        let mut other = own;
        other.0[bits / 8] ^= 0x80 >> (bits % 8);
        self.sharing(ranks, other, bits + 1)
    }

    /// Of these ranks, those of nodes that share at least `bits` bits with `point`.
    fn sharing<'a>(&self, ranks: &'a [u32], point: Id, bits: usize) -> &'a [u32] {
        let (mut low, mut high) = (point, point);
        for position in bits..160 {
            low.0[position / 8] &= !(0x80 >> (position % 8));
            high.0[position / 8] |= 0x80 >> (position % 8);
        }
        let from = ranks.partition_point(|rank| self.ids[*rank as usize] < low);
        let to = ranks.partition_point(|rank| self.ids[*rank as usize] <= high);
        &ranks[from..to]
    }

    /// The eight living nodes closest to a point.
    fn closest(&self, point: Id) -> Vec<usize> {
        let around = |bits| self.sharing(&self.living, point, bits);
        let bits = (0..40).rev().find(|bits| around(*bits).len() >= 8).unwrap_or(0);
        let mut closest: Vec<usize> = around(bits).iter().map(|rank| *rank as usize).collect();
        closest.sort_by_key(|index| self.ids[*index].distance(point));
        closest.truncate(8);
        closest
    }
}

/// A world with a target and the truth about it.
pub struct Made<'a> {
    world: &'a World,
    seed: u64,
    /// What is looked for.
    pub target: Id,
    who: Rc<Population>,
    /// The eight closest living nodes.
    pub truth: Vec<usize>,
    answers: std::cell::RefCell<HashMap<(usize, Id), Vec<usize>>>,
}

impl<'a> Made<'a> {
    /// With a target and nodes of the seed's.
    pub fn new(world: &'a World, seed: u64) -> Self {
        Self::around(world, seed, id(seed, usize::MAX))
    }

    /// With this target.
    pub fn around(world: &'a World, seed: u64, target: Id) -> Self {
        Self::among(world, Rc::new(Population::new(world, seed)), seed, target)
    }

    /// With this target, among nodes that other worlds have as well. Who knows whom, how far they
    /// are and where to begin is the seed's.
    pub fn among(world: &'a World, who: Rc<Population>, seed: u64, target: Id) -> Self {
        let truth = who.closest(target);
        Self { world, seed, target, who, truth, answers: Default::default() }
    }

    /// What a node would tell when asked for a target: the eight closest it knows.
    pub fn tells(&self, node: usize, target: Id) -> Vec<usize> {
        if let Some(known) = self.answers.borrow().get(&(node, target)) {
            return known.clone();
        }
        let own = self.who.ids[node];
        let mut known = Vec::new();
        let home = own.distance(target).leading_zeros() as usize;
        for bits in (home..40).chain((0..home).rev()) {
            if bits < home && known.len() >= 8 {
                break;
            }
            self.bucket(node, own, bits, &mut known);
        }
        known.sort_by_key(|index| self.who.ids[*index].distance(target));
        known.truncate(8);
        self.answers.borrow_mut().insert((node, target), known.clone());
        known
    }

    fn bucket(&self, node: usize, own: Id, bits: usize, known: &mut Vec<usize>) {
        let living = self.who.beside(&self.who.living, own, bits);
        let dead = self.who.beside(&self.who.dead, own, bits);
        if living.is_empty() && dead.is_empty() {
            return;
        }
        let (mut draws, bucket) = (0, mix(self.seed, &[node as u64, bits as u64]));
        let mut draw = || {
            draws += 1;
            mix(bucket, &[draws])
        };
        // Each of eight places is stale with the given chance.
        let stale = (0..8).filter(|_| draw() % 1_000 < u64::from(self.world.stale)).count();
        let mut pick = |ranks: &[u32], count: usize| {
            let mut places: Vec<usize> = Vec::with_capacity(8);
            while places.len() < count.min(ranks.len()) {
                let place = draw() as usize % ranks.len();
                if !places.contains(&place) {
                    places.push(place);
                }
            }
            known.extend(places.iter().map(|place| ranks[*place] as usize));
        };
        pick(living, 8 - stale);
        pick(dead, stale);
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
        self.who.living.len()
    }

    /// Where a searcher may begin.
    pub fn bootstrap(&self) -> Vec<usize> {
        (0..4)
            .map(|n| {
                self.who.living[mix(self.seed, &[n, 6]) as usize % self.who.living.len()] as usize
            })
            .collect()
    }

    /// Milliseconds to the first peer and to the last of the eight, for the all-knowing.
    pub fn floor(&self, begin: &[usize]) -> (f64, f64) {
        let mut done: BTreeMap<usize, Duration> = BTreeMap::new();
        let mut queue: BinaryHeap<Reverse<(Duration, usize)>> = BinaryHeap::new();
        let mut seen: HashMap<usize, Duration> = HashMap::new();
        for &node in begin {
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
                if self.who.alive[told] && seen.get(&told).is_none_or(|known| then < *known) {
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

/// Whom the searcher knows when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Four places to begin with.
    Cold,
    /// Those that it got to know in this many lookups for other targets.
    Warm(u64),
}

/// How long a searcher rests between one lookup and the next.
const REST: Duration = Duration::from_secs(30);

/// Runs one search among these nodes.
pub fn search(
    world: &World,
    who: &Rc<Population>,
    seed: u64,
    errand: Errand,
    start: Start,
) -> Result {
    let mut config = Config::new(Family::V4);
    config.paths = world.paths;
    let mut node = node(mix(seed, &[1]), config);
    let target = |nth: u64| id(mix(seed, &[nth]), usize::MAX);
    let made = Made::among(world, who.clone(), seed, target(0));
    let mut now = Instant::from_secs(1_000);
    for source in made.bootstrap() {
        node.add_source(addr(source));
    }
    let mut begin = made.bootstrap();
    if let Start::Warm(before) = start {
        for nth in 1..=before {
            let made = Made::among(world, who.clone(), seed, target(nth));
            look(&made, &mut node, now, Errand::Look);
            let until = now + REST;
            made.drive(&mut node, now, &mut Rest { made: &made, until });
            now = until;
        }
        begin.clear();
        node.table().for_each(&mut |entry| begin.push(index(entry.contact.addr)));
    }
    let (floor_first, floor_done) = made.floor(&begin);
    Result { floor_first, floor_done, ..look(&made, &mut node, now, errand) }
}

/// Lets a node search.
fn look(made: &Made<'_>, node: &mut TestNode, start: Instant, errand: Errand) -> Result {
    let info_hash = InfoHash(made.target.0);
    match errand {
        Errand::Look => node.get_peers(start, info_hash).unwrap(),
        Errand::Announce => node.announce(start, info_hash, Port::Number(7)).unwrap(),
    };
    let (stored, told) = (HashSet::new(), HashSet::new());
    let result = Result::default();
    let mut peers = Peers { made, start, result, count: 0, stored, told };
    let traffic = made.drive(node, start, &mut peers);
    let Peers { mut result, stored, told, .. } = peers;
    let of_truth = |nodes: &HashSet<usize>| {
        made.truth.iter().filter(|node| nodes.contains(node)).count() as f64
    };
    result.sent = f64::from(traffic.sent);
    result.received = f64::from(traffic.received);
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

    /// When the play ends, if nothing ends it before.
    fn until(&self) -> Option<Instant> {
        None
    }

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
                        let to = index(transmit.to);
                        let query = &buffer[..transmit.len];
                        play.sent(to, query);
                        if !self.who.alive[to] || lost(&mut random) {
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
            let next = arrival.into_iter().chain(deadline).min();
            if play.until().is_some_and(|until| next.is_none_or(|next| next > until)) {
                return traffic;
            }
            match (arrival, deadline) {
                (Some(at), deadline) if deadline.is_none_or(|deadline| at <= deadline) => {
                    now = at;
                    let Some(Reverse((_, serial))) = queue.pop() else { continue };
                    let Some((from, bytes)) = flying.remove(&serial) else { continue };
                    traffic.received += 1;
                    if searcher.handle_datagram(now, from, &bytes).is_ok() {
                        traffic.answered.insert(index(from));
                    }
                }
                (_, Some(at)) => now = at,
                _ => panic!("the search does not end"),
            }
            assert!(now.since(start) < Duration::from_secs(600), "the search takes for ever");
        }
    }

    /// The contacts that a node would tell when it is asked this.
    pub fn contacts(&self, node: usize, asked: &Query<'_>) -> Vec<Contact> {
        let target = asked.target().or(asked.info_hash().map(InfoHash::as_id));
        let contact = |index: usize| Contact { id: self.id(index), addr: addr(index) };
        self.tells(node, target.unwrap_or(self.target)).into_iter().map(contact).collect()
    }

    /// Who a node is.
    pub fn id(&self, node: usize) -> Id {
        self.who.ids[node]
    }

    /// Whether there is such a node, and it lives.
    pub fn is_alive(&self, node: usize) -> bool {
        self.who.alive.get(node).is_some_and(|alive| *alive)
    }

    /// An answer of a node to a query, with its id.
    pub fn encode(&self, node: usize, query: &Message<'_>, answer: &Answer<'_>) -> Vec<u8> {
        let envelope = Envelope {
            transaction: query.transaction,
            version: None,
            read_only: false,
            external: Some(SocketAddr::from(([9, 9, 9, 9], 9))),
        };
        let answer = Answer { id: self.who.ids[node], ..*answer };
        let mut bytes = vec![0; 2 * DATAGRAM_MAX];
        let len = krpc::encode_response(&mut bytes, &envelope, &answer).expect("it fits");
        bytes.truncate(len);
        bytes
    }
}

impl Made<'_> {
    /// What a node answers to one who looks for peers.
    fn answer(&self, node: usize, query: &[u8]) -> Vec<u8> {
        let message = krpc::decode(query).expect("our own queries are well-formed");
        let Body::Query(asked) = &message.body else { panic!("a searcher only asks") };
        let packed = self.holds(node);
        let token = (node as u32).to_be_bytes();
        if asked.method == b"announce_peer" {
            assert_eq!(asked.token(), Ok(&token[..]));
        }
        let nodes = self.contacts(node, asked);
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
        self.encode(node, &message, &answer)
    }
}

/// Nobody is looked for: the searcher's own upkeep has its time.
struct Rest<'a> {
    made: &'a Made<'a>,
    until: Instant,
}

impl Play for Rest<'_> {
    fn reply(&mut self, node: usize, query: &[u8]) -> Vec<u8> {
        self.made.answer(node, query)
    }

    fn until(&self) -> Option<Instant> {
        Some(self.until)
    }

    fn hear(&mut self, _: Instant, _: &mut TestNode, _: Event) -> bool {
        false
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
        if query.windows(15).any(|w| w == b"13:announce_pee") {
            self.stored.insert(node);
        }
        self.made.answer(node, query)
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

/// What so many thousandths of the results do not exceed in one figure.
pub fn quantile(results: &[Result], thousandths: usize, figure: impl Fn(&Result) -> f64) -> f64 {
    let mut values: Vec<f64> = results.iter().map(figure).collect();
    values.sort_by(f64::total_cmp);
    values[(values.len() * thousandths / 1_000).min(values.len() - 1)]
}

/// The median of one figure over many results.
pub fn median(results: &[Result], figure: impl Fn(&Result) -> f64) -> f64 {
    quantile(results, 500, figure)
}

/// The mean of one figure over many results.
pub fn mean(results: &[Result], figure: impl Fn(&Result) -> f64) -> f64 {
    results.iter().map(figure).sum::<f64>() / results.len() as f64
}

/// Searches over `runs` seeds.
pub fn searches(world: &World, runs: u64, errand: Errand, start: Start) -> Vec<Result> {
    let who = Rc::new(Population::new(world, 1));
    (0..runs).map(|run| search(world, &who, world.seed + run, errand, start)).collect()
}

/// What [`row`] has in its columns.
pub const HEAD: &str = "\
| | first, ms | of the floor | 90th | done, ms | of the floor | 90th | sent | 90th | received \
| of the 8 answered | stored | told |
|---|---|---|---|---|---|---|---|---|---|---|---|---|";

/// A row of a table: medians and 90th percentiles, means of what the eight did. Of the floor are the
/// ratio of the medians and the median of the ratios.
pub fn row(name: &str, results: &[Result]) -> String {
    type Figure = fn(&Result) -> f64;
    let times = |figure: Figure, floor: Figure| {
        format!(
            "{:.0} | {:.2}, {:.2} | {:.0}",
            median(results, figure),
            median(results, figure) / median(results, floor),
            median(results, |r| figure(r) / floor(r)),
            quantile(results, 900, figure),
        )
    };
    format!(
        "| {name} | {} | {} | {:.0} | {:.0} | {:.0} | {:.3} | {:.3} | {:.1} |",
        times(|r| r.first, |r| r.floor_first),
        times(|r| r.done, |r| r.floor_done),
        median(results, |r| r.sent),
        quantile(results, 900, |r| r.sent),
        median(results, |r| r.received),
        mean(results, |r| r.answered),
        mean(results, |r| r.stored),
        mean(results, |r| r.announced_to),
    )
}
