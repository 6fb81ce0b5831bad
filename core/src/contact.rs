//! Who and where: a node's id with its address, address families, and the networks that count
//! as one.

use core::net::{IpAddr, SocketAddr};

use crate::id::{Id, is_local};

/// A node as others tell of it: its id and its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Contact {
    /// Its id.
    pub id: Id,
    /// Where it listens.
    pub addr: SocketAddr,
}

/// An address family. Each has a DHT of its own (BEP 32).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    pub const fn of(addr: &SocketAddr) -> Family {
        match addr {
            SocketAddr::V4(_) => Family::V4,
            SocketAddr::V6(_) => Family::V6,
        }
    }

    /// The other one.
    pub const fn other(self) -> Family {
        match self {
            Family::V4 => Family::V6,
            Family::V6 => Family::V4,
        }
    }

    /// Bytes of a compact peer: 6 or 18.
    pub const fn peer_len(self) -> usize {
        match self {
            Family::V4 => 6,
            Family::V6 => 18,
        }
    }

    /// Bytes of a compact contact: 26 or 38.
    pub const fn contact_len(self) -> usize {
        20 + self.peer_len()
    }
}

/// Whether an address that somebody told of is one to send to. A node on the internet cannot know
/// anybody on a local network, so what it says of one is wrong or meant to make us attack our own;
/// and nobody is where many are meant, or nobody.
pub fn is_contactable(addr: SocketAddr, teller: IpAddr) -> bool {
    let strange = match addr.ip() {
        IpAddr::V4(ip) => ip.is_multicast() || ip.is_broadcast() || ip.octets()[0] == 0,
        IpAddr::V6(ip) => ip.is_multicast() || ip.is_unspecified() || is_mapped(&addr),
    };
    addr.port() != 0 && !strange && (!is_local(addr.ip()) || is_local(teller))
}

/// Whether this is an IPv4 address in IPv6 clothes (`::ffff:192.0.2.1`), as a socket that takes both
/// families names whoever comes over IPv4: an address of neither DHT.
pub const fn is_mapped(addr: &SocketAddr) -> bool {
    match addr {
        SocketAddr::V4(_) => false,
        SocketAddr::V6(addr) => addr.ip().to_ipv4_mapped().is_some(),
    }
}

/// A network that is likely to be in one hand: the /24 of an IPv4 address, the /64 of an IPv6 one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network(u64);

impl Network {
    /// Which it is, in a form that stands anywhere in a row.
    pub(crate) fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// A single host as a network of its own, for private networks where all are neighbours.
    pub fn host(ip: IpAddr) -> Network {
        match ip {
            IpAddr::V4(ip) => Network(u64::from(ip.to_bits())),
            IpAddr::V6(ip) => Network((ip.to_bits() >> 64) as u64 ^ ip.to_bits() as u64),
        }
    }

    /// The network in whose hands an address is; local ones are in nobody's but ours.
    pub fn foreign(ip: IpAddr) -> Option<Network> {
        (!is_local(ip)).then(|| Network::of(ip))
    }

    /// Whether two networks are of one /16 (IPv4) or /48 (IPv6).
    pub fn is_beside(self, other: Network) -> bool {
        let differ = self.0 ^ other.0;
        if self.0 >> 63 == 0 { differ >> 8 == 0 } else { differ >> 16 == 0 }
    }

    /// One of `2^bits` places, for sets that tell networks apart as far as they can.
    pub(crate) fn place(self, bits: u32) -> u32 {
        let mixed = self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> (64 - bits.clamp(1, 32))) as u32
    }

    /// The network of an address.
    pub fn of(ip: IpAddr) -> Network {
        match ip {
            IpAddr::V4(ip) => Network(u64::from(ip.to_bits() >> 8)),
            // An IPv4 network has 24 bits; the top bit keeps the two apart (::/1 is unassigned
            // beyond documentation, and a clash only costs a place).
            IpAddr::V6(ip) => Network((ip.to_bits() >> 64) as u64 | 1 << 63),
        }
    }
}
