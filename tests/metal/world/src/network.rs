//! The network: 64 neighbours and a tracker, of which nothing is kept but what is under way to them
//! and what they were told to store. Who they are and whom they know is computed when it is asked.
//!
//! The ids of the neighbours are spread evenly: the first six bits are a neighbour's number. It
//! knows the seven others whose numbers share the first three bits, and the one in each other
//! eighth of the key space whose number has the last three bits in common. So a lookup goes from
//! anybody into the right eighth, and around there.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use tinybt_core::wire::compact::{read_peer, write_peer};
use tinybt_core::wire::krpc::{self, Answer, Body, Envelope, Query, Values};
use tinybt_core::wire::udp_tracker::{Request, Response, decode_request, encode_response};
use tinybt_core::{Contact, Family, Id, InfoHash, Instant};

/// Our address, as the network sees it.
pub const OURS: SocketAddr = address(200, 6881);

/// The tracker.
pub const TRACKER: SocketAddr = address(100, 6969);

/// A swarm, of which the neighbours in its eighth of the key space know the peers.
pub struct Swarm {
    /// What it is known by.
    pub info_hash: InfoHash,
    /// How many peers there are.
    pub peers: u8,
}

/// The swarms that there are.
pub const SWARMS: [Swarm; 2] = [
    Swarm { info_hash: InfoHash([0x5a; 20]), peers: 5 },
    Swarm { info_hash: InfoHash([0xc3; 20]), peers: 3 },
];

/// Peers of the first swarm that the tracker knows.
pub const TRACKED: u8 = 2;

const NEIGHBOURS: u8 = 64;

/// One that never answers: it is close to the first swarm.
const SILENT: u8 = 0x5a >> 2;

/// One datagram of so many is lost.
const LOSS: u32 = 16;

/// What the tracker proves addresses with.
const CONNECTION: u64 = 0x7463_6f6e_6e65_6374;

const PEER: usize = Family::V4.peer_len();

/// Each in a network of its own, and in a /16 of its own: of one, a lookup takes in few.
const fn address(network: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(20 + network, 18, 0, 1)), port)
}

/// The address of a neighbour.
pub const fn neighbour(number: u8) -> SocketAddr {
    address(number, 6881)
}

/// A peer of a swarm; the first ones are those that the tracker knows.
pub fn peer(swarm: usize, number: u8) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(203, 0, 113, number + 1), 50_000 + swarm as u16))
}

/// A datagram under way.
struct Packet {
    arrives: Instant,
    to: SocketAddr,
    len: usize,
    /// Our questions are shorter than 160 bytes.
    bytes: [u8; 160],
}

/// What a neighbour was told to store.
struct Stored {
    number: u8,
    peer: [u8; PEER],
}

/// The network.
pub struct Network {
    under_way: [Option<Packet>; 24],
    stored: [Option<Stored>; 16],
    /// Datagrams that were sent into the network.
    pub sent: u32,
    /// Datagrams that it answered.
    pub answered: u32,
}

impl Network {
    /// Nothing was sent yet. Not inlined for the same reason as [`machines`](crate::machines).
    #[inline(never)]
    pub fn new() -> Self {
        Self { under_way: [const { None }; 24], stored: [const { None }; 16], sent: 0, answered: 0 }
    }

    /// Takes a datagram of ours. The answer will be there a round trip later.
    pub fn send(&mut self, now: Instant, to: SocketAddr, datagram: &[u8]) {
        self.sent += 1;
        if self.sent.is_multiple_of(LOSS) || to == neighbour(SILENT) {
            return;
        }
        let mut bytes = [0; 160];
        let place = self.under_way.iter_mut().find(|place| place.is_none());
        let (Some(place), Some(head)) = (place, bytes.get_mut(..datagram.len())) else { return };
        head.copy_from_slice(datagram);
        let round_trip = Duration::from_millis(20 + u64::from(self.sent * 37 % 60));
        *place = Some(Packet { arrives: now + round_trip, to, len: datagram.len(), bytes });
    }

    /// When the next answer will be here.
    pub fn next(&self) -> Option<Instant> {
        self.under_way.iter().flatten().map(|packet| packet.arrives).min()
    }

    /// Writes an answer that is here by now; returns whose it is, and how long.
    pub fn receive(&mut self, now: Instant, buffer: &mut [u8]) -> Option<(SocketAddr, usize)> {
        let is_here = |place: &&mut Option<Packet>| {
            place.as_ref().is_some_and(|packet| packet.arrives <= now)
        };
        loop {
            let packet = self.under_way.iter_mut().find(is_here)?.take()?;
            let datagram = packet.bytes.get(..packet.len)?;
            let len = match neighbour_at(packet.to) {
                Some(number) => self.neighbour(number, datagram, buffer),
                None if packet.to == TRACKER => tracker(datagram, buffer),
                None => None,
            };
            if let Some(len) = len {
                self.answered += 1;
                return Some((packet.to, len));
            }
        }
    }

