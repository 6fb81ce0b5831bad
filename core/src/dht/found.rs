//! The peers that one lookup found: each told once, kept packed to know them again.
//!
//! Knows no time. When it is full the oldest that was told gives way, so nothing found is lost; a
//! peer may then be told twice.

use core::net::SocketAddr;

use crate::contact::Family;
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

    fn len(&self) -> usize {
        self.packed.len() / self.family.peer_len()
    }

    /// Takes a peer in. Returns whether it is new.
    pub fn insert(&mut self, peer: SocketAddr) -> bool {
        let mut bytes = [0; 18];
        let stride = self.family.peer_len();
        let Some(new) = compact::write_peer(&peer, &mut bytes).filter(|len| *len == stride) else {
            return false;
        };
        let Some(new) = bytes.get(..new) else { return false };
        if self.packed.chunks_exact(stride).any(|known| known == new) {
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
        let stride = self.family.peer_len();
        let start = (self.oldest + self.told) % self.len().max(1) * stride;
        let peer = compact::read_peer(self.packed.get(start..start + stride)?)?;
        self.told += 1;
        Some(peer)
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
