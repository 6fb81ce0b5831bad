//! The finder where things go wrong half-way: each test was a fault.

use std::net::SocketAddr;
use std::time::Duration;

use chacha20::ChaCha8Rng;
use rand_core::SeedableRng;
use tinybt_core::dht::{Config, Dual, Node};
use tinybt_core::finder::{Errand, Event, Finder, Presence, SearchId, TrackerState, Wanted};
use tinybt_core::torrent::Torrent;
use tinybt_core::tracker::server::{Registry, RegistryLimits};
use tinybt_core::tracker::udp::{self, Patience};
use tinybt_core::wire::udp_tracker::{Request, Response, Scraped, decode_request, encode_response};
use tinybt_core::{Announce, Family, InfoHash, Machine, PeerId, Step, buffer};
use tinybt_tests::finder_world::{Host, START, World};
use tinybt_tests::nodes::{addr, small};

const HASH: InfoHash = InfoHash([7; 20]);

fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn torrent(urls: &[String]) -> Torrent {
    let tiers = urls.iter().map(|url| vec![url.clone()]).collect();
    Torrent { tiers, ..Torrent::new(HASH) }
}

fn udp(index: usize) -> String {
    format!("udp://{}/announce", addr(index))
}

/// Gives the finder sockets of both families; its nodes begin at these addresses.
fn dual_stack(world: &mut World, dht: bool, v6: Option<SocketAddr>) {
    let random = ChaCha8Rng::seed_from_u64;
    let node = |family, seed| Node::new(Config::private(family), small(), random(seed));
    let mut six = node(Family::V6, 11);
    v6.map(|source| six.add_source(source));
    let dual = Dual::new(dht.then(|| node(Family::V4, 1)), dht.then_some(six));
    let rows = udp::Heap { servers: 16, requests: 32 };
    world.finder = Finder::new(dual, rows, [Family::V4, Family::V6], [random(2), random(3)]);
}

/// Four nodes that know each other.
fn with_nodes(v6: Option<SocketAddr>) -> World {
    let mut world = World::new(true);
    for index in 0..4 {
        let node = world.add_node(addr(50 + index), index as u64);
        if index > 0 {
            node.add_source(addr(50));
        }
    }
    world.run_for(secs(30));
    dual_stack(&mut world, true, v6);
    world.told.clear();
    world
}

/// A tracker with an address of each family, of which the IPv6 one is dead.
fn half_dead() -> (World, Torrent) {
    let mut world = World::new(false);
    dual_stack(&mut world, false, None);
    world.add_tracker(addr(0));
    let addrs = vec![addr(0), "[2001:db8::1]:6881".parse().unwrap()];
    world.names.insert("tracker".to_owned(), addrs);
    (world, torrent(&["udp://tracker:6881/announce".to_owned()]))
}

fn leechers(world: &mut World) -> u32 {
    let now = world.now;
    world.registry(addr(0)).counts(now, &HASH).leechers
}

fn stop(world: &mut World, id: SearchId) {
    world.finder.stop(world.now, id);
}

#[test]
fn goodbye_is_said_though_the_other_family_is_silent() {
    for keep in [true, false] {
        let (mut world, torrent) = half_dead();
        let wanted = match keep {
            true => Wanted::announce(torrent, Presence::new(7_000)),
            false => Wanted::peers_of(torrent),
        };
        let id = world.finder.search(world.now, wanted);
        world.run_for(secs(5));
        assert_eq!(leechers(&mut world), 1, "it knows us");
        let state = world.finder.trackers(id).next().unwrap().state;
        assert_eq!(state, TrackerState::Working, "whatever the other family does");
        let silent = "[2001:db8::1]:6881".parse().unwrap();
        let before = world.sent.get(&silent).copied();
        stop(&mut world, id);
        world.run_for(secs(4));
        assert_eq!(leechers(&mut world), 0);
        assert_eq!(world.sent.get(&silent).copied(), before, "who never answered knows nobody");
        assert!(world.finished().is_some());
    }
}

