//! When each of many things is to be done again: torrents to be announced before others forget us
//! (BEP 5), items to be put again (BEP 44).
//!
//! A [`Schedule`] has a row for each, the [`Duty`], which says what became of it and when it is due.
//! It says which to begin ([`Schedule::poll`]), and is told how it went ([`Schedule::finished`]).
//!
//! ```text
//!        due, the pace allows it           done: due again after its period
//! resting ─────────────────────▶ under way ─────────────────────▶ resting
//!    ▲                              │ nobody stored it: due again after a back-off,
//!    └──────────────────────────────┘ doubled up to the period
//! ```
//!
//! *Evenly*: with `n` duties one is begun every `n`th of the period, whoever has waited for most of
//! its own. No plan is needed for that: a duty may be begun from a quarter of its period on, and is
//! late only a third after it, so what came in one burst is spread out by the end of its second
//! round. Up to an eighth more than the pace is random: clients that began together do not stay
//! together.
//!
//! *Bounded*: no more than [`Pacing::at_once`] are under way, and two beginnings are
//! [`Pacing::spacing`] apart, whoever waits. What somebody waits for, and what was never done, goes
//! before what is only due again, and one place is kept free for it; but each fourth beginning goes
//! to whoever is late, so that those who wait starve nobody. What is late is begun at twice the pace
//! and not at once: so an outage has no burst behind it. While the network is
//! [away](Schedule::set_away), one is begun at a time, to see whether it is back.
//!
//! Where that is too little, all are late in turn, and [`Schedule::load`] says by how much.
//!
//! A machine with several local addresses (BEP 45) does a duty from one at a time, in turn:
//! [`Duty::round`] counts. Knows time; knows neither lookups nor what is done.

use core::cmp::Reverse;
use core::marker::PhantomData;
use core::time::Duration;

use rand_core::Rng;

use crate::list::List;
use crate::time::Instant;

/// How often a torrent is announced: others forget it after half an hour, some sooner. With a third
/// of it for whatever comes in between, and a lost announce, that is soon enough.
pub const ANNOUNCE_PERIOD: Duration = Duration::from_secs(15 * 60);

/// How often an item is put again: once an hour (BEP 44); others keep it for two.
pub const PUT_PERIOD: Duration = Duration::from_secs(60 * 60);

/// The shortest period: what is shorter is taken for it.
pub const PERIOD_MIN: Duration = Duration::from_secs(10);

/// Time before what found no room is tried again.
const POSTPONED: Duration = Duration::from_secs(5);

/// Beginnings in a row that somebody waits for, while others are late.
const URGENT_MAX: u8 = 3;

/// How much is done at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pacing {
    /// Duties under way at once, at least 1.
    pub at_once: usize,
    /// The least time between two beginnings.
    pub spacing: Duration,
    /// Time after a first failure; doubled with each further one, up to the period.
    pub backoff: Duration,
}

impl Default for Pacing {
    /// Four at once, a quarter of a second apart, and half a minute after a failure. A lookup takes
    /// two to five seconds, so this is good for 700 torrents every quarter of an hour.
    fn default() -> Self {
        Self { at_once: 4, spacing: Duration::from_millis(250), backoff: Duration::from_secs(30) }
    }
}

/// Who goes before whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// It was done before, and is due again.
    Again,
    /// It was never done.
    New,
    /// A person waits for it.
    Asked,
}

/// Something to be done again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duty<T> {
    what: T,
    period: Duration,
    urgency: Urgency,
    /// It may be begun from then on.
    from: Instant,
    due: Instant,
    late: Instant,
    is_under_way: bool,
    round: u32,
    begun: Option<Instant>,
    done: Option<Instant>,
    stored: u16,
    failures: u8,
}

impl<T: Copy> Duty<T> {
    /// What is to be done.
    pub fn what(&self) -> T {
        self.what
    }

    /// How often.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// Whether it is being done.
    pub fn is_under_way(&self) -> bool {
        self.is_under_way
    }

    /// How often it was begun. Of several local addresses it is the turn of the one whose number is
    /// the remainder of this by their count (BEP 45).
    pub fn round(&self) -> u32 {
        self.round
    }

    /// When it was begun last.
    pub fn begun(&self) -> Option<Instant> {
        self.begun
    }

    /// When it was last done: somebody stored it.
    pub fn done(&self) -> Option<Instant> {
        self.done
    }

    /// How many nodes stored it when it was tried last; how many answered, if nothing was to be
    /// stored.
    pub fn stored(&self) -> u16 {
        self.stored
    }

    /// How often nobody stored it since somebody did.
    pub fn failures(&self) -> u8 {
        self.failures
    }

    /// When it is due, as far as the others let it: earlier where the pace allows it, by three
    /// quarters of the period at most. `None` while it is under way.
    pub fn due(&self) -> Option<Instant> {
        (!self.is_under_way).then_some(self.due)
    }

