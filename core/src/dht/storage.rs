//! Where a node's rows live, and how many there are: the application's choice.
//!
//! [`storage!`](crate::storage) makes a type with everything inline, for programs without an
//! allocator; [`Heap`] (feature `alloc`) takes the same numbers at run time. Both run the same code.

use crate::contact::Family;
use crate::dht::budget::Source;
use crate::dht::event::Hop;
use crate::dht::items::ItemStore;
use crate::dht::node::{AskRow, Flight, QuestionRow, ReplyRow, SearchRow};
use crate::dht::shunned::Shun;
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
    /// Items that others put: a bounded default, or the application's database.
    type Items: ItemStore;
    /// Questions in flight.
    type InFlight: List<Flight>;
    /// Lookups.
    type Searches: List<Row<SearchRow<Self>>>;
    /// Bytes that one lookup gathers: packed peers, filters (BEP 33) or an item (BEP 44).
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

    /// The most bytes that one lookup can gather. A scrape needs 576, an item 1,160; where there
    /// are fewer such lookups are refused, and their code is left out.
    const GATHERED_MAX: usize;
    /// Whether the size of the network is estimated from lookups: by it crowds around a target are
    /// told from neighbours. Where it is not, the code for it is left out.
    const CENSUS: bool = true;

    /// An empty routing table for nodes of one family.
    fn table(&self, own: Id, config: TableConfig, family: Family) -> Self::Table;
    /// An empty peer store for peers of one family.
    fn peers(&self, family: Family) -> Self::Peers;
    /// An empty item store.
    fn items(&self) -> Self::Items;
    /// An empty list.
    fn in_flight(&self) -> Self::InFlight;
    /// An empty list.
    fn searches(&self) -> Self::Searches;
    /// An empty list for the peers of a family; of `least` bytes, where that can be had.
    fn found(&self, family: Family, least: usize) -> Self::Found;
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

/// Makes a [`Storage`] with every row inline: for programs without an allocator.
///
/// ```
/// tinybt_core::storage! {
///     /// Room for a small node.
///     pub struct Small {
///         lookups: 2,
///         in_flight: 24,
///         asks: 1,
///         questions: 1,
///         replies: 4,
///         buckets: 16,
///         peers_per_lookup: 64,
///         hops: 0,
///         peers_stored: 64,
///         items: 4,
///         shunned: 16,
///         sources: 16,
///     }
/// }
/// ```
///
/// `lookups` includes the node's own when it bootstraps. `hops` are lines of each lookup's trace.
/// `peers_per_lookup` are of IPv4, 7 bytes each: 83 of them make room for a scrape (BEP 33), 166 for
/// an item (BEP 44).
/// With `scrapes: true` behind `peers_stored` the node also answers scrapes (BEP 33) and samples
/// (BEP 51), at the cost of the code for it.
/// With `census: false` behind `sources` the network's size is not estimated, and crowds around a
/// target are not told from neighbours.
/// `items` are those of others that are kept, 1,200 bytes each (BEP 44); with 0 nothing is left of
/// serving them.
#[macro_export]
macro_rules! storage {
    (
        $(#[$meta:meta])*
        $visibility:vis struct $name:ident {
            lookups: $lookups:expr,
            in_flight: $in_flight:expr,
            asks: $asks:expr,
            questions: $questions:expr,
            replies: $replies:expr,
            buckets: $buckets:expr,
            peers_per_lookup: $peers_per_lookup:expr,
            hops: $hops:expr,
            peers_stored: $peers_stored:expr,
            $(scrapes: $scrapes:expr,)?
            items: $items:expr,
            shunned: $shunned:expr,
            sources: $sources:expr
            $(, census: $census:expr)? $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default)]
        $visibility struct $name;

        impl $crate::dht::storage::Storage for $name {
            type Table = $crate::dht::table::Table<
                $crate::heapless::Vec<$crate::dht::table::Bucket, { $buckets }>,
            >;
            type Peers = $crate::dht::store::PeerRing<
                { $peers_stored },
                { [$($scrapes,)? false][0] },
            >;
            type Items = $crate::dht::items::ItemRing<{ $items }>;
            type InFlight = $crate::heapless::Vec<$crate::dht::node::Flight, { $in_flight }>;
            type Searches = $crate::heapless::Vec<
                $crate::rows::Row<$crate::dht::node::SearchRow<Self>>,
                { $lookups },
            >;
            // Bytes of the larger family, 18 a peer, or three IPv4 peers in the place of one.
            type Found = $crate::heapless::Vec<u8, { $peers_per_lookup * 7 }>;
            type Trace = $crate::heapless::Vec<$crate::dht::Hop, { $hops }>;
            type Asks =
                $crate::heapless::Vec<$crate::rows::Row<$crate::dht::node::AskRow>, { $asks }>;
            type Questions = $crate::heapless::Vec<
                $crate::rows::Row<$crate::dht::node::QuestionRow>,
                { $questions },
            >;
            type Replies = $crate::heapless::Vec<$crate::dht::node::ReplyRow, { $replies }>;
            type Shunned = $crate::heapless::Vec<$crate::dht::shunned::Shun, { $shunned }>;
            type Sources = $crate::heapless::Vec<$crate::dht::budget::Source, { $sources }>;

            const GATHERED_MAX: usize = $peers_per_lookup * 7;
            $(const CENSUS: bool = $census;)?

            fn table(
                &self,
                own: $crate::Id,
                config: $crate::dht::table::TableConfig,
                _family: $crate::Family,
            ) -> Self::Table {
                $crate::dht::table::Table::new(own, config, $crate::heapless::Vec::new())
            }
            fn peers(&self, _family: $crate::Family) -> Self::Peers {
                $crate::dht::store::PeerRing::new()
            }
            fn items(&self) -> Self::Items {
                $crate::dht::items::ItemRing::new()
            }
            fn in_flight(&self) -> Self::InFlight {
                $crate::heapless::Vec::new()
            }
            fn searches(&self) -> Self::Searches {
                $crate::heapless::Vec::new()
            }
            fn found(&self, _family: $crate::Family, _least: usize) -> Self::Found {
                $crate::heapless::Vec::new()
            }
            fn trace(&self) -> Self::Trace {
                $crate::heapless::Vec::new()
            }
            fn asks(&self) -> Self::Asks {
                $crate::heapless::Vec::new()
            }
            fn questions(&self) -> Self::Questions {
                $crate::heapless::Vec::new()
            }
            fn replies(&self) -> Self::Replies {
                $crate::heapless::Vec::new()
            }
            fn shunned(&self) -> Self::Shunned {
                $crate::heapless::Vec::new()
            }
            fn sources(&self) -> Self::Sources {
                $crate::heapless::Vec::new()
            }
        }
    };
}

