//! Items inline, for programs without an allocator.

use core::net::IpAddr;

use heapless::Vec;

use crate::dht::item::{Item, ItemError};
use crate::dht::items::rows::{Held, Row, Rows};
use crate::dht::items::{ItemCounts, ItemStore, Stored};
use crate::id::Id;
use crate::limits::VALUE_MAX;
use crate::time::Instant;

type Value = Vec<u8, VALUE_MAX, u16>;

/// At most `N` items of any length, without an allocator: about 1,200 bytes each. With room for
/// none nothing is left of it.
#[derive(Clone, Debug)]
pub struct ItemRing<const N: usize>(Rows<Value, Vec<Row<Value>, N>>);

impl Held for Value {
    fn hold(value: &[u8]) -> Option<Self> {
        Vec::from_slice(value).ok()
    }
}

impl<const N: usize> ItemRing<N> {
    /// Empty.
    pub const fn new() -> Self {
        Self(Rows::new(Vec::new(), usize::MAX))
    }
}

impl<const N: usize> Default for ItemRing<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> ItemStore for ItemRing<N> {
    #[inline(always)]
    fn keeps(&self) -> bool {
        N > 0
    }

    fn get(&mut self, now: Instant, target: Id) -> Option<Stored<'_>> {
        if N == 0 { None } else { self.0.get(now, target) }
    }

    fn put(
        &mut self,
        now: Instant,
        target: Id,
        item: &Item<'_>,
        from: IpAddr,
        own: Id,
    ) -> Result<(), ItemError> {
        if N == 0 { Err(ItemError::Full) } else { self.0.put(now, target, item, from, own) }
    }

    fn counts(&self) -> ItemCounts {
        self.0.counts()
    }
}
