//! Following a lookup of the DHT alone.

use std::time::{Duration, Instant};

use tinybt_std::core::dht::End;
use tinybt_std::{Dht, Find, Finished, Found as Next, Search};

use crate::exit::{Failure, Found, interrupted};
use crate::options;
use crate::output::Output;

/// A search that is followed to its end, its timeout or Ctrl-C.
pub(crate) struct Run<'a> {
    pub(crate) dht: &'a Dht,
    pub(crate) begun: Instant,
    pub(crate) timeout: Duration,
    pub(crate) what: &'a str,
}

impl Run<'_> {
    /// Hands out each peer or item. Returns when the first came.
    pub(crate) fn follow<T: Find>(
        &self,
        search: &mut Search<T>,
        output: &Output,
        mut each: impl FnMut(T, &Output, Duration) -> std::io::Result<()>,
    ) -> Result<Option<Duration>, Failure> {
        let (mut first, mut count) = (None, 0u32);
        let mut ends = self.timeout;
        loop {
            let left = ends.saturating_sub(self.begun.elapsed());
            match search.next_within(left.min(Duration::from_millis(100))) {
                Next::Something(found) => {
                    first = first.or(Some(self.begun.elapsed()));
                    count += 1;
                    each(found, output, self.begun.elapsed())?;
                }
                Next::End => return Ok(first),
                Next::Nothing => {}
            }
            if left.is_zero() && ends > self.timeout {
                return Ok(first);
            }
            if (interrupted() || left.is_zero()) && ends == self.timeout {
                // Cancelled, it still says how far it came.
                search.cancel();
                ends = self.begun.elapsed().max(self.timeout) + Duration::from_millis(300);
            }
            let overview = self.dht.overview()?;
            let of = overview.homes.iter();
            let (asked, answered) = of.fold((0, 0), |(asked, answered), (_, _, stats)| {
                (asked + stats.questions_out, answered + stats.answers_in)
            });
            output
                .progress(format!("{count} {}, {asked} questions, {answered} answers", self.what));
        }
    }
}

/// Whether something was found, or why nothing could be.
pub(crate) fn verdict(dht: &Dht, finished: &[Finished], found: bool) -> Result<Found, Failure> {
    if found {
        return Ok(Found::Something);
    }
    let alone = |finished: &Finished| {
        matches!(finished.outcome.end, End::Unanswered | End::Nobody)
            || finished.outcome.answered == 0
    };
    if !interrupted() && finished.iter().all(alone) {
        return Err(Failure::Network(format!(
            "no node of the DHT answered{}: check the network, or name others with --bootstrap",
            options::unresolved(dht)
        )));
    }
    Ok(Found::Nothing)
}
