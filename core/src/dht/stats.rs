//! Counters and a picture of a node's state, as data.

use core::net::SocketAddr;
use core::time::Duration;

use crate::id::Id;
use crate::machine::Ignored;

/// What a node has done since it was made. Every counter saturates in practice: 64 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Datagrams taken in, ignored ones included.
    pub datagrams_in: u64,
    /// Bytes of these.
    pub bytes_in: u64,
    /// Datagrams sent.
    pub datagrams_out: u64,
    /// Bytes of these.
    pub bytes_out: u64,
    /// Queries of others, by method: ping, find_node, get_peers, announce_peer, others.
    pub queries_in: [u64; 5],
    /// Error replies sent.
    pub errors_out: u64,
    /// Questions sent.
    pub questions_out: u64,
    /// Answers to these, errors included.
    pub answers_in: u64,
    /// Questions that nobody answered.
    pub silences: u64,
    /// Lookups begun.
    pub lookups: u64,
    /// Announces by others that were stored.
    pub stored: u64,
    /// Replies with the filters of a swarm (BEP 33).
    pub scrapes: u64,
    /// Replies with a sample of info-hashes (BEP 51).
    pub samples: u64,
    ignored: [u64; Ignored::ALL.len()],
}

impl Stats {
    /// How many datagrams were ignored for this reason.
    pub fn ignored(&self, reason: Ignored) -> u64 {
        self.ignored.get(reason.index()).copied().unwrap_or(0)
    }

    pub(crate) fn ignore(&mut self, reason: Ignored) {
        if let Some(count) = self.ignored.get_mut(reason.index()) {
            *count += 1;
        }
    }
}

/// How a node is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its id.
    pub id: Id,
    /// Whether the network answers.
    pub health: Health,
    /// Nodes in the routing table: answered in the last 15 minutes.
    pub nodes_good: usize,
    /// Nodes not heard of for longer.
    pub nodes_questionable: usize,
    /// Nodes that no longer answer and have no successor yet.
    pub nodes_bad: usize,
    /// Buckets in use.
    pub buckets: usize,
    /// Lookups under way.
    pub lookups: usize,
    /// Questions in flight.
    pub in_flight: usize,
    /// Swarms that others announced to us.
    pub swarms: usize,
    /// Peers in these.
    pub peers: usize,
    /// What others say our address is.
    pub external: Option<SocketAddr>,
    /// How many distinct networks say so, of how many that said anything.
    pub external_votes: (u8, u8),
    /// Whether somebody whom we never contacted asked us something: proof that we can be reached.
    pub reachable: bool,
    /// The median and the 90th percentile of round trips.
    pub rtt: (Duration, Duration),
}

/// Whether the network answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nothing asked yet, or the first answers are awaited.
    Starting,
    /// Somebody answered lately.
    Online,
    /// Nobody answers; tried again at growing intervals.
    Offline,
}
