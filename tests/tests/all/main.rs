//! One integration-test binary, a module a subject.
#![allow(missing_docs)]

mod allocation_wire;
mod bloom;
mod bounds;
mod citizen;
mod crawl;
mod crawl_real;
mod finder;
mod finder_hostile;
mod hostile;
mod laws;
mod leaves;
mod magnet;
mod metainfo;
mod network;
mod policy;
mod scrape;
mod scripts;
mod shunned;
mod store_model;
mod table;
mod tidy;
mod tracker_http;
mod tracker_server;
mod tracker_tiers;
mod tracker_udp;
mod tracker_udp_wire;
mod wire_bencode;
mod wire_compact;
mod wire_krpc_malformed;
mod wire_krpc_properties;
mod wire_krpc_vectors;
mod world;
