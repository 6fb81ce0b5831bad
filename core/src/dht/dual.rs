//! Both DHTs at once, over any number of local addresses: a node each, as one machine (BEP 32,
//! BEP 45).
//!
//! A *home* is a local address with the node that is there. To others the homes of a machine are
//! nodes that have nothing to do with each other: each has an id, a routing table, a peer store and a
//! secret for tokens of its own, asks and answers from its own address, and gives tokens back from
//! the address that got them. Their ids share no prefix of [`HOMES_PREFIX_MAX`] bits.
//!
//! To the application they are one. A lookup runs in one home of each family: of those over which the
//! network answers, one in turn, so that nobody is asked the same from all addresses at once. What
//! has to come from every address, an announce for one, is begun for each home with
//! [`Dual::announce_from`], at times of the application's choosing.
//!
//! They help each other into the network. While one family knows few nodes, the other asks for both
//! kinds and passes on what it is told; a home that looks for its place borrows contacts of the home
//! that knows most. A silence counts in the home that met with it and nowhere else. None starves
//! another: they send and report in turn.
//!
//! A socket for IPv6 is to be opened for IPv6 alone: what comes over IPv4 to one that takes both
//! is [`Ignored::Foreign`], unless the driver takes the address out of its IPv6 clothes
//! (`IpAddr::to_canonical`) and puts those of the IPv4 node's datagrams into them.
//!
//! Without an allocator there is one home of each family.

mod help;
mod home;

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use rand_core::CryptoRng;

use self::help::{exchange, lend, poorest};
pub use self::home::{Home, HomeError};
use self::home::{Homes, push};
use crate::contact::{Contact, Family};
use crate::dht::event::{AskId, Event, HomeId, Hop, LookupId, QuestionId};
use crate::dht::held::Copies;
use crate::dht::item::Item;
use crate::dht::node::{Announcement, AskError, Busy, Node, PutError, Sought, Standing};
use crate::dht::scraped::SwarmSize;
use crate::dht::size::{Census, NetworkSize};
use crate::dht::storage::Storage;
use crate::id::{Id, InfoHash};
use crate::limits::HOMES_PREFIX_MAX;
use crate::machine::{self, Buffer, Ignored, Machine, Step, Transmit, earliest};
use crate::time::Instant;
use crate::wire::krpc::{Message, Question};

/// A node for each local address, of both families. See the [module](self).
///
/// ```
/// use tinybt_core::dht::{Config, Dual, Node, Port};
/// use tinybt_core::{Family, InfoHash, Instant};
/// # use tinybt_core::dht::Storage;
/// # fn example<S: Storage, R: rand_core::CryptoRng>(
/// #     node: Node<S, R>, other: Node<S, R>, now: Instant, info_hash: InfoHash,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let mut dht = Dual::new(None, None);
/// dht.add(now, "192.0.2.1:6881".parse()?, node)?;
/// # #[cfg(feature = "alloc")]
/// dht.add(now, "192.0.2.2:6881".parse()?, other)?;
/// // Over one of the two:
/// let lookups = dht.get_peers(now, info_hash)?;
/// // Over a certain one:
/// let home = dht.homes().next().map(|home| home.id()).ok_or("nobody is at home")?;
/// let lookup = dht.announce_from(home, now, info_hash, Port::Implied)?;
/// assert_eq!(lookup.home(), home);
/// # Ok(())
/// # }
/// ```
pub struct Dual<S: Storage, R: CryptoRng> {
    v4: Homes<S, R>,
    v6: Homes<S, R>,
    /// Who is served first.
    turn: usize,
    /// Whose turn a lookup is.
    lookups: usize,
}

/// One thing of each family there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Pair<T> {
    /// IPv4's.
    pub v4: Option<T>,
    /// IPv6's.
    pub v6: Option<T>,
}

impl From<LookupId> for Pair<LookupId> {
    fn from(lookup: LookupId) -> Self {
        match lookup.family() {
            Family::V4 => Self { v4: Some(lookup), v6: None },
            Family::V6 => Self { v4: None, v6: Some(lookup) },
        }
    }
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
    /// A node for each family there is one socket for, wherever that is bound; none to begin
    /// with, if homes are to be [added](Dual::add).
    pub fn new(v4: Option<Node<S, R>>, v6: Option<Node<S, R>>) -> Self {
        let mut dual = Self { v4: Homes::new(), v6: Homes::new(), turn: 0, lookups: 0 };
        for (homes, node) in [(&mut dual.v4, v4), (&mut dual.v6, v6)] {
            // The first of its family has a place.
            let _ = node.map(|node| push(homes, Home::new(None, node)));
        }
        dual
    }

