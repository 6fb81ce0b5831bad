//! KRPC: there and back again for any content, in any room, in agreement with bt_bencode.

use std::net::SocketAddr;

use bt_bencode::Value;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tinybt_core::limits::{REPLY_MAX, TRANSACTION_MAX};
use tinybt_core::wire::bencode::is_one_value;
use tinybt_core::wire::compact::{read_peer, write_peer};
use tinybt_core::wire::krpc::{
    self, Answer, Body, EncodeError, Envelope, Question, Values, Want, encode_error, encode_query,
    encode_response,
};
use tinybt_core::{Contact, Family, Id, InfoHash};
use tinybt_tests::fuzz_wire;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, cases, ..Default::default() }
}

fn id() -> impl Strategy<Value = Id> {
    any::<[u8; 20]>().prop_map(Id)
}

fn addr(family: Family) -> BoxedStrategy<SocketAddr> {
    match family {
        Family::V4 => (any::<[u8; 4]>(), 1u16..).prop_map(SocketAddr::from).boxed(),
        Family::V6 => (any::<[u8; 16]>(), 1u16..).prop_map(SocketAddr::from).boxed(),
    }
}

fn contacts(family: Family) -> impl Strategy<Value = Vec<Contact>> {
    vec((id(), addr(family)).prop_map(|(id, addr)| Contact { id, addr }), 0..9)
}

fn family() -> impl Strategy<Value = Family> {
    select(vec![Family::V4, Family::V6])
}

fn pack(peers: &[SocketAddr]) -> Vec<u8> {
    let mut packed = Vec::new();
    for peer in peers {
        let mut buffer = [0; 18];
        let len = write_peer(peer, &mut buffer).unwrap();
        packed.extend_from_slice(&buffer[..len]);
    }
    packed
}

fn want() -> impl Strategy<Value = Option<Want>> {
    option::of((any::<bool>(), any::<bool>()).prop_map(|(v4, v6)| Want { v4, v6 }))
}

#[derive(Clone, Debug)]
struct Around {
    transaction: Vec<u8>,
    version: Option<[u8; 4]>,
    read_only: bool,
    external: Option<SocketAddr>,
}

impl Around {
    fn envelope(&self) -> Envelope<'_> {
        Envelope {
            transaction: &self.transaction,
            version: self.version,
            read_only: self.read_only,
            external: self.external,
        }
    }
}

fn around() -> impl Strategy<Value = Around> {
    let external = option::of(prop_oneof![addr(Family::V4), addr(Family::V6)]);
    (vec(any::<u8>(), 0..=TRANSACTION_MAX), any::<Option<[u8; 4]>>(), any::<bool>(), external)
        .prop_map(|(transaction, version, read_only, external)| Around {
            transaction,
            version,
            read_only,
            external,
        })
}

/// bt_bencode reads what was written, and would write the same: so it is canonical.
fn is_canonical(datagram: &[u8]) -> Value {
    let value: Value = bt_bencode::from_slice(datagram).unwrap();
    assert_eq!(bt_bencode::to_vec(&value).unwrap(), datagram);
    assert!(is_one_value(datagram));
    value
}

