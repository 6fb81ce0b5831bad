//! What both stores share: rows sorted by target, and who gives way when there is no room.

use core::cmp::Reverse;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;
use core::net::IpAddr;
use core::ops::Deref;

use siphasher::sip::SipHasher13;

use crate::contact::Network;
use crate::dht::item::{Item, ItemError, Signature};
use crate::dht::items::{ITEM_TTL, ItemCounts, Signed, Stored};
use crate::id::{Distance, Id};
use crate::limits::HOST_ITEMS_MAX;
use crate::list::List;
use crate::time::Instant;

/// A value where it is kept.
pub(super) trait Held: Deref<Target = [u8]> + Sized {
    /// `None` if it is too long.
    fn hold(value: &[u8]) -> Option<Self>;
}

/// An item.
#[derive(Clone, Debug)]
pub(super) struct Row<V> {
    target: Id,
    value: V,
    signed: Option<([u8; 32], i64, Signature)>,
    until: Instant,
    /// Who put it first; local addresses are nobody.
    owner: Option<Network>,
    /// A bit for each network that put it, by its hash: how many are set is about how many put it.
    putters: u64,
}

impl<V: Held> Row<V> {
    /// The least goes first.
    fn use_to(&self, own: Id) -> Use {
        (self.putters.count_ones(), Reverse(self.target.distance(own)))
    }
}

/// Networks that put an item, and how close to us it is.
type Use = (u32, Reverse<Distance>);

/// Rows sorted by target.
#[derive(Clone, Debug)]
pub(super) struct Rows<V, L> {
    rows: L,
    bytes: usize,
    bytes_max: usize,
    /// When the first of them expires, or before that.
    first: Instant,
    values: PhantomData<V>,
}

impl<V: Held + 'static, L: List<Row<V>>> Rows<V, L> {
    /// None yet, in an empty list.
    pub(super) const fn new(rows: L, bytes_max: usize) -> Self {
        Self { rows, bytes: 0, bytes_max, first: Instant::NEVER, values: PhantomData }
    }

    #[cfg(feature = "alloc")]
    pub(super) fn capacity(&self) -> usize {
        self.rows.capacity()
    }

    pub(super) fn counts(&self) -> ItemCounts {
        ItemCounts { items: self.rows.len(), bytes: self.bytes }
    }

    pub(super) fn get(&self, now: Instant, target: Id) -> Option<Stored<'_>> {
        let at = self.place(target).ok()?;
        let row = self.rows.get(at).filter(|row| row.until > now)?;
        let signed = row.signed.as_ref();
        let signed = signed.map(|(key, seq, signature)| Signed { key, seq: *seq, signature });
        Some(Stored { value: &row.value, signed })
    }

    pub(super) fn put(
        &mut self,
        now: Instant,
        target: Id,
        item: &Item<'_>,
        from: IpAddr,
        own: Id,
    ) -> Result<(), ItemError> {
        self.sweep(now);
        let signed = match item {
            Item::Immutable(_) => None,
            Item::Mutable(item) => Some((*item.key, item.seq, *item.signature)),
        };
        let until = now + ITEM_TTL;
        let (mut owner, mut putters) = (Network::foreign(from), bit_of(from));
        let old = self.place(target).ok().and_then(|at| self.rows.get_mut(at));
        if let Some(old) = old {
            // It stays with whoever put it first: nobody else can have it thrown out by his own.
            (owner, putters) = (old.owner, old.putters | putters);
            if *old.value == *item.value() {
                (old.signed, old.until, old.putters) = (signed, until, putters);
                return Ok(());
            }
        }
        let value = V::hold(item.value()).ok_or(ItemError::Full)?;
        let row = Row { target, value, signed, until, owner, putters };
        self.make_room(&row, own)?;
        self.remove(target);
        self.insert(row);
        Ok(())
    }

    fn has_room(&self, (others, bytes): (usize, usize)) -> bool {
        others < self.rows.capacity() && bytes <= self.bytes_max
    }

    /// Lets others go until there is room for a row; nobody if that would not be enough.
    fn make_room(&mut self, new: &Row<V>, own: Id) -> Result<(), ItemError> {
        let is_new = self.place(new.target).is_err();
        let others = || self.rows.iter().filter(|row| row.target != new.target);
        // What other networks put as well is not this one's to have thrown out.
        let is_alone = |row: &&Row<V>| row.putters.count_ones() <= 1;
        let siblings = || {
            others().filter(is_alone).filter(|row| row.owner.is_some() && row.owner == new.owner)
        };
        let crowded = is_new && siblings().count() >= HOST_ITEMS_MAX;
        let sibling = siblings().min_by_key(|row| row.until).map(|row| row.target);
        let sibling = sibling.filter(|_| crowded);

        let rank = new.use_to(own);
        let (mut better, mut all) = ((0, new.value.len()), (0, new.value.len()));
        for row in others().filter(|row| Some(row.target) != sibling) {
            let len = row.value.len();
            all = (all.0 + 1, all.1 + len);
            if row.use_to(own) > rank {
                better = (better.0 + 1, better.1 + len);
            }
        }
        if !self.has_room(better) {
            return Err(ItemError::Full);
        }
        if let Some(target) = sibling {
            self.remove(target);
        }
        while !self.has_room(all) {
            let others = self.rows.iter().filter(|row| row.target != new.target);
            let least = others.min_by_key(|row| row.use_to(own));
            let Some((target, len)) = least.map(|row| (row.target, row.value.len())) else { break };
            all = (all.0.saturating_sub(1), all.1.saturating_sub(len));
            self.remove(target);
        }
        Ok(())
    }

    /// Drops what has expired.
    fn sweep(&mut self, now: Instant) {
        if self.first > now {
            return;
        }
        // Those that stay move up, in order.
        let mut kept = 0;
        for at in 0..self.rows.len() {
            if self.rows.get(at).is_some_and(|row| row.until > now) {
                self.rows.swap(kept, at);
                kept += 1;
            }
        }
        while self.rows.len() > kept {
            self.pop();
        }
        self.first = self.rows.iter().map(|row| row.until).min().unwrap_or(Instant::NEVER);
    }

    /// Where a target is, or where it belongs.
    fn place(&self, target: Id) -> Result<usize, usize> {
        self.rows.binary_search_by_key(&target, |row| row.target)
    }

    fn insert(&mut self, row: Row<V>) {
        let Err(at) = self.place(row.target) else { return };
        let (len, until) = (row.value.len(), row.until);
        if self.rows.push(row).is_ok() {
            self.bytes += len;
            self.first = self.first.min(until);
            if let Some(behind) = self.rows.get_mut(at..) {
                behind.rotate_right(1);
            }
        }
    }

    fn remove(&mut self, target: Id) {
        let Ok(at) = self.place(target) else { return };
        if let Some(behind) = self.rows.get_mut(at..) {
            behind.rotate_left(1);
        }
        self.pop();
    }

    fn pop(&mut self) {
        let last = self.rows.len().saturating_sub(1);
        if let Some(row) = self.rows.swap_remove(last) {
            self.bytes -= row.value.len();
        }
    }
}

/// The bit that stands for the network of an address; on a local one each address is a network.
fn bit_of(ip: IpAddr) -> u64 {
    let network = Network::foreign(ip).unwrap_or_else(|| Network::host(ip));
    let mut hasher = SipHasher13::new();
    network.hash(&mut hasher);
    1 << (hasher.finish() & 63)
}
