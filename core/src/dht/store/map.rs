//! Peers by swarm, on the heap.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use super::{Lots, PEER_TTL, Packed, PeerStore, Sample, Scrape, StoreCounts, Stored};
use crate::contact::Family;
use crate::dht::bloom::{Bits, Bloom, bits};
use crate::id::{InfoHash, is_local};
use crate::limits::{FILTERED_MAX, HOST_PEERS_MAX, SAMPLES_MAX, SWARM_PEERS_MAX};
use crate::time::Instant;
use crate::wire::compact::write_peer;

/// Swarms whose peers have all expired are looked for no more often than this: a sample costs a look
/// at every swarm no more often either.
const SWEEP_SPACING: Duration = Duration::from_secs(1);

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
    /// When all swarms were swept last.
    swept: Instant,
    sample: Drawn,
}

/// A sample of the swarms, in random order, so that its beginning is one as well.
#[derive(Clone, Debug)]
struct Drawn {
    hashes: Vec<[u8; 20]>,
    /// What decided.
    seed: u64,
    until: Instant,
}

impl PeerMap {
    /// Empty, for peers of one family.
    pub fn new(family: Family, limits: PeerMapLimits) -> Self {
        let never = Instant::from_micros(0);
        Self {
            swarms: BTreeMap::new(),
            limits,
            family,
            peers: 0,
            swept: never,
            sample: Drawn { hashes: Vec::new(), seed: 0, until: never },
        }
    }

    /// A swarm without what has expired.
    fn swarm(&mut self, now: Instant, info_hash: &InfoHash) -> Option<&Swarm> {
        let swarm = self.swarms.get_mut(info_hash)?;
        self.peers -= swarm.sweep(now, self.family.peer_len());
        Some(swarm)
    }

    /// Drops all that has expired.
    fn sweep(&mut self, now: Instant) {
        let len = self.family.peer_len();
        let peers = &mut self.peers;
        self.swarms.retain(|_, swarm| {
            *peers -= swarm.sweep(now, len);
            !swarm.until.is_empty()
        });
        self.swept = now;
    }

    /// Makes room for a peer of this swarm, if there is none.
    fn make_room(&mut self, now: Instant, info_hash: &InfoHash) {
        let known = self.swarms.contains_key(info_hash);
        let full =
            self.peers >= self.limits.peers || (!known && self.swarms.len() >= self.limits.swarms);
        if !full {
            return;
        }
        self.sweep(now);
        let still = self.peers >= self.limits.peers || self.swarms.len() >= self.limits.swarms;
        let others = self.swarms.iter().filter(|(hash, _)| *hash != info_hash);
        let oldest = others.min_by_key(|(_, swarm)| swarm.last).map(|(hash, _)| *hash);
        if let Some(swarm) = oldest.filter(|_| still).and_then(|h| self.swarms.remove(&h)) {
            self.peers -= swarm.until.len();
        }
    }
}

impl PeerStore for PeerMap {
    const SCRAPES: bool = true;

    fn announce(
        &mut self,
        now: Instant,
        info_hash: InfoHash,
        peer: SocketAddr,
        seed: bool,
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
        let mut known = swarm.packed.chunks_exact(len).zip(&mut swarm.until).enumerate();
        if let Some((index, (_, old))) = known.find(|(_, (old, _))| *old == new) {
            *old = until;
            swarm.mark(index, seed, len);
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
        swarm.add(new, bits(peer.ip()), until, seed);
        self.peers += 1;
        // Asking for a sample allocates nothing.
        if self.sample.hashes.capacity() == 0 {
            self.sample.hashes.reserve_exact(SAMPLES_MAX.min(self.limits.swarms));
        }
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
        let swarm = if family == self.family { self.swarm(now, &info_hash) } else { None };
        let Some(swarm) = swarm else { return Packed::default() };
        runs(&swarm.packed, swarm.until.len(), family.peer_len(), most, random)
    }

    fn downloaders(
        &mut self,
        now: Instant,
        info_hash: InfoHash,
        family: Family,
        most: usize,
        random: u32,
    ) -> Packed<'_> {
        let swarm = if family == self.family { self.swarm(now, &info_hash) } else { None };
        let Some(swarm) = swarm else { return Packed::default() };
        let len = family.peer_len();
        let packed = swarm.packed.get(..swarm.downloaders * len).unwrap_or_default();
        runs(packed, swarm.downloaders, len, most, random)
    }

    fn scrape(&mut self, now: Instant, info_hash: InfoHash) -> Option<Scrape> {
        let swarm = self.swarm(now, &info_hash).filter(|swarm| !swarm.until.is_empty())?;
        let (downloaders, seeds) = swarm.bits.split_at_checked(swarm.downloaders)?;
        let filter = |peers: &[Bits]| {
            let mut bloom = Bloom::new();
            peers.iter().for_each(|bits| bloom.set(*bits));
            bloom
        };
        Some(Scrape { seeds: filter(seeds), downloaders: filter(downloaders) })
    }

