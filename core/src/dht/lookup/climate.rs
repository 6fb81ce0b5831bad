//! How many of those who are asked answer at all, as far as the lookup has seen.
//!
//! Where many contacts are of dead nodes, or much is lost, the silent are likelier dead, and what others
//! say for them is worth less: those know no better.

use crate::dht::queries::Late;

/// What came of the questions of a lookup.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Climate {
    answers: u32,
    /// Nothing came until [`Late::Very`], nor has since.
    lapses: u32,
}

impl Climate {
    /// How many answer of those that were not asked yet, against one that lapses.
    const GUESS: u32 = 4;
    /// No more than this speaks for anybody: that others live is no answer.
    const FAIR: i8 = 2;

    /// A candidate answered, when it was so late.
    pub(super) fn answered(&mut self, late: Late) {
        self.answers = self.answers.saturating_add(1);
        self.lapses = self.lapses.saturating_sub(u32::from(late >= Late::Very));
    }

    /// A candidate is so late.
    pub(super) fn lapsed(&mut self, was: Late, is: Late) {
        let lapses = was < Late::Very && is >= Late::Very;
        self.lapses = self.lapses.saturating_add(lapses.into());
    }

    /// What speaks for anybody, beside what is usual, in the steps of [`odds`](super::odds): six or seven
    /// where twice as many answer.
    ///
    /// By the odds alone it were two, but in such a climate what others say weighs more as well.
    pub(super) fn steps(self) -> i8 {
        // Of up to 254 the fourth power has 32 bits.
        let log = |count: u32| count.min(254).pow(4).ilog2() as i16;
        let answers = log(self.answers.saturating_add(Self::GUESS)) - log(Self::GUESS);
        let steps = (answers - log(self.lapses.saturating_add(1))) * 13 / 8;
        i8::try_from(steps).unwrap_or(Self::FAIR).min(Self::FAIR)
    }
}
