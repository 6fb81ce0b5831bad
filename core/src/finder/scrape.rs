//! Counts of swarms, asked of one tracker: over UDP some dozens at a time, over HTTP in one URL.

use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::SocketAddr;

use rand_core::CryptoRng;

use super::Finder;
use super::ask::{Asked, Purpose, is_udp};
use super::event::{Errand, Event, ScrapeId};
use super::search::Route;
use crate::contact::Family;
use crate::dht::Storage;
use crate::id::InfoHash;
use crate::time::Instant;
use crate::tracker::http::{read_scraped, scrape_url};
use crate::tracker::tiers::Again;
use crate::tracker::udp::{self, Patience, ServerId};
use crate::tracker::{TrackerUrl, UrlError};

/// Swarms of one request over UDP. BEP 15 allows 74; a tracker in use answers 70 of them, and 70 stay
/// within one frame of Ethernet.
const SWARMS_UDP: usize = 70;

/// Swarms of one request over HTTP: a tracker in use reads 2,048 bytes of a request and no more.
const SWARMS_HTTP: usize = 25;

/// A scrape under way.
pub(super) struct Scrape {
    url: String,
    patience: Patience,
    /// Not asked for yet, in parts.
    parts: VecDeque<Vec<InfoHash>>,
    /// Servers not given up, the one that is asked first.
    servers: VecDeque<ServerId>,
    kept: Vec<ServerId>,
    /// The same for HTTP.
    families: VecDeque<Family>,
}

impl<S: Storage, R: CryptoRng> Finder<S, R> {
    /// Asks a tracker for the counts of swarms. Ends in exactly one [`Event::ScrapeFinished`].
    ///
    /// # Errors
    ///
    /// [`UrlError`] if it is no tracker's URL.
    pub fn scrape(
        &mut self,
        now: Instant,
        url: &str,
        swarms: &[InfoHash],
        patience: Patience,
    ) -> Result<ScrapeId, UrlError> {
        let parsed = TrackerUrl::parse(url)?;
        self.now = now;
        let id = ScrapeId(self.name());
        let most = if is_udp(&parsed) { SWARMS_UDP } else { SWARMS_HTTP };
        let parts = swarms.chunks(most).map(<[InfoHash]>::to_vec).collect();
        let (servers, kept) = (VecDeque::new(), Vec::new());
        let url = url.to_string();
        let host = parsed.ip().map(super::family_of);
        let families = self.families.iter().copied();
        let families = families.filter(|family| host.is_none_or(|host| host == *family)).collect();
        self.scrapes.insert(id, Scrape { url, patience, parts, servers, kept, families });
        match (is_udp(&parsed), parsed.ip()) {
            (false, _) => self.scrape_next(id),
            (true, Some(ip)) => {
                self.scrape_resolved(id, Ok(&[SocketAddr::new(ip, parsed.port)]));
            }
            (true, None) => {
                let what = Errand::Resolve { host: parsed.host.to_string(), port: parsed.port };
                self.errand(Purpose::ResolveScrape(id), what);
            }
        }
        Ok(id)
    }

    pub(super) fn scrape_resolved(&mut self, id: ScrapeId, result: Result<&[SocketAddr], String>) {
        let Some(scrape) = self.scrapes.get(&id) else { return };
        let url = scrape.url.clone();
        let result = result.map_err(|error| (error, Again::Backoff));
        match result.and_then(|addrs| self.servers_at(&url, addrs)) {
            Ok(servers) => {
                if let Some(scrape) = self.scrapes.get_mut(&id) {
                    scrape.servers = servers.iter().copied().collect();
                    scrape.kept = servers;
                }
                self.scrape_next(id);
            }
            Err((error, _)) => self.scrape_over(id, Some(error)),
        }
    }

