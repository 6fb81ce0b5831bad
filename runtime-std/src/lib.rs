//! The Mainline DHT on plain sockets and one thread.
//!
//! - [`Dht`] is the handle for people who want no loop: it runs a node for each address family on
//!   a thread of its own. [`Search`] is a lookup under way, an iterator of peers.
//! - `Finder` (feature `finder`) asks the DHT and all trackers of a torrent at once; `Swarm` is its
//!   search under way. HTTP trackers need the feature `http`, those over TLS `tls`.
//! - [`Crawl`] goes through the DHT and tells which info-hashes its nodes store (BEP 51).
//! - [`Driver`] is the loop itself, for any [`tinybt_core::Machine`].
//!
//! The same without threads is `tinybt-smol`. The feature `cli` adds the program `tinybt`; a library
//! user does not pay for it.
#![forbid(unsafe_code)]

mod crawl;
mod dht;
mod driver;
#[cfg(feature = "finder")]
mod finder;
mod items;
mod search;
#[cfg(feature = "finder")]
mod swarm;
mod thread;
mod threads;
mod wait;

pub use crawl::Crawl;
pub use dht::Dht;
pub use driver::Driver;
#[cfg(feature = "finder")]
pub use finder::Finder;
pub use items::{Follow, Keep};
pub use search::{Found, Search};
#[cfg(feature = "finder")]
pub use swarm::Swarm;
pub use thread::Thread;
pub use tinybt_core as core;
#[cfg(feature = "http")]
pub use tinybt_runtime::fetch;
pub use tinybt_runtime::{
    Answered, Change, CrawlBuilder, Error, Find, Finished, Handler, Overview, OwnedItem,
    PUBLIC_ROUTERS, Pong, Published, Reply, Sampled, State,
};
#[cfg(feature = "finder")]
pub use tinybt_runtime::{Peer, Sighting, Tracker, Turns};

/// Makes a [`Dht`].
///
/// ```no_run
/// let dht = tinybt_std::Dht::builder().bootstrap(tinybt_std::PUBLIC_ROUTERS).start()?;
/// # Ok::<(), tinybt_std::Error>(())
/// ```
pub type Builder = tinybt_runtime::Builder<Thread>;
