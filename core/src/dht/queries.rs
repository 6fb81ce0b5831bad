//! Questions in flight: which transaction went to which address for whom, until when.
//!
//! A question has *soft* deadlines, which follow from how fast others answer. At each of them whoever
//! asked is told how [`Late`] the node is, and may turn to somebody else; its late answer is still
//! welcome. At the *hard* one it is silent and the question is over. One field holds the next of
//! them.
//!
//! An answer counts only if its transaction is open and it comes from the address that was asked.
//! Transactions are four unpredictable bytes: some implementations answer no other width.
//!
//! Knows time; knows neither bytes of messages nor what a question is about.

use core::net::SocketAddr;
use core::time::Duration;

use rand_core::Rng;

use crate::id::Id;
use crate::list::List;
use crate::machine::Ignored;
use crate::time::Instant;

/// A question in flight, asked for `A`.
#[derive(Clone, Copy, Debug)]
pub struct InFlight<A> {
    transaction: u32,
    next: Instant,
    hard: Instant,
    late: Late,
    /// When it was sent.
    pub sent: Instant,
    /// Whom it went to.
    pub to: SocketAddr,
    /// The id that is expected there, if one is.
    pub id: Option<Id>,
    /// For whom it was asked.
    pub asker: A,
}

/// How late an answer is: of a thousand others, so many would have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Late {
    /// Fewer than 500.
    No,
    /// 500.
    Due,
    /// 860.
    Slow,
    /// 950.
    Very,
    /// 975.
    Rare,
    /// 990.
    Overdue,
    /// 990, within four sevenths of the time.
    Long,
    /// 990, within two fifths of the time.
    Hopeless,
}

impl Late {
    /// What comes next: when so many of a thousand answers would have come, and so many quarters of
    /// that time have passed, and of the least time. `None`: nothing but the end.
    fn next(self) -> Option<(Self, u32, u32, u32)> {
        match self {
            Late::No => Some((Late::Due, 500, 4, 4)),
            Late::Due => Some((Late::Slow, 860, 4, 4)),
            Late::Slow => Some((Late::Very, 950, 4, 5)),
            Late::Very => Some((Late::Rare, 975, 4, 7)),
            Late::Rare => Some((Late::Overdue, 990, 4, 7)),
            Late::Overdue => Some((Late::Long, 990, 7, 7)),
            Late::Long => Some((Late::Hopeless, 990, 10, 10)),
            Late::Hopeless => None,
        }
    }

    /// How long after the question what comes next does.
    fn time(self, round_trips: &RoundTrips, patience: Patience) -> Option<Duration> {
        let (_, share, quarters, least) = self.next()?;
        // Among neighbours, where the least time is longer than any round trip, there is to be time for
        // a second question as well.
        let time = round_trips.micros(share).saturating_mul(quarters);
        let time = time.max(micros(patience.min).saturating_mul(least)) / 4;
        Some(duration(time).min(patience.max))
    }
}

/// A deadline that passed.
#[derive(Clone, Copy, Debug)]
pub enum Lapse<A> {
    /// No answer by a soft deadline. The question stays open.
    Slow(InFlight<A>, Late),
    /// No answer by the hard deadline. The question is closed.
    Silent(InFlight<A>),
}

/// How long to wait for an answer, whatever others do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// No deadline is sooner.
    pub min: Duration,
    /// None is later; wins where it is below `min`.
    pub max: Duration,
}

/// The questions in flight, and what their answers taught about round trips.
#[derive(Clone, Debug)]
pub struct Queries<A, L: List<InFlight<A>>> {
    rows: L,
    patience: Patience,
    /// What is known of round trips.
    pub round_trips: RoundTrips,
    asker: core::marker::PhantomData<A>,
}

impl<A: Copy, L: List<InFlight<A>>> Queries<A, L> {
    /// None in flight, at most as many as the empty list has room for.
    pub fn new(rows: L, patience: Patience) -> Self {
        Self { rows, patience, round_trips: RoundTrips::new(), asker: core::marker::PhantomData }
    }

