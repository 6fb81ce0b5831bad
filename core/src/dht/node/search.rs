//! One lookup of a node: what it is for, what it has gathered and how it went.

use core::net::SocketAddr;
use core::time::Duration;

use crate::contact::{Contact, is_contactable};
use crate::dht::bloom::Bloom;
use crate::dht::event::{End, Hop, Outcome};
use crate::dht::found::Found;
use crate::dht::held::{Held, Said};
use crate::dht::item::Item;
use crate::dht::lookup::{Ask, Errand, Lookup};
use crate::dht::node::{Announcement, Port};
use crate::dht::scraped::Scraped;
use crate::dht::storage::Storage;
use crate::id::{Id, InfoHash};
use crate::limits::{ITEM_GATHERED, SCRAPE_GATHERED, VALUES_TAKEN_MAX};
use crate::list::List;
use crate::time::Instant;
use crate::wire::krpc::{Question, Response, Want};

/// What a lookup is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// The closest nodes.
    Nodes,
    /// Peers, or those alone that lack something.
    Peers { no_seed: bool },
    /// Peers, then to be one of them.
    Announce(Announcement),
    /// How many peers there are.
    Scrape,
    /// An item.
    Get,
    /// To store an item.
    Put,
    /// The node's own place in the network; nobody is told.
    Bootstrap,
}

impl Goal {
    /// Whether the closest are to store something in the end.
    fn stores(self) -> bool {
        matches!(self, Goal::Announce(_) | Goal::Put)
    }
}

/// What a lookup gathers, in a list of bytes of the storage's choice.
#[derive(Clone)]
pub(crate) enum Gathered<L: List<u8>> {
    Peers(Found<L>),
    Filters(Scraped<L>),
    Item(Held<L>),
}

/// Something that a lookup has to tell.
pub(crate) enum News {
    Peer(SocketAddr),
    Item,
}

/// A lookup with what it has found and how it went.
#[derive(Clone)]
pub struct SearchRow<S: Storage> {
    pub(crate) lookup: Lookup,
    pub(crate) goal: Goal,
    pub(crate) gathered: Gathered<S::Found>,
    pub(crate) trace: S::Trace,
    pub(crate) outcome: Outcome,
    started: Instant,
    ended: bool,
    /// Nodes that refused a put for what they hold.
    conflicts: u8,
}

impl<S: Storage> SearchRow<S> {
    pub(crate) fn new(
        now: Instant,
        mut lookup: Lookup,
        goal: Goal,
        gathered: Gathered<S::Found>,
        trace: S::Trace,
    ) -> Self {
        let outcome = Outcome::NONE;
        if matches!(goal, Goal::Announce(_) | Goal::Put) {
            lookup.be_patient();
        }
        Self { lookup, goal, gathered, trace, outcome, started: now, ended: false, conflicts: 0 }
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

    /// The next question of its lookup, if there is any now.
    ///
    /// `is_early`: whoever is sure to be one of the closest may be told. A put has to hear first what
    /// others hold.
    pub(crate) fn next_ask(&mut self, is_early: bool) -> Option<Ask> {
        if is_early && matches!(self.goal, Goal::Announce(_)) {
            self.lookup.tell_early();
        }
        self.lookup.next_ask()
    }

    /// Goes from searching to storing to the end, as far as the lookup is, unless it is to `wait`.
    pub(crate) fn advance(&mut self, now: Instant, wait: impl FnOnce(&Lookup) -> bool) {
        if self.ended {
            return;
        }
        if self.goal == Goal::Put && self.held().is_some_and(|held| !held.is_ours()) {
            return self.end(now, End::Outdated);
        }
        if !self.lookup.has_converged() || wait(&self.lookup) {
            return;
        }
        if self.goal.stores() {
            self.lookup.begin_announce();
            if !self.lookup.has_announced() {
                return;
            }
        }
        let end = match self.outcome {
            Outcome { asked: 0, .. } => End::Nobody,
            Outcome { answered: 0, .. } => End::Unanswered,
            Outcome { stored, .. } if self.conflicts > stored => End::Conflict,
            _ => End::Complete,
        };
        self.end(now, end);
    }

    /// A node answered with an error of this code; 0 is another node in its place.
    pub(crate) fn refused(&mut self, addr: &SocketAddr, errand: Errand, code: i64) {
        let is_put = S::GATHERED_MAX >= ITEM_GATHERED
            && self.goal == Goal::Put
            && errand == Errand::Announce;
        match code {
            301 | 302 if is_put => {
                self.conflicts = self.conflicts.saturating_add(1);
                self.lookup.conflicted(addr);
            }
            _ => self.lookup.refused(addr, errand),
        }
        if errand == Errand::Announce {
            self.outcome.refused = self.outcome.refused.saturating_add(1);
        }
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
            refused: None,
        };
        let place = self.trace.len().min(usize::from(u16::MAX)) as u16;
        if self.trace.push(hop).is_ok() { place } else { u16::MAX }
    }

    /// How many leading bits an id shares with the target.
    pub(crate) fn shared(&self, id: Id) -> u8 {
        id.distance(self.lookup.target()).leading_zeros().min(160) as u8
    }