    /// Not before `from`, best at `due`, `late` at the latest.
    fn wait(&mut self, from: Instant, due: Instant, late: Instant) {
        (self.from, self.due, self.late) = (from, due, late);
    }

    /// How much of the time in which it may be begun has passed, in parts of 2^20.
    fn progress(&self, now: Instant) -> u64 {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let passed = micros(now.since(self.from)).saturating_mul(1 << 20);
        passed.checked_div(micros(self.late.since(self.from))).unwrap_or(u64::MAX)
    }

    /// Beginnings in [`RATE`] microseconds.
    fn rate(&self) -> u64 {
        let micros = u64::try_from(self.period.as_micros()).unwrap_or(u64::MAX);
        RATE / micros.max(1)
    }
}

/// What periods are parts of: 35 years in microseconds, so that sums of rates are exact enough.
const RATE: u64 = 1 << 50;

/// What there is to do, and how much of it is left undone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Duties, those under way included.
    pub duties: usize,
    /// Duties under way.
    pub under_way: usize,
    /// Duties that wait though they are late.
    pub late: usize,
    /// By how much the latest of them is.
    pub behind: Duration,
}

/// Duties, and when to begin which. See the [module](self).
///
/// ```
/// use heapless::Vec;
/// use tinybt_core::dht::schedule::{ANNOUNCE_PERIOD, Duty, Pacing, Schedule, Urgency};
/// use tinybt_core::dht::{Event, LookupId, Node, Port};
/// use tinybt_core::{Buffer, InfoHash, Instant, Machine, Step};
/// # use tinybt_core::dht::Storage;
///
/// /// Up to eight torrents, announced by a node without an allocator.
/// struct Announcer {
///     schedule: Schedule<InfoHash, Vec<Duty<InfoHash>, 8>>,
///     under_way: Vec<(LookupId, InfoHash), 4>,
/// }
///
/// impl Announcer {
///     fn new(now: Instant, torrents: &[InfoHash]) -> Self {
///         let mut schedule = Schedule::new(Vec::new(), Pacing::default());
///         for torrent in torrents {
///             // More than there is room for are left out.
///             let _ = schedule.add(now, *torrent, ANNOUNCE_PERIOD, Urgency::New);
///         }
///         Self { schedule, under_way: Vec::new() }
///     }
///
///     /// Does what there is to do. Returns when to come back, unless a datagram arrives before.
///     fn run<S: Storage, R: rand_core::CryptoRng>(
///         &mut self,
///         now: Instant,
///         node: &mut Node<S, R>,
///         random: &mut R,
///         buffer: &mut Buffer,
///         send: impl Fn(&[u8]),
///     ) -> Option<Instant> {
///         loop {
///             while let Some(torrent) = self.schedule.poll(now, random) {
///                 match node.announce(now, torrent, Port::Number(6881)) {
///                     Ok(lookup) => drop(self.under_way.push((lookup, torrent))),
///                     Err(_) => self.schedule.postpone(now, &torrent),
///                 }
///             }
///             match node.step(now, buffer) {
///                 Step::Send(transmit) => send(&buffer[..transmit.len]),
///                 Step::Event(Event::Finished { lookup, outcome }) => {
///                     if let Some(at) = self.under_way.iter().position(|row| row.0 == lookup) {
///                         let (_, torrent) = self.under_way.swap_remove(at);
///                         self.schedule.finished(now, &torrent, u16::from(outcome.stored));
///                     }
///                 }
///                 Step::Event(_) => {}
///                 Step::Wait(deadline) => {
///                     return deadline.into_iter().chain(self.schedule.deadline()).min();
///                 }
///             }
///         }
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Schedule<T, L: List<Duty<T>>> {
    rows: L,
    pacing: Pacing,
    under_way: usize,
    /// The last beginning of all, of all but second tries, and of what was done before.
    begun: Option<Instant>,
    paced: Option<Instant>,
    tried: Option<Instant>,
    /// Sum of all rates.
    rate: u64,
    /// What is added to the pace, in parts of 2,048.
    jitter: u8,
    /// Beginnings in a row that somebody waited for.
    urgent: u8,
    is_away: bool,
    /// Not to be looked at before, unless something has changed.
    next: Option<Instant>,
    is_stirred: bool,
    of: PhantomData<T>,
}

impl<T: Copy + PartialEq, L: List<Duty<T>>> Schedule<T, L> {
    /// Nothing to do yet; as much as the empty list has room for.
    pub fn new(rows: L, pacing: Pacing) -> Self {
        Self {
            rows,
            pacing,
            under_way: 0,
            begun: None,
            paced: None,
            tried: None,
            rate: 0,
            jitter: 0,
            urgent: 0,
            is_away: false,
            next: None,
            is_stirred: false,
            of: PhantomData,
        }
    }