    /// Adds a home: `local` is what its socket is bound to, which datagrams are handed in with and
    /// [`Transmit::from`] names. The node gets an id far from those of the others, unless it has.
    ///
    /// # Errors
    ///
    /// [`HomeError`] says why there is none. The node is gone then.
    pub fn add(
        &mut self,
        now: Instant,
        local: SocketAddr,
        mut node: Node<S, R>,
    ) -> Result<HomeId, HomeError> {
        let family = Family::of(&local);
        if node.config().family != family {
            return Err(HomeError::Family);
        }
        let homes = self.of_mut(family);
        if homes.iter().any(|home| home.local() == Some(local)) {
            return Err(HomeError::Taken);
        }
        let number = u8::try_from(homes.len()).map_err(|_| HomeError::Full)?;
        let home = HomeId::new(family, number);
        let is_near = |id: Id| {
            let shared = |other: &Home<S, R>| id.distance(other.node().id()).leading_zeros();
            homes.iter().any(|other| shared(other) >= HOMES_PREFIX_MAX)
        };
        let id = node.id();
        // Each of the others is in the way of one number at most.
        let mut candidates = (0..=u8::MAX).map(|number| id.apart(number));
        node.move_in(now, home, candidates.find(|id| !is_near(*id)).unwrap_or(id));
        push(homes, Home::new(Some(local), node))?;
        if homes.len() > 1 {
            homes.iter_mut().for_each(|home| home.node_mut().set_one_of_many());
        }
        Ok(home)
    }

    /// All homes, IPv4's first.
    pub fn homes(&self) -> impl Iterator<Item = &Home<S, R>> {
        self.v4.iter().chain(self.v6.iter())
    }

    /// The home at a local address.
    pub fn home(&self, local: SocketAddr) -> Option<&Home<S, R>> {
        self.of(Family::of(&local)).iter().find(|home| home.local() == Some(local))
    }

    /// The first node of a family.
    pub fn node(&self, family: Family) -> Option<&Node<S, R>> {
        self.of(family).first().map(Home::node)
    }

    /// The same, to command it.
    pub fn node_mut(&mut self, family: Family) -> Option<&mut Node<S, R>> {
        self.of_mut(family).first_mut().map(Home::node_mut)
    }

    /// The node of a home.
    pub fn node_of(&self, home: HomeId) -> Option<&Node<S, R>> {
        self.of(home.family()).get(usize::from(home.number())).map(Home::node)
    }

    /// The same, to command it.
    pub fn node_of_mut(&mut self, home: HomeId) -> Option<&mut Node<S, R>> {
        let homes = self.of_mut(home.family());
        homes.get_mut(usize::from(home.number())).map(Home::node_mut)
    }

    /// Whether any home of a family has anybody to ask.
    pub fn knows_somebody(&self, family: Family) -> bool {
        self.of(family).iter().any(|home| home.node().knows_somebody())
    }

