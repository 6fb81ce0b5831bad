//! An address to begin with whose id is not known.

use core::net::SocketAddr;

use crate::dht::lookup::candidate::State;
use crate::dht::lookup::{Ask, Errand, Lookup};
use crate::dht::queries::Late;

#[derive(Clone, Debug)]
pub(super) struct Seed {
    pub(super) addr: SocketAddr,
    pub(super) state: State,
    pub(super) late: Late,
    pub(super) tries: u8,
    pub(super) open: u8,
    pub(super) path: u8,
}

impl Seed {
    pub(super) fn new(addr: SocketAddr, path: u8) -> Self {
        Self { addr, state: State::Fresh, late: Late::No, tries: 0, open: 0, path }
    }

    pub(super) fn is_wanted(&self) -> bool {
        match self.state {
            State::Fresh => true,
            State::Asked => self.late >= Late::Due && self.tries < Lookup::TRIES_MAX,
            State::Answered | State::Failed => false,
        }
    }

    pub(super) fn ask(&mut self) -> Ask {
        let repeat = self.tries > 0;
        // Its turn may come so late that nothing is to be hoped of the first question.
        if self.late >= Late::Hopeless {
            self.late = Late::No;
        }
        self.state = State::Asked;
        self.tries = self.tries.saturating_add(1);
        self.open = self.open.saturating_add(1);
        Ask { addr: self.addr, id: None, errand: Errand::Search, repeat }
    }

    /// Whether it is waited for.
    pub(super) fn is_in_time(&self) -> bool {
        self.state == State::Asked && self.late < Late::Very
    }

    /// Whether nothing more is to come of it. Where the lookup `is_alone` nobody knows how long an
    /// answer takes, and it is waited for to the end.
    pub(super) fn is_over(&self, is_alone: bool) -> bool {
        match self.state {
            State::Fresh => false,
            State::Asked => {
                !is_alone && self.late >= Late::Hopeless && self.tries >= Lookup::TRIES_MAX
            }
            State::Answered | State::Failed => true,
        }
    }

    /// A question passed its hard deadline. Returns whether it was the last, and none was answered.
    pub(super) fn silent(&mut self) -> bool {
        self.open = self.open.saturating_sub(1);
        let is_lost = self.open == 0 && self.state != State::Answered;
        if is_lost {
            self.state = State::Failed;
        }
        is_lost
    }

    pub(super) fn refused(&mut self) {
        self.open = self.open.saturating_sub(1);
        self.state = State::Failed;
    }
}
