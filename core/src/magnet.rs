//! Magnet links (BEP 9): which torrent is meant, and where to begin to look for it.
//!
//! Nothing is copied: a [`Magnet`] points into the link, and what is escaped there is unescaped as
//! it is read.

use core::fmt;
use core::net::SocketAddr;

use crate::escape::{pairs, unescape};
use crate::id::{InfoHash, ParseError};

/// A magnet link.
///
/// ```
/// use tinybt_core::magnet::Magnet;
///
/// let link = "magnet:?xt=urn:btih:c12fe1c06bba254a9dc9f519b335aa7c1367a88a&dn=a%20name\
///             &tr=udp%3A%2F%2Ftracker.example%3A6969&x.pe=192.0.2.1:6881";
/// let magnet = Magnet::parse(link)?;
/// assert_eq!(magnet.v1, Some("c12fe1c06bba254a9dc9f519b335aa7c1367a88a".parse()?));
/// assert_eq!(magnet.name().map(|name| name.to_string()), Some("a name".into()));
/// let trackers: Vec<String> = magnet.trackers().map(|url| url.to_string()).collect();
/// assert_eq!(trackers, ["udp://tracker.example:6969"]);
/// assert_eq!(magnet.peers().next(), Some("192.0.2.1:6881".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Magnet<'a> {
    query: &'a str,
    /// The info-hash of version 1 (`urn:btih:`).
    pub v1: Option<InfoHash>,
    /// The info-hash of version 2, cut to 20 bytes (`urn:btmh:1220`, BEP 52).
    pub v2: Option<InfoHash>,
}

/// Why a text is no magnet link of a torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MagnetError {
    /// It does not begin with `magnet:?`.
    Scheme,
    /// It names no torrent.
    NoTorrent,
    /// An info-hash in it is wrong.
    InfoHash(ParseError),
}

impl fmt::Display for MagnetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MagnetError::Scheme => f.write_str("expected a link that begins with magnet:?"),
            MagnetError::NoTorrent => f.write_str(
                "the magnet link names no torrent: expected xt=urn:btih: and an info-hash, or \
                 xt=urn:btmh:1220 and 64 digits",
            ),
            MagnetError::InfoHash(error) => {
                write!(f, "the magnet link's info-hash is wrong: {error}")
            }
        }
    }
}

impl core::error::Error for MagnetError {}

/// A value of a link: shows as the text that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    /// The bytes that it stands for.
    pub fn bytes(self) -> impl Iterator<Item = u8> + Clone + 'a {
        unescape(self.0)
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A character is read when its bytes are complete: four at most.
        let mut pending = heapless::Vec::<u8, 4>::new();
        for byte in self.bytes() {
            if pending.push(byte).is_err() {
                f.write_str("\u{fffd}")?;
                pending.clear();
                let _ = pending.push(byte);
            }
            match core::str::from_utf8(&pending) {
                Ok(text) => f.write_str(text)?,
                Err(error) if error.error_len().is_none() => continue,
                Err(_) => f.write_str("\u{fffd}")?,
            }
            pending.clear();
        }
        if pending.is_empty() { Ok(()) } else { f.write_str("\u{fffd}") }
    }
}

impl<'a> Magnet<'a> {
    /// Reads a link. Keys that it does not know are passed over.
    ///
    /// # Errors
    ///
    /// [`MagnetError`] says what was expected.
    pub fn parse(link: &'a str) -> Result<Self, MagnetError> {
        let link = link.trim_ascii();
        let (scheme, rest) = link.split_at_checked(7).ok_or(MagnetError::Scheme)?;
        let query = rest.strip_prefix('?').ok_or(MagnetError::Scheme)?;
        if !scheme.eq_ignore_ascii_case("magnet:") {
            return Err(MagnetError::Scheme);
        }
        let mut magnet = Self { query, v1: None, v2: None };
        for topic in magnet.values("xt") {
            let mut text = heapless::String::<96>::new();
            // What is longer than any info-hash is none.
            let whole = topic.bytes().try_for_each(|byte| text.push(char::from(byte)));
            let prefixed = |prefix: &str| {
                let (head, tail) = text.split_at_checked(prefix.len())?;
                head.eq_ignore_ascii_case(prefix).then_some(tail)
            };
            let (v1, v2) = (prefixed("urn:btih:"), prefixed("urn:btmh:1220"));
            let (place, digits, is_long) = match (v1, v2) {
                (Some(digits), _) => (&mut magnet.v1, digits, false),
                (None, Some(digits)) => (&mut magnet.v2, digits, true),
                (None, None) => continue,
            };
            let hash = match whole {
                Ok(()) if (digits.len() == 64) == is_long => digits.parse(),
                _ => Err(ParseError::Length(topic.bytes().count())),
            };
            *place = Some(hash.map_err(MagnetError::InfoHash)?);
        }
        if magnet.v1.is_none() && magnet.v2.is_none() {
            return Err(MagnetError::NoTorrent);
        }
        Ok(magnet)
    }

    /// The info-hash of the swarm to look in first: version 1's where there is one.
    pub fn info_hash(&self) -> InfoHash {
        self.v1.or(self.v2).unwrap_or_default()
    }

    /// What the link calls the torrent (`dn`).
    pub fn name(&self) -> Option<Text<'a>> {
        self.values("dn").next()
    }

    /// URLs of trackers (`tr`, `tr.1` …), in order.
    pub fn trackers(&self) -> impl Iterator<Item = Text<'a>> + Clone {
        self.values("tr")
    }

    /// Peers by address (`x.pe`); those by name are passed over.
    pub fn peers(&self) -> impl Iterator<Item = SocketAddr> + Clone {
        pairs(self.query).filter(|(key, _)| *key == "x.pe").filter_map(|(_, value)| {
            let mut text = heapless::String::<64>::new();
            unescape(value).try_for_each(|byte| text.push(char::from(byte))).ok()?;
            text.parse().ok().filter(|peer: &SocketAddr| peer.port() != 0)
        })
    }

    /// The values of a key. Several of a kind may be numbered: `tr.1`, `tr.2`.
    fn values(&self, wanted: &'static str) -> impl Iterator<Item = Text<'a>> + Clone + 'a {
        pairs(self.query).filter_map(move |(key, value)| {
            let number = key.strip_prefix(wanted)?;
            let digits = number.strip_prefix('.').unwrap_or(number);
            digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(Text(value))
        })
    }
}
