//! A finder among nodes, UDP trackers and HTTP trackers, in virtual time and without a network.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use chacha20::ChaCha8Rng;
use rand_core::SeedableRng;
use tinybt_core::dht::{Config, Dual, Heap, Node};
use tinybt_core::finder::{Errand, Event, Finder, Source, TrackerStatus};
use tinybt_core::tracker::TrackerUrl;
use tinybt_core::tracker::server::{Registry, RegistryLimits, UdpServer, respond};
use tinybt_core::tracker::udp;
use tinybt_core::{Buffer, Family, Instant, Machine, Step, buffer};

use crate::nodes::{TestNode, node, small};

/// A finder as tests use it.
pub type TestFinder = Finder<Heap, ChaCha8Rng>;

/// When everything begins.
pub const START: Instant = Instant::from_secs(1_000);
/// Where the finder is.
pub const OWN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(20, 9, 9, 9)), 6881);
/// How long a datagram takes.
const DELAY: Duration = Duration::from_millis(20);

/// What answers at an address.
pub enum Host {
    /// A node of the DHT.
    Node(Box<TestNode>),
    /// A tracker over UDP.
    Tracker(Box<UdpServer<ChaCha8Rng>>),
    /// Whatever a closure says.
    Liar(fn(&[u8]) -> Vec<u8>),
}

/// A datagram under way: when it arrives, its number, from, to, and what it says.
type Travelling = (Instant, u64, SocketAddr, SocketAddr, Vec<u8>);

/// A finder, what is around it, and what it told.
pub struct World {
    /// The finder.
    pub finder: TestFinder,
    /// Everybody else.
    pub hosts: HashMap<SocketAddr, Host>,
    /// Trackers over HTTP, by host name.
    pub http: HashMap<String, Registry>,
    /// Bodies of HTTP answers, by host name.
    pub bodies: HashMap<String, Vec<u8>>,
    /// Addresses, by host name. Who is not here does not resolve.
    pub names: HashMap<String, Vec<SocketAddr>>,
    /// The present.
    pub now: Instant,
    /// What was told, errands aside, and when.
    pub told: Vec<(Duration, Event)>,
    /// The trackers of the search that was over last, as it ended.
    pub last: Vec<TrackerStatus>,
    /// URLs that were fetched.
    pub fetched: Vec<String>,
    /// Datagrams of the finder, by where they went.
    pub sent: BTreeMap<SocketAddr, u32>,
    way: BinaryHeap<Reverse<Travelling>>,
    count: u64,
    buffer: Buffer,
}

/// A finder with a node for IPv4, or without any.
pub fn finder(dht: bool) -> TestFinder {
    let random = |seed| ChaCha8Rng::seed_from_u64(seed);
    let node = Node::new(Config::private(Family::V4), small(), random(1));
    let dual = Dual::new(dht.then_some(node), None);
    let trackers = udp::Heap { servers: 16, requests: 32 };
    Finder::new(dual, trackers, [Family::V4], [random(2), random(3)])
}

/// A tracker over UDP.
pub fn udp_tracker(seed: u64) -> UdpServer<ChaCha8Rng> {
    UdpServer::new(Registry::new(RegistryLimits::default()), ChaCha8Rng::seed_from_u64(seed))
}

impl World {
    /// A finder alone in the world.
    pub fn new(dht: bool) -> Self {
        Self {
            finder: finder(dht),
            hosts: HashMap::new(),
            http: HashMap::new(),
            bodies: HashMap::new(),
            names: HashMap::new(),
            now: START,
            told: Vec::new(),
            last: Vec::new(),
            fetched: Vec::new(),
            sent: BTreeMap::new(),
            way: BinaryHeap::new(),
            count: 0,
            buffer: buffer(),
        }
    }

    /// Adds a tracker over UDP.
    pub fn add_tracker(&mut self, addr: SocketAddr) -> &mut Registry {
        let server = udp_tracker(u64::from(addr.port()));
        self.hosts.insert(addr, Host::Tracker(Box::new(server)));
        self.registry(addr)
    }

    /// Adds a node of the DHT.
    pub fn add_node(&mut self, addr: SocketAddr, seed: u64) -> &mut TestNode {
        self.hosts.insert(addr, Host::Node(Box::new(node(seed, Config::private(Family::V4)))));
        match self.hosts.get_mut(&addr) {
            Some(Host::Node(node)) => node,
            _ => panic!("no node at {addr}"),
        }
    }

    /// Who is in which swarm, by a tracker over UDP.
    pub fn registry(&mut self, addr: SocketAddr) -> &mut Registry {
        match self.hosts.get_mut(&addr) {
            Some(Host::Tracker(server)) => &mut server.registry,
            _ => panic!("no tracker at {addr}"),
        }
    }