    fn of(&self, family: Family) -> &[Home<S, R>] {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    fn of_mut(&mut self, family: Family) -> &mut Homes<S, R> {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }

    fn nodes_for(&mut self, addr: &SocketAddr) -> impl Iterator<Item = &mut Node<S, R>> {
        self.of_mut(Family::of(addr)).iter_mut().map(Home::node_mut)
    }

    /// As [`Node::add_source`], in every home of its family.
    pub fn add_source(&mut self, addr: SocketAddr) -> bool {
        self.nodes_for(&addr).fold(false, |added, node| node.add_source(addr) | added)
    }

    /// As [`Node::add_node`], in the home of its family that knows fewest.
    pub fn add_node(&mut self, addr: SocketAddr) -> bool {
        poorest(self.of_mut(Family::of(&addr))).is_some_and(|node| node.add_node(addr))
    }

    /// As [`Node::block`], in every home of its family.
    pub fn block(&mut self, now: Instant, addr: SocketAddr, how_long: Duration) {
        self.nodes_for(&addr).for_each(|node| node.block(now, addr, how_long));
    }

    /// As [`Node::forgive`], in every home of its family.
    pub fn forgive(&mut self, addr: &SocketAddr) {
        self.nodes_for(addr).for_each(|node| node.forgive(addr));
    }

    /// As [`Node::protect`], in every home of its family.
    pub fn protect(&mut self, addr: &SocketAddr, protected: bool) {
        self.nodes_for(addr).for_each(|node| node.protect(addr, protected));
    }

    /// As [`Node::find_node`], in one home of each family; each lookup ends in an event of its own.
    ///
    /// # Errors
    ///
    /// [`Busy`] when no node has a row free.
    pub fn find_node(&mut self, now: Instant, target: Id) -> Result<Pair<LookupId>, Busy> {
        self.each(|node| node.find_node(now, target))
    }

    /// As [`Node::get_peers`], in one home of each family; each lookup ends in an event of its own.
    ///
    /// # Errors
    ///
    /// [`Busy`] when no node has a row free.
    pub fn get_peers(&mut self, now: Instant, info_hash: InfoHash) -> Result<Pair<LookupId>, Busy> {
        self.each(|node| node.get_peers(now, info_hash))
    }

    /// As [`Node::announce`], in one home of each family; each lookup ends in an event of its own.
    ///
    /// # Errors
    ///
    /// [`Busy`] when no node has a row free.
    pub fn announce(
        &mut self,
        now: Instant,
        info_hash: InfoHash,
        how: impl Into<Announcement>,
    ) -> Result<Pair<LookupId>, Busy> {
        let how = how.into();
        self.each(|node| node.announce(now, info_hash, how))
    }

    /// As [`Node::announce`], in a certain home. Whoever is to be told of on every address calls it
    /// for each, and not at once: the same nodes would be asked from all of them (BEP 45).
    ///
    /// # Errors
    ///
    /// [`Busy`] when there is no row free, or no such home.
    pub fn announce_from(
        &mut self,
        home: HomeId,
        now: Instant,
        info_hash: InfoHash,
        how: impl Into<Announcement>,
    ) -> Result<LookupId, Busy> {
        self.node_of_mut(home).ok_or(Busy)?.announce(now, info_hash, how)
    }

    /// Begins something in one home of a family: of those over which the network answers, and
    /// reaches us if there are such, the `turn`th in a circle; the next that has room. `None` if
    /// there are no homes.
    pub fn in_turn<T, E>(
        &mut self,
        family: Family,
        turn: usize,
        mut begin: impl FnMut(&mut Node<S, R>) -> Result<T, E>,
    ) -> Option<Result<T, E>> {
        let homes = self.of_mut(family);
        let mut last = None;
        for standing in Standing::ALL {
            if last.is_some() && !standing.is_online() {
                // Who has no room now is worth more than who has nobody that answers.
                break;
            }
            let equals = |home: &&mut Home<S, R>| home.node().standing() == standing;
            let count = homes.iter_mut().filter(equals).count();
            for step in 0..count {
                let place = (turn % count + step) % count;
                let home = homes.iter_mut().filter(equals).nth(place)?;
                match begin(home.node_mut()) {
                    Ok(begun) => return Some(Ok(begun)),
                    Err(error) => last = Some(Err(error)),
                }
            }
        }
        last
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
        self.node_of(lookup.home())?.item(lookup)
    }

    /// As [`Node::copies`].
    pub fn copies(&self, lookup: LookupId) -> Option<Copies> {
        self.node_of(lookup.home())?.copies(lookup)
    }

    /// As [`Node::swarm_size`].
    pub fn swarm_size(&self, lookup: LookupId) -> Option<SwarmSize> {
        self.node_of(lookup.home())?.swarm_size(lookup)
    }

    /// How large the network of a family is, judged by the lookups of all its homes.
    pub fn network_size(&self, family: Family) -> Option<NetworkSize> {
        let mut census = Census::default();
        let homes = self.homes().filter(|home| home.id().family() == family);
        homes.for_each(|home| census.merge(home.node().census()));
        census.size()
    }

    fn each<E: From<Busy>>(
        &mut self,
        mut start: impl FnMut(&mut Node<S, R>) -> Result<LookupId, E>,
    ) -> Result<Pair<LookupId>, E> {
        let turn = self.lookups;
        self.lookups = turn.wrapping_add(1);
        let v4 = self.in_turn(Family::V4, turn, &mut start);
        match (v4, self.in_turn(Family::V6, turn, start)) {
            (None | Some(Err(_)), Some(Ok(v6))) => Ok(Pair { v4: None, v6: Some(v6) }),
            (Some(Ok(v4)), v6) => Ok(Pair { v4: Some(v4), v6: v6.and_then(Result::ok) }),
            (Some(Err(error)), _) | (None, Some(Err(error))) => Err(error),
            (None, None) => Err(Busy.into()),
        }
    }

    /// As [`Node::cancel`].
    pub fn cancel(&mut self, now: Instant, lookup: LookupId) {
        if let Some(node) = self.node_of_mut(lookup.home()) {
            node.cancel(now, lookup);
        }
    }

    /// As [`Node::ask`], in one home of its family: always the same for one address, as long as
    /// that is well. What an answer's token is given back with goes
    /// [from the same](Dual::ask_from).
    ///
    /// # Errors
    ///
    /// [`AskError`] says why the question was not taken on.
    pub fn ask(&mut self, to: SocketAddr, question: &Question<'_>) -> Result<AskId, AskError> {
        let asked = self.in_turn(Family::of(&to), number(to), |node| node.ask(to, question));
        asked.unwrap_or(Err(AskError::Address))
    }

    /// As [`Node::ask`], in a certain home.
    ///
    /// # Errors
    ///
    /// [`AskError`] says why the question was not taken on.
    pub fn ask_from(
        &mut self,
        home: HomeId,
        to: SocketAddr,
        question: &Question<'_>,
    ) -> Result<AskId, AskError> {
        self.node_of_mut(home).ok_or(AskError::Address)?.ask(to, question)
    }

    /// As [`Node::withdraw`].
    pub fn withdraw(&mut self, ask: AskId) {
        if let Some(node) = self.node_of_mut(ask.home()) {
            node.withdraw(ask);
        }
    }

    /// As [`Node::answer`].
    pub fn answer(&self, ask: AskId) -> Option<Message<'_>> {
        self.node_of(ask.home())?.answer(ask)
    }

