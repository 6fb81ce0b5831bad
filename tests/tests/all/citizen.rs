//! How a node behaves among others: whom it answers, whom it keeps, what it does when the network
//! goes and comes back, and what it makes of what strangers send.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use chacha20::ChaCha8Rng;
use rand_core::SeedableRng;
use tinybt_core::dht::{
    AddressCheck, Config, Dual, End, Event, Health, Heap, Node, Port, Rate, RestoreError,
};
use tinybt_core::{Family, Id, Ignored, InfoHash, Instant, Machine, Step, buffer};
use tinybt_tests::net::{Link, Nat, Network};
use tinybt_tests::nodes::{TestNode, addr, id, network, node, small};
use tinybt_tests::subjects::addr6;

fn at(secs: u64) -> Instant {
    Instant::from_secs(secs)
}

fn query(method: &str, rest: &str) -> Vec<u8> {
    let len = method.len();
    format!("d1:ad2:id20:abcdefghij0123456789{rest}e1:q{len}:{method}1:t2:aa1:y1:qe").into_bytes()
}

/// What a node sends when a datagram comes in.
fn exchange(node: &mut TestNode, now: Instant, from: SocketAddr, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = buffer();
    node.handle_datagram(now, from, bytes).ok()?;
    loop {
        match node.step(now, &mut out) {
            Step::Send(sent) if sent.to == from => return Some(out[..sent.len].to_vec()),
            Step::Wait(_) => return None,
            _ => {}
        }
    }
}

#[test]
fn a_reply_is_small_for_those_who_have_proven_nothing() {
    let mut config = Config::new(Family::V4);
    config.answers = None;
    config.id = Some(id(1, 0));
    let mut node = node(1, config);
    let hash = "9:info_hash20:mnopqrstuvwxyz123456";
    let info_hash = InfoHash(*b"mnopqrstuvwxyz123456");
    let from: SocketAddr = "7.7.7.7:7".parse().unwrap();
    let ask = query("get_peers", hash);
    let reply = exchange(&mut node, at(1_000), from, &ask).unwrap();
    let find = |reply: &[u8]| reply.windows(10).position(|w| w == b"5:token8:0").is_some();
    assert!(!find(&reply));
    let token = {
        let message = tinybt_core::wire::krpc::decode(&reply).unwrap();
        let tinybt_core::wire::krpc::Body::Response(response) = message.body else { panic!() };
        response.token().unwrap().to_vec()
    };
    for port in 1..=400u32 {
        let mut announce =
            format!("d1:ad2:id20:abcdefghij0123456789{hash}4:porti{port}e5:token8:").into_bytes();
        announce.extend_from_slice(&token);
        announce.extend_from_slice(b"e1:q13:announce_peer1:t2:aa1:y1:qe");
        let reply = exchange(&mut node, at(1_000), from, &announce).unwrap();
        assert!(reply.len() <= 8 * announce.len());
    }
    assert_eq!(node.status(at(1_000)).peers, 16, "one host has its share and no more");
    let reply = exchange(&mut node, at(1_000), from, &ask).unwrap();
    assert!(reply.len() <= 8 * ask.len(), "{} for {}", reply.len(), ask.len());
    assert!(reply.len() <= 1_024);
    assert!(reply.windows(6).any(|w| w == b"values"), "and yet it is an answer");
    let _ = info_hash;
}

#[test]
fn a_source_gets_its_share_of_answers() {
    let mut config = Config::new(Family::V4);
    config.answers = Some(Rate { per_second: 5, burst: 10 });
    let mut node = node(1, config);
    let ping = query("ping", "");
    let answers = (0..100).filter(|_| exchange(&mut node, at(9), addr(1), &ping).is_some()).count();
    assert_eq!(answers, 10);
    assert_eq!(node.stats().ignored(Ignored::OverLimit), 90);
    assert!(exchange(&mut node, at(9), addr(2), &ping).is_some(), "others are answered");
    assert!(exchange(&mut node, at(10), addr(1), &ping).is_some(), "and so is it, a second later");
}

