//! What a client asks, read from the target of its GET: the server's side.

use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use crate::announce::{Announce, Happening, PeerId};
use crate::escape::{pairs, unescape};
use crate::id::InfoHash;
use crate::limits::SCRAPE_MAX;

/// A request to an HTTP tracker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpRequest {
    /// Tells of a peer and asks for others.
    Announce(Announce),
    /// Asks for the counts of swarms, at most 74.
    Scrape(Vec<InfoHash>),
}

/// Why a target is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// The last segment of its path is neither `announce` nor `scrape`.
    Path,
    /// A key is missing, or its value makes no sense.
    Key(&'static str),
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestError::Path => f.write_str("expected /announce or /scrape"),
            RequestError::Key(key) => write!(f, "{key} is missing or wrong"),
        }
    }
}

impl core::error::Error for RequestError {}

impl HttpRequest {
    /// Reads the target of a GET: path and query.
    ///
    /// # Errors
    ///
    /// [`RequestError`] says what is missing.
    pub fn parse(target: &str) -> Result<Self, RequestError> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        match path.rsplit('/').next() {
            Some("announce") => announce(query).map(HttpRequest::Announce),
            Some("scrape") => {
                let hashes = pairs(query).filter(|(key, _)| *key == "info_hash");
                let hashes: Option<Vec<_>> =
                    hashes.take(SCRAPE_MAX).map(|(_, value)| twenty(value).map(InfoHash)).collect();
                hashes.map(HttpRequest::Scrape).ok_or(RequestError::Key("info_hash"))
            }
            _ => Err(RequestError::Path),
        }
    }
}

fn announce(query: &str) -> Result<Announce, RequestError> {
    let find =
        |wanted: &'static str| pairs(query).find(|(key, _)| *key == wanted).map(|(_, value)| value);
    let bytes = |key: &'static str| find(key).and_then(twenty).ok_or(RequestError::Key(key));
    let number = |key: &'static str| -> Result<u64, RequestError> {
        match find(key) {
            // Some clients say −1 for what they do not know.
            Some(value) if value.starts_with('-') => Ok(u64::MAX),
            Some(value) => value.parse().map_err(|_| RequestError::Key(key)),
            None => Ok(0),
        }
    };
    let port = find("port").and_then(|port| port.parse().ok()).filter(|port| *port != 0);
    Ok(Announce {
        info_hash: InfoHash(bytes("info_hash")?),
        peer_id: PeerId(bytes("peer_id")?),
        downloaded: number("downloaded")?,
        left: find("left").map_or(Ok(u64::MAX), |_| number("left"))?,
        uploaded: number("uploaded")?,
        event: match find("event") {
            Some("completed") => Happening::Completed,
            Some("started") => Happening::Started,
            Some("stopped") => Happening::Stopped,
            Some("paused") => Happening::Paused,
            _ => Happening::None,
        },
        ip: find("ip").and_then(address),
        key: find("key").and_then(|key| u32::from_str_radix(key, 16).ok()).unwrap_or(0),
        num_want: find("numwant").and_then(|want| want.parse().ok()),
        port: port.ok_or(RequestError::Key("port"))?,
    })
}

/// Exactly twenty bytes, escaped.
fn twenty(value: &str) -> Option<[u8; 20]> {
    let mut bytes = [0; 20];
    let mut read = unescape(value);
    for place in &mut bytes {
        *place = read.next()?;
    }
    read.next().is_none().then_some(bytes)
}

fn address(value: &str) -> Option<IpAddr> {
    let text: Vec<u8> = unescape(value).take(64).collect();
    core::str::from_utf8(&text).ok()?.parse().ok()
}
