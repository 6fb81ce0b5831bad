//! The rows that a node keeps: one type for each kind of unfinished business.

use core::net::SocketAddr;
use core::time::Duration;

use heapless::Vec;

use crate::dht::lookup::Errand;
use crate::dht::queries::InFlight;
use crate::id::{Id, InfoHash};
use crate::limits::{DATAGRAM_MAX, ERROR_TEXT_MAX, REPLY_MAX, TRANSACTION_MAX};
use crate::rows::Handle;
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
    /// To see whether a newcomer is there: which one, counted around.
    Verify(u8),
}

/// What the application was told of last.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Told {
    Search(Handle),
    Ask(Handle),
    Question(Handle),
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
    /// The item at a target, its value only if it is newer than `seq`; a token and the closest
    /// nodes.
    Item { target: Id, want: Want, seq: Option<i64> },
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