#[test]
fn what_is_ignored_is_counted_by_its_reason() {
    let mut node = node(1, Config::private(Family::V4));
    let now = at(1_000);
    node.block(now, addr(66), Duration::from_secs(60));
    let response = b"d1:rd2:id20:abcdefghij0123456789e1:t4:abcd1:y1:re";
    for (from, bytes, reason) in [
        (addr(1), &b""[..], Ignored::Foreign),
        (addr(1), b"\0\0\0\0\0\0\0\0", Ignored::Foreign),
        (addr6(1), &query("ping", ""), Ignored::Foreign),
        (addr(1), b"d1:", Ignored::Malformed),
        (addr(1), b"d1:t2:aa1:y1:xe", Ignored::Malformed),
        (SocketAddr::from(([1, 2, 3, 4], 0)), &query("ping", ""), Ignored::Malformed),
        (addr(1), response, Ignored::Unasked),
        (addr(66), &query("ping", ""), Ignored::Blocked),
    ] {
        let before = node.stats().ignored(reason);
        assert_eq!(node.handle_datagram(now, from, bytes), Err(reason));
        assert_eq!(node.stats().ignored(reason), before + 1);
    }
    let later = now + Duration::from_secs(61);
    assert!(exchange(&mut node, later, addr(66), &query("ping", "")).is_some(), "forgiven");
}

#[test]
fn an_answer_counts_from_the_address_asked_alone() {
    let mut node = node(1, Config::private(Family::V4));
    let mut out = buffer();
    let ask = node.ask(addr(5), &tinybt_core::dht::Question::Ping).unwrap();
    let Step::Send(sent) = node.step(at(1), &mut out) else { panic!("a question") };
    let answer = tinybt_tests::subjects::answer(&out[..sent.len], 4);
    assert_eq!(node.handle_datagram(at(1), addr(6), &answer), Err(Ignored::WrongSource));
    let port = SocketAddr::new(addr(5).ip(), 1);
    assert_eq!(node.handle_datagram(at(1), port, &answer), Err(Ignored::WrongSource));
    assert_eq!(node.handle_datagram(at(1), addr(5), &answer), Ok(()));
    assert_eq!(node.handle_datagram(at(1), addr(5), &answer), Err(Ignored::Unasked), "once");
    assert!(matches!(node.poll_event(), Some(Event::Online { .. })));
    assert!(matches!(node.poll_event(), Some(Event::Answered { ask: told, .. }) if told == ask));
    assert!(node.answer(ask).is_some());
    assert_eq!(node.poll_event(), None);
    assert!(node.answer(ask).is_none(), "its row is free");
}

#[test]
fn who_asks_is_asked_back_unless_it_is_read_only() {
    let asked_back = |read_only: &str| {
        let mut node = node(1, Config::private(Family::V4));
        let ping = String::from_utf8(query("ping", "")).unwrap();
        let ping = ping.replace("1:t2:aa", &format!("{read_only}1:t2:aa"));
        node.handle_datagram(at(5), addr(9), ping.as_bytes()).unwrap();
        let (mut out, mut questions) = (buffer(), 0);
        while let Step::Send(sent) = node.step(at(5), &mut out) {
            questions += usize::from(out[..sent.len].ends_with(b"1:y1:qe"));
        }
        questions
    };
    assert_eq!(asked_back(""), 1);
    assert_eq!(asked_back("2:roi0e"), 1);
    assert_eq!(asked_back("2:roi1e"), 0);
}

/// What a lookup sends on, when the first node it asks answers with this id and tells of these.
fn asked_next(expected: Option<Id>, really: Id, told: &[tinybt_core::Contact]) -> Vec<SocketAddr> {
    use tinybt_core::wire::krpc;
    let mut config = Config::private(Family::V4);
    config.id = Some(id(40, 0));
    config.upkeep.bootstrap = false;
    let mut node = node(1, config);
    match expected {
        None => drop(node.add_source(addr(1))),
        Some(expected) => {
            let saved = {
                let mut bytes = b"d2:id20:".to_vec();
                bytes.extend_from_slice(&id(40, 0).0);
                bytes.extend_from_slice(b"5:nodes26:");
                bytes.extend_from_slice(&expected.0);
                bytes.extend_from_slice(&[20, 2, 0, 7, 0x1a, 0xe1]);
                bytes.extend_from_slice(b"1:vi1ee");
                bytes
            };
            assert_eq!(node.restore(at(1), &saved), Ok(1));
        }
    }
    node.find_node(at(5), id(41, 41)).unwrap();
    let mut out = buffer();
    let Step::Send(sent) = node.step(at(5), &mut out) else { panic!("a question") };
    assert_eq!(sent.to, addr(1));
    let query = out[..sent.len].to_vec();
    let message = krpc::decode(&query).unwrap();
    let envelope = krpc::Envelope {
        transaction: message.transaction,
        version: None,
        read_only: false,
        external: None,
    };
    let answer = krpc::Answer { id: really, nodes: Some(told), ..krpc::Answer::default() };
    let mut bytes = vec![0; 500];
    let len = krpc::encode_response(&mut bytes, &envelope, &answer).unwrap();
    let taken = node.handle_datagram(at(5), addr(1), &bytes[..len]);
    assert_eq!(taken, Ok(()));
    let mut next = Vec::new();
    loop {
        match node.step(at(5), &mut out) {
            Step::Send(sent) => next.push(sent.to),
            Step::Event(_) => {}
            Step::Wait(_) => return next,
        }
    }
}

