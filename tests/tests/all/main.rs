//! One integration-test binary, a module a subject.
#![allow(missing_docs)]

mod laws;
mod network;
mod shunned;
mod table;
