//! Both DHTs at once: a node for IPv4 and one for IPv6, as one machine (BEP 32).
//!
//! They share nothing but what each hears of the other's family: while one knows few nodes, the
//! other asks for both kinds, and passes on what it is told. Neither starves the other: they send
//! and report in turn.
//!
//! One socket each, that for IPv6 opened for IPv6 alone: what comes over IPv4 to one that takes both
//! is [`Ignored::Foreign`], unless the driver takes the address out of its IPv6 clothes
//! (`IpAddr::to_canonical`) and puts those of the IPv4 node's datagrams into them.

use core::net::SocketAddr;
use core::time::Duration;

use rand_core::CryptoRng;

use crate::contact::{Contact, Family};
use crate::dht::event::{AskId, Event, Hop, LookupId, QuestionId};
use crate::dht::held::Copies;
use crate::dht::item::Item;
use crate::dht::node::{Announcement, AskError, Busy, Node, PutError, Sought};
use crate::dht::scraped::SwarmSize;
use crate::dht::storage::Storage;
use crate::dht::table::Routing;
use crate::id::{Id, InfoHash};
use crate::limits::K;
use crate::machine::{Buffer, Ignored, Machine, Transmit, earliest};
use crate::time::Instant;
use crate::wire::krpc::{Message, Question};

/// A node for each address family there is.
pub struct Dual<S: Storage, R: CryptoRng> {
    v4: Option<Node<S, R>>,
    v6: Option<Node<S, R>>,
    /// Which of the two is served first.
    v6_first: bool,
}

/// One thing of each family there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Pair<T> {
    /// IPv4's.
    pub v4: Option<T>,
    /// IPv6's.
    pub v6: Option<T>,
}

impl<T: Copy + PartialEq> Pair<T> {
    /// Whether it is one of the two.
    pub fn contains(&self, one: T) -> bool {
        self.v4 == Some(one) || self.v6 == Some(one)
    }

    /// Those that there are.
    pub fn iter(&self) -> impl Iterator<Item = T> {
        [self.v4, self.v6].into_iter().flatten()
    }
}

impl<S: Storage, R: CryptoRng> Dual<S, R> {
    /// A pair, or one of the two.
    pub fn new(v4: Option<Node<S, R>>, v6: Option<Node<S, R>>) -> Self {
        Self { v4, v6, v6_first: false }
    }

    /// The node of a family.
    pub fn node(&self, family: Family) -> Option<&Node<S, R>> {
        match family {
            Family::V4 => self.v4.as_ref(),
            Family::V6 => self.v6.as_ref(),
        }
    }

    /// The same, to command it.
    pub fn node_mut(&mut self, family: Family) -> Option<&mut Node<S, R>> {
        match family {
            Family::V4 => self.v4.as_mut(),
            Family::V6 => self.v6.as_mut(),
        }
    }

    fn node_for(&mut self, addr: &SocketAddr) -> Option<&mut Node<S, R>> {
        self.node_mut(Family::of(addr))
    }

    /// As [`Node::add_source`].
    pub fn add_source(&mut self, addr: SocketAddr) -> bool {
        self.node_for(&addr).is_some_and(|node| node.add_source(addr))
    }

    /// As [`Node::add_node`].
    pub fn add_node(&mut self, addr: SocketAddr) -> bool {
        self.node_for(&addr).is_some_and(|node| node.add_node(addr))
    }

    /// As [`Node::block`].
    pub fn block(&mut self, now: Instant, addr: SocketAddr, how_long: Duration) {
        if let Some(node) = self.node_for(&addr) {
            node.block(now, addr, how_long);
        }
    }

    /// As [`Node::forgive`].
    pub fn forgive(&mut self, addr: &SocketAddr) {
        if let Some(node) = self.node_for(addr) {
            node.forgive(addr);
        }
    }

    /// As [`Node::protect`].
    pub fn protect(&mut self, addr: &SocketAddr, protected: bool) {
        if let Some(node) = self.node_for(addr) {
            node.protect(addr, protected);
        }
    }

