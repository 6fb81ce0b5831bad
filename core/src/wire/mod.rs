//! Bytes to messages and back. Knows no time and no state.

pub mod bencode;
pub mod compact;
pub mod krpc;
pub mod udp_tracker;
