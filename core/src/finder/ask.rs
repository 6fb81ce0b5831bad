//! Asking trackers, and hearing them.
//!
//! One announce of a search to a tracker is a request for each swarm (a hybrid torrent has two) and
//! each address family that both sides have (BEP 7). It succeeded if any of them did.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use rand_core::CryptoRng;

use super::event::{Errand, Event, ScrapeId, SearchId, Source, TrackerState};
use super::search::{Gathered, Route};
use super::{Finder, family_of};
use crate::announce::{Announce, Happening};
use crate::contact::Family;
use crate::dht::Storage;
use crate::tracker::http::{AnswerError, Retry, announce_url, read_announced};
use crate::tracker::tiers::{Again, Policy};
use crate::tracker::udp::{self, Patience, RequestId, ServerId, TrackerError};
use crate::tracker::{Scheme, TrackerUrl};

/// The port that is named by who only looks, and is gone a moment later: one that is reserved and
/// that nobody listens on.
const NOBODYS_PORT: u16 = 49_151;

/// Goodbyes are repeated once.
const GOODBYE: Patience = Patience { first: Duration::from_secs(1), repeats: 1 };

/// What a request over UDP was for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    Announce { search: SearchId, tracker: u16, v4: bool },
    Scrape(ScrapeId),
}

/// What an errand is for.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    /// To announce there, with this event.
    Resolve((SearchId, u16, Happening)),
    ResolveScrape(ScrapeId),
    Announce {
        search: SearchId,
        tracker: u16,
        v4: bool,
    },
    Scrape(ScrapeId),
}

impl Purpose {
    pub(super) fn is_of(&self, id: SearchId) -> bool {
        match self {
            Purpose::Resolve((search, ..)) | Purpose::Announce { search, .. } => *search == id,
            Purpose::ResolveScrape(_) | Purpose::Scrape(_) => false,
        }
    }
}

/// A UDP server, shared by all searches and scrapes that ask it.
#[derive(Debug)]
pub(super) struct Server {
    id: ServerId,
    addr: SocketAddr,
    target: String,
    users: u32,
}

impl<S: Storage, R: CryptoRng> Finder<S, R> {
    /// A tracker's turn has come.
    pub(super) fn ask_tracker(&mut self, id: SearchId, tracker: u16, event: Happening) {
        let Some(search) = self.searches.get_mut(&id) else { return };
        let Some(row) = search.trackers.get_mut(usize::from(tracker)) else { return };
        row.gathered = Gathered::default();
        row.open = 1;
        row.is_goodbye = event == Happening::Stopped;
        let route = row.route.clone();
        let url = row.status.url.clone();
        if !row.is_goodbye {
            row.status.state = TrackerState::Asking;
            self.news.push_back(Event::Tracker { search: id, tracker });
        }
        // What can be wrong with the URL was told when the search began.
        let Ok(url) = TrackerUrl::parse(&url) else { return };
        match (route, url.ip()) {
            (Route::Servers(servers), _) => self.announce_to(id, tracker, event, &servers),
            (Route::Http, _) => self.announce_by_http(id, tracker, event, &url),
            (Route::Unresolved, None) => {
                let what = Errand::Resolve { host: url.host.to_string(), port: url.port };
                self.errand(Purpose::Resolve((id, tracker, event)), what);
            }
            (Route::Unresolved, Some(ip)) => {
                let addr = SocketAddr::new(ip, url.port);
                self.hear_resolved(Purpose::Resolve((id, tracker, event)), Ok(&[addr]));
            }
        }
    }

