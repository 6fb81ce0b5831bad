//! Whom a crawl knows: each node by its address, and when it may be asked again.
//!
//! A node is its address. An id that somebody tells of it counts until it tells another itself, and
//! whatever id it has, the instant before which it must not be asked is its own. One field, `due`,
//! holds that instant for every reason there is:
//!
//! ```text
//!   answered, stores more than it told      its interval, 6 h at most (BEP 51)
//!   answered, told everything, or nothing   6 h, or its interval
//!         new in two visits in a row
//!   answered without samples, or refused    6 h
//!   silent                                  half an hour; then it is forgotten
//! ```
//!
//! Bounded: so many nodes, and of these so few of one network (a /24, a /64) and one site (a /48;
//! local networks are exempt) that nobody fills the memory with addresses of his own. Knows time;
//! knows no messages.

use alloc::collections::{BTreeMap, BTreeSet};
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use crate::contact::{Contact, Network};
use crate::dht::crawl::prefix::Prefix;
use crate::id::Id;
use crate::limits::{
    CRAWL_BARREN_MAX, CRAWL_NETWORK_NODES_MAX, CRAWL_NODE_HASHES_MAX, CRAWL_SITE_NODES_MAX,
    CRAWL_STORED_MAX, SAMPLE_INTERVAL_MAX,
};
use crate::time::Instant;

/// How long a node that did not answer is left alone.
pub const SILENT_FOR: Duration = Duration::from_secs(1_800);
/// How long a node that told everything is left alone.
pub const REST: Duration = SAMPLE_INTERVAL_MAX;

/// What a node turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It was not asked yet.
    Heard,
    /// It tells samples.
    Sampled,
    /// It answers, and tells none.
    Plain,
    /// It did not answer.
    Silent,
}

/// A node as a crawl knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its id, as far as is known.
    pub id: Id,
    /// What it is.
    pub kind: Kind,
    /// It must not be asked before.
    pub due: Instant,
    /// How many info-hashes it stores, as it says.
    pub stored: u32,
    /// How many of these it has not told, as far as can be guessed from samples.
    pub unseen: u32,
    /// Hashes taken from it.
    pub taken: u32,
    /// Visits in a row that brought nothing new.
    pub barren: u8,
}

/// What one answer said of the hashes that a node stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The time to its next sample; bounded where it is taken in.
    pub interval: Duration,
    /// How many it stores.
    pub stored: u32,
    /// How many of these the answer told.
    pub told: u32,
    /// How many of these were new.
    pub new: u32,
}

/// The nodes of a crawl.
#[derive(Debug)]
pub struct Known {
    most: usize,
    by_addr: BTreeMap<SocketAddr, Entry>,
    by_id: BTreeSet<(Id, SocketAddr)>,
    /// How many of each.
    places: BTreeMap<Place, u16>,
}

/// In whose hands addresses are, which are not ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Network(Network),
    /// The first 48 bits.
    Site(u64),
}

impl Entry {
    /// A node that was heard of, to be asked at once.
    pub const fn heard(id: Id) -> Self {
        let (stored, unseen, taken, barren) = (0, 0, 0, 0);
        Self { id, kind: Kind::Heard, due: Instant::EPOCH, stored, unseen, taken, barren }
    }

    /// Whether it stores more than it told.
    pub fn has_more(&self) -> bool {
        self.kind == Kind::Sampled && self.unseen > 0
    }

    /// It told a sample.
    pub fn sampled(&mut self, now: Instant, sample: Sample) {
        let stored = sample.stored.min(CRAWL_STORED_MAX);
        // What is new since the last visit is unseen; of what is, the sample shows its share.
        let before = match self.kind {
            Kind::Sampled => stored.saturating_sub(self.stored).saturating_add(self.unseen),
            _ => stored,
        };
        let hidden = u64::from(stored.saturating_sub(sample.told));
        let left = u64::from(before.min(stored)) * hidden / u64::from(stored.max(1));
        self.unseen = left.min(u64::from(u32::MAX)) as u32;
        self.stored = stored;
        self.taken = self.taken.saturating_add(sample.told);
        self.barren = if sample.new == 0 { self.barren.saturating_add(1) } else { 0 };
        if self.barren >= CRAWL_BARREN_MAX || self.taken >= CRAWL_NODE_HASHES_MAX {
            self.unseen = 0;
        }
        self.kind = Kind::Sampled;
        let interval = sample.interval.min(REST);
        self.due = now + if self.has_more() { interval } else { REST };
    }

