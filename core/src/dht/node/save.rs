//! A node's state as bytes, for the next start: its id and the nodes it knows.
//!
//! A bencoded dictionary: `id`, 20 bytes; `nodes` or `nodes6`, compact contacts (BEP 5, BEP 32),
//! the best first; `reach`, where lookups have told how dense the network is, the first 32 bits of the
//! distance within which eight nodes are to be expected; `v`, the version of this layout. What is
//! restored is asked before it is trusted. A `reach` that is none is as good as none: the first
//! lookups do without, as they do with a state of before there was one.

use core::fmt;

use rand_core::CryptoRng;

use crate::contact::Family;
use crate::dht::node::Node;
use crate::dht::size::Density;
use crate::dht::storage::Storage;
use crate::dht::table::Routing;
use crate::id::Id;
use crate::limits::SAVED_NODES_MAX;
use crate::time::Instant;
use crate::wire::bencode::{Reader, Writer};
use crate::wire::compact;

/// Bytes that hold whatever a node saves.
pub const SAVE_MAX: usize = 96 + 38 * SAVED_NODES_MAX;

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

/// The version of this layout.
const LAYOUT: i64 = 1;

impl<S: Storage, R: CryptoRng> Node<S, R> {
    /// Writes the node's state; returns its length, at most [`SAVE_MAX`]. Zero if `buffer` is too
    /// short.
    pub fn save(&self, buffer: &mut [u8]) -> usize {
        let len = self.config.family.contact_len();
        let mut count = 0;
        self.table.for_each(&mut |entry| count += usize::from(!entry.is_bad()));
        let count = count.min(SAVED_NODES_MAX);
        let mut writer = Writer::new(buffer);
        writer.raw(b"d2:id");
        writer.string(&self.id.0);
        writer.raw(self.nodes_key());
        writer.length(count * len);
        let mut left = count;
        self.table.for_each(&mut |entry| {
            if left > 0 && !entry.is_bad() {
                left -= 1;
                if let Some(place) = writer.reserve(len) {
                    compact::write_contact(&entry.contact, place);
                }
            }
        });
        let reach = if S::CENSUS { self.census.density().reach() } else { 0 };
        if reach != 0 {
            writer.raw(b"5:reach");
            writer.integer(i64::from(reach));
        }
        writer.raw(b"1:v");
        writer.integer(LAYOUT);
        writer.end();
        writer.written().unwrap_or(0)
    }

    /// Takes in what [`Node::save`] wrote: the id, unless the configuration fixes one, and nodes
    /// to begin with. Returns how many nodes.
    ///
    /// # Errors
    ///
    /// [`RestoreError`] says why nothing was taken in.
    pub fn restore(&mut self, now: Instant, bytes: &[u8]) -> Result<usize, RestoreError> {
        let saved = Saved::read(bytes).ok_or(RestoreError::Malformed)?;
        if saved.layout != LAYOUT {
            return Err(RestoreError::Version);
        }
        let packed = match self.config.family {
            Family::V4 => saved.nodes,
            Family::V6 => saved.nodes6,
        };
        let packed = packed.ok_or(RestoreError::Family)?;
        if self.config.id.is_none() {
            self.id = saved.id;
            self.table.rebase(now, saved.id);
        }
        if S::CENSUS && saved.reach != 0 {
            self.census.recall(Density::of(saved.reach));
        }
        let mut count = 0;
        for contact in compact::Contacts::new(self.config.family, packed).take(SAVED_NODES_MAX) {
            self.table.restore(now, contact);
            count += 1;
        }
        if count > 0 {
            self.bootstrap.start_over();
        }
        Ok(count)
    }

    fn nodes_key(&self) -> &'static [u8] {
        match self.config.family {
            Family::V4 => b"5:nodes",
            Family::V6 => b"6:nodes6",
        }
    }
}

struct Saved<'a> {
    id: Id,
    nodes: Option<&'a [u8]>,
    nodes6: Option<&'a [u8]>,
    /// 0: not known.
    reach: u32,
    layout: i64,
}

impl<'a> Saved<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let (mut id, mut nodes, mut nodes6, mut layout) = (None, None, None, None);
        let mut reach = 0;
        reader.enter_dictionary().ok()?;
        while let Some(key) = reader.key().ok()? {
            match key {
                b"id" => id = reader.string().ok()?.try_into().ok().map(Id),
                b"nodes" => nodes = Some(reader.string().ok()?),
                b"nodes6" => nodes6 = Some(reader.string().ok()?),
                b"reach" => {
                    let said = Reader::new(reader.raw().ok()?).integer();
                    reach = said.ok().and_then(|said| u32::try_from(said).ok()).unwrap_or(0);
                }
                b"v" => layout = Some(reader.integer().ok()?),
                _ => reader.skip().ok()?,
            }
        }
        Some(Self { id: id?, nodes, nodes6, reach, layout: layout? })
    }
}
