//! The item that one lookup looks for or stores: the newest valid one that it knows, and how many
//! nodes hold it (BEP 44).
//!
//! Knows neither time nor messages. What is not signed by its key, or does not hash to the target, is
//! counted and forgotten; what is older than the newest is never told. Of two values that one key
//! signed under one number the greater counts, so that all who look agree.

use heapless::Vec;

use crate::dht::item::{Item, Mutable, Signature, immutable_target};
use crate::id::Id;
use crate::limits::{ITEM_GATHERED, SALT_MAX, VALUE_MAX};
use crate::list::List;

/// An item that is looked for or stored.
#[derive(Clone, Debug)]
pub struct Held<L: List<u8>> {
    /// Key, signature, salt; then the value, which is empty as long as none is known.
    bytes: L,
    salt_len: u8,
    /// The sequence number of a mutable one.
    signed: Option<i64>,
    /// Nothing older than this is looked for, nor this itself.
    newer_than: Option<i64>,
    /// It is to be stored in place of the one with this number alone.
    cas: Option<i64>,
    /// It is what the application wants stored, and not what somebody told.
    is_ours: bool,
    is_untold: bool,
    copies: Copies,
}

/// Where the signature begins, behind the key.
const SIGNATURE: usize = 32;
/// Where the salt begins.
const SALT: usize = SIGNATURE + 64;

/// What a node says that it holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Said<'a> {
    /// `v`
    pub value: Option<&'a [u8]>,
    /// `k`
    pub key: Option<&'a [u8; 32]>,
    /// `sig`
    pub signature: Option<&'a [u8; 64]>,
    /// `seq`
    pub seq: Option<i64>,
}

/// How many nodes hold an item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// Nodes that hold the newest, or say so.
    pub newest: u16,
    /// Nodes that hold an older one, or say so.
    pub older: u16,
    /// Nodes that told something which is not the item: badly signed, or of another hash.
    pub invalid: u16,
}

impl<L: List<u8>> Held<L> {
    /// Nothing yet. `None` if the salt is too long, or the empty list has no room for any item.
    pub fn wanted(salt: &[u8], newer_than: Option<i64>, bytes: L) -> Option<Self> {
        if salt.len() > SALT_MAX || bytes.capacity() < ITEM_GATHERED {
            return None;
        }
        let mut held = Self {
            bytes,
            salt_len: salt.len() as u8,
            signed: None,
            newer_than,
            cas: None,
            is_ours: false,
            is_untold: false,
            copies: Copies::default(),
        };
        held.fill(&[0; 32], &[0; 64], salt, &[])?;
        Some(held)
    }

    /// An item to be stored. `None` if it or the salt is too long, or the empty list has no room for
    /// any item.
    pub fn ours(item: &Item<'_>, cas: Option<i64>, bytes: L) -> Option<Self> {
        let (said, salt) = match item {
            Item::Immutable(value) => (Said { value: Some(value), ..Said::default() }, &[][..]),
            Item::Mutable(item) => {
                let (key, signature) = (Some(item.key), Some(item.signature));
                (Said { value: Some(item.value), key, signature, seq: Some(item.seq) }, item.salt)
            }
        };
        let mut held = Self::wanted(salt, None, bytes)?;
        held.set(&said)?;
        (held.cas, held.is_ours, held.is_untold) = (cas, true, false);
        Some(held)
    }

    /// Takes the place of what was known.
    fn set(&mut self, said: &Said<'_>) -> Option<()> {
        let salt = Vec::<u8, SALT_MAX>::from_slice(self.salt()).ok()?;
        let key = said.key.unwrap_or(&[0; 32]);
        let signature = said.signature.unwrap_or(&[0; 64]);
        self.fill(key, signature, &salt, said.value?)?;
        self.signed = said.key.and(said.signature).and(said.seq);
        (self.is_ours, self.is_untold) = (false, true);
        Some(())
    }

    fn fill(
        &mut self,
        key: &[u8; 32],
        signature: &Signature,
        salt: &[u8],
        value: &[u8],
    ) -> Option<()> {
        if value.len() > VALUE_MAX {
            return None;
        }
        self.bytes.clear();
        let mut all = key.iter().chain(signature).chain(salt).chain(value);
        all.try_for_each(|byte| self.bytes.push(*byte)).ok()
    }

