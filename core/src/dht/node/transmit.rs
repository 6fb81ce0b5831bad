//! Time passes, and a datagram goes out: replies first, then what the application asked, then
//! lookups in turn, then one quiet question of upkeep.

use core::net::SocketAddr;
use core::time::Duration;

use rand_core::CryptoRng;

use crate::dht::event::{End, Event, Outcome};
use crate::dht::items::ItemStore;
use crate::dht::lookup::Ask;
use crate::dht::node::Node;
use crate::dht::node::replies::{AskedForPeers, around};
use crate::dht::node::rows::{Asker, QuestionRow, QuestionState, ReplyKind};
use crate::dht::node::search::{Goal, SearchRow};
use crate::dht::queries::{Lapse, Late};
use crate::dht::size::Density;
use crate::dht::stats::Health;
use crate::dht::storage::Storage;
use crate::dht::table::{Routing, Upkeep};
use crate::id::Id;
use crate::limits::{ITEM_REPLY_MAX, K, REPLY_MAX};
use crate::list::List;
use crate::machine::{Buffer, Transmit};
use crate::rows::Handle;
use crate::time::Instant;
use crate::wire::krpc::{self, Answer, EncodeError, Envelope, Question, Want};

/// How long a node that never answered is remembered.
const SILENT_FOR: Duration = Duration::from_secs(300);

impl<S: Storage, R: CryptoRng> Node<S, R> {
    /// What [`Machine::poll_transmit`](crate::Machine::poll_transmit) does, with the routing table
    /// of the other family at hand for those who want nodes of both (BEP 32).
    pub fn transmit(
        &mut self,
        now: Instant,
        buffer: &mut Buffer,
        other: Option<&S::Table>,
    ) -> Option<Transmit> {
        self.pass_time(now);
        let sent = match self.send_reply(now, buffer, other) {
            None => self.send_settled(buffer).or_else(|| self.send_question(now, buffer)),
            some => some,
        };
        self.count(sent.as_ref());
        sent
    }

    /// The next reply, and nothing else that may be due.
    pub(crate) fn reply_to_next(
        &mut self,
        now: Instant,
        buffer: &mut Buffer,
        other: Option<&S::Table>,
    ) -> Option<Transmit> {
        let sent = self.send_reply(now, buffer, other);
        self.count(sent.as_ref());
        sent
    }

    /// Whether there are replies to be sent.
    pub(crate) fn has_replies(&self) -> bool {
        !self.replies.is_empty()
    }

    /// Whether the last datagram may have made more than a reply.
    pub(crate) fn is_woken(&self) -> bool {
        self.is_woken
    }

    fn count(&mut self, sent: Option<&Transmit>) {
        if let Some(transmit) = sent {
            self.stats.datagrams_out += 1;
            self.stats.bytes_out += transmit.len as u64;
        }
    }

    /// The routing table, for the other node of a pair.
    pub fn table(&self) -> &S::Table {
        &self.table
    }

    // Time.