    /// It answered, and does not know samples.
    pub fn plain(&mut self, now: Instant) {
        self.kind = Kind::Plain;
        self.unseen = 0;
        self.due = now + REST;
    }

    /// It did not answer.
    pub fn silent(&mut self, now: Instant) {
        self.kind = Kind::Silent;
        // An interval that it told before binds all the same.
        self.due = self.due.max(now + SILENT_FOR);
    }
}

impl Known {
    /// Nobody, and room for so many.
    pub fn new(most: usize) -> Self {
        let (by_addr, by_id, places) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        Self { most, by_addr, by_id, places }
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.by_addr.len()
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.by_addr.is_empty()
    }

    /// A node.
    pub fn get(&self, addr: &SocketAddr) -> Option<&Entry> {
        self.by_addr.get(addr)
    }

    /// The same, to note how it answered. Its id is changed by [`Known::rename`].
    pub fn get_mut(&mut self, addr: &SocketAddr) -> Option<&mut Entry> {
        self.by_addr.get_mut(addr)
    }

    /// Takes a node in that is not known, if there is room. Returns whether it did.
    pub fn insert(&mut self, addr: SocketAddr, entry: Entry) -> bool {
        if self.by_addr.len() >= self.most || self.by_addr.contains_key(&addr) {
            return false;
        }
        let count = |place: &Place| self.places.get(place).copied().unwrap_or(0);
        if places(addr.ip()).any(|place| count(&place) >= place.most()) {
            return false;
        }
        for place in places(addr.ip()) {
            let count = self.places.entry(place).or_insert(0);
            *count = count.saturating_add(1);
        }
        self.by_id.insert((entry.id, addr));
        self.by_addr.insert(addr, entry);
        true
    }

    /// A node says itself what its id is.
    pub fn rename(&mut self, addr: &SocketAddr, id: Id) {
        let Some(entry) = self.by_addr.get_mut(addr).filter(|entry| entry.id != id) else { return };
        self.by_id.remove(&(entry.id, *addr));
        entry.id = id;
        self.by_id.insert((id, *addr));
    }

    /// How many nodes of a part of the key space are known and not silent; counts no further than
    /// `most`.
    pub fn count(&self, part: Prefix, most: usize) -> usize {
        // Nobody who crowds a place with the dead keeps us counting.
        let mut all = self.by_id.range(part.range()).take(most.saturating_mul(8));
        let mut count = 0;
        while count < most
            && let Some((_, addr)) = all.next()
        {
            count += usize::from(self.get(addr).is_some_and(|entry| entry.kind != Kind::Silent));
        }
        count
    }

    /// Everybody, by address.
    pub fn iter(&self) -> impl Iterator<Item = (&SocketAddr, &Entry)> {
        self.by_addr.iter()
    }

    /// Forgets those who were silent, where their time is over.
    pub fn forget_silent(&mut self, now: Instant) {
        let Self { by_addr, by_id, places, .. } = self;
        by_addr.retain(|addr, entry| {
            let stays = entry.kind != Kind::Silent || entry.due > now;
            if !stays {
                by_id.remove(&(entry.id, *addr));
                leave(places, addr.ip());
            }
            stays
        });
    }

    /// Those who may be asked at `now`.
    pub fn due(&self, now: Instant) -> impl Iterator<Item = Contact> + '_ {
        let all = self.by_addr.iter();
        all.filter(move |(_, entry)| entry.due <= now)
            .map(|(addr, entry)| Contact { id: entry.id, addr: *addr })
    }
}

impl Place {
    fn most(self) -> u16 {
        match self {
            Place::Network(_) => CRAWL_NETWORK_NODES_MAX,
            Place::Site(_) => CRAWL_SITE_NODES_MAX,
        }
    }
}

fn places(ip: IpAddr) -> impl Iterator<Item = Place> {
    let network = Network::foreign(ip);
    let site = match ip {
        IpAddr::V6(ip) => network.map(|_| Place::Site((ip.to_bits() >> 80) as u64)),
        IpAddr::V4(_) => None,
    };
    network.map(Place::Network).into_iter().chain(site)
}

fn leave(counts: &mut BTreeMap<Place, u16>, ip: IpAddr) {
    for place in places(ip) {
        let Some(count) = counts.get_mut(&place) else { continue };
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(&place);
        }
    }
}
