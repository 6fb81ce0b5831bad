//! What the application can look at.

use core::net::SocketAddr;

use rand_core::CryptoRng;

use crate::contact::Contact;
use crate::dht::config::Config;
use crate::dht::event::{AskId, Hop, LookupId, QuestionId};
use crate::dht::items::ItemStore;
use crate::dht::node::Node;
use crate::dht::node::rows::QuestionState;
use crate::dht::stats::{Stats, Status};
use crate::dht::storage::Storage;
use crate::dht::store::PeerStore;
use crate::dht::table::Routing;
use crate::id::Id;
use crate::time::Instant;
use crate::wire::krpc::{self, Message};

impl<S: Storage, R: CryptoRng> Node<S, R> {
    /// The node's id.
    pub fn id(&self) -> Id {
        self.id
    }

    /// Whether there is anybody to ask.
    pub fn knows_somebody(&self) -> bool {
        !self.table.is_empty() || !self.bootstrap.sources().is_empty()
    }

    /// How it was told to behave.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What it has done.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// How it is.
    pub fn status(&self, now: Instant) -> Status {
        let counts = self.table.counts(now);
        let stored = self.peers.counts();
        let items = self.items.counts();
        let agreed = self.external.agreed();
        Status {
            id: self.id,
            health: self.bootstrap.health(),
            nodes_good: counts.good,
            nodes_questionable: counts.questionable,
            nodes_bad: counts.bad,
            buckets: counts.buckets,
            lookups: self.searches.len(),
            in_flight: self.queries.len(),
            swarms: stored.swarms,
            peers: stored.peers,
            items: items.items,
            items_bytes: items.bytes,
            external: agreed.map(|agreed| agreed.addr),
            external_votes: agreed.map_or((0, 0), |agreed| (agreed.votes, agreed.of)),
            reachable: self.reachable,
            rtt: (self.queries.round_trips.quantile(500), self.queries.round_trips.quantile(900)),
        }
    }

    /// The closest nodes that answered a lookup, closest first; empty once its row is free.
    pub fn closest(&self, lookup: LookupId) -> impl Iterator<Item = Contact> + '_ {
        let search = (lookup.v6 == self.is_v6()).then(|| self.searches.get(lookup.row)).flatten();
        search.into_iter().flat_map(|search| search.lookup.closest())
    }

    /// How a lookup went so far, question by question; empty once its row is free.
    pub fn trace(&self, lookup: LookupId) -> &[Hop] {
        match self.searches.get(lookup.row) {
            Some(search) if lookup.v6 == self.is_v6() => &search.trace,
            _ => &[],
        }
    }

    /// The answer to a single question, an error included; `None` before it came and after its
    /// row was given free.
    pub fn answer(&self, ask: AskId) -> Option<Message<'_>> {
        krpc::decode(self.answer_raw(ask)?).ok()
    }

    /// The same, as it came.
    pub fn answer_raw(&self, ask: AskId) -> Option<&[u8]> {
        if ask.v6 != self.is_v6() {
            return None;
        }
        self.asks.get(ask.row)?.answer()
    }

    /// Whose query of a foreign method this is, and what it says.
    pub fn question(&self, question: QuestionId) -> Option<(SocketAddr, Message<'_>)> {
        let row = self.questions.get(question.row).filter(|_| question.v6 == self.is_v6())?;
        let open = matches!(row.state, QuestionState::Untold | QuestionState::Told);
        let message = open.then(|| krpc::decode(&row.payload).ok()).flatten()?;
        Some((row.from, message))
    }
}
