//! Everything of a runtime but the waiting.
//!
//! `tinybt-std` and `tinybt-smol` are made of this crate; so is a runtime of your own, in about two
//! hundred lines. What it has to bring: a loop that waits for a datagram, a deadline or a wake-up
//! ([`Pump`] does the rest of a driver), and a place for what blocks ([`Host`]).
//!
//! - [`Builder`] says how a DHT is to be, and [`Builder::build`] makes the [`Parts`]: the machine and
//!   its sockets to be driven, an [`Engine`] that tells whoever waits, and the handle.
//! - [`Dht`] is the handle, [`Search`] a lookup under way. `Finder` and `Swarm` (feature `finder`) are
//!   the same for the DHT and all trackers at once. They wait as futures that know no executor.
//! - [`CrawlBuilder`], [`CrawlEngine`] and [`Crawl`] are the same three for a crawl (BEP 51).
#![forbid(unsafe_code)]

pub mod batch;
mod crawl;
#[cfg(feature = "finder")]
mod desk;
mod dht;
mod engine;
#[cfg(feature = "finder")]
mod errands;
mod error;
#[cfg(feature = "http")]
pub mod fetch;
#[cfg(feature = "finder")]
mod finder;
mod handler;
mod host;
mod item;
mod items;
mod kept;
mod ledger;
mod mailbox;
mod mmsg;
mod names;
mod pump;
mod question;
mod search;
mod setup;
mod socket;
mod state;
#[cfg(feature = "finder")]
mod swarm;
mod timers;

pub use crawl::{Crawl, CrawlBuilder, CrawlEngine, CrawlLast, CrawlParts, Crawling};
pub use dht::{Dht, Overview, Pong, Sampled};
pub use engine::{Engine, Hosted, Last};
pub use error::Error;
#[cfg(feature = "finder")]
pub use finder::Finder;
pub use handler::{Handler, Reply};
pub use host::{Host, Work};
pub use item::OwnedItem;
pub use items::{Change, Follow, Keep, Published};
pub use ledger::{Answered, Finished};
pub use pump::{Next, Pump, stopwatch};
pub use search::{Find, Search};
#[cfg(feature = "finder")]
pub use setup::WithFinder;
pub use setup::{Builder, PUBLIC_ROUTERS, Parts, Runtime};
pub use socket::Socket;
pub use state::State;
#[cfg(feature = "finder")]
pub use swarm::{Peer, Sighting, Swarm, Tracker, Turns};
pub use timers::Timers;
pub use tinybt_core as core;
