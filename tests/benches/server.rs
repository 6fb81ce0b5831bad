//! A node with a full routing table against UDP echoes, and on tinybt-smol against tinybt-std, in
//! one run: `cargo bench --bench server`.
//!
//! One client keeps 64 questions outstanding with each in turn, in short rounds that alternate, so
//! that whatever else the machine does hits all. There are two echoes that are fair: they wait with
//! the same call as the node, receive and send with the same calls, as often, and answer with as
//! many bytes. One takes as many datagrams as there are with each system call, as tinybt-std does
//! where it can; the other one by one. Beside them the plainest: a socket that blocks and sends the
//! question back. Ratios are of the time that a processor spends on an answer, the operating
//! system's part included; in brackets those of the rates.
#![allow(missing_docs, clippy::print_stdout)]

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use chacha20::ChaCha8Rng;
use tinybt_core::dht::{Config, Dual, Heap};
use tinybt_core::wire::krpc::{self, Question};
use tinybt_core::{Family, InfoHash};
use tinybt_std::Driver;
use tinybt_tests::echo::{Rate, Style, Target, compare, drive_one_by_one, echo, encode, serve};
use tinybt_tests::nodes::{fill, node};

fn main() {
    let stop = Arc::new(AtomicBool::new(false));
    let len = Arc::new(AtomicUsize::new(0));
    let plain = echo(stop.clone(), Style::Blocking, Arc::default());
    let [echo_one, echo_many] =
        [Style::OneByOne, Style::Batched].map(|style| echo(stop.clone(), style, len.clone()));
    let [one, many, smol] =
        [drive_one_by_one as Drive, drive, drive_on_smol].map(|drive| server(stop.clone(), drive));
    let hash = InfoHash(*b"a swarm of 50 peers!");
    for node in [&one, &many, &smol] {
        let token = token(node.addr, hash);
        for port in 1..=50 {
            let question = Question::AnnouncePeer {
                info_hash: hash,
                port,
                implied_port: false,
                token: &token,
                seed: false,
            };
            ask(node.addr, &question);
        }
    }
    let target = |seed| tinybt_tests::nodes::id(5, seed);
    let empty = |seed| InfoHash(target(seed).0);
    let peers =
        |info_hash| Question::GetPeers { info_hash, want: None, no_seed: false, scrape: false };
    println!("nodes with 160 others in their tables");
    for (name, question) in [
        ("ping", Question::Ping),
        ("find_node", Question::FindNode { target: target(1), want: None }),
        ("get_peers, none known", peers(empty(2))),
        ("get_peers, 50 peers", peers(hash)),
    ] {
        let query = encode(&question);
        let answer = ask(many.addr, &question).len();
        len.store(answer, Ordering::Relaxed);
        let targets = [&many, &echo_many, &one, &echo_one, &plain, &smol];
        let [many, echo_many, one, echo_one, plain, smol] = compare(targets, &query);
        println!("{name}: {} bytes, answered with {answer}", query.len());
        print("against the echo, several at once", many, echo_many);
        print("against the echo, one by one", one, echo_one);
        print("against the plain echo of the question", many, plain);
        print("tinybt-smol against tinybt-std", smol, many);
    }
    stop.store(true, Ordering::Relaxed);
}

fn print(what: &str, served: Rate, other: Rate) {
    println!(
        "  {what}: {:.2} µs, {:.2} µs, ratio {:.2} ({:.0} a second, {:.0}, {:.2})",
        served.micros,
        other.micros,
        other.micros / served.micros,
        served.per_second,
        other.per_second,
        served.per_second / other.per_second
    );
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

type Drive = fn(Served, UdpSocket, &AtomicBool);

fn server(stop: Arc<AtomicBool>, drive: Drive) -> Target {
    let mut config = Config::private(Family::V4);
    // Nothing but answers is to be measured.
    config.upkeep.bootstrap = false;
    let mut node = node(3, config);
    fill(&mut node);
    serve(move |socket| drive(Dual::new(Some(node), None), socket, &stop))
}

fn drive(served: Served, socket: UdpSocket, stop: &AtomicBool) {
    let mut driver = Driver::new(served, vec![socket]).unwrap();
    while !stop.load(Ordering::Relaxed) {
        driver.turn(|_, _, _| {}).unwrap();
    }
}

fn drive_on_smol(served: Served, socket: UdpSocket, _: &AtomicBool) {
    let mut driver = tinybt_smol::Driver::new(served, vec![socket]).unwrap();
    smol::block_on(async {
        loop {
            driver.next().await.unwrap();
        }
    });
}
