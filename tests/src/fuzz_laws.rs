//! From the bytes of a fuzzer to inputs for the checker of the laws.

use std::time::Duration;

use tinybt_core::Family;
use tinybt_core::dht::crawl::CrawlConfig;
use tinybt_core::dht::{Config, Rate};

use crate::laws::{Op, check};
use crate::nodes::{addr, tiny};
use crate::subjects::{CrawlSubject, DualSubject, HomesSubject, NodeSubject, addr6};

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
        ops.push(match kind % 8 {
            0 | 1 => {
                let head = take(2);
                let from = head.first().copied().unwrap_or(0);
                let len = usize::from(head.get(1).copied().unwrap_or(0)) * 4;
                let from = match from {
                    0..=15 => addr(usize::from(from)),
                    16..=20 => addr6(u16::from(from)),
                    _ => addr(700 + usize::from(from)),
                };
                Op::Datagram(from, take(len).to_vec())
            }
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
pub fn node(data: &[u8]) {
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
    assert_eq!(check(&NodeSubject { config, storage: tiny() }, &ops(data)), Ok(()));
}

/// Both families as one machine keep the laws.
pub fn dual(data: &[u8]) {
    assert_eq!(check(&DualSubject { storage: tiny() }, &ops(data)), Ok(()));
}

/// Several addresses of both families as one machine keep the laws.
pub fn homes(data: &[u8]) {
    assert_eq!(check(&HomesSubject { storage: tiny() }, &ops(data)), Ok(()));
}

/// A crawler keeps the laws whatever comes. The first byte says how many may be known.
pub fn crawler(data: &[u8]) {
    let Some((switches, data)) = data.split_first() else { return };
    let mut config = CrawlConfig::default();
    config.nodes = usize::from(*switches);
    config.in_flight = usize::from(switches % 8);
    config.hashes = usize::from(switches / 2);
    config.forever = switches & 1 != 0;
    assert_eq!(check(&CrawlSubject { config, storage: tiny() }, &ops(data)), Ok(()));
}