    fn pass_time(&mut self, now: Instant) {
        while let Some(lapse) = self.queries.lapse(now) {
            self.stirred = true;
            match lapse {
                Lapse::Slow(flight, late) => match flight.asker {
                    Asker::Ask(row) => {
                        if let Some(ask) = self.asks.get_mut(row).filter(|_| late == Late::Slow) {
                            ask.slow();
                        }
                    }
                    Asker::Search { row, errand, .. } => {
                        if let Some(search) = self.searches.get_mut(row) {
                            search.lookup.slow(&flight.to, errand, late);
                        }
                    }
                    Asker::Verify(newcomer) => self.has_verified(newcomer),
                    Asker::Sounding if Self::CAN_SOUND && late == Late::Slow => {
                        self.sounded(now, &flight, None)
                    }
                    Asker::Upkeep | Asker::Sounding => {}
                },
                Lapse::Silent(flight) => {
                    self.stats.silences += 1;
                    if self.bootstrap.silence(now) == Some(Health::Offline) {
                        self.tell(Event::Offline { home: self.home });
                    }
                    let blamed = self.bootstrap.blames_node(flight.sent);
                    if blamed {
                        self.table.silent(now, &flight.to);
                    }
                    let mut never = true;
                    match flight.asker {
                        Asker::Ask(row) => {
                            if let Some(ask) = self.asks.get_mut(row) {
                                ask.silent();
                            }
                        }
                        Asker::Search { row, errand, .. } => {
                            if let Some(search) = self.searches.get_mut(row) {
                                never = search.lookup.silent(&flight.to, errand);
                            }
                        }
                        // If its patience was so short that it was never slow.
                        Asker::Verify(newcomer) => self.has_verified(newcomer),
                        // If it was never so late. It may have answered whoever looks.
                        Asker::Sounding if Self::CAN_SOUND => {
                            never = false;
                            self.sounded(now, &flight, None);
                        }
                        Asker::Upkeep | Asker::Sounding => {}
                    }
                    // Places to begin are asked again whenever there is need.
                    if blamed && never && !self.bootstrap.sources().contains(&flight.to) {
                        self.silent.shun(now, flight.to, SILENT_FOR);
                    }
                }
            }
        }
        if self.bootstrap.is_due(now) {
            self.begin_bootstrap(now);
        }
    }

    fn begin_bootstrap(&mut self, now: Instant) {
        // The lookup of a user fills the table as well, and somebody waits for it.
        let others = self.searches.iter().any(|(_, search)| !search.has_ended());
        if others || self.search(now, self.id, Goal::Bootstrap).is_err() {
            self.bootstrap.postpone(now);
            return;
        }
        // The command counts as a lookup of the user's; this one is the node's own.
        self.stats.lookups -= 1;
        self.bootstrap.begun();
    }

    /// Whether the table's upkeep has to wait: for the network, or for its turn.
    pub(super) fn upkeep_waits(&self) -> bool {
        !self.config.upkeep.refresh
            || (self.config.upkeep.bootstrap && self.bootstrap.health() == Health::Offline)
            || self.held.is_some()
            || self.queries.is_full()
    }

    // Replies.

    fn send_reply(
        &mut self,
        now: Instant,
        buffer: &mut Buffer,
        other: Option<&S::Table>,
    ) -> Option<Transmit> {
        while let Some(reply) = self.replies.last() {
            let (to, room) = (reply.to, usize::from(reply.room).min(ITEM_REPLY_MAX));
            let bytes = buffer.get_mut(..room).unwrap_or_default();
            // Read where it stands: to move what was just written, in other pieces, is to wait.
            let written = match reply.kind {
                ReplyKind::Id => {
                    let answer = Answer { id: self.id, ..Answer::default() };
                    krpc::encode_response(bytes, &around(&self.config, &self.replies), &answer)
                }
                ReplyKind::Nodes { target, want } => {
                    self.write_nodes(now, bytes, target, want, other)
                }
                ReplyKind::Peers { info_hash, want, no_seed, scrape } => {
                    let asked = AskedForPeers { from: to.ip(), info_hash, no_seed, scrape };
                    self.write_peers(now, bytes, &asked, want, other)
                }
                ReplyKind::Samples { target, want } => {
                    self.write_samples(now, bytes, target, want, other)
                }
                ReplyKind::Item { target, want, seq } if self.items.keeps() => {
                    self.write_item(now, bytes, to, target, want, seq, other)
                }
                ReplyKind::Item { .. } => Err(EncodeError::NoRoom),
                ReplyKind::Error { code, text } => {
                    self.stats.errors_out += 1;
                    let envelope = around(&self.config, &self.replies);
                    krpc::encode_error(bytes, &envelope, code, text.as_bytes())
                }
            };
            self.replies.pop();
            if let Ok(len) = written {
                return Some(Transmit::new(to, len));
            }
        }
        None
    }

    /// What the application answered to foreign methods.
    fn send_settled(&mut self, buffer: &mut Buffer) -> Option<Transmit> {
        let settled = |state| matches!(state, QuestionState::Reply | QuestionState::Refuse(_));
        while !self.questions.is_empty() {
            let (row, _) = self.questions.iter().find(|(_, row)| settled(row.state))?;
            let question = self.questions.remove(row)?;
            if let Some(transmit) = self.settled(&question, buffer) {
                return Some(transmit);
            }
        }
        None
    }

