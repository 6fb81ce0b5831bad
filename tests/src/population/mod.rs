//! Populations: real nodes by the hundred thousand, who come and go behind NATs, and what lookups
//! among them find, held against the truth.
//!
//! ```
//! use std::time::Duration;
//! use tinybt_tests::net::Link;
//! use tinybt_tests::population::{Population, Settings};
//!
//! let settings = Settings { nodes: 300, ..Settings::default() };
//! let mut population = Population::planted(settings, Link::default());
//! population.run_for(Duration::from_secs(600));
//! let report = population.lookups(10);
//! assert_eq!(report.peers_found, report.peers_announced);
//! assert!(report.closest_answered * 100 >= report.closest * 99, "{report}");
//! ```

mod churn;
mod dice;
mod plant;
mod probe;
mod truth;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::time::Duration;

use rand_core::Rng;
use tinybt_core::dht::items::ItemMapLimits;
use tinybt_core::dht::store::PeerMapLimits;
use tinybt_core::dht::{Config, Heap, Node, SAVE_MAX};
use tinybt_core::{Family, Id, Instant, buffer};

use crate::net::{Link, Nat, Network, chance, mix};
use crate::nodes::{addr, id};

pub use self::churn::{Churn, Spread};
pub use self::dice::Dice;
pub use self::plant::SPAN;
pub use self::probe::{Percentiles, Report};
pub use self::truth::{Numbered, Truth};

/// A node of a population.
pub type SimNode = Node<Heap, Dice>;

/// Rows for a node that does little: those that it does not need take no memory.
pub fn rows() -> Heap {
    Heap {
        lookups: 8,
        in_flight: 128,
        asks: 1,
        questions: 0,
        replies: 8,
        buckets: 32,
        peers_per_lookup: 200,
        hops: 0,
        peers_stored: PeerMapLimits { swarms: 100, peers_per_swarm: 100, peers: 1_000 },
        items_stored: ItemMapLimits { items: 50, bytes: 20_000 },
        shunned: 32,
        sources: 16,
    }
}

/// What a population is like.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many nodes there are, those included that are away at the moment.
    pub nodes: usize,
    /// Decides everything.
    pub seed: u64,
    /// Of a thousand nodes, how many are behind a NAT: half of them behind a port-restricted one,
    /// the others in equal parts behind each of the other kinds.
    pub nat: u32,
    /// How nodes come and go; `None`: they stay.
    pub churn: Option<Churn>,
    /// How nodes behave, but for their ids.
    pub config: Config,
}

impl Default for Settings {
    fn default() -> Self {
        let config = Config::new(Family::V4);
        Self { nodes: 1_000, seed: 1, nat: 0, churn: None, config }
    }
}

/// Real nodes on a virtual network.
pub struct Population {
    /// The network. Node `index` is at [`addr(index)`](addr).
    pub network: Network<SimNode>,
    settings: Settings,
    random: Dice,
    members: Vec<Member>,
    /// Who comes or goes next.
    turns: BinaryHeap<Reverse<(Instant, u32)>>,
    truth: Option<Truth>,
    /// How often somebody came, and went.
    pub came_and_went: (u64, u64),
}

struct Member {
    id: Id,
    nat: Nat,
    is_here: bool,
    /// How often it has come as somebody else.
    lives: u32,
    saved: Option<Box<[u8]>>,
}

impl Member {
    /// Whether a stranger's question reaches it.
    fn is_reachable(&self) -> bool {
        matches!(self.nat, Nat::Open | Nat::FullCone)
    }
}

