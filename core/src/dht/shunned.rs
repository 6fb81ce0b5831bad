//! Addresses that are left alone until an instant, after which they are forgiven.
//!
//! Bounded: when it is full, the one that would be forgiven first is. Needs no timer: what has
//! passed no longer counts. Knows time.

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
#[derive(Debug)]
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
        if let Some(row) = self.rows.iter_mut().find(|row| row.addr == addr) {
            row.until = row.until.max(until);
            return;
        }
        if self.rows.len() >= self.rows.capacity() {
            let first = self.rows.iter().enumerate().min_by_key(|(_, row)| row.until);
            let Some(index) = first.map(|(index, _)| index) else { return };
            self.rows.swap_remove(index);
        }
        let _ = self.rows.push(Shun { addr, until });
    }

    /// Whether an address is left alone at `now`.
    pub fn is_shunned(&self, now: Instant, addr: &SocketAddr) -> bool {
        self.rows.iter().any(|row| row.until > now && row.addr == *addr)
    }

    /// Forgives an address.
    pub fn forgive(&mut self, addr: &SocketAddr) {
        if let Some(index) = self.rows.iter().position(|row| row.addr == *addr) {
            self.rows.swap_remove(index);
        }
    }

    /// Forgives everybody.
    pub fn forgive_all(&mut self) {
        self.rows.clear();
    }
}
