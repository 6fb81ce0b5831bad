//! The odds that a candidate who has not answered yet lives, and will.
//!
//! They are counted in steps of a factor of 1.45, so that evidence adds up: what others say of the
//! candidate ([`Testimony`]), how many answer at all ([`Climate`]), whether it was silent before, and
//! how [`Late`] its answer is, a second question included. The steps are those of a regression over
//! lookups in emulated worlds in which 15 and 22 % of the contacts are of dead nodes, and were then
//! held against networks of real nodes.
//!
//! Knows neither the candidate nor the time: its evidence alone.

use crate::dht::lookup::Testimony;
use crate::dht::lookup::climate::Climate;
use crate::dht::queries::Late;

/// What speaks for anybody.
pub(super) const PRIOR: i8 = 2;
/// What speaks against whoever was silent lately.
const DOUBT: i8 = 3;
/// No more than this counts of what others say and of the climate, so that liars decide nothing at
/// once: for anybody, lest whoever looks wait longer than [`Late::Hopeless`]; against anybody, so
/// that a slandered one has the time that 86 % take, unless it was silent lately.
const CREDIT: (i8, i8) = (UNLIKELY + lateness(Late::Hopeless) - PRIOR, -7);
/// Against one who is named by so many more than leave it out no more than this counts, so that it
/// has the time that 95 % take: a few liars weigh less than many who are honest.
const LEADING: (i16, i8) = (5, -5);

/// Whoever is as unlikely is not waited for.
pub(super) const UNLIKELY: i8 = -10;
/// The same where to hear of all matters more than when.
pub(super) const HOPELESS: i8 = -13;

/// What speaks for such a candidate, or against it.
pub(super) fn steps(said: Testimony, climate: Climate, is_doubtful: bool, late: Late) -> i8 {
    let doubt = if is_doubtful { DOUBT } else { 0 };
    let least = if said.lead < LEADING.0 { CREDIT.1 } else { LEADING.1 };
    let credit = said.balance.saturating_add(climate.steps()).clamp(least, CREDIT.0);
    credit + PRIOR - doubt - lateness(late)
}

/// What speaks against whoever is so late.
const fn lateness(late: Late) -> i8 {
    match late {
        Late::No => 0,
        Late::Due => 2,
        Late::Slow => 5,
        Late::Very => 7,
        Late::Rare => 9,
        Late::Overdue => 11,
        Late::Long => 14,
        Late::Hopeless => 18,
    }
}
