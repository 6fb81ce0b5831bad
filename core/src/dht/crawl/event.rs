//! What a crawl tells.

use core::time::Duration;

use crate::contact::Contact;
use crate::dht;
use crate::id::InfoHash;

/// What a crawl tells: small owned facts.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A node told a sample of the info-hashes it stores. Those of them that are new follow.
    Sampled {
        /// Which.
        node: Contact,
        /// How many it stores, as it says.
        stored: i64,
        /// How long it is not asked again, at least.
        interval: Duration,
        /// How many of the sample were new.
        new: u32,
    },
    /// An info-hash that was not told before, as far as is [kept](super::CrawlConfig::hashes).
    Hash {
        /// The info-hash.
        info_hash: InfoHash,
    },
    /// A round is over: everybody who could be asked was.
    Round {
        /// What it came to.
        progress: Progress,
        /// How long it is to the next. `None`: there is none.
        next: Option<Duration>,
    },
    /// The crawl is over. The node goes on.
    Ended {
        /// Why.
        end: CrawlEnd,
        /// What it came to.
        progress: Progress,
    },
    /// What the node tells besides.
    Dht(dht::Event),
}

/// Why a crawl ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CrawlEnd {
    /// There is little left to be told.
    Complete,
    /// It had so many rounds, since it was made, as it was to have.
    Rounds,
    /// It was told to.
    Stopped,
}

/// How far a crawl is. Counts are of all rounds since the start, except where they say otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// The round, counted from 1; 0 before the first.
    pub round: u32,
    /// The share of the slice that is covered in this round, 0 to 1.
    pub covered: f64,
    /// Nodes in memory.
    pub nodes: usize,
    /// Nodes that wait to be asked in this round.
    pub waiting: usize,
    /// Questions under way.
    pub in_flight: usize,
    /// Nodes that answered the lookups by which it finds its way to the slice, and sees whether the
    /// network is there.
    pub met: u64,
    /// Such lookups in a row that nobody answered.
    pub vain: u32,
    /// Questions asked, repeats aside.
    pub asked: u64,
    /// Of these, answered.
    pub answered: u64,
    /// Of these, answered with a sample.
    pub sampled: u64,
    /// Of these, refused.
    pub refused: u64,
    /// Of these, not answered.
    pub silent: u64,
    /// Info-hashes told.
    pub hashes: u64,
    /// Of these, in this round.
    pub hashes_in_round: u64,
    /// Questions per second, on the average of this round, or of the last where none is under way.
    pub rate: f64,
}