#[test]
fn an_answer_counts_from_the_id_expected_and_leads_neither_to_us_nor_astray() {
    let contact = |n: usize, addr: SocketAddr| tinybt_core::Contact { id: id(40, n), addr };
    let told =
        [contact(2, addr(2)), contact(0, addr(3)), contact(4, "127.0.0.1:7".parse().unwrap())];
    assert_eq!(asked_next(None, id(40, 1), &told), [addr(2)], "not ourselves, nor our own network");
    assert_eq!(asked_next(Some(id(40, 1)), id(40, 1), &told), [addr(2)]);
    assert_eq!(asked_next(Some(id(40, 1)), id(40, 9), &told), [], "somebody else answers there");
}

#[test]
fn a_read_only_node_asks_says_so_and_is_kept_by_nobody() {
    let mut network = network(21, 30, Link::default());
    let mut config = Config::private(Family::V4);
    config.read_only = true;
    let mut quiet = node(5, config);
    quiet.add_source(addr(0));
    let me = addr(900);
    network.add(me, quiet);
    network.command(me, |node, now| node.get_peers(now, InfoHash([4; 20]))).unwrap();
    network.run_for(Duration::from_secs(3_600));
    let ended = network.events.iter().any(|(_, who, event)| {
        *who == me
            && matches!(event, Event::Finished { outcome, .. } if outcome.end == End::Complete)
    });
    assert!(ended, "it finds its way");
    let ping = query("ping", "");
    let ignored = network.command(me, |node, now| node.handle_datagram(now, addr(3), &ping));
    assert_eq!(ignored, Err(Ignored::ReadOnly));
    let own = network.machine(me).id();
    for index in 0..30 {
        let lookup = network.command(addr(index), |node, now| node.find_node(now, own)).unwrap();
        let _ = lookup;
    }
    network.watch(move |_, _, node, event| {
        if let Event::Finished { lookup, .. } = event {
            assert!(node.closest(*lookup).all(|contact| contact.id != own));
        }
    });
    network.run_for(Duration::from_secs(30));
}

#[test]
fn an_outage_empties_no_table_and_ends_when_the_network_is_back() {
    let mut network = network(22, 60, Link::default());
    let me = addr(10);
    network.run_for(Duration::from_secs(600));
    let before = network.machine(me).status(network.now());
    assert_eq!(before.health, Health::Online);
    network.set_side(me, 1);
    network.partitioned = true;
    for _ in 0..12 {
        network.command(me, |node, now| node.find_node(now, id(9, 9))).unwrap();
        network.run_for(Duration::from_secs(60));
    }
    let during = network.machine(me).status(network.now());
    assert_eq!(during.health, Health::Offline);
    let known = |status: tinybt_core::dht::Status| status.nodes_good + status.nodes_questionable;
    assert!(known(during) * 10 >= known(before) * 7, "{during:?}");
    let sent = network.machine(me).stats().questions_out;
    network.run_for(Duration::from_secs(3_600));
    let idle = network.machine(me).stats().questions_out - sent;
    assert!(idle < 400, "{idle} questions in an hour of nothing");
    network.partitioned = false;
    network.run_for(Duration::from_secs(700));
    assert_eq!(network.machine(me).status(network.now()).health, Health::Online);
    network.events.clear();
    network.command(me, |node, now| node.find_node(now, id(9, 9))).unwrap();
    network.run_for(Duration::from_secs(30));
    let complete = network.events.iter().any(|(_, who, event)| {
        *who == me
            && matches!(event, Event::Finished { outcome, .. } if outcome.end == End::Complete)
    });
    assert!(complete);
}

#[test]
fn a_node_behind_a_restrictive_nat_finds_peers() {
    let link =
        Link { loss: 30, duplication: 30, jitter: Duration::from_millis(40), ..Link::default() };
    let mut network = network(23, 80, link);
    let info_hash = InfoHash([6; 20]);
    network.command(addr(4), |node, now| node.announce(now, info_hash, Port::Number(44))).unwrap();
    network.run_for(Duration::from_secs(30));
    let me = addr(700);
    let mut node = node(77, Config::private(Family::V4));
    node.add_source(addr(1));
    network.add(me, node);
    network.set_nat(me, Nat::Restricted);
    network.events.clear();
    network.command(me, |node, now| node.get_peers(now, info_hash)).unwrap();
    network.run_for(Duration::from_secs(30));
    let wanted = SocketAddr::new(addr(4).ip(), 44);
    let found = |(_, who, event): &(Instant, SocketAddr, Event)| {
        *who == me && matches!(event, Event::Peer { peer, .. } if *peer == wanted)
    };
    assert_eq!(network.events.iter().filter(|event| found(event)).count(), 1);
}

