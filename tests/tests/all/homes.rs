//! Several local addresses of one machine (BEP 45), in virtual time.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use chacha20::ChaCha8Rng;
use proptest::prelude::*;
use rand_core::SeedableRng;
use tinybt_core::dht::table::Routing;
use tinybt_core::dht::{Config, Dual, End, Event, Health, Heap, HomeError, Node, Port, Question};
use tinybt_core::finder::{self, Finder, Presence, Wanted};
use tinybt_core::limits::{HOMES_MAX, HOMES_PREFIX_MAX};
use tinybt_core::torrent::Torrent;
use tinybt_core::tracker::udp;
use tinybt_core::wire::krpc::{self, Body, Message};
use tinybt_core::{Family, Id, Ignored, InfoHash, Instant, Machine, Step, buffer};
use tinybt_tests::net::{Link, Network};
use tinybt_tests::nodes::{addr, id, small};
use tinybt_tests::subjects::addr6;

type Homes = Dual<Heap, ChaCha8Rng>;

const NOW: Instant = Instant::from_secs(1_000);
const PING: &[u8] = b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe";
const HASH: InfoHash = InfoHash([0x5a; 20]);

fn node(seed: u64, config: Config) -> Node<Heap, ChaCha8Rng> {
    Node::new(config, small(), ChaCha8Rng::seed_from_u64(seed))
}

/// Three IPv4 and two IPv6 addresses.
fn locals() -> [SocketAddr; 5] {
    [addr(900), addr(901), addr(902), addr6(900), addr6(901)]
}

/// A machine at all of them.
fn homes(config: impl Fn(Family) -> Config) -> Homes {
    let mut dual = Dual::new(None, None);
    for (seed, local) in (500..).zip(locals()) {
        dual.add(NOW, local, node(seed, config(Family::of(&local)))).unwrap();
    }
    dual
}

/// Hosts with an address of each family, and the machine, which begins at the first of them.
fn joined(seed: u64, count: usize) -> Network<Homes> {
    let mut network = Network::new(seed, Link::default());
    for index in 0..count {
        let mut dual = Dual::new(None, None);
        for (salt, local) in (0..).zip([addr(index), addr6(index as u16)]) {
            let mut config = Config::private(Family::of(&local));
            config.id = Some(id(seed, index * 2 + salt));
            let mut node = node((index * 2 + salt) as u64, config);
            if index > 0 {
                node.add_source(if salt == 0 { addr(0) } else { addr6(0) });
            }
            dual.add(NOW, local, node).unwrap();
        }
        network.add_at(&[addr(index), addr6(index as u16)], dual);
    }
    network.run_for(Duration::from_secs(120));
    let mut machine = homes(Config::private);
    assert!(machine.add_source(addr(0)) && machine.add_source(addr6(0)));
    network.add_at(&locals(), machine);
    network.run_for(Duration::from_secs(120));
    network
}

/// The same, where all know that they can be reached.
fn network(seed: u64, count: usize) -> Network<Homes> {
    let mut network = joined(seed, count);
    for local in locals() {
        network.inject(if local.is_ipv4() { addr(700) } else { addr6(700) }, local, PING);
    }
    network.run_for(Duration::from_secs(1));
    network
}

fn me() -> SocketAddr {
    addr(900)
}

/// How the lookups ended that the machine began, by address.
fn ended(network: &Network<Homes>) -> Vec<(SocketAddr, End, u8)> {
    let machine = network.machine(me());
    let told = network.events.iter().filter(|(_, who, _)| *who == me());
    let ends = told.filter_map(|(.., event)| match event {
        Event::Finished { lookup, outcome } => {
            let home = machine.homes().find(|home| home.id() == lookup.home())?;
            Some((home.local()?, outcome.end, outcome.stored))
        }
        _ => None,
    });
    ends.collect()
}

