//! UDP trackers (BEP 15, BEP 41): the client of one server or of a thousand, on one socket.
//!
//! A request needs a connection id, which its server gives to whoever asks from an address of its
//! own. One is good for a minute and shared by all requests to the server. The life of a request:
//!
//! ```text
//!             no id              asked for, or           id came
//! Ready ──────────────▶ Connecting ──────────────▶ Ready
//!   │ id                   │ silence: asked for again after 15 s, 30 s, 60 s …
//!   ▼                      ▼
//! Sent ── answer ──▶ Over ◀── the last repeat is not answered either
//!   │ silence            ▲
//!   └──▶ Ready           └── an answer to the connect request is an error
//! ```
//!
//! Patience and the count of repeats belong to the request: a connect request that is made on its
//! behalf goes on with them, as in the time lines of BEP 15, and who joins a connect request of
//! somebody else's keeps its own. So a server that gives connection ids and nothing else is given
//! up as well.
//!
//! An answer counts only from the address asked and with a transaction that is open; transactions
//! are four unpredictable bytes. An error ends its request, with the server's words and without a
//! repeat. So does an answer that is cut short: opentracker speaks so of swarms that it refuses.
//!
//! | kind | file |
//! |---|---|
//! | commands, views, events, the contract | `mod.rs` |
//! | a datagram comes in | `receive.rs` |
//! | time passes, a datagram goes out | `transmit.rs` |
//! | the rows themselves, and where they live | `rows.rs` |

mod receive;
mod rows;
mod transmit;

use core::net::SocketAddr;
use core::time::Duration;

use heapless::Vec;
use rand_core::CryptoRng;

#[cfg(feature = "alloc")]
pub use self::rows::Heap;
use self::rows::{Ask, Inbox, Link, Stage, Verdict};
pub use self::rows::{Inline, Patience, Request, Server, Storage};
use crate::announce::{Announce, Counts};
use crate::budget::{Budget, Rate};
use crate::contact::Family;
use crate::id::InfoHash;
use crate::limits::{SCRAPE_MAX, URL_DATA_MAX};
use crate::list::List;
use crate::machine::{Buffer, Ignored, Machine, Transmit};
use crate::rows::{Handle, Rows};
use crate::time::Instant;
use crate::wire::compact::Peers;
use crate::wire::udp_tracker::{Response, Scraped, decode_response};

/// How long a connection id is good after it came (BEP 15).
pub const CONNECTION_TTL: Duration = Duration::from_secs(60);

/// Datagrams that are sent at most, unless [`UdpTrackers::set_rate`] says otherwise: the answers of
/// a thousand servers that are asked in one moment do not fit into the buffer of a socket.
pub const RATE: Rate = Rate { per_second: 2_000, burst: 100 };

/// Names a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(Handle);

/// Names a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(Handle);

/// How a request ended: exactly one of these for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// An announce was answered. [`UdpTrackers::peers`] has the peers until the next poll.
    Announced {
        /// The request.
        request: RequestId,
        /// Time until the next announce is welcome.
        interval: Duration,
        /// Who is in the swarm.
        counts: Counts,
    },
    /// A scrape was answered. [`UdpTrackers::scraped`] has the counts until the next poll.
    Scraped {
        /// The request.
        request: RequestId,
    },
    /// The server answered with an error. [`UdpTrackers::words`] has its words until the next poll.
    Refused {
        /// The request.
        request: RequestId,
    },
    /// The server answered with something else than was asked for, as some do to refuse.
    Garbled {
        /// The request.
        request: RequestId,
    },
    /// The server did not answer.
    Silent {
        /// The request.
        request: RequestId,
    },
}

impl Event {
    /// The request that ended.
    pub fn request(&self) -> RequestId {
        match self {
            Event::Announced { request, .. }
            | Event::Scraped { request }
            | Event::Refused { request }
            | Event::Garbled { request }
            | Event::Silent { request } => *request,
        }
    }
}

/// Why a server or a request was not taken on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrackerError {
    /// All rows are taken: wait until a request ends, or choose a larger [`Storage`].
    Busy,
    /// Port 0.
    Address,
    /// Path and query of the URL are longer than a datagram or the [`Storage`] allows.
    Url,
    /// No such server.
    Unknown,
    /// No swarm at all, or more than 74 or than the [`Storage`] allows.
    Swarms,
}

impl core::fmt::Display for TrackerError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            TrackerError::Busy => "all rows are taken: wait until a request ends",
            TrackerError::Address => "a tracker cannot have port 0",
            TrackerError::Url => "path and query are too long to be sent to a UDP tracker",
            TrackerError::Unknown => "no such tracker",
            TrackerError::Swarms => "expected 1 to 74 info-hashes",
        })
    }
}

impl core::error::Error for TrackerError {}

