//! Bencoding (BEP 3) over slices: a pull reader that copies nothing, and a writer that never
//! leaves half a value behind.
//!
//! The reader is strict where two readings would be possible (integers and lengths have one
//! spelling) and lenient where there is no doubt: keys of a dictionary may come in any order. It
//! does not recurse, so nesting costs no stack; deeper than
//! [`DEPTH_MAX`](crate::limits::DEPTH_MAX) is an error. Knows nothing of messages.

mod canonical;
mod reader;
mod writer;

pub use canonical::is_canonical;
pub use reader::{Error, Kind, Reader, Reason, is_one_value};
pub use writer::{NoRoom, Writer};
