//! Budgets for addresses: to how many a node sends, and how much it answers to whom.
//!
//! As [`crate::budget`] they are asked first and charged when something is really sent. Know time
//! and addresses.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use rand_core::Rng;
use siphasher::sip::SipHasher24;

use crate::budget::{Account, Rate, Terms};
use crate::list::{List, Spare};
use crate::time::Instant;

/// A source that asked us, and what it has used up.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    key: u32,
    account: Account,
}

/// Budgets of the sources that ask us: each IPv4 address and each IPv6 /64 has one.
///
/// Bounded: rows in sets of four, chosen by a keyed hash; the one in a set that has used least
/// gives way, so no flood of addresses wins anybody a fresh budget but those that used little.
#[derive(Clone, Debug)]
pub struct Sources<L: List<Source>> {
    rows: L,
    terms: Option<Terms>,
    key: u64,
}

impl<L: List<Source>> Sources<L> {
    const WAYS: usize = 4;

    /// All budgets full; as many sources as the empty list has room for are told apart.
    pub fn new(mut rows: L, rate: Option<Rate>, random: &mut impl Rng) -> Self {
        if rate.is_some() {
            while rows.push(Source { key: 0, account: Account::default() }).is_ok() {}
        }
        Self { rows, terms: rate.map(Terms::from), key: random.next_u64() }
    }

    /// Whether a source, by its [seat](Sources::seat), may be answered at `now`.
    pub fn allows(&self, now: Instant, seat: Seat) -> bool {
        let Some(terms) = self.terms else { return true };
        let set = self.rows.get(seat.set..).unwrap_or_default().iter().take(Self::WAYS);
        let mut known = set.filter(|row| row.key == seat.key);
        known.next().is_none_or(|row| row.account.ready_at(terms) <= now.as_micros())
    }

    /// Charges a source for an answer.
    pub fn spend(&mut self, now: Instant, seat: Seat) {
        let Some(terms) = self.terms else { return };
        let Some(set) = self.rows.get_mut(seat.set..) else { return };
        let mut best: Option<&mut Source> = None;
        for row in set.iter_mut().take(Self::WAYS) {
            if row.key == seat.key {
                best = Some(row);
                break;
            }
            if best.as_ref().is_none_or(|best| row.account.used_until < best.account.used_until) {
                best = Some(row);
            }
        }
        let Some(row) = best else { return };
        if row.key != seat.key {
            *row = Source { key: seat.key, account: Account::default() };
        }
        row.account.take(now, terms);
    }

    /// Where the budget of a source is, to be looked at and charged.
    pub fn seat(&self, ip: IpAddr) -> Seat {
        if self.terms.is_none() {
            return Seat::default();
        }
        let source = match ip {
            IpAddr::V4(ip) => u64::from(ip.to_bits()),
            IpAddr::V6(ip) => (ip.to_bits() >> 64) as u64,
        };
        let hash = hash(self.key, &source.to_le_bytes());
        let sets = (self.rows.len() / Self::WAYS).max(1) as u64;
        // The upper half, as a fraction of all the sets.
        let set = (((hash >> 32) * sets) >> 32) as usize * Self::WAYS;
        // Zero marks a row that nobody has.
        Seat { key: hash as u32 | 1, set }
    }
}

/// Where the budget of a source is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seat {
    /// Its fingerprint.
    key: u32,
    /// Where its set begins.
    set: usize,
}

/// How many distinct addresses may be contacted in a minute: home routers remember each for a
/// while, and some have little memory.
///
/// Approximate: addresses are told apart by where they fall in a bit map of 4,096, and counted by
/// how many bits that many addresses set on average. Idle nodes contact a few in a minute, so of the
/// map there are the words with bits set alone, where there is an allocator.
#[derive(Clone, Debug)]
pub struct Destinations {
    per_minute: Option<u32>,
    /// Which words are there.
    present: u64,
    /// These, in order.
    seen: Spare<u64, { Self::WORDS }>,
    /// The most words since memory was given back.
    most: u8,
    count: u32,
    window: u64,
}

impl Destinations {
    const WINDOW: Duration = Duration::from_secs(60);
    /// Words of the map: a bit of `present` for each.
    const WORDS: usize = 64;
    /// Words that there is room for at first; where more are set, there is room for all.
    const FEW: usize = 16;
    /// Words of a minute so quiet that the room for all is given back.
    const QUIET: usize = 8;

