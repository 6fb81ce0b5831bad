//! What a node spends on a query, without sockets: `cargo bench --bench queries`.
//!
//! Instructions a query, counted by callgrind where valgrind is installed: this program runs itself
//! under it, with some queries of a kind and with none, and takes the difference. Beside it
//! nanoseconds, which depend on the machine and on whatever else it does. The node is one half of a
//! pair, as in a program; it knows 160 others. Askers are as on the internet: each of 256 addresses
//! has a budget, and nobody knows them (`… of strangers`), or they are read-only.
//!
//! `cargo bench --bench queries -- find_node 100000` runs only that many of a kind, for a profiler.
#![allow(missing_docs, clippy::print_stdout)]

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant as Clock};

use chacha20::ChaCha8Rng;
use tinybt_core::budget::Rate;
use tinybt_core::dht::{Config, Dual, Heap};
use tinybt_core::wire::krpc::{self, Envelope, Question};
use tinybt_core::{Buffer, Family, InfoHash, Instant, Machine, Step, buffer};
use tinybt_tests::nodes::{fill, id, node};

const KINDS: [&str; 7] = [
    "ping",
    "find_node",
    "find_node of strangers",
    "get_peers, none known",
    "get_peers, 50 peers",
    "announce_peer",
    "unasked answer",
];
/// Queries under callgrind, which is 50 times slower.
const COUNTED: u64 = 4_096;
const ASKERS: u64 = 256;
const SWARM: InfoHash = InfoHash(*b"a swarm of 50 peers!");

type Served = Dual<Heap, ChaCha8Rng>;

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match arguments.as_slice() {
        [kind, count] => {
            let mut world = World::new();
            world.run(kind, count.parse().expect("a number of queries"));
        }
        _ => table(),
    }
}

fn table() {
    let base = instructions(KINDS[0], 0);
    let mut world = World::new();
    println!("{:24} {:>12} {:>6}  bytes in, out", "", "instructions", "ns");
    for kind in KINDS {
        let counted =
            instructions(kind, COUNTED).zip(base).map(|(all, base)| (all - base) / COUNTED);
        let counted = counted.map_or("?".to_owned(), |counted| counted.to_string());
        let mut rounds: Vec<u128> = (0..21)
            .map(|_| {
                let begun = Clock::now();
                world.run(kind, 20_000);
                begun.elapsed().as_nanos() / 20_000
            })
            .collect();
        rounds.sort_unstable();
        let (asked, answered) = world.sizes(kind);
        println!("{kind:24} {counted:>12} {:>6}  {asked}, {answered}", rounds[rounds.len() / 2]);
    }
}

/// Instructions of a run; none without valgrind.
fn instructions(kind: &str, count: u64) -> Option<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().ok()?)
        .args([kind, &count.to_string()])
        .output()
        .ok()?;
    let report = String::from_utf8_lossy(&output.stderr).into_owned();
    let (_, collected) = report.split_once("Collected : ")?;
    collected.split_whitespace().next()?.parse().ok()
}

struct World {
    served: Served,
    now: Instant,
    buffer: Buffer,
    token: Vec<u8>,
}

impl World {
    fn new() -> Self {
        let mut config = Config::private(Family::V4);
        config.upkeep.bootstrap = false;
        // Looked at and charged, and never used up.
        config.answers = Some(Rate { per_second: 1_000_000, burst: 1_000_000 });
        let mut node = node(3, config);
        fill(&mut node);
        let served = Dual::new(Some(node), None);
        let now = Instant::from_secs(86_400);
        let mut world = Self { served, now, buffer: buffer(), token: Vec::new() };
        let answer = world.ask(0, &query(&get_peers(SWARM), true)).to_vec();
        let Ok(krpc::Body::Response(response)) = krpc::decode(&answer).map(|message| message.body)
        else {
            panic!("not a response");
        };
        world.token = response.token().expect("a token").to_vec();
        for port in 1..=50 {
            world.ask(0, &query(&announce(SWARM, port, &world.token), true));
        }
        world
    }

    fn run(&mut self, kind: &str, count: u64) {
        let datagram = self.datagram(kind);
        for index in 0..count {
            // A token is good for whom it was given to.
            self.ask(if kind == "announce_peer" { 0 } else { index % ASKERS }, &datagram);
        }
    }

    fn datagram(&self, kind: &str) -> Vec<u8> {
        let find_node = Question::FindNode { target: id(5, 1), want: None };
        match kind {
            "ping" => query(&Question::Ping, true),
            "find_node" => query(&find_node, true),
            "find_node of strangers" => query(&find_node, false),
            "get_peers, none known" => query(&get_peers(InfoHash(id(5, 2).0)), true),
            "get_peers, 50 peers" => query(&get_peers(SWARM), true),
            "announce_peer" => query(&announce(SWARM, 7, &self.token), true),
            _ => b"d1:rd2:id20:abcdefghij0123456789e1:t4:abcd1:y1:re".to_vec(),
        }
    }

    fn sizes(&mut self, kind: &str) -> (usize, usize) {
        let datagram = self.datagram(kind);
        (datagram.len(), self.ask(0, &datagram).len())
    }

    /// What comes back.
    fn ask(&mut self, asker: u64, datagram: &[u8]) -> &[u8] {
        self.now = self.now + Duration::from_micros(20);
        let from = SocketAddr::from(([198, 51, 100, asker as u8], 6881));
        let local = SocketAddr::from(([192, 0, 2, 1], 6881));
        let _ = self.served.handle_datagram_at(self.now, local, from, datagram);
        let mut len = 0;
        loop {
            match self.served.step(self.now, &mut self.buffer) {
                Step::Send(transmit) => len = transmit.len,
                Step::Event(_) => {}
                Step::Wait(_) => break,
            }
        }
        &self.buffer[..len]
    }
}

fn query(question: &Question<'_>, read_only: bool) -> Vec<u8> {
    let envelope = Envelope { transaction: b"abcd", version: None, read_only, external: None };
    let mut bytes = vec![0; 1_472];
    let len = krpc::encode_query(&mut bytes, &envelope, id(1, 1), question).expect("it fits");
    bytes.truncate(len);
    bytes
}

fn get_peers(info_hash: InfoHash) -> Question<'static> {
    Question::GetPeers { info_hash, want: None, no_seed: false, scrape: false }
}

fn announce(info_hash: InfoHash, port: u16, token: &[u8]) -> Question<'_> {
    Question::AnnouncePeer { info_hash, port, implied_port: false, token, seed: false }
}
