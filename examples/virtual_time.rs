//! Three nodes talking in virtual time, without a socket, a clock or a thread: for people who write
//! tests. One announces a torrent to another, the third finds it; and since nothing is random but
//! what the seed makes so, the same happens every time, to the byte.
//!
//! This is the loop by hand. Whoever wants loss, NATs, clocks that leap and nodes by the hundred
//! thousand finds them in `tinybt_tests::net` and the example `population`.
//!
//! ```text
//! cargo run -p tinybt-examples --example virtual_time
//! ```
#![allow(clippy::print_stdout)]

use std::net::SocketAddr;
use std::time::Duration;

use chacha20::ChaCha8Rng;
use chacha20::rand_core::SeedableRng;
use tinybt_core::dht::{Config, Event, Heap, Node, Port};
use tinybt_core::{Family, InfoHash, Instant, Machine, Step, buffer};

const DELAY: Duration = Duration::from_millis(20);
const SWARM: InfoHash = InfoHash(*b"a torrent's SHA-1...");

/// Nodes, and the datagrams that are on their way between them.
struct Network {
    now: Instant,
    nodes: Vec<Node<Heap, ChaCha8Rng>>,
    /// When it arrives, from which node, at which, and what it says; the next one first.
    way: Vec<(Instant, usize, usize, Vec<u8>)>,
    /// Everything that happened, as one could compare or print it.
    transcript: Vec<String>,
}

impl Network {
    fn new(seed: u64) -> Self {
        let random = |index| ChaCha8Rng::seed_from_u64(seed + index);
        let node = |index| Node::new(Config::private(Family::V4), Heap::default(), random(index));
        let nodes = (0..3).map(node).collect();
        Self { now: Instant::EPOCH, nodes, way: Vec::new(), transcript: Vec::new() }
    }

    /// Lets happen what happens until a node says what is waited for. Costs no time.
    fn run_until(&mut self, mut is_it: impl FnMut(usize, &Event) -> bool) {
        let mut buffer = buffer();
        loop {
            // Every node does what is due, and says when it wants to be called again.
            let mut next = self.way.first().map(|datagram| datagram.0);
            let mut found = false;
            for (index, node) in self.nodes.iter_mut().enumerate() {
                let deadline = loop {
                    match node.step(self.now, &mut buffer) {
                        Step::Send(sent) => {
                            let to = usize::from(sent.to.port()) - 1;
                            let bytes = buffer[..sent.len].to_vec();
                            self.way.push((self.now + DELAY, index, to, bytes));
                        }
                        Step::Event(event) => {
                            self.transcript.push(format!("{:?} {index} {event:?}", self.now));
                            found |= is_it(index, &event);
                        }
                        Step::Wait(deadline) => break deadline,
                    }
                };
                next = [next, deadline].into_iter().flatten().min();
            }
            if found {
                return;
            }
            // Time passes at once: to the next arrival, or to the next deadline.
            let arrival = self.way.first().map(|datagram| datagram.0);
            self.now = [next, arrival].into_iter().flatten().min().expect("nothing will happen");
            if arrival == Some(self.now) {
                let (_, from, to, bytes) = self.way.remove(0);
                self.transcript.push(format!(
                    "{:?} {from} > {to} {}",
                    self.now,
                    bytes.escape_ascii()
                ));
                let _ = self.nodes[to].handle_datagram(self.now, addr(from), &bytes);
            }
        }
    }
}

/// A node's number is its port less one.
fn addr(index: usize) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], index as u16 + 1))
}

/// Node 1 announces to node 0, node 2 asks it. Returns the transcript.
fn scene(seed: u64) -> Vec<String> {
    let mut network = Network::new(seed);
    for index in 1..3 {
        network.nodes[index].add_source(addr(0));
    }

    let now = network.now;
    let announce = network.nodes[1].announce(now, SWARM, Port::Number(6881)).expect("room");
    let mut stored = 0;
    network.run_until(|_, event| match event {
        Event::Finished { lookup, outcome } if *lookup == announce => {
            stored = outcome.stored;
            true
        }
        _ => false,
    });
    assert!(stored >= 1, "node 0 keeps it");

    let now = network.now;
    let search = network.nodes[2].get_peers(now, SWARM).expect("room");
    let mut peers = Vec::new();
    network.run_until(|index, event| {
        if let Event::Peer { peer, .. } = event {
            peers.push(*peer);
        }
        index == 2 && matches!(event, Event::Finished { lookup, .. } if *lookup == search)
    });
    assert_eq!(peers, ["127.0.0.1:6881".parse().expect("an address")]);
    network.transcript
}

fn main() {
    let transcript = scene(1);
    for line in &transcript {
        println!("{line}");
    }
    assert_eq!(transcript, scene(1), "the same seed, the same transcript");
    assert_ne!(transcript, scene(2), "another seed, other ids");
    println!("twice the same, to the byte");
}
