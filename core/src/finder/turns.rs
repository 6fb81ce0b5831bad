//! Asking the DHT, each search in its turn (BEP 5, BEP 33, BEP 45).
//!
//! A search that asks once does so at once. Those that are kept take turns by a [`Schedule`]: a
//! thousand that are added together begin a few at a time, those that only look first, since a
//! person waits for them, and later rounds are spread over the interval. A turn is a lookup for each
//! swarm and address family; it is over with the last of them, and has failed if nobody stored the
//! announce, or nobody answered who only looks.

use core::time::Duration;

use rand_core::CryptoRng;

use super::Finder;
use super::event::{Event, SearchId, Source};
use super::search::{DhtStage, Heard, Wanted};
use crate::contact::Family;
use crate::dht::node::Standing;
use crate::dht::schedule::{Duty, Load, Pacing, Schedule, Urgency};
use crate::dht::{self, LookupId, Outcome, Storage};
use crate::list::Bounded;
use crate::time::Instant;

/// How long a lookup waits that found no row free.
const RETRY: Duration = Duration::from_secs(5);

/// Whose turn it is: as many rows as there are searches.
pub(super) type Turns = Schedule<SearchId, Bounded<Duty<SearchId>>>;

/// What is known of a search's announces in the DHT, or of its lookups if it only looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DhtStatus {
    /// It is being asked.
    pub asking: bool,
    /// When somebody last stored the announce; when somebody last answered, if it only looks.
    pub last: Option<Instant>,
    /// How many nodes stored it at the last try, of all swarms and address families; 0 if it only
    /// looks.
    pub stored: u16,
    /// How often nobody did since.
    pub failures: u8,
    /// When it is due again. Others may be before it, or leave it time earlier.
    pub next: Option<Instant>,
}

impl<S: Storage, R: CryptoRng> Finder<S, R> {
    /// How much the DHT is asked at once by searches that are kept.
    pub fn set_dht_pacing(&mut self, pacing: Pacing) {
        self.turns.set_pacing(pacing);
    }

    /// What is known of a kept search in the DHT; `None` if it asks no DHT, or once.
    pub fn dht_status(&self, id: SearchId) -> Option<DhtStatus> {
        let duty = self.turns.duty(&id)?;
        let announces = self.searches.get(&id)?.wanted.announce.is_some();
        Some(DhtStatus {
            asking: duty.is_under_way(),
            last: duty.done(),
            stored: if announces { duty.stored() } else { 0 },
            failures: duty.failures(),
            next: duty.due(),
        })
    }

    /// How much kept searches have to do in the DHT, and how far behind they are.
    pub fn dht_load(&self, now: Instant) -> Load {
        self.turns.load(now)
    }

    /// A search is kept.
    pub(super) fn take_turns(&mut self, id: SearchId, wanted: &Wanted) {
        let urgency = if wanted.announce.is_some() { Urgency::New } else { Urgency::Asked };
        let period = self.period(wanted.dht_interval, urgency == Urgency::New);
        let _ = self.turns.add(self.now, id, period, urgency);
    }

    /// Time between two turns of a search: each of several addresses is announced as often.
    fn period(&self, interval: Duration, announces: bool) -> Duration {
        let homes = |family| self.dht.homes().filter(move |home| home.id().family() == family);
        let homes = homes(Family::V4).count().max(homes(Family::V6).count());
        let homes = if announces { homes.max(1) } else { 1 };
        interval / u32::try_from(homes).unwrap_or(u32::MAX)
    }

    /// Whoever's turn it is begins.
    pub(super) fn pass_turns(&mut self) {
        let now = self.now;
        // Nobody answers, or there is nobody to ask.
        let is_away = self.dht.homes().all(|home| home.node().standing() >= Standing::Away);
        self.turns.set_away(now, is_away);
        while !self.is_held()
            && let Some(id) = self.turns.poll(now, &mut self.random)
        {
            let Some(search) = self.searches.get_mut(&id) else { continue };
            search.dht = DhtStage::Due(now);
            let (interval, announces) =
                (search.wanted.dht_interval, search.wanted.announce.is_some());
            // Addresses may have been added.
            self.turns.set_period(&id, self.period(interval, announces));
            self.ask_dht(id);
        }
    }