    /// The announce itself.
    fn announce(&self, id: SearchId, event: Happening) -> Vec<Announce> {
        let Some(search) = self.searches.get(&id) else { return Vec::new() };
        let presence = search.wanted.announce;
        let port = presence.map_or(NOBODYS_PORT, |presence| presence.port);
        let announce = |swarm| {
            let mut announce = Announce::new(swarm, search.peer_id, search.key, port);
            if let Some(presence) = presence {
                announce.downloaded = presence.downloaded;
                announce.left = presence.left;
                announce.uploaded = presence.uploaded;
                announce.ip = presence.ip;
            }
            announce.event = event;
            announce.num_want = match event {
                Happening::Stopped => Some(0),
                _ => search.wanted.num_want,
            };
            announce
        };
        search.swarms().into_iter().map(announce).collect()
    }

    fn announce_to(&mut self, id: SearchId, tracker: u16, event: Happening, servers: &[ServerId]) {
        let announces = self.announce(id, event);
        let patience = match (event, self.searches.get(&id)) {
            (Happening::Stopped, _) | (_, None) => GOODBYE,
            (_, Some(search)) => search.wanted.patience,
        };
        for server in servers {
            for announce in &announces {
                let v4 = self.servers.iter().any(|s| s.id == *server && s.addr.is_ipv4());
                match self.udp.announce(*server, *announce, patience) {
                    Ok(request) => {
                        self.opened(id, tracker);
                        let asked = Asked::Announce { search: id, tracker, v4 };
                        self.requests.insert(request, asked);
                    }
                    Err(error) => {
                        self.gather(id, tracker, v4, Err((error.to_string(), Again::Backoff)))
                    }
                }
            }
        }
        self.closed(id, tracker);
    }

    fn announce_by_http(
        &mut self,
        id: SearchId,
        tracker: u16,
        event: Happening,
        url: &TrackerUrl<'_>,
    ) {
        let Some(search) = self.searches.get(&id) else { return };
        let row = search.trackers.get(usize::from(tracker));
        let tracker_id = row.and_then(|row| row.tracker_id.clone());
        let host = url.ip().map(family_of);
        let families: Vec<Family> = self.families.clone();
        for family in families.into_iter().filter(|family| host.is_none_or(|host| host == *family))
        {
            for announce in self.announce(id, event) {
                let url = announce_url(url, &announce, tracker_id.as_deref());
                self.opened(id, tracker);
                let v4 = family == Family::V4;
                let purpose = Purpose::Announce { search: id, tracker, v4 };
                self.errand(purpose, Errand::Fetch { url, family });
            }
        }
        self.closed(id, tracker);
    }

    // What comes back.

    pub(super) fn hear_resolved(
        &mut self,
        purpose: Purpose,
        result: Result<&[SocketAddr], String>,
    ) {
        let (id, tracker, event) = match purpose {
            Purpose::Resolve(asked) => asked,
            Purpose::ResolveScrape(id) => return self.scrape_resolved(id, result),
            // A runtime that mixes up its errands is told nothing.
            Purpose::Announce { .. } | Purpose::Scrape(_) => return,
        };
        let Some(search) = self.searches.get(&id) else { return };
        let Some(row) = search.trackers.get(usize::from(tracker)) else { return };
        let url = row.status.url.clone();
        let servers = result.and_then(|addrs| self.servers_at(&url, addrs));
        match servers {
            Ok(servers) => {
                let row = self.row(id, tracker);
                if let Some(row) = row {
                    row.route = Route::Servers(servers.clone());
                }
                self.announce_to(id, tracker, event, &servers);
            }
            Err(error) => {
                self.gather(id, tracker, true, Err((error, Again::Backoff)));
                self.closed(id, tracker);
            }
        }
    }

    /// Servers at these addresses: the first of each family that there is a socket for.
    pub(super) fn servers_at(
        &mut self,
        url: &str,
        addrs: &[SocketAddr],
    ) -> Result<Vec<ServerId>, String> {
        let target = TrackerUrl::parse(url).map_err(|error| error.to_string())?.target.to_string();
        let mut servers = Vec::new();
        for family in self.families.clone() {
            let Some(addr) = addrs.iter().find(|addr| Family::of(addr) == family) else { continue };
            match self.server_at(*addr, &target) {
                Ok(server) => servers.push(server),
                Err(error) => {
                    self.let_go(Route::Servers(servers));
                    return Err(error.to_string());
                }
            }
        }
        match servers.is_empty() {
            true if addrs.is_empty() => Err("the host has no address".to_string()),
            true => Err("there is no socket of its address family".to_string()),
            false => Ok(servers),
        }
    }

