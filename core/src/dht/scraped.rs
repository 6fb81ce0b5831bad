//! What one scrape of the DHT has gathered: the filters of all nodes in one, and the addresses that
//! nodes without filters named (BEP 33).
//!
//! Knows neither time nor messages. The first bytes of its list are the two filters, those behind
//! them addresses of downloaders, 4 or 16 bytes each: who is a seed is known only when all filters
//! are, so they are counted when somebody looks.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::contact::Family;
use crate::dht::bloom::{Bloom, Estimate};
use crate::list::List;

/// The filters of a swarm, as far as nodes told of it.
#[derive(Clone, Debug)]
pub struct Scraped<L: List<u8>> {
    bytes: L,
    family: Family,
    filters: u16,
    legacy: u16,
    refused: u16,
    /// Addresses that found no room.
    dropped: u32,
}

/// How many are in a swarm, by the nodes that keep it (BEP 33).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SwarmSize {
    /// Peers that have everything.
    pub seeds: Estimate,
    /// The other peers.
    pub downloaders: Estimate,
    /// Nodes that told by filters.
    pub filters: u16,
    /// Nodes that told addresses alone: they know no seeds.
    pub legacy: u16,
    /// Nodes whose filters say nothing: full to the brim.
    pub refused: u16,
}

impl<L: List<u8>> Scraped<L> {
    /// Bytes of a list that takes no addresses.
    pub const LEN_MIN: usize = 2 * Bloom::LEN;

    /// Nothing yet; `None` if the empty list has no room for the filters.
    pub fn new(family: Family, mut bytes: L) -> Option<Self> {
        if bytes.capacity() < Self::LEN_MIN {
            return None;
        }
        while bytes.len() < Self::LEN_MIN {
            bytes.push(0).ok()?;
        }
        Some(Self { bytes, family, filters: 0, legacy: 0, refused: 0, dropped: 0 })
    }

    /// Takes in a node's filters, unless they are so full that they say nothing.
    pub fn add_filters(&mut self, seeds: &[u8; Bloom::LEN], downloaders: &[u8; Bloom::LEN]) {
        let is_full = |bytes| Bloom::from_bytes(bytes).is_full();
        if is_full(seeds) || is_full(downloaders) {
            self.refused = self.refused.saturating_add(1);
            return;
        }
        let told = seeds.iter().chain(downloaders);
        self.bytes.iter_mut().zip(told).for_each(|(known, told)| *known |= told);
        self.filters = self.filters.saturating_add(1);
    }

    /// Takes in what a node without filters named.
    pub fn add_addresses(&mut self, addresses: impl Iterator<Item = IpAddr>) {
        let mut has_named = false;
        for ip in addresses {
            has_named |= self.add_address(ip);
        }
        self.legacy = self.legacy.saturating_add(u16::from(has_named));
    }

    fn add_address(&mut self, ip: IpAddr) -> bool {
        let (v4, v6);
        let new: &[u8] = match (ip, self.family) {
            (IpAddr::V4(ip), Family::V4) => {
                v4 = ip.octets();
                &v4
            }
            (IpAddr::V6(ip), Family::V6) => {
                v6 = ip.octets();
                &v6
            }
            _ => return false,
        };
        if self.addresses().any(|known| known == new) {
            return true;
        }
        if self.bytes.capacity() - self.bytes.len() < new.len() {
            self.dropped = self.dropped.saturating_add(1);
            return true;
        }
        new.iter().all(|byte| self.bytes.push(*byte).is_ok())
    }

    fn addresses(&self) -> impl Iterator<Item = &[u8]> {
        let len = self.family.peer_len() - 2;
        self.bytes.get(Self::LEN_MIN..).unwrap_or_default().chunks_exact(len)
    }

    /// The filter of seeds.
    pub fn seeds(&self) -> Bloom {
        self.filter(0)
    }

    /// The filter of downloaders, with those that nodes without filters named and nobody knows as
    /// seeds.
    pub fn downloaders(&self) -> Bloom {
        let (seeds, mut downloaders) = (self.seeds(), self.filter(Bloom::LEN));
        for address in self.addresses() {
            let ip = match (<[u8; 4]>::try_from(address), <[u8; 16]>::try_from(address)) {
                (Ok(v4), _) => IpAddr::V4(Ipv4Addr::from(v4)),
                (_, Ok(v6)) => IpAddr::V6(Ipv6Addr::from(v6)),
                _ => continue,
            };
            if !seeds.contains(ip) {
                downloaders.insert(ip);
            }
        }
        downloaders
    }

    fn filter(&self, start: usize) -> Bloom {
        let bytes = self.bytes.get(start..start + Bloom::LEN);
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map_or_else(Bloom::default, Bloom::from_bytes)
    }

    /// How many are in the swarm.
    pub fn size(&self) -> SwarmSize {
        SwarmSize {
            seeds: self.seeds().estimate(),
            downloaders: self.downloaders().estimate(),
            filters: self.filters,
            legacy: self.legacy,
            refused: self.refused,
        }
    }

    /// Addresses that found no room in the list.
    pub fn dropped(&self) -> u32 {
        self.dropped
    }
}
