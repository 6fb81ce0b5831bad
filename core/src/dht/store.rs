//! Peers that others announce to us (BEP 5), and what is told of them: peers, filters to count them
//! by (BEP 33), a sample of their swarms (BEP 51).
//!
//! [`PeerStore`] is the seam for an application's own database. Two bounded defaults: [`PeerRing`]
//! needs no allocator, [`PeerMap`] (feature `alloc`) holds more and finds it faster. Both keep each
//! peer for [`PEER_TTL`], one entry for each address and port, and hand peers out packed, as they
//! go into a reply. Know time.
//!
//! What a stranger can ask for costs at most a look at each peer of one swarm. The two bits of a
//! peer's address in a filter are found once, when it announces, so a scrape hashes nothing and
//! there are no filters to keep; a sample is drawn once in its interval.

#[cfg(feature = "alloc")]
mod map;
mod ring;

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

#[cfg(feature = "alloc")]
pub use self::map::{PeerMap, PeerMapLimits};
pub use self::ring::PeerRing;
use crate::contact::Family;
use crate::dht::bloom::Bloom;
use crate::id::InfoHash;
use crate::time::Instant;

/// How long a peer counts without announcing again. Clients announce every 15 to 30 minutes.
pub const PEER_TTL: Duration = Duration::from_secs(45 * 60);

/// Where a node keeps the peers that others announce.
///
/// A store of one's own needs [`announce`](Self::announce), [`peers`](Self::peers) and
/// [`counts`](Self::counts); with [`SCRAPES`](Self::SCRAPES) and the others it serves what BEP 33
/// and BEP 51 add.
pub trait PeerStore {
    /// Whether scrapes and `noseed` (BEP 33) and samples (BEP 51) are served. Where they are not,
    /// nothing of that is asked or compiled in, and `sample_infohashes` is a method that is not
    /// known.
    const SCRAPES: bool = false;

    /// Takes in an announce whose token was good.
    fn announce(
        &mut self,
        now: Instant,
        info_hash: InfoHash,
        peer: SocketAddr,
        seed: bool,
    ) -> Stored;

    /// Up to `most` peers of a swarm, packed (6 or 18 bytes each), from a place on that `random`
    /// decides, so that each gets its share of being told.
    fn peers(
        &mut self,
        now: Instant,
        info_hash: InfoHash,
        family: Family,
        most: usize,
        random: u32,
    ) -> Packed<'_>;

    /// The same for somebody who wants no seeds, being one (BEP 33, `noseed`): no seeds then, since
    /// they would only lengthen the reply. All peers, where seeds are not told apart.
    fn downloaders(
        &mut self,
        now: Instant,
        info_hash: InfoHash,
        family: Family,
        most: usize,
        random: u32,
    ) -> Packed<'_> {
        self.peers(now, info_hash, family, most, random)
    }

    /// The filters that a swarm's peers are counted by (BEP 33); `None` where the swarm is not
    /// known.
    fn scrape(&mut self, now: Instant, info_hash: InfoHash) -> Option<Scrape> {
        let _ = (now, info_hash);
        None
    }

    /// Whether an announce from this address would do the swarm any good: not where as many seeds
    /// or downloaders are known as filters can count
    /// ([`FILTERED_MAX`](crate::limits::FILTERED_MAX)) and it is none of them. No token is given
    /// then (BEP 33).
    fn accepts(&mut self, now: Instant, info_hash: InfoHash, ip: IpAddr) -> bool {
        let _ = (now, info_hash, ip);
        true
    }

    /// Up to `most` info-hashes, at most [`SAMPLES_MAX`](crate::limits::SAMPLES_MAX), of swarms that
    /// have peers (BEP 51): all of them where they fit, else a fair sample, which is the same until
    /// the `interval` is over. `random` decides when a new one is drawn.
    fn sample(&mut self, now: Instant, most: usize, interval: Duration, random: u64) -> Sample<'_> {
        let _ = (now, most, interval, random);
        Sample::default()
    }

    /// How much is stored.
    fn counts(&self) -> StoreCounts;
}

/// What became of an announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// A peer that was not known.
    New,
    /// A known one, good for another while.
    Refreshed,
    /// There is no room for it.
    Full,
}

/// Peers in two runs of packed bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packed<'a> {
    /// The bytes: 6 or 18 each peer.
    pub runs: [&'a [u8]; 2],
}

/// What a swarm's peers are counted by (BEP 33): their addresses, without ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scrape {
    /// Peers that have everything.
    pub seeds: Bloom,
    /// The others.
    pub downloaders: Bloom,
}

/// Info-hashes of stored swarms (BEP 51).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample<'a> {
    /// How long there will be no other.
    pub left: Duration,
    /// How many swarms are stored.
    pub stored: usize,
    /// Info-hashes, 20 bytes each.
    pub packed: &'a [u8],
}

/// How much a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreCounts {
    /// Swarms.
    pub swarms: usize,
    /// Peers in all of them, expired ones that were not swept yet included.
    pub peers: usize,
}

/// Lots to draw: Steele, Lea and Flood's SplitMix. What it begins with cannot be foreseen, so what
/// it makes of that need not be better.
struct Lots(u64);

impl Lots {
    /// A number below `bound`.
    fn draw(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % bound.max(1) as u64) as usize
    }
}
