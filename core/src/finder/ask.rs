//! Asking trackers, and hearing them.
//!
//! One announce of a search to a tracker is a request for each swarm (a hybrid torrent has two) and
//! each address family that both sides have (BEP 7). It succeeded with the first that is answered,
//! and failed when all have. A later announce to the same tracker is another *round*: what still
//! comes of an earlier one is told, and changes nothing else.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use rand_core::CryptoRng;

use super::event::{Errand, Event, ScrapeId, SearchId, Source, TrackerState};
use super::search::{Gathered, Route, TrackerRow};
use super::{Finder, family_of};
use crate::announce::{Announce, Counts, Happening};
use crate::contact::Family;
use crate::dht::Storage;
use crate::tracker::http::{AnswerError, Retry, announce_url, read_announced};
use crate::tracker::tiers::{Again, Policy};
use crate::tracker::udp::{self, Patience, RequestId, ServerId, TrackerError};
use crate::tracker::{Scheme, TrackerUrl};

/// The port that is named by who only looks, and is gone a moment later: one that is reserved and
/// that nobody listens on.
pub(super) const NOBODYS_PORT: u16 = 49_151;

/// Goodbyes are repeated once.
const GOODBYE: Patience = Patience { first: Duration::from_secs(1), repeats: 1 };

/// What a request over UDP was for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    Announce(Request),
    Scrape(ScrapeId),
}

/// One of the requests of an announce.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    search: SearchId,
    tracker: u16,
    round: u16,
    v4: bool,
}

/// What an errand is for.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    /// To announce there, with this event.
    Resolve(Request, Happening),
    ResolveScrape(ScrapeId),
    Announce(Request),
    Scrape(ScrapeId),
}

/// Why something failed, and when it may be tried again.
type Failure = (String, Again);

/// A UDP server, shared by all searches and scrapes that ask it.
#[derive(Debug)]
pub(super) struct Server {
    id: ServerId,
    addr: SocketAddr,
    target: String,
    users: u32,
}

impl Asked {
    pub(super) fn is_of(&self, id: SearchId) -> bool {
        matches!(self, Asked::Announce(request) if request.search == id)
    }
}

impl Purpose {
    pub(super) fn is_of(&self, id: SearchId) -> bool {
        match self {
            Purpose::Resolve(request, _) | Purpose::Announce(request) => request.search == id,
            Purpose::ResolveScrape(_) | Purpose::Scrape(_) => false,
        }
    }
}

impl<S: Storage, R: CryptoRng> Finder<S, R> {
    /// A tracker's turn has come.
    pub(super) fn ask_tracker(&mut self, id: SearchId, tracker: u16, event: Happening) {
        // What is left of the announce before is late enough.
        self.withdraw(id, tracker, |_| true);
        let Some(row) = self.row(id, tracker) else { return };
        row.gathered = Gathered::default();
        row.round = row.round.wrapping_add(1);
        row.open = 1;
        row.is_answered = false;
        row.is_goodbye = event == Happening::Stopped;
        let is_news = !row.is_goodbye;
        let (route, url, round) = (row.route.clone(), row.status.url.clone(), row.round);
        if is_news {
            row.status.state = TrackerState::Asking;
            self.news.push_back(Event::Tracker { search: id, tracker });
        }
        // What can be wrong with the URL was told when the search began.
        let Ok(url) = TrackerUrl::parse(&url) else { return };
        let request = Request { search: id, tracker, round, v4: true };
        match (route, url.ip()) {
            (Route::Servers(servers), _) => self.announce_to(request, event, &servers),
            (Route::Http, _) => self.announce_by_http(request, event, &url),
            (Route::Unresolved, None) => {
                let what = Errand::Resolve { host: url.host.to_string(), port: url.port };
                self.errand(Purpose::Resolve(request, event), what);
            }
            (Route::Unresolved, Some(ip)) => {
                let addr = SocketAddr::new(ip, url.port);
                self.hear_resolved(Purpose::Resolve(request, event), Ok(&[addr]));
            }
        }
    }