/// Asks a machine at one of its addresses; returns from where it answers, and what.
fn ask(machine: &mut Homes, local: SocketAddr, from: SocketAddr, query: &[u8]) -> Answered {
    machine.handle_datagram_at(NOW, local, from, query).unwrap();
    let mut out = buffer();
    loop {
        match machine.step(NOW, &mut out) {
            Step::Send(sent) if sent.to == from => {
                let answered = Answered { from: sent.from, bytes: out[..sent.len].to_vec() };
                // It may ask in turn whether the asker is there.
                if !matches!(answered.message().body, Body::Query(_)) {
                    return answered;
                }
            }
            Step::Wait(_) => panic!("no answer from {local}"),
            _ => {}
        }
    }
}

struct Answered {
    from: Option<SocketAddr>,
    bytes: Vec<u8>,
}

impl Answered {
    fn message(&self) -> Message<'_> {
        krpc::decode(&self.bytes).unwrap()
    }
}

fn get_peers() -> Vec<u8> {
    let mut query = b"d1:ad2:id20:abcdefghij01234567899:info_hash20:".to_vec();
    query.extend_from_slice(&HASH.0);
    query.extend_from_slice(b"e1:q9:get_peers1:t2:aa1:y1:qe");
    query
}

fn announce(token: &[u8]) -> Vec<u8> {
    let mut query = b"d1:ad2:id20:abcdefghij01234567899:info_hash20:".to_vec();
    query.extend_from_slice(&HASH.0);
    query.extend_from_slice(b"4:porti7e5:token");
    query.extend_from_slice(format!("{}:", token.len()).as_bytes());
    query.extend_from_slice(token);
    query.extend_from_slice(b"e1:q13:announce_peer1:t2:aa1:y1:qe");
    query
}

#[test]
fn each_address_answers_for_itself() {
    let mut machine = homes(Config::private);
    let ids: Vec<Id> = machine.homes().map(|home| home.node().id()).collect();
    for (local, own) in locals().into_iter().zip(&ids) {
        let from = if local.is_ipv4() { addr(5) } else { addr6(5) };
        let answered = ask(&mut machine, local, from, PING);
        assert_eq!(answered.from, Some(local));
        let message = answered.message();
        let Body::Response(response) = &message.body else { panic!("{message:?}") };
        assert_eq!(response.id(), Some(*own));
    }
    let elsewhere = machine.handle_datagram_at(NOW, addr(903), addr(5), PING);
    assert_eq!(elsewhere, Err(Ignored::Foreign));
    let clothed = machine.handle_datagram_at(NOW, addr(900), addr6(5), PING);
    assert_eq!(clothed, Err(Ignored::Foreign));
}

#[test]
fn a_token_is_good_at_the_address_that_gave_it() {
    let mut machine = homes(Config::private);
    let answered = ask(&mut machine, addr(900), addr(5), &get_peers());
    let message = answered.message();
    let Body::Response(response) = &message.body else { panic!("{message:?}") };
    let announce = announce(response.token().unwrap());
    for (local, is_good) in [(addr(901), false), (addr(902), false), (addr(900), true)] {
        let answered = ask(&mut machine, local, addr(5), &announce);
        let message = answered.message();
        assert_eq!(matches!(message.body, Body::Response(_)), is_good, "{local}");
        let stored = machine.home(local).unwrap().node().status(NOW).peers;
        assert_eq!(stored, usize::from(is_good));
    }
}

