//! Sans-IO BitTorrent peer discovery: the Mainline DHT and trackers as pure state machines.
//!
//! - [`machine`] is the contract that all of them keep, and the loop that drives them.
//! - [`dht::Node`] is a node of the DHT, [`dht::Dual`] one of both address families.
//! - [`tracker::udp::UdpTrackers`] asks UDP trackers; [`tracker`] has the rest of them.
//! - `finder::Finder` (feature `http`) asks all sources of a torrent at once.
//!
//! Without features nothing is allocated. `alloc` adds rows on the heap, `http` what HTTP trackers
//! say and the finder, `metainfo` `.torrent` files, `ed25519` keys and signatures of mutable items.
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
pub mod follow;
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
