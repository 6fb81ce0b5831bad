//! One candidate of a lookup: what it was asked, what it said, whether it is waited for.

use core::net::SocketAddr;

use crate::contact::Contact;
use crate::dht::lookup::climate::Climate;
use crate::dht::lookup::{Lookup, Testimony, Token, odds};
use crate::dht::queries::Late;
use crate::id::Id;

/// A node that the lookup knows.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Who and where.
    pub contact: Contact,
    pub(super) state: State,
    pub(super) announce: State,
    /// How late the answer to search is, and the one to store.
    pub(super) late: [Late; 2],
    /// Times asked to search; times asked to store.
    pub(super) tries: [u8; 2],
    /// Search questions still open; announces still open.
    pub(super) open: [u8; 2],
    pub(super) standing: Standing,
    /// Whether the lookup's [`Climate`] counts it among those that lapsed.
    pub(super) lapsed: bool,
    /// The one of the lookup's paths that it belongs to.
    pub(super) path: u8,
    pub(super) testimony: Testimony,
    /// How far its testimony reaches: the head of the distance of the farthest node that it told of, or
    /// of the farthest in the bucket of the target if that may be full.
    pub(super) reach: u32,
    pub(super) token: Token,
}

/// What is known of a candidate beside how it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Plain,
    /// Remembered as silent from before: asked once, and not at the cost of others.
    Doubtful,
    /// It holds what the lookup is about: it has answered, so it is no longer doubtful.
    Holds,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Fresh,
    Asked,
    Answered,
    Failed,
}

/// Whom to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The address.
    pub addr: SocketAddr,
    /// The id that is expected there, if one is.
    pub id: Option<Id>,
    /// Search or store.
    pub errand: Errand,
    /// Whether the same was asked there before.
    pub repeat: bool,
}

/// What a question of a lookup is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Errand {
    /// Who is closer?
    Search,
    /// Store this.
    Announce,
}

impl Candidate {
    /// One that nobody asked yet; `testimony` is of those who answered before it was heard of.
    pub(super) fn new(
        contact: Contact,
        standing: Standing,
        path: u8,
        testimony: Testimony,
    ) -> Self {
        Self {
            contact,
            state: State::Fresh,
            announce: State::Fresh,
            late: [Late::No; 2],
            tries: [0; 2],
            open: [0; 2],
            standing,
            lapsed: false,
            path,
            testimony,
            reach: 0,
            token: Token::new(),
        }
    }

    pub(super) fn ask(&mut self, errand: Errand) -> Ask {
        let kind = errand as usize;
        let repeat = self.tries.get(kind).is_some_and(|tries| *tries > 0);
        for count in [self.tries.get_mut(kind), self.open.get_mut(kind)].into_iter().flatten() {
            *count = count.saturating_add(1);
        }
        // Its turn may come so late that nothing is to be hoped of the first question.
        if let Some(late) = self.late.get_mut(kind).filter(|late| **late >= Late::Hopeless) {
            *late = Late::No;
        }
        *self.state_of(errand) = State::Asked;
        Ask { addr: self.contact.addr, id: Some(self.contact.id), errand, repeat }
    }

    pub(super) fn is_doubtful(&self) -> bool {
        self.standing == Standing::Doubtful
    }

    fn state_of(&mut self, errand: Errand) -> &mut State {
        match errand {
            Errand::Search => &mut self.state,
            Errand::Announce => &mut self.announce,
        }
    }

    pub(super) fn is_in_time(&self) -> bool {
        self.late[0] < Late::Very
    }

    /// Whether a question to it is in flight that counts.
    pub(super) fn is_waited_for(&self) -> bool {
        self.state == State::Asked && self.is_in_time()
    }

    /// Whether it is likelier dead than not.
    pub(super) fn is_suspect(&self) -> bool {
        self.is_doubtful() || self.testimony.balance < -odds::PRIOR
    }

    /// The odds that it answers yet.
    pub(super) fn odds(&self, climate: Climate) -> i8 {
        odds::steps(self.testimony, climate, self.is_doubtful(), self.late[0])
    }

    /// Whether nothing is to be hoped of it, where nobody stands in for it.
    pub(super) fn is_hopeless(&self) -> bool {
        self.late[0] >= Late::Hopeless && self.tries[0] >= Lookup::TRIES_MAX
    }

    /// Whether it belongs to the neighbourhood of the target: somebody has told of all that he knows
    /// where it is.
    pub(super) fn is_near(&self) -> bool {
        self.testimony.witnesses > 0
    }

    /// Whether it is so late that it may be asked once more.
    ///
    /// `is_alone`: nobody stands in for it.
    pub(super) fn is_to_repeat(&self, is_alone: bool) -> bool {
        // Far from the target others lead there too.
        let due = if is_alone || self.is_near() { Late::Due } else { Late::Very };
        self.late[0] >= due && self.tries[0] < Lookup::TRIES_MAX
    }

    /// Closes one question; where it was the last and none was answered the state becomes `end`.
    /// Returns whether it did.
    pub(super) fn close(&mut self, errand: Errand, end: State) -> bool {
        let Some(open) = self.open.get_mut(errand as usize) else { return false };
        *open = open.saturating_sub(1);
        let last = *open == 0;
        let state = self.state_of(errand);
        if last && *state != State::Answered {
            *state = end;
            return true;
        }
        false
    }
}
