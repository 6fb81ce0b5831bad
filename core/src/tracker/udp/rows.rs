//! The rows of the client: servers with their connection ids, requests with their patience; and
//! where they live.

use core::net::SocketAddr;
use core::time::Duration;

use heapless::Vec;

use crate::announce::Announce;
use crate::id::InfoHash;
use crate::limits::DATAGRAM_MAX;
use crate::list::List;
use crate::rows::{Handle, Row};
use crate::time::Instant;

/// How long to wait for an answer, and how often to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Before the request is repeated the first time; twice as long before the second, and so on.
    pub first: Duration,
    /// How often it is repeated before the server counts as silent.
    pub repeats: u8,
}

impl Patience {
    /// The schedule of BEP 15: 15 seconds, doubled 8 times; more than two hours in all.
    pub const BEP_15: Patience = Patience { first: Duration::from_secs(15), repeats: 8 };
    /// For somebody who waits for it: ten and a half seconds in all.
    pub const BRIEF: Patience = Patience { first: Duration::from_millis(1_500), repeats: 2 };

    pub(super) fn after(self, repeats: u8) -> Duration {
        self.first.saturating_mul(1u32.checked_shl(u32::from(repeats)).unwrap_or(u32::MAX))
    }
}

impl Default for Patience {
    fn default() -> Self {
        Patience::BEP_15
    }
}

/// A server, and the way to it.
#[derive(Clone, Debug)]
pub struct Server<U> {
    pub(super) addr: SocketAddr,
    pub(super) url: U,
    pub(super) link: Link,
}

/// What there is of a connection to a server.
#[derive(Clone, Copy, Debug)]
pub(super) enum Link {
    /// Nothing. A connection id is not kept beyond its minute.
    None,
    /// Asked for a connection id, last at this instant.
    Asking { transaction: u32, last: Instant },
    /// A connection id, and how long it is good.
    Open { connection: u64, until: Instant },
}

/// A request under way.
#[derive(Clone, Debug)]
pub struct Request<H> {
    pub(super) server: Handle,
    pub(super) transaction: u32,
    pub(super) ask: Ask<H>,
    pub(super) patience: Patience,
    /// How often its patience ran out, whichever datagram it was that nobody answered.
    pub(super) repeats: u8,
    /// Whether it was sent at all: then an answer to it may come.
    pub(super) is_sent: bool,
    pub(super) stage: Stage,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(super) enum Ask<H> {
    Announce(Announce),
    Scrape(H),
}

/// Where a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// To be sent now.
    Ready,
    /// Waits for its server's connection id; out of patience then.
    Connecting(Instant),
    /// Sent; asked again then.
    Sent(Instant),
    /// Over, and the application does not know yet.
    Over(Verdict),
    /// Over, and the application was told: given free at the next poll.
    Told,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Answered,
    Refused,
    Garbled,
    Silent,
}

/// Makes the empty lists in which the client keeps its rows.
pub trait Storage {
    /// Servers.
    type Servers: List<Row<Server<Self::Url>>>;
    /// Requests under way.
    type Requests: List<Row<Request<Self::Hashes>>>;
    /// Path and query of one server's URL.
    type Url: List<u8>;
    /// The swarms of one scrape.
    type Hashes: List<InfoHash>;

    /// An empty list.
    fn servers(&self) -> Self::Servers;
    /// An empty list.
    fn requests(&self) -> Self::Requests;
    /// An empty list for so many bytes, or as many as there is room for.
    fn url(&self, len: usize) -> Self::Url;
    /// An empty list for so many swarms, or as many as there is room for.
    fn hashes(&self, len: usize) -> Self::Hashes;
}

/// A [`Storage`] with every row inline: so many servers with URLs of at most so many bytes, and so
/// many requests, each for at most so many swarms.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inline<
    const SERVERS: usize,
    const URL: usize,
    const REQUESTS: usize,
    const SWARMS: usize,
>;

impl<const SERVERS: usize, const URL: usize, const REQUESTS: usize, const SWARMS: usize> Storage
    for Inline<SERVERS, URL, REQUESTS, SWARMS>
{
    type Servers = Vec<Row<Server<Self::Url>>, SERVERS>;
    type Requests = Vec<Row<Request<Self::Hashes>>, REQUESTS>;
    type Url = Vec<u8, URL>;
    type Hashes = Vec<InfoHash, SWARMS>;

    fn servers(&self) -> Self::Servers {
        Vec::new()
    }
    fn requests(&self) -> Self::Requests {
        Vec::new()
    }
    fn url(&self, _len: usize) -> Self::Url {
        Vec::new()
    }
    fn hashes(&self, _len: usize) -> Self::Hashes {
        Vec::new()
    }
}

/// A [`Storage`] on the heap. URLs and the swarms of a scrape take the room that they need.
#[cfg(feature = "alloc")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heap {
    /// Servers, at most 65,536.
    pub servers: usize,
    /// Requests under way, at most 65,536.
    pub requests: usize,
}

#[cfg(feature = "alloc")]
impl Default for Heap {
    fn default() -> Self {
        Self { servers: 256, requests: 512 }
    }
}

#[cfg(feature = "alloc")]
impl Storage for Heap {
    type Servers = crate::list::Bounded<Row<Server<Self::Url>>>;
    type Requests = crate::list::Bounded<Row<Request<Self::Hashes>>>;
    type Url = crate::list::Bounded<u8>;
    type Hashes = crate::list::Bounded<InfoHash>;

    fn servers(&self) -> Self::Servers {
        crate::list::Bounded::new(self.servers)
    }
    fn requests(&self) -> Self::Requests {
        crate::list::Bounded::new(self.requests)
    }
    fn url(&self, len: usize) -> Self::Url {
        crate::list::Bounded::new(len)
    }
    fn hashes(&self, len: usize) -> Self::Hashes {
        crate::list::Bounded::new(len)
    }
}

/// The last answer that was taken in, until the application has seen it.
#[derive(Clone, Debug)]
pub(super) struct Inbox {
    pub(super) request: Option<Handle>,
    pub(super) datagram: Vec<u8, DATAGRAM_MAX, u16>,
}
