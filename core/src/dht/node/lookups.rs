//! Commands: lookups, and what they gather or store.

use core::fmt;

use heapless::Vec;
use rand_core::CryptoRng;

use crate::contact::Contact;
use crate::dht::event::LookupId;
use crate::dht::found::Found;
use crate::dht::held::Held;
use crate::dht::item::{Item, ItemError, mutable_target};
use crate::dht::lookup::Lookup;
use crate::dht::node::search::{Gathered, Goal, SearchRow};
use crate::dht::node::{Busy, Node, Port};
use crate::dht::scraped::Scraped;
use crate::dht::stats::Health;
use crate::dht::storage::Storage;
use crate::dht::table::{Quality, Routing};
use crate::id::{Id, InfoHash};
use crate::limits::{ITEM_GATHERED, K, SCRAPE_GATHERED};
use crate::time::Instant;

/// How a peer announces itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Where it listens.
    pub port: Port,
    /// Whether it has everything: then scrapes count it among the seeds, and other seeds are not
    /// looked for (BEP 33).
    pub seed: bool,
}

impl From<Port> for Announcement {
    /// Of a peer that lacks something.
    fn from(port: Port) -> Self {
        Self { port, seed: false }
    }
}

/// An item that is looked for (BEP 44).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sought<'a> {
    /// Where it is kept.
    pub target: Id,
    /// The salt that is part of the target, of 64 bytes at most; empty if there is none.
    pub salt: &'a [u8],
    /// Only if its sequence number is above this one: for those who have an older version.
    pub newer_than: Option<i64>,
}

impl<'a> Sought<'a> {
    /// What stands under a target: an immutable item, or the mutable one of a key without salt.
    pub const fn at(target: Id) -> Self {
        Self { target, salt: &[], newer_than: None }
    }

    /// The newest item of a key.
    pub fn of_key(key: &[u8; 32], salt: &'a [u8]) -> Self {
        Self { target: mutable_target(key, salt), salt, newer_than: None }
    }
}

/// Why no lookup began that was to store or find an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PutError {
    /// All rows are taken, or they have no room for a value of 1,000 bytes.
    Busy,
    /// Nobody would store such an item.
    Item(ItemError),
}