    /// The item that it looks for or stores. Where a lookup has no room for any there is none, and
    /// nothing of this is compiled.
    pub(crate) fn held(&self) -> Option<&Held<S::Found>> {
        match &self.gathered {
            Gathered::Item(held) if S::GATHERED_MAX >= ITEM_GATHERED => Some(held),
            _ => None,
        }
    }

    /// Takes in what a node told beside other nodes; returns how many of the peers were new.
    pub(crate) fn gather(&mut self, from: &Contact, response: &Response<'_>) -> u16 {
        let is_named = |peer: &SocketAddr| is_contactable(*peer, from.addr.ip());
        let peers = response.values().take(VALUES_TAKEN_MAX).filter(is_named);
        match &mut self.gathered {
            Gathered::Peers(found) => {
                peers.map(|peer| u16::from(found.insert(peer, from.addr.ip()))).sum()
            }
            Gathered::Filters(scraped) if S::GATHERED_MAX >= SCRAPE_GATHERED => {
                const NONE: &[u8; Bloom::LEN] = &[0; Bloom::LEN];
                let (seeds, downloaders) = (response.seeds(), response.downloaders());
                let mut ips = peers.map(|peer| peer.ip()).peekable();
                let has_filters = seeds.is_some() || downloaders.is_some();
                // Who was asked twice may answer twice.
                if (has_filters || ips.peek().is_some()) && self.lookup.set_holds(&from.addr) {
                    let (seeds, downloaders) = (seeds.unwrap_or(NONE), downloaders.unwrap_or(NONE));
                    match has_filters {
                        true => scraped.add_filters(seeds, downloaders, ips),
                        false => scraped.add_addresses(ips),
                    }
                }
                0
            }
            Gathered::Item(held) if S::GATHERED_MAX >= ITEM_GATHERED => {
                let said = Said {
                    value: response.value(),
                    key: response.key(),
                    signature: response.signature(),
                    seq: response.sequence(),
                };
                if said.value.is_some() || said.seq.is_some() {
                    let is_first = self.lookup.set_holds(&from.addr);
                    held.hear(self.lookup.target(), &said, is_first);
                }
                0
            }
            Gathered::Filters(_) | Gathered::Item(_) => 0,
        }
    }

    /// What there is to tell, one thing at a time; `None` if nothing is new.
    pub(crate) fn tell(&mut self) -> Option<News> {
        match &mut self.gathered {
            Gathered::Peers(found) => {
                let peer = found.tell()?;
                self.outcome.peers = self.outcome.peers.saturating_add(1);
                Some(News::Peer(peer))
            }
            Gathered::Item(held) if S::GATHERED_MAX >= ITEM_GATHERED => {
                held.tell().then_some(News::Item)
            }
            Gathered::Filters(_) | Gathered::Item(_) => None,
        }
    }

    /// The question that an errand of this lookup puts to a node.
    pub(crate) fn question<'a>(&'a self, ask: &Ask, want: Option<Want>) -> Option<Question<'a>> {
        let target = self.lookup.target();
        let info_hash = InfoHash(target.0);
        let peers = |no_seed, scrape| Some(Question::GetPeers { info_hash, want, no_seed, scrape });
        match (self.goal, ask.errand) {
            (Goal::Announce(announcement), Errand::Announce) => {
                Some(announce(info_hash, announcement, self.lookup.token(&ask.addr)?))
            }
            (Goal::Put, Errand::Announce) => self.put(ask),
            (Goal::Peers { no_seed }, _) => peers(no_seed, false),
            // A seed has no use for another.
            (Goal::Announce(announcement), _) => peers(announcement.seed, false),
            (Goal::Scrape, _) => peers(false, true),
            (Goal::Get | Goal::Put, _) => {
                let seq = self.held().and_then(Held::known);
                Some(Question::Get { target, seq, want })
            }
            (Goal::Nodes | Goal::Bootstrap, _) => Some(Question::FindNode { target, want }),
        }
    }

    fn put<'a>(&'a self, ask: &Ask) -> Option<Question<'a>> {
        let (target, token) = (self.lookup.target(), self.lookup.token(&ask.addr)?);
        let held = self.held()?;
        Some(match held.item()? {
            Item::Immutable(value) => Question::PutImmutable { target, token, value },
            Item::Mutable(item) => Question::PutMutable {
                target,
                token,
                value: item.value,
                key: item.key,
                signature: item.signature,
                seq: item.seq,
                salt: item.salt,
                // Whoever holds nothing has nothing to compare (BEP 44).
                cas: held.cas().filter(|_| self.lookup.holds(&ask.addr)),
            },
        })
    }
}

/// The question that announces a port.
pub(crate) fn announce(info_hash: InfoHash, how: Announcement, token: &[u8]) -> Question<'_> {
    // The port beside `implied_port` is what nodes that do not know the latter will store.
    let (port, implied_port) = match how.port {
        Port::Implied | Port::Number(0) => (1, true),
        Port::Number(port) => (port, false),
    };
    Question::AnnouncePeer { info_hash, port, implied_port, token, seed: how.seed }
}

impl Outcome {
    const NONE: Self = Self {
        end: End::Complete,
        peers: 0,
        asked: 0,
        answered: 0,
        sent: 0,
        stored: 0,
        refused: 0,
        took: Duration::ZERO,
    };
}
