//! `.torrent` files: info-hashes of both versions over the exact bytes, trackers, nodes.
//!
//! Read with the pull parser of the core, which bounds depth and hands out the bytes of `info` as
//! they stand: they must not be written anew before they are hashed (BEP 3).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use sha1_smol::Sha1;
use sha2::{Digest, Sha256};

use crate::id::InfoHash;
use crate::torrent::Torrent;
use crate::wire::bencode::{Error, Kind, Reader};

/// Why bytes are no `.torrent` file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetainfoError {
    /// They are no bencoding.
    Bencode(Error),
    /// There is no dictionary `info`.
    NoInfo,
    /// `info` has neither `pieces` (version 1) nor `meta version` 2.
    NoVersion,
}

impl fmt::Display for MetainfoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MetainfoError::Bencode(error) => write!(f, "not a bencoded dictionary: {error}"),
            MetainfoError::NoInfo => f.write_str("it has no dictionary `info`"),
            MetainfoError::NoVersion => {
                f.write_str("its `info` has neither `pieces` nor `meta version` 2")
            }
        }
    }
}

impl core::error::Error for MetainfoError {}

impl From<Error> for MetainfoError {
    fn from(error: Error) -> Self {
        MetainfoError::Bencode(error)
    }
}

/// Reads a file.
pub(crate) fn read(file: &[u8]) -> Result<Torrent, MetainfoError> {
    let mut reader = Reader::new(file);
    reader.enter_dictionary()?;
    let mut torrent = Torrent::default();
    let (mut info, mut announce) = (None, None);
    while let Some(key) = reader.key()? {
        let value = reader.raw()?;
        // What is not as it should be is as good as not there: only `info` must be right.
        match key {
            b"info" => info = Some(value),
            b"announce" => announce = text(&mut Reader::new(value)),
            b"announce-list" => torrent.tiers = tiers(value).unwrap_or_default(),
            b"nodes" => torrent.nodes = nodes(value).unwrap_or_default(),
            _ => {}
        }
    }
    let info = info.ok_or(MetainfoError::NoInfo)?;
    let mut reader = Reader::new(info);
    reader.enter_dictionary().map_err(|_| MetainfoError::NoInfo)?;
    let (mut v1, mut v2) = (false, false);
    while let Some(key) = reader.key()? {
        let mut value = Reader::new(reader.raw()?);
        match key {
            b"name" => torrent.name = text(&mut value),
            b"private" => torrent.private = value.integer() == Ok(1),
            b"pieces" => v1 = true,
            b"meta version" => v2 = value.integer() == Ok(2),
            _ => {}
        }
    }
    if v1 {
        torrent.info_hashes.push(InfoHash(Sha1::from(info).digest().bytes()));
    }
    if v2 && let Some(hash) = Sha256::digest(info).first_chunk() {
        torrent.info_hashes.push(InfoHash(*hash));
    }
    if torrent.info_hashes.is_empty() {
        return Err(MetainfoError::NoVersion);
    }
    // Where there is a list, the single one is not looked at (BEP 12).
    if torrent.tiers.is_empty() {
        torrent.tiers.extend(announce.map(|url| alloc::vec![url]));
    }
    Ok(torrent)
}

fn text(reader: &mut Reader<'_>) -> Option<String> {
    reader.string().ok().map(|text| String::from_utf8_lossy(text).into_owned())
}

/// The items of a list, each as its bytes.
fn items(raw: &[u8]) -> Option<Vec<&[u8]>> {
    let mut reader = Reader::new(raw);
    reader.enter_list().ok()?;
    let mut items = Vec::new();
    while reader.more().ok()? {
        items.push(reader.raw().ok()?);
    }
    Some(items)
}

/// `announce-list`: a list of lists of URLs. Some write one of the lists as a mere string.
fn tiers(raw: &[u8]) -> Option<Vec<Vec<String>>> {
    let tier = |raw: &[u8]| match Reader::new(raw).kind() {
        Ok(Kind::List) => {
            items(raw).unwrap_or_default().iter().filter_map(|url| url_of(url)).collect()
        }
        _ => url_of(raw).into_iter().collect::<Vec<_>>(),
    };
    let tiers = items(raw)?.into_iter().map(tier).filter(|tier| !tier.is_empty());
    Some(tiers.collect())
}

fn url_of(raw: &[u8]) -> Option<String> {
    text(&mut Reader::new(raw)).filter(|url| !url.trim_ascii().is_empty())
}

/// `nodes`: a list of pairs of host and port.
fn nodes(raw: &[u8]) -> Option<Vec<String>> {
    let node = |raw: &[u8]| {
        let mut pair = Reader::new(raw);
        pair.enter_list().ok()?;
        let host = text(&mut pair)?;
        let port = u16::try_from(pair.integer().ok()?).ok()?;
        let bracketed = host.contains(':') && !host.starts_with('[');
        Some(if bracketed {
            alloc::format!("[{host}]:{port}")
        } else {
            alloc::format!("{host}:{port}")
        })
    };
    Some(items(raw)?.into_iter().filter_map(node).collect())
}