    /// Whether searches wait for names of nodes to be resolved.
    pub(super) fn is_held(&self) -> bool {
        let knows = |family| self.dht.knows_somebody(family);
        self.dht_held && !knows(Family::V4) && !knows(Family::V6)
    }

    pub(super) fn ask_dht(&mut self, id: SearchId) {
        let (now, is_held) = (self.now, self.is_held());
        let Some(search) = self.searches.get_mut(&id) else { return };
        let DhtStage::Due(due) = search.dht else { return };
        if due > now {
            return;
        }
        if is_held {
            search.dht = DhtStage::Held;
            return;
        }
        let announcement = search.wanted.announce.map(|presence| presence.announcement());
        if search.unasked.is_empty() {
            let there = |family: &Family| self.dht.node(*family).is_some();
            let families = [Family::V4, Family::V6].into_iter().filter(there);
            let swarms = search.swarms();
            search.unasked = families
                .flat_map(|family| swarms.iter().map(move |swarm| (*swarm, family)))
                .collect();
            search.heard = Heard::default();
            search.round = search.round.wrapping_add(1);
        }
        // Of several local addresses another in each round, and for each search (BEP 45).
        let turn = search.round.wrapping_add(id.0) as usize;
        let (dht, lookups) = (&mut self.dht, &mut self.lookups);
        search.unasked.retain(|(swarm, family)| {
            let lookup = dht.in_turn(*family, turn, |node| match announcement {
                Some(how) => node.announce(now, *swarm, how),
                None => node.get_peers(now, *swarm),
            });
            let Some(lookup) = lookup else { return false };
            // No room: a little later.
            let Ok(lookup) = lookup else { return true };
            search.lookups.push(lookup);
            lookups.insert(lookup, id);
            false
        });
        search.dht = match search.unasked.is_empty() {
            true => DhtStage::Asking,
            false => DhtStage::Due(now + RETRY),
        };
    }

    /// What the DHT tells, if it is of a search.
    pub(super) fn hear_dht(&mut self, event: dht::Event) -> Option<Event> {
        match event {
            dht::Event::Peer { lookup, peer } => {
                let Some(id) = self.lookups.get(&lookup).copied() else {
                    return Some(Event::Dht(event));
                };
                let is_new = self.searches.get_mut(&id)?.note(peer, Source::Dht)?;
                Some(Event::Peer { search: id, peer, source: Source::Dht, is_new })
            }
            dht::Event::Finished { lookup, outcome } => {
                let Some(id) = self.lookups.remove(&lookup) else {
                    return Some(Event::Dht(event));
                };
                self.searches.get(&id)?;
                self.looked(id, lookup, &outcome);
                self.settle(id);
                Some(Event::Looked { search: id, lookup, outcome })
            }
            other => Some(Event::Dht(other)),
        }
    }

    /// A lookup of a search ended; with the last of them its turn is over.
    fn looked(&mut self, id: SearchId, lookup: LookupId, outcome: &Outcome) {
        let Some(search) = self.searches.get_mut(&id) else { return };
        search.lookups.retain(|other| *other != lookup);
        search.heard.add(outcome);
        if !search.lookups.is_empty() || search.dht != DhtStage::Asking {
            return;
        }
        if !search.wanted.keep || search.stopping.is_some() {
            search.dht = DhtStage::Off;
            return;
        }
        search.dht = DhtStage::Waiting;
        let Heard { answered, stored } = search.heard;
        let count = if search.wanted.announce.is_some() { stored } else { answered };
        self.turns.finished(self.now, &id, count);
    }
}

impl Heard {
    fn add(&mut self, outcome: &Outcome) {
        self.answered = self.answered.saturating_add(outcome.answered);
        self.stored = self.stored.saturating_add(u16::from(outcome.stored));
    }
}
