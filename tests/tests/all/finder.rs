//! One question, asked of the DHT and of every tracker at once.

use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;
use tinybt_core::dht::Port;
use tinybt_core::finder::{Event, Presence, SearchId, Source, TrackerState, TrackerStatus, Wanted};
use tinybt_core::torrent::Torrent;
use tinybt_core::tracker::server::{Registry, RegistryLimits};
use tinybt_core::tracker::tiers::Policy;
use tinybt_core::tracker::udp::Patience;
use tinybt_core::wire::udp_tracker::{Request, Response, decode_request, encode_response};
use tinybt_core::{Announce, InfoHash, Machine, PeerId, Step, buffer};
use tinybt_tests::finder_world::{Host, START, World, finder};
use tinybt_tests::fuzz_laws::ops;
use tinybt_tests::laws::check;
use tinybt_tests::nodes::addr;
use tinybt_tests::tracker_subjects::FinderSubject;

const HASH: InfoHash = InfoHash([7; 20]);

fn torrent(urls: &[&str]) -> Torrent {
    let tiers = urls.iter().map(|url| vec![(*url).to_owned()]).collect();
    Torrent { tiers, ..Torrent::new(HASH) }
}

fn peer(index: u8) -> SocketAddr {
    SocketAddr::from(([20, 0, 100, index], 6881))
}

fn join(registry: &mut Registry, index: u8) {
    let announce = Announce::new(HASH, PeerId([index; 20]), 0, 6881);
    registry.announce(START, peer(index).ip(), &announce);
}

fn udp(index: usize) -> String {
    format!("udp://{}/announce", addr(index))
}

/// Nodes that hold two peers, which the finder knows how to reach.
fn with_dht(world: &mut World) {
    for index in 0..4 {
        let node = world.add_node(addr(50 + index), index as u64);
        if index > 0 {
            node.add_source(addr(50));
        }
    }
    world.run_for(Duration::from_secs(30));
    for index in [1u8, 2] {
        let Some(Host::Node(node)) = world.hosts.get_mut(&addr(50 + usize::from(index))) else {
            panic!()
        };
        node.announce(world.now, HASH, Port::Number(6881)).unwrap();
    }
    world.run_for(Duration::from_secs(30));
    world.finder.dht.add_source(addr(50));
    world.told.clear();
    world.sent.clear();
}

/// Who is in the swarm, by the first tracker.
fn counts(world: &mut World) -> tinybt_core::announce::Counts {
    let now = world.now;
    world.registry(addr(0)).counts(now, &HASH)
}

fn search(world: &mut World, wanted: Wanted) -> SearchId {
    world.finder.search(world.now, wanted)
}

fn status(world: &World, id: SearchId) -> Vec<TrackerStatus> {
    world.finder.trackers(id).collect()
}

#[test]
fn all_sources_at_once_and_each_peer_once() {
    let mut world = World::new(true);
    with_dht(&mut world);
    world.names.insert("tracker".to_owned(), vec![addr(0)]);
    let registry = world.add_tracker(addr(0));
    (1..=3).for_each(|index| join(registry, index));
    let mut registry = Registry::new(RegistryLimits::default());
    (3..=5).for_each(|index| join(&mut registry, index));
    world.http.insert("web".to_owned(), registry);
    let mut torrent = torrent(&["udp://tracker:6881/announce", "http://web/announce"]);
    torrent.peers = vec![peer(5), peer(9)];
    search(&mut world, Wanted::peers_of(torrent));
    world.run_for(Duration::from_secs(30));
    let found = world.peers();
    let mut peers: Vec<SocketAddr> = found.iter().map(|(peer, _)| *peer).collect();
    peers.sort_unstable();
    let mut expected: Vec<SocketAddr> = [1, 2, 3, 4, 5, 9].map(peer).to_vec();
    expected.extend([addr(51), addr(52)]);
    expected.sort_unstable();
    assert_eq!(peers, expected);
    let first = |wanted| found.iter().find(|(peer, _)| *peer == wanted).map(|(_, source)| *source);
    assert_eq!(first(peer(5)), Some(Source::Torrent));
    assert_eq!(first(addr(51)), Some(Source::Dht));
    assert_eq!(first(peer(4)), Some(Source::Tracker(1)));
    // Every source that named it is told, each once.
    let named = |wanted: SocketAddr| {
        let events = world.told.iter();
        let sources = events.filter_map(|(_, event)| match event {
            Event::Peer { peer, source, .. } if *peer == wanted => Some(*source),
            _ => None,
        });
        sources.collect::<Vec<_>>()
    };
    assert_eq!(named(peer(3)).len(), 2);
    assert_eq!(named(peer(5)), [Source::Torrent, Source::Tracker(1)]);
    assert!(world.finished().is_some());
}

