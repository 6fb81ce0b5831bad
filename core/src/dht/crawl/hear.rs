//! What the node tells the crawl, and what answers say. What is strange is passed over: nobody's
//! answer ends anything.

use core::time::Duration;

use heapless::Vec;
use rand_core::CryptoRng;

use crate::contact::{Contact, Family, is_contactable};
use crate::dht;
use crate::dht::crawl::known::{REST, Sample};
use crate::dht::crawl::plan::{Errand, Said};
use crate::dht::crawl::{Crawler, Event, Phase};
use crate::dht::event::{AskId, LookupId};
use crate::dht::storage::Storage;
use crate::id::{Id, InfoHash};
use crate::limits::{K, SAMPLES_TAKEN_MAX};
use crate::machine::Machine;
use crate::wire::krpc::{Body, Response};

/// What is taken of one answer.
struct Taken {
    id: Option<Id>,
    nodes: Vec<Contact, K>,
    sample: Option<TakenSample>,
}

struct TakenSample {
    hashes: Vec<InfoHash, SAMPLES_TAKEN_MAX>,
    stored: i64,
    interval: Duration,
}

impl<S: Storage, R: CryptoRng> Crawler<S, R> {
    /// Hears one event of the node. Returns whether there was one.
    pub(super) fn listen(&mut self) -> bool {
        let Some(event) = self.node.poll_event() else { return false };
        let now = self.now;
        match event {
            dht::Event::Answered { ask, .. } => match self.close(ask) {
                Some(open) => self.answered(ask, open.errand),
                None => self.pass_on(event),
            },
            dht::Event::Refused { ask, .. } => match self.close(ask) {
                Some(open) => self.refused(open.errand),
                None => self.pass_on(event),
            },
            dht::Event::Silent { ask } => match self.close(ask) {
                Some(open) => {
                    self.totals.silent += 1;
                    self.somebody_is_silent(now, open.errand);
                }
                None => self.pass_on(event),
            },
            dht::Event::Finished { lookup, outcome } if self.waits_for(lookup) => {
                for contact in self.node.closest(lookup) {
                    self.plan.meet(contact);
                }
                self.looked(now, outcome.answered);
            }
            dht::Event::Finished { lookup, .. } if self.cancelled == Some(lookup) => {}
            _ => self.pass_on(event),
        }
        true
    }

    /// Something of the application's. Nothing more is heard before it is told, so that its rows can
    /// be read.
    fn pass_on(&mut self, event: dht::Event) {
        self.told.push_back(Event::Dht(event));
    }

    fn waits_for(&self, lookup: LookupId) -> bool {
        self.phase == Phase::Entering(lookup) || self.phase == Phase::Probing(lookup)
    }

    fn refused(&mut self, errand: Errand) {
        self.totals.refused += 1;
        self.somebody_answered(self.now);
        self.plan.refused(self.now, errand);
    }

    fn answered(&mut self, ask: AskId, errand: Errand) {
        let now = self.now;
        let Some(taken) = self.read(ask, &errand) else {
            // An answer that says nothing, not even who answers.
            return self.refused(errand);
        };
        self.totals.answered += 1;
        self.somebody_answered(now);
        let mut sample = None;
        if let Some(told) = &taken.sample {
            let id = taken.id.unwrap_or_default();
            let new = told.hashes.iter().filter(|hash| self.seen.insert(**hash));
            let new: Vec<InfoHash, SAMPLES_TAKEN_MAX> = new.copied().collect();
            let node = Contact { id, addr: errand.to };
            let interval = told.interval;
            let counted = Sample {
                interval,
                stored: u32::try_from(told.stored.max(0)).unwrap_or(u32::MAX),
                told: told.hashes.len() as u32,
                new: new.len() as u32,
            };
            self.totals.sampled += 1;
            self.totals.hashes += new.len() as u64;
            self.totals.hashes_in_round += new.len() as u64;
            self.told.push_back(Event::Sampled {
                node,
                stored: told.stored,
                interval,
                new: counted.new,
            });
            self.told.extend(new.iter().map(|info_hash| Event::Hash { info_hash: *info_hash }));
            sample = Some(counted);
        }
        self.plan.answered(now, errand, Said { id: taken.id, nodes: &taken.nodes, sample });
    }

    /// Reads an answer; none if it is not even one.
    fn read(&self, ask: AskId, errand: &Errand) -> Option<Taken> {
        let message = self.node.answer(ask)?;
        let Body::Response(response) = &message.body else { return None };
        let id = response.id();
        let mut nodes = Vec::new();
        let all = match self.node.config().family {
            Family::V4 => response.nodes(),
            Family::V6 => response.nodes6(),
        };
        for contact in all.take(K) {
            let is_own = contact.id == self.node.id();
            if !is_own && is_contactable(contact.addr, errand.to.ip()) {
                let _ = nodes.push(contact);
            }
        }
        let sample = if errand.samples { read_sample(response) } else { None };
        Some(Taken { id, nodes, sample })
    }
}

fn read_sample(response: &Response<'_>) -> Option<TakenSample> {
    let samples = response.samples()?;
    // Whoever does not say how long to spare them is spared as long as there is.
    let interval = match response.member(b"interval") {
        Some(_) => samples.interval.clamp(0, REST.as_secs() as i64),
        None => REST.as_secs() as i64,
    };
    Some(TakenSample {
        hashes: samples.info_hashes().take(SAMPLES_TAKEN_MAX).collect(),
        stored: samples.stored,
        interval: Duration::from_secs(interval.unsigned_abs()),
    })
}