    /// As [`Node::answer_raw`].
    pub fn answer_raw(&self, ask: AskId) -> Option<&[u8]> {
        self.node_of(ask.home())?.answer_raw(ask)
    }

    /// As [`Node::closest`].
    pub fn closest(&self, lookup: LookupId) -> impl Iterator<Item = Contact> + '_ {
        self.node_of(lookup.home()).into_iter().flat_map(move |node| node.closest(lookup))
    }

    /// As [`Node::named`].
    pub fn named(&self, lookup: LookupId) -> impl Iterator<Item = (SocketAddr, u8)> + '_ {
        self.node_of(lookup.home()).into_iter().flat_map(move |node| node.named(lookup))
    }

    /// As [`Node::trace`].
    pub fn trace(&self, lookup: LookupId) -> &[Hop] {
        self.node_of(lookup.home()).map_or(&[], |node| node.trace(lookup))
    }

    /// As [`Node::question`].
    pub fn question(&self, question: QuestionId) -> Option<(SocketAddr, Message<'_>)> {
        self.node_of(question.home())?.question(question)
    }

    /// As [`Node::reply`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn reply(&mut self, question: QuestionId, dictionary: &[u8]) -> Result<(), AskError> {
        let node = self.node_of_mut(question.home()).ok_or(AskError::Address)?;
        node.reply(question, dictionary)
    }

    /// As [`Node::refuse`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn refuse(&mut self, question: QuestionId, code: i64, text: &str) -> Result<(), AskError> {
        let node = self.node_of_mut(question.home()).ok_or(AskError::Address)?;
        node.refuse(question, code, text)
    }

    /// Homes that know few are helped by those that know more. Returns whether there is something
    /// new to do.
    fn help_each_other(&mut self, now: Instant) -> bool {
        let (v4, v6) = (&mut self.v4, &mut self.v6);
        exchange(v4, v6) | exchange(v6, v4) | lend(now, v4) | lend(now, v6)
    }

    fn home_at(&mut self, local: SocketAddr, from: &SocketAddr) -> Option<&mut Home<S, R>> {
        let homes = self.of_mut(Family::of(from));
        if let [only] = &mut **homes
            && only.local().is_none()
        {
            return homes.first_mut();
        }
        let named = homes.iter().position(|home| home.local() == Some(local));
        let place = named.or_else(|| homes.iter().position(|home| home.local().is_none()))?;
        homes.get_mut(place)
    }

    /// How many homes there are, and the place of the first to be served.
    fn circle(&self) -> (usize, usize) {
        let count = self.v4.len() + self.v6.len();
        (count, if self.turn < count { self.turn } else { 0 })
    }

    /// What a home has to send, with the best table of the other family at hand.
    fn transmit(&mut self, now: Instant, place: usize, buffer: &mut Buffer) -> Option<Transmit> {
        let of_v4 = self.v4.len();
        let (homes, others, place) = match place.checked_sub(of_v4) {
            None => (&mut self.v4, &self.v6, place),
            Some(place) => (&mut self.v6, &self.v4, place),
        };
        let home = homes.get_mut(place).filter(|home| home.may_send(now))?;
        let other = match &**others {
            [one] => Some(one),
            several => several.iter().min_by_key(|home| home.node().standing()),
        };
        home.transmit(now, buffer, other.map(|home| home.node().table()))
    }
}