    /// What a neighbour answers.
    fn neighbour(&mut self, number: u8, datagram: &[u8], buffer: &mut [u8]) -> Option<usize> {
        let message = krpc::decode(datagram).ok()?;
        let Body::Query(query) = message.body else { return None };
        let envelope = Envelope {
            transaction: message.transaction,
            external: Some(OURS),
            ..Envelope::default()
        };
        let id = id(number);
        let answer = Answer { id, ..Answer::default() };
        let target = match query.method {
            b"find_node" => query.target().ok(),
            b"get_peers" => query.info_hash().ok().map(InfoHash::as_id),
            b"announce_peer" => return self.announced(number, &query, &envelope, buffer),
            _ => None,
        };
        let Some(target) = target else {
            return krpc::encode_response(buffer, &envelope, &answer).ok();
        };
        let nodes = closest(number, target);
        let answer = Answer { nodes: Some(&nodes), ..answer };
        if query.method == b"find_node" {
            return krpc::encode_response(buffer, &envelope, &answer).ok();
        }
        let mut packed = [0; 3 * PEER];
        let len = self.peers(number, target, &mut packed);
        let packed = packed.get(..len)?;
        let values = Values { family: Family::V4, packed: [packed, &[]] };
        let values = (!packed.is_empty()).then_some(values);
        let answer = Answer { token: Some(&token(number)), values, ..answer };
        krpc::encode_response(buffer, &envelope, &answer).ok()
    }

    /// Writes the peers that a neighbour knows: two of the swarm in its eighth, and who told it.
    fn peers(&self, number: u8, target: Id, packed: &mut [u8]) -> usize {
        let [first, ..] = target.0;
        let known = |swarm: &Swarm| swarm.info_hash.as_id() == target && first >> 5 == number >> 3;
        let mut len = 0;
        let mut write = |peer: SocketAddr| {
            let written = packed.get_mut(len..).and_then(|place| write_peer(&peer, place));
            len += written.unwrap_or(0);
        };
        if let Some(swarm) = SWARMS.iter().position(known) {
            let peers = SWARMS.get(swarm).map_or(1, |swarm| swarm.peers);
            write(peer(swarm, number % peers));
            write(peer(swarm, (number + 1) % peers));
        }
        let [first, ..] = SWARMS;
        let told = self.stored.iter().flatten().find(|stored| stored.number == number);
        if let Some(told) = told.filter(|_| first.info_hash.as_id() == target) {
            read_peer(&told.peer).map(&mut write);
        }
        len
    }

    /// Stores a peer, if the token is the one that this neighbour gave.
    fn announced(
        &mut self,
        number: u8,
        query: &Query<'_>,
        envelope: &Envelope<'_>,
        buffer: &mut [u8],
    ) -> Option<usize> {
        if query.token() != Ok(&token(number)) {
            return krpc::encode_error(buffer, envelope, 203, b"bad token").ok();
        }
        let mut peer = [0; PEER];
        write_peer(&SocketAddr::new(OURS.ip(), query.port().ok()?), &mut peer)?;
        let is_free = |place: &&mut Option<Stored>| {
            place.as_ref().is_none_or(|stored| stored.number == number)
        };
        *self.stored.iter_mut().find(is_free)? = Some(Stored { number, peer });
        let answer = Answer { id: id(number), ..Answer::default() };
        krpc::encode_response(buffer, envelope, &answer).ok()
    }
}

/// What the tracker answers: nothing to those who have not asked for a connection before.
fn tracker(datagram: &[u8], buffer: &mut [u8]) -> Option<usize> {
    let (transaction, request) = decode_request(datagram)?;
    let mut packed = [0; PEER * TRACKED as usize];
    let response = match request {
        Request::Connect => Response::Connect { connection: CONNECTION },
        Request::Announce { connection: CONNECTION, .. } => {
            for (number, place) in packed.chunks_exact_mut(PEER).enumerate() {
                write_peer(&peer(0, number as u8), place)?;
            }
            let seeders = TRACKED.into();
            Response::Announce { interval: 1_800, leechers: 1, seeders, packed: [&packed, &[]] }
        }
        _ => return None,
    };
    encode_response(buffer, transaction, &response)
}

fn neighbour_at(addr: SocketAddr) -> Option<u8> {
    (0..NEIGHBOURS).find(|number| neighbour(*number) == addr)
}

fn id(number: u8) -> Id {
    let mut id = [number.wrapping_mul(0x9d); 20];
    let [first, ..] = &mut id;
    *first = number << 2 | 1;
    Id(id)
}

fn token(number: u8) -> [u8; 4] {
    [b't', b'o', b'k', number]
}

/// Whether one neighbour knows another.
fn knows(number: u8, other: u8) -> bool {
    number != other && (number >> 3 == other >> 3 || number & 7 == other & 7)
}

/// The eight closest nodes that a neighbour knows.
fn closest(number: u8, target: Id) -> [Contact; 8] {
    let mut last = None;
    core::array::from_fn(|_| {
        let known = (0..NEIGHBOURS).filter(|other| knows(number, *other));
        let known = known.map(|other| (id(other).distance(target), other));
        last = known.filter(|candidate| last.is_none_or(|last| *candidate > last)).min();
        let other = last.map_or(0, |(_, other)| other);
        Contact { id: id(other), addr: neighbour(other) }
    })
}
