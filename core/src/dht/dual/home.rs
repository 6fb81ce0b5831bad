//! A home: a local address and the node that is there. Lists of them: as many as BEP 45 tells of
//! where there is an allocator, else one of each family.
//!
//! A home *rests* from when its node had nothing to do until the node's deadline, or until somebody
//! touches it: a datagram for one of many homes costs a look at that one. It is the law of patience
//! that makes this right, so whatever changes a node goes through [`Home::node_mut`]. It rests while
//! it replies, too: a server that is asked ten thousand times a second does not look each time
//! whether there is something else to do.

use core::fmt;
use core::net::SocketAddr;

use rand_core::CryptoRng;

use crate::dht::event::{Event, HomeId};
use crate::dht::node::Node;
use crate::dht::storage::Storage;
use crate::machine::{Buffer, Ignored, Machine, Transmit};
use crate::time::Instant;

/// A local address and the node that is there.
pub struct Home<S: Storage, R: CryptoRng> {
    local: Option<SocketAddr>,
    node: Node<S, R>,
    /// Nothing is due before. [`Instant::EPOCH`]: it was touched.
    until: Instant,
    /// There is nothing to tell.
    is_quiet: bool,
    /// Something was told last, whose row is given free at the next poll.
    is_told: bool,
}

#[cfg(feature = "alloc")]
pub(super) type Homes<S, R> = alloc::vec::Vec<Home<S, R>>;
#[cfg(not(feature = "alloc"))]
pub(super) type Homes<S, R> = heapless::Vec<Home<S, R>, 1>;

/// Why there is no home to be made of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HomeError {
    /// There is one.
    Taken,
    /// The node is of the other family.
    Family,
    /// There are as many as there may be: [`HOMES_MAX`](crate::limits::HOMES_MAX), or one of each
    /// family without an allocator.
    Full,
}

impl fmt::Display for HomeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HomeError::Taken => "there is a node at this address",
            HomeError::Family => "the node is of another family than the address",
            HomeError::Full => "there are too many local addresses of this family",
        })
    }
}

impl core::error::Error for HomeError {}

impl<S: Storage, R: CryptoRng> Home<S, R> {
    pub(super) fn new(local: Option<SocketAddr>, node: Node<S, R>) -> Self {
        Self { local, node, until: Instant::EPOCH, is_quiet: false, is_told: false }
    }

    /// What ids of its lookups and questions name.
    pub fn id(&self) -> HomeId {
        self.node.home()
    }

    /// The local address; `None` if there is no need to tell it from others of its family.
    pub fn local(&self) -> Option<SocketAddr> {
        self.local
    }

    /// The node.
    pub fn node(&self) -> &Node<S, R> {
        &self.node
    }

    /// The node, to be changed.
    pub(super) fn node_mut(&mut self) -> &mut Node<S, R> {
        self.until = Instant::EPOCH;
        self.is_quiet = false;
        &mut self.node
    }

    /// As [`Node::set_want_both`], which makes no work.
    pub(super) fn set_want_both(&mut self, both: bool) {
        self.node.set_want_both(both);
    }

    /// As [`Node::poll_leaked`], which makes none either.
    pub(super) fn poll_leaked(&mut self) -> Option<SocketAddr> {
        self.node.poll_leaked()
    }

    pub(super) fn handle_datagram(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Ignored> {
        self.node.handle_datagram(now, from, datagram)?;
        // What is ignored changes nothing, and wakes nobody. Nor does a query that is answered, and
        // no more: there is a reply to be sent, and what was to be done before, when it was.
        if self.node.is_woken() {
            self.node_mut();
        }
        Ok(())
    }

    pub(super) fn is_resting(&self, now: Instant) -> bool {
        now < self.until
    }

    /// Whether there is nothing but replies to be sent, and nothing to be told.
    pub(super) fn is_calm(&self, now: Instant) -> bool {
        self.is_resting(now) && self.is_quiet
    }

    /// Whether there is something to send, as far as can be seen: a home that does not rest has to
    /// look.
    pub(super) fn may_send(&self, now: Instant) -> bool {
        !self.is_resting(now) || self.node.has_replies()
    }

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        if self.is_quiet {
            return None;
        }
        if self.is_told {
            // A question that the application left to the node is answered now.
            self.until = Instant::EPOCH;
        }
        let event = self.node.poll_event();
        self.is_told = event.is_some();
        self.is_quiet = event.is_none();
        event
    }

    pub(super) fn transmit(
        &mut self,
        now: Instant,
        buffer: &mut Buffer,
        other: Option<&S::Table>,
    ) -> Option<Transmit> {
        let sent = if self.is_resting(now) {
            self.node.reply_to_next(now, buffer, other)
        } else {
            // Time that passes may make news.
            self.is_quiet = false;
            let sent = self.node.transmit(now, buffer, other);
            if sent.is_none() {
                self.until = self.node.poll_timeout().unwrap_or(Instant::NEVER);
            }
            sent
        };
        sent.map(|transmit| Transmit { from: self.local, ..transmit })
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.until {
            Instant::EPOCH => self.node.poll_timeout(),
            until => Some(until).filter(|until| *until != Instant::NEVER),
        }
    }
}

#[cfg(feature = "alloc")]
pub(super) fn push<S: Storage, R: CryptoRng>(
    homes: &mut Homes<S, R>,
    home: Home<S, R>,
) -> Result<(), HomeError> {
    if homes.len() >= crate::limits::HOMES_MAX {
        return Err(HomeError::Full);
    }
    homes.push(home);
    Ok(())
}

#[cfg(not(feature = "alloc"))]
pub(super) fn push<S: Storage, R: CryptoRng>(
    homes: &mut Homes<S, R>,
    home: Home<S, R>,
) -> Result<(), HomeError> {
    homes.push(home).map_err(|_| HomeError::Full)
}
