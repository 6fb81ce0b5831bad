//! A routing table of one's own: a policy wrapped around the default one, in a real node.

use std::net::SocketAddr;
use std::time::Duration;

use chacha20::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use tinybt_core::dht::budget::Source;
use tinybt_core::dht::items::ItemMap;
use tinybt_core::dht::node::{AskRow, Flight, QuestionRow, ReplyRow, SearchRow};
use tinybt_core::dht::shunned::Shun;
use tinybt_core::dht::store::PeerMap;
use tinybt_core::dht::table::{Counts, Entry, Proof, Quality, Routing, TableConfig, Upkeep};
use tinybt_core::dht::{Config, Heap, Hop, Node, Storage};
use tinybt_core::list::Bounded;
use tinybt_core::rows::Row;
use tinybt_core::{Contact, Family, Id, Instant};
use tinybt_tests::net::{Link, Network};
use tinybt_tests::nodes::{addr, id, small};

/// Keeps nodes with an even last byte of their address, and nobody else.
struct Even(<Heap as Storage>::Table);

fn is_even(contact: &Contact) -> bool {
    matches!(contact.addr, SocketAddr::V4(addr) if addr.ip().octets()[2].is_multiple_of(2))
}

impl Routing for Even {
    fn own(&self) -> Id {
        self.0.own()
    }
    fn rebase(&mut self, now: Instant, own: Id) {
        self.0.rebase(now, own);
    }
    fn answered(&mut self, now: Instant, contact: Contact, rtt: Duration, proof: Proof) -> bool {
        is_even(&contact) && self.0.answered(now, contact, rtt, proof)
    }
    fn asked_us(&mut self, now: Instant, contact: &Contact) -> bool {
        self.0.asked_us(now, contact)
    }
    fn silent(&mut self, now: Instant, addr: &SocketAddr) {
        self.0.silent(now, addr);
    }
    fn wants(&self, now: Instant, contact: Contact) -> bool {
        is_even(&contact) && self.0.wants(now, contact)
    }
    fn restore(&mut self, now: Instant, contact: Contact) {
        self.0.restore(now, contact);
    }
    fn remove(&mut self, addr: &SocketAddr) {
        self.0.remove(addr);
    }
    fn protect(&mut self, addr: &SocketAddr, protected: bool) {
        self.0.protect(addr, protected);
    }
    fn closest<const N: usize>(
        &self,
        now: Instant,
        target: Id,
        quality: Quality,
        found: &mut heapless::Vec<Contact, N>,
    ) {
        self.0.closest(now, target, quality, found);
    }
    fn upkeep(&mut self, now: Instant, random: &mut impl Rng) -> Option<Upkeep> {
        self.0.upkeep(now, random)
    }
    fn deadline(&self) -> Option<Instant> {
        self.0.deadline()
    }
    fn len(&self) -> usize {
        self.0.len()
    }
    fn counts(&self, now: Instant) -> Counts {
        self.0.counts(now)
    }
    fn for_each(&self, see: &mut dyn FnMut(&Entry)) {
        self.0.for_each(see);
    }
}

/// The heap's rows, with a table of our own.
struct Mine(Heap);

impl Storage for Mine {
    const GATHERED_MAX: usize = Heap::GATHERED_MAX;

    type Table = Even;
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

    fn table(&self, own: Id, config: TableConfig, family: Family) -> Even {
        Even(self.0.table(own, config, family))
    }
    fn peers(&self, family: Family) -> PeerMap {
        self.0.peers(family)
    }
    fn items(&self) -> ItemMap {
        self.0.items()
    }
    fn in_flight(&self) -> Self::InFlight {
        self.0.in_flight()
    }
    fn searches(&self) -> Self::Searches {
        Bounded::new(self.0.lookups)
    }
    fn found(&self, family: Family, least: usize) -> Self::Found {
        self.0.found(family, least)
    }
    fn trace(&self) -> Self::Trace {
        self.0.trace()
    }
    fn asks(&self) -> Self::Asks {
        self.0.asks()
    }
    fn questions(&self) -> Self::Questions {
        self.0.questions()
    }
    fn replies(&self) -> Self::Replies {
        self.0.replies()
    }
    fn shunned(&self) -> Self::Shunned {
        self.0.shunned()
    }
    fn sources(&self) -> Self::Sources {
        self.0.sources()
    }
}

#[test]
fn a_node_lives_with_a_table_of_ones_own() {
    let mut network: Network<Node<Mine, ChaCha8Rng>> = Network::new(31, Link::default());
    for index in 0..60 {
        let mut config = Config::private(Family::V4);
        config.id = Some(id(31, index));
        let random = ChaCha8Rng::seed_from_u64(index as u64);
        let mut node = Node::new(config, Mine(small()), random);
        if index > 0 {
            node.add_source(addr(0));
        }
        network.add(addr(index), node);
    }
    network.run_for(Duration::from_secs(600));
    let mut kept = 0;
    for index in 0..60 {
        network.machine(addr(index)).table().for_each(&mut |entry| {
            assert!(is_even(&entry.contact), "{entry:?}");
            kept += 1;
        });
    }
    assert!(kept >= 60 * 5, "{kept}");
}
