//! A datagram comes in: who says it, and what it changes.
//!
//! Nothing is changed before the datagram has proven that it may: a datagram that is ignored
//! leaves no mark but a counter.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use heapless::Vec;
use rand_core::CryptoRng;

use crate::contact::{Contact, Family, Network, is_contactable, is_mapped};
use crate::dht::config::AddressCheck;
use crate::dht::event::Event;
use crate::dht::items::ItemStore;
use crate::dht::lookup::Errand;
use crate::dht::node::Node;
use crate::dht::node::rows::{
    AskState, Asker, Flight, QuestionRow, QuestionState, ReplyKind, ReplyRow,
};
use crate::dht::respond::{self, Verdict};
use crate::dht::stats::Health;
use crate::dht::storage::Storage;
use crate::dht::store::{PeerStore, Stored};
use crate::dht::table::{Proof, Routing};
use crate::limits::{DATAGRAM_MAX, ITEM_REPLY_MAX, K, NODES_TAKEN_MAX, REPLY_MAX};
use crate::list::List;
use crate::machine::Ignored;
use crate::rows::Handle;
use crate::time::Instant;
use crate::wire::krpc::{self, Body, DecodeError, ErrorReply, Message, Query, Response};

impl<S: Storage, R: CryptoRng> Node<S, R> {
    pub(super) fn receive(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Ignored> {
        self.is_woken = true;
        if Family::of(&from) != self.config.family || is_mapped(&from) {
            return Err(Ignored::Foreign);
        }
        // Looked at where it is: it is too large to be moved for nothing.
        let decoded = krpc::decode(datagram);
        let message = match &decoded {
            Ok(message) => message,
            Err(DecodeError::NotKrpc) => return Err(Ignored::Foreign),
            Err(_) => return Err(Ignored::Malformed),
        };
        if from.port() == 0 {
            return Err(Ignored::Malformed);
        }
        if self.blocked.is_shunned(now, &from) {
            return Err(Ignored::Blocked);
        }
        match &message.body {
            Body::Query(query) => self.query(now, from, message, query, datagram),
            Body::Response(response) => self.response(now, from, message, response, datagram),
            Body::Error(error) => self.error(now, from, message, error, datagram),
        }
    }

    // Queries.

    fn query(
        &mut self,
        now: Instant,
        from: SocketAddr,
        message: &Message<'_>,
        query: &Query<'_>,
        datagram: &[u8],
    ) -> Result<(), Ignored> {
        if self.config.read_only {
            return Err(Ignored::ReadOnly);
        }
        if datagram.len() > DATAGRAM_MAX {
            return Err(Ignored::Malformed);
        }
        let seat = self.sources.seat(from.ip());
        if !self.sources.allows(now, seat) {
            return Err(Ignored::OverLimit);
        }
        if self.replies.len() >= self.replies.capacity() {
            return Err(Ignored::Full);
        }
        let family = self.config.family;
        // Where none are kept, nothing of this is left.
        let verdict = match query.method {
            b"get" | b"put" if self.items.keeps() => respond::judge_item(query, family),
            _ => respond::judge(query, from, family, S::Peers::SCRAPES),
        };
        self.sources.spend(now, seat);
        self.count_query(query.method);

        let newcomers = self.newcomers.len();
        // A read-only node is served and forgotten (BEP 43).
        if let Some(id) = query.id().ok().filter(|_| !message.read_only) {
            self.meet(now, Contact { id, addr: from });
        }
        // To be in our table proves nothing: ids and addresses are no secret.
        let (most, proven) = match verdict {
            Verdict::Reply(ReplyKind::Item { target, .. }) if self.items.keeps() => {
                (ITEM_REPLY_MAX, self.has_token(now, from.ip(), target, query))
            }
            _ => (REPLY_MAX, false),
        };
        let room = match respond::ratio(&verdict, self.config.amplification) {
            0 => most,
            _ if proven => most,
            ratio => (datagram.len() * ratio).min(most),
        } as u16;

        let room = match verdict {
            Verdict::Reply(ReplyKind::Item { target, seq, .. }) if self.items.keeps() => {
                self.room_for_item(now, target, seq, room)
            }
            _ => room,
        };
        let kind = match verdict {
            Verdict::Reply(kind) => kind,
            Verdict::Announce { info_hash, peer, token, seed } => {
                if !self.tokens.check(now, from.ip(), &info_hash, token) {
                    ReplyKind::Error { code: 203, text: "bad token" }
                } else {
                    match self.peers.announce(now, info_hash, peer, seed) {
                        Stored::Full => ReplyKind::Error { code: 202, text: "no room" },
                        _ => {
                            self.stats.stored += 1;
                            ReplyKind::Id
                        }
                    }
                }
            }
            Verdict::Put { item, cas, token } if self.items.keeps() => {
                self.take(now, from.ip(), &item, cas, token)
            }
            Verdict::Put { .. } => ReplyKind::Error { code: 204, text: "method unknown" },
            Verdict::Foreign(otherwise) => {
                if self.config.foreign_methods && !self.questions.is_full() {
                    let payload = Vec::from_slice(datagram).map_err(|_| Ignored::Malformed)?;
                    let transaction = Vec::from_slice(message.transaction).unwrap_or_default();
                    let state = QuestionState::Untold;
                    let row = QuestionRow { from, transaction, room, state, otherwise, payload };
                    return self.questions.insert(row).map(drop).map_err(|_| Ignored::Full);
                }
                otherwise
            }
        };
        self.is_woken = self.newcomers.len() != newcomers;
        let row = ReplyRow { to: from, transaction: Vec::new(), room, kind: ReplyKind::Id };
        self.replies.push(row).map_err(|_| Ignored::Full)?;
        // Put where it stands: what is written in small pieces is not to be moved at once.
        if let Some(row) = self.replies.last_mut() {
            row.kind = kind;
            let _ = row.transaction.extend_from_slice(message.transaction);
        }
        Ok(())
    }

    fn count_query(&mut self, method: &[u8]) {
        let kind = match method {
            b"ping" => 0,
            b"find_node" => 1,
            b"get_peers" => 2,
            b"announce_peer" => 3,
            _ => 4,
        };
        if let Some(count) = self.stats.queries_in.get_mut(kind) {
            *count += 1;
        }
    }

    /// Somebody asked us: known nodes are alive, unknown ones may be worth getting to know.
    fn meet(&mut self, now: Instant, contact: Contact) {
        if self.table.asked_us(now, &contact) {
            return;
        }
        // Nobody we asked lately, whom a NAT would let in: somebody who found us by himself.
        self.reachable |= !self.destinations.knows(now, &contact.addr);
        self.consider(now, contact);
    }

    /// Queues a node that was heard of to be asked, if the table has use for it.
    fn consider(&mut self, now: Instant, contact: Contact) {
        let wanted = self.config.upkeep.verify
            && !self.newcomers.is_full()
            && contact.id != self.id
            && !self.newcomers.contains(&contact.addr)
            && self.is_believable(&contact)
            && !self.silent.is_shunned(now, &contact.addr)
            && !self.blocked.is_shunned(now, &contact.addr)
            && self.table.wants(now, contact)
            // Not again while it is asked whether it is there, whoever asks in its name.
            && !self.queries.is_asked(&contact.addr, |asker| matches!(asker, Asker::Verify(_)));
        if wanted {
            let _ = List::push(&mut self.newcomers, contact.addr);
        }
    }

    fn is_believable(&self, contact: &Contact) -> bool {
        self.config.address_check != AddressCheck::Enforce
            || contact.id.fits_address(contact.addr.ip())
    }

    // Answers.

    fn response(
        &mut self,
        now: Instant,
        from: SocketAddr,
        message: &Message<'_>,
        response: &Response<'_>,
        datagram: &[u8],
    ) -> Result<(), Ignored> {
        let index = self.queries.find(message.transaction, from)?;
        let flight = self.queries.get(index).ok_or(Ignored::Unasked)?;
        let id = response.id();
        match (id, flight.asker) {
            // The application sees whatever it was answered, if it is not too long to keep.
            (_, Asker::Ask(_)) if datagram.len() <= DATAGRAM_MAX => {}
            (_, Asker::Ask(_)) | (None, _) => return Err(Ignored::Malformed),
            _ => {}
        }
        let (flight, rtt) = self.queries.answered(now, index).ok_or(Ignored::Unasked)?;
        self.stats.answers_in += 1;
        self.heard(now, from, message);
        let Some(id) = id else {
            self.ask_answered(&flight, AskState::Answered(rtt), datagram);
            return Ok(());
        };

        let contact = Contact { id, addr: from };
        let believable = self.is_believable(&contact);
        self.silent.forgive(&from);
        if !message.read_only && believable && id != self.id {
            let fits = id.fits_address(from.ip());
            let proof = if fits { Proof::Verified } else { Proof::Unverified };
            self.table.answered(now, contact, rtt, proof);
        }
        if self.want_both {
            self.leak(from, response);
        }
        let is_another = flight.id.is_some_and(|expected| expected != id);
        match flight.asker {
            // Somebody told of it by another id. It is there all the same, so nothing is held
            // against it; but what was told is not true.
            Asker::Search { row, errand, hop } if is_another => {
                self.search_refused(now, row, errand, hop, &flight, 0);
            }
            Asker::Ask(_) => self.ask_answered(&flight, AskState::Answered(rtt), datagram),
            Asker::Search { errand: Errand::Search, .. } => {
                self.search_answered(now, &flight, contact, response, rtt, believable);
            }
            Asker::Search { errand: Errand::Announce, .. } => {
                self.announce_confirmed(&flight, rtt);
            }
            Asker::Verify(newcomer) => {
                self.has_verified(newcomer);
                self.newcomers_from(now, from, response);
            }
            Asker::Sounding if Self::CAN_SOUND => self.sounded(now, &flight, Some(response)),
            Asker::Upkeep | Asker::Sounding => self.newcomers_from(now, from, response),
        }
        Ok(())
    }

    fn error(
        &mut self,
        now: Instant,
        from: SocketAddr,
        message: &Message<'_>,
        error: &ErrorReply<'_>,
        datagram: &[u8],
    ) -> Result<(), Ignored> {
        let index = self.queries.find(message.transaction, from)?;
        let flight = self.queries.get(index).ok_or(Ignored::Unasked)?;
        if matches!(flight.asker, Asker::Ask(_)) && datagram.len() > DATAGRAM_MAX {
            return Err(Ignored::Malformed);
        }
        let (flight, _) = self.queries.answered(now, index).ok_or(Ignored::Unasked)?;
        self.stats.answers_in += 1;
        self.heard(now, from, message);
        match flight.asker {
            Asker::Ask(_) => self.ask_answered(&flight, AskState::Refused(error.code), datagram),
            Asker::Search { row, errand, hop } => {
                self.search_refused(now, row, errand, hop, &flight, error.code);
            }
            Asker::Verify(newcomer) => self.has_verified(newcomer),
            Asker::Sounding if Self::CAN_SOUND => self.sounded(now, &flight, None),
            Asker::Upkeep | Asker::Sounding => {}
        }
        Ok(())
    }

    fn search_refused(
        &mut self,
        now: Instant,
        row: Handle,
        errand: Errand,
        hop: u16,
        flight: &Flight,
        code: i64,
    ) {
        let Some(search) = self.searches.get_mut(row) else { return };
        search.refused(&flight.to, errand, code);
        if let Some(hop) = search.trace.get_mut(usize::from(hop)) {
            hop.rtt = Some(now.since(flight.sent));
            hop.refused = Some(u16::try_from(code).unwrap_or(0));
        }
        self.stirred = true;
    }

    /// The network is there; and somebody may have told what our address is.
    fn heard(&mut self, now: Instant, from: SocketAddr, message: &Message<'_>) {
        if self.bootstrap.heard(now) == Some(Health::Online) {
            self.tell(Event::Online { home: self.home });
        }
        let Some(claimed) = message.external else { return };
        let voter = if self.config.diversity { Network::of(from.ip()) } else { whole(from.ip()) };
        if let Some(addr) = self.external.vote(voter, claimed) {
            if self.config.id.is_none() && !self.id.fits_address(addr.ip()) {
                self.id = self.id_for(addr.ip());
                self.table.rebase(now, self.id);
                self.bootstrap.start_over();
            }
            self.tell(Event::External { home: self.home, addr, id: self.id });
        }
    }

    fn ask_answered(&mut self, flight: &Flight, state: AskState, datagram: &[u8]) {
        let Asker::Ask(row) = flight.asker else { return };
        if let Some(ask) = self.asks.get_mut(row) {
            ask.answered(state, datagram);
        }
    }

    fn search_answered(
        &mut self,
        now: Instant,
        flight: &Flight,
        contact: Contact,
        response: &Response<'_>,
        rtt: Duration,
        counts: bool,
    ) {
        let Asker::Search { row, hop, .. } = flight.asker else { return };
        let Some(search) = self.searches.get_mut(row) else { return };
        search.lookup.answered(contact, response.token(), counts);
        search.outcome.answered = search.outcome.answered.saturating_add(1);
        self.stirred = true;
        self.untold = true;
        if !counts {
            return;
        }
        let (mut nodes, path) = (0, search.lookup.path_of(&contact.addr));
        let mut heard = Vec::<Contact, NODES_TAKEN_MAX>::new();
        for told in own_nodes(self.config.family, response).take(NODES_TAKEN_MAX) {
            nodes += 1;
            let strange = told.id == self.id
                || !is_contactable(told.addr, contact.addr.ip())
                || self.blocked.is_shunned(now, &told.addr)
                || (self.config.address_check == AddressCheck::Enforce
                    && !told.id.fits_address(told.addr.ip()));
            if !strange {
                let doubtful = self.silent.is_shunned(now, &told.addr);
                search.lookup.hear(path, told, doubtful);
                let _ = heard.push(told);
            }
        }
        search.lookup.testified(&contact.addr, &heard);
        let peers = search.gather(&contact, response);
        let shared = search.shared(contact.id);
        if let Some(hop) = search.trace.get_mut(usize::from(hop)) {
            *hop = crate::dht::event::Hop {
                id: Some(contact.id),
                rtt: Some(rtt),
                shared,
                peers,
                nodes,
                ..*hop
            };
        }
        let target = search.lookup.target();
        // Places to begin are of our choice; others may name themselves.
        let most = if flight.id.is_none() { 2 } else { 1 };
        self.may_sound(now, target, &heard, most);
    }

    fn announce_confirmed(&mut self, flight: &Flight, rtt: Duration) {
        let Asker::Search { row, hop, .. } = flight.asker else { return };
        let Some(search) = self.searches.get_mut(row) else { return };
        if search.lookup.stored(&flight.to) {
            search.outcome.stored = search.outcome.stored.saturating_add(1);
        }
        if let Some(hop) = search.trace.get_mut(usize::from(hop)) {
            hop.rtt = Some(rtt);
        }
        self.stirred = true;
    }

    /// Nodes that upkeep heard of.
    fn newcomers_from(&mut self, now: Instant, from: SocketAddr, response: &Response<'_>) {
        for contact in own_nodes(self.config.family, response).take(K) {
            if is_contactable(contact.addr, from.ip()) {
                self.consider(now, contact);
            }
        }
    }

    /// Nodes of the other family are for the other node of the pair.
    fn leak(&mut self, from: SocketAddr, response: &Response<'_>) {
        for contact in own_nodes(self.config.family.other(), response).take(K) {
            if is_contactable(contact.addr, from.ip()) {
                let _ = List::push(&mut self.leaked, contact.addr);
            }
        }
    }
}

pub(super) fn own_nodes<'a>(
    family: Family,
    response: &Response<'a>,
) -> impl Iterator<Item = Contact> + 'a {
    match family {
        Family::V4 => response.nodes(),
        Family::V6 => response.nodes6(),
    }
}

/// On a network of one's own every address is a voter.
fn whole(ip: IpAddr) -> Network {
    Network::host(ip)
}
