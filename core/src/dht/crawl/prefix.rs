//! Parts of the key space: all points that begin with the same bits (BEP 5).
//!
//! Knows points and nothing else.

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use core::ops::RangeInclusive;

use rand_core::Rng;

use crate::id::Id;

/// All points of the key space that share their first bits: one in 2^bits of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix {
    /// The bits, then zeros: the first of the points.
    first: Id,
    bits: u8,
}

impl Prefix {
    /// The whole key space.
    pub const WHOLE: Prefix = Prefix { first: Id([0; 20]), bits: 0 };

    /// The points that share their first `bits` bits, 160 at most, with this one.
    pub fn around(point: Id, bits: u8) -> Prefix {
        let bits = bits.min(160);
        let mut first = point;
        for (index, byte) in first.0.iter_mut().enumerate() {
            *byte &= mask(index, bits);
        }
        Prefix { first, bits }
    }

    /// How many bits its points share.
    pub const fn bits(self) -> u8 {
        self.bits
    }

    /// The first of its points.
    pub const fn first(self) -> Id {
        self.first
    }

    /// The last of its points.
    pub fn last(self) -> Id {
        let mut last = self.first;
        for (index, byte) in last.0.iter_mut().enumerate() {
            *byte |= !mask(index, self.bits);
        }
        last
    }

    /// Whether a point is one of these.
    pub fn contains(self, point: Id) -> bool {
        point.distance(self.first).leading_zeros() >= u32::from(self.bits)
    }

    /// Its two halves; none if it is a single point.
    pub fn halves(self) -> Option<[Prefix; 2]> {
        let bits = self.bits.checked_add(1).filter(|bits| *bits <= 160)?;
        let mut upper = self.first;
        if let Some(byte) = upper.0.get_mut(usize::from(self.bits / 8)) {
            *byte |= 0x80 >> (self.bits % 8);
        }
        Some([Prefix { bits, ..self }, Prefix { first: upper, bits }])
    }

    /// The part that this is a half of; none if it is the whole.
    pub fn parent(self) -> Option<Prefix> {
        Some(Prefix::around(self.first, self.bits.checked_sub(1)?))
    }

    /// One of its points.
    pub fn random(self, random: &mut impl Rng) -> Id {
        let mut point = Id::random(random);
        let places = point.0.iter_mut().zip(self.first.0).enumerate();
        for (index, (byte, first)) in places {
            *byte = first | *byte & !mask(index, self.bits);
        }
        point
    }

    /// How much of a larger part this is, 0 to 1.
    pub fn share_of(self, larger: Prefix) -> f64 {
        let halvings = self.bits.saturating_sub(larger.bits);
        (0..halvings).fold(1.0, |share, _| share / 2.0)
    }

    /// Everything that sorts by point, then address, as long as the point is one of these.
    pub(crate) fn range(self) -> RangeInclusive<(Id, SocketAddr)> {
        const LEAST: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));
        const MOST: SocketAddr = SocketAddr::V6(SocketAddrV6::new(
            Ipv6Addr::from_bits(u128::MAX),
            u16::MAX,
            u32::MAX,
            u32::MAX,
        ));
        (self.first, LEAST)..=(self.last(), MOST)
    }
}

/// Which bits of a byte of an id are among its first `bits`.
fn mask(index: usize, bits: u8) -> u8 {
    let before = usize::from(bits).saturating_sub(index * 8).min(8) as u32;
    !(0xffu32 >> before) as u8
}