/// The client. Implements [`Machine`]; [`Inline`] with one server makes it the client of one.
///
/// ```
/// # use chacha20::{ChaCha8Rng, rand_core::SeedableRng};
/// use tinybt_core::tracker::udp::{Inline, Patience, UdpTrackers};
/// use tinybt_core::{Announce, Instant, Machine, PeerId, Step, buffer};
///
/// let random = ChaCha8Rng::seed_from_u64(1);
/// let mut trackers = UdpTrackers::new(Inline::<1, 64, 2, 1>, random);
/// let server = trackers.add("192.0.2.1:6969".parse()?, b"/announce")?;
/// let info_hash = "2b66980093bc11806fab50cb3cb41835b95a0362".parse()?;
/// let announce = Announce::new(info_hash, PeerId(*b"-tB0100-abcdefghijkl"), 7, 6881);
/// let now = Instant::from_secs(1);
/// trackers.announce(server, announce, Patience::BEP_15)?;
/// let mut buffer = buffer();
/// // The connect request of BEP 15: 16 bytes.
/// assert!(matches!(trackers.step(now, &mut buffer), Step::Send(sent) if sent.len == 16));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct UdpTrackers<S: Storage, R> {
    storage: S,
    random: R,
    servers: Rows<Server<S::Url>, S::Servers>,
    requests: Rows<Request<S::Hashes>, S::Requests>,
    inbox: Inbox,
    /// Whether a request may be over and not told.
    untold: bool,
    /// Told at the last poll.
    told: Option<Handle>,
    /// Which row is served next.
    turn: usize,
    budget: Budget,
    /// Something waits for the budget until then.
    held: Option<Instant>,
}

impl<S: Storage, R: CryptoRng> UdpTrackers<S, R> {
    /// A client of nobody yet.
    pub fn new(storage: S, random: R) -> Self {
        Self {
            servers: Rows::new(storage.servers()),
            requests: Rows::new(storage.requests()),
            storage,
            random,
            inbox: Inbox { request: None, datagram: Vec::new() },
            untold: false,
            told: None,
            turn: 0,
            budget: Budget::new(Some(RATE)),
            held: None,
        }
    }

    // Commands.

    /// Sends no more than this; without a rate, all that is due at once.
    pub fn set_rate(&mut self, rate: Option<Rate>) {
        self.budget = Budget::new(rate);
    }

    /// Adds a server. `url` is path and query of its URL, sent with each announce (BEP 41); empty
    /// sends nothing.
    ///
    /// # Errors
    ///
    /// [`TrackerError::Busy`], [`TrackerError::Address`], [`TrackerError::Url`].
    pub fn add(&mut self, addr: SocketAddr, url: &[u8]) -> Result<ServerId, TrackerError> {
        if addr.port() == 0 {
            return Err(TrackerError::Address);
        }
        if url.len() > URL_DATA_MAX {
            return Err(TrackerError::Url);
        }
        let mut kept = self.storage.url(url.len());
        for byte in url {
            kept.push(*byte).map_err(|_| TrackerError::Url)?;
        }
        let server = Server { addr, url: kept, link: Link::None };
        self.servers.insert(server).map(ServerId).map_err(|_| TrackerError::Busy)
    }

    /// Removes a server. No event follows for its requests.
    pub fn remove(&mut self, server: ServerId) {
        self.servers.remove(server.0);
        while let Some(request) = self.find(|request| request.server == server.0) {
            self.withdraw(RequestId(request));
        }
    }

    /// Announces to a server. Ends in exactly one [`Event`].
    ///
    /// # Errors
    ///
    /// [`TrackerError::Busy`], [`TrackerError::Unknown`].
    pub fn announce(
        &mut self,
        server: ServerId,
        announce: Announce,
        patience: Patience,
    ) -> Result<RequestId, TrackerError> {
        self.request(server, Ask::Announce(announce), patience)
    }

    /// Asks a server for the counts of 1 to 74 swarms. Ends in exactly one [`Event`].
    ///
    /// # Errors
    ///
    /// [`TrackerError::Busy`], [`TrackerError::Unknown`], [`TrackerError::Swarms`].
    pub fn scrape(
        &mut self,
        server: ServerId,
        swarms: &[InfoHash],
        patience: Patience,
    ) -> Result<RequestId, TrackerError> {
        if swarms.is_empty() || swarms.len() > SCRAPE_MAX {
            return Err(TrackerError::Swarms);
        }
        let mut hashes = self.storage.hashes(swarms.len());
        for hash in swarms {
            hashes.push(*hash).map_err(|_| TrackerError::Swarms)?;
        }
        self.request(server, Ask::Scrape(hashes), patience)
    }

