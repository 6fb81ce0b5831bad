//! Counting a swarm that many nodes hold parts of (BEP 33, "Bloom Filters").
//!
//! A [`Bloom`] is a set of addresses in 2,048 bits: the SHA-1 of an address names two of them.
//! Filters of several nodes are united bit by bit, and the bits that are still zero tell how many
//! addresses went in, whichever node they came from and however often. Ports do not count. Knows
//! neither time nor messages.
//!
//! `n` addresses are `N = 2n` throws at `m = 2,048` bits. Of these a share of `(1 - 1/m)^N` is
//! expected to stay zero, so `z` zero bits stand for `N = ln(z/m) / ln(1 - 1/m)` throws. The number
//! of zero bits varies by `m·e^-t·(1 - (1 + t)·e^-t)` around that, where `t = N/m`; divided by the
//! square of its slope, `e^-t`, that is a variance of `m·(e^t - 1 - t)` throws. With `e^t = m/z`,
//! and a half of it for an address, one standard error is `√(m·(m/z - 1 - ln(m/z))) / 2` addresses.

use core::fmt;
use core::net::IpAddr;

use sha1_smol::Sha1;

/// A set of addresses that can be counted, roughly, and united with others.
///
/// ```
/// use core::net::IpAddr;
/// use tinybt_core::dht::bloom::Bloom;
///
/// let [mut here, mut there] = [Bloom::new(); 2];
/// here.insert(IpAddr::from([192, 0, 2, 1]));
/// there.insert(IpAddr::from([192, 0, 2, 1]));
/// there.insert(IpAddr::from([192, 0, 2, 2]));
/// here.merge(there.bytes());
/// assert!(here.contains(IpAddr::from([192, 0, 2, 2])));
/// assert_eq!(here.estimate().count.round(), 2.0);
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bloom {
    bytes: [u8; Bloom::LEN],
}

/// How many addresses a filter holds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// The most likely number: 0 for an empty filter, 7,806 for one without a zero bit.
    pub count: f64,
    /// One standard error of it, in addresses. For fewer than about thirty it is less than one, and
    /// the count a whole number of halves.
    pub error: f64,
}

/// The two bits of an address, each 0 to 2,047.
pub(crate) type Bits = [u16; 2];

impl Bloom {
    /// Bytes of a filter.
    pub const LEN: usize = 256;

    /// Bits of a filter: the `m` of BEP 33.
    const BITS: u32 = 2_048;

    /// With fewer zero bits than this more than 6,000 addresses are in it.
    const ZEROS_MIN: u32 = 6;

    /// Empty.
    pub const fn new() -> Self {
        Self { bytes: [0; Self::LEN] }
    }

    /// As it stands in a message.
    pub const fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        Self { bytes: *bytes }
    }

    /// As it goes into a message.
    pub const fn bytes(&self) -> &[u8; Self::LEN] {
        &self.bytes
    }

    /// Takes an address in.
    pub fn insert(&mut self, ip: IpAddr) {
        self.set(bits(ip));
    }

    /// Whether an address may be in it: never false for one that is, true by chance for a stranger
    /// with the square of the share of bits that are set.
    pub fn contains(&self, ip: IpAddr) -> bool {
        bits(ip).iter().all(|bit| {
            let byte = self.bytes.get(usize::from(bit / 8));
            byte.is_some_and(|byte| byte & 1 << (bit % 8) != 0)
        })
    }

    /// Takes in all that another filter holds.
    pub fn merge(&mut self, other: &[u8; Self::LEN]) {
        for (byte, other) in self.bytes.iter_mut().zip(other) {
            *byte |= other;
        }
    }

    /// How many bits are zero, 0 to 2,048.
    pub fn zeros(&self) -> u32 {
        let (words, _) = self.bytes.as_chunks();
        words.iter().map(|word| u64::from_ne_bytes(*word).count_zeros()).sum()
    }

    /// Whether it holds more than the 6,000 up to which BEP 33 trusts the count: most of what is
    /// counted then is chance.
    pub fn is_full(&self) -> bool {
        self.zeros() < Self::ZEROS_MIN
    }

    /// How many addresses it holds. BEP 33's formula, which makes half an address of an empty
    /// filter and infinitely many of one full of ones: here the former is 0, and the latter counts
    /// as if one bit were zero.
    pub fn estimate(&self) -> Estimate {
        let zeros = self.zeros().max(1);
        let (all, load) = (f64::from(Self::BITS), load(zeros));
        let spread = all / f64::from(zeros) - 1.0 - load;
        Estimate {
            count: load / (2.0 * self::load(Self::BITS - 1)),
            error: square_root(all * spread) / 2.0,
        }
    }

    /// How many addresses leave so many zeros.
    pub(crate) fn count_of(zeros: u32) -> f64 {
        load(zeros.clamp(1, Self::BITS)) / (2.0 * load(Self::BITS - 1))
    }

    pub(crate) fn set(&mut self, bits: Bits) {
        for bit in bits {
            if let Some(byte) = self.bytes.get_mut(usize::from(bit / 8)) {
                *byte |= 1 << (bit % 8);
            }
        }
    }
}

impl Default for Bloom {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Bloom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bloom").field("zeros", &self.zeros()).finish_non_exhaustive()
    }
}

/// The bits that stand for an address.
pub(crate) fn bits(ip: IpAddr) -> Bits {
    let digest = match ip {
        IpAddr::V4(ip) => Sha1::from(ip.octets()),
        IpAddr::V6(ip) => Sha1::from(ip.octets()),
    };
    let [a, b, c, d, ..] = digest.digest().bytes();
    [[a, b], [c, d]].map(|pair| u16::from_le_bytes(pair) % Bloom::BITS as u16)
}

/// The natural logarithm of `2,048 / zeros`, for 1 to 2,048 of them: throws for each bit.
const fn load(zeros: u32) -> f64 {
    let whole = zeros.ilog2();
    // What is left of it is 1 to 2, and `ln x = 2·artanh((x - 1)/(x + 1))`.
    let x = zeros as f64 / (1_u32 << whole) as f64;
    let y = (x - 1.0) / (x + 1.0);
    // y ≤ 1/3: each term is a ninth of the one before, 17 are all that a double can tell apart.
    let (mut sum, mut power, mut odd) = (0.0, y, 1);
    while odd < 35 {
        sum += power / odd as f64;
        power *= y * y;
        odd += 2;
    }
    (Bloom::BITS.ilog2() - whole) as f64 * core::f64::consts::LN_2 - 2.0 * sum
}

/// By Newton's method: from above, until it no longer falls.
pub(crate) fn square_root(square: f64) -> f64 {
    if square <= 0.0 {
        return 0.0;
    }
    let mut root = square.max(1.0);
    // A step halves what is far too large and doubles the digits of what is not. There are 11 of
    // the former for the largest, 2,048².
    for _ in 0..32 {
        let next = (root + square / root) / 2.0;
        if next >= root {
            break;
        }
        root = next;
    }
    root
}
