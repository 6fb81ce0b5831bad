//! What can go wrong, and what to do about it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use tinybt_core::dht::item::{ItemError, SignError};

/// Why something could not be done.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// No socket at this address.
    Bind {
        /// The address.
        addr: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// A socket cannot be used.
    Socket(io::Error),
    /// There are two sockets of one address.
    TwoSockets(SocketAddr),
    /// There are too many sockets of one address family
    /// ([`HOMES_MAX`](tinybt_core::limits::HOMES_MAX)).
    TooManySockets(SocketAddr),
    /// There is no randomness to be had from the operating system.
    Random,
    /// The state file could not be written or read.
    State {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The state file is none of ours.
    StateFormat {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: tinybt_core::dht::RestoreError,
    },
    /// Too much is under way.
    Busy,
    /// There is no node: it was made to ask trackers alone.
    NoDht,
    /// It was called from the handler, which the answer would have to wait for.
    Inside,
    /// An address that this node has no socket for, or with port 0.
    Address(SocketAddr),
    /// Arguments that are no bencoded dictionary, or do not fit into a datagram.
    Arguments,
    /// The node did not answer in time.
    Silent(SocketAddr),
    /// The node answered with an error.
    Refused {
        /// 201 to 204 in BEP 5.
        code: i64,
        /// In its own words.
        message: String,
    },
    /// The node's answer lacks what was asked for.
    Answer(SocketAddr),
    /// HTTP trackers cannot be asked this way: the proxy or the certificates are wrong.
    Http(String),
    /// A tracker did not give what it was asked for.
    Tracker {
        /// Its URL.
        url: String,
        /// Why, in its own words if it has any.
        reason: String,
    },
    /// Nobody would store such an item (BEP 44).
    Item(ItemError),
    /// The item was not signed.
    Sign(SignError),
    /// Each time that the item was to be stored somebody else had stored a newer one.
    Outdated,
    /// The DHT has ended.
    Stopped,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Bind { addr, source } => write!(
                f,
                "cannot open a socket at {addr}: {source}; choose another address or port"
            ),
            Error::Socket(source) => write!(f, "a socket failed: {source}"),
            Error::TwoSockets(addr) => {
                write!(f, "two sockets are bound to {addr}: expected at most one for each address")
            }
            Error::TooManySockets(addr) => write!(
                f,
                "too many sockets, {addr} is the first of them: expected at most {} of each \
                 address family",
                tinybt_core::limits::HOMES_MAX
            ),
            Error::Random => f.write_str("the operating system gives no random numbers"),
            Error::State { path, source } => {
                write!(f, "cannot use the state file {}: {source}", path.display())
            }
            Error::StateFormat { path, reason } => write!(
                f,
                "the state file {} is {reason}; remove it to start afresh",
                path.display()
            ),
            Error::Busy => f.write_str("too much is under way: wait until a lookup ends"),
            Error::NoDht => f.write_str("there is no DHT node here: it was built without one"),
            Error::Inside => f.write_str(
                "a handler cannot wait for its own DHT: ask from another thread, or beforehand",
            ),
            Error::Address(addr) => write!(
                f,
                "cannot reach {addr}: there is no socket of its address family, or its port is 0"
            ),
            Error::Arguments => {
                f.write_str("the arguments are no bencoded dictionary, or too long for a datagram")
            }
            Error::Silent(addr) => write!(f, "no answer from {addr}"),
            Error::Refused { code, message } => write!(f, "refused with error {code}: {message}"),
            Error::Answer(addr) => write!(f, "the answer of {addr} lacks what was asked for"),
            Error::Http(reason) => f.write_str(reason),
            Error::Tracker { url, reason } => write!(f, "{url}: {reason}"),
            Error::Item(error) => write!(f, "nobody would store this item: {error}"),
            Error::Sign(error) => write!(f, "cannot sign the item: {error}"),
            Error::Outdated => f.write_str(
                "others keep storing newer versions of the item: look for it, then store again",
            ),
            Error::Stopped => f.write_str("the DHT has stopped: make a new one"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Bind { source, .. } | Error::Socket(source) | Error::State { source, .. } => {
                Some(source)
            }
            Error::StateFormat { reason, .. } => Some(reason),
            _ => None,
        }
    }
}
