//! A crawler: which info-hashes do the nodes of the DHT store? (BEP 51)
//!
//! [`Crawler`] owns a [`Node`] and is a [`Machine`] like it. It goes through the key space, or a
//! [slice](CrawlConfig::slice) of it, asks each node for a sample and in the same question for nodes,
//! and comes back to those who store more than they told, but never before the interval is over that
//! they asked for. What it finds it tells as [events](Event); it keeps no hashes but a set of a fixed
//! size that knows them again.
//!
//! | file | what it decides |
//! |---|---|
//! | `plan.rs` | whom next, about what; when a round is over, and when the next begins |
//! | `known.rs` | when a node may be asked again |
//! | `seen.rs` | whether a hash is new |
//! | `prefix.rs` | parts of the key space |
//! | `hear.rs` | what an answer says |
//! | `save.rs` | the state as bytes |
//!
//! The node's budget holds for its questions. Liars are bounded by what is taken: of one answer `K`
//! nodes and 75 hashes, of one node [`CRAWL_NODE_HASHES_MAX`](crate::limits::CRAWL_NODE_HASHES_MAX)
//! hashes, of one network [`CRAWL_NETWORK_NODES_MAX`](crate::limits::CRAWL_NETWORK_NODES_MAX) nodes,
//! each asked once a round. A crawl that is not to go on [for ever](CrawlConfig::forever) ends when
//! nobody has more, or when a round brings less than a thousandth of what is known.
//!
//! Memory is taken as nodes are heard of, up to the bound; there is none for an answer.
//!
//! ```
//! use rand_core::SeedableRng;
//! use tinybt_core::dht::crawl::{CrawlConfig, Crawler};
//! use tinybt_core::dht::Node;
//! use tinybt_core::{Family, Instant, Machine, Step, buffer};
//!
//! let random = |seed| chacha20::ChaCha8Rng::seed_from_u64(seed);
//! let config = CrawlConfig::default();
//! let mut node = Node::new(CrawlConfig::node(Family::V4, Some(50)), config.storage(), random(1));
//! node.add_source("192.0.2.1:6881".parse()?);
//! let mut crawler = Crawler::new(config, node, random(2));
//! let step = crawler.step(Instant::EPOCH, &mut buffer());
//! assert!(matches!(step, Step::Send(transmit) if transmit.to.port() == 6881));
//! # Ok::<(), core::net::AddrParseError>(())
//! ```

mod config;
mod event;
mod hear;
pub mod known;
pub mod plan;
pub mod prefix;
mod save;
pub mod seen;

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use rand_core::CryptoRng;

pub use self::config::CrawlConfig;
pub use self::event::{CrawlEnd, Event, Progress};
use self::known::REST;
use self::plan::{Errand, Plan};
pub use self::prefix::Prefix;
use self::seen::Seen;
use crate::dht::event::{AskId, LookupId};
use crate::dht::node::{AskError, Node};
use crate::dht::storage::Storage;
use crate::limits::{K, SAMPLES_TAKEN_MAX};
use crate::machine::{Buffer, Ignored, Machine, Transmit, earliest};
use crate::time::Instant;
use crate::wire::krpc::Question;

/// Crawls the DHT of one address family. See the [module](self).
pub struct Crawler<S: Storage, R: CryptoRng> {
    /// The node that asks. What it tells besides is [`Event::Dht`].
    pub node: Node<S, R>,
    config: CrawlConfig,
    plan: Plan,
    seen: Seen,
    random: R,
    phase: Phase,
    open: Vec<Open>,
    /// Those who did not answer while nobody did: it may be the network.
    suspects: Vec<Errand>,
    /// When somebody answered last.
    heard: Option<Instant>,
    /// To be told: what one answer says.
    told: VecDeque<Event>,
    /// The instant of what is being heard.
    now: Instant,
    /// Nobody is to be asked for now.
    is_held: bool,
    /// A lookup of ours that nobody waits for any more.
    cancelled: Option<LookupId>,
    /// When the last round that went everywhere began.
    thorough_at: Option<Instant>,
    round_began: Instant,
    /// None while a round is under way.
    round_ended: Option<Instant>,
    /// Rounds that were over before this crawl was made.
    rounds_before: u32,
    /// Many parts were looked at in vain: others have their turn before this instant.
    breath: Option<Instant>,
    asked_before: u64,
    totals: Progress,
}

