//! How large the network is, by how close the closest nodes of finished lookups were.
//!
//! Ids are spread evenly, so in a network of `n` nodes the `k`th closest to a point is `k/n` of the
//! key space away, more or less: `n` times that distance has a gamma distribution of shape `k`. The
//! sums over independent points have one whose shape is the sum of theirs, and from its quantiles
//! comes the interval. A target counts once, by its last lookup. Knows neither time nor messages.

use crate::dht::bloom::square_root;
use crate::id::{Distance, Id};
use crate::limits::{DENSITY_LOOKUPS, K, SPANS_MAX};
use crate::list::{List, Spare};

/// What finished lookups say of the size of the network.
#[derive(Clone, Debug, Default)]
pub struct Census {
    /// Oldest first.
    spans: Spare<Span, SPANS_MAX>,
    /// The last lookup found no more than these: all that there are.
    all: Option<u8>,
    /// What lookups of an earlier life said.
    recalled: Density,
}

/// A finished lookup, in few bytes.
#[derive(Clone, Copy, Debug)]
struct Span {
    /// The first bits of the target.
    target: u32,
    /// How far away the `K`th of the closest is.
    distance: Short,
}

/// A distance as exact as an estimate needs it: how many zero bits it begins with, and the 24 that
/// follow. No number with a point in it, which small processors have to work out step by step.
#[derive(Clone, Copy, Debug)]
struct Short(u32);

impl Short {
    fn new(distance: u64) -> Self {
        let zeros = distance.leading_zeros().min(63);
        Self(zeros << 24 | (distance << zeros >> 40) as u32)
    }

    /// The first 32 bits.
    fn head(self) -> u32 {
        let (zeros, bits) = (self.0 >> 24, self.0 & 0xff_ffff);
        (u64::from(bits) << 40 >> zeros.min(63) >> 32) as u32
    }

    /// As a share of the key space.
    fn share(self) -> f64 {
        let (zeros, bits) = (self.0 >> 24, self.0 & 0xff_ffff);
        f64::from(bits) / f64::from(1u32 << 24) / (1u64 << zeros.min(63)) as f64
    }
}

/// How many nodes there are, as far as lookups can tell: those that answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetworkSize {
    /// The best guess.
    pub nodes: u64,
    /// In 95 of 100 networks it is not fewer than these,
    pub low: u64,
    /// nor more than these, both ends together.
    pub high: u64,
    /// Lookups, for distinct targets, that this is made from.
    pub lookups: u8,
}

/// How dense the network is around any point, by which a crowd is told from neighbours: whoever wants
/// to be the closest to a target has ids closer than chance would put anybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Density {
    /// The first 32 bits of the distance within which `K` nodes are to be expected; 0: not known.
    reach: u32,
}

impl Density {
    /// Before anybody has told it.
    pub const UNKNOWN: Self = Self::of(0);

    /// As many as `K` within a distance that begins with these 32 bits; 0: not known.
    pub const fn of(reach: u32) -> Self {
        Self { reach }
    }

    /// The first 32 bits of the distance within which `K` nodes are to be expected; 0: not known.
    pub const fn reach(self) -> u32 {
        self.reach
    }

    /// Whether there are too many within a distance for one more: three for each that is to be
    /// expected there, and two. Chance puts more around one target of ten, and then it is one more.
    pub fn is_crowded(self, count: usize, distance: Distance) -> bool {
        let more = u64::from(self.reach) * count.saturating_sub(1) as u64;
        self.reach != 0 && count > 1 && more > 3 * K as u64 * u64::from(distance.head())
    }
}

impl Census {
    /// How dense the network is: the lower quartile of what lookups have seen. A few that met a crowd,
    /// and saw far too little, do not move it; nor does what was seen while there were fewer nodes.
    /// Before [`DENSITY_LOOKUPS`] have ended it is what was recalled, if anything was.
    pub fn density(&self) -> Density {
        let heads = || self.spans.iter().map(|span| span.distance.head());
        let quarter = self.spans.len() / 4;
        if self.spans.len() < DENSITY_LOOKUPS {
            return self.recalled;
        }
        let rank = |head: u32| heads().filter(|other| *other < head).count();
        Density { reach: heads().filter(|head| rank(*head) <= quarter).max().unwrap_or(0) }
    }

