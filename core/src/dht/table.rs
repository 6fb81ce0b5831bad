//! The routing table: the nodes that we know, few of them far away and many close by (BEP 5).
//!
//! Bucket `i` holds nodes whose ids share exactly `i` bits with ours; the last bucket holds all
//! that share more, and splits when it is full, as long as there is room for another bucket.
//!
//! A node is *good* if it answered us within 15 minutes, or answered once and asked us something
//! within 15 minutes; *questionable* after that; *bad* once it failed to answer twice in a row. Only
//! nodes that have answered us are ever let in. A full bucket keeps a few newcomers in reserve: the
//! one heard of last takes the place of the next node that turns bad. Old good nodes are never
//! displaced, since those that have been there long tend to stay.
//!
//! An id, an address and (for diversity) a network stand in the table once. A newcomer that claims
//! one of them waits until whoever has it has failed to answer; only at its own address may a node
//! that just answered under another id take its old self's place.
//!
//! Knows time; knows no messages. [`Routing`] is the seam for policies of one's own.

mod bucket;
mod buckets;
mod entry;
mod nearest;
#[cfg(feature = "alloc")]
mod packed;
mod place;
mod stamp;

use core::net::SocketAddr;
use core::time::Duration;

use heapless::Vec;
use rand_core::Rng;

use crate::contact::Contact;
use crate::id::Id;
use crate::time::Instant;

pub use bucket::Bucket;
pub use buckets::Table;
pub use entry::Entry;
#[cfg(feature = "alloc")]
pub use packed::Packed;
pub use place::{Address, Compact, Place};

/// What a node needs of a routing table: implement it to bring your own, or wrap [`Table`].
pub trait Routing {
    /// Our own id, around which the table is built.
    fn own(&self) -> Id;

    /// Takes on a new own id. Nodes stay as far as they fit.
    fn rebase(&mut self, now: Instant, own: Id);

    /// A node answered a question of ours. Returns whether it is in the table now.
    fn answered(&mut self, now: Instant, contact: Contact, rtt: Duration, proof: Proof) -> bool;

    /// A node asked us something. Returns whether it is in the table under this id and address, and
    /// is not a bad one: such a one is to be asked whether it is back.
    fn asked_us(&mut self, now: Instant, contact: &Contact) -> bool;

    /// A node did not answer.
    fn silent(&mut self, now: Instant, addr: &SocketAddr);

    /// Whether there would be a place for a node that was heard of, if it answers.
    fn wants(&self, now: Instant, contact: Contact) -> bool;

    /// Takes in a node known from a former run: it is asked before it counts as good.
    fn restore(&mut self, now: Instant, contact: Contact);

    /// Forgets a node, a protected one too: it is the application's wish.
    fn remove(&mut self, addr: &SocketAddr);

    /// Never drop this node, or do again.
    fn protect(&mut self, addr: &SocketAddr, protected: bool);

    /// The nodes closest to `target`, closest first, as many as `found` has room for.
    fn closest<const N: usize>(
        &self,
        now: Instant,
        target: Id,
        quality: Quality,
        found: &mut Vec<Contact, N>,
    );

    /// The one question that upkeep wants asked at `now`, if it is time for one.
    fn upkeep(&mut self, now: Instant, random: &mut impl Rng) -> Option<Upkeep>;

    /// When upkeep wants to ask next; `None` while nobody is known.
    fn deadline(&self) -> Option<Instant>;

    /// How many nodes are in the table.
    fn len(&self) -> usize;

    /// Whether nobody is known.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How they are.
    fn counts(&self, now: Instant) -> Counts;

    /// Every node in the table, closest bucket first.
    fn for_each(&self, see: &mut dyn FnMut(&Entry));
}

/// Whether a node's id fits its address (BEP 42).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    /// It does not.
    Unverified,
    /// It does, or the address is exempt.
    Verified,
}

/// Which nodes are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    /// Such as one may tell others of: good ones, and questionable ones where those do not suffice.
    Good,
    /// Whoever may be alive.
    Usable,
}

/// A question of the table's upkeep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upkeep {
    /// Is it still there?
    Ping(Contact),
    /// Is it still there, and whom does it know in a part of the key space where we know few?
    FindNode {
        /// Whom to ask.
        via: Contact,
        /// For whom.
        target: Id,
    },
}

/// How the nodes of a table are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Heard of within 15 minutes.
    pub good: usize,
    /// Not heard of for longer.
    pub questionable: usize,
    /// Silent twice in a row.
    pub bad: usize,
    /// Waiting for a place.
    pub reserves: usize,
    /// Buckets in use.
    pub buckets: usize,
}

/// How a [`Table`] behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableConfig {
    /// One node of each /24 or /64, local networks exempt. Otherwise one of each address and port.
    pub diversity: bool,
    /// In a full bucket, a node whose id fits its address takes the place of one whose does not.
    pub prefer_verified: bool,
    /// Ask of one's own accord.
    pub upkeep: bool,
    /// The least time between two such questions.
    pub upkeep_spacing: Duration,
    /// How long a node counts as good without being heard of.
    pub questionable_after: Duration,
}

impl Default for TableConfig {
    fn default() -> Self {
        Self {
            diversity: true,
            prefer_verified: true,
            upkeep: true,
            upkeep_spacing: Duration::from_secs(5),
            questionable_after: Duration::from_secs(15 * 60),
        }
    }
}