#[test]
fn who_only_looks_leaves_no_trace() {
    let mut world = World::new(false);
    join(world.add_tracker(addr(0)), 1);
    let mut registry = Registry::new(RegistryLimits::default());
    join(&mut registry, 2);
    world.http.insert("web".to_owned(), registry);
    search(&mut world, Wanted::peers_of(torrent(&[&udp(0), "http://web/announce"])));
    world.run_for(Duration::from_secs(30));
    assert_eq!(world.peers().len(), 2);
    assert_eq!(counts(&mut world).leechers, 1);
    let web = world.http.get_mut("web").unwrap();
    assert_eq!(web.counts(START, &HASH).leechers, 1);
    assert!(
        world.fetched[0].contains("event=started") && world.fetched[1].contains("event=stopped")
    );
    assert!(world.finished().unwrap() < Duration::from_millis(200));
}

#[test]
fn a_dead_tracker_delays_nobody_and_ends() {
    let mut world = World::new(true);
    with_dht(&mut world);
    join(world.add_tracker(addr(0)), 1);
    let begun = world.now.since(START);
    let id = search(&mut world, Wanted::peers_of(torrent(&[&udp(9), &udp(0)])));
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.peers().len(), 3);
    let at = |event: &(Duration, Event)| matches!(event.1, Event::Peer { .. }).then_some(event.0);
    assert!(world.told.iter().find_map(at).unwrap() - begun < Duration::from_millis(90));
    assert_eq!(status(&world, id)[0].state, TrackerState::Asking);
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.finished(), None);
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.finished().unwrap() - begun, Duration::from_millis(10_500));
    assert_eq!(world.sent[&addr(9)], 3);
}

#[test]
fn every_failure_names_its_reason_and_the_others_go_on() {
    let mut world = World::new(false);
    join(world.add_tracker(addr(0)), 1);
    world.bodies.insert("page".to_owned(), b"<html>404".to_vec());
    world
        .bodies
        .insert("no".to_owned(), b"d14:failure reason12:unregistered8:retry in5:nevere".to_vec());
    world.bodies.insert("odd".to_owned(), b"d8:intervali9e5:peers7:abcdefge".to_vec());
    world.hosts.insert(
        addr(1),
        Host::Liar(|bytes| {
            let (transaction, request) = decode_request(bytes).unwrap();
            let response = match request {
                Request::Connect => Response::Connect { connection: 1 },
                _ => Response::Error { message: b"banned\0" },
            };
            let mut bytes = vec![0; 100];
            let len = encode_response(&mut bytes, transaction, &response).unwrap();
            bytes.truncate(len);
            bytes
        }),
    );
    let urls = [
        "wss://x",
        "udp://noport",
        "udp://nowhere:1",
        "http://page/announce",
        "http://no/announce",
        "http://odd/announce",
        "http://down/announce",
        &udp(1),
        "udp://[::1]:9",
        &udp(8),
        &udp(0),
    ];
    search(&mut world, Wanted::peers_of(torrent(&urls)));
    world.run_for(Duration::from_secs(15));
    assert!(world.finished().is_some());
    assert_eq!(world.peers(), [(peer(1), Source::Tracker(10))]);
    let errors: Vec<&str> =
        world.last.iter().map(|row| row.error.as_deref().unwrap_or("")).collect();
    assert_eq!(
        errors,
        [
            "expected udp://, http:// or https://",
            "expected a port from 1 to 65535, as in udp://host:6969",
            "no such host: nowhere",
            "not a tracker: the answer is no bencoded dictionary but \"<html>404\" …",
            "refused: unregistered (never to be asked again)",
            "the answer's \"peers\" is missing or of the wrong kind or length",
            "connection refused",
            "refused: banned",
            "there is no socket of its address family",
            "no answer",
            "",
        ]
    );
    let states: Vec<bool> =
        world.last.iter().map(|row| row.state == TrackerState::Working).collect();
    assert_eq!(states.iter().filter(|works| **works).count(), 1);
}

