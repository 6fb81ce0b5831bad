//! Trackers: clients over UDP and HTTP, which of them to ask when, and a small one of one's own.

pub mod udp;
