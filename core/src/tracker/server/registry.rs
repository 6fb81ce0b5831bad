//! Who is in which swarm: bounded, and forgotten when they do not announce again.
//!
//! Peers of a swarm and family are kept packed, as they go into an answer, so telling of fifty of
//! them is two copies. Whoever asks is moved to the end and left out. Knows time.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use crate::announce::{Announce, Counts, Happening, PeerId};
use crate::contact::Family;
use crate::id::{InfoHash, is_local};
use crate::time::Instant;
use crate::wire::compact::{Peers, write_peer};

/// How much a [`Registry`] holds, and how often it wants to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistryLimits {
    /// Swarms.
    pub swarms: usize,
    /// Peers of one swarm and address family.
    pub peers_per_swarm: usize,
    /// Time between two announces of a peer. One that misses two is forgotten.
    pub interval: Duration,
    /// Peers that are told where the client does not say how many it wants.
    pub peers_told: u32,
    /// Peers that are told at most.
    pub peers_told_max: u32,
}

impl Default for RegistryLimits {
    fn default() -> Self {
        Self {
            swarms: 10_000,
            peers_per_swarm: 10_000,
            interval: Duration::from_secs(30 * 60),
            peers_told: 50,
            peers_told_max: 200,
        }
    }
}

/// The swarms of a tracker.
#[derive(Clone, Debug)]
pub struct Registry {
    limits: RegistryLimits,
    swarms: BTreeMap<InfoHash, Swarm>,
}

/// Peers of a swarm to be told, packed in two runs of 6 or 18 bytes each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listed<'a> {
    /// The bytes.
    pub runs: [&'a [u8]; 2],
}

impl Listed<'_> {
    /// The peers.
    pub fn peers(&self, family: Family) -> impl Iterator<Item = SocketAddr> {
        self.runs.into_iter().flat_map(move |run| Peers::new(family, run))
    }
}

#[derive(Clone, Debug, Default)]
struct Swarm {
    v4: Crowd,
    v6: Crowd,
    completed: u32,
    /// When somebody announced last.
    last: Instant,
}

/// The peers of one family.
#[derive(Clone, Debug, Default)]
struct Crowd {
    packed: Vec<u8>,
    rows: Vec<Member>,
    seeders: u32,
    /// When the first of them expires, or before that.
    first: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    id: PeerId,
    until: Instant,
    seeder: bool,
}

impl Crowd {
    fn remove(&mut self, index: usize, len: usize) {
        if index >= self.rows.len() {
            return;
        }
        self.swap_to_end(index, len);
        if let Some(gone) = self.rows.pop() {
            self.seeders -= u32::from(gone.seeder);
        }
        self.packed.truncate(self.rows.len() * len);
    }

    fn swap_to_end(&mut self, index: usize, len: usize) {
        let last = self.rows.len().saturating_sub(1);
        if index >= last {
            return;
        }
        self.rows.swap(index, last);
        if let Some((before, after)) = self.packed.split_at_mut_checked(last * len)
            && let (Some(one), Some(other)) =
                (before.get_mut(index * len..(index + 1) * len), after.get_mut(..len))
        {
            one.swap_with_slice(other);
        }
    }

    fn sweep(&mut self, now: Instant, len: usize) {
        if self.first > now || self.rows.is_empty() {
            return;
        }
        for index in (0..self.rows.len()).rev() {
            if self.rows.get(index).is_some_and(|row| row.until <= now) {
                self.remove(index, len);
            }
        }
        self.first = self.rows.iter().map(|row| row.until).min().unwrap_or(Instant::NEVER);
    }
}

impl Swarm {
    fn crowd(&mut self, family: Family) -> &mut Crowd {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }

    fn sweep(&mut self, now: Instant) {
        self.v4.sweep(now, Family::V4.peer_len());
        self.v6.sweep(now, Family::V6.peer_len());
    }

    fn is_empty(&self) -> bool {
        self.v4.rows.is_empty() && self.v6.rows.is_empty()
    }

    fn counts(&self) -> Counts {
        let seeders = self.v4.seeders + self.v6.seeders;
        let peers = (self.v4.rows.len() + self.v6.rows.len()) as u32;
        Counts { seeders, leechers: peers - seeders, completed: Some(self.completed) }
    }
}

impl Registry {
    /// Empty.
    pub fn new(limits: RegistryLimits) -> Self {
        Self { limits, swarms: BTreeMap::new() }
    }

    /// Its limits.
    pub fn limits(&self) -> &RegistryLimits {
        &self.limits
    }

    /// How many swarms it knows, those whose peers have all expired included.
    pub fn swarms(&self) -> usize {
        self.swarms.len()
    }

