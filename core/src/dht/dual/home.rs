//! A home: a local address and the node that is there. Lists of them: as many as BEP 45 tells of
//! where there is an allocator, else one of each family.

use core::fmt;
use core::net::SocketAddr;

use rand_core::CryptoRng;

use crate::dht::event::HomeId;
use crate::dht::node::Node;
use crate::dht::storage::Storage;

/// A local address and the node that is there.
pub struct Home<S: Storage, R: CryptoRng> {
    pub(super) local: Option<SocketAddr>,
    pub(super) node: Node<S, R>,
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
    /// There are as many as there may be ([`HOMES_MAX`](crate::limits::HOMES_MAX); one of each family without an allocator).
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
