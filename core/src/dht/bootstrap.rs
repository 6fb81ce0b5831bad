//! Getting into the network, and back into it.
//!
//! Knows time and addresses to begin with; asks nobody itself. It says when the node should look
//! up its own id ([`Bootstrap::is_due`]), and is told what came of it. Failure, and a table that
//! stays poor, is tried again after 5 s, doubling up to 10 minutes; the first answer after an outage
//! starts over at once. While the network is away no silence counts against anybody, so that an
//! outage does not empty the table.

use core::net::SocketAddr;
use core::time::Duration;

use crate::dht::stats::Health;
use crate::limits::SOURCES_MAX;
use crate::list::{List, Spare};
use crate::time::Instant;

/// When to look for the network, and whether it is there.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    enabled: bool,
    sources: Spare<SocketAddr, SOURCES_MAX>,
    /// The one deadline: when the own id is to be looked up.
    next: Option<Instant>,
    failures: u32,
    health: Health,
    /// Silences since the last answer.
    silences: u32,
    heard: Instant,
}

impl Bootstrap {
    const RETRY_MIN: Duration = Duration::from_secs(5);
    const RETRY_MAX: Duration = Duration::from_secs(600);
    /// This many silences in a row, and no answer for [`Bootstrap::QUIET`]: the network is away.
    const SILENCES: u32 = 8;
    const QUIET: Duration = Duration::from_secs(30);

    /// Nothing to begin with; never due when not `enabled`.
    pub fn new(enabled: bool) -> Self {
        Self {
            enabled,
            sources: Spare::default(),
            next: None,
            failures: 0,
            health: Health::Starting,
            silences: 0,
            heard: Instant::EPOCH,
        }
    }

    /// Adds an address to begin with. False if there is no room for it.
    pub fn add_source(&mut self, addr: SocketAddr) -> bool {
        if self.sources.contains(&addr) {
            return true;
        }
        let added = List::push(&mut self.sources, addr).is_ok();
        if added && self.health != Health::Online {
            self.start_over();
        }
        added
    }

    /// The addresses to begin with.
    pub fn sources(&self) -> &[SocketAddr] {
        &self.sources
    }

    /// Whether the network answers.
    pub fn health(&self) -> Health {
        self.health
    }

    /// Due at the next step: there is a new place to begin, or the id changed.
    pub fn start_over(&mut self) {
        self.failures = 0;
        if self.enabled {
            self.next = Some(Instant::EPOCH);
        }
    }

    /// Whether the own id is to be looked up at `now`.
    pub fn is_due(&self, now: Instant) -> bool {
        self.next.is_some_and(|next| next <= now)
    }

    /// When it is due next.
    pub fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Puts it off: something else does the same work at the moment.
    pub fn postpone(&mut self, now: Instant) {
        self.next = Some(now + Self::RETRY_MIN);
    }

    /// The lookup of the own id has begun; what comes of it decides when the next one is.
    pub fn begun(&mut self) {
        self.next = None;
    }

    /// The lookup of the own id is over. `nodes`: how many answered; `poor`: whether the table
    /// still has less than a bucket's worth.
    pub fn finished(&mut self, now: Instant, nodes: usize, poor: bool) -> Option<Health> {
        if !self.enabled {
            return None;
        }
        if nodes > 0 && !poor {
            self.failures = 0;
            return None;
        }
        // Few nodes may mean a network that is only just forming.
        let doublings = self.failures.min(16);
        let wait = Self::RETRY_MIN.saturating_mul(1 << doublings).min(Self::RETRY_MAX);
        self.failures = self.failures.saturating_add(1);
        // A new place to begin that came in the meantime stays due.
        if self.next.is_none() {
            self.next = Some(now + wait);
        }
        if nodes == 0 { self.change(Health::Offline) } else { None }
    }

    /// Somebody answered. Returns the new health if it changed.
    pub fn heard(&mut self, now: Instant) -> Option<Health> {
        self.heard = now;
        self.silences = 0;
        let before = self.health;
        let changed = self.change(Health::Online);
        if before == Health::Offline {
            self.start_over();
        }
        changed
    }

    /// Somebody did not answer. Returns the new health if it changed.
    pub fn silence(&mut self, now: Instant) -> Option<Health> {
        self.silences = self.silences.saturating_add(1);
        let away = self.silences >= Self::SILENCES && now.since(self.heard) >= Self::QUIET;
        if !away || self.health != Health::Online {
            return None;
        }
        if self.enabled && self.next.is_none() {
            self.next = Some(now + Self::RETRY_MIN);
        }
        self.change(Health::Offline)
    }

    /// Whether silence is not what everybody has answered with lately: an outage shows here before
    /// it changes the health.
    pub fn is_hearing(&self) -> bool {
        self.silences < Self::SILENCES
    }

    /// Whether silence says something about a node rather than about the network: somebody else
    /// has answered since the question was `sent`.
    pub fn blames_node(&self, sent: Instant) -> bool {
        self.health == Health::Online && self.heard >= sent
    }

    fn change(&mut self, health: Health) -> Option<Health> {
        let changed = self.health != health;
        self.health = health;
        changed.then_some(health)
    }
}
