//! Items (BEP 44) kept and told by a whole node: datagrams in, datagrams out, in virtual time.

use std::net::SocketAddr;
use std::time::Duration;

use chacha20::ChaCha8Rng;
use rand_core::SeedableRng;
use tinybt_core::dht::item::{SecretKey, Signer, immutable_target, mutable_target, sign};
use tinybt_core::dht::{Config, Node, Rate, Storage};
use tinybt_core::limits::{ITEM_REPLY_MAX, REPLY_MAX, SALT_MAX, VALUE_MAX};
use tinybt_core::wire::krpc::{self, Body, Envelope, Question, Response};
use tinybt_core::{Family, Id, Instant, Machine, Step, buffer};
use tinybt_tests::nodes::{TestNode, addr, fill, id, node};

use crate::items::bytes;

fn at(secs: u64) -> Instant {
    Instant::from_secs(secs)
}

const ASKER: Id = Id(*b"abcdefghij0123456789");
const HELLO: &[u8] = b"12:Hello World!";

tinybt_core::storage! {
    /// A node without an allocator that keeps a few items.
    struct Few {
        lookups: 1,
        in_flight: 8,
        asks: 1,
        questions: 1,
        replies: 4,
        buckets: 8,
        peers_per_lookup: 8,
        hops: 0,
        peers_stored: 8,
        items: 4,
        shunned: 8,
        sources: 8,
    }
}

tinybt_core::storage! {
    /// The same, and it keeps none.
    struct Without {
        lookups: 1,
        in_flight: 8,
        asks: 1,
        questions: 1,
        replies: 4,
        buckets: 8,
        peers_per_lookup: 8,
        hops: 0,
        peers_stored: 8,
        items: 0,
        shunned: 8,
        sources: 8,
    }
}

fn trusting() -> Config {
    let mut config = Config::private(Family::V4);
    config.id = Some(id(1, 0));
    config
}

/// What a node sends back.
fn exchange<S: Storage>(
    node: &mut Node<S, ChaCha8Rng>,
    now: Instant,
    from: SocketAddr,
    query: &[u8],
) -> Option<Vec<u8>> {
    let mut out = buffer();
    node.handle_datagram(now, from, query).ok()?;
    let mut reply = None;
    loop {
        match node.step(now, &mut out) {
            Step::Send(sent) if sent.to == from && reply.is_none() => {
                reply = Some(out[..sent.len].to_vec());
            }
            Step::Wait(_) => return reply,
            _ => {}
        }
    }
}

fn query(question: &Question<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 2_000];
    let envelope = Envelope { transaction: b"aa", ..Envelope::default() };
    let len = krpc::encode_query(&mut bytes, &envelope, ASKER, question).unwrap();
    bytes.truncate(len);
    bytes
}

/// What an answer says of an item.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Told {
    value: Option<Vec<u8>>,
    key: Option<[u8; 32]>,
    signature: Option<[u8; 64]>,
    seq: Option<i64>,
    token: Vec<u8>,
    nodes: Option<usize>,
    len: usize,
}

fn read(reply: &[u8]) -> Told {
    let message = krpc::decode(reply).unwrap();
    let Body::Response(response) = message.body else {
        panic!("{}", String::from_utf8_lossy(reply));
    };
    let nodes =
        |response: &Response<'_>| response.member(b"nodes").map(|_| response.nodes().count());
    Told {
        value: response.value().map(<[u8]>::to_vec),
        key: response.key().copied(),
        signature: response.signature().copied(),
        seq: response.sequence(),
        token: response.token().unwrap_or_default().to_vec(),
        nodes: nodes(&response),
        len: reply.len(),
    }
}

/// 0 for success, else the code of the error.
fn verdict(reply: Option<Vec<u8>>) -> i64 {
    let reply = reply.expect("an answer");
    match krpc::decode(&reply).unwrap().body {
        Body::Response(_) => 0,
        Body::Error(error) => error.code,
        Body::Query(_) => panic!("a query"),
    }
}