    /// Gives up on a request; no event follows.
    pub fn withdraw(&mut self, request: RequestId) {
        self.requests.remove(request.0);
        self.inbox.release(request.0);
    }

    fn request(
        &mut self,
        server: ServerId,
        ask: Ask<S::Hashes>,
        patience: Patience,
    ) -> Result<RequestId, TrackerError> {
        if self.servers.get(server.0).is_none() {
            return Err(TrackerError::Unknown);
        }
        let request = Request {
            server: server.0,
            transaction: self.transaction(),
            ask,
            patience,
            repeats: 0,
            is_sent: false,
            stage: Stage::Ready,
        };
        self.requests.insert(request).map(RequestId).map_err(|_| TrackerError::Busy)
    }

    // Views, good for the event that was polled last.

    /// The peers of an [`Event::Announced`].
    pub fn peers(&self, request: RequestId) -> Peers<'_> {
        match self.answer(request) {
            Some((family, response)) => response.peers(family),
            None => Peers::new(Family::V4, &[]),
        }
    }

    /// The counts of an [`Event::Scraped`], in the order in which the swarms were asked for. Some
    /// servers answer fewer than they were asked for.
    pub fn scraped(&self, request: RequestId) -> impl Iterator<Item = (InfoHash, Counts)> {
        let hashes = match self.requests.get(request.0).map(|request| &request.ask) {
            Some(Ask::Scrape(hashes)) => &hashes[..],
            _ => &[],
        };
        let counts = match self.answer(request) {
            Some((_, Response::Scrape(counts))) => counts,
            _ => Scraped::Values(&[]),
        };
        hashes.iter().copied().zip(counts.iter())
    }

    /// The server's words of an [`Event::Refused`].
    pub fn words(&self, request: RequestId) -> &[u8] {
        match self.answer(request) {
            Some((_, Response::Error { message })) => message,
            _ => &[],
        }
    }

    /// The server of a request; `None` once its row is free.
    pub fn server(&self, request: RequestId) -> Option<ServerId> {
        self.requests.get(request.0).map(|request| ServerId(request.server))
    }

    /// The address of a server; `None` once it was removed.
    pub fn addr(&self, server: ServerId) -> Option<SocketAddr> {
        self.servers.get(server.0).map(|server| server.addr)
    }

    /// Whether a request was sent already, so that the server may have heard it.
    pub fn is_sent(&self, request: RequestId) -> bool {
        self.requests.get(request.0).is_some_and(|request| request.is_sent)
    }

    /// Requests under way.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether no request is under way.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    fn answer(&self, request: RequestId) -> Option<(Family, Response<'_>)> {
        if self.inbox.request != Some(request.0) {
            return None;
        }
        let server = self.servers.get(self.requests.get(request.0)?.server)?;
        let (_, response) = decode_response(&self.inbox.datagram).ok()?;
        Some((Family::of(&server.addr), response))
    }

    pub(super) fn find(&self, pick: impl Fn(&Request<S::Hashes>) -> bool) -> Option<Handle> {
        self.requests.iter().find_map(|(handle, request)| pick(request).then_some(handle))
    }

    // Events, and giving rows free.

    fn report(&mut self) -> Option<Event> {
        if let Some(told) = self.told.take() {
            self.requests.remove(told);
            self.inbox.release(told);
        }
        if !self.untold {
            return None;
        }
        let over = |(handle, request): (Handle, &mut Request<S::Hashes>)| match request.stage {
            Stage::Over(verdict) => {
                request.stage = Stage::Told;
                Some((handle, verdict))
            }
            _ => None,
        };
        let Some((handle, verdict)) = self.requests.iter_mut().find_map(over) else {
            self.untold = false;
            return None;
        };
        self.told = Some(handle);
        let request = RequestId(handle);
        Some(match verdict {
            Verdict::Silent => Event::Silent { request },
            Verdict::Refused => Event::Refused { request },
            Verdict::Garbled => Event::Garbled { request },
            Verdict::Answered => match self.answer(request) {
                Some((_, Response::Announce { interval, leechers, seeders, .. })) => {
                    Event::Announced {
                        request,
                        interval: Duration::from_secs(interval.into()),
                        counts: Counts { seeders, leechers, completed: None },
                    }
                }
                _ => Event::Scraped { request },
            },
        })
    }
}

impl<S: Storage, R: CryptoRng> Machine for UdpTrackers<S, R> {
    type Event = Event;

    fn handle_datagram(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Ignored> {
        self.receive(now, from, datagram)
    }

    fn poll_transmit(&mut self, now: Instant, buffer: &mut Buffer) -> Option<Transmit> {
        self.transmit(now, buffer)
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.report()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        if self.held.is_some() {
            return self.held;
        }
        self.requests.iter().filter_map(|(_, request)| request.stage.deadline()).min()
    }
}
