//! Sans-IO BitTorrent peer discovery.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod announce;
pub mod budget;
pub mod contact;
pub mod dht;
pub mod escape;
#[cfg(feature = "http")]
pub mod finder;
pub mod id;
pub mod limits;
pub mod list;
pub mod machine;
pub mod magnet;
#[cfg(feature = "metainfo")]
mod metainfo;
pub mod rows;
pub mod time;
#[cfg(feature = "alloc")]
pub mod torrent;
pub mod tracker;
pub mod wire;

#[doc(hidden)]
pub use heapless;

pub use announce::{Announce, Happening, PeerId};
pub use contact::{Contact, Family, Network};
pub use id::{Distance, Id, InfoHash, ParseError};
pub use machine::{Buffer, Either, Ignored, Machine, Step, Transmit, buffer};
pub use time::Instant;