#[test]
fn a_private_torrent_asks_its_trackers_in_turn_and_nobody_else() {
    let mut world = World::new(true);
    with_dht(&mut world);
    join(world.add_tracker(addr(0)), 1);
    join(world.add_tracker(addr(1)), 2);
    let mut torrent = torrent(&[&udp(9), &udp(0), &udp(1)]);
    torrent.private = true;
    torrent.peers = vec![peer(9)];
    search(&mut world, Wanted::peers_of(torrent));
    world.run_for(Duration::from_secs(20));
    assert_eq!(world.peers(), [(peer(1), Source::Tracker(1))]);
    assert!(world.finished().is_some());
    assert!(!world.sent.contains_key(&addr(1)));
    assert_eq!(world.told.iter().filter(|(_, e)| matches!(e, Event::Looked { .. })).count(), 0);
}

#[test]
fn an_announce_is_kept_and_ends_with_goodbye() {
    let mut world = World::new(true);
    with_dht(&mut world);
    join(world.add_tracker(addr(0)), 1);
    let presence = Presence { left: 5, ..Presence::new(7_000) };
    let id = search(&mut world, Wanted::announce(torrent(&[&udp(0)]), presence));
    world.run_for(Duration::from_secs(10));
    assert_eq!(counts(&mut world).leechers, 2);
    let sent = world.sent[&addr(0)];
    world.run_for(Duration::from_secs(29 * 60));
    assert_eq!(world.sent[&addr(0)], sent, "not before its interval");
    let named = |world: &World| {
        let events = world.told.iter().filter(|(_, event)| matches!(event, Event::Peer { .. }));
        events.count()
    };
    let told = named(&world);
    let looked = |world: &World| {
        world.told.iter().filter(|(_, event)| matches!(event, Event::Looked { .. })).count()
    };
    assert_eq!(looked(&world), 2, "the DHT is told every quarter of an hour");
    world.run_for(Duration::from_secs(60));
    assert_eq!(world.sent[&addr(0)], sent + 2);
    assert_eq!(named(&world), told, "who was named before is not told again");
    world.finder.complete(world.now, id);
    world.run_for(Duration::from_secs(1));
    let told = counts(&mut world);
    assert_eq!((told.seeders, told.completed), (1, Some(1)));
    assert_eq!(world.finished(), None);
    world.finder.stop(world.now, id);
    world.run_for(Duration::from_secs(1));
    assert_eq!(counts(&mut world).seeders, 0);
    assert!(world.finished().is_some());
}

#[test]
fn goodbye_to_a_dead_tracker_takes_three_seconds_at_most() {
    let mut world = World::new(false);
    join(world.add_tracker(addr(0)), 1);
    let presence = Presence::new(7_000);
    let id = search(&mut world, Wanted::announce(torrent(&[&udp(0), &udp(9)]), presence));
    world.run_for(Duration::from_secs(1));
    world.hosts.remove(&addr(0));
    let before = world.now;
    world.finder.stop(world.now, id);
    world.run_for(Duration::from_secs(10));
    let took = world.finished().unwrap() - before.since(START);
    assert!(took <= Duration::from_secs(3), "{took:?}");
    assert_eq!(world.finder.trackers(id).count(), 0, "it is forgotten");
}

