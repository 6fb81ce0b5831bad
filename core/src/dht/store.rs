//! Peers that others announce to us (BEP 5).
//!
//! [`PeerStore`] is the seam for an application's own database. Two bounded defaults: [`PeerRing`]
//! needs no allocator, [`PeerMap`] (feature `alloc`) holds more and finds it faster. Both keep each
//! peer for [`PEER_TTL`], one entry for each address and port, and hand peers out packed, as they
//! go into a reply. Know time.

use core::net::SocketAddr;
use core::time::Duration;

use crate::contact::Family;
use crate::id::InfoHash;
use crate::limits::DATAGRAM_MAX;
use crate::time::Instant;
use crate::wire::compact::write_peer;

/// How long a peer counts without announcing again. Clients announce every 15 to 30 minutes.
pub const PEER_TTL: Duration = Duration::from_secs(45 * 60);

/// Where a node keeps the peers that others announce.
pub trait PeerStore {
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

/// How much a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreCounts {
    /// Swarms.
    pub swarms: usize,
    /// Peers in all of them, expired ones that were not swept yet included.
    pub peers: usize,
}

/// At most `N` peers in all, without an allocator. When it is full the one announced longest ago
/// gives way.
#[derive(Clone, Debug)]
pub struct PeerRing<const N: usize> {
    rows: heapless::Vec<Row, N>,
    /// Peers of the swarm asked for last.
    packed: [u8; DATAGRAM_MAX],
}

#[derive(Clone, Copy, Debug)]
struct Row {
    info_hash: InfoHash,
    peer: SocketAddr,
    until: Instant,
}

impl<const N: usize> PeerRing<N> {
    /// Empty.
    pub const fn new() -> Self {
        Self { rows: heapless::Vec::new(), packed: [0; DATAGRAM_MAX] }
    }
}

impl<const N: usize> Default for PeerRing<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> PeerStore for PeerRing<N> {
    fn announce(
        &mut self,
        now: Instant,
        info_hash: InfoHash,
        peer: SocketAddr,
        _seed: bool,
    ) -> Stored {
        let until = now + PEER_TTL;
        let same = |row: &&mut Row| row.info_hash == info_hash && row.peer == peer;
        if let Some(row) = self.rows.iter_mut().find(same) {
            row.until = until;
            return Stored::Refreshed;
        }
        if self.rows.is_full() {
            let oldest = self.rows.iter().enumerate().min_by_key(|(_, row)| row.until);
            let Some((index, _)) = oldest else { return Stored::Full };
            self.rows.swap_remove(index);
        }
        match self.rows.push(Row { info_hash, peer, until }) {
            Ok(()) => Stored::New,
            Err(_) => Stored::Full,
        }
    }

    fn peers(
        &mut self,
        now: Instant,
        info_hash: InfoHash,
        family: Family,
        most: usize,
        random: u32,
    ) -> Packed<'_> {
        let len = family.peer_len();
        let start = random as usize % self.rows.len().max(1);
        let (before, after) = self.rows.split_at_checked(start).unwrap_or_default();
        let wanted = |row: &&Row| {
            row.info_hash == info_hash && row.until > now && Family::of(&row.peer) == family
        };
        let mut written = 0;
        let places = self.packed.chunks_exact_mut(len);
        for (row, place) in after.iter().chain(before).filter(wanted).take(most).zip(places) {
            written += write_peer(&row.peer, place).unwrap_or(0);
        }
        Packed { runs: [self.packed.get(..written).unwrap_or_default(), &[]] }
    }

    fn counts(&self) -> StoreCounts {
        let first = |(index, row): &(usize, &Row)| {
            !self.rows.iter().take(*index).any(|other| other.info_hash == row.info_hash)
        };
        let swarms = self.rows.iter().enumerate().filter(first).count();
        StoreCounts { swarms, peers: self.rows.len() }
    }
}

#[cfg(feature = "alloc")]
pub use map::{PeerMap, PeerMapLimits};

#[cfg(feature = "alloc")]
mod map {
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;
    use core::net::SocketAddr;

    use super::{PEER_TTL, Packed, PeerStore, StoreCounts, Stored};
    use crate::contact::Family;
    use crate::id::{InfoHash, is_local};
    use crate::limits::{HOST_PEERS_MAX, SWARM_PEERS_MAX};
    use crate::time::Instant;
    use crate::wire::compact::write_peer;

