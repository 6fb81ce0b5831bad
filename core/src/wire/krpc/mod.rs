//! KRPC: queries, responses and errors (BEP 5), with the fields of BEP 32, 33, 42, 43, 44 and 51.
//!
//! Decoding is one pass over the datagram that copies nothing: a [`Message`] points into it. It
//! tolerates what others get wrong without doubt as to what is meant: unknown keys, keys in any
//! order, bytes after the message, any `v`, an `ip` of a strange width. Whether the *arguments* of
//! a query make sense is asked when they are read, since a bad argument deserves an answer
//! (error 203) and not silence.
//!
//! Encoding is canonical: keys sorted, nothing after the message, and nothing left out in silence.

mod answer;
mod decode;
mod envelope;
mod fields;
mod query;
mod question;
mod response;

pub use answer::{
    Answer, Filters, Item, SampleInfo, Values, encode_error, encode_response, encode_response_raw,
};
pub use decode::{Body, DecodeError, ErrorReply, Message, decode};
pub use envelope::{EncodeError, Envelope};
pub use query::{Fault, Query};
pub use question::{Question, encode_query};
pub use response::{Response, Samples, Values as PeerValues};

/// The address families that nodes are wanted of (BEP 32).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Want {
    /// `n4`
    pub v4: bool,
    /// `n6`
    pub v6: bool,
}
