//! Points in time in four bytes, for rows: seconds since an epoch that the table chose.
//!
//! The epoch is chosen whenever somebody comes into an empty table: 68 years before, or the caller's
//! own where that is later. So clocks may leap as far ahead, and back. Beyond, a stamp stays at the
//! last second or the first: nobody counts as unheard, and upkeep goes on asking at its own pace.

use core::time::Duration;

use crate::time::Instant;

/// What stamps of a table count from.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Epoch(u64);

/// Seconds since the table's epoch, rounded down. Zero is before everything: never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp(u32);

const MICROS: u64 = 1_000_000;

impl Epoch {
    /// Half of all stamps lie before `now`.
    pub(super) fn around(now: Instant) -> Self {
        let half = (u64::from(u32::MAX) / 2) * MICROS;
        Self(now.as_micros().saturating_sub(half))
    }

    #[inline]
    pub(super) fn stamp(self, at: Instant) -> Stamp {
        let seconds = at.as_micros().saturating_sub(self.0) / MICROS;
        Stamp(u32::try_from(seconds).unwrap_or(u32::MAX))
    }

    /// The beginning of that second; [`Instant::EPOCH`] for never.
    pub(super) fn instant(self, stamp: Stamp) -> Instant {
        match stamp {
            Stamp(0) => Instant::EPOCH,
            Stamp(seconds) => {
                Instant::from_micros(self.0.saturating_add(u64::from(seconds) * MICROS))
            }
        }
    }
}

/// The span of time in which a node must have been heard of to count as good.
#[derive(Clone, Copy)]
pub(super) struct Lately {
    now: Stamp,
    seconds: u32,
}

impl Lately {
    pub(super) fn new(now: Stamp, span: Duration) -> Self {
        let seconds = span.as_secs().saturating_add(u64::from(span.subsec_nanos() > 0));
        Self { now, seconds: u32::try_from(seconds).unwrap_or(u32::MAX) }
    }

    #[inline]
    pub(super) fn includes(self, heard: Stamp) -> bool {
        self.now.0.saturating_sub(heard.0) < self.seconds
    }
}