#[cfg(feature = "alloc")]
pub use on_the_heap::Heap;

#[cfg(feature = "alloc")]
mod on_the_heap {
    use super::{Row, Storage};
    use crate::contact::Family;
    use crate::dht::budget::Source;
    use crate::dht::event::Hop;
    use crate::dht::items::{ItemMap, ItemMapLimits};
    use crate::dht::node::{AskRow, Flight, QuestionRow, ReplyRow, SearchRow};
    use crate::dht::shunned::Shun;
    use crate::dht::store::{PeerMap, PeerMapLimits};
    use crate::dht::table::{Packed, TableConfig};
    use crate::id::Id;
    use crate::list::Bounded;

    /// Rows on the heap: allocated as there is need for them. What a lookup takes is allocated when
    /// it begins and given back when none is left; other rows are kept, so that a node which has been
    /// as busy before allocates nothing.
    ///
    /// A row is free again at the poll after its last event, so that it can be read until then:
    /// whoever begins the next lookup or asks the next question while hearing of the end of another
    /// needs one row more than are under way at once.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Heap {
        /// Lookups at once, the node's own included.
        pub lookups: usize,
        /// Questions in flight.
        pub in_flight: usize,
        /// Single questions at once.
        pub asks: usize,
        /// Queries of foreign methods that wait for the application.
        pub questions: usize,
        /// Replies to be sent between two drains.
        pub replies: usize,
        /// Buckets of the routing table.
        pub buckets: usize,
        /// Peers of one lookup that are known again.
        pub peers_per_lookup: usize,
        /// Lines of each lookup's trace.
        pub hops: usize,
        /// Peers that others announce.
        pub peers_stored: PeerMapLimits,
        /// Items that others put.
        pub items_stored: ItemMapLimits,
        /// Addresses left alone.
        pub shunned: usize,
        /// Sources whose questions are counted.
        pub sources: usize,
    }

    impl Default for Heap {
        fn default() -> Self {
            Self {
                lookups: 64,
                in_flight: 512,
                asks: 32,
                questions: 8,
                replies: 16,
                buckets: 40,
                peers_per_lookup: 2_000,
                hops: 200,
                peers_stored: PeerMapLimits::default(),
                items_stored: ItemMapLimits::default(),
                shunned: 256,
                sources: 1_024,
            }
        }
    }

    impl Storage for Heap {
        type Table = Packed;
        type Peers = PeerMap;
        type Items = ItemMap;
        type InFlight = Bounded<Flight>;
        type Searches = Bounded<Row<SearchRow<Self>>>;
        type Found = Bounded<u8>;
        type Trace = Bounded<Hop>;
        type Asks = Bounded<Row<AskRow>>;
        type Questions = Bounded<Row<QuestionRow>>;
        type Replies = Bounded<ReplyRow>;
        type Shunned = Bounded<Shun>;
        type Sources = Bounded<Source>;

        const GATHERED_MAX: usize = usize::MAX;

        fn table(&self, own: Id, config: TableConfig, family: Family) -> Packed {
            Packed::new(own, config, family, self.buckets.max(1))
        }
        fn peers(&self, family: Family) -> PeerMap {
            PeerMap::new(family, self.peers_stored)
        }
        fn items(&self) -> ItemMap {
            ItemMap::new(self.items_stored)
        }
        fn in_flight(&self) -> Self::InFlight {
            Bounded::by_need(self.in_flight)
        }
        fn searches(&self) -> Self::Searches {
            Bounded::by_need(self.lookups)
        }
        fn found(&self, family: Family, least: usize) -> Self::Found {
            Bounded::new((self.peers_per_lookup * (family.peer_len() + 1)).max(least))
        }
        fn trace(&self) -> Self::Trace {
            Bounded::new(self.hops)
        }
        fn asks(&self) -> Self::Asks {
            Bounded::by_need(self.asks)
        }
        fn questions(&self) -> Self::Questions {
            Bounded::new(self.questions)
        }
        fn replies(&self) -> Self::Replies {
            Bounded::by_need(self.replies)
        }
        fn shunned(&self) -> Self::Shunned {
            Bounded::by_need(self.shunned)
        }
        fn sources(&self) -> Self::Sources {
            Bounded::by_need(self.sources)
        }
    }
}