    fn accepts(&mut self, now: Instant, info_hash: InfoHash, ip: IpAddr) -> bool {
        if self.limits.peers_per_swarm < FILTERED_MAX {
            return true;
        }
        let len = self.family.peer_len();
        let Some(swarm) = self.swarm(now, &info_hash) else { return true };
        let most = swarm.downloaders.max(swarm.until.len() - swarm.downloaders);
        let mut bytes = [0; 18];
        let written = write_peer(&SocketAddr::new(ip, 0), &mut bytes).unwrap_or(0);
        let peer = bytes.get(..written).unwrap_or_default();
        most < FILTERED_MAX || swarm.of_host(peer, len).next().is_some()
    }

    fn sample(&mut self, now: Instant, most: usize, interval: Duration, random: u64) -> Sample<'_> {
        if now.since(self.swept) >= SWEEP_SPACING {
            self.sweep(now);
        }
        let stored = self.swarms.len();
        let is_new = now >= self.sample.until;
        if is_new {
            self.sample.seed = random;
            self.sample.until = now + interval;
        }
        // Those that came since belong to it, as long as there is room.
        if is_new || stored <= most || self.sample.hashes.len() < most.min(SAMPLES_MAX) {
            self.sample.draw(self.swarms.keys(), stored);
        }
        let left = self.sample.until.since(now).min(interval);
        let hashes = &self.sample.hashes;
        let packed = hashes.get(..most).unwrap_or(hashes).as_flattened();
        Sample { left: if stored <= most { interval } else { left }, stored, packed }
    }

    fn counts(&self) -> StoreCounts {
        StoreCounts { swarms: self.swarms.len(), peers: self.peers }
    }
}

/// Up to `most` of the first `count` peers, from a random one on.
fn runs(packed: &[u8], count: usize, len: usize, most: usize, random: u32) -> Packed<'_> {
    let start = random as usize % count.max(1);
    let (before, after) = packed.split_at_checked(start * len).unwrap_or_default();
    let first = most.min(count - start);
    let second = (most - first).min(start);
    Packed {
        runs: [
            after.get(..first * len).unwrap_or_default(),
            before.get(..second * len).unwrap_or_default(),
        ],
    }
}

impl Drawn {
    /// Draws from `count` info-hashes; the same from the same ones with the same seed.
    fn draw<'a>(&mut self, hashes: impl Iterator<Item = &'a InfoHash>, count: usize) {
        self.hashes.clear();
        let mut lots = Lots(self.seed);
        let mut wanted = SAMPLES_MAX.min(count);
        for (hash, left) in hashes.zip((1..=count).rev()) {
            if lots.draw(left) < wanted {
                wanted -= 1;
                let last = self.hashes.len();
                self.hashes.push(hash.0);
                self.hashes.swap(lots.draw(last + 1), last);
            }
        }
    }
}

/// The peers of a swarm in three columns, downloaders before seeds.
#[derive(Clone, Debug, Default)]
struct Swarm {
    packed: Vec<u8>,
    until: Vec<Instant>,
    /// Of the address, in a filter.
    bits: Vec<Bits>,
    downloaders: usize,
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

    fn add(&mut self, peer: &[u8], bits: Bits, until: Instant, seed: bool) {
        let index = self.until.len();
        self.packed.extend_from_slice(peer);
        self.until.push(until);
        self.bits.push(bits);
        // Behind the others it is a seed.
        self.mark(index, seed, peer.len());
    }

    /// Moves a peer to where it belongs.
    fn mark(&mut self, index: usize, seed: bool, len: usize) {
        if seed && index < self.downloaders {
            self.downloaders -= 1;
            self.exchange(index, self.downloaders, len);
        } else if !seed && index >= self.downloaders {
            self.exchange(index, self.downloaders, len);
            self.downloaders += 1;
        }
    }

    fn remove(&mut self, index: usize, len: usize) {
        let Some(last) = self.until.len().checked_sub(1).filter(|last| index <= *last) else {
            return;
        };
        let mut index = index;
        if index < self.downloaders {
            // The last downloader takes its place, the last seed that one's.
            self.downloaders -= 1;
            self.exchange(index, self.downloaders, len);
            index = self.downloaders;
        }
        self.exchange(index, last, len);
        self.until.truncate(last);
        self.bits.truncate(last);
        self.packed.truncate(last * len);
    }

    fn exchange(&mut self, one: usize, other: usize, len: usize) {
        let (one, other) = (one.min(other), one.max(other));
        if one == other || other >= self.until.len() {
            return;
        }
        self.until.swap(one, other);
        self.bits.swap(one, other);
        let (head, tail) = self.packed.split_at_mut_checked(other * len).unwrap_or_default();
        for (a, b) in head.iter_mut().skip(one * len).zip(tail).take(len) {
            core::mem::swap(a, b);
        }
    }
}