/// A node, a stranger, and the time.
struct World<S: Storage> {
    node: Node<S, ChaCha8Rng>,
    from: SocketAddr,
    now: Instant,
}

impl<S: Storage> World<S> {
    fn get(&mut self, target: Id, seq: Option<i64>) -> Told {
        let query = query(&Question::Get { target, seq, want: None });
        read(&exchange(&mut self.node, self.now, self.from, &query).expect("an answer"))
    }

    fn token(&mut self, target: Id) -> Vec<u8> {
        self.get(target, None).token
    }

    fn put_immutable(&mut self, value: &[u8]) -> i64 {
        let target = immutable_target(value);
        let token = self.token(target);
        let put = query(&Question::PutImmutable { target, token: &token, value });
        verdict(exchange(&mut self.node, self.now, self.from, &put))
    }

    fn put(
        &mut self,
        key: &SecretKey,
        salt: &[u8],
        seq: i64,
        value: &[u8],
        cas: Option<i64>,
    ) -> i64 {
        let signature = sign(key, salt, seq, value).unwrap_or([0; 64]);
        self.put_signed(key, salt, seq, value, cas, &signature)
    }

    fn put_signed(
        &mut self,
        key: &SecretKey,
        salt: &[u8],
        seq: i64,
        value: &[u8],
        cas: Option<i64>,
        signature: &[u8; 64],
    ) -> i64 {
        let key = &key.key();
        let target = mutable_target(key, salt);
        let token = &self.token(target);
        let put = Question::PutMutable { target, token, value, key, signature, seq, salt, cas };
        verdict(exchange(&mut self.node, self.now, self.from, &query(&put)))
    }

    /// Arguments after `id`, as they stand; `TOKEN` stands for the one of the target.
    fn raw(&mut self, before: &[u8], target: Id, after: &[u8]) -> i64 {
        let token = self.token(target);
        let token = [format!("5:token{}:", token.len()).as_bytes(), &token].concat();
        let query = [b"d1:ad", before, &token, after, b"e1:q3:put1:t2:aa1:y1:qe"].concat();
        verdict(exchange(&mut self.node, self.now, self.from, &query))
    }
}

fn world() -> World<tinybt_core::dht::Heap> {
    World { node: node(1, trusting()), from: addr(700), now: at(10_000) }
}

fn small_world<S: Storage>(storage: S) -> World<S> {
    let node = Node::new(trusting(), storage, ChaCha8Rng::seed_from_u64(1));
    World { node, from: addr(700), now: at(10_000) }
}

fn key() -> SecretKey {
    SecretKey::from_seed([1; 32])
}

