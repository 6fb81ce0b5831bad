//! The kit: virtual networks, emulated worlds, the eight laws, and what tests share.
//!
//! For tests of this workspace and for whoever simulates DHTs. Everything is driven by one seed.

#![allow(missing_docs)]

pub mod counting;
pub mod crawl_world;
pub mod echo;
pub mod finder_world;
pub mod fuzz_laws;
pub mod fuzz_network;
pub mod fuzz_trackers;
pub mod fuzz_wire;
pub mod hostile;
pub mod item_world;
pub mod laws;
pub mod loopback;
pub mod net;
pub mod nodes;
pub mod population;
pub mod script;
pub mod seeds;
pub mod subjects;
pub mod tiers_model;
pub mod tracker_subjects;
pub mod world;

/// What the page on the simulator shows compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/SIMULATOR.md")]
struct Simulator;
