//! The Mainline DHT: leaves that each know one thing, and the node that composes them.

pub mod bloom;
pub mod bootstrap;
pub mod budget;
pub mod config;
#[cfg(feature = "alloc")]
pub mod crawl;
pub mod dual;
pub mod event;
pub mod external;
pub mod found;
pub mod lookup;
pub mod node;
pub mod queries;
mod respond;
pub mod shunned;
pub mod stats;
pub mod storage;
pub mod store;
pub mod table;
pub mod token;

pub use crate::budget::Rate;
pub use config::{AddressCheck, Config, Upkeep};
pub use dual::{Dual, Pair};
pub use event::{AskId, End, Event, Hop, LookupId, Outcome, QuestionId};
pub use node::{AskError, Busy, Node, Port, RestoreError, SAVE_MAX};
pub use stats::{Health, Stats, Status};
#[cfg(feature = "alloc")]
pub use storage::Heap;
pub use storage::Storage;

pub use crate::wire::krpc::Question;
