//! Trackers: the client in a loop without a network, and the small tracker against a UDP echo, in
//! one run: `cargo bench --bench tracker`.
#![allow(missing_docs, clippy::print_stdout)]

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant as Clock};

use chacha20::ChaCha8Rng;
use rand_core::SeedableRng;
use tinybt_core::tracker::server::{Registry, RegistryLimits, UdpServer};
use tinybt_core::tracker::udp::{Event, Patience};
use tinybt_core::wire::udp_tracker::{
    Hashes, Request, Response, UrlData, decode_request, decode_response, encode_request,
    encode_response,
};
use tinybt_core::{Announce, InfoHash, Instant, Machine, PeerId, Step, buffer};
use tinybt_std::Driver;
use tinybt_tests::counting::{Counting, allocations};
use tinybt_tests::echo::{Style, Target, compare, echo, serve};
use tinybt_tests::tracker_subjects::{announce, answer, trackers};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    client();
    memory();
    server();
}

/// Announces to one server, each answered with 50 peers that are read.
fn client() {
    let (mut machine, servers) = trackers(1, 4);
    machine.set_rate(None);
    let now = Instant::from_secs(1_000);
    let mut out = buffer();
    let mut packed = [7u8; 6 * 50];
    for (index, byte) in packed.iter_mut().enumerate() {
        *byte = index as u8 | 1;
    }
    let mut reply = [0; 1_000];
    let mut once = |count: u64| {
        let mut peers = 0usize;
        for _ in 0..count {
            machine.announce(servers[0], announce(1), Patience::BEP_15).unwrap();
            loop {
                match machine.step(now, &mut out) {
                    Step::Send(sent) => {
                        let (transaction, request) = decode_request(&out[..sent.len]).unwrap();
                        let response = match request {
                            Request::Connect => Response::Connect { connection: 1 },
                            _ => Response::Announce {
                                interval: 1_800,
                                leechers: 1,
                                seeders: 49,
                                packed: [&packed, &[]],
                            },
                        };
                        let len = encode_response(&mut reply, transaction, &response).unwrap();
                        machine.handle_datagram(now, sent.to, &reply[..len]).unwrap();
                    }
                    Step::Event(Event::Announced { request, .. }) => {
                        peers += machine.peers(request).filter(|peer| peer.port() > 1).count();
                    }
                    Step::Event(event) => panic!("{event:?}"),
                    Step::Wait(_) => break,
                }
            }
        }
        peers
    };
    assert_eq!(once(1_000), 50_000);
    let begun = Clock::now();
    let (peers, allocated) = allocations(|| once(1_000_000));
    let rate = 1e6 / begun.elapsed().as_secs_f64();
    assert_eq!(peers, 50_000_000);
    println!(
        "client: {rate:.0} announces a second (made, sent, the tracker's side read and written, the \
         answer taken in, 50 peers read), {allocated} allocations in 1,000,000"
    );
}

/// What a thousand trackers cost that are asked at once.
fn memory() {
    let before = resident();
    let (mut machine, servers) = trackers(1_000, 1_000);
    machine.set_rate(None);
    for server in &servers {
        machine.announce(*server, announce(1), Patience::BRIEF).unwrap();
    }
    let mut out = buffer();
    let now = Instant::from_secs(1_000);
    while let Step::Send(sent) = machine.step(now, &mut out) {
        let reply = answer(&out[..sent.len], 0);
        let _ = machine.handle_datagram(now, sent.to, &reply);
    }
    println!(
        "1,000 trackers asked at once from one machine: {} bytes each (resident)",
        resident().saturating_sub(before) * 4_096 / 1_000
    );
}

/// Pages of memory that this process has, where the system tells.
fn resident() -> usize {
    let told = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    told.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0)
}

/// The small tracker with 1,000 swarms of 100.
fn server() {
    let stop = Arc::new(AtomicBool::new(false));
    let echo = echo(stop.clone(), Style::Batched, Arc::default());
    let server = serve_swarms(stop.clone());
    let connection = connect(server.addr);
    let url = UrlData::Plain(b"");
    let mut announce = Announce::new(hash(9), PeerId([9; 20]), 1, 6881);
    announce.num_want = Some(50);
    let hashes = [hash(1)];
    for (name, request) in [
        ("connect", Request::Connect),
        ("announce, 50 peers told", Request::Announce { connection, announce, url }),
        ("scrape", Request::Scrape { connection, hashes: Hashes::Values(&hashes) }),
    ] {
        let mut question = vec![0; 200];
        let len = encode_request(&mut question, 5, &request).unwrap();
        let [served, echoed] = compare([&server, &echo], &question[..len]);
        println!(
            "{name}: {:.0} a second, echo of the question {:.0}, ratio {:.2}; of time {:.2}",
            served.per_second,
            echoed.per_second,
            served.per_second / echoed.per_second,
            echoed.micros / served.micros
        );
    }
    stop.store(true, Ordering::Relaxed);
}

fn hash(swarm: u32) -> InfoHash {
    let mut bytes = [7; 20];
    bytes[..4].copy_from_slice(&swarm.to_be_bytes());
    InfoHash(bytes)
}

fn serve_swarms(stop: Arc<AtomicBool>) -> Target {
    let mut registry = Registry::new(RegistryLimits::default());
    let now = Instant::from_secs(86_400);
    for swarm in 0..1_000u32 {
        for peer in 0..100u8 {
            let mut id = [peer; 20];
            id[..4].copy_from_slice(&swarm.to_be_bytes());
            let announce = Announce::new(hash(swarm), PeerId(id), 0, 6881);
            registry.announce(now, [20, peer, 0, 1].into(), &announce);
        }
    }
    serve(move |socket| {
        let machine = UdpServer::new(registry, ChaCha8Rng::seed_from_u64(1));
        let mut driver = Driver::new(machine, vec![socket]).unwrap();
        while !stop.load(Ordering::Relaxed) {
            driver.turn(|_, _, event| match event {}).unwrap();
        }
    })
}

fn connect(server: SocketAddr) -> u64 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut bytes = [0; 100];
    let len = encode_request(&mut bytes, 5, &Request::Connect).unwrap();
    socket.send_to(&bytes[..len], server).unwrap();
    let len = socket.recv(&mut bytes).unwrap();
    match decode_response(&bytes[..len]) {
        Ok((5, Response::Connect { connection })) => connection,
        other => panic!("{other:?}"),
    }
}
