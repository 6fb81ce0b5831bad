//! Instants without a clock.
//!
//! The core never asks what time it is: whoever drives it says so. An [`Instant`] counts
//! microseconds since an epoch of the caller's choice, 8 bytes, good for half a million years.
//! All arithmetic saturates, so no order of instants, backwards included, can panic.
//!
//! Whoever has a monotonic clock adds what it has counted to any instant, [`Instant::EPOCH`] as well
//! as another, `Instant::EPOCH + started.elapsed()`, and waits for a deadline `at` for
//! `at.since(now)`. All machines in one loop should be told of one clock.

use core::fmt;
use core::ops::Add;
use core::time::Duration;

/// A point in time: microseconds since an epoch that the caller chose.
///
/// ```
/// use core::time::Duration;
/// use tinybt_core::Instant;
///
/// let start = Instant::from_micros(0);
/// let later = start + Duration::from_millis(15);
/// assert_eq!(later.since(start), Duration::from_millis(15));
/// assert_eq!(start.since(later), Duration::ZERO);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The epoch itself.
    pub const EPOCH: Instant = Instant(0);
    /// An instant that never comes.
    pub const NEVER: Instant = Instant(u64::MAX);

    /// The instant `micros` microseconds after the epoch.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The instant `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// The instant `secs` seconds after the epoch.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Time passed since `earlier`; zero if `earlier` is later.
    pub const fn since(self, earlier: Instant) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// The instant `duration` later, at most [`Instant::NEVER`].
    pub fn after(self, duration: Duration) -> Self {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(micros))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, duration: Duration) -> Instant {
        self.after(duration)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}
