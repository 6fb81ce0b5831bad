//! The Mainline DHT on plain sockets and one thread.
//!
//! - [`Dht`] is the handle for people who want no loop: it runs a node for each address family on
//!   a thread of its own. [`Search`] is a lookup under way, an iterator of peers.
//! - [`Driver`] is the loop itself, for any [`tinybt_core::Machine`].
//!
//! The feature `cli` adds the program `tinybt`; a library user does not pay for it.
#![forbid(unsafe_code)]

mod builder;
mod dht;
mod driver;
mod engine;
mod error;
#[cfg(feature = "http")]
pub mod fetch;
mod handler;
mod search;
mod state;

pub use builder::{Builder, PUBLIC_ROUTERS};
pub use dht::{Dht, Overview, Pong};
pub use driver::{Driver, Waker};
pub use engine::{Answered, Finished};
pub use error::Error;
pub use handler::{Handler, Reply};
pub use search::{Found, Search};
pub use state::State;
pub use tinybt_core as core;
