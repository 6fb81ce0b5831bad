//! Which info-hashes were told already: a set of a fixed size that forgets when it is full.
//!
//! Of each hash 64 bits of a keyed digest are kept, so nobody can make two that are taken for one.
//! Where there is no room the new one takes another's place, which will be told again if it is met
//! again: full means repetition, never silence. Knows neither time nor messages.

use alloc::vec;
use alloc::vec::Vec;
use core::hash::Hasher;

use rand_core::Rng;
use siphasher::sip::SipHasher13;

use crate::id::InfoHash;

/// Places that are looked at for one hash.
const REACH: usize = 32;

/// A bounded set of info-hashes.
#[derive(Debug)]
pub struct Seen {
    /// Digests; zero where there is none. Half as many again as there is to be room for.
    places: Vec<u64>,
    len: usize,
    key: (u64, u64),
}

impl Seen {
    /// An empty set with room for so many at least, and half as many again at most; 0 keeps none,
    /// and takes every hash for a new one. Twelve bytes each, allocated here and now.
    pub fn new(most: usize, random: &mut impl Rng) -> Self {
        let places = vec![0; most.saturating_add(most / 2)];
        Self { places, len: 0, key: (random.next_u64(), random.next_u64()) }
    }

    /// How many it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes a hash in. Returns whether it is new.
    pub fn insert(&mut self, hash: InfoHash) -> bool {
        let digest = self.digest(hash);
        let Some(home) = digest.checked_rem(self.places.len() as u64) else { return true };
        let home = home as usize;
        let (upper, lower) = (home..self.places.len(), 0..home);
        let mut other = None;
        for index in upper.chain(lower).take(REACH) {
            let Some(place) = self.places.get_mut(index) else { break };
            if *place == digest {
                return false;
            }
            if *place != 0 {
                other = other.or(Some(index));
                continue;
            }
            *place = digest;
            self.len += 1;
            return true;
        }
        if let Some(place) = other.and_then(|index| self.places.get_mut(index)) {
            *place = digest;
        }
        true
    }

    fn digest(&self, hash: InfoHash) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.key.0, self.key.1);
        hasher.write(&hash.0);
        // Zero marks a place that is empty.
        hasher.finish().max(1)
    }
}