#[test]
fn the_id_follows_the_address_that_others_agree_on() {
    let mut network = network(24, 30, Link::default());
    let me: SocketAddr = "93.184.216.34:6881".parse().unwrap();
    let mut config = Config::new(Family::V4);
    config.address_check = AddressCheck::Prefer;
    let mut node = node(4, config);
    node.add_source(addr(2));
    let first = node.id();
    network.add(me, node);
    network.run_for(Duration::from_secs(120));
    let machine = network.machine(me);
    let status = machine.status(network.now());
    assert_eq!(status.external, Some(me));
    assert!(status.external_votes.0 >= 3);
    assert_ne!(machine.id(), first);
    assert!(machine.id().fits_address(me.ip()));
    assert!(network.events.iter().any(|(_, who, event)| *who == me
        && matches!(event, Event::External { addr, id, .. } if *addr == me && *id == machine.id())));
    assert!(status.nodes_good >= 8, "its table came along: {status:?}");
}

#[test]
fn nodes_whose_id_does_not_fit_are_not_kept_where_that_is_enforced() {
    let mut network = network(25, 30, Link::default());
    let me: SocketAddr = "93.184.216.34:6881".parse().unwrap();
    let mut config = Config::new(Family::V4);
    config.address_check = AddressCheck::Enforce;
    let mut node = node(4, config);
    node.add_source(addr(2));
    network.add(me, node);
    network.command(me, |node, now| node.get_peers(now, InfoHash([4; 20]))).unwrap();
    network.run_for(Duration::from_secs(60));
    assert_eq!(network.machine(me).status(network.now()).nodes_good, 0);
}

#[test]
fn a_state_outlives_its_node_and_is_not_mistaken() {
    let mut network = network(26, 40, Link::default());
    let me = addr(3);
    let mut bytes = vec![0; tinybt_core::dht::SAVE_MAX];
    let len = network.machine(me).save(&mut bytes);
    bytes.truncate(len);
    assert_eq!(network.machine(me).save(&mut [0; 40]), 0, "whole or not at all");
    let old = network.remove(me).unwrap();
    let mut again = node(99, Config::private(Family::V4));
    let restored = again.restore(network.now(), &bytes).unwrap();
    assert!(restored >= 8);
    assert_eq!(again.id(), old.id());
    network.add(me, again);
    network.run_for(Duration::from_secs(30));
    assert!(network.machine(me).status(network.now()).nodes_good >= 8);
    let mut other = node(98, Config::private(Family::V6));
    assert_eq!(other.restore(at(1), &bytes), Err(RestoreError::Family));
    for cut in 0..bytes.len() {
        let mut node = node(97, Config::private(Family::V4));
        assert_eq!(node.restore(at(1), &bytes[..cut]), Err(RestoreError::Malformed));
    }
    let newer =
        String::from_utf8_lossy(b"d2:id20:aaaaaaaaaaaaaaaaaaaa5:nodes0:1:vi9ee").into_owned();
    assert_eq!(other.restore(at(1), newer.as_bytes()), Err(RestoreError::Version));
}

type Both = Dual<Heap, ChaCha8Rng>;

#[test]
fn one_family_helps_the_other_into_the_network() {
    let mut network: Network<Both> = Network::new(27, Link::default());
    // A host has an address of each family; a datagram is delivered by its destination.
    let make = |index: usize, config: fn(Family) -> Config| {
        let node = |family: Family, salt: u64| {
            let mut config = config(family);
            config.id = Some(id(27, index));
            Node::new(config, small(), ChaCha8Rng::seed_from_u64(index as u64 * 2 + salt))
        };
        (node(Family::V4, 0), node(Family::V6, 1))
    };
    for index in 0..40usize {
        let (mut v4, mut v6) = make(index, Config::private);
        if index > 0 {
            v4.add_source(addr(0));
            v6.add_source(addr6(0));
        }
        network.add_with_alias(addr(index), addr6(index as u16), Dual::new(Some(v4), Some(v6)));
    }
    network.run_for(Duration::from_secs(120));
    // This one is told of an IPv4 node alone, and yet gets to know IPv6 nodes.
    let (mut v4, v6) = make(90, Config::private);
    v4.add_source(addr(5));
    network.add_with_alias(addr(90), addr6(90), Dual::new(Some(v4), Some(v6)));
    network.run_for(Duration::from_secs(120));
    let now = network.now();
    let known = network.machine(addr(90)).node(Family::V6).unwrap().status(now).nodes_good;
    assert!(known >= 8, "{known}");
}

