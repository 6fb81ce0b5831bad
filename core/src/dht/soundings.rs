//! How dense the network is, before any lookup has ended to tell it.
//!
//! Whoever looks for the first time in his life cannot tell a crowd around his target from neighbours.
//! But those whom he hears of on his way, far from it, know their own neighbours well: so a few are
//! asked for these, one question each, while the lookup goes on. Nobody can be everywhere: who crowds a
//! target has no say in how dense it is elsewhere. It holds while somebody looks, no longer: a network
//! may be growing. Knows neither time nor messages.

use core::net::SocketAddr;

use heapless::Vec;

use crate::contact::{Contact, Network};
use crate::dht::lookup::Lookup;
use crate::dht::size::Density;
use crate::id::Id;
use crate::limits::{K, SOUNDINGS_MAX};
use crate::list::{List, Spare};

/// Whom to ask for its own neighbours, and how far away these were.
#[derive(Clone, Debug, Default)]
pub(super) struct Soundings {
    rows: Spare<Sounding, SOUNDINGS_MAX>,
}

#[derive(Clone, Copy, Debug)]
struct Sounding {
    contact: Contact,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// May be asked.
    Wanted,
    Asked,
    Silent,
    /// The first bits of the distance of its `K`th neighbour.
    Told(u32),
}

impl Soundings {
    /// Answers that are enough.
    pub(super) const ENOUGH: usize = 3;
    /// Answers that have to do where there are no others. So many that lie decide: that the network is
    /// denser, and then nobody is a crowd, or sparser, and then neighbours are.
    const LEAST: usize = 2;
    /// Of the nodes that one tells of, so many are looked at: some tell of twenty, in any order.
    const TOLD_MAX: usize = 20;

    /// Somebody can be asked for its neighbours: one of each network.
    pub(super) fn offer(&mut self, contact: Contact) {
        let network = Network::foreign(contact.addr.ip());
        let is_known = self.rows.iter().any(|row| {
            let of = Network::foreign(row.contact.addr.ip());
            row.contact.id == contact.id || network.is_some() && of == network
        });
        if !is_known {
            let _ = List::push(&mut self.rows, Sounding { contact, state: State::Wanted });
        }
    }

    /// An address is not to be asked any more.
    pub(super) fn forget(&mut self, addr: &SocketAddr) {
        let is_meant = |row: &Sounding| row.state == State::Wanted && row.contact.addr == *addr;
        List::retain(&mut self.rows, |row| !is_meant(row));
    }

    /// Whom to ask next for the nodes closest to its own id, if anybody: more than are enough only where
    /// somebody is silent.
    pub(super) fn next(&mut self) -> Option<Contact> {
        let under_way = self.told().len() + self.count(State::Asked);
        let next = self.rows.iter_mut().find(|row| row.state == State::Wanted)?;
        if under_way >= Self::ENOUGH {
            return None;
        }
        next.state = State::Asked;
        Some(next.contact)
    }

    /// Takes in the nodes that a node told of as closest to its own id.
    pub(super) fn heard(&mut self, id: Id, told: impl Iterator<Item = Id>) {
        let mut heads = Vec::<u32, { Self::TOLD_MAX }>::new();
        for neighbour in told.filter(|neighbour| *neighbour != id).take(Self::TOLD_MAX) {
            let _ = heads.push(neighbour.distance(id).head());
        }
        heads.sort_unstable();
        // Some count themselves. Whoever knows fewer knows all that there are, or next to nobody.
        let reach = heads.iter().take(K).nth_back(0).filter(|_| heads.len() + 1 >= K);
        self.settle(id, reach.map_or(State::Silent, |reach| State::Told(*reach)));
    }

    /// Somebody is not waited for any longer; his answer is welcome all the same.
    pub(super) fn give_up(&mut self, id: Id) {
        self.settle(id, State::Silent);
    }

    fn settle(&mut self, id: Id, state: State) {
        let row = self.rows.iter_mut().find(|row| row.contact.id == id);
        if let Some(row) = row.filter(|row| !matches!(row.state, State::Told(_))) {
            row.state = state;
        }
    }

    /// Whether answers are awaited by which those whom a lookup has found may turn out to be a crowd.
    pub(super) fn may_tell_a_crowd(&self, lookup: &Lookup) -> bool {
        let (told, awaited) = (self.told(), self.awaited());
        if told.len() >= Self::ENOUGH || awaited == 0 || told.len() + awaited < Self::LEAST {
            return false;
        }
        told.iter().max().is_none_or(|reach| lookup.is_crowded(Density::of(*reach)))
    }

    /// How dense the network is: the second smallest of three that told it; the smaller of two, if
    /// nobody else is awaited.
    pub(super) fn density(&self) -> Density {
        let mut reaches = self.told();
        reaches.sort_unstable();
        let reach = match reaches.len() {
            ..Self::LEAST => None,
            ..Self::ENOUGH if self.awaited() > 0 => None,
            len => reaches.get(len.min(Self::ENOUGH) - Self::LEAST),
        };
        reach.map_or(Density::UNKNOWN, |reach| Density::of(*reach))
    }

    fn awaited(&self) -> usize {
        self.count(State::Wanted) + self.count(State::Asked)
    }

    fn count(&self, state: State) -> usize {
        self.rows.iter().filter(|row| row.state == state).count()
    }

    fn told(&self) -> Vec<u32, SOUNDINGS_MAX, u8> {
        let mut told = Vec::new();
        for row in self.rows.iter() {
            if let State::Told(reach) = row.state {
                let _ = told.push(reach);
            }
        }
        told
    }
}
