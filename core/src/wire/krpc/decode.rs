//! From a datagram to a message.

use core::fmt;
use core::net::SocketAddr;

use crate::limits::TRANSACTION_MAX;
use crate::wire::bencode::{self, Kind, Reader};
use crate::wire::compact::read_peer;
use crate::wire::krpc::fields::{Fields, is_true};
use crate::wire::krpc::query::Query;
use crate::wire::krpc::response::Response;

/// A message, pointing into the datagram that it came in.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    /// `t`: 0 to [`TRANSACTION_MAX`] bytes.
    pub transaction: &'a [u8],
    /// `v`: whatever the sender calls itself.
    pub version: Option<&'a [u8]>,
    /// `ro`: the sender does not answer (BEP 43).
    pub read_only: bool,
    /// `ip`: our address as the sender sees it (BEP 42).
    pub external: Option<SocketAddr>,
    /// What it says.
    pub body: Body<'a>,
}

/// What a message says.
#[derive(Clone, Debug)]
pub enum Body<'a> {
    /// `y` = `q`
    Query(Query<'a>),
    /// `y` = `r`
    Response(Response<'a>),
    /// `y` = `e`
    Error(ErrorReply<'a>),
}

/// An error as an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorReply<'a> {
    /// 201 to 204 in BEP 5, more in BEP 44.
    pub code: i64,
    /// What the node says about it, in no particular encoding.
    pub message: &'a [u8],
}

/// Why a datagram is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// It does not begin as one: another protocol's.
    NotKrpc,
    /// It is not well-formed bencoding.
    Bencode(bencode::Error),
    /// `t` is missing, no string, or longer than [`TRANSACTION_MAX`].
    Transaction,
    /// `y` is missing or none of `q`, `r`, `e`.
    Kind,
    /// `r` is missing or no dictionary.
    Response,
    /// `e` is missing or no list of a number and a string.
    Error,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::NotKrpc => f.write_str("not a dictionary"),
            DecodeError::Bencode(error) => error.fmt(f),
            DecodeError::Transaction => f.write_str("`t` is missing or too long"),
            DecodeError::Kind => f.write_str("`y` is none of q, r, e"),
            DecodeError::Response => f.write_str("`r` is no dictionary"),
            DecodeError::Error => f.write_str("`e` is not [number, string]"),
        }
    }
}

impl core::error::Error for DecodeError {}

impl From<bencode::Error> for DecodeError {
    fn from(error: bencode::Error) -> Self {
        DecodeError::Bencode(error)
    }
}

/// Reads a message.
///
/// Of equal keys the first one counts. What is behind the message is ignored, and so is whatever
/// lies beyond the 65,535 bytes that a datagram can have.
///
/// # Errors
///
/// [`DecodeError`] says what it lacks to be one.
///
/// ```
/// use tinybt_core::wire::krpc::{self, Body};
///
/// let datagram = b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe";
/// let message = krpc::decode(datagram)?;
/// assert_eq!(message.transaction, b"aa");
/// let Body::Query(query) = message.body else { return Err("no query".into()) };
/// assert_eq!(query.method, b"ping");
/// assert_eq!(query.id()?.0, *b"abcdefghij0123456789");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn decode(datagram: &[u8]) -> Result<Message<'_>, DecodeError> {
    read(datagram, None)
}

