//! Which tracker of a torrent is asked next, when, and with which event (BEP 3, 12, 21, 27, 31).
//!
//! Time comes in, "ask this one now" comes out; whoever asks says how it went. The life of a
//! tracker:
//!
//! ```text
//!            due                     answered: due again after its interval
//! Resting ────────▶ Asked ─────────▶ Resting
//!   ▲                │ failed: due again after a back-off, 30 s doubled up to an hour,
//!   └────────────────┤         or when it says so (BEP 31)
//!                    └────────────▶ Gone: it wants never to be asked again, or we said goodbye
//! ```
//!
//! Under [`Policy::All`] every tracker goes its own way. Under [`Policy::InTurn`], the letter of
//! BEP 12 and the duty of a private torrent (BEP 27), one is asked at a time: the tiers in order,
//! each in an order that was shuffled once, and whoever answers moves to the front of its tier.
//!
//! Each tracker hears `started` first, `completed` at most once and only after that, `stopped` last
//! and only if it knows us. Knows time; knows neither how trackers are reached nor what they say.

use core::time::Duration;

use rand_core::Rng;

use crate::announce::Happening;
use crate::list::List;
use crate::time::Instant;

/// Whom to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Policy {
    /// All trackers at once: finds most, soonest.
    #[default]
    All,
    /// One at a time, the first that works (BEP 12); for private torrents the only lawful way
    /// (BEP 27).
    InTurn,
}

/// Bounds on what trackers may ask of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The least time between two announces without an event, whatever a tracker says.
    pub interval_min: Duration,
    /// The most.
    pub interval_max: Duration,
    /// What it is where a tracker does not say.
    pub interval: Duration,
    /// Time after a first failure; doubled with each further one.
    pub backoff: Duration,
    /// The most that becomes of that.
    pub backoff_max: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            interval_min: Duration::from_secs(60),
            interval_max: Duration::from_secs(24 * 3_600),
            interval: Duration::from_secs(30 * 60),
            backoff: Duration::from_secs(30),
            backoff_max: Duration::from_secs(3_600),
        }
    }
}

/// The least time before a tracker is asked again.
const SOON: Duration = Duration::from_secs(1);

/// When a tracker that failed may be asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Again {
    /// It does not say: after the back-off.
    #[default]
    Backoff,
    /// After this time.
    After(Duration),
    /// Not at all.
    Never,
    /// It was not the tracker's fault that it was not even asked: in a second.
    Soon,
}

/// One tracker.
#[derive(Clone, Copy, Debug)]
pub struct Tracker {
    number: u16,
    tier: u16,
    state: State,
    /// Not before.
    due: Instant,
    /// Not before, even if more peers are wanted.
    due_min: Instant,
    failures: u8,
    /// It was told that we are here.
    knows: bool,
    /// It is to be told that the download is complete.
    owed: bool,
    /// The only thing left to tell it is `stopped`.
    leaving: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Resting,
    Asked(Happening),
    Gone,
}

/// The trackers of one torrent.
#[derive(Debug)]
pub struct Tiers<L: List<Tracker>> {
    rows: L,
    policy: Policy,
    pace: Pace,
    /// In turn: when the next announce is due, whoever gets it.
    round: Instant,
    round_min: Instant,
    paused: bool,
    completed: bool,
}

impl<L: List<Tracker>> Tiers<L> {
    /// No trackers yet; as many as the empty list has room for.
    pub fn new(rows: L, policy: Policy, pace: Pace) -> Self {
        let (round, round_min) = (Instant::EPOCH, Instant::EPOCH);
        Self { rows, policy, pace, round, round_min, paused: false, completed: false }
    }

