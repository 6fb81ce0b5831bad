//! The UDP tracker protocol (BEP 15) with its options (BEP 41), both directions.
//!
//! All numbers are big-endian. A request begins with 8 bytes of connection id, an answer with its
//! action; both carry a transaction of four bytes that the client chose. Packets may be longer
//! than they need to be: what is behind is passed over.

mod request;
mod response;

pub use request::{Hashes, Request, UrlData, decode_request, encode_request};
pub use response::{DecodeError, Response, Scraped, decode_response, encode_response};

/// What the first 8 bytes of a connect request are.
pub const PROTOCOL_ID: u64 = 0x0417_2710_1980;

const CONNECT: u32 = 0;
const ANNOUNCE: u32 = 1;
const SCRAPE: u32 = 2;
const ERROR: u32 = 3;

/// The first four bytes as a number, and what is behind them.
fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_be_bytes(*number), rest))
}

/// The first eight bytes as a number, and what is behind them.
fn long(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u64::from_be_bytes(*number), rest))
}

/// A buffer being filled from the front.
struct Out<'a> {
    bytes: &'a mut [u8],
    len: usize,
}

impl<'a> Out<'a> {
    fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, len: 0 }
    }

    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len + bytes.len();
        self.bytes.get_mut(self.len..end)?.copy_from_slice(bytes);
        self.len = end;
        Some(())
    }

    fn number(&mut self, number: u32) -> Option<()> {
        self.put(&number.to_be_bytes())
    }

    fn long(&mut self, number: u64) -> Option<()> {
        self.put(&number.to_be_bytes())
    }
}