    // Commands.

    /// Adds something to be done every `period`, for the first time now. What is there already
    /// stays as it is, but for its period.
    ///
    /// # Errors
    ///
    /// Gives it back when there is no room.
    pub fn add(
        &mut self,
        now: Instant,
        what: T,
        period: Duration,
        urgency: Urgency,
    ) -> Result<(), T> {
        let period = period.max(PERIOD_MIN);
        if self.set_period(&what, period) {
            return Ok(());
        }
        let duty = Duty {
            what,
            period,
            urgency,
            from: now,
            due: now,
            late: now,
            is_under_way: false,
            round: 0,
            begun: None,
            done: None,
            stored: 0,
            failures: 0,
        };
        let rate = duty.rate();
        self.rows.push(duty).map_err(|duty| duty.what)?;
        self.rate = self.rate.saturating_add(rate);
        self.is_stirred = true;
        Ok(())
    }

    /// It is not to be done any more: nobody is told, others forget it. Returns whether it was
    /// there.
    pub fn remove(&mut self, what: &T) -> bool {
        let index = self.rows.iter().position(|row| row.what == *what);
        let Some(duty) = index.and_then(|index| self.rows.swap_remove(index)) else { return false };
        self.rate = self.rate.saturating_sub(duty.rate());
        self.under_way = self.under_way.saturating_sub(usize::from(duty.is_under_way));
        self.is_stirred = true;
        true
    }

    /// Somebody waits for it: it is due now, unless it is being done.
    pub fn hurry(&mut self, now: Instant, what: &T) {
        if let Some(row) = self.row(what).filter(|row| !row.is_under_way) {
            row.urgency = Urgency::Asked;
            row.wait(now, now, now);
            self.is_stirred = true;
        }
    }

    /// Another period, from the next round on. Returns whether it is there.
    pub fn set_period(&mut self, what: &T, period: Duration) -> bool {
        let Some(row) = self.row(what) else { return false };
        let before = row.rate();
        row.period = period.max(PERIOD_MIN);
        let rate = row.rate();
        if rate != before {
            self.rate = self.rate.saturating_sub(before).saturating_add(rate);
            self.is_stirred = true;
        }
        true
    }

    /// Another pace from now on.
    pub fn set_pacing(&mut self, pacing: Pacing) {
        self.pacing = pacing;
        self.is_stirred = true;
    }

    /// Whether the network is away: then one duty is begun at a time, to see whether it is back.
    /// Once it is, what has failed is due.
    pub fn set_away(&mut self, now: Instant, is_away: bool) {
        if self.is_away == is_away {
            return;
        }
        self.is_away = is_away;
        self.is_stirred = true;
        let failed = |row: &&mut Duty<T>| row.failures > 0 && !row.is_under_way;
        for row in self.rows.iter_mut().filter(failed).filter(|_| !is_away) {
            row.wait(now, now, now);
        }
    }

    // Time passes.

    /// What to begin at `now`, if anything. Answer with [`Schedule::finished`] when it is over, or
    /// with [`Schedule::postpone`] if it could not be begun.
    pub fn poll(&mut self, now: Instant, random: &mut impl Rng) -> Option<T> {
        if !self.is_stirred && self.next.is_none_or(|next| next > now) {
            return None;
        }
        let Some(index) = self.choose(now) else {
            self.next = self.rows.iter().filter_map(|row| self.ready(row)).min();
            self.is_stirred = false;
            return None;
        };
        let row = self.rows.get_mut(index)?;
        if row.urgency == Urgency::Again {
            self.urgent = 0;
            self.tried = Some(now);
        } else {
            self.urgent = self.urgent.saturating_add(1);
        }
        if row.failures == 0 {
            self.paced = Some(now);
            self.jitter = random.next_u32() as u8;
        }
        row.is_under_way = true;
        row.begun = Some(now);
        row.round = row.round.wrapping_add(1);
        self.begun = Some(now);
        self.under_way = self.under_way.saturating_add(1);
        self.is_stirred = true;
        Some(row.what)
    }

    /// It is over, and this many nodes stored it, or answered if nothing was to be stored; with none
    /// it has failed.
    pub fn finished(&mut self, now: Instant, what: &T, stored: u16) {
        let backoff = self.pacing.backoff;
        let Some(row) = self.ended(what) else { return };
        row.stored = stored;
        row.urgency = Urgency::Again;
        if stored == 0 {
            let doubled = 1u32.checked_shl(u32::from(row.failures)).unwrap_or(u32::MAX);
            row.failures = row.failures.saturating_add(1);
            let again = now + backoff.saturating_mul(doubled).min(row.period);
            row.wait(again, again, again);
        } else {
            row.failures = 0;
            row.done = Some(now);
            // Counted from the beginning, or every round would be longer by what it takes.
            let (begun, period) = (row.begun.unwrap_or(now), row.period);
            row.wait(begun + period / 4, begun + period, begun + period + period / 3);
            // Second tries that succeed keep the pace after all.
            self.paced = self.paced.max(Some(begun));
        }
    }