impl Population {
    /// Nodes that have been here for long: their tables are full.
    pub fn planted(settings: Settings, link: Link) -> Self {
        let mut population = Self::empty(settings, link);
        let truth = population.truth().clone();
        let now = population.network.now();
        let mut buffer = buffer();
        for index in 0..population.members.len() {
            let member = &population.members[index];
            if !member.is_here {
                continue;
            }
            let mut random = Dice::new(mix(population.settings.seed, &[index as u64, 1]));
            let mut node = population.node(index, member.id);
            let known = plant::acquaintances(&truth, member.id, &mut random);
            let addrs: Vec<SocketAddr> = known.iter().map(|(_, n)| addr(*n as usize)).collect();
            let (here, seed) = (addr(index), population.settings.seed);
            let link = &population.network.link;
            let way = |to| {
                let there = addrs.iter().position(|addr| *addr == to).map(|place| known[place].0);
                (there.unwrap_or_default(), 2 * link.delay.between(seed, here, to))
            };
            plant::introduce(&mut node, now, here, &addrs, &mut random, way, &mut buffer);
            population.put(index, node);
        }
        // Not to be counted with what nodes take.
        population.truth = None;
        population
    }

    /// Nodes that join one after the other, each at three that are there, within this time; and
    /// five minutes more.
    pub fn joining(settings: Settings, link: Link, within: Duration) -> Self {
        let mut population = Self::empty(settings, link);
        let count = population.members.len();
        let begin = population.network.now();
        let here: Vec<usize> =
            (0..count).filter(|index| population.members[*index].is_here).collect();
        let reachable = |p: &Self, index: &usize| p.members[*index].is_reachable();
        let mut begins: Vec<usize> = Vec::new();
        for (turn, index) in here.into_iter().enumerate() {
            population.network.run_until(begin + within.mul_f64(turn as f64 / count as f64));
            let mut node = population.node(index, population.members[index].id);
            for _ in 0..3.min(begins.len()) {
                let source = begins[population.random.next_u32() as usize % begins.len()];
                node.add_source(addr(source));
            }
            population.put(index, node);
            if reachable(&population, &index) {
                begins.push(index);
            }
        }
        population.run_for(Duration::from_secs(300));
        population
    }

    fn empty(settings: Settings, link: Link) -> Self {
        let mut random = Dice::new(mix(settings.seed, &[0]));
        let mut network = Network::new(settings.seed, link);
        network.keeps_events = false;
        let stays = settings.churn.map_or(1.0, |churn| {
            let (here, away) = (churn.session.mean(&mut random), churn.away.mean(&mut random));
            here.as_secs_f64() / (here + away).as_secs_f64()
        });
        let now = network.now();
        let mut turns = BinaryHeap::new();
        let members = (0..settings.nodes).map(|index| {
            let nat =
                if chance(&mut random, settings.nat) { behind(&mut random) } else { Nat::Open };
            let is_here = crate::net::uniform(&mut random) < stays;
            if let Some(churn) = &settings.churn {
                let spread = if is_here { churn.session } else { churn.away };
                turns.push(Reverse((now + spread.draw(&mut random), index as u32)));
            }
            Member { id: id(settings.seed, index), nat, is_here, lives: 0, saved: None }
        });
        let members = members.collect();
        let came_and_went = (0, 0);
        Self { network, settings, random, members, turns, truth: None, came_and_went }
    }

    fn node(&self, index: usize, id: Id) -> SimNode {
        let mut config = self.settings.config.clone();
        config.id = Some(id);
        let now = self.network.now().as_micros();
        Node::new(config, rows(), Dice::new(mix(self.settings.seed, &[index as u64, 2, now])))
    }

    fn put(&mut self, index: usize, node: SimNode) {
        let nat = self.members[index].nat;
        self.network.add(addr(index), node);
        if nat != Nat::Open {
            self.network.set_nat(addr(index), nat);
        }
    }

    /// Lets time pass, in which nodes come and go.
    pub fn run_for(&mut self, time: Duration) {
        let until = self.network.now() + time;
        while let Some(Reverse((at, index))) = self.turns.peek().copied().filter(|t| t.0.0 <= until)
        {
            self.turns.pop();
            self.network.run_until(at);
            self.take_turn(index as usize);
        }
        self.network.run_until(until);
    }

    /// Somebody comes, or goes.
    fn take_turn(&mut self, index: usize) {
        let Some(churn) = self.settings.churn else { return };
        self.truth = None;
        let spread = if self.members[index].is_here {
            self.leave(index);
            churn.away
        } else {
            let returns = chance(&mut self.random, churn.returning);
            self.come(index, returns);
            churn.session
        };
        let next = self.network.now() + spread.draw(&mut self.random);
        self.turns.push(Reverse((next, index as u32)));
    }

