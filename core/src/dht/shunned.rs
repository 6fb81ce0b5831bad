//! Addresses that are left alone until an instant, after which they are forgiven.
//!
//! Bounded: when it is full, the one that would be forgiven first is. Needs no timer: what has
//! passed no longer counts, and makes room when the next one comes. Rows are kept in order of
//! address, so that the question asked of every datagram, whether its source is one of them, is a
//! binary search. Knows time.

use core::net::SocketAddr;
use core::time::Duration;

use crate::list::List;
use crate::time::Instant;

/// An address and how long it is left alone.
#[derive(Clone, Copy, Debug)]
pub struct Shun {
    addr: SocketAddr,
    until: Instant,
}

/// The addresses that are left alone.
#[derive(Clone, Debug)]
pub struct Shunned<L: List<Shun>> {
    rows: L,
}

impl<L: List<Shun>> Shunned<L> {
    /// None yet; at most as many as the empty list has room for.
    pub fn new(rows: L) -> Self {
        Self { rows }
    }

    /// Leaves an address alone from now on, for at least this long.
    pub fn shun(&mut self, now: Instant, addr: SocketAddr, how_long: Duration) {
        let until = now + how_long;
        let found = self.find(&addr);
        if let Some(row) = found.ok().and_then(|index| self.rows.get_mut(index)) {
            row.until = row.until.max(until);
            return;
        }
        self.rows.retain(|row| row.until > now);
        // After a bad hour, few are left.
        self.rows.trim(|_| false);
        if self.rows.len() >= self.rows.capacity() {
            let first = self.rows.iter().enumerate().min_by_key(|(_, row)| row.until);
            let Some((index, _)) = first else { return };
            self.rows.remove(index);
        }
        let index = self.find(&addr).unwrap_or_else(|index| index);
        let row = Shun { addr, until };
        if self.rows.push(row).is_ok()
            && let Some(behind) = self.rows.get_mut(index..)
        {
            // Those that belong behind it move up by one.
            let others = behind.len().saturating_sub(1);
            behind.copy_within(..others, others.min(1));
            if let Some(first) = behind.first_mut() {
                *first = row;
            }
        }
    }

    /// Whether an address is left alone at `now`.
    #[inline]
    pub fn is_shunned(&self, now: Instant, addr: &SocketAddr) -> bool {
        let found = self.find(addr).ok().and_then(|index| self.rows.get(index));
        found.is_some_and(|row| row.until > now)
    }

    /// Forgives an address.
    pub fn forgive(&mut self, addr: &SocketAddr) {
        if let Ok(index) = self.find(addr) {
            self.rows.remove(index);
        }
    }

    /// Forgives everybody.
    pub fn forgive_all(&mut self) {
        self.rows.clear();
    }

    /// Where an address is, or where it belongs.
    #[inline]
    fn find(&self, addr: &SocketAddr) -> Result<usize, usize> {
        self.rows.binary_search_by(|row| row.addr.cmp(addr))
    }
}
