//! Where a node's rows live, and how many there are: the application's choice.
//!
//! [`storage!`](crate::storage) makes a type with everything inline, for programs without an
//! allocator; [`Heap`] (feature `alloc`) takes the same numbers at run time. Both run the same code.

use crate::contact::Family;
use crate::dht::node::{AskRow, Flight, QuestionRow, ReplyRow, SearchRow};
use crate::dht::event::Hop;
use crate::dht::shunned::Shun;
use crate::dht::budget::Source;
use crate::dht::store::PeerStore;
use crate::dht::table::{Routing, TableConfig};
use crate::id::Id;
use crate::list::List;
use crate::rows::Row;

/// Makes the empty lists that a node keeps its rows in, its routing table and its peer store.
pub trait Storage: Sized {
    /// The routing table: [`Table`](crate::dht::table::Table), or one's own policy.
    type Table: Routing;
    /// Peers that others announce: a bounded default, or the application's database.
    type Peers: PeerStore;
    /// Questions in flight.
    type InFlight: List<Flight>;
    /// Lookups.
    type Searches: List<Row<SearchRow<Self>>>;
    /// Bytes of packed peers of one lookup.
    type Found: List<u8>;
    /// The trace of one lookup.
    type Trace: List<Hop>;
    /// Single questions of the application.
    type Asks: List<Row<AskRow>>;
    /// Queries of foreign methods that wait for the application.
    type Questions: List<Row<QuestionRow>>;
    /// Replies to be sent.
    type Replies: List<ReplyRow>;
    /// Addresses left alone.
    type Shunned: List<Shun>;
    /// Sources whose questions are counted.
    type Sources: List<Source>;

    /// An empty routing table.
    fn table(&self, own: Id, config: TableConfig) -> Self::Table;
    /// An empty peer store for peers of one family.
    fn peers(&self, family: Family) -> Self::Peers;
    /// An empty list.
    fn in_flight(&self) -> Self::InFlight;
    /// An empty list.
    fn searches(&self) -> Self::Searches;
    /// An empty list.
    fn found(&self, family: Family) -> Self::Found;
    /// An empty list.
    fn trace(&self) -> Self::Trace;
    /// An empty list.
    fn asks(&self) -> Self::Asks;
    /// An empty list.
    fn questions(&self) -> Self::Questions;
    /// An empty list.
    fn replies(&self) -> Self::Replies;
    /// An empty list.
    fn shunned(&self) -> Self::Shunned;
    /// An empty list.
    fn sources(&self) -> Self::Sources;
}
