//! A virtual network: machines, virtual time, and everything a network does to datagrams, from one
//! seed.
//!
//! Nothing here knows what the machines speak. Each host is driven exactly as a runtime would:
//! stepped until it waits, then again at its deadline or when a datagram arrives.
//!
//! | file | open it for |
//! |---|---|
//! | `mod.rs` | the network: who is there, and the loop |
//! | `queue.rs` | what is going to happen: datagrams on their way, one deadline a host |
//! | `host.rs` | a host, its clock |
//! | `link.rs` | the way between two hosts: delay, loss, duplication |
//! | `part.rs` | what stands before a host: a part loses, delays or holds up |
//! | `nat.rs` | the part that changes addresses and lets in less than everything |
//!
//! ```
//! use std::time::Duration;
//! use tinybt_core::dht::{Config, Event, Port};
//! use tinybt_core::{Family, InfoHash};
//! use tinybt_tests::net::{Delay, Link, Nat, Network};
//! use tinybt_tests::nodes::{addr, node};
//!
//! let median = Duration::from_millis(90);
//! let delay = Delay::LogNormal { median, p95: 4 * median };
//! let mut network = Network::new(7, Link { delay, loss: 20, ..Link::default() });
//! for index in 0..50 {
//!     let mut node = node(index as u64, Config::new(Family::V4));
//!     node.add_source(addr(0));
//!     network.add(addr(index), node);
//! }
//! network.set_nat(addr(3), Nat::Symmetric);
//! network.run_for(Duration::from_secs(60));
//!
//! let swarm = InfoHash([9; 20]);
//! network.command(addr(3), |node, now| node.announce(now, swarm, Port::Implied)).ok();
//! network.run_for(Duration::from_secs(60));
//! let stored = network.events.iter().find_map(|(_, _, event)| match event {
//!     Event::Finished { outcome, .. } => Some(outcome.stored),
//!     _ => None,
//! });
//! assert!(stored >= Some(8));
//! ```

mod host;
mod link;
mod nat;
mod part;
mod queue;

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use chacha20::ChaCha8Rng;
use rand_core::SeedableRng;
use tinybt_core::{Buffer, Family, Instant, Machine, Step, buffer};

use self::host::{ByAddr, Host};
use self::queue::{Datagram, Next, Queue};

pub use self::host::Leap;
pub use self::link::{Delay, Link, chance, key, mix, normal, uniform};
pub use self::nat::{Nat, NatBox};
pub use self::part::{Lag, Line, Loss, Part, Route, Way};