impl fmt::Display for PutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PutError::Busy => Busy.fmt(f),
            PutError::Item(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for PutError {}

impl From<Busy> for PutError {
    fn from(_: Busy) -> Self {
        PutError::Busy
    }
}

impl From<ItemError> for PutError {
    fn from(error: ItemError) -> Self {
        PutError::Item(error)
    }
}

impl<S: Storage, R: CryptoRng> Node<S, R> {
    /// Looks for the nodes closest to `target`.
    ///
    /// # Errors
    ///
    /// [`Busy`] when all rows are taken.
    pub fn find_node(&mut self, now: Instant, target: Id) -> Result<LookupId, Busy> {
        self.search(now, target, Goal::Nodes)
    }

    /// Looks for the peers of a swarm.
    ///
    /// # Errors
    ///
    /// [`Busy`] when all rows are taken.
    pub fn get_peers(&mut self, now: Instant, info_hash: InfoHash) -> Result<LookupId, Busy> {
        self.search(now, info_hash.as_id(), Goal::Peers { no_seed: false })
    }

    /// Looks for the peers of a swarm that lack something, as far as nodes tell them apart (BEP 33):
    /// what a seed is interested in.
    ///
    /// # Errors
    ///
    /// [`Busy`] when all rows are taken.
    pub fn get_downloaders(&mut self, now: Instant, info_hash: InfoHash) -> Result<LookupId, Busy> {
        self.search(now, info_hash.as_id(), Goal::Peers { no_seed: true })
    }

    /// Looks for the peers of a swarm, then tells the closest nodes that we are one of them.
    ///
    /// # Errors
    ///
    /// [`Busy`] when all rows are taken.
    pub fn announce(
        &mut self,
        now: Instant,
        info_hash: InfoHash,
        how: impl Into<Announcement>,
    ) -> Result<LookupId, Busy> {
        self.search(now, info_hash.as_id(), Goal::Announce(how.into()))
    }

    /// Counts the peers of a swarm (BEP 33): [`Node::swarm_size`] has what is known of it, while the
    /// lookup lives and when it has ended.
    ///
    /// # Errors
    ///
    /// [`Busy`] when all rows are taken, or have no room for two filters.
    pub fn scrape(&mut self, now: Instant, info_hash: InfoHash) -> Result<LookupId, Busy> {
        self.search(now, info_hash.as_id(), Goal::Scrape)
    }

    /// Looks for an item (BEP 44): [`Event::Item`](crate::dht::Event::Item) tells of one, and of each
    /// that is newer.
    ///
    /// # Errors
    ///
    /// [`PutError::Busy`] when all rows are taken, [`PutError::Item`] if the salt is too long.
    pub fn get(&mut self, now: Instant, sought: &Sought<'_>) -> Result<LookupId, PutError> {
        let room = self.room_for_an_item()?;
        let held = Held::wanted(sought.salt, sought.newer_than, room);
        let held = held.ok_or(ItemError::SaltTooBig)?;
        Ok(self.look(now, sought.target, Goal::Get, Gathered::Item(held))?)
    }

    /// Stores an item at the closest nodes (BEP 44), unless a newer one is found on the way.
    ///
    /// `cas`: only where this is the sequence number of what is stored, or nothing is.
    ///
    /// # Errors
    ///
    /// [`PutError::Busy`] when all rows are taken, [`PutError::Item`] if nobody would store it.
    pub fn put(
        &mut self,
        now: Instant,
        item: &Item<'_>,
        cas: Option<i64>,
    ) -> Result<LookupId, PutError> {
        // Without the feature those who are to store it will tell.
        if cfg!(feature = "ed25519") { item.check() } else { item.check_form() }?;
        let held = Held::ours(item, cas, self.room_for_an_item()?).ok_or(Busy)?;
        Ok(self.look(now, item.target(), Goal::Put, Gathered::Item(held))?)
    }

    /// Ends a lookup early: its [`Event::Finished`](crate::dht::Event::Finished) says that it was
    /// cancelled. Nothing happens if it is over already.
    pub fn cancel(&mut self, now: Instant, lookup: LookupId) {
        if !self.is_mine(lookup.home) {
            return;
        }
        if let Some(search) = self.searches.get_mut(lookup.row) {
            search.cancel(now);
            self.untold = true;
        }
    }

    fn room_for_an_item(&self) -> Result<S::Found, Busy> {
        if S::GATHERED_MAX < ITEM_GATHERED || self.searches.is_full() {
            return Err(Busy);
        }
        Ok(self.storage.found(self.config.family, ITEM_GATHERED))
    }

    pub(super) fn search(
        &mut self,
        now: Instant,
        target: Id,
        goal: Goal,
    ) -> Result<LookupId, Busy> {
        if self.searches.is_full() {
            return Err(Busy);
        }
        let family = self.config.family;
        let gathered = match goal {
            Goal::Scrape if S::GATHERED_MAX < SCRAPE_GATHERED => return Err(Busy),
            Goal::Scrape => {
                let bytes = self.storage.found(family, SCRAPE_GATHERED);
                Gathered::Filters(Scraped::new(family, bytes).ok_or(Busy)?)
            }
            _ => Gathered::Peers(Found::new(family, self.storage.found(family, 0))),
        };
        self.look(now, target, goal, gathered)
    }

    fn look(
        &mut self,
        now: Instant,
        target: Id,
        goal: Goal,
        gathered: Gathered<S::Found>,
    ) -> Result<LookupId, Busy> {
        let mut closest = Vec::<Contact, { 2 * K }>::new();
        self.table.closest(now, target, Quality::Usable, &mut closest);
        let width = match closest.len() {
            0..K => self.config.parallel,
            _ => self.config.parallel / 3,
        };
        let mut lookup = Lookup::new(target, width, self.config.diversity);
        lookup.set_paths(self.config.paths);
        if S::CENSUS && self.config.diversity {
            self.begin_sounding(now, target);
            lookup.set_density(self.density());
        }
        for contact in &closest {
            lookup.add(*contact, false);
        }
        // An outage may have outlived everybody we knew, and blames nobody for it.
        if closest.len() < K || self.bootstrap.health() != Health::Online {
            self.seed(now, target, &mut lookup);
        }
        let search = SearchRow::new(now, lookup, goal, gathered, self.storage.trace());
        let row = self.searches.insert(search).map_err(|_| Busy)?;
        // As many as are asked side by side, or near the target, and as many again that are late.
        self.queries.make_room(2 * usize::from(self.config.parallel).max(K + 2));
        self.stats.lookups += 1;
        self.stirred = true;
        Ok(LookupId { home: self.home, row })
    }

    /// Addresses to begin with: different ones for different lookups, where there are many.
    fn seed(&self, now: Instant, target: Id, lookup: &mut Lookup) {
        let sources = self.bootstrap.sources();
        let first = target.0.last().copied().map_or(0, usize::from) % sources.len().max(1);
        for source in sources.iter().cycle().skip(first).take(sources.len()) {
            if !self.blocked.is_shunned(now, source) {
                lookup.seed(*source);
            }
        }
    }
}
