//! Tokens: proof that whoever announces has asked us before, from the same address and for the
//! same info-hash (BEP 5).
//!
//! A token is a keyed hash (SipHash-2-4) of address, info-hash and the current period of five
//! minutes; the one before is still good, so a token lives 5 to 10 minutes. Nothing is stored per
//! token, so no flood can push one out, and checking one changes nothing. The secret of a period
//! is derived from one that never leaves this file.

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
    /// The period that a token was made in last, and its secret.
    current: (u64, [u8; 16]),
}

impl Tokens {
    const PERIOD_MICROS: u64 = 5 * 60 * 1_000_000;

    /// With a secret of its own.
    pub fn new(random: &mut impl CryptoRng) -> Self {
        let mut secret = [0; 16];
        random.fill_bytes(&mut secret);
        Self { secret, current: (0, derive(&secret, 0)) }
    }

    /// The token of an address for an info-hash.
    pub fn make(&mut self, now: Instant, ip: IpAddr, info_hash: &InfoHash) -> TokenBytes {
        let period = Self::period(now);
        if self.current.0 != period {
            self.current = (period, derive(&self.secret, period));
        }
        keyed(&self.current.1, ip, info_hash)
    }

    /// Whether this is a token of the address for the info-hash, made in this period or the last.
    pub fn check(&self, now: Instant, ip: IpAddr, info_hash: &InfoHash, token: &[u8]) -> bool {
        let Ok(token) = <TokenBytes>::try_from(token) else { return false };
        let period = Self::period(now);
        let matches = |period| {
            let secret = derive(&self.secret, period);
            let good = keyed(&secret, ip, info_hash);
            // Compared as one number: the time it takes tells nothing of where they differ.
            u64::from_le_bytes(good) ^ u64::from_le_bytes(token) == 0
        };
        // Both are computed, whichever matches.
        matches(period) | matches(period.wrapping_sub(1))
    }

    fn period(now: Instant) -> u64 {
        now.as_micros() / Self::PERIOD_MICROS
    }
}

/// The secret of a period.
fn derive(secret: &[u8; 16], period: u64) -> [u8; 16] {
    let mut derived = [0; 16];
    for (half, part) in derived.chunks_exact_mut(8).zip(0u8..) {
        let mut bytes = [part; 9];
        if let Some(head) = bytes.first_chunk_mut() {
            *head = period.to_le_bytes();
        }
        half.copy_from_slice(&SipHasher24::new_with_key(secret).hash(&bytes).to_le_bytes());
    }
    derived
}

fn keyed(secret: &[u8; 16], ip: IpAddr, info_hash: &InfoHash) -> TokenBytes {
    let mut bytes = [0; 36];
    let (place, hash) = bytes.split_at_mut(16);
    match ip {
        // In the form of an address mapped into IPv6, so that no two collide.
        IpAddr::V4(ip) => place.copy_from_slice(&ip.to_ipv6_mapped().octets()),
        IpAddr::V6(ip) => place.copy_from_slice(&ip.octets()),
    }
    // 16 and 20 bytes: the two parts of 36.
    hash.copy_from_slice(&info_hash.0);
    SipHasher24::new_with_key(secret).hash(&bytes).to_le_bytes()
}

impl core::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Tokens { .. }")
    }
}