#[test]
fn who_asks_is_answered_at_the_address_that_asked() {
    let mut machine = homes(Config::private);
    let mut asked = BTreeSet::new();
    for index in 0..30 {
        let ask = machine.ask(addr(index), &Question::Ping);
        let Ok(ask) = ask else { continue };
        let mut out = buffer();
        let mut sent = None;
        while let Step::Send(transmit) = machine.step(NOW, &mut out) {
            sent = Some((transmit, out[..transmit.len].to_vec()));
        }
        let (transmit, bytes) = sent.unwrap();
        let home = machine.homes().find(|home| home.id() == ask.home()).unwrap();
        assert_eq!(transmit.from, home.local());
        asked.extend(transmit.from);
        // The same answer at another address is nobody's.
        let message = krpc::decode(&bytes).unwrap();
        let mut answer = b"d1:rd2:id20:mnopqrstuvwxyz123456e1:t4:".to_vec();
        answer.extend_from_slice(message.transaction);
        answer.extend_from_slice(b"1:y1:re");
        let from = transmit.from.unwrap();
        for local in locals().into_iter().filter(|local| local.is_ipv4() && *local != from) {
            let taken = machine.handle_datagram_at(NOW, local, addr(index), &answer);
            assert_eq!(taken, Err(Ignored::Unasked));
        }
        assert_eq!(machine.handle_datagram_at(NOW, from, addr(index), &answer), Ok(()));
        // The next question to the same goes the same way.
        let again = machine.ask(addr(index), &Question::Ping).unwrap();
        assert_eq!(again.home(), ask.home());
        machine.withdraw(again);
        while !matches!(machine.step(NOW, &mut out), Step::Wait(_)) {}
    }
    assert_eq!(asked.len(), 3, "and different ones from different addresses");
}

#[test]
fn what_the_application_leaves_to_the_node_is_answered_at_once() {
    let mut machine = homes(|family| {
        let mut config = Config::private(family);
        config.foreign_methods = true;
        config
    });
    let vote = b"d1:ad2:id20:abcdefghij0123456789e1:q4:vote2:roi1e1:t2:aa1:y1:qe";
    machine.handle_datagram_at(NOW, addr(902), addr(5), vote).unwrap();
    let mut out = buffer();
    let told = machine.poll_event();
    assert!(matches!(told, Some(Event::Asked { question }) if question.home().number() == 2));
    assert_eq!(machine.poll_transmit(NOW, &mut out), None, "the application has its turn");
    assert_eq!(machine.poll_event(), None);
    let answer = machine.poll_transmit(NOW, &mut out).unwrap();
    assert_eq!((answer.from, answer.to), (Some(addr(902)), addr(5)));
}

fn is_apart(machine: &Homes, family: Family) {
    let ids: Vec<Id> = machine
        .homes()
        .filter(|home| home.id().family() == family)
        .map(|home| home.node().id())
        .collect();
    for (index, id) in ids.iter().enumerate() {
        for other in &ids[..index] {
            let shared = id.distance(*other).leading_zeros();
            assert!(shared < HOMES_PREFIX_MAX, "{id} and {other}");
        }
    }
}

#[test]
fn an_id_that_is_fixed_is_that_of_the_first_alone() {
    let mut base = Config::private(Family::V4);
    base.id = Some(id(1, 1));
    let mut machine: Homes = Dual::new(None, None);
    let tiny = Heap { peers_per_lookup: 1, sources: 1, shunned: 1, hops: 0, buckets: 1, ..small() };
    for index in 0..HOMES_MAX {
        let node = Node::new(base.clone(), tiny, ChaCha8Rng::seed_from_u64(index as u64));
        machine.add(NOW, addr(index), node).unwrap();
    }
    is_apart(&machine, Family::V4);
    let ids: Vec<Id> = machine.homes().map(|home| home.node().id()).collect();
    assert_eq!(ids[0], id(1, 1));
    // High bits first.
    for (id, flipped) in ids[1..].iter().zip([0x80, 0x40, 0xc0, 0x20]) {
        let mut expected = ids[0];
        expected.0[0] ^= flipped;
        assert_eq!(*id, expected);
    }
    let node = |family| Node::new(Config::new(family), tiny, ChaCha8Rng::seed_from_u64(9));
    assert_eq!(machine.add(NOW, addr(0), node(Family::V4)), Err(HomeError::Taken));
    assert_eq!(machine.add(NOW, addr(999), node(Family::V4)), Err(HomeError::Full));
    assert_eq!(machine.add(NOW, addr(999), node(Family::V6)), Err(HomeError::Family));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn homes_behind_one_address_differ_in_the_bits_that_it_leaves_open(
        ip: [u8; 4], ip6: [u8; 16], seed: u64,
    ) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        for ip in [std::net::IpAddr::from(ip), ip6.into()] {
            let ids: Vec<Id> = (0..8).map(|r| Id::from_address_as(ip, r, &mut random)).collect();
            for (index, id) in ids.iter().enumerate() {
                prop_assert!(id.fits_address(ip));
                for other in &ids[..index] {
                    prop_assert!(id.distance(*other).leading_zeros() < HOMES_PREFIX_MAX);
                }
            }
        }
    }
}

