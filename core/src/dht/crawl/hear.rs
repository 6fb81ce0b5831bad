//! What the node tells the crawl, and what answers say. What is strange is passed over: nobody's
//! answer ends anything.

use heapless::Vec;
use rand_core::CryptoRng;

use crate::contact::{Contact, Family, is_contactable};
use crate::dht;
use crate::dht::crawl::known::{REST, Sample};
use crate::dht::crawl::plan::{Errand, Said};
use crate::dht::crawl::{Crawler, Event, Phase};
use crate::dht::event::AskId;
use crate::dht::storage::Storage;
use crate::id::InfoHash;
use crate::limits::{K, SAMPLE_INTERVAL_MAX, SAMPLES_TAKEN_MAX};
use crate::wire::krpc::{Body, Response};
use core::time::Duration;

/// What is taken of one answer.
struct Taken {
    said: Option<crate::id::Id>,
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
        use crate::machine::Machine;
        let Some(event) = self.node.poll_event() else { return false };
        let now = self.now;
        match event {
            dht::Event::Answered { ask, .. } => match self.close(ask) {
                Some(errand) => self.answered(ask, errand),
                None => self.pass_on(event),
            },
            dht::Event::Refused { ask, .. } => match self.close(ask) {
                Some(errand) => {
                    self.totals.refused += 1;
                    self.plan.refused(now, errand);
                }
                None => self.pass_on(event),
            },
            dht::Event::Silent { ask } => match self.close(ask) {
                Some(errand) => {
                    self.totals.silent += 1;
                    self.plan.silent(now, errand);
                }
                None => self.pass_on(event),
            },
            dht::Event::Finished { lookup, .. } if self.phase == Phase::Entering(lookup) => {
                for contact in self.node.closest(lookup) {
                    self.plan.meet(contact);
                }
                self.begin(now);
            }
            _ => self.pass_on(event),
        }
        true
    }

    /// Something of the application's. Nothing more is heard before it is told, so that its rows can
    /// be read.
    fn pass_on(&mut self, event: dht::Event) {
        self.told.push_back(Event::Dht(event));
    }

    fn answered(&mut self, ask: AskId, errand: Errand) {
        let now = self.now;
        self.totals.answered += 1;
        let Some(taken) = self.read(ask, &errand) else {
            // An answer that says nothing, not even who answers.
            return self.plan.refused(now, errand);
        };
        let mut sample = None;
        if let Some(told) = &taken.sample {
            let id = taken.said.unwrap_or_default();
            let before = self.told.len();
            let count = told.hashes.iter().filter(|hash| self.seen.insert(**hash));
            let new: Vec<InfoHash, SAMPLES_TAKEN_MAX> = count.copied().collect();
            debug_assert_eq!(before, self.told.len());
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
        self.plan.answered(now, errand, Said { id: taken.said, nodes: &taken.nodes, sample });
    }

    /// Reads an answer; none if it is not even one.
    fn read(&self, ask: AskId, errand: &Errand) -> Option<Taken> {
        let message = self.node.answer(ask)?;
        let Body::Response(response) = &message.body else { return None };
        let said = response.id();
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
        Some(Taken { said, nodes, sample })
    }
}

fn read_sample(response: &Response<'_>) -> Option<TakenSample> {
    let samples = response.samples()?;
    // Whoever does not say how long to spare them is spared as long as there is.
    let interval = match response.member(b"interval") {
        Some(_) => samples.interval.clamp(0, SAMPLE_INTERVAL_MAX as i64),
        None => REST.as_secs() as i64,
    };
    Some(TakenSample {
        hashes: samples.info_hashes().take(SAMPLES_TAKEN_MAX).collect(),
        stored: samples.stored,
        interval: Duration::from_secs(interval.unsigned_abs()),
    })
}
