//! Budgets: how much may be sent, in the long run and at once.
//!
//! A budget is asked first (`has`: changes nothing) and charged when something is really sent, so
//! that what was refused leaves no trace. Time is counted in microseconds of debt, so nothing
//! drifts. Knows time.

use crate::time::Instant;

/// How often something may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In the long run, per second; at least 1.
    pub per_second: u32,
    /// At once, after a pause; at least 1.
    pub burst: u32,
}

impl Rate {
    fn cost(self) -> u64 {
        1_000_000 / u64::from(self.per_second.max(1))
    }

    /// How far ahead of the present the account may be for one more to be allowed.
    fn credit(self) -> u64 {
        self.cost() * u64::from(self.burst.max(1) - 1)
    }
}

/// What a [`Rate`] comes to, in microseconds: divided once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    cost: u64,
    credit: u64,
}

impl From<Rate> for Terms {
    fn from(rate: Rate) -> Self {
        Self { cost: rate.cost(), credit: rate.credit() }
    }
}

/// An account for one [`Rate`]: the instant up to which it is used up.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Account {
    pub(crate) used_until: u64,
}

impl Account {
    pub(crate) fn ready_at(self, terms: Terms) -> u64 {
        self.used_until.saturating_sub(terms.credit)
    }

    pub(crate) fn take(&mut self, now: Instant, terms: Terms) {
        self.used_until = self.used_until.max(now.as_micros()).saturating_add(terms.cost);
    }
}

/// A budget for one thing. Without a rate it is never used up.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    terms: Option<Terms>,
    account: Account,
}

impl Budget {
    /// A full budget.
    pub fn new(rate: Option<Rate>) -> Self {
        Self { terms: rate.map(Terms::from), account: Account::default() }
    }

    /// Whether there is something left at `now`.
    pub fn has(&self, now: Instant) -> bool {
        self.ready_at() <= now
    }

    /// When there is something left.
    pub fn ready_at(&self) -> Instant {
        Instant::from_micros(self.terms.map_or(0, |terms| self.account.ready_at(terms)))
    }

    /// Takes one.
    pub fn take(&mut self, now: Instant) {
        if let Some(terms) = self.terms {
            self.account.take(now, terms);
        }
    }
}