    fn server_at(&mut self, addr: SocketAddr, target: &str) -> Result<ServerId, TrackerError> {
        let known = self.servers.iter_mut().find(|s| s.addr == addr && s.target == target);
        if let Some(server) = known {
            server.users += 1;
            return Ok(server.id);
        }
        let id = self.udp.add(addr, target.as_bytes())?;
        self.servers.push(Server { id, addr, target: target.to_string(), users: 1 });
        Ok(id)
    }

    /// Gives servers free that nobody else asks.
    pub(super) fn let_go(&mut self, route: Route) {
        let Route::Servers(servers) = route else { return };
        for id in servers {
            let Some(index) = self.servers.iter().position(|server| server.id == id) else {
                continue;
            };
            let Some(server) = self.servers.get_mut(index) else { continue };
            server.users -= 1;
            if server.users == 0 {
                self.servers.swap_remove(index);
                self.udp.remove(id);
            }
        }
    }

    pub(super) fn hear_udp(&mut self, event: udp::Event) {
        let request = event.request();
        let Some(asked) = self.requests.remove(&request) else { return };
        match asked {
            Asked::Scrape(id) => self.scrape_heard(id, event),
            Asked::Announce { search, tracker, v4 } => {
                let answer = match event {
                    udp::Event::Announced { interval, counts, .. } => {
                        let peers: Vec<SocketAddr> = self.udp.peers(request).collect();
                        for peer in peers {
                            self.note(search, peer, Source::Tracker(tracker));
                        }
                        if let Some(row) = self.row(search, tracker) {
                            row.status.counts = Some(counts);
                        }
                        Ok((Some(interval), None))
                    }
                    other => Err((self.failure(&other), Again::Backoff)),
                };
                self.gather(search, tracker, v4, answer);
                self.closed(search, tracker);
            }
        }
    }

    /// Why a request over UDP failed, in the server's words if it has any.
    pub(super) fn failure(&self, event: &udp::Event) -> String {
        match event {
            udp::Event::Refused { request } => self.refusal(*request),
            udp::Event::Silent { .. } => "no answer".to_string(),
            _ => "refused without a word: it may not know this torrent".to_string(),
        }
    }

    fn refusal(&self, request: RequestId) -> String {
        match self.udp.words(request) {
            b"" => "refused without a word".to_string(),
            words => {
                let words = String::from_utf8_lossy(words);
                ["refused: ", words.trim_end_matches('\0')].concat()
            }
        }
    }

    pub(super) fn hear_fetched(&mut self, purpose: Purpose, result: Result<&[u8], String>) {
        let (id, tracker, v4) = match purpose {
            Purpose::Announce { search, tracker, v4 } => (search, tracker, v4),
            Purpose::Scrape(id) => return self.scrape_fetched(id, result),
            Purpose::Resolve(_) | Purpose::ResolveScrape(_) => return,
        };
        let read = result.map_err(|error| (error, Again::Backoff)).and_then(|body| {
            read_announced(body).map_err(|error| {
                let again = match &error {
                    AnswerError::Refused(refusal) => match refusal.retry {
                        Some(Retry::Never) => Again::Never,
                        Some(Retry::After(time)) => Again::After(time),
                        None => Again::Backoff,
                    },
                    _ => Again::Backoff,
                };
                (error.to_string(), again)
            })
        });
        let answer = read.map(|announced| {
            for peer in announced.peers {
                self.note(id, peer, Source::Tracker(tracker));
            }
            if let Some(row) = self.row(id, tracker) {
                row.status.counts = announced.counts.or(row.status.counts);
                row.status.warning = announced.warning;
                row.status.external_ip = announced.external_ip.or(row.status.external_ip);
                row.tracker_id = announced.tracker_id.or(row.tracker_id.take());
            }
            (announced.interval, announced.min_interval)
        });
        self.gather(id, tracker, v4, answer);
        self.closed(id, tracker);
    }

