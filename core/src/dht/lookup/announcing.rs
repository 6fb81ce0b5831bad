//! The second half of an announce: whom to tell, and when.

use core::net::SocketAddr;

use crate::dht::lookup::candidate::State;
use crate::dht::lookup::{Ask, Errand, Lookup};
use crate::dht::queries::Late;
use crate::limits::{ANNOUNCES_MAX, K};

impl Lookup {
    /// How many neighbours must have testified before anybody is told early.
    const SURE: u8 = 3;

    /// For an announce: each of the closest is told as soon as it is known to be one of them.
    pub fn tell_early(&mut self) {
        self.early = true;
    }

    /// Begins the second half of an announce: from now on [`Lookup::next_ask`] says whom to tell.
    pub fn begin_announce(&mut self) {
        self.announcing = true;
    }

    pub(super) fn next_announce(&mut self) -> Option<Ask> {
        let index = self.announce_candidate()?;
        self.shortlist.get_mut(index).map(|c| c.ask(Errand::Announce))
    }

    /// A node confirmed the announce. Returns whether it is the first time.
    pub fn stored(&mut self, addr: &SocketAddr) -> bool {
        let Some(candidate) = self.candidate_at(addr) else { return false };
        let first = candidate.announce != State::Answered;
        candidate.close(Errand::Announce, State::Answered);
        candidate.announce = State::Answered;
        first
    }

    /// A node refused to store, since it has something that is not to be replaced: its place is
    /// taken, or what it refused would be stored around it.
    pub fn conflicted(&mut self, addr: &SocketAddr) {
        if let Some(candidate) = self.candidate_at(addr) {
            candidate.close(Errand::Announce, State::Answered);
            candidate.announce = State::Answered;
        }
    }

    /// Whether every announce was confirmed or given up.
    pub fn has_announced(&self) -> bool {
        self.announcing
            && self.shortlist.iter().all(|c| c.announce != State::Asked || c.late[1] >= Late::Very)
            && self.announce_candidate().is_none()
    }

    /// The candidate to tell next. `K` places, closest first; one that refuses or does not confirm
    /// gives its place to the next, as long as no more than [`ANNOUNCES_MAX`] were told.
    ///
    /// While the search goes on, whoever may still answer has a place as well, and only those are told
    /// whose neighbours have answered.
    fn announce_candidate(&self) -> Option<usize> {
        let told = self.shortlist.iter().filter(|c| c.tries[1] > 0).count();
        let most = if self.announcing { ANNOUNCES_MAX } else { K };
        let mut places = 0;
        for (index, candidate) in self.shortlist.iter().enumerate() {
            if self.is_too_many(places, candidate) {
                continue;
            }
            if candidate.state != State::Answered || candidate.token.is_empty() {
                let may_answer = matches!(candidate.state, State::Fresh | State::Asked);
                places +=
                    usize::from(!self.announcing && may_answer && !self.is_given_up(candidate));
            } else {
                let is_sure = self.announcing || candidate.testimony.witnesses >= Self::SURE;
                let again = candidate.late[1] >= Late::Slow && candidate.tries[1] < Self::TRIES_MAX;
                match candidate.announce {
                    State::Fresh if told < most && is_sure => return Some(index),
                    State::Asked if again => return Some(index),
                    State::Fresh if self.announcing => return None,
                    State::Failed => {}
                    State::Asked if candidate.late[1] >= Late::Very => {}
                    State::Fresh | State::Asked | State::Answered => places += 1,
                }
            }
            if places == K {
                return None;
            }
        }
        None
    }
}
