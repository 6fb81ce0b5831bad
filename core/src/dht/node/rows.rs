//! The rows that a node keeps: one type for each kind of unfinished business.

use core::net::SocketAddr;
use core::time::Duration;

use heapless::Vec;

use crate::dht::event::{End, Hop, Outcome};
use crate::dht::found::Found;
use crate::dht::lookup::{Ask, Errand, Lookup};
use crate::dht::node::Port;
use crate::dht::queries::InFlight;
use crate::dht::storage::Storage;
use crate::id::{Id, InfoHash};
use crate::limits::{DATAGRAM_MAX, ERROR_TEXT_MAX, REPLY_MAX, TRANSACTION_MAX};
use crate::list::List;
use crate::rows::Handle;
use crate::time::Instant;
use crate::wire::krpc::{self, Envelope, Question, Want};

/// A question in flight.
pub type Flight = InFlight<Asker>;

/// For whom a question was asked. Whoever has gone since is not found by its handle; the answer still
/// teaches the routing table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// The application.
    Ask(Handle),
    /// A lookup, whose trace has it at this place.
    Search {
        /// Which.
        row: Handle,
        /// To search or to store.
        errand: Errand,
        /// The place in the trace.
        hop: u16,
    },
    /// The routing table's upkeep.
    Upkeep,
    /// To see whether a newcomer is there.
    Verify,
}

/// What a lookup is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// The closest nodes.
    Nodes,
    /// Peers.
    Peers,
    /// Peers, then to be one of them.
    Announce(Port),
    /// The node's own place in the network; nobody is told.
    Bootstrap,
}

/// What the application was told of last.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Told {
    Search(Handle),
    Ask(Handle),
    Question(Handle),
}

/// A lookup with what it has found and how it went.
pub struct SearchRow<S: Storage> {
    pub(crate) lookup: Lookup,
    pub(crate) goal: Goal,
    pub(crate) found: Found<S::Found>,
    pub(crate) trace: S::Trace,
    pub(crate) outcome: Outcome,
    started: Instant,
    ended: bool,
}

impl<S: Storage> SearchRow<S> {
    pub(crate) fn new(
        now: Instant,
        lookup: Lookup,
        goal: Goal,
        found: Found<S::Found>,
        trace: S::Trace,
    ) -> Self {
        let outcome = Outcome {
            end: End::Complete,
            peers: 0,
            asked: 0,
            answered: 0,
            sent: 0,
            stored: 0,
            took: Duration::ZERO,
        };
        Self { lookup, goal, found, trace, outcome, started: now, ended: false }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    pub(crate) fn end(&mut self, now: Instant, end: End) {
        if !self.ended {
            self.ended = true;
            self.outcome.end = end;
            self.outcome.took = now.since(self.started);
        }
    }

    pub(crate) fn cancel(&mut self, now: Instant) {
        self.end(now, End::Cancelled);
    }

    /// Goes from searching to announcing to the end, as far as the lookup is.
    pub(crate) fn advance(&mut self, now: Instant) {
        if self.ended || !self.lookup.has_converged() {
            return;
        }
        if let Goal::Announce(_) = self.goal {
            self.lookup.begin_announce();
            if !self.lookup.has_announced() {
                return;
            }
        }
        let end = match self.outcome {
            Outcome { asked: 0, .. } => End::Nobody,
            Outcome { answered: 0, .. } => End::Unanswered,
            _ => End::Complete,
        };
        self.end(now, end);
    }

    /// Writes a question into the trace; returns its place there.
    pub(crate) fn note(&mut self, now: Instant, ask: &Ask) -> u16 {
        self.outcome.sent = self.outcome.sent.saturating_add(1);
        if ask.errand == Errand::Search && !ask.repeat {
            self.outcome.asked = self.outcome.asked.saturating_add(1);
        }
        let hop = Hop {
            addr: ask.addr,
            id: ask.id,
            at: now.since(self.started),
            rtt: None,
            shared: ask.id.map_or(0, |id| self.shared(id)),
            announce: ask.errand == Errand::Announce,
            repeat: ask.repeat,
            peers: 0,
            nodes: 0,
            refused: false,
        };
        let place = self.trace.len().min(usize::from(u16::MAX)) as u16;
        if self.trace.push(hop).is_ok() { place } else { u16::MAX }
    }

    /// How many leading bits an id shares with the target.
    pub(crate) fn shared(&self, id: Id) -> u8 {
        id.distance(self.lookup.target()).leading_zeros().min(160) as u8
    }

    /// The question that an errand of this lookup puts to a node.
    pub(crate) fn question<'a>(&'a self, ask: &Ask, want: Option<Want>) -> Option<Question<'a>> {
        let target = self.lookup.target();
        let info_hash = InfoHash(target.0);
        Some(match (self.goal, ask.errand) {
            (Goal::Announce(port), Errand::Announce) => {
                let token = self.lookup.token(&ask.addr)?;
                announce(info_hash, port, token)
            }
            (Goal::Peers | Goal::Announce(_), _) => {
                Question::GetPeers { info_hash, want, no_seed: false, scrape: false }
            }
            (Goal::Nodes | Goal::Bootstrap, _) => Question::FindNode { target, want },
        })
    }
}

/// The question that announces a port.
pub(crate) fn announce(info_hash: InfoHash, port: Port, token: &[u8]) -> Question<'_> {
    // The port beside `implied_port` is what nodes that do not know the latter will store.
    let (port, implied_port) = match port {
        Port::Implied | Port::Number(0) => (1, true),
        Port::Number(port) => (port, false),
    };
    Question::AnnouncePeer { info_hash, port, implied_port, token, seed: false }
}

