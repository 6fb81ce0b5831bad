//! Who is in this swarm? One question, asked of the DHT and of every tracker at once.
//!
//! A [`Finder`] is a [`Machine`] around a [`Dual`] and a [`UdpTrackers`] on the same sockets. It
//! knows which torrents are looked for, asks every source when it is due, and tells each peer as
//! soon as somebody names it. What only a runtime can do — resolve a name, get an URL — it tells as
//! an [`Errand`], and waits for the result no longer than [`ERRAND_TIMEOUT`]; so all runtimes share
//! everything but the waiting.
//!
//! ```text
//!  Search ─┬─ Dual ──────── get_peers, announce ───────────────▶ Event::Peer
//!          └─ Tiers ─┬─ UdpTrackers ── connect, announce ──────▶ Event::Peer
//!                    └─ Errand::Fetch ── http::read_announced ─▶ Event::Peer
//! ```
//!
//! | kind | file |
//! |---|---|
//! | what is told and wanted | `event.rs`, `search.rs` |
//! | commands, time, the contract | `mod.rs` |
//! | asking trackers, and hearing them | `ask.rs` |
//! | asking the DHT, each search in its turn | `turns.rs` |
//! | counts of swarms | `scrape.rs` |

mod ask;
mod event;
mod scrape;
mod search;
mod turns;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use rand_core::CryptoRng;

use self::ask::{Asked, Purpose, Server};
pub use self::event::{
    Errand, ErrandId, Event, ScrapeId, SearchId, Source, TrackerState, TrackerStatus,
};
use self::scrape::Scrape;
use self::search::{DhtStage, Search};
pub use self::search::{Presence, Wanted};
pub use self::turns::DhtStatus;
use self::turns::Turns;
use crate::contact::Family;
use crate::dht::schedule::{Pacing, Schedule};
use crate::dht::{Dual, LookupId, Storage};
use crate::list::Bounded;
use crate::machine::{Buffer, Ignored, Machine, Transmit, earliest};
use crate::time::Instant;
use crate::tracker::udp::{self, RequestId, UdpTrackers};

/// How long a runtime may take for an errand before it is given up.
pub const ERRAND_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a search that is told to stop may take to say goodbye to its trackers.
pub const GOODBYE_TIMEOUT: Duration = Duration::from_secs(3);

/// Finds the peers of torrents. See the [module](self).
pub struct Finder<S: Storage, R: CryptoRng> {
    /// The DHT, for everything that has nothing to do with a search.
    pub dht: Dual<S, R>,
    udp: UdpTrackers<udp::Heap, R>,
    random: R,
    /// Address families that there is a socket for.
    families: Vec<Family>,
    searches: BTreeMap<SearchId, Search>,
    scrapes: BTreeMap<ScrapeId, Scrape>,
    lookups: BTreeMap<LookupId, SearchId>,
    /// Whose turn it is with the DHT: searches that are kept.
    turns: Turns,
    requests: BTreeMap<RequestId, Asked>,
    servers: Vec<Server>,
    errands: BTreeMap<ErrandId, (Purpose, Instant)>,
    news: VecDeque<Event>,
    /// Told at the last poll; forgotten at the next.
    told: Option<SearchId>,
    named: u32,
    /// Searches wait with the DHT until names of nodes are resolved.
    dht_held: bool,
    /// The present, as far as the driver has said.
    now: Instant,
    /// Who is served first.
    turn: bool,
}

impl<S: Storage, R: CryptoRng> Finder<S, R> {
    /// Around a DHT, which may be without nodes. `families` are those that there is a socket for,
    /// `trackers` how much of UDP trackers may be under way.
    pub fn new(
        dht: Dual<S, R>,
        trackers: udp::Heap,
        families: impl IntoIterator<Item = Family>,
        [udp, random]: [R; 2],
    ) -> Self {
        Self {
            dht,
            udp: UdpTrackers::new(trackers, udp),
            random,
            families: families.into_iter().collect(),
            searches: BTreeMap::new(),
            scrapes: BTreeMap::new(),
            lookups: BTreeMap::new(),
            turns: Schedule::new(Bounded::by_need(usize::MAX), Pacing::default()),
            requests: BTreeMap::new(),
            servers: Vec::new(),
            errands: BTreeMap::new(),
            news: VecDeque::new(),
            told: None,
            named: 0,
            dht_held: false,
            now: Instant::EPOCH,
            turn: false,
        }
    }

