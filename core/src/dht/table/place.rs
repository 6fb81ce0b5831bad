//! One row of the table: a node, and when it is due to be asked again.
//!
//! There are thousands in a program with many nodes, so a row is kept small: 33 bytes for IPv4, 45
//! for IPv6 where the table knows of one family alone. Nothing in it is aligned.

use core::fmt::Debug;
use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use core::time::Duration;

use super::Proof;
use super::entry::Entry;
use super::stamp::{Epoch, Lately, Stamp};
use crate::contact::Contact;
use crate::id::Id;
use crate::time::Instant;

/// How a row keeps an address: as it is, or compact.
pub trait Address: Copy + PartialEq + Debug {
    /// The address as it is kept; `None` if it is of another family, or of no use outside of one
    /// link.
    fn keep(addr: &SocketAddr) -> Option<Self>;

    /// The address that is kept.
    fn addr(&self) -> SocketAddr;
}

impl Address for SocketAddr {
    #[inline]
    fn keep(addr: &SocketAddr) -> Option<Self> {
        Some(*addr)
    }

    #[inline]
    fn addr(&self) -> SocketAddr {
        *self
    }
}

/// An address as it is in messages: 6 bytes of IPv4, 18 of IPv6 (BEP 5, BEP 32). Of an IPv6 address
/// the flow is not kept, and one with a scope not at all: nobody else could make use of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compact<const N: usize>([u8; N]);

impl Address for Compact<6> {
    #[inline]
    fn keep(addr: &SocketAddr) -> Option<Self> {
        let SocketAddr::V4(addr) = addr else { return None };
        let ([a, b, c, d], [high, low]) = (addr.ip().octets(), addr.port().to_be_bytes());
        Some(Self([a, b, c, d, high, low]))
    }

    #[inline]
    fn addr(&self) -> SocketAddr {
        let [a, b, c, d, high, low] = self.0;
        let ip = Ipv4Addr::new(a, b, c, d);
        SocketAddr::V4(SocketAddrV4::new(ip, u16::from_be_bytes([high, low])))
    }
}

impl Address for Compact<18> {
    #[inline]
    fn keep(addr: &SocketAddr) -> Option<Self> {
        let SocketAddr::V6(addr) = addr else { return None };
        let mut bytes = [0; 18];
        let (ip, port) = bytes.split_first_chunk_mut()?;
        *ip = addr.ip().octets();
        port.copy_from_slice(&addr.port().to_be_bytes());
        (addr.scope_id() == 0).then_some(Self(bytes))
    }

    #[inline]
    fn addr(&self) -> SocketAddr {
        let (ip, port) = self.0.split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
        let port = port.first_chunk().copied().unwrap_or_default();
        SocketAddr::new((*ip).into(), u16::from_be_bytes(port))
    }
}

/// A node in the table, as small as it can be kept.
#[derive(Clone, Copy, Debug)]
pub struct Place<A = SocketAddr> {
    /// When it last answered or asked; of one that never answered, when it was asked last.
    since: Stamp,
    /// Seconds from then until it was asked last, or last failed to answer.
    until_asked: [u8; 2],
    pub(super) id: Id,
    pub(super) addr: A,
    /// The three marks, and above them the failures to answer in a row.
    marks: u8,
}

const _: () = assert!(size_of::<Place<Compact<6>>>() == 33);
const _: () = assert!(size_of::<Place<Compact<18>>>() == 45);

/// Its id fits its address.
const VERIFIED: u8 = 1;
/// It has answered us in this run.
const ANSWERED: u8 = 2;
/// It may never be dropped.
const PROTECTED: u8 = 4;
/// One failure to answer.
const SILENCE: u8 = 8;

impl<A: Address> Place<A> {
    /// How long upkeep waits before it asks again whoever has not answered: longer than any
    /// question stays open.
    const RETRY: Duration = Duration::from_secs(15);

    /// A node of which nothing was heard in this run.
    pub(super) fn unheard(id: Id, addr: A, proof: Proof) -> Self {
        let marks = if proof == Proof::Verified { VERIFIED } else { 0 };
        Self { since: Stamp::default(), until_asked: [0; 2], id, addr, marks }
    }

    /// A node that answers.
    pub(super) fn answering(id: Id, addr: A, proof: Proof, heard: Stamp) -> Self {
        let unheard = Self::unheard(id, addr, proof);
        Self { since: heard, marks: unheard.marks | ANSWERED, ..unheard }
    }

