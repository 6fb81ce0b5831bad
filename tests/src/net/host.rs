//! A host: a machine, its addresses, its clock, and what stands before it.

use std::hash::{BuildHasherDefault, Hasher};
use std::net::SocketAddr;
use std::time::Duration;

use tinybt_core::Instant;

use super::link::mix;
use super::part::Part;

/// One host.
pub(super) struct Host<M> {
    pub(super) machine: M,
    /// The address that names it.
    pub(super) addr: SocketAddr,
    pub(super) alive: bool,
    pub(super) side: u8,
    /// How far its clock is ahead of the network's, in microseconds.
    ahead: i64,
    /// What most hosts have not.
    pub(super) more: Option<Box<More>>,
}

/// What most hosts have not.
#[derive(Default)]
pub(super) struct More {
    /// Addresses beside the first.
    pub(super) further: Vec<SocketAddr>,
    /// What stands before it, from the inside to the outside.
    pub(super) parts: Vec<Box<dyn Part>>,
}

impl<M> Host<M> {
    pub(super) fn new(addr: SocketAddr, machine: M) -> Self {
        Self { machine, addr, alive: true, side: 0, ahead: 0, more: None }
    }

    pub(super) fn fork(&self) -> Self
    where
        M: Clone,
    {
        assert!(self.more.is_none(), "{} is not alone with its machine", self.addr);
        Self { machine: self.machine.clone(), more: None, ..*self }
    }

    pub(super) fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    /// All its addresses, the first one first.
    pub(super) fn addrs(&self) -> impl Iterator<Item = SocketAddr> {
        let further = self.more.iter().flat_map(|more| &more.further).copied();
        std::iter::once(self.addr).chain(further)
    }

    pub(super) fn parts(&mut self) -> Option<&mut Vec<Box<dyn Part>>> {
        self.more.as_mut().map(|more| &mut more.parts).filter(|parts| !parts.is_empty())
    }

    /// What its clock says.
    pub(super) fn local(&self, now: Instant) -> Instant {
        Instant::from_micros(now.as_micros().saturating_add_signed(self.ahead))
    }

    /// When on the network's clock its own says so.
    pub(super) fn global(&self, local: Instant) -> Instant {
        if local == Instant::NEVER {
            return local;
        }
        Instant::from_micros(local.as_micros().saturating_add_signed(-self.ahead))
    }

    /// Sets its clock ahead, or back.
    pub(super) fn leap(&mut self, leap: Leap) {
        let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX / 4);
        self.ahead = match leap {
            Leap::Ahead(time) => self.ahead.saturating_add(micros(time)),
            Leap::Back(time) => self.ahead.saturating_sub(micros(time)),
        };
    }
}

/// What a host's clock does all at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leap {
    /// As after a suspension that the clock has counted.
    Ahead(Duration),
    /// As a clock does that somebody sets.
    Back(Duration),
}

/// Hashes addresses: nobody attacks a simulation.
#[derive(Default)]
pub(super) struct AddrHasher(u64);

pub(super) type ByAddr = BuildHasherDefault<AddrHasher>;

impl Hasher for AddrHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u16(&mut self, word: u16) {
        self.write_u64(word.into());
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = mix(self.0, &[word]);
    }

    fn write_isize(&mut self, word: isize) {
        self.write_u64(word as u64);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }
}
