//! The peers that one lookup found: each told once, kept packed to know them again, with a set of
//! those who named it.
//!
//! Anybody may name peers that do not exist, and nobody can tell by looking at them. But who takes
//! part in a swarm tells the eight closest nodes of it, while a liar has himself and his kind: so
//! the number of networks that named a peer tells them apart. Of eight that are told apart by their
//! networks a set is a byte; who falls into the same place counts as the same, so it is *at least* so
//! many.
//!
//! Knows no time. When it is full the oldest that was told gives way, so nothing found is lost; a
//! peer may then be told twice.

use core::net::{IpAddr, SocketAddr};

use crate::contact::{Family, Network};
use crate::list::List;
use crate::wire::compact;

/// A bounded set of peers of one family, with a mark up to which they were told.
#[derive(Clone, Debug)]
pub struct Found<L: List<u8>> {
    /// A ring, once it is full.
    packed: L,
    family: Family,
    /// Where the oldest stands.
    oldest: usize,
    /// Peers from the oldest on that were told.
    told: usize,
    dropped: u32,
}

impl<L: List<u8>> Found<L> {
    /// No peers yet; room for as many as fit into the bytes of the empty list.
    pub fn new(family: Family, packed: L) -> Self {
        Self { packed, family, oldest: 0, told: 0, dropped: 0 }
    }

    /// Bytes that a peer takes: its address, and who named it.
    pub const fn stride(family: Family) -> usize {
        family.peer_len() + 1
    }

    fn len(&self) -> usize {
        self.packed.len() / Self::stride(self.family)
    }

    /// Takes a peer in that `namer` told of. Returns whether it is new.
    pub fn insert(&mut self, peer: SocketAddr, namer: IpAddr) -> bool {
        let mut bytes = [0; 19];
        let (len, stride) = (self.family.peer_len(), Self::stride(self.family));
        if compact::write_peer(&peer, &mut bytes) != Some(len) {
            return false;
        }
        if let Some(by) = bytes.get_mut(len) {
            *by = 1 << Network::of(namer).place(3);
        }
        let Some(new) = bytes.get(..stride) else { return false };
        let all = self.packed.get_mut(..).unwrap_or_default();
        let mut known = all.chunks_exact_mut(stride).filter_map(|row| row.split_last_mut());
        if let Some((by, _)) = known.find(|(_, peer)| new.starts_with(peer)) {
            *by |= new.last().copied().unwrap_or(0);
            return false;
        }
        if self.packed.len() + stride <= self.packed.capacity() {
            return new.iter().all(|byte| self.packed.push(*byte).is_ok());
        }
        let start = self.oldest * stride;
        match self.packed.get_mut(start..start + stride).filter(|_| self.told > 0) {
            Some(place) => {
                place.copy_from_slice(new);
                self.oldest = (self.oldest + 1) % self.len().max(1);
                self.told -= 1;
                true
            }
            None => {
                self.dropped = self.dropped.saturating_add(1);
                false
            }
        }
    }

    /// The next peer that was not told yet; it counts as told from now on.
    pub fn tell(&mut self) -> Option<SocketAddr> {
        if self.is_told() {
            return None;
        }
        let stride = Self::stride(self.family);
        let start = (self.oldest + self.told) % self.len().max(1) * stride;
        let peer = compact::read_peer(self.packed.get(start..start + self.family.peer_len())?)?;
        self.told += 1;
        Some(peer)
    }

    /// Every peer that is remembered, and by how many networks it was named: at least so many, at most
    /// 8.
    pub fn named(&self) -> impl Iterator<Item = (SocketAddr, u8)> + '_ {
        let rows = self.packed.chunks_exact(Self::stride(self.family));
        rows.filter_map(|row| {
            let (by, peer) = row.split_last()?;
            Some((compact::read_peer(peer)?, by.count_ones() as u8))
        })
    }

    /// Whether all were told.
    pub fn is_told(&self) -> bool {
        self.told >= self.len()
    }

    /// Peers that found no room because those before them had not been polled yet.
    pub fn dropped(&self) -> u32 {
        self.dropped
    }
}