#[test]
fn a_hybrid_torrent_has_two_swarms() {
    let mut world = World::new(false);
    let other = InfoHash([8; 20]);
    let registry = world.add_tracker(addr(0));
    join(registry, 1);
    let announce = Announce::new(other, PeerId([2; 20]), 0, 6881);
    registry.announce(START, peer(2).ip(), &announce);
    let mut torrent = torrent(&[&udp(0)]);
    torrent.info_hashes.push(other);
    search(&mut world, Wanted::peers_of(torrent));
    world.run_for(Duration::from_secs(5));
    let mut peers: Vec<SocketAddr> = world.peers().iter().map(|(peer, _)| *peer).collect();
    peers.sort_unstable();
    assert_eq!(peers, [peer(1), peer(2)]);
}

#[test]
fn searches_share_a_servers_connection_id() {
    let mut world = World::new(false);
    join(world.add_tracker(addr(0)), 1);
    for _ in 0..5 {
        search(&mut world, Wanted::peers_of(torrent(&[&udp(0)])));
    }
    world.run_for(Duration::from_secs(5));
    // One connect, five announces, five goodbyes.
    assert_eq!(world.sent[&addr(0)], 11);
}

#[test]
fn liars_are_bounded() {
    let mut world = World::new(false);
    let peers: Vec<u8> =
        (0..2_000u32).flat_map(|n| [9, (n >> 8) as u8, n as u8, 1, 1, 1]).collect();
    let body =
        [b"d8:completei4294967295e8:intervali0e5:peers12000:".as_slice(), &peers, b"e"].concat();
    world.bodies.insert("liar".to_owned(), body);
    let wanted = Wanted { peers_max: 100, ..Wanted::peers_of(torrent(&["http://liar/announce"])) };
    search(&mut world, wanted);
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.peers().len(), 100);
    let presence = Presence::new(7_000);
    let id = search(&mut world, Wanted::announce(torrent(&["http://liar/announce"]), presence));
    world.run_for(Duration::from_secs(1));
    let next = status(&world, id)[0].next.unwrap();
    assert!(next >= world.now + Duration::from_secs(58), "an interval of 0 is one of 60 s");
}

#[test]
fn parameters_are_the_callers() {
    let mut world = World::new(false);
    world.http.insert("web".to_owned(), Registry::new(RegistryLimits::default()));
    let presence = Presence {
        downloaded: 1,
        left: 2,
        uploaded: 3,
        ip: Some([1, 2, 3, 4].into()),
        ..Presence::new(80)
    };
    let wanted = Wanted {
        peer_id: Some(PeerId(*b"-XX0001-aaaaaaaaaaaa")),
        key: Some(0xab),
        num_want: Some(33),
        keep: false,
        ..Wanted::announce(torrent(&["http://web/announce?pass=1"]), presence)
    };
    search(&mut world, wanted);
    world.run_for(Duration::from_secs(5));
    let [url] = &world.fetched[..] else { panic!("{:?}", world.fetched) };
    for part in [
        "?pass=1&",
        "peer_id=-XX0001-aaaaaaaaaaaa&",
        "port=80&",
        "uploaded=3&",
        "downloaded=1&",
        "left=2&",
        "key=000000AB",
        "event=started",
        "numwant=33",
        "ip=1.2.3.4",
    ] {
        assert!(url.contains(part), "{part} in {url}");
    }
    // Announced once and not taken back.
    assert_eq!(world.http.get_mut("web").unwrap().counts(START, &HASH).leechers, 1);
    assert!(world.finished().is_some());
}

#[test]
fn all_of_a_tier_or_one_of_it() {
    for (policy, asked) in [(Policy::All, 3), (Policy::InTurn, 1)] {
        let mut world = World::new(false);
        (0..3).for_each(|index| join(world.add_tracker(addr(index)), index as u8));
        let tiers = vec![(0..3).map(udp).collect()];
        let torrent = Torrent { tiers, ..Torrent::new(HASH) };
        search(&mut world, Wanted { policy, ..Wanted::peers_of(torrent) });
        world.run_for(Duration::from_secs(5));
        assert_eq!(world.sent.len(), asked, "{policy:?}");
        assert!(world.finished().is_some());
    }
}