    fn settled(&mut self, question: &QuestionRow, buffer: &mut Buffer) -> Option<Transmit> {
        let envelope = Envelope {
            transaction: &question.transaction,
            version: self.config.version,
            read_only: false,
            external: Some(question.from),
        };
        let bytes = buffer.get_mut(..usize::from(question.room).min(REPLY_MAX))?;
        let written = match question.state {
            QuestionState::Refuse(code) => {
                self.stats.errors_out += 1;
                krpc::encode_error(bytes, &envelope, code, &question.payload)
            }
            _ => krpc::encode_response_raw(bytes, &envelope, &question.payload, self.id),
        };
        written.ok().map(|len| Transmit::new(question.from, len))
    }

    // Questions.

    fn send_question(&mut self, now: Instant, buffer: &mut Buffer) -> Option<Transmit> {
        self.held = None;
        if self.queries.is_full() {
            return None;
        }
        if !self.outgoing.has(now) {
            self.held = Some(self.outgoing.ready_at());
            return None;
        }
        let sent = match self.send_ask(now, buffer) {
            None => self.send_search(now, buffer).or_else(|| self.send_upkeep(now, buffer)),
            some => some,
        };
        if let Some(transmit) = &sent {
            self.outgoing.take(now);
            self.destinations.note(now, &transmit.to);
            self.stats.questions_out += 1;
        }
        sent
    }

    fn send_ask(&mut self, now: Instant, buffer: &mut Buffer) -> Option<Transmit> {
        use crate::dht::node::rows::AskState::Queued;
        if self.asks.is_empty() {
            return None;
        }
        let (row, _) = self.asks.iter().find(|(_, ask)| ask.state == Queued)?;
        let ask = self.asks.get_mut(row)?;
        let to = ask.to;
        let transaction =
            self.queries.open(now, &mut self.random, to, None, Asker::Ask(row), true)?;
        ask.sent();
        let envelope = envelope(&self.config, &transaction);
        let len = krpc::encode_query(buffer, &envelope, self.id, &ask.question()).ok()?;
        Some(Transmit::new(to, len))
    }

    #[inline(always)]
    fn send_search(&mut self, now: Instant, buffer: &mut Buffer) -> Option<Transmit> {
        let sounds = self.sounds();
        let sent = self.send_of_lookups(now, buffer);
        if !sounds || self.sounds() {
            return sent;
        }
        // By what has ended it is known how dense the network is: whoever waited for that goes on.
        self.share_density(now);
        sent.or_else(|| self.send_of_lookups(now, buffer))
    }

    fn send_of_lookups(&mut self, now: Instant, buffer: &mut Buffer) -> Option<Transmit> {
        if !self.stirred {
            return None;
        }
        let may_contact = self.destinations.has_room(now);
        let sounds = self.sounds();
        // A crowd that is told leaves no places to its neighbours.
        let is_early = !sounds || self.soundings.density() != Density::UNKNOWN;
        let (mut ended, census, soundings) = (false, &mut self.census, &self.soundings);
        let next = self.searches.round(self.turn, |row, search: &mut SearchRow<S>| {
            if search.has_ended() {
                ended = true;
                return None;
            }
            search.advance(now, |lookup| sounds && soundings.may_tell_a_crowd(lookup));
            if search.has_ended() {
                ended = true;
                if S::CENSUS && search.outcome.end == End::Complete {
                    let closest = search.lookup.closest().map(|contact| contact.id);
                    let Outcome { asked, answered, .. } = search.outcome;
                    census.note(search.lookup.target(), closest, answered >= asked);
                }
                return None;
            }
            if !may_contact {
                return None;
            }
            search.next_ask(is_early).map(|ask| (row, ask))
        });
        if ended {
            self.end_sounding();
            self.untold = true;
            self.settle_bootstrap(now);
        }
        let Some(((row, ask), turn)) = next else {
            if may_contact {
                self.stirred = false;
            } else if !self.searches.is_empty() {
                self.held = Some(self.destinations.ready_at(now));
            }
            return None;
        };
        self.turn = turn;
        self.send_search_ask(now, buffer, row, &ask)
    }

