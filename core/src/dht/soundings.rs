//! How dense the network is, before any lookup has ended to tell it.
//!
//! Whoever looks for the first time in his life cannot tell a crowd around his target from neighbours.
//! But those whom he hears of on his way, far from it, know their own neighbours well: so a few are
//! asked for these, one question each, while the lookup goes on. Nobody can be everywhere: who crowds a
//! target has no say in how dense it is elsewhere. It holds while somebody looks, no longer: a network
//! may be growing. Knows neither time nor messages.

use heapless::Vec;

use crate::contact::Contact;
use crate::dht::lookup::Lookup;
use crate::dht::size::Density;
use crate::id::Id;
use crate::limits::{K, SOUNDINGS_MAX};
use crate::list::{List, Spare};

/// Whom to ask for its own neighbours, and how far away these were.
#[derive(Clone, Debug, Default)]
pub(super) struct Soundings {
    wanted: Spare<Contact, { Self::ENOUGH }>,
    asked: Spare<Sounding, SOUNDINGS_MAX>,
}

/// Somebody who was asked.
#[derive(Clone, Copy, Debug)]
struct Sounding {
    /// The first bits of its id.
    id: u32,
    reach: Reach,
}

#[derive(Clone, Copy, Debug)]
enum Reach {
    Awaited,
    Unknown,
    /// The first bits of the distance of its `K`th neighbour.
    Known(u32),
}

impl Sounding {
    fn is_awaited(&self) -> bool {
        matches!(self.reach, Reach::Awaited)
    }
}

impl Soundings {
    /// How many are asked that one answer names: who gave it may lie.
    pub(super) const AT_ONCE: usize = 2;
    /// Answers that are enough.
    const ENOUGH: usize = 3;
    /// Answers that have to do where there are no others. So many have to lie before neighbours are
    /// taken for a crowd.
    const LEAST: usize = 2;
    /// Of the nodes that one tells of, so many are looked at: some tell of twenty, in any order.
    const TOLD_MAX: usize = 20;

    /// Somebody was named who can be asked for its neighbours.
    pub(super) fn offer(&mut self, contact: Contact) {
        let is_known = self.asked.iter().any(|other| other.id == head(contact.id))
            || self.wanted.iter().any(|other| other.id == contact.id);
        if !is_known && self.asked.len() + self.wanted.len() < SOUNDINGS_MAX {
            let _ = List::push(&mut self.wanted, contact);
        }
    }

    /// Whom to ask next for the nodes closest to its own id, if anybody: more than are enough only where
    /// somebody is silent.
    pub(super) fn next(&mut self) -> Option<Contact> {
        if self.known().len() + self.asked.iter().filter(|asked| asked.is_awaited()).count()
            >= Self::ENOUGH
        {
            return None;
        }
        let next = List::remove(&mut self.wanted, 0)?;
        let _ = List::push(&mut self.asked, Sounding { id: head(next.id), reach: Reach::Awaited });
        Some(next)
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
        self.settle(id, reach.map_or(Reach::Unknown, |reach| Reach::Known(*reach)));
    }

    /// Somebody is not waited for any longer; his answer is welcome all the same.
    pub(super) fn give_up(&mut self, id: Id) {
        self.settle(id, Reach::Unknown);
    }

    fn settle(&mut self, id: Id, reach: Reach) {
        let asked = self.asked.iter_mut().find(|asked| asked.id == head(id));
        if let Some(asked) = asked.filter(|asked| !matches!(asked.reach, Reach::Known(_))) {
            asked.reach = reach;
        }
    }

    /// Whether answers are awaited by which those whom a lookup has found may turn out to be a crowd.
    pub(super) fn may_tell_a_crowd(&self, lookup: &Lookup) -> bool {
        let (known, awaited) = (self.known(), self.awaited());
        if known.len() >= Self::ENOUGH || awaited == 0 || known.len() + awaited < Self::LEAST {
            return false;
        }
        known.iter().max().is_none_or(|reach| lookup.is_crowded(Density::of(*reach)))
    }

    /// How dense the network is: the second smallest of three that told it; the smaller of two, if
    /// nobody else is awaited.
    pub(super) fn density(&self) -> Density {
        let mut reaches = self.known();
        reaches.sort_unstable();
        let reach = match reaches.len() {
            ..Self::LEAST => None,
            ..Self::ENOUGH if self.awaited() > 0 => None,
            len => reaches.get(len.min(Self::ENOUGH) - Self::LEAST),
        };
        reach.map_or(Density::UNKNOWN, |reach| Density::of(*reach))
    }

    fn awaited(&self) -> usize {
        self.wanted.len() + self.asked.iter().filter(|asked| asked.is_awaited()).count()
    }

    fn known(&self) -> Vec<u32, SOUNDINGS_MAX, u8> {
        let mut known = Vec::new();
        for asked in self.asked.iter() {
            if let Reach::Known(reach) = asked.reach {
                let _ = known.push(reach);
            }
        }
        known
    }
}

fn head(id: Id) -> u32 {
    id.distance(Id([0; 20])).head()
}