/// What happened on a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams sent.
    pub sent: u64,
    /// Bytes of these, without headers of IP and UDP.
    pub bytes: u64,
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
    hosts: Vec<Option<Box<Host<M>>>>,
    free: Vec<u32>,
    /// Who is at an address.
    index: HashMap<SocketAddr, u32, ByAddr>,
    /// Hosts behind something that may have other ports on its outside, by its IP address.
    behind: HashMap<IpAddr, u32, ByAddr>,
    /// Addresses that nothing comes to or leaves.
    cut: HashSet<SocketAddr>,
    /// Families that nothing arrives over: IPv4, IPv6.
    down: [bool; 2],
    queue: Queue,
    buffer: Buffer,
    /// Whether hosts on different sides are cut off from each other.
    pub partitioned: bool,
    /// What happened so far.
    pub traffic: Traffic,
    /// Everything that the machines told, in order.
    pub events: Vec<(Instant, SocketAddr, M::Event)>,
    /// Whether `events` is kept: whoever lets many machines run for long watches them instead.
    pub keeps_events: bool,
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
            hosts: Vec::new(),
            free: Vec::new(),
            index: HashMap::default(),
            behind: HashMap::default(),
            cut: HashSet::new(),
            down: [false; 2],
            queue: Queue::default(),
            buffer: buffer(),
            partitioned: false,
            traffic: Traffic::default(),
            events: Vec::new(),
            keeps_events: true,
            watch: None,
        }
    }

    /// Another network that goes on from here on its own: with the same machines, and with links as
    /// random as those of a network that begins. Nothing may stand before a host, and nobody watches.
    ///
    /// # Panics
    ///
    /// If something stands before a host.
    pub fn fork(&self) -> Self
    where
        M: Clone,
        M::Event: Clone,
    {
        Self {
            random: ChaCha8Rng::seed_from_u64(self.seed),
            link: self.link.clone(),
            hosts: self.hosts.iter().map(|host| Some(Box::new(host.as_ref()?.fork()))).collect(),
            free: self.free.clone(),
            index: self.index.clone(),
            behind: self.behind.clone(),
            cut: self.cut.clone(),
            queue: self.queue.clone(),
            events: self.events.clone(),
            watch: None,
            ..*self
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

    /// How many datagrams are on their way and deadlines waited for.
    pub fn pending(&self) -> usize {
        self.queue.len()
    }

    // Who is there.

    /// Puts a machine at an address.
    pub fn add(&mut self, addr: SocketAddr, machine: M) {
        self.add_at(&[addr], machine);
    }

    /// Puts a machine at two addresses, one of each family.
    pub fn add_with_alias(&mut self, addr: SocketAddr, alias: SocketAddr, machine: M) {
        self.add_at(&[addr, alias], machine);
    }

    /// Puts a machine at several addresses, of which the first names it: it is reached at all, and
    /// what it sends comes from the one that it says, else from the first of the receiver's family.
    pub fn add_at(&mut self, addrs: &[SocketAddr], machine: M) {
        let Some((addr, further)) = addrs.split_first() else { return };
        self.remove(*addr);
        let mut host = Host::new(*addr, machine);
        if !further.is_empty() {
            host.more().further = further.to_vec();
        }
        let place = self.free.pop().unwrap_or_else(|| {
            self.hosts.push(None);
            self.hosts.len() as u32 - 1
        });
        self.index.extend(addrs.iter().map(|addr| (*addr, place)));
        self.hosts[place as usize] = Some(Box::new(host));
        self.drain(place);
    }

    /// Takes a machine off the network.
    pub fn remove(&mut self, addr: SocketAddr) -> Option<M> {
        let place = *self.index.get(&addr)?;
        let host = self.hosts[place as usize].take()?;
        for addr in host.addrs() {
            self.index.remove(&addr);
            if self.behind.get(&addr.ip()) == Some(&place) {
                self.behind.remove(&addr.ip());
            }
        }
        self.queue.set_timer(place, None);
        self.free.push(place);
        Some(host.machine)
    }

    /// Whether somebody is at an address, alive.
    pub fn is_alive(&self, addr: SocketAddr) -> bool {
        let host = self.index.get(&addr).and_then(|place| self.hosts[*place as usize].as_ref());
        host.is_some_and(|host| host.alive)
    }

    /// The machine at an address, to look at.
    pub fn machine(&self, addr: SocketAddr) -> &M {
        &self.host(self.index[&addr]).expect("no such host").machine
    }

    /// Gives a machine a command at the present of its own clock, then drains it.
    pub fn command<T>(
        &mut self,
        addr: SocketAddr,
        command: impl FnOnce(&mut M, Instant) -> T,
    ) -> T {
        let now = self.now;
        let host = self.host_at(addr);
        let local = host.local(now);
        let result = command(&mut host.machine, local);
        self.drain(self.index[&addr]);
        result
    }

    // What is done to hosts.

    /// Lets a host die in silence, or live again: with a clock that went on meanwhile.
    pub fn set_alive(&mut self, addr: SocketAddr, alive: bool) {
        self.host_at(addr).alive = alive;
        if alive {
            self.drain(self.index[&addr]);
        }
    }

    /// Lets a host's clock leap. What it waits for comes as much sooner or later.
    pub fn leap(&mut self, addr: SocketAddr, leap: Leap) {
        self.host_at(addr).leap(leap);
        self.drain(self.index[&addr]);
    }

    /// Puts a NAT box before a host, in place of all that stood there.
    pub fn set_nat(&mut self, addr: SocketAddr, nat: Nat) {
        let parts: Vec<Box<dyn Part>> = match nat {
            Nat::Open => Vec::new(),
            kind => vec![Box::new(NatBox::new(kind, NatBox::TIMEOUT))],
        };
        self.set_parts(addr, parts);
    }

    /// Puts parts before a host, from the inside to the outside, in place of all that stood there.
    pub fn set_parts(&mut self, addr: SocketAddr, parts: Vec<Box<dyn Part>>) {
        let place = self.index[&addr];
        let host = self.host_at(addr);
        host.more().parts = parts;
        let has_parts = host.parts().is_some();
        let ips: Vec<IpAddr> = host.addrs().map(|addr| addr.ip()).collect();
        for ip in ips {
            if has_parts {
                self.behind.insert(ip, place);
            } else {
                self.behind.remove(&ip);
            }
        }
    }

    /// Puts a host on a side of the partition.
    pub fn set_side(&mut self, addr: SocketAddr, side: u8) {
        self.host_at(addr).side = side;
    }

    /// Cuts an address off, or no longer: what comes to it and leaves it is lost.
    pub fn set_cut(&mut self, addr: SocketAddr, cut: bool) {
        if cut {
            self.cut.insert(addr);
        } else {
            self.cut.remove(&addr);
        }
    }

    /// Takes an address family down for everybody, or up again.
    pub fn set_down(&mut self, family: Family, down: bool) {
        self.down[usize::from(family == Family::V6)] = down;
    }

    /// Lets a datagram arrive now, wherever it comes from.
    pub fn inject(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let source = self.index.get(&from).copied();
        let bytes = self.queue.buffer(bytes);
        self.queue.push(self.now, Datagram { from, to, source, is_inside: false, bytes });
    }

    // Time.

    /// Runs until nothing is left to happen before `until`, and makes it the present.
    pub fn run_until(&mut self, until: Instant) {
        while self.queue.at().is_some_and(|at| at <= until) {
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
            match self.queue.at() {
                Some(at) if at <= until => self.next(),
                _ => return false,
            }
        }
        true
    }

    fn next(&mut self) {
        let Some((at, next)) = self.queue.pop() else { return };
        self.now = self.now.max(at);
        match next {
            Next::Datagram(datagram) => self.arrive(datagram),
            Next::Deadline(place) => {
                if self.host(place).is_some_and(|host| host.alive) {
                    self.traffic.wakeups += 1;
                    self.drain(place);
                }
            }
        }
    }

    /// A datagram comes to whatever stands before its receiver.
    fn arrive(&mut self, mut datagram: Datagram) {
        if let Some(place) = self.receiver(&mut datagram) {
            let delay = if datagram.is_inside {
                Some(Duration::ZERO)
            } else {
                self.enter(place, &mut datagram)
            };
            match delay {
                Some(Duration::ZERO) => self.deliver(place, &datagram),
                Some(delay) => {
                    datagram.is_inside = true;
                    return self.queue.push(self.now + delay, datagram);
                }
                None => {}
            }
        }
        self.queue.give_back(datagram.bytes);
    }

    fn receiver(&self, datagram: &mut Datagram) -> Option<u32> {
        let Datagram { from, to, .. } = datagram;
        let place = match self.index.get(to) {
            None if !self.behind.is_empty() => self.behind.get(&to.ip()),
            some => some,
        };
        let place = *place?;
        let host = self.host(place).filter(|host| host.alive)?;
        let is_cut = !self.cut.is_empty() && (self.cut.contains(to) || self.cut.contains(from));
        let side =
            datagram.source.filter(|_| self.partitioned).and_then(|source| self.host(source));
        let is_apart = side.is_some_and(|source| source.side != host.side);
        (!is_cut && !is_apart && !self.down[usize::from(to.is_ipv6())]).then_some(place)
    }

    /// From the outside to the inside of the parts before a host.
    fn enter(&mut self, place: u32, datagram: &mut Datagram) -> Option<Duration> {
        let (now, random) = (self.now, &mut self.random);
        let host = self.hosts[place as usize].as_mut()?;
        let Some(parts) = host.parts() else { return Some(Duration::ZERO) };
        let mut route = Route { from: datagram.from, to: datagram.to };
        let mut delay = Duration::ZERO;
        for part in parts.iter_mut().rev() {
            delay += part.pass(now + delay, Way::In, &mut route, datagram.bytes.len(), random)?;
        }
        (datagram.from, datagram.to) = (route.from, route.to);
        Some(delay)
    }

    fn deliver(&mut self, place: u32, datagram: &Datagram) {
        let now = self.now;
        let Some(host) = self.hosts[place as usize].as_mut() else { return };
        self.traffic.delivered += 1;
        let local = host.local(now);
        let Datagram { from, to, bytes, .. } = datagram;
        let _ = host.machine.handle_datagram_at(local, *to, *from, bytes);
        self.drain(place);
    }

    fn drain(&mut self, place: u32) {
        let now = self.now;
        let mut steps = 0;
        loop {
            let Some(host) = self.hosts[place as usize].as_mut().filter(|host| host.alive) else {
                return;
            };
            steps += 1;
            assert!(steps < 100_000, "{} does not come to rest", host.addr);
            let local = host.local(now);
            match host.machine.step(local, &mut self.buffer) {
                Step::Send(transmit) => self.send(place, transmit.from, transmit.to, transmit.len),
                Step::Event(event) => {
                    if let Some(watch) = &mut self.watch {
                        watch(now, host.addr, &mut host.machine, &event);
                    }
                    if self.keeps_events {
                        self.events.push((now, host.addr, event));
                    }
                }
                Step::Wait(deadline) => {
                    assert!(
                        deadline.is_none_or(|at| at > local),
                        "{} waits for the past",
                        host.addr
                    );
                    let at = deadline.map(|at| host.global(at));
                    return self.queue.set_timer(place, at);
                }
            }
        }
    }

    /// Sends what stands in the buffer.
    fn send(&mut self, place: u32, local: Option<SocketAddr>, to: SocketAddr, len: usize) {
        self.traffic.sent += 1;
        self.traffic.bytes += len as u64;
        let now = self.now;
        let Some(host) = self.hosts[place as usize].as_mut() else { return };
        let meant = |addr: &SocketAddr| match local {
            Some(local) => local == *addr,
            None => addr.is_ipv6() == to.is_ipv6(),
        };
        let home = host.addrs().find(meant);
        let home = home.unwrap_or_else(|| panic!("{} has no {local:?} to {to}", host.addr));
        let mut route = Route { from: home, to };
        let mut delay = Duration::ZERO;
        for part in host.parts().into_iter().flatten() {
            match part.pass(now + delay, Way::Out, &mut route, len, &mut self.random) {
                Some(more) => delay += more,
                None => return,
            }
        }
        let copies = 1 + u32::from(chance(&mut self.random, self.link.duplication));
        for _ in 0..copies {
            if chance(&mut self.random, self.link.loss) {
                continue;
            }
            let way = self.link.delay.between(self.seed, home, to);
            let jitter = match self.link.jitter {
                Duration::ZERO => Duration::ZERO,
                jitter => jitter.mul_f64(uniform(&mut self.random)),
            };
            let bytes = self.queue.buffer(&self.buffer[..len]);
            let Route { from, to } = route;
            let datagram = Datagram { from, to, source: Some(place), is_inside: false, bytes };
            self.queue.push(now + delay + way + jitter, datagram);
        }
    }

    fn host(&self, place: u32) -> Option<&Host<M>> {
        self.hosts[place as usize].as_deref()
    }

    fn host_at(&mut self, addr: SocketAddr) -> &mut Host<M> {
        let place = *self.index.get(&addr).expect("no such host");
        self.hosts[place as usize].as_mut().expect("no such host")
    }
}
