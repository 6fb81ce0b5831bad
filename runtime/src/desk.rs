//! Whom to tell of what the finder tells, and who runs its errands.

use std::collections::HashMap;

use tinybt_core::InfoHash;
use tinybt_core::Instant;
use tinybt_core::announce::Counts;
use tinybt_core::finder::{Event, ScrapeId, SearchId};

use crate::engine::Hosted;
use crate::errands::Errands;
use crate::ledger::Finished;
use crate::mailbox::Sender;
use crate::swarm::{Peer, Told, Tracker, Turns};

/// A command to the finder.
pub(crate) type Job = Box<dyn FnOnce(&mut Hosted, &mut Desk, Instant) + Send>;

/// What a scrape tells whoever asked.
pub(crate) type Scraped = Result<Vec<(InfoHash, Counts)>, String>;

struct Scrape {
    found: Vec<(InfoHash, Counts)>,
    tell: Sender<Scraped>,
}

/// Who waits for what.
pub(crate) struct Desk {
    searches: HashMap<SearchId, Sender<Told>>,
    scrapes: HashMap<ScrapeId, Scrape>,
    errands: Errands,
}

impl Desk {
    pub(crate) fn new(errands: Errands) -> Self {
        Self { searches: HashMap::new(), scrapes: HashMap::new(), errands }
    }

    pub(crate) fn search(&mut self, search: SearchId, tell: Sender<Told>) {
        self.searches.insert(search, tell);
    }

    pub(crate) fn scrape(&mut self, scrape: ScrapeId, tell: Sender<Scraped>) {
        self.scrapes.insert(scrape, Scrape { found: Vec::new(), tell });
    }

    /// Whether somebody still waited for a scrape, who does not any more.
    pub(crate) fn forget(&mut self, scrape: ScrapeId) -> bool {
        self.scrapes.remove(&scrape).is_some()
    }

    /// Passes on what the finder tells.
    pub(crate) fn hear(&mut self, finder: &mut Hosted, now: Instant, event: Event) {
        match event {
            Event::Errand { errand, what } => self.errands.run(errand, what),
            Event::Withdrawn { errand } if self.errands.withdraw(errand) => {
                finder.fetched(now, errand, Err("not asked any more".to_owned()));
            }
            Event::Peer { search, peer, source, is_new } => {
                self.tell(finder, now, search, Told::Peer(Peer { addr: peer, source }, is_new));
            }
            Event::Tracker { search, tracker } => {
                let Some(status) = finder.trackers(search).nth(usize::from(tracker)) else {
                    return;
                };
                let next_in = status.next.map(|next| next.since(now));
                let told = Told::Tracker(tracker, Box::new(Tracker { status, next_in }));
                self.tell(finder, now, search, told);
            }
            Event::Looked { search, lookup, outcome } => {
                let finished = Finished::of(&finder.dht, lookup, outcome);
                let turns = finder.dht_status(search).map(|status| Turns::new(status, now));
                self.tell(finder, now, search, Told::Looked(Box::new(finished), turns));
            }
            Event::Finished { search } => {
                self.tell(finder, now, search, Told::Finished);
                self.searches.remove(&search);
            }
            Event::Scraped { scrape, swarm, counts } => {
                if let Some(row) = self.scrapes.get_mut(&scrape) {
                    row.found.push((swarm, counts));
                }
            }
            Event::ScrapeFinished { scrape, error } => {
                if let Some(Scrape { found, tell }) = self.scrapes.remove(&scrape) {
                    // What was found is worth more than why it is not all.
                    let is_useless = found.is_empty();
                    let _ = tell.send(error.filter(|_| is_useless).map_or(Ok(found), Err));
                }
            }
            _ => {}
        }
    }

    fn tell(&mut self, finder: &mut Hosted, now: Instant, search: SearchId, told: Told) {
        let gone = self.searches.get(&search).is_some_and(|tell| tell.post(told).is_err());
        if gone {
            // Nobody listens any more.
            finder.stop(now, search);
        }
    }
}
