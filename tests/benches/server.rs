//! A node with a full routing table against a UDP echo, and on tinybt-smol against tinybt-std, in
//! one run: `cargo bench --bench server`.
//!
//! One client keeps 64 questions outstanding with each in turn, in short rounds that alternate, so
//! that whatever else the machine does hits both. Prints rates and the ratio of each kind.
#![allow(missing_docs, clippy::print_stdout)]

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chacha20::ChaCha8Rng;
use tinybt_core::dht::{Config, Dual, Heap};
use tinybt_core::wire::krpc::{self, Envelope, Question};
use tinybt_core::{Family, Id, InfoHash};
use tinybt_std::Driver;
use tinybt_tests::echo::{compare, echo};
use tinybt_tests::nodes::{fill, id, node};

fn main() {
    let stop = Arc::new(AtomicBool::new(false));
    let echo = echo(stop.clone());
    let (server, id) = server(stop.clone(), drive);
    let (smol, _) = self::server(stop.clone(), drive_on_smol);
    let hash = InfoHash(*b"a swarm of 50 peers!");
    let token = token(server, hash);
    for port in 1..=50 {
        let question = Question::AnnouncePeer {
            info_hash: hash,
            port,
            implied_port: false,
            token: &token,
            seed: false,
        };
        ask(server, &question);
    }
    let target = |seed| tinybt_tests::nodes::id(5, seed);
    let empty = |seed| InfoHash(target(seed).0);
    let peers =
        |info_hash| Question::GetPeers { info_hash, want: None, no_seed: false, scrape: false };
    println!("a node {id} with {} nodes in its table", 160);
    for (name, question) in [
        ("ping", Question::Ping),
        ("find_node", Question::FindNode { target: target(1), want: None }),
        ("get_peers, none known", peers(empty(2))),
        ("get_peers, 50 peers", peers(hash)),
    ] {
        let query = encode(&question);
        let (served, echoed) = compare(server, echo, &query);
        println!(
            "{name}: {served:.0} a second, echo of the question {echoed:.0}, ratio {:.2}",
            served / echoed
        );
        let (awaited, waited) = compare(smol, server, &query);
        println!(
            "  on smol: {awaited:.0} a second, on std {waited:.0}, ratio {:.2}",
            awaited / waited
        );
    }
    stop.store(true, Ordering::Relaxed);
}

fn encode(question: &Question<'_>) -> Vec<u8> {
    let envelope =
        Envelope { transaction: b"abcd", version: None, read_only: true, external: None };
    let mut bytes = vec![0; 1_472];
    let len = krpc::encode_query(&mut bytes, &envelope, id(1, 1), question).unwrap();
    bytes.truncate(len);
    bytes
}

fn ask(server: SocketAddr, question: &Question<'_>) -> Vec<u8> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    socket.send_to(&encode(question), server).unwrap();
    let mut bytes = vec![0; 2_048];
    let len = socket.recv(&mut bytes).expect("the node answers");
    bytes.truncate(len);
    bytes
}

fn token(server: SocketAddr, info_hash: InfoHash) -> Vec<u8> {
    let question = Question::GetPeers { info_hash, want: None, no_seed: false, scrape: false };
    let answer = ask(server, &question);
    match krpc::decode(&answer).unwrap().body {
        krpc::Body::Response(response) => response.token().unwrap().to_vec(),
        _ => panic!("not a response"),
    }
}

type Served = Dual<Heap, ChaCha8Rng>;

fn server(
    stop: Arc<AtomicBool>,
    drive: fn(Served, UdpSocket, Arc<AtomicBool>),
) -> (SocketAddr, Id) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap();
    let mut config = Config::private(Family::V4);
    // Nothing but answers is to be measured.
    config.upkeep.bootstrap = false;
    let mut node = node(3, config);
    let own = node.id();
    fill(&mut node);
    std::thread::spawn(move || drive(Dual::new(Some(node), None), socket, stop));
    (addr, own)
}

fn drive(served: Served, socket: UdpSocket, stop: Arc<AtomicBool>) {
    let mut driver = Driver::new(served, vec![socket]).unwrap();
    while !stop.load(Ordering::Relaxed) {
        driver.turn(|_, _, _| {}).unwrap();
    }
}

fn drive_on_smol(served: Served, socket: UdpSocket, _: Arc<AtomicBool>) {
    let mut driver = tinybt_smol::Driver::new(served, vec![socket]).unwrap();
    smol::block_on(async {
        loop {
            driver.next().await.unwrap();
        }
    });
}