    // Commands.

    /// Begins a search. Ends in exactly one [`Event::Finished`], unless it is kept and never told
    /// to stop.
    pub fn search(&mut self, now: Instant, wanted: Wanted) -> SearchId {
        self.now = now;
        let id = SearchId(self.name());
        let mut search = Search::new(wanted, now, &mut self.random);
        if self.families.iter().all(|family| self.dht.node(*family).is_none()) {
            search.dht = DhtStage::Off;
        }
        // A private torrent's peers are its trackers' to name.
        let named = match search.wanted.torrent.private {
            true => Vec::new(),
            false => search.wanted.torrent.peers.clone(),
        };
        let unusable = search.trackers.iter().enumerate();
        let unusable = unusable.filter(|(_, row)| row.status.state == TrackerState::Failed);
        let unusable: Vec<u16> = unusable.map(|(number, _)| number as u16).collect();
        if search.dht == DhtStage::Waiting {
            self.take_turns(id, &search.wanted);
        }
        self.searches.insert(id, search);
        for peer in named {
            self.note(id, peer, Source::Torrent);
        }
        let news = unusable.into_iter().map(|tracker| Event::Tracker { search: id, tracker });
        self.news.extend(news);
        self.settle(id);
        id
    }

    /// Tells a search to end: lookups are cancelled, trackers that know us are told that we go.
    /// [`Event::Finished`] follows after [`GOODBYE_TIMEOUT`] at the latest.
    pub fn stop(&mut self, now: Instant, id: SearchId) {
        self.now = now;
        let Some(search) = self.searches.get_mut(&id) else { return };
        if search.stopping.is_some() {
            return;
        }
        search.stopping = Some(now + GOODBYE_TIMEOUT);
        search.dht = DhtStage::Off;
        self.turns.remove(&id);
        search.tiers.stop();
        let trackers = search.trackers.len() as u16;
        for lookup in search.lookups.clone() {
            self.dht.cancel(now, lookup);
        }
        for tracker in 0..trackers {
            self.give_up(id, tracker);
        }
        self.settle(id);
    }

    /// Tells every search to end.
    pub fn stop_all(&mut self, now: Instant) {
        for id in self.searches.keys().copied().collect::<Vec<_>>() {
            self.stop(now, id);
        }
    }

    /// Says that the download of a kept search is complete: trackers are told at once.
    pub fn complete(&mut self, now: Instant, id: SearchId) {
        self.now = now;
        let Some(search) = self.searches.get_mut(&id) else { return };
        let Some(presence) = &mut search.wanted.announce else { return };
        // Who had everything from the start has nothing to tell (BEP 3).
        if core::mem::take(&mut presence.left) != 0 {
            search.tiers.complete(now);
        }
    }

    /// Changes what a kept search tells trackers of us, from the next announce on.
    pub fn set_presence(&mut self, id: SearchId, presence: Presence) {
        if let Some(search) = self.searches.get_mut(&id) {
            search.wanted.announce = Some(presence);
        }
    }

    /// Says that we are a partial seed, or no longer (BEP 21).
    pub fn set_paused(&mut self, id: SearchId, paused: bool) {
        if let Some(search) = self.searches.get_mut(&id) {
            search.tiers.set_paused(paused);
        }
    }

    /// Asks for more peers as soon as the trackers allow it, and the DHT before all others.
    pub fn hurry(&mut self, now: Instant, id: SearchId) {
        if let Some(search) = self.searches.get_mut(&id) {
            search.tiers.hurry();
            self.turns.hurry(now, &id);
            if let DhtStage::Due(due) = &mut search.dht {
                *due = now.min(*due);
            }
        }
    }

    /// While held, searches do not ask a DHT that knows nobody: names of nodes are being resolved.
    pub fn hold_dht(&mut self, held: bool) {
        self.dht_held = held;
        // Somebody may be known by now, whichever names are still missing.
        for search in self.searches.values_mut() {
            if search.dht == DhtStage::Held {
                search.dht = DhtStage::Due(self.now);
            }
        }
    }