    /// A search ends while a tracker is being asked. What is still worth waiting for is an answer
    /// to the first announce, since it may have been heard: goodbye follows it.
    pub(super) fn give_up(&mut self, id: SearchId, tracker: u16) {
        let Some(search) = self.searches.get(&id) else { return };
        let Some(row) = search.trackers.get(usize::from(tracker)) else { return };
        if row.open == 0 || row.is_goodbye {
            return;
        }
        let knows = row.is_answered || search.tiers.knows(tracker);
        self.withdraw(id, tracker, |is_sent| knows || !is_sent);
        let now = self.now;
        let Some(search) = self.searches.get_mut(&id) else { return };
        let Some(row) = search.trackers.get_mut(usize::from(tracker)) else { return };
        if row.open > 0 {
            // Those of them that no runtime has begun yet need not be.
            let ours = |purpose: &Purpose| matches!(purpose, Purpose::Announce(r) if r.search == id && r.tracker == tracker);
            let errands = self.errands.iter().filter(|(_, (purpose, _))| ours(purpose));
            let withdrawn = errands.map(|(errand, _)| Event::Withdrawn { errand: *errand });
            self.news.extend(withdrawn);
            return;
        }
        if row.status.state == TrackerState::Asking {
            row.status.state = if knows { TrackerState::Working } else { TrackerState::Waiting };
        }
        match knows {
            true => search.tiers.abandon(tracker),
            false => search.tiers.failed(now, tracker, Again::Never),
        }
    }

    /// Withdraws requests to a tracker that are open, by whether they were sent.
    fn withdraw(&mut self, id: SearchId, tracker: u16, pick: impl Fn(bool) -> bool) {
        let ours = |request: &Request| request.search == id && request.tracker == tracker;
        let requests: Vec<RequestId> = self
            .requests
            .iter()
            .filter(|(_, asked)| matches!(asked, Asked::Announce(request) if ours(request)))
            .map(|(request, _)| *request)
            .filter(|request| pick(self.udp.is_sent(*request)))
            .collect();
        for request in &requests {
            self.udp.withdraw(*request);
            self.requests.remove(request);
        }
        // An URL may have been fetched by now; who resolves a name has told nobody of us.
        let before = self.errands.len();
        self.drop_errands(|purpose| match purpose {
            Purpose::Resolve(request, _) => ours(request) && pick(false),
            Purpose::Announce(request) => ours(request) && pick(true),
            Purpose::ResolveScrape(_) | Purpose::Scrape(_) => false,
        });
        let dropped = requests.len() + before - self.errands.len();
        if let Some(row) = self.row(id, tracker) {
            row.open = row.open.saturating_sub(dropped as u16);
        }
    }