    /// Asks for the next part, or ends.
    fn scrape_next(&mut self, id: ScrapeId) {
        let Some(scrape) = self.scrapes.get(&id) else { return };
        let Some(part) = scrape.parts.front().cloned() else { return self.scrape_over(id, None) };
        let (url, patience) = (scrape.url.clone(), scrape.patience);
        if let Some(server) = scrape.servers.front() {
            return match self.udp.scrape(*server, &part, patience) {
                Ok(request) => drop(self.requests.insert(request, Asked::Scrape(id))),
                Err(error) => self.scrape_over(id, Some(error.to_string())),
            };
        }
        match (fetch(&url, &part), scrape.families.front().copied()) {
            (Ok(url), Some(family)) => {
                let what = Errand::Fetch { url, family, is_goodbye: false };
                self.errand(Purpose::Scrape(id), what);
            }
            (Ok(_), None) => {
                self.scrape_over(id, Some("there is no socket of its address family".to_string()));
            }
            (Err(error), _) => self.scrape_over(id, Some(error)),
        }
    }

    pub(super) fn scrape_heard(&mut self, id: ScrapeId, event: udp::Event) {
        let udp::Event::Scraped { request } = event else {
            let error = self.failure(&event);
            let Some(scrape) = self.scrapes.get_mut(&id) else { return };
            scrape.servers.pop_front();
            // Its other address, if it has one.
            return match scrape.servers.is_empty() {
                true => self.scrape_over(id, Some(error)),
                false => self.scrape_next(id),
            };
        };
        let counts: Vec<_> = self.udp.scraped(request).collect();
        self.scrape_part(id, counts);
    }

    pub(super) fn scrape_fetched(&mut self, id: ScrapeId, result: Result<&[u8], String>) {
        let read = result.and_then(|body| read_scraped(body).map_err(|error| error.to_string()));
        match read {
            Ok(counts) => self.scrape_part(id, counts),
            Err(error) => {
                let Some(scrape) = self.scrapes.get_mut(&id) else { return };
                // Over the other family, if there is one.
                scrape.families.pop_front();
                match scrape.families.is_empty() {
                    true => self.scrape_over(id, Some(error)),
                    false => self.scrape_next(id),
                }
            }
        }
    }

    /// Gives up on a scrape; no event follows.
    pub fn withdraw_scrape(&mut self, id: ScrapeId) {
        let Some(scrape) = self.scrapes.remove(&id) else { return };
        self.let_go(Route::Servers(scrape.kept));
        let ours = |asked: &Asked| matches!(asked, Asked::Scrape(other) if *other == id);
        let requests = self.requests.iter().filter(|(_, asked)| ours(asked));
        for request in requests.map(|(request, _)| *request).collect::<Vec<_>>() {
            self.requests.remove(&request);
            self.udp.withdraw(request);
        }
        self.drop_errands(|purpose| {
            matches!(purpose, Purpose::Scrape(other) | Purpose::ResolveScrape(other) if *other == id)
        });
    }

    /// A part was answered: what is missing in it is told to be unknown.
    fn scrape_part(&mut self, id: ScrapeId, counts: Vec<(InfoHash, crate::announce::Counts)>) {
        let Some(scrape) = self.scrapes.get_mut(&id) else { return };
        let Some(part) = scrape.parts.pop_front() else { return };
        for swarm in part {
            let found = counts.iter().find(|(other, _)| *other == swarm);
            if let Some((_, counts)) = found {
                self.news.push_back(Event::Scraped { scrape: id, swarm, counts: *counts });
            }
        }
        self.scrape_next(id);
    }

    fn scrape_over(&mut self, id: ScrapeId, error: Option<String>) {
        let Some(scrape) = self.scrapes.remove(&id) else { return };
        self.let_go(Route::Servers(scrape.kept));
        self.news.push_back(Event::ScrapeFinished { scrape: id, error });
    }
}

fn fetch(url: &str, swarms: &[InfoHash]) -> Result<String, String> {
    let parsed = TrackerUrl::parse(url).map_err(|error| error.to_string())?;
    scrape_url(&parsed, swarms).ok_or_else(|| {
        "it offers no scrape: no segment of its path begins with `announce` (BEP 48)".to_string()
    })
}
