//! Coming and going: how long nodes stay, how long they are away, what they remember.

use std::time::Duration;

use rand_core::Rng;

use crate::net::{normal, uniform};

/// How spans of time are spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Spread {
    /// Its logarithm has a normal distribution with this deviation.
    LogNormal {
        /// Half are shorter.
        median: Duration,
        /// Of the natural logarithm.
        sigma: f64,
    },
    /// Weibull: below a shape of 1, whoever has stayed long stays longer, as is seen of peers.
    Weibull {
        /// Half are shorter.
        median: Duration,
        /// 1 is memoryless.
        shape: f64,
    },
}

impl Spread {
    /// One of them.
    pub fn draw(&self, random: &mut impl Rng) -> Duration {
        let secs = match self {
            Spread::LogNormal { median, sigma } => {
                median.as_secs_f64() * (sigma * normal(random)).exp()
            }
            Spread::Weibull { median, shape } => {
                let scale = median.as_secs_f64() / std::f64::consts::LN_2.powf(1.0 / shape);
                scale * (-(1.0 - uniform(random)).ln()).powf(1.0 / shape)
            }
        };
        // Nobody comes and goes in less than a second, or stays for more than a year.
        Duration::from_secs_f64(secs.clamp(1.0, 365.0 * 86_400.0))
    }

    /// What they are on average, by a thousand of them.
    pub fn mean(&self, random: &mut impl Rng) -> Duration {
        (0..1_000).map(|_| self.draw(random)).sum::<Duration>() / 1_000
    }
}

/// How nodes come and go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Churn {
    /// How long a node stays.
    pub session: Spread,
    /// How long its place is empty.
    pub away: Spread,
    /// Of a thousand that come, how many were here before and have saved their state; the others
    /// are new, with another id, and begin at three nodes that are there.
    pub returning: u32,
}

impl Churn {
    /// Sessions with this median, as they were seen of the clients of Mainline: Weibull with a shape
    /// of about a half. Places are empty for half as long; seven of ten come back.
    pub fn of(median: Duration) -> Self {
        Self {
            session: Spread::Weibull { median, shape: 0.5 },
            away: Spread::Weibull { median: median / 2, shape: 0.5 },
            returning: 700,
        }
    }
}