    fn salt(&self) -> &[u8] {
        self.bytes.get(SALT..SALT + usize::from(self.salt_len)).unwrap_or_default()
    }

    fn value(&self) -> &[u8] {
        self.bytes.get(SALT + usize::from(self.salt_len)..).unwrap_or_default()
    }

    /// A node said what it holds under `target`. It counts only once, for what it said first.
    pub fn hear(&mut self, target: Id, said: &Said<'_>, is_first: bool) {
        let count = match self.judge(target, said) {
            None => return,
            Some(Verdict::Same) => &mut self.copies.newest,
            Some(Verdict::Older) => &mut self.copies.older,
            Some(Verdict::Invalid) => &mut self.copies.invalid,
            Some(Verdict::Newer) => {
                if self.set(said).is_some() {
                    self.copies.older = self.copies.older.saturating_add(self.copies.newest);
                    self.copies.newest = 0;
                }
                &mut self.copies.newest
            }
        };
        *count = count.saturating_add(u16::from(is_first));
    }

    fn judge(&self, target: Id, said: &Said<'_>) -> Option<Verdict> {
        let Some(value) = said.value else {
            let (said, known) = (said.seq?, self.seq()?);
            // That it holds a newer one is nothing without it.
            return (said <= known).then_some(match said == known {
                true => Verdict::Same,
                false => Verdict::Older,
            });
        };
        let (Some(key), Some(signature), Some(seq)) = (said.key, said.signature, said.seq) else {
            let is_true = value.len() <= VALUE_MAX && immutable_target(value) == target;
            return Some(match (is_true, self.value().is_empty()) {
                (false, _) => Verdict::Invalid,
                (true, true) => Verdict::Newer,
                (true, false) => Verdict::Same,
            });
        };
        if let Some(known) = self.seq() {
            let is_same = seq == known && (self.value().is_empty() || value == self.value());
            if is_same {
                return Some(Verdict::Same);
            }
            let is_older = seq < known || (seq == known && value < self.value());
            if is_older && !self.is_beyond_cas(seq) {
                return Some(Verdict::Older);
            }
        }
        // The signature last: it is what costs.
        let item = Mutable { key, salt: self.salt(), seq, value, signature };
        Some(match item.target() == target && item.check().is_ok() {
            true => Verdict::Newer,
            false => Verdict::Invalid,
        })
    }

    /// The item as far as it is known.
    pub fn item(&self) -> Option<Item<'_>> {
        let (salt, value) = (self.salt(), self.value());
        if value.is_empty() {
            return None;
        }
        let Some(seq) = self.signed else { return Some(Item::Immutable(value)) };
        let key = self.bytes.get(..SIGNATURE)?.try_into().ok()?;
        let signature = self.bytes.get(SIGNATURE..SALT)?.try_into().ok()?;
        Some(Item::Mutable(Mutable { key, salt, seq, value, signature }))
    }

    /// What the item is to replace, and nothing else.
    pub fn cas(&self) -> Option<i64> {
        self.cas
    }

    /// The number that nodes are told when they are asked: older ones need not be sent.
    pub fn known(&self) -> Option<i64> {
        if !self.is_ours {
            return self.seq();
        }
        // One below our own: somebody may hold another value under the same number. And what is to
        // be replaced is to be the newest there is.
        let below = self.seq()?.saturating_sub(1);
        Some(self.cas.map_or(below, |cas| below.min(cas)))
    }

    /// Whether ours is to replace an older one than this. Those who have not heard of this one would
    /// store ours, which then hides it: what the comparison is to prevent.
    fn is_beyond_cas(&self, seq: i64) -> bool {
        self.is_ours && self.cas.is_some_and(|cas| seq > cas)
    }

    fn seq(&self) -> Option<i64> {
        self.signed.or(self.newer_than)
    }

    /// Whether what is to be stored is still the newest.
    pub fn is_ours(&self) -> bool {
        self.is_ours
    }

    /// Whether there is a value that was not told; it counts as told from now on.
    pub fn tell(&mut self) -> bool {
        core::mem::take(&mut self.is_untold)
    }

    /// How many nodes hold it.
    pub fn copies(&self) -> Copies {
        self.copies
    }
}

/// What a told item is beside the one that is known.
enum Verdict {
    Same,
    Older,
    Invalid,
    Newer,
}
