//! How a crawl is to be: units, defaults, meanings; and a node and a storage that suit it.

use core::time::Duration;

use crate::budget::Rate;
use crate::contact::Family;
use crate::dht::config::Config;
use crate::dht::crawl::prefix::Prefix;
use crate::dht::items::ItemMapLimits;
use crate::dht::storage::Heap;
use crate::dht::store::PeerMapLimits;

/// How a [`Crawler`](crate::dht::crawl::Crawler) behaves.
///
/// How many questions it sends in a second is the node's affair:
/// [`Config::questions`](crate::dht::Config::questions), which counts repeats as well.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CrawlConfig {
    /// The part of the key space to be crawled.
    pub slice: Prefix,
    /// Questions under way at once; at least 1. The node needs one
    /// [row](crate::dht::Heap::asks) more, and room for two datagrams in flight for each.
    pub in_flight: usize,
    /// Nodes kept in memory, about 200 bytes each: when there are more, crawl a slice at a time.
    pub nodes: usize,
    /// Info-hashes known again, at least, 12 bytes each. 0: none, and each is told as often as it is
    /// met.
    pub hashes: usize,
    /// The least time from the end of a round to the next; at least a second.
    pub pause: Duration,
    /// Ends after so many rounds, those before a [restart](crate::dht::crawl::Crawler::restore) not
    /// counted. `None`: not for that reason.
    pub rounds: Option<u32>,
    /// Goes on when there is little left to be told: whoever has told everything is asked again
    /// every six hours.
    pub forever: bool,
}

impl Default for CrawlConfig {
    fn default() -> Self {
        Self {
            slice: Prefix::WHOLE,
            in_flight: 128,
            nodes: 65_536,
            hashes: 1 << 20,
            pause: Duration::from_secs(60),
            rounds: None,
            forever: false,
        }
    }
}

impl CrawlConfig {
    /// A node that does nothing but crawl: it asks and does not answer (BEP 43), so many questions
    /// per second; `None`: no limit.
    pub fn node(family: Family, per_second: Option<u32>) -> Config {
        let mut config = Config::endpoint(family);
        config.read_only = true;
        // A second's worth at most goes out at once.
        config.questions = per_second.map(|rate| Rate { per_second: rate, burst: rate.min(20) });
        config.destinations_per_minute = None;
        config.timeout_max = Duration::from_secs(2);
        config
    }

    /// Rows for such a node.
    pub fn storage(&self) -> Heap {
        Heap {
            lookups: 2,
            in_flight: self.in_flight.saturating_mul(2).saturating_add(32),
            asks: self.in_flight.saturating_add(1),
            questions: 0,
            replies: 1,
            buckets: 24,
            peers_per_lookup: 0,
            hops: 0,
            peers_stored: PeerMapLimits { swarms: 0, peers_per_swarm: 0, peers: 0 },
            items_stored: ItemMapLimits { items: 0, bytes: 0 },
            shunned: 16,
            sources: 16,
        }
    }
}
