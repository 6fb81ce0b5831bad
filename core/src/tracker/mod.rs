//! Trackers: clients over UDP and HTTP, which of them to ask when, and a small one of one's own.

#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "alloc")]
pub mod server;
pub mod tiers;
pub mod udp;
mod url;

pub use url::{Scheme, TrackerUrl, UrlError};
