//! Peers without an allocator: one list of all of them.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use super::{Lots, PEER_TTL, Packed, PeerStore, Sample, Scrape, StoreCounts, Stored};
use crate::contact::Family;
use crate::dht::bloom::{Bits, bits};
use crate::id::InfoHash;
use crate::limits::{DATAGRAM_MAX, FILTERED_MAX, SAMPLES_MAX};
use crate::time::Instant;
use crate::wire::compact::write_peer;

/// At most `N` peers in all, without an allocator. When it is full the one announced longest ago
/// gives way.
///
/// With `SCRAPES` it also serves BEP 33 and BEP 51; without, nothing of that is compiled in, SHA-1
/// least of all.
#[derive(Clone, Debug)]
pub struct PeerRing<const N: usize, const SCRAPES: bool = false> {
    rows: heapless::Vec<Row, N>,
    /// Peers of the swarm asked for last, or the info-hashes of a sample.
    packed: [u8; DATAGRAM_MAX],
    /// What decided about the sample, and how long it holds.
    drawn: (u64, Instant),
}

#[derive(Clone, Copy, Debug)]
struct Row {
    info_hash: InfoHash,
    peer: SocketAddr,
    until: Instant,
    seed: bool,
    /// Of the address, in a filter.
    bits: Bits,
    /// Nobody has announced to the swarm since, so it stands for the swarm.
    newest: bool,
    /// The swarm is in the sample.
    sampled: bool,
}

impl Row {
    fn is_swarm(&self, now: Instant) -> bool {
        self.newest && self.until > now
    }
}

impl<const N: usize, const SCRAPES: bool> PeerRing<N, SCRAPES> {
    /// Empty.
    pub const fn new() -> Self {
        Self { rows: heapless::Vec::new(), packed: [0; DATAGRAM_MAX], drawn: (0, Instant::EPOCH) }
    }

    /// The peer that announced last stands for the swarm: as long as it is there the swarm is.
    fn stand_for_swarm(&mut self, info_hash: InfoHash, peer: SocketAddr) {
        if !SCRAPES {
            return;
        }
        let of_swarm = |row: &&mut Row| row.info_hash == info_hash;
        let mut sampled = false;
        for row in self.rows.iter_mut().filter(of_swarm) {
            sampled |= row.sampled;
            (row.newest, row.sampled) = (row.peer == peer, false);
        }
        if let Some(row) = self.rows.iter_mut().filter(of_swarm).find(|row| row.newest) {
            row.sampled = sampled;
        }
    }

    fn swarm(&self, now: Instant, info_hash: InfoHash) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.info_hash == info_hash && row.until > now)
    }
}

impl<const N: usize, const SCRAPES: bool> Default for PeerRing<N, SCRAPES> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize, const SCRAPES: bool> PeerStore for PeerRing<N, SCRAPES> {
    const SCRAPES: bool = SCRAPES;

    fn announce(
        &mut self,
        now: Instant,
        info_hash: InfoHash,
        peer: SocketAddr,
        seed: bool,
    ) -> Stored {
        let until = now + PEER_TTL;
        let same = |row: &&mut Row| row.info_hash == info_hash && row.peer == peer;
        if let Some(row) = self.rows.iter_mut().find(same) {
            (row.until, row.seed) = (until, seed);
            self.stand_for_swarm(info_hash, peer);
            return Stored::Refreshed;
        }
        if self.rows.is_full() {
            // Whoever stands for a swarm counts as a moment younger.
            let age = |row: &Row| row.until.as_micros().saturating_add(u64::from(row.newest));
            let oldest = self.rows.iter().enumerate().min_by_key(|(_, row)| age(row));
            let Some((index, _)) = oldest else { return Stored::Full };
            self.rows.swap_remove(index);
        }
        let bits = if SCRAPES { bits(peer.ip()) } else { Bits::default() };
        let row = Row { info_hash, peer, until, seed, bits, newest: false, sampled: false };
        if self.rows.push(row).is_err() {
            return Stored::Full;
        }
        self.stand_for_swarm(info_hash, peer);
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
        pack(&self.rows, &mut self.packed, (family, most, random), |row| {
            row.info_hash == info_hash && row.until > now
        })
    }

