//! Randomness for nodes that nobody attacks: eight bytes in place of three hundred.

use std::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};

use crate::net::mix;

/// A generator that is as good as a simulation needs, and no better: whoever sees a few numbers
/// knows all the others.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }
}

impl TryRng for Dice {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|word| (word >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 = self.0.wrapping_add(1);
        Ok(mix(self.0, &[0x5eed]))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            let word = self.try_next_u64()?.to_be_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        Ok(())
    }
}

/// Only so that a node takes it.
impl TryCryptoRng for Dice {}
