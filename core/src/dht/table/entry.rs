//! One node of the table, and when it is due to be asked again.

use core::time::Duration;

use super::Proof;
use crate::contact::Contact;
use crate::time::Instant;

/// A node in the table.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Who and where.
    pub contact: Contact,
    /// When it last answered or asked.
    pub heard: Instant,
    /// When upkeep last asked it, or when it last failed to answer.
    pub asked: Instant,
    /// Failures to answer in a row.
    pub silences: u8,
    /// Whether its id fits its address.
    pub proof: Proof,
    /// Whether it has answered us in this run.
    pub answered: bool,
    /// Whether it may never be dropped.
    pub protected: bool,
}

const _: () = assert!(size_of::<Entry>() <= 72);

impl Entry {
    /// Failures in a row that make a node bad.
    const SILENCES_MAX: u8 = 2;

    /// How long upkeep waits before it asks again whoever has not answered: longer than any
    /// question stays open.
    const RETRY: Duration = Duration::from_secs(15);

    /// Whether it is no longer to be relied on.
    #[inline]
    pub fn is_bad(&self) -> bool {
        self.silences >= Self::SILENCES_MAX
    }

    /// Whether it answered, and was heard of lately.
    #[inline]
    pub(super) fn is_good(&self, lately: Lately) -> bool {
        self.answered && self.silences == 0 && lately.includes(self.heard)
    }

    /// When upkeep is to ask it. A bad one is asked as rarely as a good one: nobody takes its
    /// place, so the whole network may have been away.
    pub(super) fn due(&self, questionable_after: Duration) -> Instant {
        let last = self.heard.max(self.asked);
        if self.is_bad() {
            last + questionable_after
        } else if self.silences > 0 || self.asked > self.heard {
            last + Self::RETRY
        } else if self.answered {
            self.heard + questionable_after
        } else {
            Instant::EPOCH
        }
    }

    /// How readily it gives its place to `new`, which has just come; `None` if it does not.
    pub(super) fn gives_way(&self, new: &Entry, prefer_verified: bool) -> Option<Reason> {
        if self.protected {
            None
        } else if self.is_bad() {
            Some(Reason::Bad)
        } else if new.answered && !self.answered {
            Some(Reason::Unproven)
        } else if prefer_verified && new.answered && self.proof < new.proof {
            Some(Reason::Unverified)
        } else if new.protected {
            Some(Reason::Unprotected)
        } else {
            None
        }
    }
}

/// Why an entry gives its place to another, the better reason last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    Unprotected,
    Unverified,
    Unproven,
    Bad,
}

/// The span of time in which a node must have been heard of to count as good.
#[derive(Clone, Copy)]
pub(super) struct Lately {
    now: u64,
    micros: u64,
}

impl Lately {
    pub(super) fn new(now: Instant, span: Duration) -> Self {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        Self { now: now.as_micros(), micros }
    }

    #[inline]
    pub(super) fn includes(self, heard: Instant) -> bool {
        self.now.saturating_sub(heard.as_micros()) < self.micros
    }
}