#[test]
fn goodbye_is_said_though_the_next_announce_is_not_answered() {
    let mut world = World::new(false);
    world.add_tracker(addr(0));
    let wanted = Wanted::announce(torrent(&[udp(0)]), Presence::new(7_000));
    let id = world.finder.search(world.now, wanted);
    world.run_for(secs(1_799));
    let Some(tracker) = world.hosts.remove(&addr(0)) else { panic!() };
    world.run_for(secs(3));
    assert_eq!(world.finder.trackers(id).next().unwrap().state, TrackerState::Asking);
    world.hosts.insert(addr(0), tracker);
    stop(&mut world, id);
    world.run_for(secs(4));
    assert_eq!(leechers(&mut world), 0);
}

#[test]
fn nobody_is_told_that_we_come_after_we_are_to_go() {
    // The tracker comes up after the search was told to stop.
    let mut world = World::new(false);
    let wanted = Wanted::announce(torrent(&[udp(0)]), Presence::new(7_000));
    let id = world.finder.search(world.now, wanted);
    world.run_for(Duration::from_millis(1_550));
    stop(&mut world, id);
    world.run_for(Duration::from_millis(1));
    assert!(world.finished().is_some(), "nobody knows us: nothing to wait for");
    world.add_tracker(addr(0));
    world.run_for(secs(30));
    assert_eq!(leechers(&mut world), 0);
    // Its name is resolved after that.
    let finder = &mut World::new(false).finder;
    let wanted = Wanted::announce(torrent(&["udp://name:1".to_owned()]), Presence::new(7_000));
    let id = finder.search(START, wanted);
    let (mut out, mut errands) = (buffer(), Vec::new());
    let mut drain = |finder: &mut tinybt_tests::finder_world::TestFinder, at| {
        loop {
            match finder.step(at, &mut out) {
                Step::Event(Event::Errand { errand, what: Errand::Resolve { .. } }) => {
                    errands.push(errand);
                }
                Step::Event(Event::Withdrawn { errand }) => errands.retain(|e| *e != errand),
                Step::Event(_) => {}
                Step::Send(_) => panic!("somebody is asked"),
                Step::Wait(_) => return errands.clone(),
            }
        }
    };
    let asked = drain(finder, START);
    finder.stop(START, id);
    assert_eq!(drain(finder, START), [], "the errand is withdrawn");
    finder.resolved(START + secs(1), asked[0], Ok(&[addr(0)]));
    drain(finder, START + secs(1));
}

#[test]
fn the_dht_is_told_at_its_interval_though_one_family_is_dead() {
    for v6 in [None, Some("[2001:db8::7]:6881".parse().unwrap())] {
        let mut world = with_nodes(v6);
        world.finder.dht.add_source(addr(50));
        world.run_for(secs(5));
        let wanted = Wanted::announce(Torrent::new(HASH), Presence::new(7_000));
        world.finder.search(world.now, wanted);
        world.run_for(secs(600));
        let looked = world.told.iter().filter(|(_, event)| {
            matches!(event, Event::Looked { lookup, .. } if lookup.family() == Family::V4)
        });
        assert_eq!(looked.count(), 1, "{v6:?}");
    }
}

#[test]
fn one_slow_name_does_not_hold_those_who_are_known() {
    let mut world = with_nodes(None);
    world.finder.hold_dht(true);
    world.finder.search(world.now, Wanted::peers_of(Torrent::new(HASH)));
    world.run_for(secs(1));
    assert!(world.finished().is_none());
    // The first of two names is resolved.
    world.finder.dht.add_source(addr(50));
    world.finder.hold_dht(true);
    world.run_for(secs(20));
    assert!(world.finished().is_some());
}

#[test]
fn a_dht_with_room_for_one_is_asked_for_both_swarms() {
    let mut world = with_nodes(None);
    world.finder.dht.add_source(addr(50));
    world.run_for(secs(5));
    // All rows but one are taken.
    let mut taken = 0;
    let mut others = Vec::new();
    while let Ok(pair) = world.finder.dht.get_peers(world.now, InfoHash([100 + taken; 20])) {
        others.extend(pair.iter());
        taken += 1;
    }
    let last = others.iter().rev().find(|lookup| lookup.family() == Family::V4).copied().unwrap();
    world.finder.dht.cancel(world.now, last);
    world.run_for(Duration::ZERO);
    let mut torrent = Torrent::new(HASH);
    torrent.info_hashes.push(InfoHash([8; 20]));
    world.told.clear();
    world.finder.search(world.now, Wanted::peers_of(torrent));
    world.run_for(secs(60));
    let looked = world.told.iter().filter(
        |(_, event)| matches!(event, Event::Looked { lookup, .. } if lookup.family() == Family::V4),
    );
    assert_eq!(looked.count(), 2);
}