    fn send_search_ask(
        &mut self,
        now: Instant,
        buffer: &mut Buffer,
        row: Handle,
        ask: &Ask,
    ) -> Option<Transmit> {
        let want = self.want();
        let search = self.searches.get_mut(row)?;
        let hop = search.note(now, ask);
        let asker = Asker::Search { row, errand: ask.errand, hop };
        // How long answers take nobody knows who has had none from anybody.
        let is_seed = ask.id.is_none();
        let transaction =
            self.queries.open(now, &mut self.random, ask.addr, ask.id, asker, is_seed)?;
        let question = search.question(ask, want)?;
        let envelope = envelope(&self.config, &transaction);
        let len = krpc::encode_query(buffer, &envelope, self.id, &question).ok()?;
        Some(Transmit::new(ask.addr, len))
    }

    /// The node's own lookup tells nobody but the bootstrap.
    fn settle_bootstrap(&mut self, now: Instant) {
        let over = |search: &SearchRow<S>| search.goal == Goal::Bootstrap && search.has_ended();
        let Some((row, _)) = self.searches.iter().find(|(_, search)| over(search)) else { return };
        let Some(search) = self.end_search(row) else { return };
        let answered = usize::from(search.outcome.answered);
        let poor = self.table.len() < K;
        if self.bootstrap.finished(now, answered, poor) == Some(Health::Offline) {
            self.tell(Event::Offline { home: self.home });
        }
    }

    fn send_upkeep(&mut self, now: Instant, buffer: &mut Buffer) -> Option<Transmit> {
        if !self.destinations.has_room(now) {
            self.held = Some(self.destinations.ready_at(now));
            return None;
        }
        if let Some(contact) = self.next_sounding() {
            let (id, asker) = (Some(contact.id), Asker::Sounding);
            return self.send(now, buffer, contact.addr, id, asker, id);
        }
        if !self.verifying
            && let Some(newcomer) = List::remove(&mut self.newcomers, 0)
        {
            self.verifying = true;
            self.newcomer = self.newcomer.wrapping_add(1);
            // Its real id is what it answers with.
            let asker = Asker::Verify(self.newcomer);
            return self.send(now, buffer, newcomer, None, asker, None);
        }
        if self.upkeep_waits() {
            return None;
        }
        let (contact, target) = match self.table.upkeep(now, &mut self.random)? {
            Upkeep::Ping(contact) => (contact, None),
            Upkeep::FindNode { via, target } => (via, Some(target)),
        };
        self.send(now, buffer, contact.addr, Some(contact.id), Asker::Upkeep, target)
    }

    /// A newcomer has answered or is slow, so the next has its turn. Of one that was slow before this
    /// says nothing more: else each would make room for two.
    pub(super) fn has_verified(&mut self, newcomer: u8) {
        self.verifying &= newcomer != self.newcomer;
    }

    /// Sends `find_node` for a target, `ping` where there is none.
    fn send(
        &mut self,
        now: Instant,
        buffer: &mut Buffer,
        to: SocketAddr,
        id: Option<Id>,
        asker: Asker,
        target: Option<Id>,
    ) -> Option<Transmit> {
        let transaction = self.queries.open(now, &mut self.random, to, id, asker, true)?;
        let envelope = envelope(&self.config, &transaction);
        let question = match target {
            None => Question::Ping,
            Some(target) => Question::FindNode { target, want: self.want() },
        };
        let len = krpc::encode_query(buffer, &envelope, self.id, &question).ok()?;
        Some(Transmit::new(to, len))
    }

    fn want(&self) -> Option<Want> {
        self.want_both.then_some(Want { v4: true, v6: true })
    }
}

fn envelope<'a>(config: &crate::dht::Config, transaction: &'a [u8; 4]) -> Envelope<'a> {
    Envelope { transaction, version: config.version, read_only: config.read_only, external: None }
}
