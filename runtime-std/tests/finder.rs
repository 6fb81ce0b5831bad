//! The finder on loopback: all sources at once, goodbyes, and that dropping it ends everything.
#![allow(missing_docs)]

use std::net::{TcpListener, UdpSocket};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use tinybt_std::core::dht::Port;
use tinybt_std::core::finder::{Presence, Source, TrackerState, Wanted};
use tinybt_std::core::tracker::udp::Patience;
use tinybt_std::core::{Happening, InfoHash};
use tinybt_std::{Dht, Error, Finder, Sighting};
use tinybt_tests::loopback::{HASH, http_tracker, loopback, serve, torrent, udp_tracker};

/// A finder without the DHT.
fn alone() -> Finder {
    Dht::builder().bind(loopback()).without_dht().finder().unwrap()
}

#[test]
fn dht_and_trackers_at_once() {
    let local = || Dht::builder().bind(loopback()).private();
    let first = local().start().unwrap();
    let entry = first.local_addrs()[0].to_string();
    let second = local().bootstrap([entry.clone()]).start().unwrap();
    second.announce(HASH, Port::Number(4_242)).unwrap().finish().unwrap();
    let (udp, _udp) = udp_tracker();
    let (http, _http) = http_tracker();
    let finder = local().bootstrap([entry]).finder().unwrap();
    let mut torrent = torrent(&[&udp, &http]);
    torrent.peers = vec!["10.0.0.1:6881".parse().unwrap()];
    let mut swarm = finder.find(Wanted::peers_of(torrent)).unwrap();
    let mut peers: Vec<_> =
        swarm.by_ref().map(|peer| (peer.addr.to_string(), peer.source)).collect();
    peers.sort();
    assert_eq!(
        peers,
        [
            ("10.0.0.1:6881".to_owned(), Source::Torrent),
            ("10.0.0.2:6881".to_owned(), Source::Tracker(1)),
            ("127.0.0.1:4242".to_owned(), Source::Dht),
        ]
    );
    let [udp, http] = swarm.trackers() else { panic!("{:?}", swarm.trackers()) };
    assert_eq!(
        (udp.status.state, http.status.state),
        (TrackerState::Working, TrackerState::Working)
    );
    assert_eq!(udp.status.counts.map(|counts| counts.seeders), Some(2));
    assert_eq!(swarm.lookups().len(), 1);
    assert_eq!(swarm.next_within(Duration::ZERO), Sighting::End);
}

#[test]
fn a_kept_search_tells_of_its_turns_in_the_dht() {
    let local = || Dht::builder().bind(loopback()).private();
    let first = local().start().unwrap();
    let finder = local().bootstrap([first.local_addrs()[0].to_string()]).finder().unwrap();
    let wanted = Wanted::announce(torrent(&[]), Presence::new(4_242));
    let mut swarm = finder.find(wanted).unwrap();
    assert_eq!(swarm.turns(), None);
    while swarm.next_within(Duration::from_secs(10)) != Sighting::Looked {}
    let turns = swarm.turns().unwrap();
    assert_eq!((turns.status.stored, turns.status.failures), (1, 0));
    let next = turns.next_in.unwrap();
    assert!(next > Duration::from_secs(800) && next <= Duration::from_secs(900), "{next:?}");
    swarm.stop().unwrap();
    while swarm.next_within(Duration::from_secs(10)) != Sighting::End {}
}

#[test]
fn dropping_everything_says_goodbye() {
    let (url, told) = udp_tracker();
    let (http, asked) = http_tracker();
    let finder = alone();
    let wanted = Wanted::announce(torrent(&[&url, &http]), Presence::new(4_242));
    let mut swarm = finder.find(wanted).unwrap();
    while swarm.trackers().iter().filter(|t| t.status.state == TrackerState::Working).count() < 2 {
        swarm.next_within(Duration::from_secs(10));
    }
    assert_eq!(told.recv().unwrap(), Happening::Started);
    assert!(asked.recv().unwrap().contains("event=started"));
    drop(swarm);
    drop(finder);
    assert_eq!(told.recv_timeout(Duration::from_secs(10)).unwrap(), Happening::Stopped);
    assert!(asked.recv_timeout(Duration::from_secs(10)).unwrap().contains("event=stopped"));
}