    /// The addresses of a host that was to be resolved; none if there are none, and why.
    pub fn resolved(
        &mut self,
        now: Instant,
        errand: ErrandId,
        result: Result<&[SocketAddr], String>,
    ) {
        self.now = now;
        if let Some((purpose, _)) = self.errands.remove(&errand) {
            self.hear_resolved(purpose, result);
        }
    }

    /// What an HTTP tracker answered with, or why it did not.
    pub fn fetched(&mut self, now: Instant, errand: ErrandId, result: Result<&[u8], String>) {
        self.now = now;
        if let Some((purpose, _)) = self.errands.remove(&errand) {
            self.hear_fetched(purpose, result);
        }
    }

    // Views.

    /// What is known of the trackers of a search, by number.
    pub fn trackers(&self, id: SearchId) -> impl Iterator<Item = TrackerStatus> + '_ {
        let search = self.searches.get(&id);
        search.into_iter().flat_map(|search| {
            search.trackers.iter().enumerate().map(|(number, row)| {
                let (failures, next) = search.tiers.state(number as u16);
                TrackerStatus { failures, next, ..row.status.clone() }
            })
        })
    }

    /// How many searches are under way.
    pub fn searches(&self) -> usize {
        self.searches.len()
    }

    /// Whether an errand still waits for its result.
    pub fn awaits(&self, errand: ErrandId) -> bool {
        self.errands.contains_key(&errand)
    }

    // Shared by the files of this module.

    fn name(&mut self) -> u32 {
        self.named = self.named.wrapping_add(1);
        self.named
    }

    fn errand(&mut self, purpose: Purpose, what: Errand) {
        let errand = ErrandId(self.name());
        self.errands.insert(errand, (purpose, self.now + ERRAND_TIMEOUT));
        self.news.push_back(Event::Errand { errand, what });
    }

    fn drop_errands(&mut self, pick: impl Fn(&Purpose) -> bool) {
        let dropped: Vec<ErrandId> = self
            .errands
            .iter()
            .filter(|(_, (purpose, _))| pick(purpose))
            .map(|(errand, _)| *errand)
            .collect();
        for errand in dropped {
            self.errands.remove(&errand);
            self.news.push_back(Event::Withdrawn { errand });
        }
    }

    /// Somebody named a peer.
    fn note(&mut self, id: SearchId, peer: SocketAddr, source: Source) {
        let Some(search) = self.searches.get_mut(&id) else { return };
        if let Some(is_new) = search.note(peer, source) {
            self.news.push_back(Event::Peer { search: id, peer, source, is_new });
        }
    }

    /// Ends a search that has nothing left to wait for.
    fn settle(&mut self, id: SearchId) {
        let until = self.now + GOODBYE_TIMEOUT;
        if let Some(search) = self.searches.get_mut(&id)
            && search.stopping.is_none()
            && search.is_leaving()
        {
            search.stopping = Some(until);
        }
        let over = self.searches.get(&id).is_some_and(Search::is_over);
        let told = Event::Finished { search: id };
        if over && !self.news.contains(&told) && self.told != Some(id) {
            self.news.push_back(told);
        }
    }

    /// Forgets a search, whatever it still waits for.
    fn forget(&mut self, id: SearchId) {
        let Some(search) = self.searches.remove(&id) else { return };
        for lookup in search.lookups {
            self.lookups.remove(&lookup);
            self.dht.cancel(self.now, lookup);
        }
        let requests = self.requests.iter().filter(|(_, asked)| asked.is_of(id));
        for request in requests.map(|(request, _)| *request).collect::<Vec<_>>() {
            self.requests.remove(&request);
            self.udp.withdraw(request);
        }
        self.drop_errands(|purpose| purpose.is_of(id));
        for row in search.trackers {
            self.let_go(row.route);
        }
    }

    // Time passes.

    fn advance(&mut self, now: Instant) {
        self.now = now;
        while let Some((errand, _)) = self.errands.iter().find(|(_, (_, until))| *until <= now) {
            let errand = *errand;
            let Some((purpose, _)) = self.errands.remove(&errand) else { break };
            self.news.push_back(Event::Withdrawn { errand });
            let error = alloc::format!("no answer within {} s", ERRAND_TIMEOUT.as_secs());
            match purpose {
                Purpose::Resolve(..) | Purpose::ResolveScrape(_) => {
                    self.hear_resolved(purpose, Err(error));
                }
                Purpose::Announce(_) | Purpose::Scrape(_) => {
                    self.hear_fetched(purpose, Err(error));
                }
            }
        }
        self.pass_turns();
        let ids: Vec<SearchId> = self.due(now).collect();
        for id in ids {
            let Some(search) = self.searches.get_mut(&id) else { continue };
            if search.stopping.is_some_and(|until| until <= now) {
                // Whoever has not answered by now need not know.
                search.tiers = crate::tracker::tiers::Tiers::new(
                    crate::list::Bounded::new(0),
                    search.wanted.policy,
                    search.wanted.pace,
                );
                for lookup in search.lookups.drain(..) {
                    self.lookups.remove(&lookup);
                }
                search.trackers.iter_mut().for_each(|row| row.open = 0);
                search.stopping = Some(Instant::NEVER);
                self.settle(id);
                continue;
            }
            while let Some(search) = self.searches.get_mut(&id)
                && let Some((tracker, event)) = search.tiers.poll(now)
            {
                self.ask_tracker(id, tracker, event);
            }
            self.ask_dht(id);
        }
    }

    /// Searches with something to do.
    fn due(&self, now: Instant) -> impl Iterator<Item = SearchId> {
        let due = move |search: &Search| deadline(search).is_some_and(|at| at <= now);
        self.searches.iter().filter(move |(_, search)| due(search)).map(|(id, _)| *id)
    }
}

