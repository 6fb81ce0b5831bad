//! The codec against a straight hand-written loop over the same bytes, and against bt_bencode and
//! serde_bencode, all in one run: `cargo bench -p tinybt-tests --bench codec`.
//!
//! Every contender does the whole job: decoding ends with every member read, every node and peer
//! looked at; encoding begins with contacts and packed peers and ends with bytes in a buffer, the
//! same bytes for all. Rounds are short and interleaved, and what is shown are medians, so that a
//! noisy machine disturbs all alike. The reference knows one message only and reads its keys in
//! order of appearance, as one would write it by hand for just that message.

#![allow(missing_docs, clippy::print_stdout, unreachable_pub)]

use std::hint::black_box;
use std::time::Instant;

use tinybt_core::wire::krpc::{self, Answer, Body, Envelope, Question, Values};
use tinybt_core::{Contact, Family, Id};
use tinybt_tests::counting::{Counting, allocations};

#[path = "codec/dynamic.rs"]
mod dynamic;
#[path = "codec/reference.rs"]
mod reference;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ROUNDS: usize = 201;
const TURNS: usize = 400;

/// What a message is worth to the bench: everything that was read, folded, so that contenders can
/// be compared and no work be left out.
pub type Fold = u64;

pub fn fold_bytes(fold: Fold, bytes: &[u8]) -> Fold {
    let head = bytes.first_chunk::<8>().map_or(0, |head| u64::from_le_bytes(*head));
    fold.wrapping_mul(31).wrapping_add(head ^ bytes.len() as u64)
}

pub fn fold_peer(fold: Fold, ip: u32, port: u16) -> Fold {
    fold.wrapping_add(u64::from(ip) << 16 | u64::from(port))
}

pub fn fold_contact(fold: Fold, id: &[u8; 20], ip: u32, port: u16) -> Fold {
    fold_peer(fold_bytes(fold, id), ip, port)
}

/// What goes into the messages.
pub struct Parts {
    pub id: Id,
    pub transaction: [u8; 4],
    pub token: [u8; 8],
    pub contacts: Vec<Contact>,
    pub peers: Vec<u8>,
}

impl Parts {
    fn new() -> Parts {
        let contact = |n: u8| Contact {
            id: Id([n.wrapping_mul(37); 20]),
            addr: ([10, n, 3, 4], 6881 + u16::from(n)).into(),
        };
        Parts {
            id: Id(*b"abcdefghij0123456789"),
            transaction: *b"\x9c\x12\xfe\x07",
            token: *b"8 octets",
            contacts: (0..8).map(contact).collect(),
            peers: (0..50).flat_map(|n| [10, 9, 8, n, 0x1a, 0xe1]).collect(),
        }
    }
}

fn envelope(parts: &Parts) -> Envelope<'_> {
    Envelope {
        transaction: &parts.transaction,
        version: Some(*b"TB\x00\x01"),
        read_only: false,
        external: None,
    }
}

fn ours_encode_ping(parts: &Parts, buffer: &mut [u8]) -> usize {
    krpc::encode_query(buffer, &envelope(parts), parts.id, &Question::Ping).unwrap()
}

fn ours_encode_reply(parts: &Parts, buffer: &mut [u8]) -> usize {
    let answer = Answer {
        id: parts.id,
        nodes: Some(&parts.contacts),
        token: Some(&parts.token),
        values: Some(Values { family: Family::V4, packed: [&parts.peers, &[]] }),
        ..Answer::default()
    };
    krpc::encode_response(buffer, &envelope(parts), &answer).unwrap()
}

fn ours_decode_ping(datagram: &[u8]) -> Fold {
    let message = krpc::decode(datagram).unwrap();
    let Body::Query(query) = &message.body else { panic!() };
    let mut fold = fold_bytes(0, &query.id().unwrap().0);
    fold = fold_bytes(fold, query.method);
    fold = fold_bytes(fold, message.transaction);
    fold_bytes(fold, message.version.unwrap_or_default())
}

fn ours_decode_reply(datagram: &[u8]) -> Fold {
    let message = krpc::decode(datagram).unwrap();
    let Body::Response(response) = &message.body else { panic!() };
    let mut fold = fold_bytes(0, &response.id().unwrap().0);
    for contact in response.nodes() {
        let std::net::SocketAddr::V4(addr) = contact.addr else { panic!() };
        fold = fold_contact(fold, &contact.id.0, addr.ip().to_bits(), addr.port());
    }
    fold = fold_bytes(fold, response.token().unwrap());
    for peer in response.values() {
        let std::net::SocketAddr::V4(addr) = peer else { panic!() };
        fold = fold_peer(fold, addr.ip().to_bits(), addr.port());
    }
    fold = fold_bytes(fold, message.transaction);
    fold_bytes(fold, message.version.unwrap_or_default())
}