/// A single question of the application, later its answer.
pub struct AskRow {
    pub(crate) to: SocketAddr,
    pub(crate) state: AskState,
    tries: u8,
    open: u8,
    name_len: u8,
    /// The method's name and its arguments; then the datagram that answered.
    payload: Vec<u8, DATAGRAM_MAX, u16>,
}

/// How a single question stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AskState {
    /// To be sent, for the first or the second time.
    Queued,
    Asked,
    Answered(Duration),
    Refused(i64),
    Silent,
}

impl AskRow {
    const TRIES_MAX: u8 = 2;

    pub(crate) fn new(to: SocketAddr, id: Id, question: &Question<'_>) -> Option<Self> {
        // Kept as name and arguments whatever it is: one way to send it.
        let envelope =
            Envelope { transaction: &[0; 4], version: None, read_only: false, external: None };
        let mut bytes = [0; DATAGRAM_MAX - 64];
        let len = krpc::encode_query(&mut bytes, &envelope, id, question).ok()?;
        let message = krpc::decode(bytes.get(..len)?).ok()?;
        let krpc::Body::Query(query) = message.body else { return None };
        let mut payload = Vec::new();
        payload.extend_from_slice(query.method).ok()?;
        payload.extend_from_slice(query.raw).ok()?;
        let name_len = u8::try_from(query.method.len()).ok()?;
        Some(Self { to, state: AskState::Queued, tries: 0, open: 0, name_len, payload })
    }

    pub(crate) fn question(&self) -> Question<'_> {
        let (name, arguments) =
            self.payload.split_at_checked(usize::from(self.name_len)).unwrap_or_default();
        Question::Method { name, arguments }
    }

    pub(crate) fn sent(&mut self) {
        self.state = AskState::Asked;
        self.tries += 1;
        self.open += 1;
    }

    pub(crate) fn slow(&mut self) {
        if self.state == AskState::Asked && self.tries < Self::TRIES_MAX {
            self.state = AskState::Queued;
        }
    }

    pub(crate) fn silent(&mut self) {
        self.open = self.open.saturating_sub(1);
        if self.open == 0 && self.state == AskState::Asked {
            self.state = AskState::Silent;
        }
    }

    pub(crate) fn answered(&mut self, state: AskState, datagram: &[u8]) {
        if self.is_over() {
            return;
        }
        self.state = state;
        self.payload.clear();
        // None is longer: those were ignored.
        let _ = self.payload.extend_from_slice(datagram);
    }

    pub(crate) fn is_over(&self) -> bool {
        !matches!(self.state, AskState::Queued | AskState::Asked)
    }

    /// The datagram that answered.
    pub(crate) fn answer(&self) -> Option<&[u8]> {
        matches!(self.state, AskState::Answered(_) | AskState::Refused(_)).then_some(&self.payload)
    }
}

/// A reply to be sent: whom to, and what to make it from when it is sent.
pub struct ReplyRow {
    pub(crate) to: SocketAddr,
    pub(crate) transaction: Vec<u8, TRANSACTION_MAX, u8>,
    /// The longest that it may be.
    pub(crate) room: u16,
    pub(crate) kind: ReplyKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplyKind {
    /// Our id: the answer to `ping` and `announce_peer`.
    Id,
    /// The closest nodes.
    Nodes { target: Id, want: Want },
    /// Peers, a token and the closest nodes; filters to count the peers by (BEP 33).
    Peers { info_hash: InfoHash, want: Want, no_seed: bool, scrape: bool },
    /// Info-hashes of stored swarms and the closest nodes (BEP 51).
    Samples { target: Id, want: Want },
    /// An error.
    Error { code: i64, text: &'static str },
}

/// A query of a foreign method, later the application's answer.
pub struct QuestionRow {
    pub(crate) from: SocketAddr,
    pub(crate) transaction: Vec<u8, TRANSACTION_MAX, u8>,
    pub(crate) room: u16,
    pub(crate) state: QuestionState,
    /// What the node answers if the application does not.
    pub(crate) otherwise: ReplyKind,
    /// The query; then the dictionary or the text to answer with.
    pub(crate) payload: Vec<u8, DATAGRAM_MAX, u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QuestionState {
    /// The application has not been told.
    Untold,
    /// It has been told.
    Told,
    /// To be answered with the dictionary in the payload.
    Reply,
    /// To be answered with an error of this code.
    Refuse(i64),
}

impl QuestionRow {
    /// The application's answer. Returns whether it can be sent.
    pub(crate) fn reply(&mut self, dictionary: &[u8], id: Id, version: Option<[u8; 4]>) -> bool {
        let envelope = Envelope {
            transaction: &self.transaction,
            version,
            read_only: false,
            external: Some(self.from),
        };
        // Written once for a trial: what cannot be sent is told while somebody listens.
        let mut trial = [0; REPLY_MAX];
        let room = usize::from(self.room).min(REPLY_MAX);
        let trial = trial.get_mut(..room).unwrap_or_default();
        let is_dictionary = krpc::encode_response_raw(trial, &envelope, dictionary, id).is_ok();
        if is_dictionary {
            self.payload.clear();
            let _ = self.payload.extend_from_slice(dictionary);
            self.state = QuestionState::Reply;
        }
        is_dictionary
    }

    /// The application's refusal.
    pub(crate) fn refuse(&mut self, code: i64, text: &str) -> bool {
        let mut len = text.len().min(ERROR_TEXT_MAX);
        while !text.is_char_boundary(len) {
            len -= 1;
        }
        self.payload.clear();
        let _ = self.payload.extend_from_slice(text.as_bytes().get(..len).unwrap_or_default());
        self.state = QuestionState::Refuse(code);
        true
    }
}
