//! What a finder tells, and what it wants done that only a runtime can do.

use alloc::string::String;
use core::net::SocketAddr;
use core::time::Duration;

use crate::announce::Counts;
use crate::contact::Family;
use crate::dht;
use crate::id::InfoHash;
use crate::time::Instant;

/// Names a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SearchId(pub(super) u32);

/// Names a scrape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScrapeId(pub(super) u32);

/// Names an errand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrandId(pub(super) u32);

/// Who named a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The magnet link itself.
    Torrent,
    /// The DHT.
    Dht,
    /// A tracker, by its number: its place among all trackers of the search.
    Tracker(u16),
}

/// Something that only a runtime can do. It tells the finder what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Errand {
    /// Find the addresses of a host; then [`Finder::resolved`](super::Finder::resolved).
    Resolve {
        /// Its name.
        host: String,
        /// To be put into the addresses.
        port: u16,
    },
    /// Get an URL over HTTP(S); then [`Finder::fetched`](super::Finder::fetched).
    Fetch {
        /// The whole URL.
        url: String,
        /// To be reached over this family (BEP 7).
        family: Family,
        /// Tells that we go: before all others, or it may be too late.
        is_goodbye: bool,
    },
}

/// What a finder tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Of the DHT, and no search's doing: lookups and questions of the application.
    Dht(dht::Event),
    /// Somebody named a peer. Told once for each peer and source.
    Peer {
        /// Of which search.
        search: SearchId,
        /// The peer.
        peer: SocketAddr,
        /// Who named it.
        source: Source,
        /// Nobody had named it before.
        is_new: bool,
    },
    /// A lookup of a search ended. Its trace can be read until the next poll.
    Looked {
        /// Which search.
        search: SearchId,
        /// Which lookup.
        lookup: dht::LookupId,
        /// How.
        outcome: dht::Outcome,
    },
    /// What is known of a tracker changed:
    /// [`Finder::trackers`](super::Finder::trackers) has it.
    Tracker {
        /// Of which search.
        search: SearchId,
        /// Which tracker.
        tracker: u16,
    },
    /// A search is over. What is known of its trackers can be read until the next poll.
    Finished {
        /// Which search.
        search: SearchId,
    },
    /// A tracker's counts of a swarm.
    Scraped {
        /// Which scrape.
        scrape: ScrapeId,
        /// The swarm.
        swarm: InfoHash,
        /// Who is in it.
        counts: Counts,
    },
    /// A scrape is over.
    ScrapeFinished {
        /// Which scrape.
        scrape: ScrapeId,
        /// Why there is not every count, if so.
        error: Option<String>,
    },
    /// An errand is of no use any more: if it was not begun, it is not to be, and its result is an
    /// error.
    Withdrawn {
        /// Which.
        errand: ErrandId,
    },
    /// Something is to be done.
    Errand {
        /// What the answer names.
        errand: ErrandId,
        /// What.
        what: Errand,
    },
}

/// Where a tracker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum TrackerState {
    /// It was not asked yet: its turn has not come.
    #[default]
    Waiting,
    /// It is being asked.
    Asking,
    /// It answered.
    Working,
    /// It did not answer, or refused.
    Failed,
}

/// What is known of a tracker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrackerStatus {
    /// Its URL as it was given.
    pub url: String,
    /// Where it is.
    pub state: TrackerState,
    /// Who is in the swarm, by its last answer that said so.
    pub counts: Option<Counts>,
    /// Distinct peers that it named.
    pub peers: u32,
    /// How often it wants to be asked.
    pub interval: Option<Duration>,
    /// When it will be asked next.
    pub next: Option<Instant>,
    /// How often it failed since it answered last.
    pub failures: u8,
    /// Why it failed, in its own words if it has any.
    pub error: Option<String>,
    /// What it wants the user to know.
    pub warning: Option<String>,
    /// Our address as it sees it (BEP 24).
    pub external_ip: Option<core::net::IpAddr>,
}