    /// A node saves its state and is gone, without a word.
    pub fn leave(&mut self, index: usize) {
        let Some(node) = self.network.remove(addr(index)) else { return };
        let mut state = [0; SAVE_MAX];
        let len = node.save(&mut state);
        let member = &mut self.members[index];
        member.saved = Some(state[..len].into());
        member.is_here = false;
        self.truth = None;
        self.came_and_went.1 += 1;
    }

    /// A node comes: with what it saved when it went, or as a stranger at the same address.
    pub fn come(&mut self, index: usize, returns: bool) {
        let seed = self.settings.seed;
        let saved = self.members[index].saved.take().filter(|_| returns);
        if saved.is_none() {
            let member = &mut self.members[index];
            member.lives += 1;
            member.id = id(mix(seed, &[u64::from(member.lives)]), index);
        }
        let mut node = self.node(index, self.members[index].id);
        match saved {
            Some(state) => drop(node.restore(self.network.now(), &state)),
            None => {
                for _ in 0..3 {
                    if let Some(source) = self.somebody(Member::is_reachable) {
                        node.add_source(addr(source));
                    }
                }
            }
        }
        self.put(index, node);
        self.members[index].is_here = true;
        self.truth = None;
        self.came_and_went.0 += 1;
    }

    /// A node that is here.
    fn somebody(&mut self, wanted: impl Fn(&Member) -> bool) -> Option<usize> {
        let Self { members, random, .. } = self;
        (0..1_000).find_map(|_| {
            let index = random.next_u32() as usize % members.len().max(1);
            members.get(index).filter(|m| m.is_here && wanted(m)).map(|_| index)
        })
    }

    /// How many nodes are here, and of these, how many a stranger can reach.
    pub fn here(&self) -> (usize, usize) {
        let here = self.members.iter().filter(|member| member.is_here);
        let reachable = here.clone().filter(|member| member.is_reachable());
        (here.count(), reachable.count())
    }

    /// Who is here and can be reached by strangers: whom lookups are to find.
    pub fn truth(&mut self) -> &Truth {
        let members = &self.members;
        self.truth.get_or_insert_with(|| {
            let here = members.iter().enumerate().filter(|(_, m)| m.is_here && m.is_reachable());
            Truth::new(here.map(|(index, member)| (member.id, index as u32)))
        })
    }

    /// Everybody's share of these, in thousandths, sleeps for a while: nothing comes to them, and
    /// when they wake up their clocks have gone on.
    pub fn sleep(&mut self, share: u32, time: Duration) {
        let here = (0..self.members.len()).filter(|index| self.members[*index].is_here);
        let here: Vec<usize> = here.collect();
        let asleep: Vec<usize> =
            here.into_iter().filter(|_| chance(&mut self.random, share)).collect();
        for index in &asleep {
            self.network.set_alive(addr(*index), false);
        }
        self.run_for(time);
        for index in asleep {
            if self.members[index].is_here {
                self.network.set_alive(addr(index), true);
            }
        }
    }

    /// Cuts the network in two for a while.
    pub fn part(&mut self, time: Duration) {
        for index in 0..self.members.len() {
            if self.members[index].is_here {
                self.network.set_side(addr(index), (index % 2) as u8);
            }
        }
        self.network.partitioned = true;
        self.run_for(time);
        self.network.partitioned = false;
    }

    /// Looks for what is there, in `count` lookups after as many announces: what they found.
    pub fn lookups(&mut self, count: usize) -> Report {
        probe::run(self, count)
    }
}

/// A box: half of them are port-restricted.
fn behind(random: &mut Dice) -> Nat {
    match random.next_u32() % 6 {
        0 => Nat::FullCone,
        1 => Nat::Restricted,
        2 => Nat::Symmetric,
        _ => Nat::PortRestricted,
    }
}