    /// Adds a tracker by the caller's number for it. False if there is no room.
    ///
    /// It takes a random place in its tier; tiers are asked in the order of their numbers.
    pub fn add(&mut self, number: u16, tier: u16, random: &mut impl Rng) -> bool {
        let tracker = Tracker {
            number,
            tier,
            state: State::Resting,
            due: Instant::EPOCH,
            due_min: Instant::EPOCH,
            failures: 0,
            knows: false,
            owed: false,
            leaving: false,
        };
        if self.rows.push(tracker).is_err() {
            return false;
        }
        // At a random place of its tier, so that every order is as likely as every other.
        let before = self.rows.iter().filter(|row| row.tier < tier).count();
        let peers = self.rows.iter().filter(|row| row.tier == tier).count();
        let place = before + random.next_u32() as usize % peers.max(1);
        if let Some(tail) = self.rows.get_mut(place..) {
            tail.rotate_right(1);
        }
        true
    }

    /// The next tracker to ask at `now`, and with which event. Answer with
    /// [`Tiers::succeeded`] or [`Tiers::failed`].
    pub fn poll(&mut self, now: Instant) -> Option<(u16, Happening)> {
        let held = self.is_held();
        let is_due =
            |row: &Tracker| (row.leaving || !held) && self.due(row).is_some_and(|due| due <= now);
        let index = self.rows.iter().position(is_due)?;
        let paused = self.paused;
        let row = self.rows.get_mut(index)?;
        let event = match () {
            () if row.leaving => Happening::Stopped,
            () if !row.knows => Happening::Started,
            () if row.owed => Happening::Completed,
            () if paused => Happening::Paused,
            () => Happening::None,
        };
        row.state = State::Asked(event);
        Some((row.number, event))
    }

    /// When somebody is due next.
    pub fn deadline(&self) -> Option<Instant> {
        let held = self.is_held();
        let rows = self.rows.iter().filter(|row| row.leaving || !held);
        rows.filter_map(|row| self.due(row)).min()
    }

    /// Whether everybody waits for the one whose turn it is.
    fn is_held(&self) -> bool {
        self.policy == Policy::InTurn
            && self.rows.iter().any(|row| !row.leaving && matches!(row.state, State::Asked(_)))
    }

    /// When a tracker is due, if it is to be asked at all.
    fn due(&self, row: &Tracker) -> Option<Instant> {
        if row.state != State::Resting {
            return None;
        }
        if row.leaving {
            // Goodbye to those who know us, and are there.
            return (row.knows && row.failures == 0).then_some(Instant::EPOCH);
        }
        Some(match self.policy {
            Policy::All => row.due,
            Policy::InTurn => row.due.max(self.round),
        })
    }

    /// A tracker answered, and wants to be asked again after `interval` and not before
    /// `interval_min`, as far as it says so.
    pub fn succeeded(
        &mut self,
        now: Instant,
        number: u16,
        interval: Option<Duration>,
        interval_min: Option<Duration>,
    ) {
        let pace = self.pace;
        let bounded = |time: Duration| time.min(pace.interval_max).max(pace.interval_min);
        let least = bounded(interval_min.unwrap_or(pace.interval_min));
        let next = bounded(interval.unwrap_or(pace.interval)).max(least);
        let Some(index) = self.asked(number) else { return };
        let Some(row) = self.rows.get_mut(index) else { return };
        let State::Asked(event) = row.state else { return };
        row.state = if event == Happening::Stopped { State::Gone } else { State::Resting };
        row.failures = 0;
        row.knows |= event == Happening::Started;
        row.owed &= event != Happening::Completed;
        let owed = row.owed;
        match self.policy {
            // What happened meanwhile is told at once.
            Policy::All => row.due = if owed { now } else { now + next },
            Policy::InTurn => self.round = if owed { now } else { now + next },
        }
        row.due_min = now + least;
        self.round_min = now + least;
        self.promote(index);
    }

    /// A tracker did not answer, or refused.
    pub fn failed(&mut self, now: Instant, number: u16, again: Again) {
        let pace = self.pace;
        let Some(index) = self.asked(number) else { return };
        let Some(row) = self.rows.get_mut(index) else { return };
        row.failures = row.failures.saturating_add(u8::from(again != Again::Soon));
        let doubled = u32::from(row.failures).saturating_sub(1);
        let doubled = 1u32.checked_shl(doubled).unwrap_or(u32::MAX);
        let backoff = pace.backoff.saturating_mul(doubled).min(pace.backoff_max);
        let wait = match again {
            Again::Backoff => Some(backoff),
            Again::After(time) => Some(time.min(pace.interval_max).max(pace.backoff)),
            Again::Soon => Some(SOON),
            Again::Never => None,
        };
        // Never at once, whatever the configuration says.
        let wait = wait.map(|wait| wait.max(SOON));
        row.state = if row.leaving || wait.is_none() { State::Gone } else { State::Resting };
        row.due = now + wait.unwrap_or_default();
        row.due_min = row.due;
    }

