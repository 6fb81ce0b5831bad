//! A virtual network: machines, virtual time, and everything a network does to datagrams, from one
//! seed.
//!
//! Nothing here knows what the machines speak. Each host is driven exactly as a runtime would:
//! stepped until it waits, then again at its deadline or when a datagram arrives.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

use chacha20::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use tinybt_core::{Buffer, Instant, Machine, Step, buffer};

/// What the way between two hosts does to datagrams.
#[derive(Clone, Debug)]
pub struct Link {
    /// How long it takes one way.
    pub delay: Delay,
    /// The share of datagrams lost, in thousandths.
    pub loss: u32,
    /// The share of datagrams that arrive twice, in thousandths.
    pub duplication: u32,
    /// Added to the delay of each datagram, at random up to this: so they overtake each other.
    pub jitter: Duration,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            delay: Delay::Constant(Duration::from_millis(20)),
            loss: 0,
            duplication: 0,
            jitter: Duration::ZERO,
        }
    }
}

/// How long a datagram takes one way. The same for all datagrams between two hosts.
#[derive(Clone, Debug)]
pub enum Delay {
    /// Between any two hosts the same.
    Constant(Duration),
    /// Log-normal over pairs of hosts: the median of the round trip, and its 95th percentile.
    LogNormal {
        /// Half of the round trips are shorter.
        median: Duration,
        /// Nineteen of twenty are shorter.
        p95: Duration,
    },
}

impl Delay {
    /// The delay one way between two hosts, decided by the seed and their addresses.
    pub fn between(&self, seed: u64, a: SocketAddr, b: SocketAddr) -> Duration {
        match self {
            Delay::Constant(delay) => *delay,
            Delay::LogNormal { median, p95 } => {
                let sigma = (p95.as_secs_f64() / median.as_secs_f64()).ln() / 1.644_854;
                let (low, high) = if a <= b { (a, b) } else { (b, a) };
                let mut random = ChaCha8Rng::seed_from_u64(mix(seed, &[key(low), key(high)]));
                let rtt = median.as_secs_f64() * (sigma * normal(&mut random)).exp();
                Duration::from_secs_f64(rtt / 2.0)
            }
        }
    }
}

/// A number for an address.
pub fn key(addr: SocketAddr) -> u64 {
    match addr {
        SocketAddr::V4(addr) => u64::from(addr.ip().to_bits()) << 16 | u64::from(addr.port()),
        SocketAddr::V6(addr) => {
            let bits = addr.ip().to_bits();
            mix(bits as u64, &[(bits >> 64) as u64, u64::from(addr.port())])
        }
    }
}

