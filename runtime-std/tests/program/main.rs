//! The program `tinybt` as a person runs it, on loopback.
#![allow(missing_docs)]

mod crawl;
mod nodes;
mod process;
mod trackers;
