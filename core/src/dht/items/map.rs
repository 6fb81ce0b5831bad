//! Items on the heap.

use alloc::boxed::Box;
use core::net::IpAddr;

use crate::dht::item::{Item, ItemError};
use crate::dht::items::rows::{Held, Row, Rows};
use crate::dht::items::{ItemCounts, ItemStore, Stored};
use crate::id::Id;
use crate::list::Bounded;
use crate::time::Instant;

type Value = Box<[u8]>;

/// How much an [`ItemMap`] holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemMapLimits {
    /// Items; 0 makes a node that does not know `put`. Each takes 200 bytes.
    pub items: usize,
    /// Bytes of all values.
    pub bytes: usize,
}

impl Default for ItemMapLimits {
    fn default() -> Self {
        Self { items: 500, bytes: 200_000 }
    }
}

/// Items on the heap: rows allocated as it fills, a value when it is put. Asking allocates
/// nothing. Looking up takes a search among sorted rows; an item that is put is compared with all
/// of them.
#[derive(Clone, Debug)]
pub struct ItemMap(Rows<Value, Bounded<Row<Value>>>);

impl Held for Value {
    fn hold(value: &[u8]) -> Option<Self> {
        Some(value.into())
    }
}

impl ItemMap {
    /// Empty.
    pub fn new(limits: ItemMapLimits) -> Self {
        Self(Rows::new(Bounded::by_need(limits.items), limits.bytes))
    }
}

impl ItemStore for ItemMap {
    fn keeps(&self) -> bool {
        self.0.capacity() > 0
    }

    fn get(&mut self, now: Instant, target: Id) -> Option<Stored<'_>> {
        self.0.get(now, target)
    }

    fn put(
        &mut self,
        now: Instant,
        target: Id,
        item: &Item<'_>,
        from: IpAddr,
        own: Id,
    ) -> Result<(), ItemError> {
        self.0.put(now, target, item, from, own)
    }

    fn counts(&self) -> ItemCounts {
        self.0.counts()
    }
}
