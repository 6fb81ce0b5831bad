//! By hand: a loop over the bytes for just this kind of message, in plain safe Rust.

use crate::{Fold, Parts, fold_bytes, fold_contact, fold_peer};

/// Reads the string at `at` and steps behind it.
#[inline]
fn string<'a>(bytes: &'a [u8], at: &mut usize) -> &'a [u8] {
    let mut len = 0;
    while bytes[*at] != b':' {
        assert!(bytes[*at].is_ascii_digit());
        len = len * 10 + usize::from(bytes[*at] - b'0');
        *at += 1;
    }
    let start = *at + 1;
    *at = start + len;
    &bytes[start..*at]
}

#[inline]
fn peer(bytes: &[u8]) -> (u32, u16) {
    let ip = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    (ip, u16::from_be_bytes([bytes[4], bytes[5]]))
}

pub fn decode_ping(bytes: &[u8]) -> Fold {
    let (mut id, mut method, mut transaction, mut version, mut kind) =
        (None, None, None, None, None);
    assert_eq!(bytes[0], b'd');
    let mut at = 1;
    while bytes[at] != b'e' {
        match string(bytes, &mut at) {
            b"a" => {
                assert_eq!(bytes[at], b'd');
                at += 1;
                while bytes[at] != b'e' {
                    match string(bytes, &mut at) {
                        b"id" => id = Some(string(bytes, &mut at)),
                        _ => panic!(),
                    }
                }
                at += 1;
            }
            b"q" => method = Some(string(bytes, &mut at)),
            b"t" => transaction = Some(string(bytes, &mut at)),
            b"v" => version = Some(string(bytes, &mut at)),
            b"y" => kind = Some(string(bytes, &mut at)),
            _ => panic!(),
        }
    }
    assert_eq!(kind, Some(&b"q"[..]));
    let id: &[u8; 20] = id.unwrap().try_into().unwrap();
    let fold = fold_bytes(fold_bytes(0, id), method.unwrap());
    fold_bytes(fold_bytes(fold, transaction.unwrap()), version.unwrap())
}

pub fn decode_reply(bytes: &[u8]) -> Fold {
    let (mut id, mut nodes, mut token, mut peers) = (None, None, None, 0);
    let (mut transaction, mut version, mut kind) = (None, None, None);
    assert_eq!(bytes[0], b'd');
    let mut at = 1;
    while bytes[at] != b'e' {
        match string(bytes, &mut at) {
            b"r" => {
                assert_eq!(bytes[at], b'd');
                at += 1;
                while bytes[at] != b'e' {
                    match string(bytes, &mut at) {
                        b"id" => id = Some(string(bytes, &mut at)),
                        b"nodes" => nodes = Some(string(bytes, &mut at)),
                        b"token" => token = Some(string(bytes, &mut at)),
                        b"values" => {
                            assert_eq!(bytes[at], b'l');
                            at += 1;
                            while bytes[at] != b'e' {
                                let value = string(bytes, &mut at);
                                if value.len() == 6 {
                                    let (ip, port) = peer(value);
                                    if port != 0 {
                                        peers = fold_peer(peers, ip, port);
                                    }
                                }
                            }
                            at += 1;
                        }
                        _ => panic!(),
                    }
                }
                at += 1;
            }
            b"t" => transaction = Some(string(bytes, &mut at)),
            b"v" => version = Some(string(bytes, &mut at)),
            b"y" => kind = Some(string(bytes, &mut at)),
            _ => panic!(),
        }
    }
    assert_eq!(kind, Some(&b"r"[..]));
    let id: &[u8; 20] = id.unwrap().try_into().unwrap();
    let mut fold = fold_bytes(0, id);
    for node in nodes.unwrap().chunks_exact(26) {
        let (ip, port) = peer(&node[20..]);
        if port != 0 {
            fold = fold_contact(fold, node[..20].try_into().unwrap(), ip, port);
        }
    }
    fold = fold_bytes(fold, token.unwrap()).wrapping_add(peers);
    fold_bytes(fold_bytes(fold, transaction.unwrap()), version.unwrap())
}

#[inline]
fn put(buffer: &mut [u8], at: &mut usize, bytes: &[u8]) {
    buffer[*at..*at + bytes.len()].copy_from_slice(bytes);
    *at += bytes.len();
}

pub fn encode_ping(parts: &Parts, buffer: &mut [u8]) -> usize {
    let mut at = 0;
    put(buffer, &mut at, b"d1:ad2:id20:");
    put(buffer, &mut at, &parts.id.0);
    put(buffer, &mut at, b"e1:q4:ping1:t4:");
    put(buffer, &mut at, &parts.transaction);
    put(buffer, &mut at, b"1:v4:TB\x00\x011:y1:qe");
    at
}

pub fn encode_reply(parts: &Parts, buffer: &mut [u8]) -> usize {
    let mut at = 0;
    put(buffer, &mut at, b"d1:rd2:id20:");
    put(buffer, &mut at, &parts.id.0);
    put(buffer, &mut at, b"5:nodes208:");
    for contact in &parts.contacts {
        let std::net::SocketAddr::V4(addr) = contact.addr else { panic!() };
        put(buffer, &mut at, &contact.id.0);
        put(buffer, &mut at, &addr.ip().octets());
        put(buffer, &mut at, &addr.port().to_be_bytes());
    }
    put(buffer, &mut at, b"5:token8:");
    put(buffer, &mut at, &parts.token);
    put(buffer, &mut at, b"6:valuesl");
    for peer in parts.peers.chunks_exact(6) {
        put(buffer, &mut at, b"6:");
        put(buffer, &mut at, peer);
    }
    put(buffer, &mut at, b"ee1:t4:");
    put(buffer, &mut at, &parts.transaction);
    put(buffer, &mut at, b"1:v4:TB\x00\x011:y1:re");
    at
}
