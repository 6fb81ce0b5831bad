//! A whole lookup in a program that has nothing: no std, no allocator, no libc, no start files.
//!
//! A node looks for peers among a few others in this very program, and a client asks a UDP tracker;
//! the exit status says whether they found them. `.ci/no_std` links it with `-nostartfiles -nodefaultlibs -nostdlib -static`, looks
//! for undefined symbols, and runs it.
#![no_std]
#![no_main]

mod platform;

use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;

use rand_core::{TryCryptoRng, TryRng};
use tinybt_core::dht::{Config, Event, Node, Port};
use tinybt_core::tracker::udp::{Inline, Patience, UdpTrackers};
use tinybt_core::wire::udp_tracker::{Request, Response, decode_request, encode_response};
use tinybt_core::{Announce, Buffer, Family, Id, InfoHash, Instant, Machine, PeerId, Step, buffer};

tinybt_core::storage! {
    /// As little as a lookup needs.
    struct Tiny {
        lookups: 2,
        in_flight: 16,
        asks: 1,
        questions: 1,
        replies: 4,
        buckets: 8,
        peers_per_lookup: 16,
        hops: 0,
        peers_stored: 16,
        shunned: 8,
        sources: 8,
    }
}

/// Not random at all; a real program has a source of its own.
struct Counter(u64);

impl TryRng for Counter {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        self.try_next_u64().map(|word| (word >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        Ok(self.0 ^ self.0 >> 29)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        for byte in bytes {
            *byte = (self.try_next_u64()? >> 56) as u8;
        }
        Ok(())
    }
}

impl TryCryptoRng for Counter {}

const NODES: usize = 12;

fn addr(index: usize) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(10, 0, 0, index as u8 + 1), 6881))
}

fn node(index: usize) -> Node<Tiny, Counter> {
    let mut config = Config::private(Family::V4);
    let mut id = [index as u8; 20];
    id[0] = (index * 21) as u8;
    config.id = Some(Id(id));
    let mut node = Node::new(config, Tiny, Counter(index as u64));
    if index > 0 {
        node.add_source(addr(0));
    }
    node
}

/// Drives every node until nobody has anything to say, delivering each datagram at once.
fn exchange(
    nodes: &mut [Node<Tiny, Counter>; NODES],
    now: Instant,
    out: &mut Buffer,
    mut tell: impl FnMut(usize, Event),
) {
    let mut busy = true;
    while busy {
        busy = false;
        for index in 0..NODES {
            loop {
                match nodes[index].step(now, out) {
                    Step::Send(transmit) => {
                        busy = true;
                        let to = (0..NODES).find(|index| addr(*index) == transmit.to);
                        if let Some(to) = to {
                            let _ =
                                nodes[to].handle_datagram(now, addr(index), &out[..transmit.len]);
                        }
                    }
                    Step::Event(event) => tell(index, event),
                    Step::Wait(_) => break,
                }
            }
        }
    }
}

/// 0 if the peer that one node announced was found by another.
fn run() -> i32 {
    let mut nodes: [Node<Tiny, Counter>; NODES] = core::array::from_fn(node);
    let mut out = buffer();
    let mut now = Instant::from_secs(1);
    for _ in 0..60 {
        exchange(&mut nodes, now, &mut out, |_, _| {});
        now = now + Duration::from_secs(5);
    }
    let info_hash = InfoHash([0x5a; 20]);
    if nodes[3].announce(now, info_hash, Port::Number(4_242)).is_err() {
        return 2;
    }
    let mut stored = 0;
    exchange(&mut nodes, now, &mut out, |_, event| {
        if let Event::Finished { outcome, .. } = event {
            stored = outcome.stored;
        }
    });
    if nodes[9].get_peers(now, info_hash).is_err() {
        return 3;
    }
    let mut found = false;
    exchange(&mut nodes, now, &mut out, |index, event| {
        found |= index == 9
            && matches!(event, Event::Peer { peer, .. } if peer == SocketAddr::new(addr(3).ip(), 4_242));
    });
    match (stored, found, tracker(now, &mut out)) {
        (0, ..) => 4,
        (_, false, _) => 5,
        (_, _, None) => 6,
        _ => 0,
    }
}

/// A UDP tracker names a peer.
fn tracker(now: Instant, out: &mut Buffer) -> Option<()> {
    let mut client = UdpTrackers::new(Inline::<1, 16, 1, 1>, Counter(7));
    let server = client.add(addr(50), b"/announce").ok()?;
    let announce = Announce::new(InfoHash([0x5a; 20]), PeerId([1; 20]), 1, 6881);
    client.announce(server, announce, Patience::BEP_15).ok()?;
    let mut reply = [0; 64];
    loop {
        match client.step(now, out) {
            Step::Send(sent) => {
                let (transaction, request) = decode_request(&out[..sent.len])?;
                let response = match request {
                    Request::Connect => Response::Connect { connection: 9 },
                    _ => Response::Announce {
                        interval: 60,
                        leechers: 1,
                        seeders: 0,
                        packed: [&[10, 0, 0, 4, 0, 80], &[]],
                    },
                };
                let len = encode_response(&mut reply, transaction, &response)?;
                client.handle_datagram(now, sent.to, &reply[..len]).ok()?;
            }
            Step::Event(event) => {
                let peer = client.peers(event.request()).next()?;
                return (peer == SocketAddr::new(addr(3).ip(), 80)).then_some(());
            }
            Step::Wait(_) => return None,
        }
    }
}
