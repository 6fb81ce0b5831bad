//! A small tracker in memory, for private networks and tests: [`Registry`] knows who is in which
//! swarm, [`UdpServer`] is the machine that answers over UDP, `respond` answers over HTTP. One
//! registry can serve both.

#[cfg(feature = "http")]
mod http;
mod registry;
mod udp;

#[cfg(feature = "http")]
pub use http::respond;
pub use registry::{Listed, Registry, RegistryLimits};
pub use udp::UdpServer;
