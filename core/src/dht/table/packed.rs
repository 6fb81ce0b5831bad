//! A routing table on the heap whose rows hold addresses as they are in messages.
//!
//! The nodes of one are all of one family, so a row has no need to say of which: half of what it
//! would take otherwise. The family is known when a table is made, and nobody outside sees which of
//! the two kinds it is.

use core::net::SocketAddr;
use core::time::Duration;

use heapless::Vec;
use rand_core::Rng;

use super::{
    Bucket, Compact, Counts, Entry, Place, Proof, Quality, Routing, Table, TableConfig, Upkeep,
};
use crate::contact::{Contact, Family};
use crate::id::Id;
use crate::limits::{K, RESERVES_MAX};
use crate::list::{Bounded, Few};
use crate::time::Instant;

/// The default routing table for one family, on the heap: a node takes 33 bytes if it is of IPv4, 45
/// of IPv6. Others are not let in.
#[derive(Clone, Debug)]
pub struct Packed(ByFamily);

#[derive(Clone, Debug)]
enum ByFamily {
    V4(Filling<6>),
    V6(Filling<18>),
}

type Entries<const N: usize> = Few<Place<Compact<N>>, K>;
type Reserves<const N: usize> = Few<Place<Compact<N>>, RESERVES_MAX>;
type Filling<const N: usize> = Table<
    Bounded<Bucket<Compact<N>, Entries<N>, Reserves<N>>>,
    Compact<N>,
    Entries<N>,
    Reserves<N>,
>;

impl Packed {
    /// An empty table for at most so many buckets, allocated as there is need for them.
    pub fn new(own: Id, config: TableConfig, family: Family, buckets: usize) -> Self {
        Self(match family {
            Family::V4 => ByFamily::V4(Table::new(own, config, Bounded::by_need(buckets))),
            Family::V6 => ByFamily::V6(Table::new(own, config, Bounded::by_need(buckets))),
        })
    }
}

/// The same of either.
macro_rules! of {
    ($packed:expr, $table:ident => $what:expr) => {
        match $packed {
            ByFamily::V4($table) => $what,
            ByFamily::V6($table) => $what,
        }
    };
}

impl Routing for Packed {
    fn own(&self) -> Id {
        of!(&self.0, table => table.own())
    }

    fn rebase(&mut self, now: Instant, own: Id) {
        of!(&mut self.0, table => table.rebase(now, own));
    }

    fn answered(&mut self, now: Instant, contact: Contact, rtt: Duration, proof: Proof) -> bool {
        of!(&mut self.0, table => table.answered(now, contact, rtt, proof))
    }

    fn asked_us(&mut self, now: Instant, contact: &Contact) -> bool {
        of!(&mut self.0, table => table.asked_us(now, contact))
    }

    fn silent(&mut self, now: Instant, addr: &SocketAddr) {
        of!(&mut self.0, table => table.silent(now, addr));
    }

    fn wants(&self, now: Instant, contact: Contact) -> bool {
        of!(&self.0, table => table.wants(now, contact))
    }

    fn restore(&mut self, now: Instant, contact: Contact) {
        of!(&mut self.0, table => table.restore(now, contact));
    }

    fn remove(&mut self, addr: &SocketAddr) {
        of!(&mut self.0, table => table.remove(addr));
    }

    fn protect(&mut self, addr: &SocketAddr, protected: bool) {
        of!(&mut self.0, table => table.protect(addr, protected));
    }

    fn closest<const N: usize>(
        &self,
        now: Instant,
        target: Id,
        quality: Quality,
        found: &mut Vec<Contact, N>,
    ) {
        of!(&self.0, table => table.closest(now, target, quality, found));
    }

    fn upkeep(&mut self, now: Instant, random: &mut impl Rng) -> Option<Upkeep> {
        of!(&mut self.0, table => table.upkeep(now, random))
    }

    fn deadline(&self) -> Option<Instant> {
        of!(&self.0, table => table.deadline())
    }

    fn len(&self) -> usize {
        of!(&self.0, table => table.len())
    }

    fn counts(&self, now: Instant) -> Counts {
        of!(&self.0, table => table.counts(now))
    }

    fn for_each(&self, see: &mut dyn FnMut(&Entry)) {
        of!(&self.0, table => table.for_each(see));
    }
}