    /// As [`Node::find_node`], in each family; each lookup ends in an event of its own.
    ///
    /// # Errors
    ///
    /// [`Busy`] when neither node has a row free.
    pub fn find_node(&mut self, now: Instant, target: Id) -> Result<Pair<LookupId>, Busy> {
        self.each(|node| node.find_node(now, target))
    }

    /// As [`Node::get_peers`], in each family; each lookup ends in an event of its own.
    ///
    /// # Errors
    ///
    /// [`Busy`] when neither node has a row free.
    pub fn get_peers(&mut self, now: Instant, info_hash: InfoHash) -> Result<Pair<LookupId>, Busy> {
        self.each(|node| node.get_peers(now, info_hash))
    }

    /// As [`Node::announce`], in each family; each lookup ends in an event of its own.
    ///
    /// # Errors
    ///
    /// [`Busy`] when neither node has a row free.
    pub fn announce(
        &mut self,
        now: Instant,
        info_hash: InfoHash,
        how: impl Into<Announcement>,
    ) -> Result<Pair<LookupId>, Busy> {
        let how = how.into();
        self.each(|node| node.announce(now, info_hash, how))
    }

    /// As [`Node::get_downloaders`], in each family.
    ///
    /// # Errors
    ///
    /// [`Busy`] when neither node has a row free.
    pub fn get_downloaders(
        &mut self,
        now: Instant,
        info_hash: InfoHash,
    ) -> Result<Pair<LookupId>, Busy> {
        self.each(|node| node.get_downloaders(now, info_hash))
    }

    /// As [`Node::scrape`], in each family; the two swarms are counted apart.
    ///
    /// # Errors
    ///
    /// [`Busy`] when neither node has a row free.
    pub fn scrape(&mut self, now: Instant, info_hash: InfoHash) -> Result<Pair<LookupId>, Busy> {
        self.each(|node| node.scrape(now, info_hash))
    }

