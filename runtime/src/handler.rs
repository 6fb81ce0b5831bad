//! Answers of the application to queries of foreign methods.

use std::net::SocketAddr;

use tinybt_core::wire::krpc::Query;

/// What to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// This bencoded dictionary; `id` is added where it is missing.
    Dictionary(Vec<u8>),
    /// An error.
    Error {
        /// 201 generic, 202 server, 203 protocol, 204 method unknown (BEP 5).
        code: i64,
        /// At most 100 bytes of it are sent.
        message: String,
    },
    /// What a node answers that does not know the method.
    Default,
}

/// Answers a query, or leaves it to the node.
pub type Handler = Box<dyn FnMut(SocketAddr, &Query<'_>) -> Reply + Send>;
