//! One bucket: a few nodes at about the same distance, and newcomers in reserve.
//!
//! Nobody is in reserve while there is a place. Knows neither our own id nor the other buckets.

use core::cmp::Reverse;
use core::marker::PhantomData;
use core::net::SocketAddr;

use heapless::Vec;

use super::place::{Address, Place};
use super::stamp::Stamp;
use crate::limits::{K, RESERVES_MAX};
use crate::list::List;
use crate::time::Instant;

/// Up to `K` nodes at about the same distance, and a few in reserve: inline, or in lists of another
/// kind.
#[derive(Clone, Debug)]
pub struct Bucket<A = SocketAddr, E = Vec<Place<A>, K, u8>, R = Vec<Place<A>, RESERVES_MAX, u8>> {
    pub(super) entries: E,
    pub(super) reserves: R,
    /// When it last changed, or somebody was looked for here.
    pub(super) refreshed: Instant,
    address: PhantomData<A>,
}

impl<A, E: Default, R: Default> Default for Bucket<A, E, R> {
    fn default() -> Self {
        Self {
            entries: E::default(),
            reserves: R::default(),
            refreshed: Instant::EPOCH,
            address: PhantomData,
        }
    }
}

impl<A: Address, E: List<Place<A>>, R: List<Place<A>>> Bucket<A, E, R> {
    pub(super) fn all(&self) -> impl Iterator<Item = &Place<A>> {
        self.entries.iter().chain(self.reserves.iter())
    }

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Place<A>> {
        self.entries.iter_mut().chain(self.reserves.iter_mut())
    }

    /// Gives an entry a free place, that of a worse one, or one in reserve. Returns whether it is
    /// among the entries now.
    pub(super) fn settle(&mut self, new: Place<A>, prefer_verified: bool) -> bool {
        if self.entries.push(new).is_ok() {
            return true;
        }
        let ranked = self.entries.iter_mut().filter_map(|entry| {
            let reason = entry.gives_way(&new, prefer_verified)?;
            Some(((reason, entry.silences(), Reverse(entry.heard())), entry))
        });
        let Some((_, place)) = ranked.max_by_key(|(rank, _)| *rank) else {
            self.reserve(new);
            return false;
        };
        let displaced = core::mem::replace(place, new);
        if !displaced.is_bad() {
            self.reserve(displaced);
        }
        true
    }

    /// Keeps an entry in reserve, if it was heard of later than another there.
    fn reserve(&mut self, new: Place<A>) {
        if self.reserves.push(new).is_ok() {
            return;
        }
        let spare = self.reserves.iter_mut().filter(|entry| !entry.is_protected());
        let oldest = spare.min_by_key(|entry| entry.heard());
        if let Some(oldest) = oldest
            && (new.is_protected() || oldest.heard() <= new.heard())
        {
            *oldest = new;
        }
    }

    /// The best in reserve, taken out.
    fn best_reserve(&mut self, prefer_verified: bool) -> Option<Place<A>> {
        let rank = |(_, entry): &(usize, &Place<A>)| {
            (entry.is_protected(), prefer_verified.then_some(entry.proof()), entry.heard())
        };
        let (index, _) = self.reserves.iter().enumerate().max_by_key(rank)?;
        self.reserves.remove(index)
    }

    /// Gives free places to those in reserve.
    pub(super) fn fill(&mut self, prefer_verified: bool) {
        while !self.entries.is_full() {
            let Some(best) = self.best_reserve(prefer_verified) else { return };
            let _ = self.entries.push(best);
        }
    }

    /// Takes out whoever is at an address.
    pub(super) fn take(&mut self, addr: &A, prefer_verified: bool) -> Option<Place<A>> {
        if let Some(index) = self.reserves.iter().position(|e| e.addr == *addr) {
            return self.reserves.remove(index);
        }
        let index = self.entries.iter().position(|e| e.addr == *addr)?;
        let taken = self.entries.remove(index);
        self.fill(prefer_verified);
        taken
    }

    /// Whoever is at an address did not answer. Returns its entry, if it is still there.
    pub(super) fn silent(
        &mut self,
        now: Stamp,
        addr: &A,
        prefer_verified: bool,
    ) -> Option<Place<A>> {
        let entry = self.all_mut().find(|entry| entry.addr == *addr)?;
        entry.silent(now);
        let entry = *entry;
        let reserved = self.reserves.iter().any(|e| e.addr == *addr);
        let replaced = entry.is_bad() && !self.reserves.is_empty();
        if !entry.is_protected() && (reserved || replaced) {
            self.take(addr, prefer_verified);
            return None;
        }
        Some(entry)
    }

    /// Marks a node as protected, and takes it out of reserve if another can go there.
    pub(super) fn protect(&mut self, addr: &A, protected: bool, prefer_verified: bool) {
        if let Some(index) = self.reserves.iter().position(|e| e.addr == *addr) {
            let Some(mut entry) = self.reserves.remove(index) else { return };
            entry.protect(protected);
            self.settle(entry, prefer_verified);
        } else if let Some(entry) = self.entries.iter_mut().find(|e| e.addr == *addr) {
            entry.protect(protected);
        }
    }
}
