//! The way between two hosts: how long it takes, and what is lost on it.

use std::net::SocketAddr;
use std::time::Duration;

use chacha20::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// What the way between two hosts does to datagrams.
#[derive(Clone, Debug)]
pub struct Link {
    /// How long it takes one way.
    pub delay: Delay,
    /// The share of datagrams lost, in thousandths.
    pub loss: u32,
    /// The share of datagrams that arrive twice, in thousandths.
    pub duplication: u32,
    /// Added to the delay of each datagram, at random up to this: so they overtake each other.
    pub jitter: Duration,
}

impl Default for Link {
    fn default() -> Self {
        Self {
            delay: Delay::Constant(Duration::from_millis(20)),
            loss: 0,
            duplication: 0,
            jitter: Duration::ZERO,
        }
    }
}

/// How long a datagram takes one way. The same for all datagrams between two hosts.
#[derive(Clone, Debug)]
pub enum Delay {
    /// Between any two hosts the same.
    Constant(Duration),
    /// Even between two bounds, over pairs of hosts.
    Uniform {
        /// The shortest.
        least: Duration,
        /// The longest.
        most: Duration,
    },
    /// Log-normal over pairs of hosts: the median of the round trip, and its 95th percentile.
    LogNormal {
        /// Half of the round trips are shorter.
        median: Duration,
        /// Nineteen of twenty are shorter.
        p95: Duration,
    },
}

impl Delay {
    /// The delay one way between two hosts, decided by the seed and their addresses.
    pub fn between(&self, seed: u64, a: SocketAddr, b: SocketAddr) -> Duration {
        let pair = || {
            let (low, high) = if a <= b { (a, b) } else { (b, a) };
            ChaCha8Rng::seed_from_u64(mix(seed, &[key(low), key(high)]))
        };
        match self {
            Delay::Constant(delay) => *delay,
            Delay::Uniform { least, most } => {
                *least + most.saturating_sub(*least).mul_f64(uniform(&mut pair()))
            }
            Delay::LogNormal { median, p95 } => {
                let sigma = (p95.as_secs_f64() / median.as_secs_f64()).ln() / 1.644_854;
                let rtt = median.as_secs_f64() * (sigma * normal(&mut pair())).exp();
                Duration::from_secs_f64(rtt / 2.0)
            }
        }
    }
}

/// A number for an address.
pub fn key(addr: SocketAddr) -> u64 {
    match addr {
        SocketAddr::V4(addr) => u64::from(addr.ip().to_bits()) << 16 | u64::from(addr.port()),
        SocketAddr::V6(addr) => {
            let bits = addr.ip().to_bits();
            mix(bits as u64, &[(bits >> 64) as u64, u64::from(addr.port())])
        }
    }
}

/// Mixes numbers into a seed.
pub fn mix(seed: u64, parts: &[u64]) -> u64 {
    parts.iter().fold(seed, |hash, part| {
        let mut z = (hash ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    })
}

/// A number between 0 and 1.
pub fn uniform(random: &mut impl Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// A number from the standard normal distribution.
pub fn normal(random: &mut impl Rng) -> f64 {
    let u = 1.0 - uniform(random);
    let v = uniform(random);
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// Whether something happens that does so often in a thousand times.
pub fn chance(random: &mut impl Rng, thousandths: u32) -> bool {
    thousandths > 0 && random.next_u32() % 1_000 < thousandths
}
