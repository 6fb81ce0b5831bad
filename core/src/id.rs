//! 160-bit identifiers and the XOR metric (BEP 5), and ids bound to addresses (BEP 42).

use core::fmt;

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
}

impl Distance {
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
