//! A node's state as bytes, for the next start: its id and the nodes it knows.
//!
//! A bencoded dictionary: `id`, 20 bytes; `nodes` or `nodes6`, compact contacts (BEP 5, BEP 32),
//! the best first; `v`, the version of this layout. What is restored is asked before it is trusted.

use core::fmt;
use core::net::SocketAddr;

use rand_core::CryptoRng;

use crate::contact::{Contact, Family};
use crate::dht::node::Node;
use crate::dht::storage::Storage;
use crate::dht::table::Routing;
use crate::id::Id;
use crate::limits::SAVED_NODES_MAX;
use crate::time::Instant;
use crate::wire::bencode::{Reader, Writer};
use crate::wire::compact;

/// Bytes that hold whatever a node saves.
pub const SAVE_MAX: usize = 64 + 38 * SAVED_NODES_MAX;

/// Why a saved state was not restored. Start without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreError {
    /// These bytes are not a saved state.
    Malformed,
    /// They are, of a layout that this version does not know.
    Version,
    /// They are of a node of the other address family.
    Family,
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RestoreError::Malformed => "not a saved state of a node",
            RestoreError::Version => "saved by a version with another layout",
            RestoreError::Family => "saved by a node of the other address family",
        })
    }
}

impl core::error::Error for RestoreError {}
