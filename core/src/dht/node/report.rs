//! What the application is told, and when the rows behind it are given free: at the poll after.

use rand_core::CryptoRng;

use crate::dht::event::{AskId, Event, LookupId, QuestionId};
use crate::dht::node::Node;
use crate::dht::node::rows::{AskState, QuestionState, ReplyRow, Told};
use crate::dht::node::search::{Goal, News, SearchRow};
use crate::dht::storage::Storage;
use crate::list::List;
use crate::rows::Handle;

impl<S: Storage, R: CryptoRng> Node<S, R> {
    pub(super) fn report(&mut self) -> Option<Event> {
        self.free_told();
        if let Some(event) = List::remove(&mut self.news, 0) {
            // There are none for hours.
            List::trim(&mut self.news, |_| false);
            return Some(event);
        }
        self.report_ask().or_else(|| self.report_question()).or_else(|| self.report_search())
    }

    fn report_ask(&mut self) -> Option<Event> {
        if self.asks.is_empty() {
            return None;
        }
        let (row, state) =
            self.asks.iter().find(|(_, ask)| ask.is_over()).map(|(row, ask)| (row, ask.state))?;
        self.told = Some(Told::Ask(row));
        let ask = AskId { home: self.home, row };
        Some(match state {
            AskState::Answered(rtt) => Event::Answered { ask, rtt },
            AskState::Refused(code) => Event::Refused { ask, code },
            _ => Event::Silent { ask },
        })
    }

    fn report_question(&mut self) -> Option<Event> {
        if self.questions.is_empty() {
            return None;
        }
        let untold = |state| state == QuestionState::Untold;
        let (row, question) = self.questions.iter_mut().find(|(_, row)| untold(row.state))?;
        question.state = QuestionState::Told;
        self.told = Some(Told::Question(row));
        Some(Event::Asked { question: QuestionId { home: self.home, row } })
    }

    fn report_search(&mut self) -> Option<Event> {
        if !self.untold {
            return None;
        }
        let home = self.home;
        let told = self.searches.round(self.turn, |row, search: &mut SearchRow<S>| {
            if search.goal == Goal::Bootstrap {
                return None;
            }
            let lookup = LookupId { home, row };
            match search.tell() {
                Some(News::Peer(peer)) => return Some(Event::Peer { lookup, peer }),
                Some(News::Item) => return Some(Event::Item { lookup }),
                None => {}
            }
            search.has_ended().then_some(Event::Finished { lookup, outcome: search.outcome })
        });
        let Some((event, _)) = told else {
            self.untold = false;
            return None;
        };
        if let Event::Finished { lookup, .. } = event {
            self.told = Some(Told::Search(lookup.row));
        }
        Some(event)
    }

    /// A lookup is over: its row, and what it took for questions, are given back.
    pub(super) fn end_search(&mut self, row: Handle) -> Option<SearchRow<S>> {
        let search = self.searches.remove(row);
        if self.searches.is_empty() {
            self.queries.trim();
        }
        search
    }

    fn free_told(&mut self) {
        match self.told.take() {
            None => {}
            Some(Told::Search(row)) => {
                self.end_search(row);
            }
            Some(Told::Ask(row)) => {
                self.asks.remove(row);
            }
            Some(Told::Question(row)) => self.answer_otherwise(row),
        }
    }

    /// The application had its chance to answer a foreign method.
    fn answer_otherwise(&mut self, row: Handle) {
        let told = |state| state == QuestionState::Told;
        if !self.questions.get(row).is_some_and(|question| told(question.state)) {
            return;
        }
        let Some(question) = self.questions.remove(row) else { return };
        // No room for the reply means that others are answered first; the asker will repeat.
        let _ = self.replies.push(ReplyRow {
            to: question.from,
            transaction: question.transaction,
            room: question.room,
            kind: question.otherwise,
        });
    }
}