#[test]
fn ids_made_of_the_same_address_are_apart_too() {
    let mut machine = homes(Config::new);
    let outside: SocketAddr = "8.8.4.4:6881".parse().unwrap();
    let mut made = 0;
    for index in 0..4 {
        for local in locals().into_iter().filter(SocketAddr::is_ipv4) {
            let home = machine.home(local).unwrap().id();
            machine.ask_from(home, addr(index), &Question::Ping).unwrap();
            let mut out = buffer();
            let mut answers = Vec::new();
            while let Step::Send(sent) = machine.step(NOW, &mut out) {
                let message = krpc::decode(&out[..sent.len]).unwrap();
                let mut answer = b"d2:ip6:".to_vec();
                answer.extend_from_slice(&[8, 8, 4, 4, 26, 225]);
                answer.extend_from_slice(b"1:rd2:id20:mnopqrstuvwxyz123456e1:t4:");
                answer.extend_from_slice(message.transaction);
                answer.extend_from_slice(b"1:y1:re");
                answers.push((sent.from.unwrap(), sent.to, answer));
            }
            for (at, from, answer) in answers {
                machine.handle_datagram_at(NOW, at, from, &answer).unwrap();
            }
            while let Some(event) = machine.poll_event() {
                if let Event::External { home: of, addr, id } = event {
                    made += 1;
                    assert!(of == home && addr == outside && id.fits_address(outside.ip()));
                }
            }
        }
    }
    assert_eq!(made, 3);
    is_apart(&machine, Family::V4);
}

#[test]
fn lookups_go_over_one_address_of_each_family_in_turn() {
    let mut network = network(31, 40);
    for (round, home) in [0u8, 1, 2, 0, 1, 2].into_iter().enumerate() {
        let hash = InfoHash([round as u8 + 1; 20]);
        let before = network.traffic.sent;
        let pair = network.command(me(), |machine, now| machine.get_peers(now, hash)).unwrap();
        let begun: BTreeSet<u8> = pair.v4.iter().map(|lookup| lookup.home().number()).collect();
        assert_eq!(begun.len(), 1);
        assert_eq!(pair.v6.unwrap().home().number(), (round % 2) as u8);
        let first = *begun.first().unwrap();
        assert_eq!(first, home, "round {round}");
        network.run_for(Duration::from_secs(10));
        assert!(network.traffic.sent - before < 200);
    }
    let ended = ended(&network);
    assert_eq!(ended.len(), 12);
    assert!(ended.iter().all(|(_, end, _)| *end == End::Complete));
    let at: BTreeSet<SocketAddr> = ended.iter().map(|(at, ..)| *at).collect();
    assert_eq!(at.into_iter().collect::<Vec<_>>(), locals());
}

#[test]
fn an_announce_from_each_address_is_seen_as_so_many_peers() {
    let mut network = network(32, 40);
    let ids: Vec<_> = network.machine(me()).homes().map(|home| home.id()).collect();
    for home in ids {
        let begin =
            |machine: &mut Homes, now| machine.announce_from(home, now, HASH, Port::Number(7_000));
        let lookup = network.command(me(), begin).unwrap();
        assert_eq!(lookup.home(), home);
        network.run_for(Duration::from_secs(30));
    }
    assert!(ended(&network).iter().all(|(_, end, stored)| *end == End::Complete && *stored == 8));
    network.command(addr(3), |machine, now| machine.get_peers(now, HASH)).unwrap();
    network.run_for(Duration::from_secs(30));
    let found: BTreeSet<_> = network
        .events
        .iter()
        .filter_map(|(_, who, event)| match event {
            Event::Peer { peer, .. } if *who == addr(3) => Some(peer.ip()),
            _ => None,
        })
        .collect();
    assert_eq!(found, locals().iter().map(SocketAddr::ip).collect());
}