    /// Whether there is a density to know.
    pub fn knows_density(&self) -> bool {
        self.spans.len() >= DENSITY_LOOKUPS || self.recalled != Density::UNKNOWN
    }

    /// Takes in how dense the network was in an earlier life: the first lookup of this one has no
    /// other way to tell a crowd. Coarse enough for a network that has doubled since.
    pub fn recall(&mut self, density: Density) {
        self.recalled = density;
    }

    /// Takes in the closest nodes that answered a lookup which ran to its end, closest first.
    ///
    /// `all_answered`: so did everybody else that was asked. If these are few, they are all.
    pub fn note(&mut self, target: Id, closest: impl Iterator<Item = Id>, all_answered: bool) {
        let (mut nodes, mut last) = (0u8, None);
        for id in closest.take(K) {
            nodes += 1;
            last = Some(id);
        }
        let Some(last) = last else { return };
        if usize::from(nodes) < K {
            // Else it may be the network that went away.
            if all_answered {
                self.all = Some(nodes);
            }
            return;
        }
        self.all = None;
        let distance = Short::new(head(target) ^ head(last));
        let target = (head(target) >> 32) as u32;
        if let Some(old) = self.spans.iter().position(|span| span.target == target) {
            List::remove(&mut self.spans, old);
        } else if self.spans.len() >= SPANS_MAX {
            List::remove(&mut self.spans, 0);
        }
        let _ = List::push(&mut self.spans, Span { target, distance });
    }

    /// The size, `None` before the first lookup has ended.
    pub fn size(&self) -> Option<NetworkSize> {
        if let Some(nodes) = self.all.map(u64::from) {
            return Some(NetworkSize { nodes, low: nodes, high: nodes, lookups: 1 });
        }
        if self.spans.is_empty() {
            return None;
        }
        let shape = (K * self.spans.len()) as f64;
        let sum: f64 = self.spans.iter().map(|span| span.distance.share()).sum();
        let sum = f64::max(sum, f64::MIN_POSITIVE);
        // Eight answered, whatever the estimate is.
        let at_least = |nodes: f64| f64::max(nodes, K as f64) as u64;
        let quantile = |z| gamma_quantile(shape, z) / sum;
        Some(NetworkSize {
            nodes: at_least((shape - 1.0) / sum),
            low: at_least(quantile(-Z) * (1.0 - DOUBT)),
            high: at_least(quantile(Z) * (1.0 + DOUBT)),
            lookups: self.spans.len() as u8,
        })
    }

    /// Takes in what the lookups of another node of the same network say.
    pub fn merge(&mut self, other: &Self) {
        self.all = self.all.max(other.all);
        for span in other.spans.iter() {
            if !self.spans.iter().any(|known| known.target == span.target) {
                let _ = List::push(&mut self.spans, *span);
            }
        }
        if !self.spans.is_empty() {
            self.all = None;
        }
    }
}

/// The two-sided 95 % of a normal distribution.
const Z: f64 = 1.959_964;

/// What lookups miss, for whatever reason, makes the network look smaller: of the closest eight, 7.75
/// answer among 10,000 nodes with 2 % loss.
const DOUBT: f64 = 0.03;

/// The quantile of a gamma distribution, by the cube root of it being nearly normal (Wilson and
/// Hilferty).
fn gamma_quantile(shape: f64, z: f64) -> f64 {
    let root = square_root(shape);
    let cube = 1.0 - 1.0 / (9.0 * shape) + z / (3.0 * root);
    shape * cube * cube * cube
}

/// The first 64 bits.
fn head(id: Id) -> u64 {
    id.0.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