#[test]
fn the_vectors_of_bep_44_as_datagrams() {
    let mut world = world();
    let target = immutable_target(HELLO);
    assert_eq!(world.raw(b"2:id20:abcdefghij0123456789", target, b"1:v12:Hello World!"), 0);
    let get = [b"d1:ad2:id20:abcdefghij01234567896:target20:", &target.0[..]].concat();
    let get = [&get[..], b"e1:q3:get1:t2:aa1:y1:qe"].concat();
    let reply = exchange(&mut world.node, world.now, world.from, &get).unwrap();
    let ours = id(1, 0).0;
    let token = read(&reply).token;
    let expected = [
        b"d2:ip6:\x14\xbd\x02\x07\x1a\xe11:rd2:id20:",
        &ours[..],
        b"5:nodes0:5:token8:",
        &token,
        b"1:v12:Hello World!e1:t2:aa1:v4:TY011:y1:re",
    ];
    assert_eq!(reply, expected.concat());

    let key: [u8; 32] = bytes("77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548");
    for (salt, signature) in [
        (
            &b""[..],
            bytes::<64>(
                "305ac8aeb6c9c151fa120f120ea2cfb923564e11552d06a5d856091e5e853cff
                 1260d3f39e4999684aa92eb73ffd136e6f4f3ecbfda0ce53a1608ecd7ae21f01",
            ),
        ),
        (
            b"foobar",
            bytes(
                "6834284b6b24c3204eb2fea824d82f88883a3d95e8b4a21b8c0ded553d17d17d
                 df9a8a7104b1258f30bed3787e6cb896fca78c58f8e03b5f18f14951a87d9a08",
            ),
        ),
    ] {
        let target = mutable_target(&key, salt);
        let salted = match salt {
            b"" => Vec::new(),
            salt => [b"4:salt6:", salt].concat(),
        };
        let before = [
            b"2:id20:abcdefghij01234567891:k32:",
            &key[..],
            &salted,
            b"3:seqi1e3:sig64:",
            &signature,
        ];
        assert_eq!(world.raw(&before.concat(), target, b"1:v12:Hello World!"), 0);
        let told = world.get(target, None);
        assert_eq!(told.value.as_deref(), Some(HELLO));
        assert_eq!((told.key, told.signature, told.seq), (Some(key), Some(signature), Some(1)));
    }
    let status = world.node.status(world.now);
    assert_eq!((status.items, status.items_bytes), (3, 45));
    assert_eq!(world.node.stats().items_stored, 3);
    assert_eq!(world.node.stats().items_told, 3);
}

#[test]
fn a_value_of_every_type_is_kept() {
    let mut world = world();
    for value in ["i0e", "i-42e", "0:", "4:spam", "le", "l4:spami1ee", "de", "d1:ad1:bleee"] {
        let value = value.as_bytes();
        assert_eq!(world.put_immutable(value), 0);
        assert_eq!(world.get(immutable_target(value), None).value.as_deref(), Some(value));
        assert_eq!(world.put(&key(), value, 5, value, None), 0);
        let told = world.get(mutable_target(&key().key(), value), None);
        assert_eq!((told.value.as_deref(), told.seq), (Some(value), Some(5)));
    }
}

#[test]
fn sizes_end_where_they_must() {
    let mut world = world();
    let string = |len: usize| format!("{}:{}", len - 4, "x".repeat(len - 4)).into_bytes();
    let (longest, too_long) = (string(VALUE_MAX), string(VALUE_MAX + 1));
    assert_eq!(world.put_immutable(&longest), 0);
    assert_eq!(world.put_immutable(&too_long), 205);
    let (salt, long_salt) = ([b's'; SALT_MAX], [b's'; SALT_MAX + 1]);
    assert_eq!(world.put(&key(), &salt, i64::MAX, &longest, None), 0);
    assert_eq!(world.put(&key(), &salt, i64::MAX, &too_long, None), 205);
    assert_eq!(world.put(&key(), &long_salt, 1, HELLO, None), 207);
    let told = world.get(mutable_target(&key().key(), &salt), None);
    assert_eq!((told.value, told.seq), (Some(longest), Some(i64::MAX)));
    assert!(told.len <= ITEM_REPLY_MAX);
}

#[test]
fn a_wrong_value_is_refused_with_203() {
    let mut world = world();
    for value in [&b"d1:b0:1:a0:e"[..], b"d1:a0:1:a0:e", b"ld1:b0:1:a0:ee", b"i-0e1:x", b"03:abc"] {
        // Each would be good where the reader is lenient.
        let target = immutable_target(value);
        let after = [b"1:v", value].concat();
        let token = world.token(target);
        let query = [
            b"d1:ad2:id20:abcdefghij01234567895:token8:",
            &token[..],
            &after,
            b"e1:q3:put1:t2:aa1:y1:qe",
        ]
        .concat();
        let reply = exchange(&mut world.node, world.now, world.from, &query);
        // What no reader takes for bencoding is no message.
        assert!(reply.is_none_or(|reply| verdict(Some(reply)) == 203), "{value:?}");
        assert_eq!(world.get(target, None).value, None);
    }
    let target = immutable_target(b"d1:b0:1:a0:e");
    let unsorted = world.raw(b"2:id20:abcdefghij0123456789", target, b"1:vd1:b0:1:a0:e");
    assert_eq!(unsorted, 203);
}

