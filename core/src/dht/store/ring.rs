//! Peers without an allocator: one list of all of them, sorted by swarm.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use super::{PEER_TTL, Packed, PeerStore, Sample, Scrape, StoreCounts, Stored};
use crate::contact::Family;
use crate::dht::bloom::{Bits, bits};
use crate::id::InfoHash;
use crate::limits::{DATAGRAM_MAX, FILTERED_MAX};
use crate::time::Instant;
use crate::wire::compact::write_peer;

/// At most `N` peers in all, without an allocator. When it is full the one announced longest ago
/// gives way.
///
/// With `SCRAPES` it also answers scrapes (BEP 33) and samples (BEP 51); without, nothing of that
/// is compiled in, SHA-1 least of all.
#[derive(Clone, Debug)]
pub struct PeerRing<const N: usize, const SCRAPES: bool = false> {
    /// Those of a swarm side by side, the swarms in order.
    rows: heapless::Vec<Row, N>,
    /// Peers of the swarm asked for last, or the info-hashes of a sample.
    packed: [u8; DATAGRAM_MAX],
    /// The sample is as many swarms as fit from this one on, until then.
    sample: (InfoHash, Instant),
}

#[derive(Clone, Copy, Debug)]
struct Row {
    info_hash: InfoHash,
    ip: IpAddr,
    port: u16,
    seed: bool,
    bits: Bits,
    until: Instant,
}

impl<const N: usize, const SCRAPES: bool> PeerRing<N, SCRAPES> {
    /// Empty.
    pub const fn new() -> Self {
        Self {
            rows: heapless::Vec::new(),
            packed: [0; DATAGRAM_MAX],
            sample: (InfoHash([0; 20]), Instant::from_micros(0)),
        }
    }

    /// Packs those of a swarm's peers that are wanted.
    fn pack(
        &mut self,
        now: Instant,
        info_hash: InfoHash,
        family: Family,
        most: usize,
        random: u32,
        wanted: impl Fn(&Row) -> bool,
    ) -> Packed<'_> {
        let len = family.peer_len();
        let swarm = swarm(&self.rows, &info_hash);
        let start = random as usize % swarm.len().max(1);
        let (before, after) = swarm.split_at_checked(start).unwrap_or_default();
        let peers = after.iter().chain(before).filter(|row| row.until > now && wanted(row));
        let peers = peers.map(|row| SocketAddr::new(row.ip, row.port));
        let peers = peers.filter(|peer| Family::of(peer) == family).take(most);
        let mut written = 0;
        for (peer, place) in peers.zip(self.packed.chunks_exact_mut(len)) {
            written += write_peer(&peer, place).unwrap_or(0);
        }
        Packed { runs: [self.packed.get(..written).unwrap_or_default(), &[]] }
    }
}

impl<const N: usize, const SCRAPES: bool> Default for PeerRing<N, SCRAPES> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize, const SCRAPES: bool> PeerStore for PeerRing<N, SCRAPES> {
    fn announce(
        &mut self,
        now: Instant,
        info_hash: InfoHash,
        peer: SocketAddr,
        seed: bool,
    ) -> Stored {
        let until = now + PEER_TTL;
        let (ip, port) = (peer.ip(), peer.port());
        let (begin, end) = ends(&self.rows, &info_hash);
        let known = self.rows.get_mut(begin..end).unwrap_or_default();
        if let Some(row) = known.iter_mut().find(|row| (row.ip, row.port) == (ip, port)) {
            (row.until, row.seed) = (until, seed);
            return Stored::Refreshed;
        }
        if self.rows.is_full() {
            let oldest = self.rows.iter().enumerate().min_by_key(|(_, row)| row.until);
            let Some((index, _)) = oldest else { return Stored::Full };
            self.rows.remove(index);
        }
        let bits = if SCRAPES { bits(ip) } else { Bits::default() };
        let row = Row { info_hash, ip, port, seed, bits, until };
        let (_, end) = ends(&self.rows, &info_hash);
        match self.rows.insert(end, row) {
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
        self.pack(now, info_hash, family, most, random, |_| true)
    }

    fn downloaders(
        &mut self,
        now: Instant,
        info_hash: InfoHash,
        family: Family,
        most: usize,
        random: u32,
    ) -> Packed<'_> {
        self.pack(now, info_hash, family, most, random, |row| !row.seed)
    }

    fn scrape(&mut self, now: Instant, info_hash: InfoHash) -> Option<Scrape> {
        if !SCRAPES {
            return None;
        }
        let mut scrape = None;
        for row in swarm(&self.rows, &info_hash).iter().filter(|row| row.until > now) {
            let Scrape { seeds, downloaders } = scrape.get_or_insert_default();
            if row.seed { seeds } else { downloaders }.set(row.bits);
        }
        scrape
    }

    fn accepts(&mut self, now: Instant, info_hash: InfoHash, ip: IpAddr) -> bool {
        if N < FILTERED_MAX {
            return true;
        }
        let peers = || swarm(&self.rows, &info_hash).iter().filter(|row| row.until > now);
        let seeds = peers().filter(|row| row.seed).count();
        let most = seeds.max(peers().count() - seeds);
        most < FILTERED_MAX || peers().any(|row| row.ip == ip)
    }

    fn sample(
        &mut self,
        now: Instant,
        most: usize,
        interval: Duration,
        random: u64,
    ) -> Option<Sample<'_>> {
        if !SCRAPES {
            return None;
        }
        let stored = swarms(&self.rows, now).count();
        if now >= self.sample.1 {
            let index = random % stored.max(1) as u64;
            let first = swarms(&self.rows, now).nth(index as usize).unwrap_or_default();
            self.sample = (first, now + interval);
        }
        let (first, until) = self.sample;
        let from = swarms(&self.rows, now).filter(|hash| *hash >= first);
        let before = swarms(&self.rows, now).filter(|hash| *hash < first);
        let (places, _) = self.packed.as_chunks_mut();
        let mut written = 0;
        for (hash, place) in from.chain(before).take(most).zip(places) {
            *place = hash.0;
            written += hash.0.len();
        }
        let left = if stored <= most { interval } else { until.since(now).min(interval) };
        Some(Sample { left, stored, packed: self.packed.get(..written).unwrap_or_default() })
    }

    fn counts(&self) -> StoreCounts {
        let swarms = self.rows.chunk_by(|a, b| a.info_hash == b.info_hash).count();
        StoreCounts { swarms, peers: self.rows.len() }
    }
}

/// Where a swarm's peers begin and end; where the swarm belongs if there are none.
fn ends(rows: &[Row], info_hash: &InfoHash) -> (usize, usize) {
    let begin = rows.partition_point(|row| row.info_hash < *info_hash);
    let len = rows.get(begin..).unwrap_or_default();
    let len = len.partition_point(|row| row.info_hash == *info_hash);
    (begin, begin + len)
}

fn swarm<'a>(rows: &'a [Row], info_hash: &InfoHash) -> &'a [Row] {
    let (begin, end) = ends(rows, info_hash);
    rows.get(begin..end).unwrap_or_default()
}

/// Swarms that have peers, in order.
fn swarms(rows: &[Row], now: Instant) -> impl Iterator<Item = InfoHash> {
    let swarms = rows.chunk_by(|a, b| a.info_hash == b.info_hash);
    let swarms = swarms.filter(move |swarm| swarm.iter().any(|row| row.until > now));
    swarms.filter_map(|swarm| swarm.first()).map(|row| row.info_hash)
}