/// A question under way.
struct Open {
    ask: AskId,
    errand: Errand,
}

/// Where a crawl is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// A round is to begin.
    Begin,
    /// The node looks for the slice.
    Entering(LookupId),
    /// A round is under way.
    Sweeping,
    /// Nobody answers, and the node looks whether anybody does.
    Probing(LookupId),
    /// Nobody did. It looks again at this instant.
    Away(Instant),
    /// No round is under way before this instant.
    Resting(Instant),
    Over,
}

/// How long to wait where nobody answers, or no lookup can begin.
const RETRY: Duration = Duration::from_secs(30);
/// The same after the first time; then twice as long, and so on.
const RETRY_FIRST: Duration = Duration::from_secs(2);
/// Parts of the key space that are looked at in one step, asked about or not.
const PARTS_MAX: u32 = 1_024;
/// Between two such steps.
const BREATH: Duration = Duration::from_millis(1);
/// Those who are silent while nobody answers, before nobody else is asked.
const SUSPECTS_MAX: usize = 8;
/// The least pause between two rounds.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// A round that brings less than this part of all hashes is the last.
const YIELD: u64 = 1_000;

impl<S: Storage, R: CryptoRng> Crawler<S, R> {
    /// A crawl that begins at once, with what the node knows: give it sources. The randomness is for
    /// the points it asks about.
    pub fn new(config: CrawlConfig, node: Node<S, R>, mut random: R) -> Self {
        Self {
            node,
            plan: Plan::new(config.slice, config.nodes),
            seen: Seen::new(config.hashes, &mut random),
            random,
            phase: Phase::Begin,
            open: Vec::with_capacity(config.in_flight.max(1)),
            suspects: Vec::with_capacity(config.in_flight.max(1).saturating_add(SUSPECTS_MAX)),
            heard: None,
            told: VecDeque::with_capacity(SAMPLES_TAKEN_MAX + 3),
            now: Instant::EPOCH,
            is_held: false,
            cancelled: None,
            thorough_at: None,
            round_began: Instant::EPOCH,
            round_ended: None,
            rounds_before: 0,
            breath: None,
            asked_before: 0,
            totals: Progress::default(),
            config,
        }
    }

    /// How it was told to behave.
    pub fn config(&self) -> &CrawlConfig {
        &self.config
    }

    /// Adds an address to begin with, as [`Node::add_source`]. Where nobody is known yet, the crawl
    /// begins there at once.
    pub fn add_source(&mut self, addr: SocketAddr) -> bool {
        let is_added = self.node.add_source(addr);
        if is_added && self.plan.known.is_empty() && matches!(self.phase, Phase::Resting(_)) {
            self.phase = Phase::Begin;
        }
        is_added
    }