#[test]
fn arguments_that_cannot_be_read_are_refused_with_203() {
    let mut world = world();
    let good_key = key().key();
    let target = mutable_target(&good_key, b"");
    let signature = sign(&key(), b"", 1, HELLO).unwrap();
    let (k, sig) = ([b"1:k32:", &good_key[..]].concat(), [b"3:sig64:", &signature[..]].concat());
    let id = &b"2:id20:abcdefghij0123456789"[..];
    let v = &b"1:v12:Hello World!"[..];
    let mut put = |parts: &[&[u8]], v: &[u8]| world.raw(&parts.concat(), target, v);
    let seq = &b"3:seqi1e"[..];
    assert_eq!(put(&[id, &k, seq, &sig], b""), 203, "no value");
    assert_eq!(put(&[id, &k, &sig], v), 203, "no number");
    assert_eq!(put(&[id, &k, seq], v), 203, "no signature");
    assert_eq!(put(&[id, b"1:k3:abc", seq, &sig], v), 203, "a short key");
    assert_eq!(put(&[id, &k, b"3:seq1:1", &sig], v), 203, "a number that is a string");
    assert_eq!(put(&[id, &k, b"3:seqi-1e", &sig], v), 203, "a negative number");
    assert_eq!(put(&[id, &k, b"3:seqi9223372036854775808e", &sig], v), 203, "beyond 64 bits");
    assert_eq!(put(&[id, &k, seq, b"3:sig3:abc"], v), 203, "a short signature");
    assert_eq!(put(&[id, &k, b"4:salti1e", seq, &sig], v), 203, "a salt that is a number");
    assert_eq!(put(&[b"3:cas1:1", id, &k, seq, &sig], v), 203, "a cas that is a string");
    assert_eq!(put(&[&k, seq, &sig], v), 203, "nobody");
    assert_eq!(put(&[id, &k, seq, &sig], v), 0, "and as it should be");
    assert_eq!(put(&[id, &k, b"4:salt0:", seq, &sig], v), 0, "an empty salt is none");
    let get = b"d1:ad2:id20:abcdefghij0123456789e1:q3:get1:t2:aa1:y1:qe";
    assert_eq!(verdict(exchange(&mut world.node, world.now, world.from, get)), 203, "no target");
    assert_eq!(world.node.status(world.now).items, 1);
}

#[test]
fn a_token_is_good_for_its_target_and_its_address() {
    let mut world = world();
    let (one, two) = (b"3:one", b"3:two");
    let token = world.token(immutable_target(one));
    let put = |value, token: &[u8]| {
        query(&Question::PutImmutable { target: immutable_target(value), token, value })
    };
    let mut try_from =
        |from, datagram: &[u8], now| verdict(exchange(&mut world.node, now, from, datagram));
    let now = at(10_000);
    assert_eq!(try_from(addr(700), &put(two, &token), now), 203, "another target");
    assert_eq!(try_from(addr(701), &put(one, &token), now), 203, "another address");
    assert_eq!(try_from(addr(700), &put(one, b""), now), 203);
    assert_eq!(try_from(addr(700), &put(one, b"12345678"), now), 203);
    assert_eq!(try_from(addr(700), &put(one, &token), at(10_601)), 203, "too old");
    assert_eq!(try_from(addr(700), &put(one, &token), at(10_299)), 0);
    // A target that is told beside the value says nothing.
    let lie = query(&Question::PutImmutable { target: id(9, 9), token: &token, value: one });
    assert_eq!(try_from(addr(700), &lie, now), 0);
    assert_eq!(world.node.status(now).items, 1);
}

