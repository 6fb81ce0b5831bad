//! 160-bit identifiers and the XOR metric (BEP 5), and ids bound to addresses (BEP 42).

use core::fmt;
use core::net::IpAddr;
use core::str::FromStr;

use rand_core::Rng;

/// The id of a node, or any point of the 160-bit key space.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Id(pub [u8; 20]);

/// What a swarm is known by: the SHA-1 of the torrent's info dictionary, or the first 20 bytes of
/// its SHA-256 (BEP 52).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct InfoHash(pub [u8; 20]);

/// How far two points of the key space are apart: their XOR, compared as a big-endian number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Distance(pub [u8; 20]);

impl Id {
    /// The distance to `other`.
    pub fn distance(self, other: Id) -> Distance {
        let mut xor = self.0;
        for (x, y) in xor.iter_mut().zip(other.0) {
            *x ^= y;
        }
        Distance(xor)
    }

    /// A random id.
    pub fn random(random: &mut impl Rng) -> Id {
        let mut bytes = [0; 20];
        random.fill_bytes(&mut bytes);
        Id(bytes)
    }

    /// A random id that fits an address (BEP 42).
    pub fn from_address(ip: IpAddr, random: &mut impl Rng) -> Id {
        Id::random(random).fitted(ip)
    }

    /// The same with the `r` of BEP 42 given, of which the lowest three bits count: ids of one
    /// address differ in their first 21 bits where these do.
    pub fn from_address_as(ip: IpAddr, r: u8, random: &mut impl Rng) -> Id {
        let mut id = Id::random(random);
        if let Some(last) = id.0.last_mut() {
            *last = *last & !7 | r & 7;
        }
        id.fitted(ip)
    }

    /// Another point of the key space, far from this one and from those of other numbers: the
    /// number, its bits in reverse, is added to the highest bits without carry (BEP 45).
    pub fn apart(mut self, number: u8) -> Id {
        if let Some(first) = self.0.first_mut() {
            *first ^= number.reverse_bits();
        }
        self
    }

    /// The id with those bits changed that an address demands.
    fn fitted(self, ip: IpAddr) -> Id {
        let mut id = self;
        let [.., last] = id.0;
        let prefix = prefix_of(ip, last);
        let kept = 0x7ff;
        let [_, _, third, ..] = id.0;
        let head = prefix & !kept | u32::from(third) << 8 & kept;
        for (byte, made) in id.0.iter_mut().take(3).zip(head.to_be_bytes()) {
            *byte = made;
        }
        id
    }

    /// Whether the id fits the address (BEP 42). On local networks every id does.
    pub fn fits_address(self, ip: IpAddr) -> bool {
        if is_local(ip) {
            return true;
        }
        let [a, b, c, .., last] = self.0;
        // 21 bits: all of two bytes, five of the third.
        (u32::from_be_bytes([a, b, c, 0]) ^ prefix_of(ip, last)) >> 11 == 0
    }
}

/// The hash of a masked address with three random bits, whose first 21 bits an id must begin with.
fn prefix_of(ip: IpAddr, random: u8) -> u32 {
    let r = u64::from(random & 7);
    match ip {
        IpAddr::V4(ip) => {
            let masked = ip.to_bits() & 0x030f_3fff | (r as u32) << 29;
            crc32c(&masked.to_be_bytes())
        }
        IpAddr::V6(ip) => {
            let high = (ip.to_bits() >> 64) as u64;
            let masked = high & 0x0103_070f_1f3f_7fff | r << 61;
            crc32c(&masked.to_be_bytes())
        }
    }
}

/// Castagnoli's cyclic redundancy check, bit by bit: eight bytes do not pay for a table.
fn crc32c(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let mut crc = !0;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ (POLYNOMIAL & 0u32.wrapping_sub(crc & 1));
        }
    }
    !crc
}

/// Whether an address belongs to this host or to a local network, where no one can say what the
/// outside sees (BEP 42 exempts these).
pub fn is_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let shared = a == 100 && b & 0xc0 == 64;
            ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || shared
        }
        IpAddr::V6(ip) => {
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
        }
    }
}

/// Why a text is no id or info-hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// It has neither 40 nor 64 hexadecimal digits, nor 32 of base32.
    Length(usize),
    /// This character is no digit.
    Digit(char),
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParseError::Length(len) => write!(
                f,
                "expected 40 hexadecimal digits (or 64, or 32 of base32, for an info-hash), \
                 found {len} characters"
            ),
            ParseError::Digit(digit) => write!(f, "{digit:?} is not a digit of this encoding"),
        }
    }
}

impl core::error::Error for ParseError {}

impl FromStr for Id {
    type Err = ParseError;

    /// Reads 40 hexadecimal digits.
    fn from_str(text: &str) -> Result<Id, ParseError> {
        if text.chars().count() != 40 {
            return Err(ParseError::Length(text.chars().count()));
        }
        digits(text, 16).map(Id)
    }
}

impl FromStr for InfoHash {
    type Err = ParseError;

    /// Reads 40 hexadecimal digits, or 64 of a v2 info-hash that is cut to its first 20 bytes
    /// (BEP 52), or 32 digits of base32.
    fn from_str(text: &str) -> Result<InfoHash, ParseError> {
        match text.chars().count() {
            40 | 64 => digits(text, 16).map(InfoHash),
            32 => digits(text, 32).map(InfoHash),
            other => Err(ParseError::Length(other)),
        }
    }
}

/// The first 20 bytes that digits of base 16 or 32 (RFC 4648) stand for.
fn digits(text: &str, base: u32) -> Result<[u8; 20], ParseError> {
    let value = |digit: char| match (base, digit) {
        (32, 'a'..='z') => Some(digit as u32 - u32::from(b'a')),
        (32, 'A'..='Z') => Some(digit as u32 - u32::from(b'A')),
        (32, '2'..='7') => Some(digit as u32 - u32::from(b'2') + 26),
        (16, digit) => digit.to_digit(16),
        _ => None,
    };
    let width = base.ilog2();
    let mut bytes = [0; 20];
    let mut places = bytes.iter_mut();
    let (mut bits, mut count) = (0u32, 0);
    for digit in text.chars() {
        bits = (bits << width | value(digit).ok_or(ParseError::Digit(digit))?) & 0xffff;
        count += width;
        if count >= 8 {
            count -= 8;
            if let Some(place) = places.next() {
                *place = (bits >> count & 0xff) as u8;
            }
        }
    }
    Ok(bytes)
}

impl Distance {
    /// The first 32 bits: enough to compare by.
    #[cfg_attr(not(feature = "alloc"), inline(never))]
    pub(crate) fn head(self) -> u32 {
        let [a, b, c, d, ..] = self.0;
        u32::from_be_bytes([a, b, c, d])
    }

    /// The number of leading zero bits, 0 to 160: how long a prefix the two points share.
    pub fn leading_zeros(self) -> u32 {
        let mut zeros = 0;
        for byte in self.0 {
            zeros += byte.leading_zeros();
            if byte != 0 {
                break;
            }
        }
        zeros
    }
}

impl InfoHash {
    /// The point of the key space at which the swarm's peers are kept.
    pub const fn as_id(self) -> Id {
        Id(self.0)
    }
}

impl From<InfoHash> for Id {
    fn from(hash: InfoHash) -> Id {
        hash.as_id()
    }
}

macro_rules! hexadecimal {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    )*};
}
hexadecimal!(Id, InfoHash, Distance);