/// The next place in a circle: a division costs as much as a home that has nothing to do.
fn next(place: usize, count: usize) -> usize {
    if place + 1 < count { place + 1 } else { 0 }
}

/// A number for an address, to choose by.
fn number(addr: SocketAddr) -> usize {
    let bytes = |octets: &[u8]| octets.iter().map(|octet| usize::from(*octet)).sum::<usize>();
    let of_ip = match addr.ip() {
        IpAddr::V4(ip) => bytes(&ip.octets()),
        IpAddr::V6(ip) => bytes(&ip.octets()),
    };
    of_ip + usize::from(addr.port())
}

impl<S: Storage, R: CryptoRng> Machine for Dual<S, R> {
    type Event = Event;

    /// Over the one socket of its family; over the first where there are several.
    fn handle_datagram(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Ignored> {
        let home = self.of_mut(Family::of(&from)).first_mut().ok_or(Ignored::Foreign)?;
        home.handle_datagram(now, from, datagram)
    }

    fn handle_datagram_at(
        &mut self,
        now: Instant,
        local: SocketAddr,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Ignored> {
        let home = self.home_at(local, &from).ok_or(Ignored::Foreign)?;
        home.handle_datagram(now, from, datagram)
    }

    fn poll_transmit(&mut self, now: Instant, buffer: &mut Buffer) -> Option<Transmit> {
        self.turn = self.turn.wrapping_add(1);
        let (count, first) = self.circle();
        self.turn = first;
        let is_resting = self.homes().all(|home| home.is_resting(now));
        if !is_resting {
            self.help_each_other(now);
        }
        loop {
            let mut place = first;
            for _ in 0..count {
                let sent = self.transmit(now, place, buffer);
                if sent.is_some() {
                    return sent;
                }
                place = next(place, count);
            }
            // Time that passed for one may have left something to the others.
            if is_resting || !self.help_each_other(now) {
                return None;
            }
        }
    }

    fn poll_event(&mut self) -> Option<Event> {
        let (count, first) = self.circle();
        let of_v4 = self.v4.len();
        let mut place = first;
        for _ in 0..count {
            let home = match place.checked_sub(of_v4) {
                None => self.v4.get_mut(place),
                Some(place) => self.v6.get_mut(place),
            };
            if let Some(event) = home.and_then(Home::poll_event) {
                return Some(event);
            }
            place = next(place, count);
        }
        None
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let sooner = |next, home: &Home<S, R>| earliest(next, home.poll_timeout());
        let next = self.v4.iter().fold(None, sooner);
        self.v6.iter().fold(next, sooner)
    }

    fn step(&mut self, now: Instant, buffer: &mut Buffer) -> Step<Event> {
        let (mut is_calm, mut has_replies) = (true, false);
        for home in self.homes() {
            is_calm &= home.is_calm(now);
            has_replies |= home.node().has_replies();
        }
        if !is_calm {
            return machine::step(self, now, buffer);
        }
        // Of a server, nearly every step is one of these.
        let (count, mut place) = self.circle();
        for _ in 0..if has_replies { count } else { 0 } {
            let sent = self.transmit(now, place, buffer);
            place = next(place, count);
            if let Some(sent) = sent {
                self.turn = place;
                return Step::Send(sent);
            }
        }
        Step::Wait(self.poll_timeout())
    }
}