    /// When it last answered or asked.
    #[inline]
    pub(super) fn heard(&self) -> Stamp {
        if self.has_answered() { self.since } else { Stamp::default() }
    }

    /// It was heard of at `now`, if not later already. Whoever never answered is not heard.
    pub(super) fn hear(&mut self, now: Stamp) {
        if self.has_answered() && self.since < now {
            let asked = self.asked();
            (self.since, self.until_asked) = (now, [0; 2]);
            self.ask(asked);
        }
    }

    /// When upkeep last asked it, or when it last failed to answer; when it was heard of, if that is
    /// later.
    fn asked(&self) -> Stamp {
        let until = u32::from(u16::from_be_bytes(self.until_asked));
        Stamp::of(self.since.seconds().saturating_add(until))
    }

    /// It is asked at `now`, if not later already, or has failed to answer.
    pub(super) fn ask(&mut self, now: Stamp) {
        let asked = self.asked().max(now).seconds();
        let until = match self.has_answered() {
            // Whoever was not heard of for 18 hours counts as heard of 18 hours ago.
            true => u16::try_from(asked.saturating_sub(self.since.seconds())).unwrap_or(u16::MAX),
            false => 0,
        };
        self.since = Stamp::of(asked.saturating_sub(until.into()));
        self.until_asked = until.to_be_bytes();
    }

    /// Failures to answer in a row, as far as there is room to count them.
    #[inline]
    pub(super) fn silences(&self) -> u8 {
        self.marks / SILENCE
    }

    /// It failed to answer.
    pub(super) fn silent(&mut self, now: Stamp) {
        self.marks = self.marks.checked_add(SILENCE).unwrap_or(self.marks);
        self.ask(now);
    }

    #[inline]
    pub(super) fn contact(&self) -> Contact {
        Contact { id: self.id, addr: self.addr.addr() }
    }

    /// What the table tells of it.
    pub(super) fn entry(&self, epoch: Epoch) -> Entry {
        Entry {
            contact: self.contact(),
            heard: epoch.instant(self.heard()),
            asked: epoch.instant(self.asked()),
            silences: self.silences(),
            proof: self.proof(),
            answered: self.has_answered(),
            protected: self.is_protected(),
        }
    }

    #[inline]
    pub(super) fn is(&self, id: &Id, addr: &A) -> bool {
        self.addr == *addr && self.id == *id
    }

    #[inline]
    pub(super) fn has_answered(&self) -> bool {
        self.marks & ANSWERED != 0
    }

    pub(super) fn is_protected(&self) -> bool {
        self.marks & PROTECTED != 0
    }

    pub(super) fn protect(&mut self, protected: bool) {
        self.marks = self.marks & !PROTECTED | if protected { PROTECTED } else { 0 };
    }

    pub(super) fn proof(&self) -> Proof {
        if self.marks & VERIFIED != 0 { Proof::Verified } else { Proof::Unverified }
    }

    /// Whether it is no longer to be relied on.
    #[inline]
    pub(super) fn is_bad(&self) -> bool {
        self.silences() >= Entry::SILENCES_MAX
    }

    /// Whether it answered, and was heard of lately.
    #[inline]
    pub(super) fn is_good(&self, lately: Lately) -> bool {
        self.has_answered() && self.silences() == 0 && lately.includes(self.since)
    }

    /// When upkeep is to ask it. A bad one is asked as rarely as a good one: nobody takes its
    /// place, so the whole network may have been away.
    pub(super) fn due(&self, epoch: Epoch, questionable_after: Duration) -> Instant {
        let last = epoch.instant(self.asked());
        if self.is_bad() {
            last + questionable_after
        } else if self.silences() > 0 || self.asked() > self.heard() {
            last + Self::RETRY
        } else if self.has_answered() {
            last + questionable_after
        } else {
            Instant::EPOCH
        }
    }

    /// How readily it gives its place to `new`, which has just come; `None` if it does not.
    pub(super) fn gives_way(&self, new: &Self, prefer_verified: bool) -> Option<Reason> {
        if self.is_protected() {
            None
        } else if self.is_bad() {
            Some(Reason::Bad)
        } else if new.has_answered() && !self.has_answered() {
            Some(Reason::Unproven)
        } else if prefer_verified && new.has_answered() && self.proof() < new.proof() {
            Some(Reason::Unverified)
        } else if new.is_protected() {
            Some(Reason::Unprotected)
        } else {
            None
        }
    }
}

/// Why a node gives its place to another, the better reason last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    Unprotected,
    Unverified,
    Unproven,
    Bad,
}