#[test]
fn an_address_that_is_cut_off_ends_no_lookups_and_blames_nobody() {
    let mut network = network(33, 40);
    let known = |network: &Network<Homes>, local| {
        let status = network.machine(me()).home(local).unwrap().node().status(network.now());
        (status.health, status.nodes_good + status.nodes_questionable, status.nodes_bad)
    };
    // Each has just been answered.
    for round in 0..3 {
        let hash = InfoHash([round; 20]);
        network.command(me(), |machine, now| machine.get_peers(now, hash)).unwrap();
        network.run_for(Duration::from_secs(3));
    }
    let (_, before, _) = known(&network, addr(901));
    assert!(before >= 8, "{before}");
    network.set_cut(addr(901), true);
    // What was begun there may fail once, until it shows.
    let mut failed = 0;
    for round in 0..40u8 {
        let hash = InfoHash([round.wrapping_mul(41); 20]);
        network.command(me(), |machine, now| machine.get_peers(now, hash)).unwrap();
        // The first while it still counts as online.
        network.run_for(Duration::from_secs(if round < 6 { 5 } else { 30 }));
    }
    for (at, end, _) in ended(&network) {
        failed += usize::from(end != End::Complete);
        assert!(end == End::Complete || at == addr(901));
    }
    assert!(failed <= 1, "{failed} lookups failed");
    let (health, after, bad) = known(&network, addr(901));
    assert_eq!((health, after, bad), (Health::Offline, before, 0));
    for local in locals().into_iter().filter(|local| *local != addr(901)) {
        let (health, known, bad) = known(&network, local);
        assert!(health == Health::Online && known >= 8, "{local}: {known}, {bad}");
        // To its other homes it is one more node that does not answer.
        let table = network.machine(me()).home(local).unwrap().node().table();
        table.for_each(&mut |entry| {
            assert!(entry.silences == 0 || entry.contact.addr == addr(901), "{entry:?}");
        });
    }
    // Back again, it has its turn.
    network.set_cut(addr(901), false);
    network.run_for(Duration::from_secs(900));
    let begun: BTreeSet<u8> = (0..3)
        .map(|round| {
            let hash = InfoHash([round; 20]);
            let pair = network.command(me(), |machine, now| machine.get_peers(now, hash)).unwrap();
            pair.v4.unwrap().home().number()
        })
        .collect();
    assert_eq!(begun.len(), 3);
}

#[test]
fn a_home_without_a_place_to_begin_is_lent_some() {
    let mut network = network(34, 40);
    let mut machine = Dual::new(None, None);
    for (seed, local) in (700..).zip([addr(950), addr(951), addr6(950)]) {
        machine.add(NOW, local, node(seed, Config::private(Family::of(&local)))).unwrap();
    }
    // One address knows somebody, for the others of both families.
    machine.node_mut(Family::V4).unwrap().add_source(addr(5));
    network.add_at(&[addr(950), addr(951), addr6(950)], machine);
    network.run_for(Duration::from_secs(120));
    for home in network.machine(addr(950)).homes() {
        let status = home.node().status(network.now());
        assert!(status.nodes_good >= 8 && status.health == Health::Online, "{status:?}");
    }
}

type HomesFinder = Finder<Heap, ChaCha8Rng>;

fn finder(locals: &[SocketAddr], seed: u64) -> HomesFinder {
    let mut dual = Dual::new(None, None);
    for (seed, local) in (seed..).zip(locals) {
        dual.add(NOW, *local, node(seed, Config::private(Family::of(local)))).unwrap();
    }
    let random = |salt| ChaCha8Rng::seed_from_u64(seed + salt);
    let trackers = udp::Heap { servers: 4, requests: 8 };
    Finder::new(dual, trackers, [Family::V4, Family::V6], [random(90), random(91)])
}