    // The requests of one announce, together.

    fn row(&mut self, id: SearchId, tracker: u16) -> Option<&mut super::search::TrackerRow> {
        self.searches.get_mut(&id)?.trackers.get_mut(usize::from(tracker))
    }

    fn opened(&mut self, id: SearchId, tracker: u16) {
        if let Some(row) = self.row(id, tracker) {
            row.open = row.open.saturating_add(1);
        }
    }

    fn gather(
        &mut self,
        id: SearchId,
        tracker: u16,
        v4: bool,
        answer: Result<(Option<Duration>, Option<Duration>), (String, Again)>,
    ) {
        let Some(row) = self.row(id, tracker) else { return };
        let gathered = &mut row.gathered;
        match answer {
            Ok((interval, interval_min)) => {
                gathered.answered = true;
                gathered.interval = gathered.interval.max(interval);
                gathered.interval_min = gathered.interval_min.max(interval_min);
            }
            // Of two errors the one over IPv4 is told: the lack of IPv6 is no news.
            Err((error, again)) if gathered.error.is_none() || v4 && !gathered.error_is_v4 => {
                gathered.error = Some(error);
                gathered.error_is_v4 = v4;
                gathered.again = again;
            }
            Err(_) => {}
        }
    }

    /// One of the requests is over; with the last of them, the announce is.
    fn closed(&mut self, id: SearchId, tracker: u16) {
        let now = self.now;
        let Some(search) = self.searches.get_mut(&id) else { return };
        let Some(row) = search.trackers.get_mut(usize::from(tracker)) else { return };
        row.open = row.open.saturating_sub(1);
        if row.open > 0 {
            return;
        }
        let gathered = core::mem::take(&mut row.gathered);
        let mut route = None;
        if row.is_goodbye {
            search.tiers.succeeded(now, tracker, None, None);
            return self.settle(id);
        }
        if gathered.answered {
            row.status.state = TrackerState::Working;
            row.status.error = None;
            row.status.interval = gathered.interval;
            search.tiers.succeeded(now, tracker, gathered.interval, gathered.interval_min);
            if !search.wanted.keep {
                // Asked once: who only looked says so, who announced leaves it at that.
                let others = match search.wanted.policy {
                    Policy::All => 0,
                    Policy::InTurn => search.trackers.len() as u16,
                };
                (0..others).filter(|other| *other != tracker).for_each(|n| search.tiers.close(n));
                match (search.wanted.announce, search.stopping) {
                    (Some(_), None) => search.tiers.close(tracker),
                    _ => search.tiers.leave(tracker),
                }
            }
        } else {
            row.status.state = TrackerState::Failed;
            row.status.error = Some(
                gathered.error.unwrap_or_else(|| "there is no socket to reach it from".to_string()),
            );
            let again = if search.wanted.keep { gathered.again } else { Again::Never };
            search.tiers.failed(now, tracker, again);
            // It may have moved: names are resolved anew.
            if matches!(row.route, Route::Servers(_)) {
                route = Some(core::mem::replace(&mut row.route, Route::Unresolved));
            }
        }
        if let Some(route) = route {
            self.let_go(route);
        }
        self.news.push_back(Event::Tracker { search: id, tracker });
        self.settle(id);
    }
}

/// Whether a URL is one that UDP trackers have.
pub(super) fn is_udp(url: &TrackerUrl<'_>) -> bool {
    url.scheme == Scheme::Udp
}
