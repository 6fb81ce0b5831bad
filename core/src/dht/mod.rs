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
pub mod held;
pub mod item;
pub mod items;
pub mod lookup;
pub mod node;
pub mod queries;
mod respond;
pub mod schedule;
pub mod scraped;
pub mod shunned;
pub mod signing;
pub mod size;
mod soundings;
pub mod stats;
pub mod storage;
pub mod store;
pub mod table;
pub mod token;

pub use crate::budget::Rate;
pub use config::{AddressCheck, Config, Upkeep};
pub use dual::{Dual, Home, HomeError, Pair};
pub use event::{AskId, End, Event, HomeId, Hop, LookupId, Outcome, QuestionId};
pub use held::Copies;
pub use node::{
    Announcement, AskError, Busy, Node, Port, PutError, RestoreError, SAVE_MAX, Sought,
};
pub use scraped::SwarmSize;
pub use size::NetworkSize;
pub use stats::{Health, Stats, Status};
#[cfg(feature = "alloc")]
pub use storage::Heap;
pub use storage::Storage;

pub use crate::wire::krpc::Question;