#[test]
fn a_kept_search_announces_from_another_address_each_time() {
    let mut network: Network<HomesFinder> = Network::new(36, Link::default());
    for index in 0..20 {
        let mut finder = finder(&[addr(index)], 100 * index as u64);
        if index > 0 {
            finder.dht.add_source(addr(0));
        }
        network.add(addr(index), finder);
    }
    network.run_for(Duration::from_secs(60));
    let mut machine = finder(&locals()[..3], 90_000);
    machine.dht.add_source(addr(0));
    network.add_at(&locals()[..3], machine);
    network.run_for(Duration::from_secs(60));
    for local in &locals()[..3] {
        network.inject(addr(700), *local, PING);
    }
    network.run_for(Duration::from_secs(1));
    // Two searches: their rounds are in step, and yet each comes from everywhere.
    let hashes = [HASH, InfoHash([3; 20])];
    for hash in hashes {
        let wanted = Wanted::announce(Torrent::new(hash), Presence::new(7_000));
        network.command(me(), |finder, now| finder.search(now, wanted));
    }
    network.run_for(Duration::from_secs(35 * 60));
    for hash in hashes {
        let looked = network.command(addr(7), |finder, now| {
            finder.search(now, Wanted::peers_of(Torrent::new(hash)))
        });
        network.run_for(Duration::from_secs(30));
        let found: BTreeSet<_> = network
            .events
            .iter()
            .filter_map(|(_, _, event)| match event {
                finder::Event::Peer { search, peer, .. } if *search == looked => Some(peer.ip()),
                _ => None,
            })
            .collect();
        assert_eq!(found, locals()[..3].iter().map(SocketAddr::ip).collect());
    }
}

#[test]
fn trackers_are_asked_over_any_socket_and_heard_over_all() {
    let mut finder = finder(&locals(), 1);
    let tracker = addr(77);
    let mut torrent = Torrent::new(HASH);
    torrent.tiers = vec![vec![format!("udp://{tracker}/announce")]];
    finder.search(NOW, Wanted { dht: false, ..Wanted::peers_of(torrent) });
    let mut out = buffer();
    let mut connect = None;
    loop {
        match finder.step(NOW, &mut out) {
            Step::Send(sent) => connect = Some((sent, out[..sent.len].to_vec())),
            Step::Event(_) => {}
            Step::Wait(_) => break,
        }
    }
    let (sent, connect) = connect.unwrap();
    assert_eq!((sent.from, sent.to), (None, tracker));
    let mut connected = vec![0; 4];
    connected.extend_from_slice(&connect[12..16]);
    connected.extend_from_slice(&[7; 8]);
    assert_eq!(finder.handle_datagram_at(NOW, addr(902), tracker, &connected), Ok(()));
}

#[test]
fn the_same_seed_is_the_same_network() {
    let run = || {
        let mut network = network(35, 20);
        network.set_cut(addr(902), true);
        network.command(me(), |machine, now| machine.announce(now, HASH, Port::Implied)).unwrap();
        network.run_for(Duration::from_secs(120));
        (network.traffic, network.events)
    };
    assert_eq!(run(), run());
}

