//! What the application can look at.

use core::net::SocketAddr;

use rand_core::CryptoRng;

use crate::contact::Contact;
use crate::dht::config::Config;
use crate::dht::event::{AskId, Hop, LookupId, QuestionId};
use crate::dht::held::{Copies, Held};
use crate::dht::item::Item;
use crate::dht::items::ItemStore;
use crate::dht::node::Node;
use crate::dht::node::rows::QuestionState;
use crate::dht::node::search::{Gathered, SearchRow};
use crate::dht::scraped::SwarmSize;
use crate::dht::size::{Census, NetworkSize};
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
            network: self.census.size(),
            rtt: (self.queries.round_trips.quantile(500), self.queries.round_trips.quantile(900)),
        }
    }

    /// The closest nodes that answered a lookup, closest first; empty once its row is free.
    pub fn closest(&self, lookup: LookupId) -> impl Iterator<Item = Contact> + '_ {
        let search = self.search_of(lookup);
        search.into_iter().flat_map(|search| search.lookup.closest())
    }

    /// The peers that a lookup remembers, each with the number of networks (a /24, a /64) that named
    /// it: at least so many, at most 8. Liars name peers that do not exist, but there are few of them:
    /// what several networks name is there, or was. Empty once its row is free.
    pub fn named(&self, lookup: LookupId) -> impl Iterator<Item = (SocketAddr, u8)> + '_ {
        let gathered = self.search_of(lookup).map(|search| &search.gathered);
        let found = gathered.and_then(|gathered| match gathered {
            Gathered::Peers(found) => Some(found),
            _ => None,
        });
        found.into_iter().flat_map(|found| found.named())
    }

    /// How a lookup went so far, question by question; empty once its row is free.
    pub fn trace(&self, lookup: LookupId) -> &[Hop] {
        self.search_of(lookup).map_or(&[], |search| &search.trace)
    }

    /// How many peers a scrape has counted so far (BEP 33); `None` for other lookups, and once the
    /// row is free.
    pub fn swarm_size(&self, lookup: LookupId) -> Option<SwarmSize> {
        match &self.search_of(lookup)?.gathered {
            Gathered::Filters(scraped) => Some(scraped.size()),
            _ => None,
        }
    }

    /// The newest item that a lookup knows (BEP 44), be it the one that it stores; `None` before
    /// there is one, for other lookups, and once the row is free.
    pub fn item(&self, lookup: LookupId) -> Option<Item<'_>> {
        self.search_of(lookup)?.held()?.item()
    }

    /// How many nodes hold that item, as far as it is known.
    pub fn copies(&self, lookup: LookupId) -> Option<Copies> {
        self.search_of(lookup)?.held().map(Held::copies)
    }

    /// How large the network is, judged by the lookups that have ended; `None` before the first
    /// has.
    pub fn network_size(&self) -> Option<NetworkSize> {
        self.census.size()
    }

    pub(crate) fn census(&self) -> &Census {
        &self.census
    }

    fn search_of(&self, lookup: LookupId) -> Option<&SearchRow<S>> {
        self.is_mine(lookup.home).then(|| self.searches.get(lookup.row)).flatten()
    }

    /// The answer to a single question, an error included; `None` before it came and after its
    /// row was given free.
    pub fn answer(&self, ask: AskId) -> Option<Message<'_>> {
        krpc::decode(self.answer_raw(ask)?).ok()
    }

    /// The same, as it came.
    pub fn answer_raw(&self, ask: AskId) -> Option<&[u8]> {
        if !self.is_mine(ask.home) {
            return None;
        }
        self.asks.get(ask.row)?.answer()
    }

    /// Whose query of a foreign method this is, and what it says.
    pub fn question(&self, question: QuestionId) -> Option<(SocketAddr, Message<'_>)> {
        let row = self.questions.get(question.row).filter(|_| self.is_mine(question.home))?;
        let open = matches!(row.state, QuestionState::Untold | QuestionState::Told);
        let message = open.then(|| krpc::decode(&row.payload).ok()).flatten()?;
        Some((row.from, message))
    }
}