/// Reads a message, of `a` and `r` the one that is named; the first one if none is.
fn read(datagram: &[u8], of: Option<u8>) -> Result<Message<'_>, DecodeError> {
    let datagram = datagram.get(..usize::from(u16::MAX)).unwrap_or(datagram);
    let mut reader = Reader::new(datagram);
    if reader.enter_dictionary().is_err() {
        return Err(DecodeError::NotKrpc);
    }
    let mut top = Top::default();
    loop {
        // Nearly every key is a letter, and nearly every value a short string.
        let place = match reader.letter() {
            Some(b'q') => &mut top.method,
            Some(b't') => &mut top.transaction,
            Some(b'v') => &mut top.version,
            Some(b'y') => &mut top.kind,
            Some(key @ (b'a' | b'r')) if top.fields_of == 0 && of.is_none_or(|of| of == key) => {
                top.fields_of = key;
                top.fields.read(&mut reader)?;
                continue;
            }
            Some(letter) => {
                top.read_other(letter, &mut reader)?;
                continue;
            }
            None => match reader.key()? {
                Some(b"ip") => &mut top.external,
                Some(b"ro") if top.read_only.is_none() => {
                    top.read_only = Some(match reader.digit() {
                        Some(digit) => digit != 0,
                        None => is_true(reader.raw()?),
                    });
                    continue;
                }
                Some(_) => {
                    reader.skip()?;
                    continue;
                }
                None => break,
            },
        };
        let string = match reader.short_string() {
            None => long_string(&mut reader)?,
            string => string,
        };
        if place.is_none() {
            *place = string;
        }
    }
    match top.kind {
        Some(b"q") if top.is_of_another(b'a') => read(datagram, Some(b'a')),
        Some(b"r") if top.is_of_another(b'r') => read(datagram, Some(b'r')),
        _ => top.message(),
    }
}

#[derive(Default)]
struct Top<'a> {
    /// The members of `a` or `r`, whichever came first: a message that makes sense has but one.
    fields: Fields<'a>,
    /// Which of them; 0 for none yet.
    fields_of: u8,
    /// The other one is there as well.
    has_other: bool,
    error: Option<&'a [u8]>,
    method: Option<&'a [u8]>,
    transaction: Option<&'a [u8]>,
    version: Option<&'a [u8]>,
    kind: Option<&'a [u8]>,
    external: Option<&'a [u8]>,
    read_only: Option<bool>,
}

impl<'a> Top<'a> {
    #[cold]
    fn read_other(&mut self, key: u8, reader: &mut Reader<'a>) -> Result<(), bencode::Error> {
        let raw = reader.raw()?;
        match key {
            b'a' | b'r' if self.fields_of != key => self.has_other = true,
            b'e' if self.error.is_none() => self.error = Some(raw),
            _ => {}
        }
        Ok(())
    }

    #[inline(always)]
    fn message(&mut self) -> Result<Message<'a>, DecodeError> {
        let transaction = match self.transaction {
            Some(transaction) if transaction.len() <= TRANSACTION_MAX => transaction,
            _ => return Err(DecodeError::Transaction),
        };
        let body = match self.kind {
            Some(b"q") => {
                self.turn_to(b'a');
                let method = self.method.unwrap_or_default();
                Body::Query(Query { method, raw: self.fields.raw, fields: self.fields })
            }
            Some(b"r") => {
                self.turn_to(b'r');
                if self.fields.raw.is_empty() {
                    return Err(DecodeError::Response);
                }
                Body::Response(Response { raw: self.fields.raw, fields: self.fields })
            }
            Some(b"e") => Body::Error(error_reply(self.error)?),
            _ => return Err(DecodeError::Kind),
        };
        Ok(Message {
            transaction,
            version: self.version,
            read_only: self.read_only.unwrap_or(false),
            external: self.external.and_then(read_peer),
            body,
        })
    }

    /// Whether the members are those of `a` and `r` that the message does not mean, and the others
    /// are there: it is read again then, since it is nobody's that makes sense.
    fn is_of_another(&self, of: u8) -> bool {
        self.fields_of != of && self.has_other
    }

    /// Has the members of `a` or `r`; none if it is missing or no dictionary.
    #[inline(always)]
    fn turn_to(&mut self, of: u8) {
        if self.fields_of != of {
            self.fields = Fields::default();
        }
    }
}

/// The string that comes next; anything else is passed over.
#[inline(never)]
fn long_string<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a [u8]>, bencode::Error> {
    if reader.kind()? == Kind::String {
        return reader.string().map(Some);
    }
    reader.skip()?;
    Ok(None)
}

fn error_reply(raw: Option<&[u8]>) -> Result<ErrorReply<'_>, DecodeError> {
    let read = |raw| {
        let mut reader = Reader::new(raw);
        reader.enter_list().ok()?;
        let code = reader.more().ok()?.then(|| reader.integer().ok())??;
        let message = reader.more().ok()?.then(|| reader.string().ok())??;
        Some(ErrorReply { code, message })
    };
    raw.and_then(read).ok_or(DecodeError::Error)
}
