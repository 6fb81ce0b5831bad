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

/// Seconds since the table's epoch, rounded down. Zero is before everything: never. Bytes, the highest
/// first, so that it can stand anywhere in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp([u8; 4]);

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
        Stamp::of(u32::try_from(seconds).unwrap_or(u32::MAX))
    }

    /// The beginning of that second; [`Instant::EPOCH`] for never.
    pub(super) fn instant(self, stamp: Stamp) -> Instant {
        match stamp.seconds() {
            0 => Instant::EPOCH,
            seconds => Instant::from_micros(self.0.saturating_add(u64::from(seconds) * MICROS)),
        }
    }
}

impl Stamp {
    pub(super) fn of(seconds: u32) -> Self {
        Self(seconds.to_be_bytes())
    }

    #[inline]
    pub(super) fn seconds(self) -> u32 {
        u32::from_be_bytes(self.0)
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
        self.now.seconds().saturating_sub(heard.seconds()) < self.seconds
    }
}