    fn downloaders(
        &mut self,
        now: Instant,
        info_hash: InfoHash,
        family: Family,
        most: usize,
        random: u32,
    ) -> Packed<'_> {
        pack(&self.rows, &mut self.packed, (family, most, random), |row| {
            row.info_hash == info_hash && row.until > now && !row.seed
        })
    }

    fn scrape(&mut self, now: Instant, info_hash: InfoHash) -> Option<Scrape> {
        if !SCRAPES {
            return None;
        }
        let mut scrape = None;
        for row in self.swarm(now, info_hash) {
            let Scrape { seeds, downloaders } = scrape.get_or_insert_default();
            if row.seed { seeds } else { downloaders }.set(row.bits);
        }
        scrape
    }

    fn accepts(&mut self, now: Instant, info_hash: InfoHash, ip: IpAddr) -> bool {
        if !SCRAPES || N < FILTERED_MAX {
            return true;
        }
        let (mut seeds, mut downloaders, mut known) = (0, 0, false);
        for row in self.swarm(now, info_hash) {
            *(if row.seed { &mut seeds } else { &mut downloaders }) += 1;
            known |= row.peer.ip() == ip;
        }
        known || seeds.max(downloaders) < FILTERED_MAX
    }

    fn sample(&mut self, now: Instant, most: usize, interval: Duration, random: u64) -> Sample<'_> {
        if !SCRAPES {
            return Sample::default();
        }
        if now >= self.drawn.1 {
            self.drawn = (random, now + interval);
            self.rows.iter_mut().for_each(|row| row.sampled = false);
        }
        let (seed, until) = self.drawn;
        let swarms = || self.rows.iter().filter(|row| row.is_swarm(now));
        let stored = swarms().count();
        let sampled = swarms().filter(|row| row.sampled).count();
        // Those that are gone have successors, so that there is always a sample of full length.
        let mut left = stored.saturating_sub(sampled);
        let mut wanted = SAMPLES_MAX.saturating_sub(sampled).min(left);
        let mut lots = Lots(seed);
        for row in self.rows.iter_mut().filter(|row| row.is_swarm(now) && !row.sampled) {
            if lots.draw(left) < wanted {
                row.sampled = true;
                wanted -= 1;
            }
            left -= 1;
        }
        let start = (seed % self.rows.len().max(1) as u64) as usize;
        let (before, after) = self.rows.split_at_checked(start).unwrap_or_default();
        let rows = after.iter().chain(before).filter(|row| row.is_swarm(now) && row.sampled);
        let (places, _) = self.packed.as_chunks_mut();
        let mut written = 0;
        for (row, place) in rows.take(most).zip(places) {
            *place = row.info_hash.0;
            written += place.len();
        }
        let left = if stored <= most { interval } else { until.since(now).min(interval) };
        Sample { left, stored, packed: self.packed.get(..written).unwrap_or_default() }
    }

    fn counts(&self) -> StoreCounts {
        let first = |(index, row): &(usize, &Row)| match SCRAPES {
            true => row.newest,
            false => !self.rows.iter().take(*index).any(|other| other.info_hash == row.info_hash),
        };
        let swarms = self.rows.iter().enumerate().filter(first).count();
        StoreCounts { swarms, peers: self.rows.len() }
    }
}

/// Packs peers of a family, as many as are wanted, from a random one on.
fn pack<'a>(
    rows: &[Row],
    packed: &'a mut [u8],
    (family, most, random): (Family, usize, u32),
    wanted: impl Fn(&Row) -> bool,
) -> Packed<'a> {
    let start = random as usize % rows.len().max(1);
    let (before, after) = rows.split_at_checked(start).unwrap_or_default();
    let wanted = |row: &&Row| Family::of(&row.peer) == family && wanted(row);
    let places = packed.chunks_exact_mut(family.peer_len());
    let mut written = 0;
    for (row, place) in after.iter().chain(before).filter(wanted).take(most).zip(places) {
        written += write_peer(&row.peer, place).unwrap_or(0);
    }
    Packed { runs: [packed.get(..written).unwrap_or_default(), &[]] }
}