    /// How far it is.
    pub fn progress(&self, now: Instant) -> Progress {
        let spent = self.round_ended.unwrap_or(now).since(self.round_began).as_secs_f64();
        let asked = self.totals.asked.saturating_sub(self.asked_before) as f64;
        Progress {
            round: self.plan.round(),
            covered: self.plan.share(),
            nodes: self.plan.known.len(),
            waiting: self.plan.waiting(),
            in_flight: self.open.len(),
            rate: if spent > 0.0 { asked / spent } else { 0.0 },
            ..self.totals
        }
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Ends the crawl: [`Event::Ended`] follows, and nothing more is asked. False if it is over
    /// already.
    pub fn stop(&mut self, now: Instant) -> bool {
        if self.is_over() {
            return false;
        }
        if let Phase::Entering(lookup) | Phase::Probing(lookup) = self.phase {
            self.node.cancel(now, lookup);
            self.cancelled = Some(lookup);
        }
        self.suspects.clear();
        for open in self.open.drain(..) {
            self.node.withdraw(open.ask);
        }
        self.end(now, CrawlEnd::Stopped);
        true
    }

    /// Asks nobody any more while this holds, and begins no round: for whoever cannot take what is
    /// found as fast. What was asked before is still told: of each question under way
    /// [`SAMPLES_TAKEN_MAX`] hashes, and one event more.
    pub fn hold(&mut self, is_held: bool) {
        self.is_held = is_held;
    }

    /// Whom it knows, and when they may be asked again.
    pub fn known(&self) -> &known::Known {
        &self.plan.known
    }

    /// How many rounds are over.
    fn rounds_over(&self) -> u32 {
        let is_under_way =
            matches!(self.phase, Phase::Sweeping | Phase::Probing(_) | Phase::Away(_));
        self.plan.round().saturating_sub(u32::from(is_under_way))
    }

    /// Does what can be done at `now` without hearing from anybody.
    fn advance(&mut self, now: Instant) {
        if self.is_held {
            return;
        }
        match self.phase {
            Phase::Begin => self.enter(now),
            Phase::Resting(at) if at <= now => self.enter(now),
            Phase::Away(at) if at <= now => self.probe(now),
            Phase::Sweeping => self.sweep(now),
            _ => {}
        }
    }

    /// Looks for the slice where too few of it are known, then begins the round.
    fn enter(&mut self, now: Instant) {
        if self.plan.known.count(self.config.slice, K) >= K {
            return self.begin(now);
        }
        self.phase = match self.look(now) {
            Some(lookup) => Phase::Entering(lookup),
            None => Phase::Resting(now + RETRY),
        };
    }

    /// Looks whether the network is there.
    fn probe(&mut self, now: Instant) {
        self.phase = match self.look(now) {
            Some(lookup) => Phase::Probing(lookup),
            None => Phase::Away(now + RETRY),
        };
    }

    fn look(&mut self, now: Instant) -> Option<LookupId> {
        let point = self.config.slice.random(&mut self.random);
        self.node.find_node(now, point).ok()
    }

    /// The lookup that this crawl waited for is over.
    fn looked(&mut self, now: Instant, answered: u16) {
        let is_anybody_there = answered > 0;
        self.totals.met += u64::from(answered);
        self.totals.vain = if is_anybody_there { 0 } else { self.totals.vain.saturating_add(1) };
        let doublings = self.totals.vain.saturating_sub(1).min(8);
        let again = now + RETRY_FIRST.saturating_mul(1 << doublings).min(RETRY);
        self.phase = match (self.phase, is_anybody_there) {
            (Phase::Entering(_), true) => return self.begin(now),
            (Phase::Entering(_), false) => Phase::Resting(again),
            (_, true) => Phase::Sweeping,
            (_, false) => Phase::Away(again),
        };
        if is_anybody_there {
            self.somebody_answered(now);
        }
    }

    /// The network is there, so whoever was silent while it was not is asked once more.
    fn somebody_answered(&mut self, now: Instant) {
        self.heard = Some(now);
        for errand in self.suspects.drain(..) {
            self.plan.doubted(now, errand);
        }
    }

    /// Somebody did not answer. If nobody did in all the time that they had, it may be the network.
    fn somebody_is_silent(&mut self, now: Instant, errand: Errand) {
        let is_network_there =
            self.heard.is_some_and(|heard| now.since(heard) <= self.node.config().timeout_max);
        match is_network_there {
            true => self.plan.silent(now, errand),
            false => self.suspects.push(errand),
        }
    }

    fn begin(&mut self, now: Instant) {
        let is_due = self.thorough_at.is_none_or(|at| now.since(at) >= REST);
        let is_thorough = is_due || self.plan.is_lacking();
        if is_thorough {
            self.thorough_at = Some(now);
        }
        self.plan.begin(now, is_thorough);
        (self.round_began, self.round_ended) = (now, None);
        self.asked_before = self.totals.asked;
        self.totals.hashes_in_round = 0;
        self.phase = Phase::Sweeping;
        self.sweep(now);
    }

    /// Asks whom the plan says, as many as may be asked at once.
    fn sweep(&mut self, now: Instant) {
        if self.breath.is_some_and(|breath| now < breath) {
            return;
        }
        self.breath = None;
        let mut parts = PARTS_MAX;
        while self.open.len() < self.config.in_flight.max(1) && self.suspects.len() < SUSPECTS_MAX {
            let Some(errand) = self.plan.next(&mut self.random, &mut parts) else { break };
            let (target, want) = (errand.target, None);
            let question = match errand.samples {
                true => Question::SampleInfohashes { target, want },
                false => Question::FindNode { target, want },
            };
            match self.node.ask(errand.to, &question) {
                Ok(ask) => {
                    self.totals.asked += 1;
                    self.open.push(Open { ask, errand });
                }
                Err(AskError::Busy) => {
                    self.plan.give_back(errand);
                    break;
                }
                Err(_) => self.plan.give_up(now, errand),
            }
        }
        self.breath = (parts == 0).then(|| now + BREATH);
        match self.open.is_empty() {
            true if !self.suspects.is_empty() => self.probe(now),
            true if self.plan.is_over() => self.rest(now),
            _ => {}
        }
    }

    /// A round is over.
    fn rest(&mut self, now: Instant) {
        self.round_ended = Some(now);
        let progress = self.progress(now);
        let done = progress.round.saturating_sub(self.rounds_before);
        let is_last = self.config.rounds.is_some_and(|rounds| done >= rounds);
        let is_poor = progress.round > 1 && progress.hashes_in_round * YIELD < progress.hashes;
        let is_complete = (is_poor || !self.plan.has_more()) && !self.config.forever;
        let pause = self.config.pause.max(PAUSE_MIN);
        let next = self.plan.next_round(now, pause).unwrap_or(now + pause.max(RETRY));
        let goes_on = !is_last && !is_complete;
        let next_in = goes_on.then(|| next.since(now));
        self.told.push_back(Event::Round { progress, next: next_in });
        match (is_last, is_complete) {
            (true, _) => self.end(now, CrawlEnd::Rounds),
            (false, true) => self.end(now, CrawlEnd::Complete),
            (false, false) => self.phase = Phase::Resting(next),
        }
    }

    fn end(&mut self, now: Instant, end: CrawlEnd) {
        self.phase = Phase::Over;
        self.told.push_back(Event::Ended { end, progress: self.progress(now) });
    }

    /// A question of the node's that was one of ours.
    fn close(&mut self, ask: AskId) -> Option<Open> {
        let index = self.open.iter().position(|open| open.ask == ask)?;
        Some(self.open.swap_remove(index))
    }
}

impl<S: Storage, R: CryptoRng> Machine for Crawler<S, R> {
    type Event = Event;

    fn handle_datagram(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Ignored> {
        self.node.handle_datagram(now, from, datagram)?;
        self.now = now;
        Ok(())
    }

    fn poll_transmit(&mut self, now: Instant, buffer: &mut Buffer) -> Option<Transmit> {
        self.now = now;
        let mut is_heard = false;
        loop {
            self.advance(now);
            if let Some(transmit) = self.node.poll_transmit(now, buffer) {
                return Some(transmit);
            }
            if !self.told.is_empty() {
                return None;
            }
            // Time passing tells of silence, and whoever was silent leaves room for others: their row
            // is free when nothing more is heard, so that is not the end.
            let was_heard = core::mem::replace(&mut is_heard, self.listen());
            if !was_heard && !is_heard {
                return None;
            }
        }
    }

    fn poll_event(&mut self) -> Option<Event> {
        if self.told.is_empty() {
            while self.listen() && self.told.is_empty() {}
        }
        self.told.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let next = match self.phase {
            Phase::Resting(at) | Phase::Away(at) if !self.is_held => Some(at),
            Phase::Sweeping if !self.is_held => self.breath,
            _ => None,
        };
        earliest(self.node.poll_timeout(), next)
    }
}