    /// The announces of one round, one for each swarm.
    fn announces(&self, id: SearchId, event: Happening) -> Vec<Announce> {
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

    fn announce_to(&mut self, request: Request, event: Happening, servers: &[ServerId]) {
        let announces = self.announces(request.search, event);
        let patience = match (event, self.searches.get(&request.search)) {
            (Happening::Stopped, _) | (_, None) => GOODBYE,
            (_, Some(search)) => search.wanted.patience,
        };
        for server in servers {
            let v4 = self.servers.iter().any(|s| s.id == *server && s.addr.is_ipv4());
            let request = Request { v4, ..request };
            if !self.is_wanted(&request, event) {
                continue;
            }
            for announce in &announces {
                match self.udp.announce(*server, *announce, patience) {
                    Ok(id) => {
                        self.opened(&request);
                        self.requests.insert(id, Asked::Announce(request));
                    }
                    Err(error) => self.failed(&request, why(error)),
                }
            }
        }
        self.closed(&request);
    }

    fn announce_by_http(&mut self, request: Request, event: Happening, url: &TrackerUrl<'_>) {
        let row = self.row(request.search, request.tracker);
        let tracker_id = row.and_then(|row| row.tracker_id.clone());
        let host = url.ip().map(family_of);
        for family in self.families.clone() {
            let request = Request { v4: family == Family::V4, ..request };
            let is_reached = host.is_none_or(|host| host == family);
            if !is_reached || !self.is_wanted(&request, event) {
                continue;
            }
            for announce in self.announces(request.search, event) {
                let url = announce_url(url, &announce, tracker_id.as_deref());
                let is_goodbye = event == Happening::Stopped;
                self.opened(&request);
                let what = Errand::Fetch { url, family, is_goodbye };
                self.errand(Purpose::Announce(request), what);
            }
        }
        self.closed(&request);
    }

    /// Whether to announce over a family: goodbye is said where somebody knows us.
    fn is_wanted(&mut self, request: &Request, event: Happening) -> bool {
        let family = usize::from(!request.v4);
        let row = self.row(request.search, request.tracker);
        let knows = row.and_then(|row| row.knows.get(family).copied()).unwrap_or(false);
        event != Happening::Stopped || knows
    }

    // What comes back.

    pub(super) fn hear_resolved(
        &mut self,
        purpose: Purpose,
        result: Result<&[SocketAddr], String>,
    ) {
        let (request, event) = match purpose {
            Purpose::Resolve(request, event) => (request, event),
            Purpose::ResolveScrape(id) => return self.scrape_resolved(id, result),
            // A runtime that mixes up its errands is told nothing.
            Purpose::Announce(_) | Purpose::Scrape(_) => return,
        };
        let Some(row) = self.row(request.search, request.tracker) else { return };
        let url = row.status.url.clone();
        let result = result.map_err(|error| (error, Again::Backoff));
        match result.and_then(|addrs| self.servers_at(&url, addrs)) {
            Ok(servers) => {
                if let Some(row) = self.row(request.search, request.tracker) {
                    row.route = Route::Servers(servers.clone());
                }
                self.announce_to(request, event, &servers);
            }
            Err(failure) => {
                self.failed(&request, failure);
                self.closed(&request);
            }
        }
    }

    /// Servers at these addresses: the first of each family that there is a socket for.
    pub(super) fn servers_at(
        &mut self,
        url: &str,
        addrs: &[SocketAddr],
    ) -> Result<Vec<ServerId>, Failure> {
        let parsed = TrackerUrl::parse(url);
        let target = parsed.map_err(|error| (error.to_string(), Again::Never))?.target.to_string();
        let mut servers = Vec::new();
        for family in self.families.clone() {
            let Some(addr) = addrs.iter().find(|addr| Family::of(addr) == family) else { continue };
            match self.server_at(*addr, &target) {
                Ok(server) => servers.push(server),
                Err(error) => {
                    self.let_go(Route::Servers(servers));
                    return Err(why(error));
                }
            }
        }
        let failure = |text: &str| Err((text.to_string(), Again::Backoff));
        match servers.is_empty() {
            true if addrs.is_empty() => failure("the host has no address"),
            true => failure("there is no socket of its address family"),
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
        let id = event.request();
        let Some(asked) = self.requests.remove(&id) else { return };
        let request = match asked {
            Asked::Scrape(id) => return self.scrape_heard(id, event),
            Asked::Announce(request) => request,
        };
        if let udp::Event::Announced { interval, counts, .. } = event {
            let peers: Vec<SocketAddr> = self.udp.peers(id).collect();
            for peer in peers {
                self.note(request.search, peer, Source::Tracker(request.tracker));
            }
            self.answered(&request, Some(counts), Some(interval), None);
        } else {
            let text = self.failure(&event);
            self.failed(&request, (text, Again::Backoff));
        }
        self.closed(&request);
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
        let request = match purpose {
            Purpose::Announce(request) => request,
            Purpose::Scrape(id) => return self.scrape_fetched(id, result),
            Purpose::Resolve(..) | Purpose::ResolveScrape(_) => return,
        };
        let read = result.map_err(|error| (error, Again::Backoff)).and_then(|body| {
            read_announced(body).map_err(|error| {
                let retry = match &error {
                    AnswerError::Refused(refusal) => refusal.retry,
                    _ => None,
                };
                let again = match retry {
                    Some(Retry::Never) => Again::Never,
                    Some(Retry::After(time)) => Again::After(time),
                    None => Again::Backoff,
                };
                (error.to_string(), again)
            })
        });
        match read {
            Ok(announced) => {
                for peer in announced.peers {
                    self.note(request.search, peer, Source::Tracker(request.tracker));
                }
                if let Some(row) = self.row(request.search, request.tracker) {
                    row.status.warning = announced.warning;
                    row.status.external_ip = announced.external_ip.or(row.status.external_ip);
                    row.tracker_id = announced.tracker_id.or(row.tracker_id.take());
                }
                let (counts, interval) = (announced.counts, announced.interval);
                self.answered(&request, counts, interval, announced.min_interval);
            }
            Err(failure) => self.failed(&request, failure),
        }
        self.closed(&request);
    }

    // The requests of one announce, together.

    fn row(&mut self, id: SearchId, tracker: u16) -> Option<&mut TrackerRow> {
        self.searches.get_mut(&id)?.trackers.get_mut(usize::from(tracker))
    }

    fn opened(&mut self, request: &Request) {
        if let Some(row) = self.row(request.search, request.tracker) {
            row.open = row.open.saturating_add(1);
        }
    }

    /// A request was answered. With the first of them the announce has succeeded.
    fn answered(
        &mut self,
        request: &Request,
        counts: Option<Counts>,
        interval: Option<Duration>,
        interval_min: Option<Duration>,
    ) {
        let now = self.now;
        let tracker = request.tracker;
        let Some(search) = self.searches.get_mut(&request.search) else { return };
        let Some(row) = search.trackers.get_mut(usize::from(tracker)) else { return };
        if row.round != request.round {
            return;
        }
        if let Some(knows) = row.knows.get_mut(usize::from(!request.v4)) {
            *knows = !row.is_goodbye;
        }
        if row.is_goodbye {
            return;
        }
        // Of two swarms, or of two addresses of the tracker, the fuller picture.
        let total = |counts: Option<Counts>| counts.map(|c| c.seeders.saturating_add(c.leechers));
        if !row.is_answered || total(counts) > total(row.status.counts) {
            row.status.counts = counts.or(row.status.counts);
        }
        if row.is_answered {
            return;
        }
        row.is_answered = true;
        row.status.state = TrackerState::Working;
        row.status.error = None;
        row.status.interval = interval;
        search.tiers.succeeded(now, tracker, interval, interval_min);
        if !search.wanted.keep && search.wanted.policy == Policy::InTurn {
            let others = (0..search.trackers.len() as u16).filter(|other| *other != tracker);
            others.for_each(|other| search.tiers.close(other));
        }
        self.news.push_back(Event::Tracker { search: request.search, tracker });
    }

    /// A request failed.
    fn failed(&mut self, request: &Request, (error, again): Failure) {
        let Some(row) = self.row(request.search, request.tracker) else { return };
        let gathered = &mut row.gathered;
        if row.round != request.round || gathered.again == Again::Soon {
            return;
        }
        // Of two errors the one over IPv4 is told: the lack of IPv6 is no news.
        let is_told = gathered.error.is_none() || request.v4 && !gathered.error_is_v4;
        if is_told || again == Again::Soon {
            *gathered = Gathered { again, error: Some(error), error_is_v4: request.v4 };
        }
    }

    /// One of the requests is over; with the last of them, the announce is.
    fn closed(&mut self, request: &Request) {
        let now = self.now;
        let (id, tracker) = (request.search, request.tracker);
        let Some(search) = self.searches.get_mut(&id) else { return };
        let Some(row) = search.trackers.get_mut(usize::from(tracker)) else { return };
        if row.round != request.round {
            return;
        }
        row.open = row.open.saturating_sub(1);
        if row.open > 0 {
            return;
        }
        let keep = search.wanted.keep;
        // Nothing more is to be asked there, or under another address.
        let mut lets_go = !keep;
        if row.is_goodbye {
            search.tiers.succeeded(now, tracker, None, None);
        } else if row.is_answered {
            match (search.wanted.announce, search.stopping) {
                _ if keep => {}
                // Asked once: who only looked says so, who announced leaves it at that.
                (Some(_), None) => search.tiers.close(tracker),
                _ => {
                    search.tiers.leave(tracker);
                    lets_go = false;
                }
            }
        } else {
            let gathered = core::mem::take(&mut row.gathered);
            let again = match gathered.again {
                Again::Soon => Again::Soon,
                _ if !keep => Again::Never,
                again => again,
            };
            search.tiers.failed(now, tracker, again);
            lets_go = true;
            row.status.state = TrackerState::Waiting;
            if again != Again::Soon {
                row.status.state = TrackerState::Failed;
                let nowhere = || "there is no socket to reach it from".to_string();
                row.status.error = Some(gathered.error.unwrap_or_else(nowhere));
            }
            self.news.push_back(Event::Tracker { search: id, tracker });
        }
        if let Some(row) = self.row(id, tracker)
            && matches!(row.route, Route::Servers(_))
            && lets_go
        {
            // It may have moved, or not be asked again: the name is resolved anew.
            let route = core::mem::replace(&mut row.route, Route::Unresolved);
            self.let_go(route);
        }
        self.settle(id);
    }
}

fn why(error: TrackerError) -> Failure {
    let again = if error == TrackerError::Busy { Again::Soon } else { Again::Backoff };
    (error.to_string(), again)
}

/// Whether a URL is one that UDP trackers have.
pub(super) fn is_udp(url: &TrackerUrl<'_>) -> bool {
    url.scheme == Scheme::Udp
}
