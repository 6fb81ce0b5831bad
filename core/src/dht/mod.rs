//! The Mainline DHT: leaves that each know one thing, and the node that composes them.

pub mod external;
pub mod store;
pub mod table;
pub mod token;