#[test]
fn a_mutable_item_goes_forward_alone() {
    let mut world = world();
    let target = mutable_target(&key().key(), b"");
    assert_eq!(world.put(&key(), b"", 5, b"4:five", None), 0);
    let old = sign(&key(), b"", 5, b"4:five").unwrap();
    assert_eq!(world.put(&key(), b"", 4, b"4:four", None), 302);
    assert_eq!(world.put(&key(), b"", 5, b"5:other", None), 302, "as new, and another value");
    assert_eq!(world.put(&key(), b"", 5, b"4:five", None), 0, "put again");
    assert_eq!(world.put(&key(), b"", 6, b"3:six", None), 0);
    assert_eq!(world.put_signed(&key(), b"", 5, b"4:five", None, &old), 302, "a replay");
    assert_eq!(world.get(target, None).value.as_deref(), Some(&b"3:six"[..]));
    // Compare and swap.
    assert_eq!(world.put(&key(), b"", 7, b"5:seven", Some(5)), 301);
    assert_eq!(world.put(&key(), b"", 7, b"5:seven", Some(6)), 0);
    assert_eq!(world.put(&key(), b"", 7, b"5:other", Some(7)), 302);
    assert_eq!(world.put(&key(), b"else", 1, b"3:one", Some(9)), 0, "nothing to compare with");
    // Signatures of others.
    let other = SecretKey::from_seed([2; 32]);
    let wrong = sign(&other, b"", 8, b"5:eight").unwrap();
    assert_eq!(world.put_signed(&key(), b"", 8, b"5:eight", None, &wrong), 206);
    let unsalted = sign(&key(), b"", 8, b"5:eight").unwrap();
    assert_eq!(world.put_signed(&key(), b"salt", 8, b"5:eight", None, &unsalted), 206);
    let told = world.get(target, None);
    assert_eq!((told.value.as_deref(), told.seq), (Some(&b"5:seven"[..]), Some(7)));
    assert_eq!(world.node.status(world.now).items, 2);
}

#[test]
fn a_value_that_the_asker_has_is_not_told_again() {
    let mut world = world();
    let target = mutable_target(&key().key(), b"");
    assert_eq!(world.put(&key(), b"", 5, HELLO, None), 0);
    let value = |world: &mut World<_>, seq| {
        let told = world.get(target, seq);
        assert_eq!(told.seq, Some(5));
        assert_eq!(told.value.is_some(), told.key.is_some() && told.signature.is_some());
        assert!(!told.token.is_empty() && told.nodes.is_some());
        told.value.is_some()
    };
    assert!(value(&mut world, Some(4)));
    assert!(!value(&mut world, Some(5)));
    assert!(!value(&mut world, Some(6)));
    assert!(value(&mut world, Some(-1)));
    world.put_immutable(HELLO);
    assert!(world.get(immutable_target(HELLO), Some(9)).value.is_some(), "no number to compare");
}

#[test]
fn an_item_is_kept_for_two_hours_after_it_was_put_last() {
    let mut world = world();
    let target = immutable_target(HELLO);
    world.put_immutable(HELLO);
    let hour = Duration::from_secs(3_600);
    let short = Duration::from_secs(1);
    world.now = world.now + hour;
    assert_eq!(world.put_immutable(HELLO), 0);
    world.now = world.now + hour + hour;
    assert_eq!(world.get(target, None).value, None);
    world.now = at(10_000) + hour + hour + hour;
    assert_eq!(world.put(&key(), b"", 9, HELLO, None), 0);
    world.now = world.now + hour + (hour - short);
    assert_eq!(world.put(&key(), b"", 8, HELLO, None), 302);
    world.now = world.now + short;
    assert_eq!(world.put(&key(), b"", 8, HELLO, None), 0, "forgotten, so any number is new");
}

