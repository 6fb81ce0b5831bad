//! Requests: connect, announce with options, scrape.

use core::net::{IpAddr, Ipv4Addr};

use super::{ANNOUNCE, CONNECT, Out, PROTOCOL_ID, SCRAPE, long, number};
use crate::announce::{Announce, Happening, PeerId};
use crate::id::InfoHash;
use crate::limits::SCRAPE_MAX;

/// A request to a tracker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Asks for a connection id: proof that the sender's address is its own.
    Connect,
    /// Tells of a peer and asks for others.
    Announce {
        /// What the tracker gave.
        connection: u64,
        /// The parameters.
        announce: Announce,
        /// Path and query of the tracker's URL (BEP 41).
        url: UrlData<'a>,
    },
    /// Asks for the counts of up to 74 swarms.
    Scrape {
        /// What the tracker gave.
        connection: u64,
        /// The swarms.
        hashes: Hashes<'a>,
    },
}

/// Path and query of the tracker's URL: plain when it is to be written, in the options of a packet
/// when it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlData<'a> {
    /// The bytes themselves; none at all is no option.
    Plain(&'a [u8]),
    /// What stands behind the 98 bytes of an announce.
    Options(&'a [u8]),
}

impl<'a> UrlData<'a> {
    /// The runs of bytes which make the URL data, in order.
    pub fn runs(self) -> impl Iterator<Item = &'a [u8]> {
        let (plain, mut options) = match self {
            UrlData::Plain(bytes) => (bytes, &[][..]),
            UrlData::Options(options) => (&[][..], options),
        };
        let options = core::iter::from_fn(move || {
            loop {
                let (kind, rest) = options.split_first()?;
                options = match kind {
                    0 => &[],
                    1 => rest,
                    kind => {
                        let (len, rest) = rest.split_first()?;
                        let (data, rest) = rest.split_at_checked(usize::from(*len))?;
                        options = rest;
                        if *kind == 2 {
                            return Some(data);
                        }
                        rest
                    }
                };
            }
        });
        plain.chunks(255).chain(options)
    }
}

/// Info-hashes: as values to be written, packed when they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hashes<'a> {
    /// Values; at most 74 are written.
    Values(&'a [InfoHash]),
    /// 20 bytes each.
    Packed(&'a [u8]),
}

impl<'a> Hashes<'a> {
    /// One by one.
    pub fn iter(self) -> impl Iterator<Item = InfoHash> + 'a {
        let (values, packed) = match self {
            Hashes::Values(values) => (values, &[][..]),
            Hashes::Packed(packed) => (&[][..], packed),
        };
        values.iter().copied().chain(packed.as_chunks().0.iter().map(|hash| InfoHash(*hash)))
    }
}

/// Writes a request; returns its length, `None` if it does not fit.
pub fn encode_request(bytes: &mut [u8], transaction: u32, request: &Request<'_>) -> Option<usize> {
    let mut out = Out::new(bytes);
    match request {
        Request::Connect => {
            out.long(PROTOCOL_ID)?;
            out.number(CONNECT)?;
            out.number(transaction)?;
        }
        Request::Announce { connection, announce, url } => {
            out.long(*connection)?;
            out.number(ANNOUNCE)?;
            out.number(transaction)?;
            out.put(&announce.info_hash.0)?;
            out.put(&announce.peer_id.0)?;
            out.long(announce.downloaded)?;
            out.long(announce.left)?;
            out.long(announce.uploaded)?;
            out.number(match announce.event {
                Happening::None | Happening::Paused => 0,
                Happening::Completed => 1,
                Happening::Started => 2,
                Happening::Stopped => 3,
            })?;
            out.put(&match announce.ip {
                Some(IpAddr::V4(ip)) => ip.octets(),
                _ => [0; 4],
            })?;
            out.number(announce.key)?;
            // More than the protocol can say is as good as all.
            out.number(announce.num_want.map_or(u32::MAX, |want| want.min(i32::MAX as u32)))?;
            out.put(&announce.port.to_be_bytes())?;
            for run in url.runs() {
                let len = u8::try_from(run.len()).ok()?;
                out.put(&[2, len])?;
                out.put(run)?;
            }
        }
        Request::Scrape { connection, hashes } => {
            out.long(*connection)?;
            out.number(SCRAPE)?;
            out.number(transaction)?;
            hashes.iter().take(SCRAPE_MAX).try_for_each(|hash| out.put(&hash.0))?;
        }
    }
    Some(out.len)
}

/// Reads a request and its transaction; `None` if it is none.
pub fn decode_request(bytes: &[u8]) -> Option<(u32, Request<'_>)> {
    let (connection, rest) = long(bytes)?;
    let (action, rest) = number(rest)?;
    let (transaction, rest) = number(rest)?;
    let request = match action {
        CONNECT if connection == PROTOCOL_ID => Request::Connect,
        ANNOUNCE => announce(connection, rest)?,
        SCRAPE => Request::Scrape { connection, hashes: Hashes::Packed(rest) },
        _ => return None,
    };
    Some((transaction, request))
}

fn announce(connection: u64, rest: &[u8]) -> Option<Request<'_>> {
    let (info_hash, rest) = rest.split_first_chunk()?;
    let (peer_id, rest) = rest.split_first_chunk()?;
    let (downloaded, rest) = long(rest)?;
    let (left, rest) = long(rest)?;
    let (uploaded, rest) = long(rest)?;
    let (event, rest) = number(rest)?;
    let (ip, rest) = number(rest)?;
    let (key, rest) = number(rest)?;
    let (want, rest) = number(rest)?;
    let (port, options) = rest.split_first_chunk()?;
    let announce = Announce {
        info_hash: InfoHash(*info_hash),
        peer_id: PeerId(*peer_id),
        downloaded,
        left,
        uploaded,
        // A number that nobody has defined yet tells nothing.
        event: match event {
            1 => Happening::Completed,
            2 => Happening::Started,
            3 => Happening::Stopped,
            _ => Happening::None,
        },
        ip: (ip != 0).then(|| Ipv4Addr::from_bits(ip).into()),
        key,
        num_want: (want <= i32::MAX as u32).then_some(want),
        port: u16::from_be_bytes(*port),
    };
    Some(Request::Announce { connection, announce, url: UrlData::Options(options) })
}
