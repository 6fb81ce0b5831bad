//! The same by serde: typed structures, and bytes borrowed where the crate can.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::{Fold, Parts, fold_bytes, fold_contact, fold_peer};

#[derive(Serialize, Deserialize)]
struct Message {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    a: Option<Arguments>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    q: Option<ByteBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    r: Option<Members>,
    t: ByteBuf,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    v: Option<ByteBuf>,
    y: ByteBuf,
}

#[derive(Serialize, Deserialize)]
struct Arguments {
    id: ByteBuf,
}

#[derive(Serialize, Deserialize)]
struct Members {
    id: ByteBuf,
    #[serde(default)]
    nodes: ByteBuf,
    #[serde(default)]
    token: ByteBuf,
    #[serde(default)]
    values: Vec<ByteBuf>,
}

fn peer(bytes: &[u8]) -> Option<(u32, u16)> {
    let [a, b, c, d, high, low] = *bytes else { return None };
    let port = u16::from_be_bytes([high, low]);
    (port != 0).then_some((u32::from_be_bytes([a, b, c, d]), port))
}

fn ping(message: &Message) -> Fold {
    assert_eq!(message.y, b"q");
    let id: &[u8; 20] = message.a.as_ref().unwrap().id.as_slice().try_into().unwrap();
    let fold = fold_bytes(fold_bytes(0, id), message.q.as_ref().unwrap());
    fold_bytes(fold_bytes(fold, &message.t), message.v.as_ref().unwrap())
}

fn reply(message: &Message) -> Fold {
    assert_eq!(message.y, b"r");
    let members = message.r.as_ref().unwrap();
    let id: &[u8; 20] = members.id.as_slice().try_into().unwrap();
    let mut fold = fold_bytes(0, id);
    for node in members.nodes.chunks_exact(26) {
        if let Some((ip, port)) = peer(&node[20..]) {
            fold = fold_contact(fold, node[..20].try_into().unwrap(), ip, port);
        }
    }
    fold = fold_bytes(fold, &members.token);
    for (ip, port) in members.values.iter().filter_map(|value| peer(value)) {
        fold = fold_peer(fold, ip, port);
    }
    fold_bytes(fold_bytes(fold, &message.t), message.v.as_ref().unwrap())
}

fn make_ping(parts: &Parts) -> Message {
    Message {
        a: Some(Arguments { id: ByteBuf::from(parts.id.0) }),
        q: Some(ByteBuf::from(b"ping")),
        r: None,
        t: ByteBuf::from(parts.transaction),
        v: Some(ByteBuf::from(b"TB\x00\x01")),
        y: ByteBuf::from(b"q"),
    }
}

fn make_reply(parts: &Parts) -> Message {
    let mut nodes = Vec::with_capacity(parts.contacts.len() * 26);
    for contact in &parts.contacts {
        let SocketAddr::V4(addr) = contact.addr else { panic!() };
        nodes.extend_from_slice(&contact.id.0);
        nodes.extend_from_slice(&addr.ip().octets());
        nodes.extend_from_slice(&addr.port().to_be_bytes());
    }
    Message {
        a: None,
        q: None,
        r: Some(Members {
            id: ByteBuf::from(parts.id.0),
            nodes: ByteBuf::from(nodes),
            token: ByteBuf::from(parts.token),
            values: parts.peers.chunks_exact(6).map(ByteBuf::from).collect(),
        }),
        t: ByteBuf::from(parts.transaction),
        v: Some(ByteBuf::from(b"TB\x00\x01")),
        y: ByteBuf::from(b"r"),
    }
}

fn copy(bytes: Vec<u8>, buffer: &mut [u8]) -> usize {
    buffer[..bytes.len()].copy_from_slice(&bytes);
    bytes.len()
}

pub fn bt_decode_ping(bytes: &[u8]) -> Fold {
    ping(&bt_bencode::from_slice(bytes).unwrap())
}

pub fn bt_decode_reply(bytes: &[u8]) -> Fold {
    reply(&bt_bencode::from_slice(bytes).unwrap())
}

pub fn bt_encode_ping(parts: &Parts, buffer: &mut [u8]) -> usize {
    copy(bt_bencode::to_vec(&make_ping(parts)).unwrap(), buffer)
}

pub fn bt_encode_reply(parts: &Parts, buffer: &mut [u8]) -> usize {
    copy(bt_bencode::to_vec(&make_reply(parts)).unwrap(), buffer)
}

pub fn serde_decode_ping(bytes: &[u8]) -> Fold {
    ping(&serde_bencode::from_bytes(bytes).unwrap())
}

pub fn serde_decode_reply(bytes: &[u8]) -> Fold {
    reply(&serde_bencode::from_bytes(bytes).unwrap())
}

pub fn serde_encode_ping(parts: &Parts, buffer: &mut [u8]) -> usize {
    copy(serde_bencode::to_bytes(&make_ping(parts)).unwrap(), buffer)
}

pub fn serde_encode_reply(parts: &Parts, buffer: &mut [u8]) -> usize {
    copy(serde_bencode::to_bytes(&make_reply(parts)).unwrap(), buffer)
}