    fn asked(&self, number: u16) -> Option<usize> {
        let asked = |row: &Tracker| row.number == number && matches!(row.state, State::Asked(_));
        self.rows.iter().position(asked)
    }

    /// To the front of its tier.
    fn promote(&mut self, index: usize) {
        let Some(tier) = self.rows.get(index).map(|row| row.tier) else { return };
        let first = self.rows.iter().position(|row| row.tier == tier).unwrap_or(index);
        if let Some(span) = self.rows.get_mut(first..=index) {
            span.rotate_right(1);
        }
    }

    /// The download is complete: those who know us are told, once, as soon as they may be asked.
    pub fn complete(&mut self, now: Instant) {
        self.paused = false;
        if self.completed {
            return;
        }
        self.completed = true;
        for row in self.rows.iter_mut() {
            let knows = row.knows || row.state == State::Asked(Happening::Started);
            if knows && row.state != State::Gone {
                row.owed = true;
                if row.failures == 0 {
                    row.due = row.due.min(now);
                }
            }
        }
        self.round = self.round.min(now);
    }

    /// Takes back that a tracker is being asked: nobody waits for its answer any more.
    pub fn abandon(&mut self, number: u16) {
        if let Some(row) = self.asked(number).and_then(|index| self.rows.get_mut(index)) {
            row.state = State::Resting;
        }
    }

    /// Whether a tracker was told that we are here.
    pub fn knows(&self, number: u16) -> bool {
        self.rows.iter().any(|row| row.number == number && row.knows)
    }

    /// From now on we are a partial seed, or no longer (BEP 21).
    pub fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// More peers are wanted than the last answers had: as soon as the trackers allow it.
    pub fn hurry(&mut self) {
        for row in self.rows.iter_mut().filter(|row| row.failures == 0) {
            row.due = row.due.min(row.due_min);
        }
        self.round = self.round.min(self.round_min);
    }

    /// We go. From now on the only event is `stopped`.
    pub fn stop(&mut self) {
        self.rows.iter_mut().for_each(|row| row.leaving = true);
    }

    /// The same for one tracker alone.
    pub fn leave(&mut self, number: u16) {
        let row = self.rows.iter_mut().find(|row| row.number == number);
        row.into_iter().for_each(|row| row.leaving = true);
    }

    /// Leaves it at what a tracker knows: it is not asked again, not even told goodbye.
    pub fn close(&mut self, number: u16) {
        let row = self.rows.iter_mut().find(|row| row.number == number);
        row.into_iter().for_each(|row| row.state = State::Gone);
    }

    /// Whether nobody is being asked and nobody will be.
    pub fn is_over(&self) -> bool {
        let done = |row: &Tracker| row.state == State::Gone || self.due(row).is_none();
        let asked = |row: &Tracker| matches!(row.state, State::Asked(_));
        self.rows.iter().all(|row| done(row) && !asked(row))
    }

    /// Whether nothing is left but goodbyes.
    pub fn is_leaving(&self) -> bool {
        self.rows.iter().all(|row| row.leaving || row.state == State::Gone)
    }

    /// How often a tracker failed since it answered last, and when it is due; `None` where it is
    /// being asked, gone, or about to be told goodbye.
    pub fn state(&self, number: u16) -> (u8, Option<Instant>) {
        let row = self.rows.iter().find(|row| row.number == number);
        row.map_or((0, None), |row| {
            (row.failures, self.due(row).filter(|due| *due != Instant::EPOCH))
        })
    }

    /// The trackers by number, in the order in which they are asked.
    pub fn order(&self) -> impl Iterator<Item = u16> {
        self.rows.iter().map(|row| row.number)
    }
}
