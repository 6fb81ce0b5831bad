//! What a scrape costs those who ask and those who answer (BEP 33), what a sample does (BEP 51),
//! and a node's answers beside them, without sockets: `cargo bench --bench scrape`.
//!
//! Prints medians in nanoseconds.
#![allow(missing_docs, clippy::print_stdout)]

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant as Clock};

use tinybt_core::dht::bloom::Bloom;
use tinybt_core::dht::store::{PeerMap, PeerMapLimits, PeerStore};
use tinybt_core::dht::{Config, Question};
use tinybt_core::wire::krpc::{self, Body, Envelope};
use tinybt_core::{Family, Id, InfoHash, Instant, Machine, Step, buffer};
use tinybt_tests::nodes::{TestNode, addr, fill, node};

const ROUNDS: usize = 201;
const TURNS: usize = 500;

fn median(name: &str, mut work: impl FnMut()) {
    let mut times: Vec<u128> = (0..ROUNDS)
        .map(|_| {
            let begun = Clock::now();
            (0..TURNS).for_each(|_| work());
            begun.elapsed().as_nanos()
        })
        .collect();
    times.sort_unstable();
    println!("{name}: {:.0} ns", times[ROUNDS / 2] as f64 / TURNS as f64);
}

fn main() {
    let ip = |n: u32| Ipv4Addr::from_bits(0x0900_0000 + n * 77);
    let (mut union, mut answer) = (Bloom::new(), Bloom::new());
    (0..500).for_each(|n| answer.insert(ip(n).into()));
    let bytes = *answer.bytes();
    median("one filter of an answer, merged and estimated", || {
        union.merge(black_box(&bytes));
        black_box(union.estimate());
    });
    median("an address, taken in", || union.insert(black_box(ip(3)).into()));

    let now = Instant::from_secs(1);
    let mut store = PeerMap::new(Family::V4, PeerMapLimits::default());
    let hash = |n: u32| InfoHash(tinybt_tests::nodes::id(8, n as usize).0);
    for n in 0..500 {
        store.announce(now, hash(0), (ip(n), 6881).into(), n % 2 == 0);
    }
    for n in 1..2_000 {
        store.announce(now, hash(n), (ip(n), 6881).into(), false);
    }
    median("a store of 2,000 swarms, a scrape of 500 peers", || {
        black_box(store.scrape(now, black_box(hash(0))));
    });
    median("a sample drawn anew", || {
        black_box(store.sample(now, 40, Duration::ZERO, 1));
    });
    median("a sample", || {
        black_box(store.sample(now, 40, Duration::from_secs(9), 1));
    });

    let info_hash = InfoHash(*b"a swarm of 90 peers!");
    let mut node = node(1, config());
    fill(&mut node);
    for n in 0..90 {
        announce(&mut node, (ip(n), 6881).into(), info_hash, n % 2 == 0);
    }
    let (target, want) = (Id([7; 20]), None);
    let peers = |no_seed, scrape| Question::GetPeers { info_hash, want, no_seed, scrape };
    for (name, question) in [
        ("ping", Question::Ping),
        ("find_node", Question::FindNode { target, want }),
        (
            "get_peers, none known",
            Question::GetPeers {
                info_hash: InfoHash([9; 20]),
                want,
                no_seed: false,
                scrape: false,
            },
        ),
        ("get_peers", peers(false, false)),
        ("get_peers without seeds", peers(true, false)),
        ("get_peers with a scrape", peers(false, true)),
        ("sample_infohashes", Question::SampleInfohashes { target, want }),
    ] {
        let query = encode(&question);
        median(&format!("a node, {name}"), || {
            black_box(exchange(&mut node, addr(9), black_box(&query)));
        });
    }
}

fn config() -> Config {
    let mut config = Config::private(Family::V4);
    config.upkeep.verify = false;
    config
}

const NOW: Instant = Instant::from_secs(86_410);

fn encode(question: &Question<'_>) -> Vec<u8> {
    let envelope =
        Envelope { transaction: b"abcd", version: None, read_only: true, external: None };
    let mut bytes = vec![0; 300];
    let len = krpc::encode_query(&mut bytes, &envelope, Id([3; 20]), question).expect("it fits");
    bytes.truncate(len);
    bytes
}

fn exchange(node: &mut TestNode, from: SocketAddr, query: &[u8]) -> Option<(usize, [u8; 8])> {
    let mut out = buffer();
    node.handle_datagram(NOW, from, query).ok()?;
    let mut sent = None;
    while let Step::Send(transmit) = node.step(NOW, &mut out) {
        let message = krpc::decode(&out[..transmit.len]).ok()?;
        let Body::Response(response) = message.body else { continue };
        let token = response.token().and_then(|token| token.try_into().ok());
        sent = Some((transmit.len, token.unwrap_or_default()));
    }
    sent
}

fn announce(node: &mut TestNode, from: SocketAddr, info_hash: InfoHash, seed: bool) {
    let ask = Question::GetPeers { info_hash, want: None, no_seed: false, scrape: false };
    let Some((_, token)) = exchange(node, from, &encode(&ask)) else { return };
    let question =
        Question::AnnouncePeer { info_hash, port: 6881, implied_port: false, token: &token, seed };
    exchange(node, from, &encode(&question));
}
