//! A node with a full routing table against a UDP echo, in one run: `cargo bench --bench server`.
//!
//! One client keeps 64 questions outstanding with each in turn, in short rounds that alternate, so
//! that whatever else the machine does hits both. Prints rates and the ratio of each kind.
#![allow(missing_docs, clippy::print_stdout)]

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tinybt_core::dht::{Config, Dual};
use tinybt_core::wire::krpc::{self, Answer, Envelope, Question};
use tinybt_core::{Family, Id, InfoHash, Instant, Machine, Step, buffer};
use tinybt_std::Driver;
use tinybt_tests::echo::{compare, echo};
use tinybt_tests::nodes::{TestNode, addr, id, node};

fn main() {
    let stop = Arc::new(AtomicBool::new(false));
    let echo = echo(stop.clone());
    let (server, id) = server(stop.clone());
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

fn server(stop: Arc<AtomicBool>) -> (SocketAddr, Id) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap();
    let mut config = Config::private(Family::V4);
    // Nothing but answers is to be measured.
    config.upkeep.bootstrap = false;
    let mut node = node(3, config);
    let own = node.id();
    fill(&mut node);
    std::thread::spawn(move || {
        let mut driver = Driver::new(Dual::new(Some(node), None), vec![socket]).unwrap();
        while !stop.load(Ordering::Relaxed) {
            driver.turn(|_, _, _| {}).unwrap();
        }
    });
    (addr, own)
}

/// Lets nodes answer until the table is full.
fn fill(node: &mut TestNode) {
    let now = Instant::from_secs(86_400);
    let mut buffer = buffer();
    for index in 0..20_000 {
        node.add_node(addr(index));
        while let Step::Send(transmit) = node.step(now, &mut buffer) {
            let query = buffer[..transmit.len].to_vec();
            let message = krpc::decode(&query).unwrap();
            let envelope = Envelope {
                transaction: message.transaction,
                version: None,
                read_only: false,
                external: None,
            };
            let answer = Answer { id: id(3, index), ..Answer::default() };
            let mut bytes = [0; 500];
            let len = krpc::encode_response(&mut bytes, &envelope, &answer).unwrap();
            let _ = node.handle_datagram(now, transmit.to, &bytes[..len]);
        }
    }
}
