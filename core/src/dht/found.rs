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
    packed: L,
    family: Family,
    /// Peers from the front that were told.
    told: usize,
    /// Where the next one goes once the list is full.
    oldest: usize,
    dropped: u32,
}

impl<L: List<u8>> Found<L> {
    /// No peers yet; room for as many as fit into the bytes of the empty list.
    pub fn new(family: Family, packed: L) -> Self {
        Self { packed, family, told: 0, oldest: 0, dropped: 0 }
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
        // Full: the oldest that was told gives way, if all were.
        if self.told * stride < self.packed.len() || self.told == 0 {
            self.dropped = self.dropped.saturating_add(1);
            return false;
        }
        self.oldest = (self.oldest + 1) % self.told;
        let last = self.told - 1;
        let (from, to) = (last * stride, self.oldest.min(last) * stride);
        // The newest stands at the end, where it is told next.
        self.packed.copy_within(from..from + stride, to);
        if let Some(place) = self.packed.get_mut(from..from + stride) {
            place.copy_from_slice(new);
        }
        self.told = last;
        true
    }

    /// The next peer that was not told yet; it counts as told from now on.
    pub fn tell(&mut self) -> Option<SocketAddr> {
        let stride = self.family.peer_len();
        let start = self.told * stride;
        let peer = compact::read_peer(self.packed.get(start..start + stride)?)?;
        self.told += 1;
        Some(peer)
    }

    /// Whether all were told.
    pub fn is_told(&self) -> bool {
        self.told * self.family.peer_len() >= self.packed.len()
    }

    /// Peers that found no room because those before them had not been polled yet.
    pub fn dropped(&self) -> u32 {
        self.dropped
    }
}
