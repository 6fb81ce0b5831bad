//! Nodes that have been here for long, made in no time: each is told of those that its table would
//! hold, asks them whether they are there, and is answered, a quarter of an hour long.
//!
//! Everything goes through the commands and datagrams that a node knows, so it cannot be in a state
//! that it could not have come to by itself. What it was not told of it finds out by itself.

use std::net::SocketAddr;
use std::time::Duration;

use rand_core::Rng;
use tinybt_core::limits::{K, VOTES_MAX};
use tinybt_core::wire::krpc::{self, Answer, Envelope};
use tinybt_core::{Buffer, Id, Instant, Machine, Step};

use super::truth::Truth;
use super::{Dice, SimNode};
use crate::net::uniform;

/// The time that the questions are spread over: a node counts as good for so long.
pub const SPAN: Duration = Duration::from_secs(15 * 60);

/// Whom a node with this id would know: `K` in each part of the key space, at random, and its
/// neighbours.
pub(super) fn acquaintances(truth: &Truth, own: Id, random: &mut Dice) -> Vec<(Id, u32)> {
    let mut known = Vec::with_capacity(160);
    for part in truth.by_prefix(own, K) {
        if part.len() <= K {
            known.extend(part.iter().filter(|(id, _)| *id != own));
            continue;
        }
        let begin = known.len();
        while known.len() < begin + K {
            let node = part[random.next_u32() as usize % part.len()];
            if !known[begin..].contains(&node) {
                known.push(node);
            }
        }
    }
    for end in (1..known.len()).rev() {
        known.swap(end, random.next_u32() as usize % (end + 1));
    }
    known
}

/// Lets a node get to know these, within [`SPAN`] before `now`. `way`: the id at an address, and how
/// long a round trip to it takes.
pub(super) fn introduce(
    node: &mut SimNode,
    now: Instant,
    own: SocketAddr,
    known: &[SocketAddr],
    random: &mut Dice,
    way: impl Fn(SocketAddr) -> (Id, Duration),
    buffer: &mut Buffer,
) {
    // Tables count whole seconds, so the first might be too old by a part of one.
    let span = SPAN - Duration::from_secs(1);
    let begin = Instant::from_micros(now.as_micros().saturating_sub(span.as_micros() as u64));
    // The last answers come before the present.
    let each = (SPAN - Duration::from_secs(5)) / known.len().max(1) as u32;
    for (index, addr) in known.iter().enumerate() {
        // Enough votes on its address (BEP 42): counting them is half of the work.
        let external = Some(own).filter(|_| index < VOTES_MAX);
        let mut at = begin + each * index as u32 + each.mul_f64(uniform(random) / 2.0);
        node.add_node(*addr);
        while let Step::Event(_) | Step::Send(_) = step(node, &mut at, external, &way, buffer) {}
    }
}

/// One step; a question is answered, and time passes for it.
fn step(
    node: &mut SimNode,
    at: &mut Instant,
    external: Option<SocketAddr>,
    way: &impl Fn(SocketAddr) -> (Id, Duration),
    buffer: &mut Buffer,
) -> Step<tinybt_core::dht::Event> {
    let step = node.step(*at, buffer);
    if let Step::Send(transmit) = &step {
        let Ok(message) = krpc::decode(&buffer[..transmit.len]) else { return step };
        let envelope = Envelope {
            transaction: message.transaction,
            version: None,
            read_only: false,
            external,
        };
        let (id, rtt) = way(transmit.to);
        let answer = Answer { id, ..Answer::default() };
        let mut bytes = [0; 200];
        if let Ok(len) = krpc::encode_response(&mut bytes, &envelope, &answer) {
            *at = *at + rtt;
            let _ = node.handle_datagram(*at, transmit.to, &bytes[..len]);
        }
    }
    step
}