    /// How many are in flight.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether none is in flight.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether there is no room for another.
    pub fn is_full(&self) -> bool {
        self.rows.len() >= self.rows.capacity()
    }

    /// Makes room for so many more, where rows are allocated by need.
    pub fn make_room(&mut self, more: usize) {
        self.rows.make_room(more);
    }

    /// Gives back the memory of rows that are not in use, where they are allocated by need.
    pub fn trim(&mut self) {
        self.rows.trim(|_| false);
    }

    /// Opens a question that is sent at `now`; `None` if there is no room.
    ///
    /// `alone`: nobody else can be asked instead, so it is waited for as long as may be.
    ///
    /// Returns the transaction to put into the datagram.
    pub fn open(
        &mut self,
        now: Instant,
        random: &mut impl Rng,
        to: SocketAddr,
        id: Option<Id>,
        asker: A,
        alone: bool,
    ) -> Option<[u8; 4]> {
        if self.is_full() {
            return None;
        }
        let mut transaction = random.next_u32();
        while self.rows.iter().any(|row| row.transaction == transaction) {
            transaction = random.next_u32();
        }
        let Patience { max, .. } = self.patience;
        let hard = match alone {
            true => max,
            // It is let go of when the last soft deadline has passed.
            false => Late::Long.time(&self.round_trips, self.patience).unwrap_or(max),
        };
        let mut row = InFlight {
            transaction,
            next: now,
            hard: now + hard,
            late: Late::No,
            sent: now,
            to,
            id,
            asker,
        };
        row.next = Self::next(&row, &self.round_trips, self.patience);
        self.rows.push(row).ok()?;
        Some(transaction.to_be_bytes())
    }

    /// Finds the question that an answer from `from` is for.
    ///
    /// # Errors
    ///
    /// [`Ignored::Unasked`] where no such transaction is open, [`Ignored::WrongSource`] where
    /// another address was asked.
    pub fn find(&self, transaction: &[u8], from: SocketAddr) -> Result<usize, Ignored> {
        let transaction = u32::from_be_bytes(transaction.try_into().map_err(|_| Ignored::Unasked)?);
        let index = self
            .rows
            .iter()
            .position(|row| row.transaction == transaction)
            .ok_or(Ignored::Unasked)?;
        match self.rows.get(index) {
            Some(row) if row.to == from => Ok(index),
            _ => Err(Ignored::WrongSource),
        }
    }

    /// Whether a question to somebody is in flight, of such an asker.
    pub fn is_asked(&self, addr: &SocketAddr, by: impl Fn(A) -> bool) -> bool {
        self.rows.iter().any(|row| row.to == *addr && by(row.asker))
    }

    /// The question at an index that [`Queries::find`] gave.
    pub fn get(&self, index: usize) -> Option<&InFlight<A>> {
        self.rows.get(index)
    }

    /// Closes the question at an index that [`Queries::find`] gave: it was answered.
    pub fn answered(&mut self, now: Instant, index: usize) -> Option<(InFlight<A>, Duration)> {
        let row = self.rows.swap_remove(index)?;
        let rtt = now.since(row.sent);
        self.round_trips.observe(rtt);
        Some((row, rtt))
    }

    /// The next deadline that has passed at `now`, one at a time, earliest first.
    pub fn lapse(&mut self, now: Instant) -> Option<Lapse<A>> {
        let (index, row) =
            self.rows.iter_mut().enumerate().min_by_key(|(_, row)| (row.next, row.transaction))?;
        if row.next > now {
            return None;
        }
        let Some((late, ..)) = row.late.next() else {
            return self.rows.swap_remove(index).map(Lapse::Silent);
        };
        row.late = late;
        row.next = Self::next(row, &self.round_trips, self.patience);
        Some(Lapse::Slow(*row, late))
    }

