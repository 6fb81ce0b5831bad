//! Torrents that change (BEP 46): a mutable item of the DHT says which torrent it is now.
//!
//! A [`Link`] names the item by public key and salt, as `magnet:?xs=urn:btpk:…&s=…`. The item's value
//! is a dictionary whose `ih` is the info-hash of the day: [`torrent_of`] reads it, [`value_of`]
//! writes it. Looking for the item, and looking again, is the node's part (BEP 44).

use core::fmt;
use core::str::FromStr;

use heapless::{String, Vec};

use crate::dht::item::{KeyError, PublicKey, mutable_target};
use crate::escape::{pairs, unescape};
use crate::id::{Id, InfoHash};
use crate::limits::SALT_MAX;
use crate::wire::bencode::{Reader, is_one_value};

/// What a torrent that changes is known by.
///
/// ```
/// use tinybt_core::follow::Link;
///
/// let text = "magnet:?xs=urn:btpk:\
///             8543d3e6115f0f98c944077a4493dcd543e49c739fd998550a1f614ab36ed63e&s=6e";
/// let link: Link = text.parse()?;
/// assert_eq!(link.salt(), b"n");
/// assert_eq!(link.target(), "59ee7c2cb9b4f7eb1986ee2d18fd2fdb8a56554f".parse()?);
/// assert_eq!(link.to_string(), text);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Link {
    /// The publisher's key.
    pub key: PublicKey,
    salt: Vec<u8, SALT_MAX, u8>,
}

impl Link {
    /// The item of a key and a salt, which may be empty.
    ///
    /// # Errors
    ///
    /// [`LinkError::Salt`] if it is longer than [`SALT_MAX`] bytes.
    pub fn new(key: [u8; 32], salt: &[u8]) -> Result<Self, LinkError> {
        let salt = Vec::from_slice(salt).map_err(|_| LinkError::Salt)?;
        Ok(Self { key: PublicKey(key), salt })
    }

    /// Which of the key's items it is; empty for the one.
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// Where in the DHT the item is kept.
    pub fn target(&self) -> Id {
        mutable_target(&self.key.0, &self.salt)
    }
}

/// Why a text names no torrent that changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkError {
    /// It begins neither with `magnet:?` nor with `urn:btpk:`.
    Scheme,
    /// It is a magnet link without a public key.
    NoKey,
    /// Its public key is wrong.
    Key(KeyError),
    /// Its salt is wrong.
    Salt,
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkError::Scheme => f.write_str("expected magnet:? or urn:btpk: and a public key"),
            LinkError::NoKey => f.write_str(
                "the magnet link names no publisher: expected xs=urn:btpk: and a public key",
            ),
            LinkError::Key(error) => write!(f, "the link's public key is wrong: {error}"),
            LinkError::Salt => f.write_str(
                "the link's salt is wrong: expected up to 64 bytes as pairs of hexadecimal digits",
            ),
        }
    }
}

impl core::error::Error for LinkError {}

impl fmt::Display for Link {
    /// Shows the magnet link.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "magnet:?xs=urn:btpk:{}", self.key)?;
        if !self.salt.is_empty() {
            f.write_str("&s=")?;
        }
        self.salt.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Link {
    type Err = LinkError;

    /// Reads a magnet link, or `urn:btpk:` and a key. Of several keys the first counts; what else the
    /// link says is passed over.
    fn from_str(text: &str) -> Result<Self, LinkError> {
        let text = text.trim_ascii();
        if let Some(key) = after(text, URN) {
            return Ok(Self { key: key.parse().map_err(LinkError::Key)?, salt: Vec::new() });
        }
        let query = after(text, "magnet:?").ok_or(LinkError::Scheme)?;
        let mut sources = pairs(query).filter(|(name, _)| is_numbered(name, "xs"));
        let key = sources.find_map(|(_, value)| key_of(value)).ok_or(LinkError::NoKey)?;
        let salt = pairs(query).find(|(name, _)| *name == "s").map_or("", |(_, value)| value);
        Ok(Self { key: key.map_err(LinkError::Key)?, salt: salt_of(salt).ok_or(LinkError::Salt)? })
    }
}

const URN: &str = "urn:btpk:";

/// What follows a prefix, in letters of either size.
fn after<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, tail) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(tail)
}

/// Whether a key of a link is this one, or one of several: `xs`, `xs.1`.
fn is_numbered(name: &str, wanted: &str) -> bool {
    let number = name.strip_prefix(wanted);
    number.is_some_and(|number| {
        let digits = number.strip_prefix('.').unwrap_or(number);
        digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// The key that an exact source is; `None` if it is a source of another kind.
fn key_of(source: &str) -> Option<Result<PublicKey, KeyError>> {
    let mut text = String::<96>::new();
    let whole = unescape(source).try_for_each(|byte| text.push(char::from(byte)));
    let key = after(&text, URN)?;
    // What is longer than any key is none.
    let too_long = || KeyError::Length(unescape(source).count().saturating_sub(URN.len()));
    Some(whole.map_err(|_| too_long()).and_then(|()| key.parse()))
}

fn salt_of(text: &str) -> Option<Vec<u8, SALT_MAX, u8>> {
    let mut salt = Vec::new();
    let mut digits = unescape(text).map(|byte| char::from(byte).to_digit(16));
    while let Some(high) = digits.next() {
        let byte = high? << 4 | digits.next()??;
        salt.push(byte as u8).ok()?;
    }
    Some(salt)
}

/// The torrent that an item's value names: `ih` of a dictionary, 20 bytes. Other members are passed
/// over. `None` if there is no such thing.
///
/// ```
/// use tinybt_core::InfoHash;
/// use tinybt_core::follow::{torrent_of, value_of};
///
/// let torrent = InfoHash(*b"mnopqrstuvwxyz123456");
/// assert_eq!(&value_of(torrent), b"d2:ih20:mnopqrstuvwxyz123456e");
/// assert_eq!(torrent_of(&value_of(torrent)), Some(torrent));
/// ```
pub fn torrent_of(value: &[u8]) -> Option<InfoHash> {
    if !is_one_value(value) {
        return None;
    }
    let mut reader = Reader::new(value);
    reader.enter_dictionary().ok()?;
    while let Some(name) = reader.key().ok()? {
        if name == b"ih" {
            return reader.string().ok()?.try_into().ok().map(InfoHash);
        }
        reader.skip().ok()?;
    }
    None
}

/// The value that names a torrent, bencoded.
pub fn value_of(torrent: InfoHash) -> [u8; VALUE_LEN] {
    let mut value = *b"d2:ih20:....................e";
    for (place, byte) in value.iter_mut().skip(8).zip(torrent.0) {
        *place = byte;
    }
    value
}

/// Bytes of a value that names a torrent and says nothing else.
pub const VALUE_LEN: usize = 29;
