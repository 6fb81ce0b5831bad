//! Answers: connect, announce, scrape, error.

use super::{ANNOUNCE, CONNECT, ERROR, Out, SCRAPE, long, number};
use crate::announce::Counts;
use crate::contact::Family;
use crate::limits::SCRAPE_MAX;
use crate::wire::compact::Peers;

/// A tracker's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response<'a> {
    /// To a connect request.
    Connect {
        /// To be sent along for a minute.
        connection: u64,
    },
    /// To an announce.
    Announce {
        /// Seconds until the next announce is welcome.
        interval: u32,
        /// Peers that have not everything.
        leechers: u32,
        /// Peers that have.
        seeders: u32,
        /// Peers, 6 or 18 bytes each; [`Response::peers`] reads them.
        packed: [&'a [u8]; 2],
    },
    /// To a scrape.
    Scrape(Scraped<'a>),
    /// Something was wrong.
    Error {
        /// In the tracker's words.
        message: &'a [u8],
    },
}

impl<'a> Response<'a> {
    /// The peers of an announce that was answered over `family`.
    ///
    /// A list whose length fits the other family alone is read as that: a tracker in use lists IPv4
    /// peers over IPv6. Bytes that make no whole peer are passed over.
    pub fn peers(&self, family: Family) -> Peers<'a> {
        let packed = match self {
            Response::Announce { packed: [packed, _], .. } => *packed,
            _ => &[],
        };
        let fits = |family: Family| packed.len().is_multiple_of(family.peer_len());
        let family = if !fits(family) && fits(Family::V4) { Family::V4 } else { family };
        let whole = packed.len() - packed.len() % family.peer_len();
        Peers::new(family, packed.get(..whole).unwrap_or_default())
    }
}

/// The counts of swarms: as values to be written, packed when they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scraped<'a> {
    /// Values; at most 74 are written.
    Values(&'a [Counts]),
    /// 12 bytes each.
    Packed(&'a [u8]),
}

impl<'a> Scraped<'a> {
    /// One by one, in the order in which they were asked for.
    pub fn iter(self) -> impl Iterator<Item = Counts> + 'a {
        let (values, packed) = match self {
            Scraped::Values(values) => (values, &[][..]),
            Scraped::Packed(packed) => (&[][..], packed),
        };
        let read = packed.as_chunks::<12>().0.iter().filter_map(|counts| {
            let (seeders, rest) = number(counts)?;
            let (completed, rest) = number(rest)?;
            let (leechers, _) = number(rest)?;
            Some(Counts { seeders, leechers, completed: Some(completed) })
        });
        values.iter().copied().chain(read)
    }
}

/// Why a datagram is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// It does not begin as one.
    Foreign,
    /// It is too short for its action.
    Short {
        /// What it answers.
        transaction: u32,
    },
}

/// Writes an answer; returns its length, `None` if it does not fit.
pub fn encode_response(
    bytes: &mut [u8],
    transaction: u32,
    response: &Response<'_>,
) -> Option<usize> {
    let mut out = Out::new(bytes);
    match response {
        Response::Connect { connection } => {
            out.number(CONNECT)?;
            out.number(transaction)?;
            out.long(*connection)?;
        }
        Response::Announce { interval, leechers, seeders, packed } => {
            out.number(ANNOUNCE)?;
            out.number(transaction)?;
            out.number(*interval)?;
            out.number(*leechers)?;
            out.number(*seeders)?;
            packed.iter().try_for_each(|run| out.put(run))?;
        }
        Response::Scrape(counts) => {
            out.number(SCRAPE)?;
            out.number(transaction)?;
            for counts in counts.iter().take(SCRAPE_MAX) {
                out.number(counts.seeders)?;
                out.number(counts.completed.unwrap_or(0))?;
                out.number(counts.leechers)?;
            }
        }
        Response::Error { message } => {
            out.number(ERROR)?;
            out.number(transaction)?;
            out.put(message)?;
        }
    }
    Some(out.len)
}

/// Reads an answer and its transaction.
///
/// # Errors
///
/// [`DecodeError`] says whether it could be another protocol's.
pub fn decode_response(bytes: &[u8]) -> Result<(u32, Response<'_>), DecodeError> {
    let (action, rest) = number(bytes).ok_or(DecodeError::Foreign)?;
    let (transaction, rest) = number(rest).ok_or(DecodeError::Foreign)?;
    let response = match action {
        CONNECT => long(rest).map(|(connection, _)| Response::Connect { connection }),
        ANNOUNCE => announce(rest),
        SCRAPE => Some(Response::Scrape(Scraped::Packed(rest))),
        ERROR => Some(Response::Error { message: rest }),
        _ => return Err(DecodeError::Foreign),
    };
    response.map(|response| (transaction, response)).ok_or(DecodeError::Short { transaction })
}

fn announce(rest: &[u8]) -> Option<Response<'_>> {
    let (interval, rest) = number(rest)?;
    let (leechers, rest) = number(rest)?;
    let (seeders, packed) = number(rest)?;
    Some(Response::Announce { interval, leechers, seeders, packed: [packed, &[]] })
}
