//! The Mainline DHT on async-io, for any executor.
//!
//! - [`Dht`] is the handle. It comes with a future, [`Running`], that drives a node for each address
//!   family wherever you spawn it: smol, an executor of your own, `block_on`. There is no thread and no
//!   global executor; what blocks (names, HTTP trackers) runs on the pool of the crate `blocking`.
//! - [`Search`] is a lookup under way, a `Stream` of peers.
//! - `Finder` (feature `finder`) asks the DHT and all trackers of a torrent at once; `Swarm` is its
//!   search under way. HTTP trackers need the feature `http`, those over TLS `tls`.
//! - [`crawl`] goes through the DHT and tells which info-hashes its nodes store (BEP 51).
//! - [`Driver`] is the loop itself, for any [`tinybt_core::Machine`].
//!
//! Names, configuration, state file and errors are those of `tinybt-std`; what waits there is awaited
//! here. Only `start` may take the disk a moment, where there is a state file: those who
//! mind send it to the pool, as in `unblock(|| builder.start())`. Trackers that hang take up to 64
//! threads of the pool, which has room for 500 unless `BLOCKING_MAX_THREADS` says otherwise.
//!
//! What is not the same: `start` gives a pair; a [`Driver`] is awaited where the other takes turns; there
//! is no `next_within`, since every executor has timers; and dropping the last handle does not wait for
//! the end, which [`Running`] is.
//!
//! ```no_run
//! use tinybt_smol::{Dht, PUBLIC_ROUTERS};
//!
//! smol::block_on(async {
//!     let (dht, running) = Dht::builder().bootstrap(PUBLIC_ROUTERS).start()?;
//!     let running = smol::spawn(running);
//!     let info_hash = "2b66980093bc11806fab50cb3cb41835b95a0362".parse()?;
//!     let mut peers = dht.get_peers(info_hash)?;
//!     while let Some(peer) = peers.next().await {
//!         println!("{peer}");
//!     }
//!     drop((dht, peers));
//!     running.await?;
//!     Ok::<(), Box<dyn std::error::Error>>(())
//! })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod bell;
mod crawl;
mod driver;
mod running;
mod watched;

pub use crawl::{RunningCrawl, crawl};
pub use driver::Driver;
pub use running::{Running, Smol};
pub use tinybt_core as core;
#[cfg(feature = "http")]
pub use tinybt_runtime::fetch;
pub use tinybt_runtime::{
    Answered, Change, Crawl, CrawlBuilder, Error, Find, Finished, Follow, Handler, Keep, Overview,
    OwnedItem, PUBLIC_ROUTERS, Pong, Published, Reply, Sampled, Search, State,
};
#[cfg(feature = "finder")]
pub use tinybt_runtime::{Peer, Sighting, Swarm, Tracker, Turns};

/// Makes a [`Dht`] and the future that runs it.
pub type Builder = tinybt_runtime::Builder<Smol>;

/// The handle of a DHT. Clones are handles to the same; when the last of them and the last
/// [`Search`] is gone, [`Running`] ends.
pub type Dht = tinybt_runtime::Dht<Smol>;

/// Finds the peers of torrents: asks the DHT and every tracker at once. Clones are handles to the
/// same.
#[cfg(feature = "finder")]
pub type Finder = tinybt_runtime::Finder<Smol>;
