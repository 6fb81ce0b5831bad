//! What a node can be told about how to behave: units, defaults and meanings.

use core::time::Duration;

use crate::budget::Rate;
use crate::contact::Family;
use crate::dht::store::PEER_TTL;
use crate::id::Id;

/// How a [`Node`](crate::dht::Node) behaves. Start from [`Config::new`] or [`Config::private`]
/// and change what you must.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The address family of this node's DHT (BEP 32: one node each).
    pub family: Family,
    /// A fixed id. `None`: random at first, made from the external address once that is agreed
    /// (BEP 42).
    pub id: Option<Id>,
    /// Ask but do not answer, and say so (BEP 43).
    pub read_only: bool,
    /// The `v` that our messages carry: two letters and two digits. `None`: no `v`.
    pub version: Option<[u8; 4]>,
    /// What to make of nodes whose id does not fit their address (BEP 42). Nodes on local
    /// networks are exempt.
    pub address_check: AddressCheck,
    /// At most one node of each /24 (IPv4) or /64 (IPv6) in the routing table, and few of each in
    /// a lookup; local networks are exempt. And of nodes that sit closer together than chance would
    /// put them a lookup counts a few: for as long as it does not know how dense the network is, it
    /// asks three to five others for their neighbours.
    pub diversity: bool,
    /// How wide a lookup searches, 1 to 32: a node is asked while the questions in flight that are
    /// ahead of it weigh less. Each weighs one, and one more for each bit that it is closer. A third
    /// of it is enough for a lookup that begins with nodes of the table, which are near already.
    pub parallel: u8,
    /// Disjoint paths of a lookup, 1 to 4, which share `parallel`; other numbers count as the
    /// nearest, and all as 1 without the feature `alloc`. A node that lies leads only one of them
    /// astray, and each costs questions and time: two help among many liars, more than two hardly.
    pub paths: u8,
    /// Never give up on a question sooner than this, at most six minutes, however fast others answer;
    /// on one to a node that many name, or where something is stored, up to 2.5 times as late.
    pub timeout_min: Duration,
    /// Give up on a question after this at the latest.
    pub timeout_max: Duration,
    /// Questions per second that the node may send, all together. `None`: no limit.
    pub questions: Option<Rate>,
    /// Distinct addresses per minute that upkeep and lookups may contact: home routers track
    /// connections. `None`: no limit.
    pub destinations_per_minute: Option<u32>,
    /// Answers per second to one source (an IPv4 address, an IPv6 /64). `None`: no limit.
    pub answers: Option<Rate>,
    /// Bytes of a reply to `get_peers` per byte of the question, for sources that have proven
    /// nothing, and half as many for other methods: a spoofed source must not turn this node into
    /// an amplifier. Proof is a token of ours in `get`. 0: no limit.
    pub amplification: u8,
    /// How long the sample of stored info-hashes that others are given stays the same (BEP 51):
    /// [`Duration::ZERO`], for a new one each time, to six hours; longer counts as that. What fits
    /// into one reply is always told as it is.
    pub sample_interval: Duration,
    /// How often an item goes out whole to somebody who has proven nothing, although it is longer than
    /// `amplification` allows: all of them together, so that there is next to nothing to be gained by
    /// spoofing. `None`: no limit.
    pub whole_items: Option<Rate>,
    /// Hand queries of methods that this library does not know to the application
    /// ([`Event::Asked`](crate::dht::Event::Asked)); otherwise they are answered as the BEPs say.
    pub foreign_methods: bool,
    /// The parts of upkeep, each of which can be switched off.
    pub upkeep: Upkeep,
}

/// What a node does on its own account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Upkeep {
    /// Look up our own id at the start, and again after the network was away.
    pub bootstrap: bool,
    /// Ask nodes not heard of for 15 minutes, and look for nodes where a bucket has room: one
    /// question at a time.
    pub refresh: bool,
    /// The least time between two questions of that kind.
    pub refresh_spacing: Duration,
    /// Ask nodes that asked us whether they can be reached, and so get to know them.
    pub verify: bool,
}

/// What to make of a node whose id does not fit its address (BEP 42).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressCheck {
    /// Nothing.
    Off,
    /// A node whose id fits takes the place of one whose id does not.
    Prefer,
    /// It is not kept, and what it answers counts for nothing in a lookup.
    Enforce,
}

impl Config {
    /// For the internet.
    pub fn new(family: Family) -> Self {
        Self {
            family,
            id: None,
            read_only: false,
            version: Some(*b"TY01"),
            address_check: AddressCheck::Prefer,
            diversity: true,
            parallel: 15,
            paths: 1,
            timeout_min: Duration::from_millis(100),
            timeout_max: Duration::from_secs(4),
            questions: Some(Rate { per_second: 200, burst: 200 }),
            destinations_per_minute: Some(2_000),
            answers: Some(Rate { per_second: 50, burst: 200 }),
            amplification: 8,
            whole_items: Some(Rate { per_second: 5, burst: 25 }),
            // By then nobody counts any longer who did not announce again.
            sample_interval: PEER_TTL,
            foreign_methods: false,
            upkeep: Upkeep {
                bootstrap: true,
                refresh: true,
                refresh_spacing: Duration::from_secs(5),
                verify: true,
            },
        }
    }

    /// For a network of one's own, where all nodes may share an address and are trusted: no
    /// limits, no demands on addresses.
    pub fn private(family: Family) -> Self {
        Self {
            address_check: AddressCheck::Off,
            diversity: false,
            questions: None,
            destinations_per_minute: None,
            answers: None,
            amplification: 0,
            ..Self::new(family)
        }
    }

    /// A bare KRPC endpoint: asks what it is told to, answers, and does nothing of its own accord.
    pub fn endpoint(family: Family) -> Self {
        let mut config = Self::new(family);
        config.upkeep.bootstrap = false;
        config.upkeep.refresh = false;
        config.upkeep.verify = false;
        config
    }
}
