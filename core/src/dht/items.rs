//! Items that others put here (BEP 44), and the rules for one that takes another's place.
//!
//! [`ItemStore`] is the seam for an application's own database: it keeps what it is given, for
//! [`ITEM_TTL`]. Whether an item may be kept is [`weigh`]ed before, by whoever holds the store, so
//! that no store has rules of its own. Two bounded defaults: [`ItemRing`] needs no allocator,
//! [`ItemMap`] (feature `alloc`) takes no more bytes for a value than it has. Know time.
//!
//! When there is no room, the item of least use gives way: the one that the fewest networks have put
//! here, and among those the one farthest from our id, since others will look for it, and put it,
//! elsewhere. A newcomer that would be of less use than all the others is turned away. What one
//! network put is limited to [`HOST_ITEMS_MAX`] items, of which its next takes the place of the one
//! put longest ago.

#[cfg(feature = "alloc")]
mod map;
mod ring;
mod rows;

use core::net::IpAddr;
use core::time::Duration;

use crate::dht::item::{Item, ItemError, Signature};
use crate::id::Id;
#[allow(unused_imports, reason = "for the documentation")]
use crate::limits::HOST_ITEMS_MAX;
use crate::time::Instant;

#[cfg(feature = "alloc")]
pub use map::{ItemMap, ItemMapLimits};
pub use ring::ItemRing;

/// How long an item is kept without being put again (BEP 44). Who cares for one puts it every hour.
pub const ITEM_TTL: Duration = Duration::from_secs(2 * 60 * 60);

/// Where a node keeps the items that others put.
pub trait ItemStore {
    /// Whether it keeps any at all. A node whose store keeps none does not know `put`, and answers
    /// `get` with nodes.
    fn keeps(&self) -> bool {
        true
    }

    /// The item kept at a target, if it has not expired.
    fn get(&mut self, now: Instant, target: Id) -> Option<Stored<'_>>;

    /// Keeps an item, in place of the one kept at its target if there is one; an item that is kept
    /// already is good for another while. `from` put it, `own` is the id of our node.
    ///
    /// # Errors
    ///
    /// [`ItemError::Full`] if there is no room for it.
    fn put(
        &mut self,
        now: Instant,
        target: Id,
        item: &Item<'_>,
        from: IpAddr,
        own: Id,
    ) -> Result<(), ItemError>;

    /// How much is kept.
    fn counts(&self) -> ItemCounts;
}

/// An item as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored<'a> {
    /// The value, bencoded.
    pub value: &'a [u8],
    /// What makes it a mutable one. The salt is not needed to hand it on.
    pub signed: Option<Signed<'a>>,
}

/// What a mutable item has beside its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed<'a> {
    /// The public key.
    pub key: &'a [u8; 32],
    /// How new it is.
    pub seq: i64,
    /// The key's signature.
    pub signature: &'a Signature,
}

/// How much a store keeps, what has expired and was not swept yet included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ItemCounts {
    /// Items.
    pub items: usize,
    /// Bytes of their values.
    pub bytes: usize,
}

/// What an item would be to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The first at its target.
    New,
    /// Newer than the one there, or signed anew.
    Update,
    /// The one there, byte for byte: what was checked then is good now.
    Refresh,
}

/// Whether an item may take the place of what is stored at its target (BEP 44). Looks at no
/// signature.
///
/// # Errors
///
/// [`ItemError::Cas`] if the sequence number stored is not the one to be replaced,
/// [`ItemError::Old`] if it is higher, or the same with another value.
pub fn weigh(
    stored: Option<&Stored<'_>>,
    item: &Item<'_>,
    cas: Option<i64>,
) -> Result<Change, ItemError> {
    let Some(stored) = stored else { return Ok(Change::New) };
    match (item, &stored.signed) {
        (Item::Immutable(value), None) if *value == stored.value => Ok(Change::Refresh),
        (Item::Mutable(item), Some(signed)) => {
            let same = item.value == stored.value;
            let order = item.seq.cmp(&signed.seq);
            // Whoever put it has not heard that it was stored, and puts it again: it is there.
            if order.is_eq() && same && item.signature == signed.signature {
                return Ok(Change::Refresh);
            }
            if cas.is_some_and(|cas| cas != signed.seq) {
                return Err(ItemError::Cas);
            }
            match order {
                core::cmp::Ordering::Greater => Ok(Change::Update),
                core::cmp::Ordering::Equal if same => Ok(Change::Update),
                _ => Err(ItemError::Old),
            }
        }
        // A key and a salt that together are bencoding name the place of an immutable item too:
        // what came first stays.
        _ => Err(ItemError::Old),
    }
}
