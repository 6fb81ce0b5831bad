//! What stands around the body of every message on its way out.

use core::fmt;
use core::net::SocketAddr;

use crate::id::Id;
use crate::wire::bencode::{NoRoom, Reader, Writer, is_one_value};

/// What stands around the body of every message.
#[derive(Clone, Copy, Debug, Default)]
pub struct Envelope<'a> {
    /// `t`
    pub transaction: &'a [u8],
    /// `v`
    pub version: Option<[u8; 4]>,
    /// `ro`, in queries (BEP 43).
    pub read_only: bool,
    /// `ip`: the address of whoever is answered (BEP 42). Queries have none.
    pub external: Option<SocketAddr>,
}

impl Envelope<'_> {
    /// `ip`, which sorts before everything but `a` and `e`.
    #[inline(always)]
    pub(super) fn head(&self, w: &mut Writer<'_>) {
        match self.external {
            Some(SocketAddr::V4(addr)) => {
                w.arrays::<12>(|w| {
                    w.array(b"2:ip6:");
                    w.array(&addr.ip().octets());
                    w.array(&addr.port().to_be_bytes());
                });
            }
            Some(SocketAddr::V6(addr)) => {
                w.arrays::<25>(|w| {
                    w.array(b"2:ip18:");
                    w.array(&addr.ip().octets());
                    w.array(&addr.port().to_be_bytes());
                });
            }
            None => {}
        }
    }

    /// `t`, `v` and `y`, which sort behind everything else.
    #[inline(always)]
    pub(super) fn tail(&self, w: &mut Writer<'_>, kind: &[u8; 7]) {
        // Ours have four bytes, those of others mostly two.
        if let Ok(transaction) = <&[u8; 4]>::try_from(self.transaction) {
            w.arrays::<9>(|w| {
                w.array(b"1:t4:");
                w.array(transaction);
            });
        } else if let Ok(transaction) = <&[u8; 2]>::try_from(self.transaction) {
            w.arrays::<7>(|w| {
                w.array(b"1:t2:");
                w.array(transaction);
            });
        } else {
            w.array(b"1:t");
            w.string(self.transaction);
        }
        if let Some(version) = &self.version {
            w.arrays::<9>(|w| {
                w.array(b"1:v4:");
                w.array(version);
            });
        }
        w.array(kind);
    }

    /// How many bytes the tail takes.
    pub(super) fn tail_len(&self) -> usize {
        let digits = self.transaction.len().checked_ilog10().unwrap_or(0) as usize + 1;
        let version = if self.version.is_some() { 9 } else { 0 };
        (3 + digits + 1 + version + 7_usize).saturating_add(self.transaction.len())
    }
}

pub(super) const QUERY: &[u8; 7] = b"1:y1:qe";
pub(super) const RESPONSE: &[u8; 7] = b"1:y1:re";
pub(super) const ERROR: &[u8; 7] = b"1:y1:ee";

/// Why a message cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// The buffer is too short.
    NoRoom,
    /// What was given as bencoding is not one value, or not a dictionary with sorted keys.
    Value,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EncodeError::NoRoom => NoRoom.fmt(f),
            EncodeError::Value => f.write_str("not bencoding, or not a dictionary of sorted keys"),
        }
    }
}

impl core::error::Error for EncodeError {}

impl From<NoRoom> for EncodeError {
    fn from(_: NoRoom) -> Self {
        EncodeError::NoRoom
    }
}

/// Writes a value that the application bencoded.
pub(super) fn bencoded(w: &mut Writer<'_>, value: &[u8]) -> Result<(), EncodeError> {
    if !is_one_value(value) {
        return Err(EncodeError::Value);
    }
    w.raw(value);
    Ok(())
}

/// Writes a dictionary that the application bencoded, with `id` put into its sorted place where it
/// is missing.
pub(super) fn with_id(w: &mut Writer<'_>, id: Id, dictionary: &[u8]) -> Result<(), EncodeError> {
    let before = place_of_id(dictionary).ok_or(EncodeError::Value)?;
    let (head, tail) = dictionary.split_at_checked(before.offset).ok_or(EncodeError::Value)?;
    w.raw(head);
    if !before.there {
        w.array(b"2:id20:");
        w.array(&id.0);
    }
    w.raw(tail);
    Ok(())
}

/// Where the key `id` belongs in a dictionary.
struct PlaceOfId {
    offset: usize,
    /// It is there already.
    there: bool,
}

/// `None` if the bytes are not one dictionary with keys in order.
fn place_of_id(dictionary: &[u8]) -> Option<PlaceOfId> {
    let name = &b"id"[..];
    let mut reader = Reader::new(dictionary);
    reader.enter_dictionary().ok()?;
    let mut place = None;
    let mut last = None;
    loop {
        let offset = reader.offset();
        let Some(key) = reader.key().ok()? else {
            let place = place.unwrap_or(PlaceOfId { offset, there: false });
            return (reader.offset() == dictionary.len()).then_some(place);
        };
        if last.is_some_and(|last| last >= key) {
            return None;
        }
        last = Some(key);
        if place.is_none() && key >= name {
            place = Some(PlaceOfId { offset, there: key == name });
        }
        reader.skip().ok()?;
    }
}