    /// When the next deadline of a question is.
    fn next(row: &InFlight<A>, round_trips: &RoundTrips, patience: Patience) -> Instant {
        match row.late.time(round_trips, patience) {
            Some(time) => (row.sent + time).min(row.hard),
            None => row.hard,
        }
    }

    /// When the next deadline passes.
    pub fn deadline(&self) -> Option<Instant> {
        self.rows.iter().map(|row| row.next).min()
    }
}

/// What is known of round trips: a histogram of the recent ones in half octaves from 1 ms to 16 s.
///
/// It starts out from a guess of what the internet is like, worth [`RoundTrips::PRIOR`] answers,
/// and forgets: when it holds [`RoundTrips::MEMORY`] it halves.
#[derive(Clone, Debug)]
pub struct RoundTrips {
    counts: [u16; Self::BANDS],
}

impl RoundTrips {
    const BANDS: usize = 28;
    /// How many answers the initial guess is worth.
    pub const PRIOR: u16 = 8;
    /// How many answers it remembers, roughly.
    pub const MEMORY: u16 = 256;

    /// The initial guess: half of the answers within 180 ms, nearly all within 700 ms.
    pub const fn new() -> Self {
        let mut counts = [0; Self::BANDS];
        // Bands 12 to 18 reach from 64 ms to 724 ms.
        counts[12] = 1;
        counts[13] = 1;
        counts[14] = 2;
        counts[15] = 1;
        counts[16] = 1;
        counts[17] = 1;
        counts[18] = 1;
        Self { counts }
    }

    /// Takes a round trip into account.
    pub fn observe(&mut self, rtt: Duration) {
        if let Some(count) = self.counts.get_mut(Self::band(rtt)) {
            *count = count.saturating_add(1);
        }
        if self.counts.iter().map(|&count| u32::from(count)).sum::<u32>() > u32::from(Self::MEMORY)
        {
            for count in &mut self.counts {
                *count = count.div_ceil(2) - u16::from(*count == 1);
            }
        }
    }

    /// The time within which this share, in thousandths, of the answers came.
    pub fn quantile(&self, thousandths: u32) -> Duration {
        duration(self.micros(thousandths))
    }

    fn micros(&self, thousandths: u32) -> u32 {
        let total: u32 = self.counts.iter().map(|&count| u32::from(count)).sum();
        // They are some hundreds, see `observe`.
        let wanted = total.saturating_mul(thousandths.min(1_000));
        let mut below = 0u32;
        for (band, &count) in self.counts.iter().enumerate() {
            let here = u32::from(count) * 1_000;
            if below + here >= wanted && here > 0 {
                // Within the band, as if its answers were spread evenly.
                let low = Self::edge(band);
                let high = Self::edge(band + 1);
                let part = (wanted - below).saturating_mul(256) / here;
                return low + (high - low) * part / 256;
            }
            below += here;
        }
        Self::edge(Self::BANDS)
    }

    /// The lower edge of a band, in microseconds: 1 ms × 2^(band / 2).
    fn edge(band: usize) -> u32 {
        let octave = 1_000 << (band / 2).min(Self::BANDS / 2);
        if band.is_multiple_of(2) { octave } else { octave * 181 / 128 }
    }

    fn band(rtt: Duration) -> usize {
        let micros = micros(rtt);
        let octave = (micros / 1_000).max(1).ilog2() as usize;
        let upper = micros >= Self::edge(2 * octave + 1);
        (2 * octave + usize::from(upper)).min(Self::BANDS - 1)
    }
}

/// Whole microseconds, of six minutes at most: ten times as many fit as well.
fn micros(time: Duration) -> u32 {
    let seconds = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    seconds.min(360) * 1_000_000 + time.subsec_micros()
}

fn duration(micros: u32) -> Duration {
    Duration::new((micros / 1_000_000).into(), micros % 1_000_000 * 1_000)
}

impl Default for RoundTrips {
    fn default() -> Self {
        Self::new()
    }
}
