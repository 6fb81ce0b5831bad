//! What one scrape of the DHT has gathered: the filters of all nodes in one, and the addresses that
//! nodes without filters named (BEP 33).
//!
//! Knows neither time nor messages. The first bytes of its list are the two filters; then come the
//! counts of single nodes, for the median, and then addresses of downloaders, 4 or 16 bytes each:
//! who is a seed is known only when all filters are, so they are counted when somebody looks.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use heapless::Vec;

use crate::contact::Family;
use crate::dht::bloom::{Bloom, Estimate};
use crate::limits::SCRAPE_GATHERED;
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
///
/// The estimates are of the union of what all nodes told, as the BEP has it: a single node that lies
/// can make them as large as it likes. The medians it cannot move, but no node knows the whole swarm,
/// so they are too low; where an estimate is many times its median, somebody lied.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SwarmSize {
    /// Peers that have everything.
    pub seeds: Estimate,
    /// The other peers.
    pub downloaders: Estimate,
    /// The median of the seeds that single nodes told of by filters: of the first 16 such nodes.
    pub seeds_median: f64,
    /// The same of downloaders.
    pub downloaders_median: f64,
    /// Nodes that told by filters.
    pub filters: u16,
    /// Nodes that told addresses alone: they know no seeds.
    pub legacy: u16,
    /// Nodes whose filters say nothing: full to the brim, or without the peers that the same node
    /// told.
    pub refused: u16,
    /// Addresses of nodes without filters that there was no room for: the downloaders may be more by
    /// as many.
    pub dropped: u32,
}

/// Nodes whose own counts are kept, for the median.
const TALLIES: usize = 16;
/// Where those counts begin, behind the filters; two bytes of seeds and of downloaders each.
const TALLIES_AT: usize = SCRAPE_GATHERED - 4 * TALLIES;

impl<L: List<u8>> Scraped<L> {
    /// Bytes of a list that takes no addresses.
    pub const LEN_MIN: usize = SCRAPE_GATHERED;

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

    /// Takes in a node's filters, unless they are so full that they say nothing, or lack one of the
    /// `peers` that the node told beside them.
    pub fn add_filters(
        &mut self,
        seeds: &[u8; Bloom::LEN],
        downloaders: &[u8; Bloom::LEN],
        mut peers: impl Iterator<Item = IpAddr>,
    ) {
        let [own_seeds, own_downloaders] = [seeds, downloaders].map(Bloom::from_bytes);
        let is_full = own_seeds.is_full() || own_downloaders.is_full();
        if is_full || !peers.all(|ip| own_seeds.contains(ip) || own_downloaders.contains(ip)) {
            self.refused = self.refused.saturating_add(1);
            return;
        }
        let told = seeds.iter().chain(downloaders);
        self.bytes.iter_mut().zip(told).for_each(|(known, told)| *known |= told);
        let at = TALLIES_AT + 4 * usize::from(self.filters).min(TALLIES);
        let [[a, b], [c, d]] =
            [own_seeds, own_downloaders].map(|filter| (filter.zeros() as u16).to_be_bytes());
        let tallies = self.bytes.get_mut(at..Self::LEN_MIN).unwrap_or_default();
        tallies.iter_mut().zip([a, b, c, d]).for_each(|(byte, told)| *byte = told);
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
            seeds_median: self.median(0),
            downloaders_median: self.median(2),
            filters: self.filters,
            legacy: self.legacy,
            refused: self.refused,
            dropped: self.dropped,
        }
    }

    /// The median of what single nodes told, by the zeros of their filters.
    fn median(&self, offset: usize) -> f64 {
        let count = usize::from(self.filters).min(TALLIES);
        let tallies = self.bytes.get(TALLIES_AT..Self::LEN_MIN).unwrap_or_default();
        let mut zeros: Vec<u16, TALLIES> = Vec::new();
        for tally in tallies.chunks_exact(4).take(count) {
            let told = tally.get(offset..offset + 2).and_then(|pair| pair.try_into().ok());
            let _ = zeros.push(told.map_or(0, u16::from_be_bytes));
        }
        zeros.sort_unstable();
        let middle = zeros.get(count / 2).copied();
        middle.map_or(0.0, |zeros| Bloom::count_of(u32::from(zeros)))
    }
}