    /// Takes in an announce from `from`: the peer is at the port that it names.
    ///
    /// The address that it may name is heeded where it asks from a local network. False if there
    /// is no room, or the port is 0.
    pub fn announce(&mut self, now: Instant, from: IpAddr, announce: &Announce) -> bool {
        let ip = announce.ip.filter(|_| is_local(from)).unwrap_or(from);
        let peer = SocketAddr::new(ip.to_canonical(), announce.port);
        let family = Family::of(&peer);
        let len = family.peer_len();
        let mut bytes = [0; 18];
        let written = write_peer(&peer, &mut bytes);
        let Some(packed) = bytes.get(..written.unwrap_or(0)).filter(|_| announce.port != 0) else {
            return false;
        };
        if announce.event == Happening::Stopped {
            if let Some(swarm) = self.swarms.get_mut(&announce.info_hash) {
                let crowd = swarm.crowd(family);
                if let Some(index) = crowd.find(0, packed, &announce.peer_id) {
                    crowd.remove(index, len);
                }
            }
            return true;
        }
        if !self.make_room(now, &announce.info_hash) {
            return false;
        }
        let until = now + self.limits.interval.saturating_mul(2);
        let most = self.limits.peers_per_swarm;
        let swarm = self.swarms.entry(announce.info_hash).or_default();
        swarm.last = now;
        swarm.completed += u32::from(announce.event == Happening::Completed);
        let crowd = swarm.crowd(family);
        crowd.sweep(now, len);
        // One by its address and perhaps another by its id.
        let mut from = 0;
        while let Some(index) = crowd.find(from, packed, &announce.peer_id) {
            crowd.remove(index, len);
            from = index;
        }
        if crowd.rows.len() >= most {
            return false;
        }
        let seeder = announce.left == 0;
        crowd.first = if crowd.rows.is_empty() { until } else { crowd.first.min(until) };
        crowd.packed.extend_from_slice(packed);
        crowd.rows.push(Member { id: announce.peer_id, until, seeder });
        crowd.seeders += u32::from(seeder);
        true
    }

    /// Up to `want` peers of a swarm from a place on that `random` decides. `but` is left out.
    pub fn peers(
        &mut self,
        now: Instant,
        swarm: &InfoHash,
        family: Family,
        but: &PeerId,
        want: Option<u32>,
        random: u32,
    ) -> Listed<'_> {
        let want = want.unwrap_or(self.limits.peers_told).min(self.limits.peers_told_max) as usize;
        let len = family.peer_len();
        let Some(swarm) = self.swarms.get_mut(swarm) else { return Listed::default() };
        let crowd = swarm.crowd(family);
        crowd.sweep(now, len);
        // Whoever has just announced is the last.
        if crowd.rows.last().is_some_and(|row| row.id != *but)
            && let Some(own) = crowd.rows.iter().position(|row| row.id == *but)
        {
            crowd.swap_to_end(own, len);
        }
        let own = crowd.rows.last().is_some_and(|row| row.id == *but);
        let count = crowd.rows.len() - usize::from(own);
        let start = random as usize % count.max(1);
        let all = crowd.packed.get(..count * len).unwrap_or_default();
        let (before, after) = all.split_at_checked(start * len).unwrap_or_default();
        let first = want.min(count - start.min(count));
        let second = (want - first).min(start);
        Listed {
            runs: [
                after.get(..first * len).unwrap_or_default(),
                before.get(..second * len).unwrap_or_default(),
            ],
        }
    }

    /// Who is in a swarm.
    pub fn counts(&mut self, now: Instant, swarm: &InfoHash) -> Counts {
        match self.swarms.get_mut(swarm) {
            Some(swarm) => {
                swarm.sweep(now);
                swarm.counts()
            }
            None => Counts { seeders: 0, leechers: 0, completed: Some(0) },
        }
    }

    /// Makes room for one more swarm, if it is a new one. The one announced to longest ago gives
    /// way.
    fn make_room(&mut self, now: Instant, swarm: &InfoHash) -> bool {
        if self.swarms.len() < self.limits.swarms || self.swarms.contains_key(swarm) {
            return true;
        }
        self.swarms.retain(|_, swarm| {
            swarm.sweep(now);
            !swarm.is_empty()
        });
        if self.swarms.len() >= self.limits.swarms {
            let oldest = self.swarms.iter().min_by_key(|(_, swarm)| swarm.last);
            let Some(oldest) = oldest.map(|(hash, _)| *hash) else { return false };
            self.swarms.remove(&oldest);
        }
        true
    }
}

impl Crowd {
    /// The first peer from an index on that has this address, or this id where it has moved to
    /// another port.
    fn find(&self, from: usize, packed: &[u8], id: &PeerId) -> Option<usize> {
        match packed.len() {
            6 => self.find_packed::<6>(from, packed, id),
            _ => self.find_packed::<18>(from, packed, id),
        }
    }

    fn find_packed<const LEN: usize>(
        &self,
        from: usize,
        packed: &[u8],
        id: &PeerId,
    ) -> Option<usize> {
        let packed: &[u8; LEN] = packed.try_into().ok()?;
        let (addresses, _) = self.packed.as_chunks::<LEN>();
        let mut rows = addresses.iter().zip(&self.rows).skip(from);
        rows.position(|(address, row)| address == packed || row.id == *id).map(|at| from + at)
    }
}