#[test]
fn more_trackers_than_rows_are_all_asked() {
    let mut world = World::new(false);
    for index in 0..40 {
        world.add_tracker(addr(index));
    }
    let urls: Vec<String> = (0..40).map(udp).collect();
    world.finder.search(world.now, Wanted::peers_of(torrent(&urls)));
    world.run_for(secs(60));
    let worked = world.last.iter().filter(|row| row.state == TrackerState::Working).count();
    assert_eq!((worked, world.last.len()), (40, 40));
    assert!(world.finished().is_some());
}

#[test]
fn who_has_everything_from_the_start_completes_nothing() {
    let mut world = World::new(false);
    world.http.insert("web".to_owned(), Registry::new(RegistryLimits::default()));
    let urls = ["http://web/announce".to_owned()];
    let seed = Presence { left: 0, ..Presence::new(7_000) };
    let id = world.finder.search(world.now, Wanted::announce(torrent(&urls), seed));
    world.run_for(secs(5));
    world.finder.complete(world.now, id);
    world.run_for(secs(5));
    assert!(!world.fetched.iter().any(|url| url.contains("completed")));
}

#[test]
fn the_fuller_of_two_swarms_is_counted() {
    let mut world = World::new(false);
    let registry = world.add_tracker(addr(0));
    for index in 0..5 {
        let announce = Announce::new(HASH, PeerId([index; 20]), 0, 6881);
        registry.announce(START, [20, 0, 100, index].into(), &announce);
    }
    let mut torrent = torrent(&[udp(0)]);
    torrent.info_hashes.push(InfoHash([8; 20]));
    world.finder.search(world.now, Wanted::peers_of(torrent));
    world.run_for(secs(20));
    assert!(world.last[0].counts.unwrap().leechers >= 5, "{:?}", world.last[0].counts);
}

#[test]
fn who_only_looks_does_not_find_itself() {
    // Some trackers name everybody, whoever asks included.
    let mut world = World::new(false);
    let body = b"d8:intervali1800e5:peers12:\x14\x09\x09\x09\xbf\xff\x01\x02\x03\x04\x00\x50e";
    world.bodies.insert("web".to_owned(), body.to_vec());
    world.finder.search(world.now, Wanted::peers_of(torrent(&["http://web/announce".to_owned()])));
    world.run_for(secs(1));
    let peers: Vec<SocketAddr> = world.peers().iter().map(|(peer, _)| *peer).collect();
    assert_eq!(peers, ["1.2.3.4:80".parse().unwrap()]);
}

#[test]
fn a_scrape_tries_the_other_family_and_keeps_what_it_has() {
    let mut world = World::new(false);
    dual_stack(&mut world, false, None);
    let url = "http://six/announce";
    world.finder.scrape(world.now, url, &[HASH], Patience::BRIEF).unwrap();
    world.run_for(secs(1));
    assert_eq!(world.fetched.len(), 2);

    let mut world = World::new(false);
    world.hosts.insert(
        addr(0),
        Host::Liar(|asked| {
            let (transaction, request) = decode_request(asked).unwrap();
            let counts = [Default::default(); 70];
            let response = match request {
                Request::Connect => Response::Connect { connection: 1 },
                Request::Scrape { hashes, .. } if hashes.iter().count() == 70 => {
                    Response::Scrape(Scraped::Values(&counts))
                }
                _ => Response::Error { message: b"no" },
            };
            let mut bytes = vec![0; 1_500];
            let len = encode_response(&mut bytes, transaction, &response).unwrap();
            bytes.truncate(len);
            bytes
        }),
    );
    let swarms: Vec<InfoHash> = (0..80).map(|index| InfoHash([index; 20])).collect();
    world.finder.scrape(world.now, &udp(0), &swarms, Patience::BRIEF).unwrap();
    world.run_for(secs(5));
    let counts = world.told.iter().filter(|(_, event)| matches!(event, Event::Scraped { .. }));
    assert_eq!(counts.count(), 70);
    let Some((_, Event::ScrapeFinished { error: Some(error), .. })) = world.told.last() else {
        panic!("{:?}", world.told.last())
    };
    assert_eq!(error, "refused: no");
}