    /// Nobody contacted yet.
    pub fn new(per_minute: Option<u32>) -> Self {
        let seen = Spare::default();
        Self { per_minute, present: 0, seen, most: 0, count: 0, window: 0 }
    }

    /// How many of the `m` bits `n` addresses set: m (1 − e^(−n/m)), by the first terms of the
    /// series.
    fn bits_of(addresses: u32) -> u32 {
        let m = Self::WORDS as u64 * 64;
        let n = u64::from(addresses).min(m);
        let bits = n + n * n * n / (6 * m * m) - n * n / (2 * m) - n * n * n * n / (24 * m * m * m);
        bits.max(1) as u32
    }

    fn window_of(now: Instant) -> u64 {
        now.as_micros() / Self::WINDOW.as_micros() as u64
    }

    /// Whether somebody new may be contacted at `now`.
    pub fn has_room(&self, now: Instant) -> bool {
        let most = self.per_minute.map_or(u32::MAX, Self::bits_of);
        self.count < most || self.window != Self::window_of(now)
    }

    /// When somebody new may be contacted again.
    pub fn ready_at(&self, now: Instant) -> Instant {
        let next = (Self::window_of(now) + 1).saturating_mul(Self::WINDOW.as_micros() as u64);
        Instant::from_micros(next)
    }

    /// Whether an address was contacted in this minute, as far as is known; at times one that was
    /// not.
    pub fn knows(&self, now: Instant, addr: &SocketAddr) -> bool {
        if self.window != Self::window_of(now) {
            return false;
        }
        let (word, bit) = Self::place(addr);
        self.present & word != 0 && self.seen.get(self.rank(word)).is_some_and(|w| w & bit != 0)
    }

    /// Counts a contact.
    pub fn note(&mut self, now: Instant, addr: &SocketAddr) {
        let window = Self::window_of(now);
        if window != self.window {
            self.forget();
            self.window = window;
        }
        let (word, bit) = Self::place(addr);
        let rank = self.rank(word);
        if self.present & word == 0 && self.insert(rank).is_ok() {
            self.present |= word;
        }
        let Some(word) = self.seen.get_mut(rank) else { return };
        self.count += u32::from(*word & bit == 0);
        *word |= bit;
    }

    /// A minute is over. Memory is given back after a busy time, and only then.
    fn forget(&mut self) {
        let is_quiet = self.seen.len() <= Self::QUIET;
        if is_quiet && usize::from(self.most) > Self::FEW {
            List::trim(&mut self.seen, |_| false);
            self.most = 0;
        }
        List::clear(&mut self.seen);
        (self.present, self.count) = (0, 0);
    }

    /// How many words stand before this one.
    fn rank(&self, word: u64) -> usize {
        (self.present & (word - 1)).count_ones() as usize
    }

    /// Makes a word at this place; those behind it move on.
    fn insert(&mut self, rank: usize) -> Result<(), u64> {
        let last = self.seen.len();
        match last {
            0 => List::make_room(&mut self.seen, Self::FEW),
            Self::FEW => List::make_room(&mut self.seen, Self::WORDS),
            _ => {}
        }
        List::push(&mut self.seen, 0)?;
        self.most = self.most.max(self.seen.len() as u8);
        (rank..last).rev().for_each(|at| self.seen.swap(at, at + 1));
        Ok(())
    }

    /// Where an address falls: a word, as its bit in `present`, and a bit in it.
    fn place(addr: &SocketAddr) -> (u64, u64) {
        let ip = match addr.ip() {
            IpAddr::V4(ip) => u128::from(ip.to_bits()),
            IpAddr::V6(ip) => ip.to_bits(),
        };
        let mut bytes = [0; 18];
        if let Some((head, tail)) = bytes.split_first_chunk_mut() {
            *head = ip.to_le_bytes();
            tail.copy_from_slice(&addr.port().to_le_bytes());
        }
        let hash = hash(0, &bytes);
        (1 << (hash >> 6 & 63), 1 << (hash & 63))
    }
}

fn hash(key: u64, bytes: &[u8]) -> u64 {
    SipHasher24::new_with_keys(key, 0).hash(bytes)
}