/// Whatever is written into less room than it takes is not written.
fn needs_its_room(len: usize, write: impl Fn(&mut [u8]) -> Result<usize, EncodeError>) {
    for room in 0..len {
        assert_eq!(write(&mut vec![0; room]), Err(EncodeError::NoRoom), "{room} of {len}");
    }
    assert_eq!(write(&mut vec![0; len]), Ok(len));
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn queries(
        around in around(), own in id(), target in id(), want in want(), token: Vec<u8>,
        port in 1u16.., flags: [bool; 2], seq: Option<i64>, cas: Option<i64>, which in 0usize..8,
        key: [u8; 32], signature: [u8; 32], salt in vec(any::<u8>(), 0..64), bytes: Vec<u8>,
    ) {
        let info_hash = InfoHash(target.0);
        let signature: [u8; 64] = [signature, signature].concat().try_into().unwrap();
        let value = bt_bencode::to_vec(&Value::from(bytes)).unwrap();
        let (token, value, salt) = (&token[..], &value[..], &salt[..]);
        let [one, two] = flags;
        let question = match which {
            0 => Question::Ping,
            1 => Question::FindNode { target, want },
            2 => Question::GetPeers { info_hash, want, no_seed: one, scrape: two },
            3 => Question::AnnouncePeer { info_hash, port, implied_port: one, token, seed: two },
            4 => Question::SampleInfohashes { target, want },
            5 => Question::Get { target, seq, want },
            6 => Question::PutImmutable { target, token, value },
            _ => Question::PutMutable {
                target, token, value, key: &key, signature: &signature, seq: seq.unwrap_or(0), salt, cas,
            },
        };
        let mut buffer = [0; 2000];
        let len = encode_query(&mut buffer, &around.envelope(), own, &question).unwrap();
        needs_its_room(len, |room| encode_query(room, &around.envelope(), own, &question));
        let datagram = &buffer[..len];
        is_canonical(datagram);
        let message = krpc::decode(datagram).unwrap();
        prop_assert_eq!(message.transaction, &around.transaction[..]);
        prop_assert_eq!(message.version, around.version.as_ref().map(|version| &version[..]));
        prop_assert_eq!(message.read_only, around.read_only);
        let Body::Query(query) = &message.body else { panic!() };
        prop_assert_eq!(query.id(), Ok(own));
        let wanted = |given: Option<Want>| query.want() == given.unwrap_or_default();
        match question {
            Question::Ping => prop_assert_eq!(query.method, b"ping"),
            Question::FindNode { .. } | Question::SampleInfohashes { .. } => {
                prop_assert!(query.target() == Ok(target) && wanted(want));
            }
            Question::GetPeers { .. } => {
                prop_assert!(query.info_hash() == Ok(info_hash) && wanted(want));
                prop_assert_eq!((query.no_seed(), query.scrape()), (one, two));
            }
            Question::AnnouncePeer { .. } => {
                prop_assert_eq!((query.info_hash(), query.port()), (Ok(info_hash), Ok(port)));
                prop_assert_eq!((query.implied_port(), query.seed()), (one, two));
                prop_assert_eq!(query.token(), Ok(token));
            }
            Question::Get { .. } => {
                prop_assert!(query.target() == Ok(target) && wanted(want));
                prop_assert_eq!(query.sequence(), seq);
            }
            Question::PutImmutable { .. } => {
                prop_assert_eq!((query.target(), query.token()), (Ok(target), Ok(token)));
                prop_assert_eq!(query.value(), Some(value));
            }
            _ => {
                prop_assert_eq!((query.target(), query.token()), (Ok(target), Ok(token)));
                prop_assert_eq!((query.value(), query.key()), (Some(value), Some(&key)));
                prop_assert_eq!(query.signature(), Some(&signature));
                prop_assert_eq!((query.sequence(), query.compare_and_swap()), (Some(seq.unwrap_or(0)), cas));
                prop_assert_eq!(query.salt(), Some(salt).filter(|salt| !salt.is_empty()));
            }
        }
        fuzz_wire::krpc(datagram);
    }

    #[test]
    fn responses(
        around in around(), own in id(), v4 in option::of(contacts(Family::V4)),
        v6 in option::of(contacts(Family::V6)), token in option::of(vec(any::<u8>(), 0..40)),
        (family, peers) in family().prop_flat_map(|family| (Just(family), vec(addr(family), 0..40))),
        cut: Index,
    ) {
        let packed = pack(&peers);
        let stride = family.peer_len();
        let (left, right) = packed.split_at(cut.index(peers.len() + 1) * stride);
        let answer = Answer {
            id: own,
            nodes: v4.as_deref(),
            nodes6: v6.as_deref(),
            token: token.as_deref(),
            values: Some(Values { family, packed: [left, right] }),
            ..Answer::default()
        };
        let mut buffer = [0; 4000];
        let whole = encode_response(&mut buffer, &around.envelope(), &answer).unwrap();
        let value = is_canonical(&buffer[..whole]);
        let members = value.get("r").unwrap();
        prop_assert_eq!(members.get("id").unwrap().as_byte_str().unwrap().as_slice(), &own.0);
        prop_assert_eq!(members.get("nodes").is_some(), v4.is_some());
        prop_assert_eq!(members.get("nodes6").is_some(), v6.is_some());
        prop_assert_eq!(members.get("values").unwrap().as_list().unwrap().len(), peers.len());
        let empty = Answer { values: Some(Values { family, packed: [&[], &[]] }), ..answer };
        let least = encode_response(&mut [0; 4000], &around.envelope(), &empty).unwrap();
        // In any room that takes the rest there are as many peers as fit.
        for room in (0..=whole).rev().step_by(5) {
            let mut buffer = vec![0; room];
            let Ok(len) = encode_response(&mut buffer, &around.envelope(), &answer) else {
                prop_assert!(room < least);
                continue;
            };
            is_canonical(&buffer[..len]);
            let message = krpc::decode(&buffer[..len]).unwrap();
            prop_assert_eq!(message.external, around.external);
            let Body::Response(response) = &message.body else { panic!() };
            prop_assert_eq!(response.id(), Some(own));
            prop_assert_eq!(response.token(), token.as_deref());
            prop_assert!(response.nodes().eq(v4.iter().flatten().copied()));
            prop_assert!(response.nodes6().eq(v6.iter().flatten().copied()));
            let count = response.values().count();
            prop_assert!(response.values().eq(peers.iter().copied().take(count)));
            let one = if family == Family::V4 { 8 } else { 21 };
            prop_assert!(count == peers.len() || len + one > room, "{count}: {len} of {room}");
        }
        fuzz_wire::krpc(&buffer[..whole]);
    }

    #[test]
    fn errors(around in around(), code: i64, text in vec(any::<u8>(), 0..120)) {
        let mut buffer = [0; 400];
        let len = encode_error(&mut buffer, &around.envelope(), code, &text).unwrap();
        needs_its_room(len, |room| encode_error(room, &around.envelope(), code, &text));
        is_canonical(&buffer[..len]);
        let message = krpc::decode(&buffer[..len]).unwrap();
        let Body::Error(error) = message.body else { panic!() };
        prop_assert_eq!((error.code, error.message), (code, &text[..]));
    }

    #[test]
    fn the_order_of_keys_does_not_matter(
        order in Just(["1:q4:ping", "1:t2:xy", "1:v4:ABCD", "1:y1:q", "2:roi1e", "1:zd1:ai1ee",
            "1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e"]).prop_shuffle(),
    ) {
        let datagram = format!("d{}e", order.concat());
        let message = krpc::decode(datagram.as_bytes()).unwrap();
        prop_assert_eq!((message.transaction, message.read_only), (&b"xy"[..], true));
        prop_assert_eq!(message.version, Some(&b"ABCD"[..]));
        let Body::Query(query) = &message.body else { panic!() };
        prop_assert_eq!(query.target(), Ok(Id(*b"mnopqrstuvwxyz123456")));
        fuzz_wire::krpc(datagram.as_bytes());
    }
}