    /// It could not be begun: there was no room. It is tried again in a few seconds.
    pub fn postpone(&mut self, now: Instant, what: &T) {
        let Some(row) = self.ended(what) else { return };
        let again = now + POSTPONED;
        row.wait(again, again, again);
        row.round = row.round.wrapping_sub(1);
    }

    /// When to ask for the next, once [`Schedule::poll`] has nothing to begin.
    pub fn deadline(&self) -> Option<Instant> {
        if self.is_stirred { Some(Instant::EPOCH) } else { self.next }
    }

    // Views.

    /// What is known of something that is to be done.
    pub fn duty(&self, what: &T) -> Option<&Duty<T>> {
        self.rows.iter().find(|row| row.what == *what)
    }

    /// All of them, in no order.
    pub fn duties(&self) -> &[Duty<T>] {
        &self.rows
    }

    /// How much there is to do, and left undone.
    pub fn load(&self, now: Instant) -> Load {
        let waiting = self.rows.iter().filter(|row| !row.is_under_way);
        let late = waiting.map(|row| now.since(row.late)).filter(|late| !late.is_zero());
        Load {
            duties: self.rows.len(),
            under_way: self.under_way,
            late: late.clone().count(),
            behind: late.max().unwrap_or_default(),
        }
    }

    // How it is decided.

    /// Which to begin: whoever was overtaken too often, then by urgency, then by how much of its
    /// time has passed.
    fn choose(&self, now: Instant) -> Option<usize> {
        let is_ready = |row: &Duty<T>| self.ready(row).is_some_and(|at| at <= now);
        let order = |row: &Duty<T>| {
            let is_owed = self.is_owed(row) && row.late <= now;
            (Reverse((is_owed, row.urgency, row.progress(now))), row.late)
        };
        let ready = self.rows.iter().enumerate().filter(|(_, row)| is_ready(row));
        ready.min_by_key(|(_, row)| order(row)).map(|(index, _)| index)
    }

    /// When a duty may be begun, as things are; `None` if something else has to end first.
    fn ready(&self, row: &Duty<T>) -> Option<Instant> {
        if row.is_under_way {
            return None;
        }
        if row.urgency > Urgency::Again {
            return Some(row.from.max(self.gate(true)?));
        }
        let owed = self.gate(true).filter(|_| self.is_owed(row));
        let owed = owed.map(|gate| row.late.max(gate));
        let pace = self.pace();
        let haste = (pace / 2).min(self.pacing.backoff);
        let at = match row.failures {
            0 => row.from.max(after(self.paced, pace)).min(row.late),
            _ => row.from,
        };
        let at = at.max(after(self.tried, haste));
        let paced = self.gate(false).map(|gate| at.max(gate));
        owed.into_iter().chain(paced).min()
    }

    /// Whether it goes before those that somebody waits for, once it is late.
    fn is_owed(&self, row: &Duty<T>) -> bool {
        row.urgency == Urgency::Again && self.urgent >= URGENT_MAX
    }

    /// Not before, whoever it is: one place is kept free for what goes before others.
    fn gate(&self, goes_before: bool) -> Option<Instant> {
        let Pacing { at_once, spacing, backoff } = self.pacing;
        let (places, spacing) = match goes_before {
            _ if self.is_away => (1, spacing.max(backoff)),
            true => (at_once.max(1), spacing),
            false => (at_once.saturating_sub(1).max(1), spacing),
        };
        (self.under_way < places).then(|| after(self.begun, spacing))
    }

    /// Time between two beginnings that makes an even round, and a little more.
    fn pace(&self) -> Duration {
        let micros = RATE / self.rate.max(1);
        let more = (micros >> 11).saturating_mul(u64::from(self.jitter));
        Duration::from_micros(micros.saturating_add(more))
    }

    fn row(&mut self, what: &T) -> Option<&mut Duty<T>> {
        self.rows.iter_mut().find(|row| row.what == *what)
    }

    /// The row of what was under way, and is no longer.
    fn ended(&mut self, what: &T) -> Option<&mut Duty<T>> {
        let row = self.rows.iter_mut().find(|row| row.what == *what && row.is_under_way)?;
        row.is_under_way = false;
        self.under_way = self.under_way.saturating_sub(1);
        self.is_stirred = true;
        Some(row)
    }
}

fn after(last: Option<Instant>, time: Duration) -> Instant {
    last.map_or(Instant::EPOCH, |last| last + time)
}
