//! What the examples share: [`Client`], which says what is wanted and hears what was found, whatever
//! loop it is in; [`PingPong`], a protocol that is not ours; and [`Place`], somewhere to look for
//! peers without internet.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout)]

mod client;
mod foreign;
mod place;

use chacha20::ChaCha12Rng;
use chacha20::rand_core::SeedableRng;

pub use client::{Client, Machines};
pub use foreign::PingPong;
pub use place::Place;

/// What machines draw unguessable numbers from, seeded by the operating system once.
///
/// # Errors
///
/// There are hosts without randomness.
pub fn random() -> Result<ChaCha12Rng, getrandom::Error> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    Ok(ChaCha12Rng::from_seed(seed))
}

/// What the README shows compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
