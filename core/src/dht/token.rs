//! Tokens: proof that whoever announces has asked us before, from the same address and for the
//! same info-hash (BEP 5).
//!
//! A token is a keyed hash (SipHash-2-4) of address, info-hash and the current period of five
//! minutes; the one before is still good, so a token lives 5 to 10 minutes. Nothing is stored per
//! token, so no flood can push one out, and checking one changes nothing. The secret of a period
//! is derived from one that never leaves this file.

use core::hash::Hasher;
use core::net::IpAddr;

use rand_core::CryptoRng;
use siphasher::sip::SipHasher24;

use crate::id::InfoHash;
use crate::time::Instant;

/// A token: 8 bytes.
pub type TokenBytes = [u8; 8];

/// Makes and checks tokens.
#[derive(Clone)]
pub struct Tokens {
    secret: [u8; 16],
}

impl Tokens {
    const PERIOD_MICROS: u64 = 5 * 60 * 1_000_000;

    /// With a secret of its own.
    pub fn new(random: &mut impl CryptoRng) -> Self {
        let mut secret = [0; 16];
        random.fill_bytes(&mut secret);
        Self { secret }
    }

    /// The token of an address for an info-hash.
    pub fn make(&self, now: Instant, ip: IpAddr, info_hash: &InfoHash) -> TokenBytes {
        self.of_period(Self::period(now), ip, info_hash)
    }

    /// Whether this is a token of the address for the info-hash, made in this period or the last.
    pub fn check(&self, now: Instant, ip: IpAddr, info_hash: &InfoHash, token: &[u8]) -> bool {
        let Ok(token) = <TokenBytes>::try_from(token) else { return false };
        let token = u64::from_le_bytes(token);
        let period = Self::period(now);
        let matches = |period| {
            let good = u64::from_le_bytes(self.of_period(period, ip, info_hash));
            // Compared as one number: the time it takes tells nothing of where they differ.
            good ^ token == 0
        };
        // Both are computed, whichever matches.
        matches(period) | matches(period.wrapping_sub(1))
    }

    fn period(now: Instant) -> u64 {
        now.as_micros() / Self::PERIOD_MICROS
    }

    fn of_period(&self, period: u64, ip: IpAddr, info_hash: &InfoHash) -> TokenBytes {
        let mut derived = [0; 16];
        let (low, high) = derived.split_at_mut(8);
        for (half, part) in [low, high].into_iter().zip(0u8..) {
            let mut hasher = SipHasher24::new_with_key(&self.secret);
            hasher.write(&period.to_le_bytes());
            hasher.write(&[part]);
            half.copy_from_slice(&hasher.finish().to_le_bytes());
        }
        let mut hasher = SipHasher24::new_with_key(&derived);
        match ip {
            IpAddr::V4(ip) => hasher.write(&ip.octets()),
            IpAddr::V6(ip) => hasher.write(&ip.octets()),
        }
        hasher.write(&info_hash.0);
        hasher.finish().to_le_bytes()
    }
}

impl core::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Tokens { .. }")
    }
}
