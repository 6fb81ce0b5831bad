//! How many of those who are asked answer at all, as far as the lookup has seen.
//!
//! Where many contacts are of dead nodes, or much is lost, the silent are likelier dead, and what
//! others say for them is worth less: those know no better.
//!
//! Knows neither time nor who a candidate is: it counts.

/// What came of the questions of a lookup.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Climate {
    /// Candidates that answered, if only to refuse.
    pub(super) answers: u32,
    /// Candidates from whom nothing came until [`Late::Very`](crate::dht::queries::Late::Very), nor
    /// has since; who gave way meanwhile may have answered.
    pub(super) lapses: u32,
}

impl Climate {
    /// How many answer of those that were not asked yet, against one that lapses.
    const GUESS: u32 = 4;
    /// No more than this speaks for anybody, as that others live is no answer; nor more than that
    /// against anybody, as liars can tell of nodes that do not exist.
    const BOUNDS: (i16, i16) = (-8, 2);

    /// What speaks for anybody, beside what is usual, in the steps of [`odds`](super::odds): seven or
    /// eight where twice as many answer.
    ///
    /// By the odds alone it were two, but in such a climate what others say weighs more as well.
    pub(super) fn steps(self) -> i8 {
        // Of up to 254 the fourth power has 32 bits.
        let log = |count: u32, guess: u32| (count.min(250) + guess).pow(4).ilog2() as i16;
        let answers = log(self.answers, Self::GUESS) - log(0, Self::GUESS);
        let steps = (answers - log(self.lapses, 1)) * 15 / 8;
        steps.clamp(Self::BOUNDS.0, Self::BOUNDS.1) as i8
    }
}
