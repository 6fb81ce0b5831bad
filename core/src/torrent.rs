//! A torrent, as far as finding its peers is concerned, whatever it was named by: an info-hash, a
//! magnet link (BEP 9), a `.torrent` file (BEP 3, 5, 12, 27, 52).

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::str::FromStr;

use crate::id::{InfoHash, ParseError};
use crate::magnet::{Magnet, MagnetError};

/// What is known of a torrent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Torrent {
    /// The swarms: one, or two for a hybrid torrent, version 1 first.
    pub info_hashes: Vec<InfoHash>,
    /// What it calls itself.
    pub name: Option<String>,
    /// URLs of its trackers, by tier (BEP 12).
    pub tiers: Vec<Vec<String>>,
    /// Nodes of the DHT, `name:port` (BEP 5).
    pub nodes: Vec<String>,
    /// Peers that it names itself.
    pub peers: Vec<SocketAddr>,
    /// It asks its trackers and nobody else (BEP 27).
    pub private: bool,
}

impl Torrent {
    /// Nothing but an info-hash.
    pub fn new(info_hash: InfoHash) -> Self {
        Self { info_hashes: alloc::vec![info_hash], ..Self::default() }
    }

    /// The swarm to look in first.
    pub fn info_hash(&self) -> InfoHash {
        self.info_hashes.first().copied().unwrap_or_default()
    }

    /// Reads a magnet link. Its trackers are all of one tier each, in order.
    ///
    /// # Errors
    ///
    /// [`MagnetError`].
    pub fn from_magnet(link: &str) -> Result<Self, MagnetError> {
        let magnet = Magnet::parse(link)?;
        Ok(Self {
            info_hashes: magnet.v1.into_iter().chain(magnet.v2).collect(),
            name: magnet.name().map(|name| name.to_string()),
            tiers: magnet.trackers().map(|url| alloc::vec![url.to_string()]).collect(),
            peers: magnet.peers().collect(),
            ..Self::default()
        })
    }

    /// Reads a `.torrent` file. The info-hash is taken over the bytes as they stand.
    ///
    /// # Errors
    ///
    /// [`MetainfoError`] says what is wrong with it.
    #[cfg(feature = "metainfo")]
    pub fn from_metainfo(file: &[u8]) -> Result<Self, MetainfoError> {
        crate::metainfo::read(file)
    }

    /// The trackers' URLs, tier by tier.
    pub fn trackers(&self) -> impl Iterator<Item = &str> {
        self.tiers.iter().flatten().map(String::as_str)
    }
}

#[cfg(feature = "metainfo")]
pub use crate::metainfo::MetainfoError;

/// Why a text names no torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TorrentError {
    /// It is no magnet link of a torrent.
    Magnet(MagnetError),
    /// It is no info-hash.
    InfoHash(ParseError),
}

impl core::fmt::Display for TorrentError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            TorrentError::Magnet(error) => error.fmt(f),
            TorrentError::InfoHash(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for TorrentError {}

impl FromStr for Torrent {
    type Err = TorrentError;

    /// Reads an info-hash or a magnet link.
    fn from_str(text: &str) -> Result<Self, TorrentError> {
        let head = text.trim_ascii_start().get(..7);
        if head.is_some_and(|scheme| scheme.eq_ignore_ascii_case("magnet:")) {
            return Torrent::from_magnet(text).map_err(TorrentError::Magnet);
        }
        text.parse().map(Torrent::new).map_err(TorrentError::InfoHash)
    }
}