/// When a search wants to do something.
fn deadline(search: &Search) -> Option<Instant> {
    let dht = match search.dht {
        DhtStage::Due(due) => Some(due),
        DhtStage::Off | DhtStage::Held | DhtStage::Waiting | DhtStage::Asking => None,
    };
    let stopping = search.stopping.filter(|until| *until != Instant::NEVER);
    earliest(earliest(dht, stopping), search.tiers.deadline())
}

impl<S: Storage, R: CryptoRng> Machine for Finder<S, R> {
    type Event = Event;

    fn handle_datagram(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Ignored> {
        let taken = match self.dht.handle_datagram(now, from, datagram) {
            Err(Ignored::Foreign) => self.udp.handle_datagram(now, from, datagram),
            done => done,
        };
        if taken.is_ok() {
            self.now = now;
        }
        taken
    }

    fn handle_datagram_at(
        &mut self,
        now: Instant,
        local: SocketAddr,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Ignored> {
        let taken = match self.dht.handle_datagram_at(now, local, from, datagram) {
            Err(Ignored::Foreign) => self.udp.handle_datagram_at(now, local, from, datagram),
            done => done,
        };
        if taken.is_ok() {
            self.now = now;
        }
        taken
    }

    fn poll_transmit(&mut self, now: Instant, buffer: &mut Buffer) -> Option<Transmit> {
        self.advance(now);
        self.turn = !self.turn;
        if self.turn {
            return match self.udp.poll_transmit(now, buffer) {
                None => self.dht.poll_transmit(now, buffer),
                some => some,
            };
        }
        match self.dht.poll_transmit(now, buffer) {
            None => self.udp.poll_transmit(now, buffer),
            some => some,
        }
    }

    fn poll_event(&mut self) -> Option<Event> {
        if let Some(told) = self.told.take() {
            self.forget(told);
        }
        loop {
            if let Some(event) = self.news.pop_front() {
                if let Event::Finished { search } = event {
                    self.told = Some(search);
                }
                return Some(event);
            }
            if let Some(event) = self.udp.poll_event() {
                self.hear_udp(event);
                continue;
            }
            let event = self.dht.poll_event()?;
            if let Some(event) = self.hear_dht(event) {
                return Some(event);
            }
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let machines = earliest(self.dht.poll_timeout(), self.udp.poll_timeout());
        let errands = self.errands.values().map(|(_, until)| *until).min();
        let searches = self.searches.values().filter_map(deadline).min();
        let turns = self.turns.deadline().filter(|_| !self.is_held());
        earliest(earliest(machines, turns), earliest(errands, searches))
    }
}

/// The family of an address.
fn family_of(ip: IpAddr) -> Family {
    if ip.is_ipv4() { Family::V4 } else { Family::V6 }
}