type Decoder = fn(&[u8]) -> Fold;
type Encoder = fn(&Parts, &mut [u8]) -> usize;

/// Nanoseconds a call, of each contender, by interleaved rounds.
fn race<const N: usize>(mut contenders: [&mut dyn FnMut(); N]) -> [f64; N] {
    let mut times = [const { Vec::new() }; N];
    for _ in 0..ROUNDS {
        for (contender, times) in contenders.iter_mut().zip(&mut times) {
            let start = Instant::now();
            contender();
            times.push(start.elapsed().as_secs_f64() * 1e9 / TURNS as f64);
        }
    }
    times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    })
}

fn show(name: &str, times: [f64; 4], allocated: [u64; 4]) {
    let [hand, ours, bt, serde] = times;
    println!(
        "| {name} | {hand:.1} | {ours:.1} | {:.2} | {:.1} | {:.1} | {} / {} / {} |",
        ours / hand,
        bt / ours,
        serde / ours,
        allocated[1],
        allocated[2],
        allocated[3]
    );
}

fn decoding(name: &str, datagram: &[u8], contenders: [Decoder; 4]) {
    let expected = contenders[0](datagram);
    let allocated = contenders.map(|contender| {
        let (fold, allocated) = allocations(|| contender(datagram));
        assert_eq!(fold, expected, "{name}: contenders read different things");
        allocated
    });
    let [mut a, mut b, mut c, mut d] = contenders.map(|contender| {
        move || {
            for _ in 0..TURNS {
                black_box(contender(black_box(datagram)));
            }
        }
    });
    show(name, race([&mut a, &mut b, &mut c, &mut d]), allocated);
}

fn encoding(name: &str, parts: &Parts, contenders: [Encoder; 4]) {
    let mut expected = [0; 1500];
    let len = contenders[0](parts, &mut expected);
    let allocated = contenders.map(|contender| {
        let mut buffer = [0; 1500];
        let (written, allocated) = allocations(|| contender(parts, &mut buffer));
        let (written, expected) = (&buffer[..written], &expected[..len]);
        assert_eq!(written.escape_ascii().to_string(), expected.escape_ascii().to_string());
        allocated
    });
    let [mut a, mut b, mut c, mut d] = contenders.map(|contender| {
        let mut buffer = [0; 1500];
        move || {
            for _ in 0..TURNS {
                black_box(contender(black_box(parts), black_box(&mut buffer)));
            }
        }
    });
    show(name, race([&mut a, &mut b, &mut c, &mut d]), allocated);
}

fn main() {
    let parts = Parts::new();
    let mut ping = [0; 1500];
    let mut reply = [0; 1500];
    let ping_len = ours_encode_ping(&parts, &mut ping);
    let reply_len = ours_encode_reply(&parts, &mut reply);
    let (ping, reply) = (&ping[..ping_len], &reply[..reply_len]);
    println!("ping: {ping_len} bytes; reply with 8 nodes and 50 peers: {reply_len} bytes");
    println!(
        "| | hand-written ns | tinybt ns | tinybt / hand-written | bt_bencode / tinybt | serde_bencode / tinybt | allocations |"
    );
    println!("|---|---|---|---|---|---|---|");
    decoding(
        "decode ping",
        ping,
        [
            reference::decode_ping,
            ours_decode_ping,
            dynamic::bt_decode_ping,
            dynamic::serde_decode_ping,
        ],
    );
    decoding(
        "decode reply",
        reply,
        [
            reference::decode_reply,
            ours_decode_reply,
            dynamic::bt_decode_reply,
            dynamic::serde_decode_reply,
        ],
    );
    encoding(
        "encode ping",
        &parts,
        [
            reference::encode_ping,
            ours_encode_ping,
            dynamic::bt_encode_ping,
            dynamic::serde_encode_ping,
        ],
    );
    encoding(
        "encode reply",
        &parts,
        [
            reference::encode_reply,
            ours_encode_reply,
            dynamic::bt_encode_reply,
            dynamic::serde_encode_reply,
        ],
    );
}
