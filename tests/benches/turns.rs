//! What a datagram costs a server and an echo, in lockstep: `cargo bench --bench turns`.
//!
//! Everything happens on one thread. As many questions as a batch has wait in the socket, then the
//! server has a turn, then the answers are taken out; and the same with the echo. So both make the
//! same system calls with the same number of datagrams, whatever else the machine does, and of many
//! turns the fastest tenth tells what a turn costs on a machine that does nothing else.
//!
//! `cargo bench --bench turns -- NAME COUNT` makes so many turns of one server alone (`ping`,
//! `find_node`, `get_peers`, `peers`, `echo`), for whoever counts instructions: `valgrind
//! --tool=callgrind --toggle-collect='turns::turn'`.
#![allow(missing_docs, clippy::print_stdout)]

use std::hint::black_box;
use std::net::{SocketAddr, UdpSocket};
use std::time::Instant;

use chacha20::ChaCha8Rng;
use tinybt_core::dht::{Config, Dual, Heap};
use tinybt_core::wire::krpc::{self, Question};
use tinybt_core::{Family, InfoHash};
use tinybt_runtime::batch::{BATCH, Inbox, Outbox};
use tinybt_std::Driver;
use tinybt_tests::echo::{echo_by_turns, encode};
use tinybt_tests::nodes::{fill, id, node};

const TURNS: usize = 20_000;
const PEERS: InfoHash = InfoHash(*b"a swarm of 50 peers!");

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let alone = args.next();
    let turns = args.next().and_then(|count| count.parse().ok()).unwrap_or(TURNS);
    let peers =
        |info_hash| Question::GetPeers { info_hash, want: None, no_seed: false, scrape: false };
    let questions = [
        ("ping", Question::Ping),
        ("find_node", Question::FindNode { target: id(5, 1), want: None }),
        ("get_peers", peers(InfoHash(id(5, 2).0))),
        ("peers", peers(PEERS)),
    ];
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap();
    let mut driver = Driver::new(server(), vec![socket]).unwrap();
    let mut serve = || driver.turn(|_, _, _| {}).unwrap();
    let mut asker = Asker::new();
    announce(&mut asker, addr, &mut serve);
    for (name, question) in questions {
        let query = encode(&question);
        let len = asker.ask(addr, &query, 1, &mut serve).1;
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let echo = socket.local_addr().unwrap();
        let mut echoes = echo_by_turns(socket, len);
        match alone.as_deref() {
            Some("echo") if name == "ping" => asker.many(echo, &query, turns, &mut echoes),
            Some(alone) if alone == name => asker.many(addr, &query, turns, &mut serve),
            Some(_) => {}
            None => {
                for count in [BATCH, BATCH / 4, 1] {
                    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
                    for _ in 0..turns {
                        ours.push(asker.ask(addr, &query, count, &mut serve).0);
                        theirs.push(asker.ask(echo, &query, count, &mut echoes).0);
                    }
                    let [ours, theirs] = [ours, theirs].map(|times| fastest(times) / count as f64);
                    println!(
                        "{name}, {} bytes answered with {len}, {count} at once: {:.0} ns, echo \
                         {:.0} ns, {:.0} ns more, ratio {:.3}",
                        query.len(),
                        ours,
                        theirs,
                        ours - theirs,
                        theirs / ours
                    );
                }
            }
        }
    }
}

/// The median of the fastest fifth.
fn fastest(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 10]
}

#[inline(never)]
fn turn(serve: &mut impl FnMut()) {
    black_box(serve)();
}

struct Asker {
    socket: UdpSocket,
    inbox: Inbox,
    outbox: Outbox,
}

impl Asker {
    fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let (inbox, outbox) = (Inbox::new([&socket]), Outbox::new([&socket]));
        Self { socket, inbox, outbox }
    }

    /// Asks so often at once, gives the server its turn, and takes in the answers: nanoseconds of
    /// the turn, and how long an answer is.
    fn ask(
        &mut self,
        to: SocketAddr,
        query: &[u8],
        count: usize,
        serve: &mut impl FnMut(),
    ) -> (f64, usize) {
        for _ in 0..count {
            self.outbox.place()[..query.len()].copy_from_slice(query);
            self.outbox.push(to, query.len(), 0);
        }
        self.outbox.send(|_| Some(&self.socket));
        let begun = Instant::now();
        turn(serve);
        let took = begun.elapsed().as_nanos() as f64;
        self.inbox.fill(&self.socket, &self.socket.local_addr().unwrap()).unwrap();
        let (mut answers, mut len) = (0, 0);
        while let Some((_, answer)) = self.inbox.pop() {
            (answers, len) = (answers + 1, answer.len());
        }
        assert_eq!(answers, count);
        (took, len)
    }

    fn many(&mut self, to: SocketAddr, query: &[u8], turns: usize, serve: &mut impl FnMut()) {
        for _ in 0..turns {
            self.ask(to, query, BATCH, serve);
        }
    }
}

fn server() -> Dual<Heap, ChaCha8Rng> {
    let mut config = Config::private(Family::V4);
    // Nothing but answers is to be measured.
    config.upkeep.bootstrap = false;
    let mut node = node(3, config);
    fill(&mut node);
    Dual::new(Some(node), None)
}

fn announce(asker: &mut Asker, to: SocketAddr, serve: &mut impl FnMut()) {
    let question =
        Question::GetPeers { info_hash: PEERS, want: None, no_seed: false, scrape: false };
    let query = encode(&question);
    asker.outbox.place()[..query.len()].copy_from_slice(&query);
    asker.outbox.push(to, query.len(), 0);
    asker.outbox.send(|_| Some(&asker.socket));
    serve();
    let mut answer = [0; 2_048];
    let (len, _) = asker.socket.recv_from(&mut answer).unwrap();
    let krpc::Body::Response(response) = krpc::decode(&answer[..len]).unwrap().body else {
        panic!("not a response")
    };
    let token = response.token().unwrap();
    for port in 1..=50 {
        let question = Question::AnnouncePeer {
            info_hash: PEERS,
            port,
            implied_port: false,
            token,
            seed: false,
        };
        asker.ask(to, &encode(&question), 1, serve);
    }
}
