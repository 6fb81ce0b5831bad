//! A finder with hundreds of torrents, among nodes that forget: no bursts, and nobody forgotten.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use chacha20::ChaCha8Rng;
use rand_core::SeedableRng;
use tinybt_core::dht::bloom::Estimate;
use tinybt_core::dht::{self, Config, Dual, Heap, Node, SwarmSize};
use tinybt_core::finder::{Event, Finder, Presence, SearchId, Wanted};
use tinybt_core::torrent::Torrent;
use tinybt_core::tracker::udp;
use tinybt_core::{Family, InfoHash, Instant};
use tinybt_tests::net::{Link, Network};
use tinybt_tests::nodes::{addr, small};

type Hosts = Network<Finder<Heap, ChaCha8Rng>>;

const NODES: usize = 50;

fn me() -> SocketAddr {
    addr(800)
}

fn hash(number: usize) -> InfoHash {
    let mut bytes = [number as u8; 20];
    bytes[0] = (number * 37) as u8;
    bytes[1] = (number >> 8) as u8;
    InfoHash(bytes)
}

fn finder(seed: u64) -> Finder<Heap, ChaCha8Rng> {
    let random = |salt| ChaCha8Rng::seed_from_u64(10 * seed + salt);
    let node = Node::new(Config::private(Family::V4), small(), random(0));
    let trackers = udp::Heap { servers: 1, requests: 1 };
    Finder::new(Dual::new(Some(node), None), trackers, [Family::V4], [random(1), random(2)])
}

/// Fifty that keep what others announce, and one to announce.
fn world(seed: u64) -> Hosts {
    let mut network = Network::new(seed, Link::default());
    for index in 0..NODES {
        let mut finder = finder(index as u64);
        if index > 0 {
            finder.dht.add_source(addr(index / 2));
        }
        network.add(addr(index), finder);
        network.run_for(Duration::from_secs(1));
    }
    let mut finder = finder(900);
    finder.dht.add_source(addr(0));
    network.add(me(), finder);
    network.run_for(Duration::from_secs(60));
    network
}

fn announce(network: &mut Hosts, number: usize, presence: Presence) -> SearchId {
    let wanted = Wanted::announce(Torrent::new(hash(number)), presence);
    network.command(me(), |finder, now| finder.search(now, wanted))
}

fn stored(network: &Hosts) -> usize {
    let nodes = (0..NODES).filter_map(|index| network.machine(addr(index)).dht.node(Family::V4));
    nodes.map(|node| node.status(network.now()).peers).sum()
}

/// When turns of the finder were over since an instant, and of which search.
fn looked(network: &Hosts, since: Instant) -> Vec<(Instant, SearchId)> {
    let of_me = network.events.iter().filter(|(at, host, _)| *host == me() && *at >= since);
    let looked = of_me.filter_map(|(at, _, event)| match event {
        Event::Looked { search, .. } => Some((*at, *search)),
        _ => None,
    });
    looked.collect()
}

/// How many a minute.
fn minutes(network: &Hosts, since: Instant) -> Vec<usize> {
    let mut counts = vec![0; (network.now().since(since).as_secs() / 60) as usize];
    for (at, _) in looked(network, since) {
        if let Some(count) = counts.get_mut((at.since(since).as_secs() / 60) as usize) {
            *count += 1;
        }
    }
    counts
}

#[test]
fn two_hundred_torrents_for_a_day() {
    let torrents = 200;
    let mut network = world(1);
    let start = network.now();
    let ids: Vec<SearchId> =
        (0..torrents).map(|number| announce(&mut network, number, Presence::new(7_000))).collect();
    let load = |network: &Hosts| network.machine(me()).dht_load(network.now());
    assert_eq!((load(&network).duties, load(&network).under_way), (torrents, 1));
    network.run_for(Duration::from_secs(600));
    let first: BTreeSet<_> = looked(&network, start).iter().map(|(_, search)| *search).collect();
    assert_eq!(first.len(), torrents, "all within ten minutes");
    for step in 0..24 * 6 {
        let now = stored(&network);
        assert!(now >= 8 * torrents, "{now} after {step} × 10 minutes");
        assert!(load(&network).under_way <= 4 && load(&network).late == 0);
        network.run_for(Duration::from_secs(600));
    }
    let counts = minutes(&network, start + Duration::from_secs(3_600));
    let mean = counts.iter().sum::<usize>() as f64 / counts.len() as f64;
    let most = counts.iter().copied().max().unwrap();
    assert!(most as f64 <= 1.25 * mean, "{most} a minute, {mean} in the middle");
    let mut last = BTreeMap::new();
    for (at, search) in looked(&network, start) {
        let before = last.insert(search, at).unwrap_or(start);
        assert!(at.since(before) <= Duration::from_secs(20 * 60), "{:?}", at.since(before));
    }
    for id in ids {
        let status = network.machine(me()).dht_status(id).unwrap();
        assert!(status.stored >= 8 && status.failures == 0, "{status:?}");
    }
}

