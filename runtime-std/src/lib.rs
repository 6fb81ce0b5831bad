//! The Mainline DHT on plain sockets and one thread.
//!
//! - [`Dht`] is the handle for people who want no loop: it runs a node for each address family on
//!   a thread of its own. [`Search`] is a lookup under way, an iterator of peers.
//! - `Finder` (feature `finder`) asks the DHT and all trackers of a torrent at once; `Swarm` is its
//!   search under way. HTTP trackers need the feature `http`, those over TLS `tls`.
//! - [`Driver`] is the loop itself, for any [`tinybt_core::Machine`].
//!
//! The feature `cli` adds the program `tinybt`; a library user does not pay for it.
#![forbid(unsafe_code)]

mod builder;
#[cfg(feature = "finder")]
mod desk;
mod dht;
mod driver;
mod engine;
#[cfg(feature = "finder")]
mod errands;
mod error;
#[cfg(feature = "http")]
pub mod fetch;
#[cfg(feature = "finder")]
mod finder;
mod handler;
mod names;
mod search;
mod state;
#[cfg(feature = "finder")]
mod swarm;

pub use builder::{Builder, PUBLIC_ROUTERS};
pub use dht::{Dht, Overview, Pong};
pub use driver::{Driver, Waker};
pub use engine::{Answered, Finished};
pub use error::Error;
#[cfg(feature = "finder")]
pub use finder::Finder;
pub use handler::{Handler, Reply};
pub use search::{Found, Search};
pub use state::State;
#[cfg(feature = "finder")]
pub use swarm::{Peer, Sighting, Swarm, Tracker};
pub use tinybt_core as core;

/// What the README shows compiles.
#[cfg(all(doctest, feature = "tls"))]
#[doc = include_str!("../../README.md")]
struct Readme;
