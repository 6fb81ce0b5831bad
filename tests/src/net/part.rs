//! What stands between a host and the rest of the network: parts in a row, each a small machine that
//! a datagram passes on its way out and on its way in.
//!
//! A part may delay a datagram, lose it, or change the address on its outside, as a NAT does
//! ([`nat`](super::nat)). They compose: a host behind a NAT that loses every tenth datagram has two.

use std::net::SocketAddr;
use std::time::Duration;

use chacha20::ChaCha8Rng;
use tinybt_core::Instant;

use super::link::{chance, uniform};

/// From where to where, as the datagram says at this point of its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The sender.
    pub from: SocketAddr,
    /// The receiver.
    pub to: SocketAddr,
}

/// The direction in which a datagram passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the host to the network.
    Out,
    /// From the network to the host.
    In,
}

/// Something between a host and the network.
pub trait Part {
    /// A datagram of `len` bytes passes. Says how much later it is through; `None`: it is lost.
    fn pass(
        &mut self,
        now: Instant,
        way: Way,
        route: &mut Route,
        len: usize,
        random: &mut ChaCha8Rng,
    ) -> Option<Duration>;
}

/// Loses a share of the datagrams of both directions, in thousandths.
#[derive(Clone, Copy, Debug)]
pub struct Loss(pub u32);

impl Part for Loss {
    fn pass(
        &mut self,
        _: Instant,
        _: Way,
        _: &mut Route,
        _: usize,
        random: &mut ChaCha8Rng,
    ) -> Option<Duration> {
        (!chance(random, self.0)).then_some(Duration::ZERO)
    }
}

/// Delays both directions: by a constant, and at random by up to the jitter.
#[derive(Clone, Copy, Debug)]
pub struct Lag {
    /// Always.
    pub constant: Duration,
    /// At random, up to this.
    pub jitter: Duration,
}

impl Part for Lag {
    fn pass(
        &mut self,
        _: Instant,
        _: Way,
        _: &mut Route,
        _: usize,
        random: &mut ChaCha8Rng,
    ) -> Option<Duration> {
        Some(self.constant + self.jitter.mul_f64(uniform(random)))
    }
}

/// A narrow line with a queue before it: what comes faster waits, what finds the queue full is lost.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    bytes_per_second: u64,
    queue: Duration,
    /// When what waits has passed: out, in.
    busy: [Instant; 2],
}

impl Line {
    /// A line of so many bytes a second, on which a datagram waits so long at most.
    pub fn new(bytes_per_second: u64, queue: Duration) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), queue, busy: [Instant::EPOCH; 2] }
    }
}

impl Part for Line {
    fn pass(
        &mut self,
        now: Instant,
        way: Way,
        _: &mut Route,
        len: usize,
        _: &mut ChaCha8Rng,
    ) -> Option<Duration> {
        let busy = &mut self.busy[usize::from(way == Way::In)];
        let begins = (*busy).max(now);
        if begins.since(now) > self.queue {
            return None;
        }
        // With the headers of IPv4 and UDP.
        let micros = (len as u64 + 28) * 1_000_000 / self.bytes_per_second;
        *busy = begins + Duration::from_micros(micros);
        Some(busy.since(now))
    }
}