#[test]
fn an_outage_has_no_burst_behind_it() {
    let torrents = 100;
    let mut network = world(2);
    for number in 0..torrents {
        announce(&mut network, number, Presence::new(7_000));
    }
    network.run_for(Duration::from_secs(3_600));
    network.set_cut(me(), true);
    let away = network.now();
    network.run_for(Duration::from_secs(2 * 3_600));
    let probes = minutes(&network, away);
    // One a minute, each asked twice; the second may fall into the next.
    assert!(probes[3..].iter().all(|count| *count <= 3), "{probes:?}");
    let mean = probes[3..].iter().sum::<usize>() as f64 / probes[3..].len() as f64;
    assert!(mean <= 2.1, "{probes:?}");
    network.set_cut(me(), false);
    let back = network.now();
    network.run_for(Duration::from_secs(16 * 60));
    let counts = minutes(&network, back);
    assert!(counts.iter().all(|count| *count <= 2 * torrents / 15 + 2), "{counts:?}");
    let all: BTreeSet<_> = looked(&network, back).iter().map(|(_, search)| *search).collect();
    assert_eq!(all.len(), torrents);
    assert!(stored(&network) >= 8 * torrents);
}

#[test]
fn who_only_looks_goes_first_and_who_leaves_is_not_announced() {
    let mut network = world(3);
    let start = network.now();
    let ids: Vec<_> =
        (0..40).map(|number| announce(&mut network, number, Presence::new(7_000))).collect();
    let looks: Vec<_> = (40..43)
        .map(|number| {
            let wanted = Wanted { keep: true, ..Wanted::peers_of(Torrent::new(hash(number))) };
            network.command(me(), |finder, now| finder.search(now, wanted))
        })
        .collect();
    // Asked once, and at once.
    let once = Wanted::peers_of(Torrent::new(hash(50)));
    let once = network.command(me(), |finder, now| finder.search(now, once));
    let gone = *ids.last().unwrap();
    network.command(me(), |finder, now| finder.stop(now, gone));
    network.run_for(Duration::from_secs(120));
    let order: Vec<_> = looked(&network, start).iter().map(|(_, search)| *search).collect();
    let place = |id: &SearchId| order.iter().position(|other| other == id);
    assert!(place(&once) <= Some(2), "{order:?}");
    assert!(looks.iter().all(|id| place(id).is_some_and(|place| place <= 6)), "{order:?}");
    assert_eq!((place(&gone), order.len()), (None, 43));
    let finder = network.machine(me());
    let status = finder.dht_status(looks[0]).unwrap();
    assert_eq!((status.stored, status.failures, status.asking), (0, 0, false));
    assert!(status.last.is_some());
    let status = finder.dht_status(ids[0]).unwrap();
    assert!(status.stored >= 8, "{status:?}");
    assert!(status.next.unwrap() > network.now() + Duration::from_secs(600));
    assert_eq!((finder.dht_status(once), finder.dht_status(gone)), (None, None));
    // Somebody wants to know now.
    let before = network.now();
    network.command(me(), |finder, now| finder.hurry(now, ids[7]));
    network.run_for(Duration::from_secs(20));
    assert_eq!(looked(&network, before).first().map(|(_, search)| *search), Some(ids[7]));
}

#[test]
fn a_seed_is_announced_as_one() {
    let mut network = world(4);
    let seed = Presence { left: 0, ..Presence::new(7_000) };
    announce(&mut network, 0, seed);
    let id = announce(&mut network, 1, Presence::new(7_001));
    network.run_for(Duration::from_secs(60));
    let sizes: Rc<RefCell<Vec<SwarmSize>>> = Rc::default();
    let told = sizes.clone();
    network.watch(move |_, host, finder, event| {
        if let Event::Dht(dht::Event::Finished { lookup, .. }) = event
            && host == addr(9)
        {
            told.borrow_mut().extend(finder.dht.swarm_size(*lookup));
        }
    });
    let count = |network: &mut Hosts, number| {
        sizes.borrow_mut().clear();
        network.command(addr(9), |finder, now| finder.dht.scrape(now, hash(number))).unwrap();
        network.run_for(Duration::from_secs(30));
        let sizes = sizes.borrow();
        let size = sizes.first().unwrap();
        let round = |estimate: Estimate| estimate.count.round() as u32;
        (round(size.seeds), round(size.downloaders))
    };
    assert_eq!(count(&mut network, 0), (1, 0));
    assert_eq!(count(&mut network, 1), (0, 1));
    // It is complete: so it is said in the next round, and who was told before has forgotten.
    network.command(me(), |finder, now| finder.complete(now, id));
    network.run_for(Duration::from_secs(70 * 60));
    assert_eq!(count(&mut network, 1), (1, 0));
}