    /// Lets everything happen that happens within this time.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.drain();
            let arrival = self.way.peek().map(|Reverse((at, ..))| *at);
            let deadlines = self.hosts.values().filter_map(|host| match host {
                Host::Node(node) => node.poll_timeout(),
                _ => None,
            });
            let next = deadlines.chain(arrival).chain(self.finder.poll_timeout()).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            while let Some(Reverse((at, ..))) = self.way.peek()
                && *at <= self.now
            {
                let Some(Reverse((_, _, from, to, bytes))) = self.way.pop() else { break };
                self.deliver(from, to, &bytes);
            }
        }
        self.now = end;
        self.drain();
    }

    /// The peers that were told as new, with who named them first.
    pub fn peers(&self) -> Vec<(SocketAddr, Source)> {
        let new = self.told.iter().filter_map(|(_, event)| match event {
            Event::Peer { peer, source, is_new: true, .. } => Some((*peer, *source)),
            _ => None,
        });
        new.collect()
    }

    /// When the search was over.
    pub fn finished(&self) -> Option<Duration> {
        let over = |(at, event): &(Duration, Event)| {
            matches!(event, Event::Finished { .. }).then_some(*at)
        };
        self.told.iter().find_map(over)
    }

    fn deliver(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        if to == OWN {
            let _ = self.finder.handle_datagram(self.now, from, bytes);
            self.drain();
            return;
        }
        match self.hosts.get_mut(&to) {
            Some(Host::Node(node)) => drop(node.handle_datagram(self.now, from, bytes)),
            Some(Host::Tracker(server)) => drop(server.handle_datagram(self.now, from, bytes)),
            Some(Host::Liar(answer)) => {
                let answer = answer(bytes);
                self.send(to, from, answer);
            }
            None => {}
        }
    }

    fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        self.count += 1;
        self.way.push(Reverse((self.now + DELAY, self.count, from, to, bytes)));
    }

    fn drain(&mut self) {
        loop {
            match self.finder.step(self.now, &mut self.buffer) {
                Step::Send(sent) => {
                    *self.sent.entry(sent.to).or_insert(0) += 1;
                    let bytes = self.buffer[..sent.len].to_vec();
                    self.send(OWN, sent.to, bytes);
                }
                Step::Event(Event::Errand { errand, what }) => self.run_errand(errand, &what),
                Step::Event(event) => {
                    if let Event::Finished { search } = event {
                        self.last = self.finder.trackers(search).collect();
                    }
                    self.told.push((self.now.since(START), event));
                }
                Step::Wait(_) => break,
            }
        }
        let addrs: Vec<SocketAddr> = self.hosts.keys().copied().collect();
        for addr in addrs {
            let mut sent = Vec::new();
            let (now, buffer) = (self.now, &mut self.buffer);
            match self.hosts.get_mut(&addr) {
                Some(Host::Node(node)) => drain(node.as_mut(), now, buffer, &mut sent),
                Some(Host::Tracker(server)) => drain(server.as_mut(), now, buffer, &mut sent),
                _ => {}
            }
            for (to, bytes) in sent {
                self.send(addr, to, bytes);
            }
        }
    }

    fn run_errand(&mut self, errand: tinybt_core::finder::ErrandId, what: &Errand) {
        match what {
            Errand::Resolve { host, .. } => {
                let addrs = self.names.get(host).cloned();
                let result = addrs.as_deref().ok_or_else(|| format!("no such host: {host}"));
                self.finder.resolved(self.now, errand, result);
            }
            Errand::Fetch { url, .. } => {
                self.fetched.push(url.clone());
                let parsed = TrackerUrl::parse(url).expect("a URL of its own making");
                let body = match (self.bodies.get(parsed.host), self.http.get_mut(parsed.host)) {
                    (Some(body), _) => Ok(body.clone()),
                    (None, Some(registry)) => {
                        Ok(respond(registry, self.now, OWN.ip(), parsed.target, 0))
                    }
                    (None, None) => Err("connection refused".to_owned()),
                };
                self.finder.fetched(self.now, errand, body.as_deref().map_err(Clone::clone));
            }
        }
    }
}

fn drain<M: Machine>(
    machine: &mut M,
    now: Instant,
    buffer: &mut Buffer,
    sent: &mut Vec<(SocketAddr, Vec<u8>)>,
) {
    loop {
        match machine.step(now, buffer) {
            Step::Send(transmit) => sent.push((transmit.to, buffer[..transmit.len].to_vec())),
            Step::Event(_) => {}
            Step::Wait(_) => return,
        }
    }
}
