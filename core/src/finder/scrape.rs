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
use crate::dht::Storage;
use crate::id::InfoHash;
use crate::time::Instant;
use crate::tracker::http::{read_scraped, scrape_url};
use crate::tracker::udp::{self, Patience, ServerId};
use crate::tracker::{TrackerUrl, UrlError};

/// Swarms of one request. BEP 15 allows 74; a tracker in use answers 70 of them, and 70 stay within
/// one frame of Ethernet.
const SWARMS: usize = 70;

/// A scrape under way.
pub(super) struct Scrape {
    url: String,
    patience: Patience,
    /// Not asked for yet, in parts.
    parts: VecDeque<Vec<InfoHash>>,
    /// Servers not given up, the one that is asked first.
    servers: VecDeque<ServerId>,
    kept: Vec<ServerId>,
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
        let parts = swarms.chunks(SWARMS).map(<[InfoHash]>::to_vec).collect();
        let (servers, kept) = (VecDeque::new(), Vec::new());
        let url = url.to_string();
        self.scrapes.insert(id, Scrape { url, patience, parts, servers, kept });
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
        match result.and_then(|addrs| self.servers_at(&url, addrs)) {
            Ok(servers) => {
                if let Some(scrape) = self.scrapes.get_mut(&id) {
                    scrape.servers = servers.iter().copied().collect();
                    scrape.kept = servers;
                }
                self.scrape_next(id);
            }
            Err(error) => self.scrape_over(id, Some(error)),
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
        match fetch(&url, &part) {
            Ok(url) => {
                let family = self.families.first().copied();
                let host = TrackerUrl::parse(&url).ok().and_then(|url| url.ip());
                let family = host.map(super::family_of).or(family);
                let what = family.map(|family| Errand::Fetch { url, family });
                match what {
                    Some(what) => self.errand(Purpose::Scrape(id), what),
                    None => self.scrape_over(id, Some("there is no socket".to_string())),
                }
            }
            Err(error) => self.scrape_over(id, Some(error)),
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
            Err(error) => self.scrape_over(id, Some(error)),
        }
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
