//! Queries, and what their arguments say.

use core::fmt;

use crate::id::{Id, InfoHash};
use crate::wire::bencode::Reader;
use crate::wire::krpc::Want;
use crate::wire::krpc::fields::{Fields, as_id, as_integer, as_string, is_true};

/// A query. Its arguments are read when they are asked for.
#[derive(Clone, Debug)]
pub struct Query<'a> {
    /// `q`; empty if it is missing or no string.
    pub method: &'a [u8],
    /// `a`, the whole dictionary as it stands; empty if it was something else.
    pub raw: &'a [u8],
    pub(super) fields: Fields<'a>,
}

impl<'a> Query<'a> {
    /// `id`: who asks.
    ///
    /// # Errors
    ///
    /// [`Fault`] if it is missing or not 20 bytes.
    #[inline]
    pub fn id(&self) -> Result<Id, Fault> {
        as_id(self.fields.get(self.fields.id), "id")
    }

    /// `target` of `find_node` and others.
    ///
    /// # Errors
    ///
    /// [`Fault`] if it is missing or not 20 bytes.
    #[inline]
    pub fn target(&self) -> Result<Id, Fault> {
        as_id(self.fields.get(self.fields.target), "target")
    }

    /// `info_hash` of `get_peers` and `announce_peer`.
    ///
    /// # Errors
    ///
    /// [`Fault`] if it is missing or not 20 bytes.
    #[inline]
    pub fn info_hash(&self) -> Result<InfoHash, Fault> {
        as_id(self.fields.get(self.fields.info_hash), "info_hash").map(|id| InfoHash(id.0))
    }

    /// `port` of `announce_peer`: 1 to 65535.
    ///
    /// # Errors
    ///
    /// [`Fault`] if it is missing, no integer or out of range.
    pub fn port(&self) -> Result<u16, Fault> {
        let port = as_integer(self.fields.get(self.fields.port).ok_or(Fault::Missing("port"))?);
        let port = port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0);
        port.ok_or(Fault::Wrong("port"))
    }

    /// `implied_port`: the port that counts is the one the query came from.
    pub fn implied_port(&self) -> bool {
        self.fields.get(self.fields.implied_port).is_some_and(is_true)
    }

    /// `token` of `announce_peer` and `put`.
    ///
    /// # Errors
    ///
    /// [`Fault`] if it is missing or no string.
    pub fn token(&self) -> Result<&'a [u8], Fault> {
        let raw = self.fields.get(self.fields.token).ok_or(Fault::Missing("token"))?;
        as_string(raw).ok_or(Fault::Wrong("token"))
    }

    /// `want`: the families that nodes are wanted of; none if it says nothing (BEP 32).
    pub fn want(&self) -> Want {
        let mut want = Want::default();
        let Some(mut reader) = self.fields.get(self.fields.want).map(Reader::new) else {
            return want;
        };
        if reader.enter_list().is_err() {
            return want;
        }
        while reader.more().unwrap_or(false) {
            match reader.raw().ok().and_then(as_string) {
                Some(b"n4") => want.v4 = true,
                Some(b"n6") => want.v6 = true,
                _ => {}
            }
        }
        want
    }

    /// `seed`: the announcing peer has everything (BEP 33).
    pub fn seed(&self) -> bool {
        self.fields.rare(b"seed").is_some_and(is_true)
    }

    /// `noseed`: peers that have everything are not wanted (BEP 33).
    pub fn no_seed(&self) -> bool {
        self.fields.rare(b"noseed").is_some_and(is_true)
    }

    /// `scrape`: bloom filters of the swarm are wanted (BEP 33).
    pub fn scrape(&self) -> bool {
        self.fields.rare(b"scrape").is_some_and(is_true)
    }

    /// `v` of `put`: the value, bencoded as it stands (BEP 44).
    pub fn value(&self) -> Option<&'a [u8]> {
        self.fields.rare(b"v")
    }

    /// `k` of `put`: the public key (BEP 44).
    pub fn key(&self) -> Option<&'a [u8; 32]> {
        self.fields.rare_array(b"k")
    }

    /// `sig` of `put`: the signature (BEP 44).
    pub fn signature(&self) -> Option<&'a [u8; 64]> {
        self.fields.rare_array(b"sig")
    }

    /// `salt` of `put` (BEP 44).
    pub fn salt(&self) -> Option<&'a [u8]> {
        self.fields.rare_string(b"salt")
    }

    /// `seq` of `get` and `put` (BEP 44).
    pub fn sequence(&self) -> Option<i64> {
        self.fields.rare_integer(b"seq")
    }

    /// `cas` of `put`: the sequence number that is to be replaced (BEP 44).
    pub fn compare_and_swap(&self) -> Option<i64> {
        self.fields.rare_integer(b"cas")
    }

    /// Any argument, bencoded as it stands.
    pub fn argument(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.fields.find(name)
    }
}

/// What is wrong with an argument of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not there.
    Missing(&'static str),
    /// It is of another type, length or range.
    Wrong(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Missing(name) => write!(f, "`{name}` is missing"),
            Fault::Wrong(name) => write!(f, "`{name}` is wrong"),
        }
    }
}

impl core::error::Error for Fault {}
