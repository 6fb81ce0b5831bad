//! From the bytes of a fuzzer to inputs for the checker of the laws.
//!
//! How an input is looked at is decided by all of its bytes together: so a fuzzer, which keeps what
//! shows it something new and changes that, gets no more of the dear looks than one in [`DEAR`].

use std::time::Duration;

use tinybt_core::Family;
use tinybt_core::dht::crawl::CrawlConfig;
use tinybt_core::dht::{Config, Rate};

use crate::laws::{Broken, Op, Subject, check, glance};
use crate::net::mix;
use crate::nodes::{addr, tiny};
use crate::subjects::{CrawlSubject, DualSubject, HomesSubject, NodeSubject, addr6};

/// One input in so many is looked at closely.
pub const DEAR: u64 = 32;

/// Whether this input is one of those of which there is one in so many.
pub fn is_one_in(many: u64, data: &[u8]) -> bool {
    let word = |chunk: &[u8]| chunk.iter().fold(1, |word, byte| word << 8 | u64::from(*byte));
    let hash = data.chunks(7).fold(0, |hash, chunk| mix(hash, &[word(chunk)]));
    hash.is_multiple_of(many)
}

/// How an input is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// With all that there is: [`check`].
    Close,
    /// In passing, by a smaller machine: [`glance`].
    Passing,
}

impl Look {
    /// The look that this input gets.
    pub fn at(data: &[u8]) -> Self {
        if is_one_in(DEAR, data) { Look::Close } else { Look::Passing }
    }

    fn result<S: Subject>(self, subject: &S, bytes: &[u8]) -> Result<(), Broken> {
        match self {
            Look::Close => check(subject, &ops(bytes)),
            Look::Passing => glance(subject, &ops(bytes)),
        }
    }

    /// Looks at what a machine does with these bytes.
    ///
    /// # Panics
    ///
    /// If it breaks a law.
    pub fn keeps<S: Subject>(self, subject: &S, bytes: &[u8]) {
        assert_eq!(self.result(subject, bytes), Ok(()));
    }
}

/// Takes inputs off the front of the bytes: a kind, then what that kind needs.
pub fn ops(mut bytes: &[u8]) -> Vec<Op> {
    let mut ops = Vec::new();
    while let Some((kind, rest)) = bytes.split_first() {
        bytes = rest;
        let mut take = |count: usize| {
            let (taken, rest) = bytes.split_at(count.min(bytes.len()));
            bytes = rest;
            taken
        };
        let number =
            |taken: &[u8]| taken.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        let whose = |from: u8| match from {
            0..=15 => addr(usize::from(from)),
            16..=20 => addr6(u16::from(from)),
            _ => addr(700 + usize::from(from)),
        };
        ops.push(match kind % 8 {
            0 => {
                let head = take(2);
                let from = head.first().copied().unwrap_or(0);
                let len = usize::from(head.get(1).copied().unwrap_or(0)) * 4;
                Op::Datagram(whose(from), take(len).to_vec())
            }
            1 => Op::Query(whose(number(take(1)) as u8), number(take(1)) as u8),
            2 | 3 => Op::Answer(number(take(1)) as usize, number(take(1)) as u8),
            4 => Op::Advance(Duration::from_micros(number(take(4)))),
            5 => Op::Back(Duration::from_micros(number(take(4)))),
            6 => Op::Deadline,
            _ => Op::Command(number(take(1)) as u8),
        });
    }
    ops.truncate(200);
    ops
}

/// A node keeps the laws whatever comes. The first byte turns the switches.
pub fn node(data: &[u8], look: Look) {
    let Some((switches, data)) = data.split_first() else { return };
    let mut config =
        if switches & 1 == 0 { Config::new(Family::V4) } else { Config::private(Family::V4) };
    config.read_only = switches & 2 != 0;
    config.foreign_methods = switches & 4 != 0;
    if switches & 8 != 0 {
        config.questions = Some(Rate { per_second: 2, burst: 3 });
        config.answers = Some(Rate { per_second: 1, burst: 2 });
        config.destinations_per_minute = Some(4);
    }
    look.keeps(&NodeSubject { config, storage: tiny() }, data);
}

/// Both families as one machine keep the laws.
pub fn dual(data: &[u8], look: Look) {
    look.keeps(&DualSubject { storage: tiny() }, data);
}

/// Several addresses of both families as one machine keep the laws.
pub fn homes(data: &[u8], look: Look) {
    let few = look == Look::Passing;
    look.keeps(&HomesSubject { storage: tiny(), few }, data);
}

/// A crawler keeps the laws whatever comes. The first byte says how many may be known.
pub fn crawler(data: &[u8], look: Look) {
    let Some((switches, data)) = data.split_first() else { return };
    let mut config = CrawlConfig::default();
    config.nodes = usize::from(*switches);
    config.in_flight = usize::from(switches % 8);
    config.hashes = usize::from(switches / 2);
    config.forever = switches & 1 != 0;
    look.keeps(&CrawlSubject { config, storage: tiny() }, data);
}
