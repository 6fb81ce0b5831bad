//! The finder on loopback: all sources at once, goodbyes, and an executor that goes on meanwhile.
#![allow(missing_docs)]

use std::net::{TcpListener, UdpSocket};
use std::time::Duration;

use smol::future::{FutureExt, poll_once, yield_now};
use smol::stream::StreamExt;
use smol::{LocalExecutor, block_on, unblock};
use tinybt_smol::core::dht::Port;
use tinybt_smol::core::finder::{Presence, Source, TrackerState, Wanted};
use tinybt_smol::core::tracker::udp::Patience;
use tinybt_smol::core::{Happening, InfoHash};
use tinybt_smol::{Builder, Dht, Error, Finder, Sighting};
use tinybt_tests::loopback::{HASH, http_tracker, loopback, torrent, udp_tracker};

fn local() -> Builder {
    Dht::builder().bind(loopback()).private()
}

fn start(executor: &LocalExecutor<'_>, builder: Builder) -> Finder {
    let (finder, running) = builder.finder().unwrap();
    executor.spawn(running).detach();
    finder
}

fn on_one_thread(test: impl AsyncFnOnce(&LocalExecutor<'_>)) {
    let executor = LocalExecutor::new();
    block_on(executor.run(test(&executor)));
}

#[test]
fn dht_and_trackers_at_once() {
    on_one_thread(async |executor| {
        let first = start(executor, local());
        let entry = first.dht().local_addrs()[0].to_string();
        let second = start(executor, local().bootstrap([entry.clone()]));
        second.dht().announce(HASH, Port::Number(4_242)).unwrap().finish().await.unwrap();
        let (udp, _udp) = udp_tracker();
        let (http, _http) = http_tracker();
        let finder = start(executor, local().bootstrap([entry]));
        let mut swarm = finder.find(Wanted::peers_of(torrent(&[&udp, &http]))).unwrap();
        let peers: Vec<_> = StreamExt::collect(&mut swarm).await;
        let mut peers: Vec<_> =
            peers.into_iter().map(|peer| (peer.addr.to_string(), peer.source)).collect();
        peers.sort();
        assert_eq!(
            peers,
            [
                ("10.0.0.1:6881".to_owned(), Source::Tracker(0)),
                ("10.0.0.2:6881".to_owned(), Source::Tracker(1)),
                ("127.0.0.1:4242".to_owned(), Source::Dht),
            ]
        );
        let working = |index: usize| swarm.trackers()[index].status.state == TrackerState::Working;
        assert!(working(0) && working(1));
        assert_eq!(swarm.lookups().len(), 1);
        assert_eq!(swarm.sighting().await, Sighting::End);
    });
}

#[test]
fn dropping_everything_says_goodbye() {
    on_one_thread(async |executor| {
        let (url, told) = udp_tracker();
        let (http, asked) = http_tracker();
        let (finder, running) = local().without_dht().finder().unwrap();
        let running = executor.spawn(running);
        let wanted = Wanted::announce(torrent(&[&url, &http]), Presence::new(4_242));
        let mut swarm = finder.find(wanted).unwrap();
        let is_working =
            |tracker: &tinybt_smol::Tracker| tracker.status.state == TrackerState::Working;
        while swarm.trackers().iter().filter(|tracker| is_working(tracker)).count() < 2 {
            swarm.sighting().await;
        }
        drop((swarm, finder));
        running.await.unwrap();
        unblock(move || {
            assert_eq!(told.recv().unwrap(), Happening::Started);
            assert_eq!(told.recv().unwrap(), Happening::Stopped);
            assert!(asked.recv().unwrap().contains("event=started"));
            assert!(asked.recv().unwrap().contains("event=stopped"));
        })
        .await;
    });
}

#[test]
fn a_tracker_that_hangs_does_not_hold_up_the_executor() {
    on_one_thread(async |executor| {
        // Connections are accepted, and nothing is ever said.
        let silent = TcpListener::bind(loopback()).unwrap();
        let hanging = format!("http://{}/announce", silent.local_addr().unwrap());
        let (udp, _told) = udp_tracker();
        let http = tinybt_smol::fetch::HttpConfig {
            timeout: Duration::from_secs(2),
            ..Default::default()
        };
        let finder = start(executor, local().without_dht().http(http));
        let mut swarm = finder.find(Wanted::peers_of(torrent(&[&hanging, &udp]))).unwrap();
        let mut turns = 0_u64;
        let counting = async {
            loop {
                turns += 1;
                yield_now().await;
            }
        };
        let peers: Vec<_> = async { StreamExt::collect(&mut swarm).await }.or(counting).await;
        assert_eq!(peers.len(), 1);
        assert_ne!(swarm.trackers()[0].status.state, TrackerState::Working);
        // Two seconds of hanging; an executor that was held up has a handful of turns.
        assert!(turns > 1_000, "{turns}");
    });
}

#[test]
fn scrapes_and_their_failures() {
    on_one_thread(async |executor| {
        let (url, _told) = udp_tracker();
        let finder = start(executor, local().without_dht());
        let hashes: Vec<InfoHash> = (0..100).map(|index| InfoHash([index; 20])).collect();
        let counts = finder.scrape(&url, &hashes, Patience::BRIEF).await.unwrap();
        assert_eq!(counts.len(), 100);
        let closed = TcpListener::bind(loopback()).unwrap().local_addr().unwrap();
        for (url, reason) in [
            (format!("http://{closed}/announce"), "refused"),
            ("udp://no-such-host.invalid:1".to_owned(), "cannot find the address"),
            ("wss://127.0.0.1:1".to_owned(), "udp://"),
        ] {
            let error = finder.scrape(&url, &[HASH], Patience::BRIEF).await.unwrap_err();
            let error = error.to_string();
            assert!(error.starts_with(&url) && error.contains(reason), "{error}");
        }
        finder.dht().stop().await.unwrap();
        let found = finder.find(Wanted::peers_of(torrent(&[])));
        assert!(matches!(found, Err(Error::Stopped)));
    });
}

#[test]
fn a_running_that_is_dropped_ends_every_search() {
    block_on(async {
        let silent = UdpSocket::bind(loopback()).unwrap();
        let url = format!("udp://{}", silent.local_addr().unwrap());
        let (finder, running) = local().without_dht().finder().unwrap();
        let mut swarm = finder.find(Wanted::announce(torrent(&[&url]), Presence::new(1))).unwrap();
        drop(running);
        assert_eq!(swarm.next().await, None);
        let scraped = finder.scrape(&url, &[HASH], Patience::BRIEF).await;
        assert!(matches!(scraped, Err(Error::Stopped)));
    });
}

#[test]
fn a_scrape_that_is_dropped_gives_its_place_back() {
    on_one_thread(async |executor| {
        let silent = UdpSocket::bind(loopback()).unwrap();
        let silent = format!("udp://{}", silent.local_addr().unwrap());
        let (url, _told) = udp_tracker();
        let one = tinybt_smol::core::tracker::udp::Heap { servers: 1, requests: 1 };
        let finder = start(executor, local().without_dht().trackers(one));
        let mut scrape = Box::pin(finder.scrape(&silent, &[HASH], Patience::BEP_15));
        assert!(poll_once(&mut scrape).await.is_none());
        finder.dht().overview().await.unwrap();
        drop(scrape);
        finder.scrape(&url, &[HASH], Patience::BRIEF).await.unwrap();
    });
}