#[test]
fn goodbyes_to_nobody_keep_nobody_waiting() {
    let socket = UdpSocket::bind(loopback()).unwrap();
    let url = format!("udp://{}", socket.local_addr().unwrap());
    let (tell, told) = channel();
    let served = socket.try_clone().unwrap();
    std::thread::spawn(move || serve(&served, &tell));
    let finder = alone();
    let mut swarm = finder.find(Wanted::announce(torrent(&[&url]), Presence::new(1))).unwrap();
    assert_eq!(told.recv().unwrap(), Happening::Started);
    while swarm.trackers().iter().all(|tracker| tracker.status.state != TrackerState::Working) {
        swarm.next_within(Duration::from_secs(10));
    }
    // From now on it hears nothing any more.
    drop(told);
    let begun = Instant::now();
    finder.dht().stop().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5));
    while swarm.next().is_some() {}
    assert!(matches!(finder.find(Wanted::peers_of(torrent(&[]))), Err(Error::Stopped)));
}

#[test]
fn scrapes_and_their_failures() {
    let (url, _told) = udp_tracker();
    let finder = alone();
    let hashes: Vec<InfoHash> = (0..100).map(|index| InfoHash([index; 20])).collect();
    assert_eq!(finder.scrape(&url, &hashes, Patience::BRIEF).unwrap().len(), 100);
    let closed = TcpListener::bind(loopback()).unwrap().local_addr().unwrap();
    for (url, reason) in [
        (format!("http://{closed}/announce"), "refused"),
        (format!("http://{closed}/x"), "offers no scrape"),
        ("http://no-such-host.invalid/announce".to_owned(), "cannot find the address"),
        ("udp://no-such-host.invalid:1".to_owned(), "cannot find the address"),
        ("udp://127.0.0.1".to_owned(), "port"),
        ("wss://127.0.0.1:1".to_owned(), "udp://"),
    ] {
        let error = finder.scrape(&url, &[HASH], Patience::BRIEF).unwrap_err().to_string();
        assert!(error.starts_with(&url) && error.contains(reason), "{error}");
    }
}

#[test]
fn what_nobody_waits_for_any_more_is_not_done() {
    // More than there are threads, and none of them says a word.
    let silent: Vec<TcpListener> =
        (0..40).map(|_| TcpListener::bind(loopback()).unwrap()).collect();
    let mut urls: Vec<String> = silent
        .iter()
        .map(|listener| format!("http://{}/announce", listener.local_addr().unwrap()))
        .collect();
    let (last, heard) = http_tracker();
    urls.push(last);
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let http =
        tinybt_std::fetch::HttpConfig { timeout: Duration::from_secs(1), ..Default::default() };
    let finder = Dht::builder().bind(loopback()).without_dht().http(http).finder().unwrap();
    let mut swarm = finder.find(Wanted::announce(torrent(&urls), Presence::new(1))).unwrap();
    // Every tracker is asked by now, as far as the thread is concerned.
    finder.dht().overview().unwrap();
    swarm.stop().unwrap();
    while swarm.next().is_some() {}
    // An errand that stands behind all those in the queue.
    let (other, _other) = http_tracker();
    assert!(finder.scrape(&other, &[HASH], Patience::BRIEF).is_err());
    assert_eq!(heard.try_iter().count(), 0, "the search is over");
}

#[test]
fn a_thousand_trackers_from_one_socket() {
    let socket = UdpSocket::bind(loopback()).unwrap();
    let addr = socket.local_addr().unwrap();
    let (tell, told) = channel();
    std::thread::spawn(move || serve(&socket, &tell));
    let heap = tinybt_std::core::tracker::udp::Heap { servers: 1_000, requests: 1_000 };
    let finder = Dht::builder().bind(loopback()).without_dht().trackers(heap).finder().unwrap();
    // One that answers for all of them: each path is a server of its own.
    let urls: Vec<String> = (0..1_000).map(|number| format!("udp://{addr}/{number}")).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let wanted = Wanted { announce: Some(Presence::new(1)), ..Wanted::peers_of(torrent(&urls)) };
    let mut swarm = finder.find(wanted).unwrap();
    assert_eq!(swarm.by_ref().count(), 1);
    let works = swarm.trackers().iter().filter(|t| t.status.state == TrackerState::Working);
    assert_eq!(works.count(), 1_000);
    assert!(told.try_iter().count() >= 1_000);
}

#[test]
fn what_is_wrong_with_http_is_told_at_the_start() {
    let http = tinybt_std::fetch::HttpConfig {
        proxy: Some("nonsense://x y".to_owned()),
        ..Default::default()
    };
    let built = Dht::builder().bind(loopback()).http(http).finder();
    assert!(matches!(built, Err(Error::Http(_))));
}