#[test]
fn a_node_without_room_for_items_does_not_know_put() {
    let mut world = small_world(Without);
    let target = immutable_target(HELLO);
    let told = world.get(target, None);
    assert_eq!(
        (told.token.len(), told.nodes, told.value),
        (0, Some(0), None),
        "nodes and no token"
    );
    let put = query(&Question::PutImmutable { target, token: b"12345678", value: HELLO });
    assert_eq!(verdict(exchange(&mut world.node, world.now, world.from, &put)), 204);
    assert_eq!(world.node.status(world.now).items, 0);

    let mut world = small_world(Few);
    assert_eq!(world.put_immutable(HELLO), 0);
    assert_eq!(world.put(&key(), b"", 1, HELLO, None), 0);
    assert_eq!(world.get(target, None).value.as_deref(), Some(HELLO));
    for n in 0..200u32 {
        world.from = addr(n as usize);
        assert!(matches!(world.put_immutable(format!("i{n}e").as_bytes()), 0 | 202));
    }
    assert_eq!(world.node.status(world.now).items, 4);
}

#[test]
fn who_has_proven_nothing_is_told_no_more_than_amplification_allows() {
    let mut config = Config::new(Family::V4);
    config.answers = None;
    config.whole_items = Some(Rate { per_second: 1, burst: 1 });
    config.id = Some(id(1, 0));
    let mut node: TestNode = node(1, config);
    fill(&mut node);
    let mut world = World { node, from: addr(30_000), now: at(86_400) };
    let string = |len: usize| format!("{len}:{}", "x".repeat(len)).into_bytes();
    let values = [string(100), string(400), string(900)];
    for value in &values {
        assert_eq!(world.put_immutable(value), 0);
        assert_eq!(world.put(&key(), &value[..9], 3, value, None), 0);
    }
    // One goes out whole, and no other in the same second.
    let longest =
        query(&Question::Get { target: immutable_target(&values[2]), seq: None, want: None });
    let reply = exchange(&mut world.node, world.now, world.from, &longest).unwrap();
    assert_eq!(read(&reply).value.as_ref(), Some(&values[2]));
    let mut seen = Vec::new();
    for value in &values {
        for target in [immutable_target(value), mutable_target(&key().key(), &value[..9])] {
            let ask = query(&Question::Get { target, seq: None, want: None });
            let reply = exchange(&mut world.node, world.now, world.from, &ask).unwrap();
            assert!(reply.len() <= 4 * ask.len() && reply.len() <= REPLY_MAX, "{}", reply.len());
            let stranger = read(&reply);
            assert_eq!(stranger.seq.is_some(), target != immutable_target(value), "there is one");
            assert_eq!(stranger.token.len(), 8);
            // With the token given back, it is known to be where it says it is.
            let token = [b"5:token8:", &stranger.token[..]].concat();
            let arguments = [b"d6:target20:", &target.0[..], &token, b"e"].concat();
            let again = query(&Question::Method { name: b"get", arguments: &arguments });
            let reply = exchange(&mut world.node, world.now, world.from, &again).unwrap();
            assert!(reply.len() <= ITEM_REPLY_MAX);
            let proven = read(&reply);
            assert_eq!(proven.value.as_ref(), Some(value));
            assert!(proven.nodes >= Some(6), "{proven:?}");
            assert!(proven.nodes >= stranger.nodes);
            seen.push((stranger.value.is_some(), stranger.nodes.unwrap()));
            // A token of another target proves nothing for this one.
            let forged = [b"d6:target20:", &target.0[..], b"5:token8:12345678e"].concat();
            let forged = query(&Question::Method { name: b"get", arguments: &forged });
            let reply = exchange(&mut world.node, world.now, world.from, &forged).unwrap();
            assert!(reply.len() <= 4 * forged.len() && reply.len() <= ITEM_REPLY_MAX);
        }
    }
    let told: Vec<bool> = seen.iter().map(|(value, _)| *value).collect();
    assert_eq!(told, [true, false, false, false, false, false], "{seen:?}");
    assert!(seen.iter().all(|(value, nodes)| *value || *nodes == 8), "{seen:?}");
}