/// Mixes numbers into a seed.
pub fn mix(seed: u64, parts: &[u64]) -> u64 {
    parts.iter().fold(seed, |hash, part| {
        let mut z = (hash ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    })
}

/// A number between 0 and 1.
pub fn uniform(random: &mut impl Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// A number from the standard normal distribution.
pub fn normal(random: &mut impl Rng) -> f64 {
    let u = 1.0 - uniform(random);
    let v = uniform(random);
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// A box before a host that lets in only what the host asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nat {
    /// Everything comes in.
    Open,
    /// Only datagrams from addresses that the host has sent to.
    Restricted,
}

struct Host<M> {
    machine: M,
    alive: bool,
    nat: Nat,
    side: u8,
    sent_to: HashSet<SocketAddr>,
    /// The deadline that is in the queue for it.
    deadline: Option<Instant>,
}

enum What {
    Datagram { from: SocketAddr, to: SocketAddr, bytes: Vec<u8> },
    Deadline { host: SocketAddr },
}

/// What happened on a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams that arrived.
    pub delivered: u64,
    /// Times that a machine was stepped at its deadline.
    pub wakeups: u64,
}

/// Machines that can reach each other.
pub struct Network<M: Machine> {
    now: Instant,
    seed: u64,
    random: ChaCha8Rng,
    /// The way between any two hosts.
    pub link: Link,
    hosts: HashMap<SocketAddr, Host<M>>,
    /// Further addresses to first ones, and back.
    aliases: HashMap<SocketAddr, SocketAddr>,
    further: HashMap<SocketAddr, Vec<SocketAddr>>,
    /// Addresses that nothing comes to or leaves.
    cut: HashSet<SocketAddr>,
    queue: BinaryHeap<Reverse<(Instant, u64)>>,
    waiting: HashMap<u64, What>,
    serial: u64,
    buffer: Buffer,
    /// Whether hosts on different sides are cut off from each other.
    pub partitioned: bool,
    /// What happened so far.
    pub traffic: Traffic,
    /// Everything that the machines told, in order.
    pub events: Vec<(Instant, SocketAddr, M::Event)>,
    /// Events are looked at when they are told, while their rows can be read.
    watch: Option<Watch<M>>,
}

type Watch<M> = Box<dyn FnMut(Instant, SocketAddr, &mut M, &<M as Machine>::Event)>;

impl<M: Machine> Network<M> {
    /// An empty network.
    pub fn new(seed: u64, link: Link) -> Self {
        Self {
            now: Instant::from_secs(1_000),
            seed,
            random: ChaCha8Rng::seed_from_u64(seed),
            link,
            hosts: HashMap::new(),
            aliases: HashMap::new(),
            further: HashMap::new(),
            cut: HashSet::new(),
            queue: BinaryHeap::new(),
            waiting: HashMap::new(),
            serial: 0,
            buffer: buffer(),
            partitioned: false,
            traffic: Traffic::default(),
            events: Vec::new(),
            watch: None,
        }
    }

    /// Looks at every event when it is told.
    pub fn watch(&mut self, watch: impl FnMut(Instant, SocketAddr, &mut M, &M::Event) + 'static) {
        self.watch = Some(Box::new(watch));
    }

    /// The present.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Puts a machine at an address.
    pub fn add(&mut self, addr: SocketAddr, machine: M) {
        let host = Host {
            machine,
            alive: true,
            nat: Nat::Open,
            side: 0,
            sent_to: Default::default(),
            deadline: None,
        };
        self.hosts.insert(addr, host);
        self.drain(addr);
    }

    /// Puts a machine at two addresses, one of each family.
    pub fn add_with_alias(&mut self, addr: SocketAddr, alias: SocketAddr, machine: M) {
        self.add_at(&[addr, alias], machine);
    }

    /// Puts a machine at several addresses, of which the first names it: it is reached at all, and
    /// what it sends comes from the one that it says, else from the first of the receiver's family.
    pub fn add_at(&mut self, addrs: &[SocketAddr], machine: M) {
        let Some((addr, further)) = addrs.split_first() else { return };
        self.aliases.extend(further.iter().map(|alias| (*alias, *addr)));
        self.further.insert(*addr, further.to_vec());
        self.add(*addr, machine);
    }

    /// Cuts an address off, or no longer: what comes to it and leaves it is lost.
    pub fn set_cut(&mut self, addr: SocketAddr, cut: bool) {
        if cut {
            self.cut.insert(addr);
        } else {
            self.cut.remove(&addr);
        }
    }

    /// Takes a machine off the network.
    pub fn remove(&mut self, addr: SocketAddr) -> Option<M> {
        self.hosts.remove(&addr).map(|host| host.machine)
    }

    /// The machine at an address, to look at.
    pub fn machine(&self, addr: SocketAddr) -> &M {
        &self.hosts[&addr].machine
    }

    /// Gives a machine a command, then drains it.
    pub fn command<T>(
        &mut self,
        addr: SocketAddr,
        command: impl FnOnce(&mut M, Instant) -> T,
    ) -> T {
        let now = self.now;
        let host = self.hosts.get_mut(&addr).expect("no such host");
        let result = command(&mut host.machine, now);
        self.drain(addr);
        result
    }

    /// Lets a host die in silence, or live again.
    pub fn set_alive(&mut self, addr: SocketAddr, alive: bool) {
        self.hosts.get_mut(&addr).expect("no such host").alive = alive;
        if alive {
            self.drain(addr);
        }
    }

    /// Puts a box before a host.
    pub fn set_nat(&mut self, addr: SocketAddr, nat: Nat) {
        self.hosts.get_mut(&addr).expect("no such host").nat = nat;
    }

    /// Puts a host on a side of the partition.
    pub fn set_side(&mut self, addr: SocketAddr, side: u8) {
        self.hosts.get_mut(&addr).expect("no such host").side = side;
    }

    /// Lets a datagram arrive now, wherever it comes from.
    pub fn inject(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        self.schedule(self.now, What::Datagram { from, to, bytes: bytes.to_vec() });
    }

    /// Runs until nothing is left to happen before `until`, and makes it the present.
    pub fn run_until(&mut self, until: Instant) {
        while self.queue.peek().is_some_and(|Reverse((at, _))| *at <= until) {
            self.next();
        }
        self.now = self.now.max(until);
    }

    /// Runs for a while.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// Runs until `done` says so, at most until `until`. Returns whether it did.
    pub fn run_while(
        &mut self,
        until: Instant,
        mut more: impl FnMut(&[(Instant, SocketAddr, M::Event)]) -> bool,
    ) -> bool {
        while more(&self.events) {
            match self.queue.peek() {
                Some(Reverse((at, _))) if *at <= until => self.next(),
                _ => return false,
            }
        }
        true
    }

    fn next(&mut self) {
        let Some(Reverse((at, serial))) = self.queue.pop() else { return };
        let Some(what) = self.waiting.remove(&serial) else { return };
        self.now = self.now.max(at);
        match what {
            What::Datagram { from, to, bytes } => self.deliver(from, to, &bytes),
            What::Deadline { host } => {
                let Some(known) = self.hosts.get_mut(&host) else { return };
                if known.deadline == Some(at) {
                    known.deadline = None;
                    self.traffic.wakeups += 1;
                    self.drain(host);
                }
            }
        }
    }

    fn deliver(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let first = |addr: SocketAddr| self.aliases.get(&addr).copied().unwrap_or(addr);
        let local = to;
        let (source, to) = (first(from), first(to));
        let side = self.hosts.get(&source).map(|host| host.side);
        let Some(host) = self.hosts.get_mut(&to) else { return };
        let cut = self.partitioned && side.is_some_and(|side| side != host.side);
        let barred = host.nat == Nat::Restricted && !host.sent_to.contains(&from);
        let cut = cut || self.cut.contains(&local) || self.cut.contains(&from);
        if cut || barred || !host.alive {
            return;
        }
        self.traffic.delivered += 1;
        let _ = host.machine.handle_datagram_at(self.now, local, from, bytes);
        self.drain(to);
    }

    fn drain(&mut self, addr: SocketAddr) {
        let now = self.now;
        let mut steps = 0;
        loop {
            let Some(host) = self.hosts.get_mut(&addr).filter(|host| host.alive) else { return };
            steps += 1;
            assert!(steps < 100_000, "{addr} does not come to rest");
            match host.machine.step(now, &mut self.buffer) {
                Step::Send(transmit) => {
                    if host.nat == Nat::Restricted {
                        host.sent_to.insert(transmit.to);
                    }
                    let bytes = self.buffer[..transmit.len].to_vec();
                    self.send(addr, transmit.from, transmit.to, bytes);
                }
                Step::Event(event) => {
                    if let Some(watch) = &mut self.watch {
                        watch(now, addr, &mut host.machine, &event);
                    }
                    self.events.push((now, addr, event));
                }
                Step::Wait(deadline) => {
                    if let Some(at) = deadline {
                        assert!(at > now, "{addr} waits for the past");
                        if host.deadline.is_none_or(|known| known != at) {
                            host.deadline = Some(at);
                            self.schedule(at, What::Deadline { host: addr });
                        }
                    } else {
                        host.deadline = None;
                    }
                    return;
                }
            }
        }
    }

    fn send(
        &mut self,
        host: SocketAddr,
        local: Option<SocketAddr>,
        to: SocketAddr,
        bytes: Vec<u8>,
    ) {
        self.traffic.sent += 1;
        let further = self.further.get(&host).into_iter().flatten().copied();
        let mut addrs = std::iter::once(host).chain(further);
        let meant = |addr: &SocketAddr| match local {
            Some(local) => local == *addr,
            None => addr.is_ipv6() == to.is_ipv6(),
        };
        let from = addrs.find(meant).unwrap_or_else(|| panic!("{host} has no {local:?} to {to}"));
        let copies = 1 + u32::from(self.chance(self.link.duplication));
        for _ in 0..copies {
            if self.chance(self.link.loss) {
                continue;
            }
            let delay = self.link.delay.between(self.seed, from, to);
            let jitter = self.link.jitter.mul_f64(uniform(&mut self.random));
            let bytes = bytes.clone();
            self.schedule(self.now + delay + jitter, What::Datagram { from, to, bytes });
        }
    }

    fn chance(&mut self, thousandths: u32) -> bool {
        thousandths > 0 && self.random.next_u32() % 1_000 < thousandths
    }

    fn schedule(&mut self, at: Instant, what: What) {
        self.serial += 1;
        self.waiting.insert(self.serial, what);
        self.queue.push(Reverse((at, self.serial)));
    }
}