#[test]
fn a_flood_of_strangers_leaves_the_memory_as_it_was() {
    let mut node = node(1, Config::new(Family::V4));
    let mut out = buffer();
    let mut bytes = query("get_peers", "9:info_hash20:mnopqrstuvwxyz123456");
    let mut flood = |strangers: std::ops::Range<usize>| {
        for n in strangers {
            bytes[20] = n as u8;
            bytes[21] = (n >> 8) as u8;
            let _ = node.handle_datagram(at(1_000 + n as u64 / 1_000), addr(n % 60_000), &bytes);
            while !matches!(node.step(at(1_000 + n as u64 / 1_000), &mut out), Step::Wait(_)) {}
        }
    };
    // Rows for replies and questions, once; and a minute's addresses.
    flood(0..100_000);
    let ((), allocations) = tinybt_tests::counting::allocations(|| flood(100_000..300_000));
    assert_eq!(allocations, 0);
    assert_eq!(node.status(at(2_000)).nodes_good, 0, "nobody gets in by asking");
    let _ = Id::default();
}

#[test]
fn a_state_of_the_other_family_is_as_good() {
    let nodes = [[7; 20].as_slice(), &[0x20, 1, 0, 9], &[0; 11], &[7, 0x1a, 0xe1]].concat();
    let state =
        [b"d2:id20:aaaaaaaaaaaaaaaaaaaa6:nodes638:".as_slice(), &nodes, b"1:vi1ee"].concat();
    let mut v6 = node(1, Config::private(Family::V6));
    assert_eq!(v6.restore(at(1), &state), Ok(1));
    assert_eq!(v6.id(), Id(*b"aaaaaaaaaaaaaaaaaaaa"));
    let mut v4 = node(1, Config::private(Family::V4));
    assert_eq!(v4.restore(at(1), &state), Err(RestoreError::Family));
}

#[test]
fn a_reply_has_as_many_peers_as_fit() {
    let mut node = node(1, Config::private(Family::V4));
    let hash = "9:info_hash20:mnopqrstuvwxyz123456";
    let ask = query("get_peers", hash);
    for index in 0..100 {
        let from = addr(index);
        let reply = exchange(&mut node, at(1_000), from, &ask).unwrap();
        let message = tinybt_core::wire::krpc::decode(&reply).unwrap();
        let tinybt_core::wire::krpc::Body::Response(response) = message.body else { panic!() };
        let rest = format!("{hash}4:porti7e5:token8:");
        let mut announce = query("announce_peer", &rest);
        let at_token = announce.windows(8).position(|bytes| bytes == b"5:token8").unwrap() + 9;
        announce.splice(at_token..at_token, response.token().unwrap().iter().copied());
        assert!(exchange(&mut node, at(1_000), from, &announce).is_some());
    }
    // A question so long that the longest answer is not many times as much.
    let long = query("get_peers", &format!("{hash}1:x100:{}", "x".repeat(100)));
    let reply = exchange(&mut node, at(1_000), addr(200), &long).unwrap();
    assert!(reply.len() > 800, "{}", reply.len());
}

#[test]
fn whom_a_node_may_not_ask_in_this_minute_it_asks_in_the_next() {
    let mut config = Config::private(Family::V4);
    config.destinations_per_minute = Some(2);
    let mut node = node(1, config);
    for index in 0..5 {
        node.add_source(addr(index));
    }
    // The beginning of a minute.
    let begin = at(1_020);
    let (mut now, mut out, mut asked) = (begin, buffer(), BTreeSet::new());
    node.get_peers(now, InfoHash([4; 20])).unwrap();
    while now < begin + Duration::from_secs(130) {
        match node.step(now, &mut out) {
            Step::Send(sent) => drop(asked.insert(sent.to)),
            Step::Event(_) => {}
            Step::Wait(None) => break,
            Step::Wait(Some(deadline)) => now = deadline,
        }
        let minutes = now.since(begin).as_secs() / 60;
        assert!(asked.len() as u64 <= 2 * (minutes + 1));
    }
    assert_eq!(asked.len(), 5);
}