    /// As [`Node::get`], in each family: the two networks keep items apart.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn get(&mut self, now: Instant, sought: &Sought<'_>) -> Result<Pair<LookupId>, PutError> {
        self.each(|node| node.get(now, sought))
    }

    /// As [`Node::put`], in each family.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn put(
        &mut self,
        now: Instant,
        item: &Item<'_>,
        cas: Option<i64>,
    ) -> Result<Pair<LookupId>, PutError> {
        self.each(|node| node.put(now, item, cas))
    }

    /// As [`Node::item`].
    pub fn item(&self, lookup: LookupId) -> Option<Item<'_>> {
        self.node(lookup.family())?.item(lookup)
    }

    /// As [`Node::copies`].
    pub fn copies(&self, lookup: LookupId) -> Option<Copies> {
        self.node(lookup.family())?.copies(lookup)
    }

    /// As [`Node::swarm_size`].
    pub fn swarm_size(&self, lookup: LookupId) -> Option<SwarmSize> {
        self.node(lookup.family())?.swarm_size(lookup)
    }

    fn each<E: From<Busy>>(
        &mut self,
        mut start: impl FnMut(&mut Node<S, R>) -> Result<LookupId, E>,
    ) -> Result<Pair<LookupId>, E> {
        let v4 = self.v4.as_mut().map(&mut start);
        match (v4, self.v6.as_mut().map(start)) {
            (None | Some(Err(_)), Some(Ok(v6))) => Ok(Pair { v4: None, v6: Some(v6) }),
            (Some(Ok(v4)), v6) => Ok(Pair { v4: Some(v4), v6: v6.and_then(Result::ok) }),
            (Some(Err(error)), _) | (None, Some(Err(error))) => Err(error),
            (None, None) => Err(Busy.into()),
        }
    }

    /// As [`Node::cancel`].
    pub fn cancel(&mut self, now: Instant, lookup: LookupId) {
        if let Some(node) = self.node_mut(lookup.family()) {
            node.cancel(now, lookup);
        }
    }

    /// As [`Node::ask`].
    ///
    /// # Errors
    ///
    /// [`AskError`] says why the question was not taken on.
    pub fn ask(&mut self, to: SocketAddr, question: &Question<'_>) -> Result<AskId, AskError> {
        self.node_for(&to).ok_or(AskError::Address)?.ask(to, question)
    }

    /// As [`Node::withdraw`].
    pub fn withdraw(&mut self, ask: AskId) {
        if let Some(node) = self.node_mut(ask.family()) {
            node.withdraw(ask);
        }
    }

    /// As [`Node::answer`].
    pub fn answer(&self, ask: AskId) -> Option<Message<'_>> {
        self.node(ask.family())?.answer(ask)
    }

    /// As [`Node::answer_raw`].
    pub fn answer_raw(&self, ask: AskId) -> Option<&[u8]> {
        self.node(ask.family())?.answer_raw(ask)
    }

    /// As [`Node::closest`].
    pub fn closest(&self, lookup: LookupId) -> impl Iterator<Item = Contact> + '_ {
        self.node(lookup.family()).into_iter().flat_map(move |node| node.closest(lookup))
    }

    /// As [`Node::trace`].
    pub fn trace(&self, lookup: LookupId) -> &[Hop] {
        self.node(lookup.family()).map_or(&[], |node| node.trace(lookup))
    }

    /// As [`Node::question`].
    pub fn question(&self, question: QuestionId) -> Option<(SocketAddr, Message<'_>)> {
        self.node(question.family())?.question(question)
    }

    /// As [`Node::reply`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn reply(&mut self, question: QuestionId, dictionary: &[u8]) -> Result<(), AskError> {
        let node = self.node_mut(question.family()).ok_or(AskError::Address)?;
        node.reply(question, dictionary)
    }

    /// As [`Node::refuse`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn refuse(&mut self, question: QuestionId, code: i64, text: &str) -> Result<(), AskError> {
        let node = self.node_mut(question.family()).ok_or(AskError::Address)?;
        node.refuse(question, code, text)
    }

    /// Each asks for nodes of both families while the other knows too few (BEP 32).
    fn help_each_other(&mut self) {
        let (Some(v4), Some(v6)) = (&mut self.v4, &mut self.v6) else { return };
        let poor = |node: &Node<S, R>| node.table().len() < K;
        let (v4_poor, v6_poor) = (poor(v4), poor(v6));
        v4.set_want_both(v6_poor);
        v6.set_want_both(v4_poor);
        while let Some(addr) = v4.poll_leaked() {
            v6.add_node(addr);
        }
        while let Some(addr) = v6.poll_leaked() {
            v4.add_node(addr);
        }
    }
}

impl<S: Storage, R: CryptoRng> Machine for Dual<S, R> {
    type Event = Event;

    fn handle_datagram(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Ignored> {
        let node = self.node_for(&from).ok_or(Ignored::Foreign)?;
        node.handle_datagram(now, from, datagram)
    }

    fn poll_transmit(&mut self, now: Instant, buffer: &mut Buffer) -> Option<Transmit> {
        self.help_each_other();
        self.v6_first = !self.v6_first;
        for v6 in [self.v6_first, !self.v6_first] {
            let (node, other) = match (&mut self.v4, &mut self.v6) {
                (Some(node), other) if !v6 => (node, other),
                (other, Some(node)) if v6 => (node, other),
                _ => continue,
            };
            let other = other.as_ref().map(|other| other.table());
            if let Some(transmit) = node.transmit(now, buffer, other) {
                return Some(transmit);
            }
        }
        None
    }

    fn poll_event(&mut self) -> Option<Event> {
        let first = if self.v6_first { Family::V6 } else { Family::V4 };
        for family in [first, first.other()] {
            if let Some(event) = self.node_mut(family).and_then(Node::poll_event) {
                return Some(event);
            }
        }
        None
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let v4 = self.v4.as_ref().and_then(Node::poll_timeout);
        earliest(v4, self.v6.as_ref().and_then(Node::poll_timeout))
    }
}