/// Dictionaries like those of KRPC, with values of any kind under the keys that it knows.
fn like_krpc() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        Just("i0e"),
        Just("i1e"),
        Just("i-1e"),
        Just("i65536e"),
        Just("0:"),
        Just("1:q"),
        Just("1:r"),
        Just("1:e"),
        Just("2:aa"),
        Just("4:ping"),
        Just("6:axje.u"),
        Just("18:axje.uaxje.uaxje.u"),
        Just("20:abcdefghij0123456789"),
        Just("26:mnopqrstuvwxyz123456axje.u"),
        Just("2:n4"),
        Just("27:mnopqrstuvwxyz123456axje.ux"),
    ]
    .prop_map(str::to_string);
    let keys = vec![
        "1:a",
        "1:r",
        "1:e",
        "1:q",
        "1:t",
        "1:v",
        "1:y",
        "2:ip",
        "2:ro",
        "2:id",
        "6:target",
        "9:info_hash",
        "4:port",
        "5:token",
        "4:want",
        "5:nodes",
        "6:nodes6",
        "6:values",
        "1:k",
        "3:seq",
        "7:samples",
        "1:x",
    ];
    let value = leaf.prop_recursive(3, 24, 6, move |inner| {
        let pair = (select(keys.clone()), inner.clone());
        let dictionary = vec(pair, 0..6).prop_map(|pairs| {
            let pairs: String =
                pairs.into_iter().map(|(key, value)| format!("{key}{value}")).collect();
            format!("d{pairs}e")
        });
        prop_oneof![dictionary, vec(inner, 0..5).prop_map(|items| format!("l{}e", items.concat()))]
    });
    let kind = select(vec!["1:y1:q", "1:y1:r", "1:y1:e"]);
    (vec(value, 3), kind, any::<bool>()).prop_map(|(values, kind, late)| {
        let [a, r, e] = &values[..] else { unreachable!() };
        let (early, late) = if late { ("", kind) } else { (kind, "") };
        format!("d{early}1:a{a}1:e{e}1:q4:ping1:r{r}1:t2:aa{late}e").into_bytes()
    })
}

