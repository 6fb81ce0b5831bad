//! What a node tells its application: small owned facts. Bulk stays in its row, and the event
//! names the row.

use core::net::SocketAddr;
use core::time::Duration;

use crate::contact::Family;
use crate::id::Id;
use crate::rows::Handle;

/// Names one of the local addresses of a machine, with the node that is there (BEP 45). A node of
/// its own is the first of its family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HomeId {
    v6: bool,
    number: u8,
}

impl HomeId {
    /// The `number`th of a family, counted from 0.
    pub const fn new(family: Family, number: u8) -> Self {
        Self { v6: matches!(family, Family::V6), number }
    }

    /// The address family.
    pub const fn family(self) -> Family {
        if self.v6 { Family::V6 } else { Family::V4 }
    }

    /// Its place among the homes of its family.
    pub const fn number(self) -> u8 {
        self.number
    }
}

/// Names a lookup of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LookupId {
    pub(crate) home: HomeId,
    pub(crate) row: Handle,
}

/// Names a single question of one node to one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId {
    pub(crate) home: HomeId,
    pub(crate) row: Handle,
}

/// Names a question that another node asked and that waits for the application's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuestionId {
    pub(crate) home: HomeId,
    pub(crate) row: Handle,
}

macro_rules! of_a_home {
    ($($name:ident),*) => {$(
        impl $name {
            /// The family of the node that this belongs to.
            pub const fn family(self) -> Family {
                self.home.family()
            }

            /// The node that this belongs to.
            pub const fn home(self) -> HomeId {
                self.home
            }
        }
    )*};
}
of_a_home!(LookupId, AskId, QuestionId);

/// What a node tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A lookup found a peer that it had not told of before.
    Peer {
        /// Which lookup.
        lookup: LookupId,
        /// The peer.
        peer: SocketAddr,
    },
    /// A lookup for an item knows one, or a newer one than before. It can be read
    /// ([`Node::item`](crate::dht::Node::item)) as long as the lookup lives.
    Item {
        /// Which lookup.
        lookup: LookupId,
    },
    /// A lookup ended. Its trace, the closest nodes and what it has gathered can be read until the
    /// next poll.
    Finished {
        /// Which lookup.
        lookup: LookupId,
        /// How it ended.
        outcome: Outcome,
    },
    /// A single question was answered. The answer can be read until the next poll.
    Answered {
        /// Which question.
        ask: AskId,
        /// The round trip.
        rtt: Duration,
    },
    /// A single question was answered with an error. Its text can be read until the next poll.
    Refused {
        /// Which question.
        ask: AskId,
        /// The code of the error: 201 to 204 in BEP 5.
        code: i64,
    },
    /// A single question was not answered in time.
    Silent {
        /// Which question.
        ask: AskId,
    },
    /// A query of a method that this library does not know, for the application to answer
    /// ([`Node::reply`](crate::dht::Node::reply)); if it does not before the next poll, the
    /// node answers by itself.
    Asked {
        /// Which question.
        question: QuestionId,
    },
    /// Others agree on what our address is, and it is a new one. If the id is made from the
    /// address (BEP 42), it is new too.
    External {
        /// Of which node.
        home: HomeId,
        /// The address, as others see it.
        addr: SocketAddr,
        /// The node's id from now on.
        id: Id,
    },
    /// The network answers (again).
    Online {
        /// For which node.
        home: HomeId,
    },
    /// Nobody answers any more.
    Offline {
        /// For which node.
        home: HomeId,
    },
}

/// How a lookup ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Why.
    pub end: End,
    /// Peers told.
    pub peers: u32,
    /// Distinct nodes asked.
    pub asked: u16,
    /// Of these, nodes that answered.
    pub answered: u16,
    /// Datagrams sent, repeats and announces included.
    pub sent: u16,
    /// Nodes that confirmed the announce, or stored the item.
    pub stored: u8,
    /// Nodes that refused it; the trace has their reasons.
    pub refused: u8,
    /// How long it took.
    pub took: Duration,
}

/// Why a lookup ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The closest nodes have answered.
    Complete,
    /// Nobody answered.
    Unanswered,
    /// It had nobody to ask: no node is known and no bootstrap address was given.
    Nobody,
    /// It was cancelled.
    Cancelled,
    /// It was to store an item, and found a newer one, or one newer than the one to be replaced,
    /// which can be read: nothing was stored.
    Outdated,
}

/// How one question of a lookup went: a line of its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Whom it went to.
    pub addr: SocketAddr,
    /// The node's id, where it was known or has been told since.
    pub id: Option<Id>,
    /// When, counted from the start of the lookup.
    pub at: Duration,
    /// The time to the answer.
    pub rtt: Option<Duration>,
    /// How many bits of the target's prefix its id shares.
    pub shared: u8,
    /// Whether this was an announce or a put, rather than a search.
    pub announce: bool,
    /// Whether this address had been asked the same before.
    pub repeat: bool,
    /// Peers in its answer.
    pub peers: u16,
    /// Nodes in its answer.
    pub nodes: u8,
    /// The code of the error that was the answer: 201 to 204 (BEP 5), 205 to 207, 301 and 302
    /// (BEP 44); 0 for codes that fit nowhere, and where another node answered than the one expected.
    pub refused: Option<u16>,
}
