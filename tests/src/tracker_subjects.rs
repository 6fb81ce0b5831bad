//! The tracker machines as subjects of the laws.

use std::sync::LazyLock;
use std::time::Duration;

use chacha20::ChaCha8Rng;
use rand_core::SeedableRng;
use tinybt_core::announce::Counts;
use tinybt_core::dht::LookupId;
use tinybt_core::finder::{self, Presence, ScrapeId, SearchId, Wanted};
use tinybt_core::torrent::Torrent;
use tinybt_core::tracker::udp::{Event, Heap, Patience, RequestId, ServerId, UdpTrackers};
use tinybt_core::wire::udp_tracker::{Request, Response, Scraped, decode_request, encode_response};
use tinybt_core::{Announce, Happening, InfoHash, Instant, Machine, PeerId};

use crate::finder_world::{TestFinder, finder};
use crate::laws::Subject;
use crate::nodes::addr;

/// The client as tests use it.
pub type TestTrackers = UdpTrackers<Heap, ChaCha8Rng>;

/// A client of three servers.
#[derive(Clone, Copy, Debug)]
pub struct TrackerSubject {
    /// How long it waits.
    pub patience: Patience,
}

/// An announce of a swarm.
pub fn announce(swarm: u8) -> Announce {
    let mut announce =
        Announce::new(InfoHash([swarm; 20]), PeerId(*b"-tB0100-abcdefghijkl"), 7, 6881);
    announce.event = Happening::Started;
    announce
}

/// A client of the first `count` addresses.
pub fn trackers(count: usize, requests: usize) -> (TestTrackers, Vec<ServerId>) {
    let random = ChaCha8Rng::seed_from_u64(3);
    let mut trackers = UdpTrackers::new(Heap { servers: count, requests }, random);
    let servers = (0..count).map(|at| trackers.add(addr(at), b"/a?b").expect("room")).collect();
    (trackers, servers)
}

/// An answer to a request: right in most ways, wrong in some.
pub fn answer(sent: &[u8], way: u8) -> Vec<u8> {
    let Some((transaction, request)) = decode_request(sent) else { return vec![way] };
    let packed = [way; 30];
    let counts = [Counts { seeders: 1, leechers: 2, completed: Some(3) }; 74];
    let response = match (way % 11, request) {
        (9, _) => Response::Error { message: b"no" },
        (10, _) => Response::Connect { connection: 5 },
        (_, Request::Connect) => Response::Connect { connection: u64::from(way) },
        (8, _) | (_, Request::Scrape { .. }) => {
            Response::Scrape(Scraped::Values(&counts[..usize::from(way) % 75]))
        }
        (_, Request::Announce { .. }) => Response::Announce {
            interval: u32::from(way),
            leechers: 1,
            seeders: 2,
            packed: [&packed[..usize::from(way) % 31], &[]],
        },
    };
    let mut bytes = vec![0; 1_500];
    let transaction = if way == 77 { transaction ^ 1 } else { transaction };
    let len = encode_response(&mut bytes, transaction, &response).expect("it fits");
    bytes.truncate(if way % 16 == 15 { len.min(usize::from(way) % 20) } else { len });
    bytes
}

impl Subject for TrackerSubject {
    type Machine = TestTrackers;
    type Name = RequestId;
    const ROWS: usize = 3 + 8;

    fn make(&self) -> TestTrackers {
        trackers(3, 8).0
    }

    fn command(&self, machine: &mut TestTrackers, _now: Instant, which: u8) -> Option<RequestId> {
        // Made once more to have the names: the same from the same seed.
        static SERVERS: LazyLock<Vec<ServerId>> = LazyLock::new(|| trackers(3, 8).1);
        let server = SERVERS[usize::from(which) % 3];
        let asked = match which % 4 {
            0 => machine.scrape(server, &[InfoHash([which; 20]); 9], self.patience),
            _ => machine.announce(server, announce(which), self.patience),
        };
        asked.ok()
    }

    fn ends(&self, event: &<TestTrackers as Machine>::Event) -> Option<RequestId> {
        let event: &Event = event;
        Some(event.request())
    }

    fn answer(&self, sent: &[u8], way: u8) -> Vec<u8> {
        answer(sent, way)
    }
}

/// Patience for tests that need it to end soon.
pub const SHORT: Patience = Patience { first: Duration::from_secs(1), repeats: 2 };

/// A finder with a node, whose errands nobody runs.
#[derive(Clone, Copy, Debug)]
pub struct FinderSubject;

/// What names a command of a finder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinderName {
    /// A search.
    Search(SearchId),
    /// A scrape.
    Scrape(ScrapeId),
    /// A lookup of its DHT.
    Lookup(LookupId),
}

impl Subject for FinderSubject {
    type Machine = TestFinder;
    type Name = FinderName;
    // Nodes, and requests with their servers.
    const ROWS: usize = 64 + 8 + 2 + 16 + 32;

    fn make(&self) -> TestFinder {
        let mut finder = finder(true);
        finder.dht.add_source(addr(0));
        finder
    }

    fn command(&self, finder: &mut TestFinder, now: Instant, which: u8) -> Option<FinderName> {
        static URLS: LazyLock<[String; 5]> = LazyLock::new(|| {
            [
                format!("udp://{}/a", addr(1)),
                format!("udp://{}", addr(2)),
                "udp://name:1".to_owned(),
                "http://web/announce".to_owned(),
                "nonsense".to_owned(),
            ]
        });
        let info_hash = InfoHash([which; 20]);
        let count = usize::from(which / 8) % (URLS.len() + 1);
        let torrent = || Torrent {
            tiers: URLS[..count].chunks(2).map(<[String]>::to_vec).collect(),
            private: which.is_multiple_of(5),
            peers: vec![addr(5)],
            ..Torrent::new(info_hash)
        };
        match which % 8 {
            0..=3 => Some(FinderName::Search(finder.search(now, Wanted::peers_of(torrent())))),
            4 => {
                let wanted = Wanted::announce(torrent(), Presence::new(80));
                Some(FinderName::Search(finder.search(now, Wanted { keep: false, ..wanted })))
            }
            5 => {
                let id = finder.search(now, Wanted::announce(torrent(), Presence::new(80)));
                finder.stop(now, id);
                Some(FinderName::Search(id))
            }
            6 => {
                let scrape = finder.scrape(now, &URLS[count.min(3)], &[info_hash; 100], SHORT);
                scrape.ok().map(FinderName::Scrape)
            }
            _ => {
                let lookups = finder.dht.get_peers(now, info_hash).ok()?;
                lookups.iter().next().map(FinderName::Lookup)
            }
        }
    }

    fn ends(&self, event: &finder::Event) -> Option<FinderName> {
        match event {
            finder::Event::Finished { search } => Some(FinderName::Search(*search)),
            finder::Event::ScrapeFinished { scrape, .. } => Some(FinderName::Scrape(*scrape)),
            finder::Event::Dht(tinybt_core::dht::Event::Finished { lookup, .. }) => {
                Some(FinderName::Lookup(*lookup))
            }
            _ => None,
        }
    }

    fn query(&self, way: u8) -> Option<Vec<u8>> {
        Some(crate::subjects::query(way))
    }

    fn answer(&self, sent: &[u8], way: u8) -> Vec<u8> {
        match sent.first() {
            Some(b'd') => crate::subjects::answer(sent, way),
            _ => answer(sent, way),
        }
    }
}