#[test]
fn items_go_out_whole_to_strangers_as_often_as_they_may() {
    let mut config = Config::new(Family::V4);
    config.answers = None;
    let mut world = World { node: node(1, config), from: addr(30_000), now: at(86_400) };
    let longest = format!("{}:{}", VALUE_MAX - 4, "x".repeat(VALUE_MAX - 4)).into_bytes();
    assert_eq!(world.put_immutable(&longest), 0);
    let target = immutable_target(&longest);
    let ask = query(&Question::Get { target, seq: None, want: None });
    let mut told = |seconds: u64| {
        (0..1_000)
            .filter(|from| {
                let now = at(86_400 + seconds);
                let reply = exchange(&mut world.node, now, addr(*from), &ask).unwrap();
                read(&reply).value.is_some()
            })
            .count()
    };
    assert_eq!((told(0), told(1), told(60)), (25, 5, 25));
}

#[test]
fn who_gives_a_token_back_is_told_the_longest_item_with_nodes_beside_it() {
    let mut config = trusting();
    config.amplification = 8;
    config.whole_items = Some(Rate { per_second: 1, burst: 1 });
    let mut node = node(1, config);
    fill(&mut node);
    let known = node.table_contact().unwrap();
    let mut world = World { node, from: known.addr, now: at(86_400) };
    let longest = format!("{}:{}", VALUE_MAX - 4, "x".repeat(VALUE_MAX - 4)).into_bytes();
    let salt = [1; SALT_MAX];
    assert_eq!(world.put(&key(), &salt, i64::MAX, &longest, None), 0);
    let target = mutable_target(&key().key(), &salt);
    let mut ask = |name: &[u8], arguments: &[u8]| {
        let mut bytes = vec![0; 500];
        let envelope = Envelope { transaction: &[b't'; 32], ..Envelope::default() };
        let question = Question::Method { name, arguments };
        let len = krpc::encode_query(&mut bytes, &envelope, known.id, &question).unwrap();
        let reply = exchange(&mut world.node, world.now, world.from, &bytes[..len]).unwrap();
        (read(&reply), len)
    };
    let plain = [b"d6:target20:", &target.0[..], b"e"].concat();
    // One goes out whole to anybody; after that, that its address is in our table is no proof.
    assert_eq!(ask(b"get", &plain).0.value.as_ref(), Some(&longest));
    let (told, len) = ask(b"get", &plain);
    assert_eq!(told.value, None);
    assert!(told.len <= 4 * len);
    let proof = [b"d6:target20:", &target.0[..], b"5:token8:", &told.token, b"e"].concat();
    let (told, _) = ask(b"get", &proof);
    assert_eq!(told.value, Some(longest));
    assert!(told.nodes >= Some(3), "{told:?}");
    assert!(told.len <= ITEM_REPLY_MAX, "{}", told.len);
}

/// Somebody whom the node knows.
trait TableContact {
    fn table_contact(&self) -> Option<tinybt_core::Contact>;
}

impl TableContact for TestNode {
    fn table_contact(&self) -> Option<tinybt_core::Contact> {
        use tinybt_core::dht::table::{Quality, Routing};
        let mut closest = heapless::Vec::<tinybt_core::Contact, 1>::new();
        self.table().closest(at(86_400), id(1, 0), Quality::Good, &mut closest);
        closest.first().copied()
    }
}

#[test]
fn puts_cost_their_sender_his_share_of_answers() {
    let mut config = Config::new(Family::V4);
    config.answers = Some(Rate { per_second: 5, burst: 10 });
    let mut node = node(1, config);
    let put = query(&Question::PutImmutable { target: id(1, 1), token: b"12345678", value: HELLO });
    let answered = (0..100).filter(|_| exchange(&mut node, at(9), addr(1), &put).is_some()).count();
    assert_eq!(answered, 10);
}