#[test]
fn a_home_that_replies_does_what_else_is_to_be_done() {
    let mut config = Config::private(Family::V4);
    config.upkeep.bootstrap = false;
    let mut node = node(1, config);
    tinybt_tests::nodes::fill(&mut node);
    let mut dual: Homes = Dual::new(Some(node), None);
    let mut now = Instant::from_secs(86_400);
    let mut out = buffer();
    let mut drain = |dual: &mut Homes, now| {
        let mut sent = Vec::new();
        loop {
            match dual.step(now, &mut out) {
                Step::Send(transmit) => sent.push((transmit.to, out[..transmit.len].to_vec())),
                Step::Event(_) => {}
                Step::Wait(deadline) => return (sent, deadline),
            }
        }
    };
    let (_, due) = drain(&mut dual, now);
    let due = due.expect("the table is looked after");
    // Whoever only looks is answered, several at once too, and moves nothing.
    let read_only = b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping2:roi1e1:t2:aa1:y1:qe";
    for asker in 0..3 {
        dual.handle_datagram(now, addr(70_000 + asker), read_only).unwrap();
    }
    let (replies, then) = drain(&mut dual, now);
    let receivers: BTreeSet<_> = replies.iter().map(|(to, _)| *to).collect();
    assert_eq!(receivers, (0..3).map(|asker| addr(70_000 + asker)).collect());
    assert_eq!((replies.len(), then), (3, Some(due)));
    // Whoever may be worth knowing is asked at once, behind the reply. Nobody at a distance that
    // is rare is known.
    let mut near = dual.node(Family::V4).unwrap().id();
    near.0[19] ^= 1;
    let stranger = [&b"d1:ad2:id20:"[..], &near.0, b"e1:q4:ping1:t2:aa1:y1:qe"].concat();
    dual.handle_datagram(now, addr(70_009), &stranger).unwrap();
    let (sent, _) = drain(&mut dual, now);
    assert_eq!(sent.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [addr(70_009); 2]);
    // What is due while somebody is answered is done as well, and nothing before.
    now = Instant::from_micros(due.as_micros() - 1);
    dual.handle_datagram(now, addr(70_001), read_only).unwrap();
    assert_eq!(drain(&mut dual, now).0.iter().filter(|(to, _)| *to == addr(70_001)).count(), 1);
    dual.handle_datagram(due, addr(70_001), read_only).unwrap();
    let (sent, then) = drain(&mut dual, due);
    assert!(sent.len() > 1, "the reply, and a question of upkeep");
    assert!(then.is_some_and(|then| then > due));
}

#[test]
fn where_there_is_no_room_the_next_in_the_circle_has_it() {
    let mut machine = homes(Config::private);
    let ids: Vec<Id> = machine.homes().map(|home| home.node().id()).collect();
    for turn in 0..6 {
        let mut asked = Vec::new();
        let begun = machine.in_turn(Family::V4, turn, |node| {
            asked.push(node.id());
            if asked.len() < 3 { Err(()) } else { Ok(()) }
        });
        assert_eq!(begun, Some(Ok(())));
        assert_eq!(asked, [0, 1, 2].map(|step| ids[(turn + step) % 3]), "turn {turn}");
    }
}

#[test]
fn homes_that_strangers_reach_are_those_for_lookups() {
    let mut network = joined(31, 40);
    network.inject(addr(700), locals()[1], PING);
    network.run_for(Duration::from_secs(1));
    // Others may have found us by themselves.
    let homes = network.machine(me()).homes();
    let reached: BTreeSet<_> = homes
        .filter(|home| home.node().status(network.now()).reachable)
        .map(|home| home.id())
        .filter(|home| home.family() == Family::V4)
        .collect();
    assert!(reached.iter().any(|home| home.number() == 1) && reached.len() < 3, "{reached:?}");
    for round in 1..7 {
        let hash = InfoHash([round; 20]);
        let pair = network.command(me(), |machine, now| machine.get_peers(now, hash)).unwrap();
        let home = pair.v4.map(|lookup| lookup.home()).unwrap();
        assert!(reached.contains(&home), "round {round}: {home:?} of {reached:?}");
    }
}

#[test]
fn no_room_where_somebody_answers_is_no_reason_to_ask_where_nobody_does() {
    let mut network = network(31, 40);
    network.set_cut(locals()[2], true);
    network.run_for(Duration::from_secs(3_600));
    let mut asked = Vec::new();
    network.command(me(), |machine, _| {
        machine.in_turn(Family::V4, 0, |node| {
            asked.push(node.home().number());
            Err::<(), ()>(())
        })
    });
    assert_eq!(asked, [0, 1]);
}