    /// How much a [`PeerMap`] holds.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct PeerMapLimits {
        /// Swarms.
        pub swarms: usize,
        /// Peers of one swarm.
        pub peers_per_swarm: usize,
        /// Peers in all.
        pub peers: usize,
    }

    impl Default for PeerMapLimits {
        fn default() -> Self {
            Self { swarms: 2_000, peers_per_swarm: SWARM_PEERS_MAX, peers: 50_000 }
        }
    }

    /// Peers by swarm, on the heap. When it is full, the swarm announced to longest ago gives way;
    /// in a full swarm, the peer announced longest ago. Asking allocates nothing.
    #[derive(Clone, Debug)]
    pub struct PeerMap {
        swarms: BTreeMap<InfoHash, Swarm>,
        limits: PeerMapLimits,
        family: Family,
        peers: usize,
    }

    #[derive(Clone, Debug, Default)]
    struct Swarm {
        packed: Vec<u8>,
        until: Vec<Instant>,
        /// When the first of them expires, or before that.
        first: Instant,
        /// When somebody announced to it last.
        last: Instant,
    }

    impl Swarm {
        /// Drops what has expired; returns how many.
        fn sweep(&mut self, now: Instant, len: usize) -> usize {
            if self.first > now {
                return 0;
            }
            let before = self.until.len();
            for index in (0..before).rev() {
                if self.until.get(index).is_some_and(|until| *until <= now) {
                    self.remove(index, len);
                }
            }
            self.first = self.until.iter().copied().min().unwrap_or(Instant::NEVER);
            before - self.until.len()
        }

        /// The peers at the address of this one, by place, with when they expire.
        fn of_host<'a>(
            &'a self,
            peer: &'a [u8],
            len: usize,
        ) -> impl Iterator<Item = (usize, Instant)> + 'a {
            let same = move |bytes: &[u8]| bytes.get(..len - 2) == peer.get(..len - 2);
            let rows = self.packed.chunks_exact(len).zip(&self.until).enumerate();
            rows.filter(move |(_, (bytes, _))| same(bytes)).map(|(at, (_, until))| (at, *until))
        }

        fn remove(&mut self, index: usize, len: usize) {
            if index >= self.until.len() {
                return;
            }
            self.until.swap_remove(index);
            let last = self.until.len() * len;
            let (from, to) = (last..last + len, index * len);
            if from.end <= self.packed.len() {
                self.packed.copy_within(from, to);
                self.packed.truncate(last);
            }
        }
    }

    impl PeerMap {
        /// Empty, for peers of one family.
        pub fn new(family: Family, limits: PeerMapLimits) -> Self {
            Self { swarms: BTreeMap::new(), limits, family, peers: 0 }
        }

        /// Makes room for a peer of this swarm, if there is none.
        fn make_room(&mut self, now: Instant, info_hash: &InfoHash) {
            let len = self.family.peer_len();
            let known = self.swarms.contains_key(info_hash);
            let full = self.peers >= self.limits.peers
                || (!known && self.swarms.len() >= self.limits.swarms);
            if !full {
                return;
            }
            let peers = &mut self.peers;
            self.swarms.retain(|_, swarm| {
                *peers -= swarm.sweep(now, len);
                !swarm.until.is_empty()
            });
            let still = self.peers >= self.limits.peers || self.swarms.len() >= self.limits.swarms;
            let others = self.swarms.iter().filter(|(hash, _)| *hash != info_hash);
            let oldest = others.min_by_key(|(_, swarm)| swarm.last).map(|(hash, _)| *hash);
            if let Some(swarm) = oldest.filter(|_| still).and_then(|h| self.swarms.remove(&h)) {
                self.peers -= swarm.until.len();
            }
        }
    }

    impl PeerStore for PeerMap {
        fn announce(
            &mut self,
            now: Instant,
            info_hash: InfoHash,
            peer: SocketAddr,
            _seed: bool,
        ) -> Stored {
            let mut bytes = [0; 18];
            let len = self.family.peer_len();
            let written = write_peer(&peer, &mut bytes).filter(|written| *written == len);
            let Some(new) = written.and_then(|written| bytes.get(..written)) else {
                return Stored::Full;
            };
            self.make_room(now, &info_hash);
            let swarm = self.swarms.entry(info_hash).or_default();
            self.peers -= swarm.sweep(now, len);
            swarm.last = now;
            let until = now + PEER_TTL;
            swarm.first = if swarm.until.is_empty() { until } else { swarm.first.min(until) };
            let mut known = swarm.packed.chunks_exact(len).zip(&mut swarm.until);
            if let Some((_, old)) = known.find(|(old, _)| *old == new) {
                *old = until;
                return Stored::Refreshed;
            }
            let crowded = !is_local(peer.ip()) && swarm.of_host(new, len).count() >= HOST_PEERS_MAX;
            if crowded || swarm.until.len() >= self.limits.peers_per_swarm {
                let all = swarm.until.iter().enumerate().map(|(index, until)| (index, *until));
                let oldest = match crowded {
                    true => swarm.of_host(new, len).min_by_key(|(_, until)| *until),
                    false => all.min_by_key(|(_, until)| *until),
                };
                let Some((index, _)) = oldest else { return Stored::Full };
                swarm.remove(index, len);
                self.peers -= 1;
            }
            swarm.packed.extend_from_slice(new);
            swarm.until.push(until);
            self.peers += 1;
            Stored::New
        }

        fn peers(
            &mut self,
            now: Instant,
            info_hash: InfoHash,
            family: Family,
            most: usize,
            random: u32,
        ) -> Packed<'_> {
            if family != self.family {
                return Packed::default();
            }
            let len = family.peer_len();
            let Some(swarm) = self.swarms.get_mut(&info_hash) else { return Packed::default() };
            self.peers -= swarm.sweep(now, len);
            let count = swarm.until.len();
            let start = random as usize % count.max(1);
            let (before, after) = swarm.packed.split_at_checked(start * len).unwrap_or_default();
            let first = most.min(count - start);
            let second = (most - first).min(start);
            Packed {
                runs: [
                    after.get(..first * len).unwrap_or_default(),
                    before.get(..second * len).unwrap_or_default(),
                ],
            }
        }

        fn counts(&self) -> StoreCounts {
            StoreCounts { swarms: self.swarms.len(), peers: self.peers }
        }
    }
}