#[test]
fn scrapes_of_many_swarms_over_udp_and_http() {
    let mut world = World::new(false);
    let hashes: Vec<InfoHash> = (0..150).map(|index| InfoHash([index; 20])).collect();
    join(world.add_tracker(addr(0)), 1);
    let mut registry = Registry::new(RegistryLimits::default());
    join(&mut registry, 2);
    world.http.insert("web".to_owned(), registry);
    for url in [udp(0), "http://web/announce".to_owned()] {
        world.told.clear();
        world.finder.scrape(world.now, &url, &hashes, Patience::BRIEF).unwrap();
        world.run_for(Duration::from_secs(5));
        let counts = world.told.iter().filter_map(|(_, event)| match event {
            Event::Scraped { swarm, counts, .. } => Some((*swarm, counts.leechers)),
            _ => None,
        });
        let counts: Vec<_> = counts.collect();
        assert_eq!(counts.len(), 150);
        assert_eq!(counts[7], (HASH, 1));
        assert!(matches!(world.told.last(), Some((_, Event::ScrapeFinished { error: None, .. }))));
    }
    // A connect and three parts.
    assert_eq!(world.sent[&addr(0)], 4);
}

#[test]
fn scrapes_that_fail_say_why() {
    let mut world = World::new(false);
    world.bodies.insert("page".to_owned(), b"<html>".to_vec());
    for (url, reason) in [
        (udp(9), "no answer"),
        ("udp://nowhere:1".to_owned(), "no such host"),
        ("http://web/x".to_owned(), "offers no scrape"),
        ("http://down/announce".to_owned(), "connection refused"),
        ("http://page/announce".to_owned(), "not a tracker"),
    ] {
        world.told.clear();
        world.finder.scrape(world.now, &url, &[HASH], Patience::BRIEF).unwrap();
        world.run_for(Duration::from_secs(20));
        let Some((_, Event::ScrapeFinished { error: Some(error), .. })) = world.told.last() else {
            panic!("{url}: {:?}", world.told)
        };
        assert!(error.contains(reason), "{url}: {error}");
    }
    assert!(world.finder.scrape(world.now, "x", &[HASH], Patience::BRIEF).is_err());
}

#[test]
fn nothing_to_ask_is_over_at_once() {
    let mut world = World::new(false);
    search(&mut world, Wanted::peers_of(torrent(&[])));
    world.run_for(Duration::from_millis(1));
    assert_eq!(world.finished(), Some(Duration::ZERO));
}

#[test]
fn events_in_order_and_once() {
    let mut world = World::new(false);
    world.http.insert("web".to_owned(), Registry::new(RegistryLimits::default()));
    let wanted = Wanted::announce(torrent(&["http://web/announce"]), Presence::new(80));
    let id = search(&mut world, wanted);
    world.run_for(Duration::from_secs(3_700));
    world.finder.complete(world.now, id);
    world.run_for(Duration::from_secs(3_700));
    world.finder.stop(world.now, id);
    world.run_for(Duration::from_secs(5));
    let events: Vec<&str> = world
        .fetched
        .iter()
        .map(|url| {
            url.split("event=").nth(1).map_or("none", |rest| rest.split('&').next().unwrap())
        })
        .collect();
    assert_eq!(events, ["started", "none", "none", "completed", "none", "none", "stopped"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_laws_hold(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(check(&FinderSubject, &ops(&bytes)), Ok(()));
    }
}

#[test]
fn who_stops_all_hears_the_end_of_each() {
    let mut finder = finder(true);
    let mut open: Vec<_> = (1..4)
        .map(|hash| {
            let torrent = Torrent::new(InfoHash([hash; 20]));
            finder.search(START, Wanted::announce(torrent, Presence::new(80)))
        })
        .collect();
    finder.stop_all(START);
    let (mut now, mut out) = (START, buffer());
    while !open.is_empty() {
        match finder.step(now, &mut out) {
            Step::Event(Event::Finished { search }) => open.retain(|id| *id != search),
            Step::Wait(at) => now = at.expect("they end"),
            _ => {}
        }
        assert!(now.since(START) < Duration::from_secs(60), "{open:?}");
    }
}