proptest! {
    #![proptest_config(config(2048))]

    /// What is read as a message, bt_bencode reads likewise.
    #[test]
    fn agrees_with_bt_bencode(datagram in like_krpc()) {
        fuzz_wire::krpc(&datagram);
        let value: Value = bt_bencode::from_slice(&datagram).unwrap();
        // Of equal keys it keeps the last and we the first.
        let unique = bt_bencode::to_vec(&value).unwrap().len() == datagram.len();
        let string = |value: &Value| value.as_byte_str().map(|string| string.to_vec());
        let id = |members: &Value| {
            let id = members.get("id").and_then(string)?;
            id.try_into().ok().map(Id)
        };
        match krpc::decode(&datagram).map(|message| message.body) {
            Ok(Body::Query(query)) if unique => {
                prop_assert_eq!(query.id().ok(), value.get("a").and_then(id));
                let target = value.get("a").and_then(|a| a.get("target")).and_then(string);
                prop_assert_eq!(query.target().is_ok(), target.is_some_and(|t| t.len() == 20));
                let port = value.get("a").and_then(|a| a.get("port")).and_then(fuzz_wire::number);
                prop_assert_eq!(query.port().ok().map(i64::from), port.filter(|p| (1..65536).contains(p)));
            }
            Ok(Body::Response(response)) if unique => {
                let members = value.get("r").unwrap();
                prop_assert!(members.is_dict());
                prop_assert_eq!(response.id(), id(members));
                prop_assert_eq!(response.token().map(<[u8]>::to_vec), members.get("token").and_then(string));
                let none = Vec::new();
                let values = members.get("values").and_then(Value::as_list).unwrap_or(&none);
                let peers = values.iter().filter_map(string).filter_map(|peer| read_peer(&peer));
                prop_assert!(response.values().eq(peers.filter(|peer| peer.port() != 0)));
                let nodes = members.get("nodes").and_then(string).unwrap_or_default();
                prop_assert_eq!(response.nodes().count(), usize::from(nodes.len() == 26));
            }
            Ok(Body::Error(error)) if unique => {
                let list = value.get("e").unwrap().as_list().unwrap();
                prop_assert_eq!(Some(error.code), fuzz_wire::number(&list[0]));
                prop_assert_eq!(Some(error.message.to_vec()), string(&list[1]));
            }
            Err(error) if unique => {
                let list = value.get("e").and_then(Value::as_list);
                let pair = list.is_some_and(|list| {
                    list.len() >= 2 && fuzz_wire::number(&list[0]).is_some() && list[1].is_byte_str()
                });
                let refused = match error {
                    krpc::DecodeError::Response => !value.get("r").unwrap().is_dict(),
                    krpc::DecodeError::Error => !pair,
                    _ => false,
                };
                prop_assert!(refused, "{error}");
            }
            _ => {}
        }
    }

    #[test]
    fn any_bytes(mut bytes in vec(any::<u8>(), 0..300), krpc: bool) {
        if let Some(first) = bytes.first_mut().filter(|_| krpc) {
            *first = b'd';
        }
        fuzz_wire::krpc(&bytes);
    }

    #[test]
    fn a_few_bytes_changed(
        datagram in like_krpc(), edits in vec((any::<Index>(), any::<u8>()), 1..4),
    ) {
        let mut datagram = datagram;
        for (at, byte) in edits {
            let at = at.index(datagram.len());
            datagram[at] = byte;
        }
        fuzz_wire::krpc(&datagram);
        fuzz_wire::bencode(&datagram);
    }
}

#[test]
fn a_full_answer_stays_within_the_bound() {
    let contact = Contact { id: Id([9; 20]), addr: ([1, 2, 3, 4], 5).into() };
    let contact6 = Contact { addr: ([7; 16], 5).into(), ..contact };
    let packed = [8; 18 * 500];
    for family in [Family::V4, Family::V6] {
        let answer = Answer {
            id: contact.id,
            nodes: Some(&[contact; 8]),
            nodes6: Some(&[contact6; 8]),
            token: Some(&[1; 8]),
            values: Some(Values { family, packed: [&packed, &packed] }),
            ..Answer::default()
        };
        let envelope = Envelope {
            transaction: &[1; TRANSACTION_MAX],
            version: Some(*b"TB\0\x01"),
            read_only: false,
            external: Some(contact6.addr),
        };
        let mut buffer = [0; REPLY_MAX];
        let len = encode_response(&mut buffer, &envelope, &answer).unwrap();
        let one = family.peer_len() + 3;
        assert!(len <= REPLY_MAX && len + one > REPLY_MAX, "{len}");
    }
}
