//! A node as one of several of the same machine (BEP 45): which it is, how it stands, what the
//! others lend it. Decides nothing about them: [`Dual`](crate::dht::Dual) does.

use core::net::IpAddr;

use rand_core::CryptoRng;

use crate::contact::Contact;
use crate::dht::event::HomeId;
use crate::dht::node::Node;
use crate::dht::stats::Health;
use crate::dht::storage::Storage;
use crate::dht::table::Routing;
use crate::id::Id;
use crate::limits::K;
use crate::time::Instant;

/// How much a node is worth to a lookup, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// The network answers, and reaches it.
    Reachable,
    /// The network answers.
    Online,
    /// It knows whom to ask, and few have answered so far or lately.
    Beginning,
    /// Nobody answers.
    Away,
    /// There is nobody to ask.
    Alone,
}

impl Standing {
    pub(crate) const ALL: [Standing; 5] = [
        Standing::Reachable,
        Standing::Online,
        Standing::Beginning,
        Standing::Away,
        Standing::Alone,
    ];

    pub(crate) fn is_online(self) -> bool {
        self <= Standing::Online
    }
}

impl<S: Storage, R: CryptoRng> Node<S, R> {
    /// Which of the nodes of a machine it is.
    pub fn home(&self) -> HomeId {
        self.home
    }

    /// Becomes one of several, with this name and this id.
    pub(crate) fn move_in(&mut self, now: Instant, home: HomeId, id: Id) {
        self.home = home;
        if self.id != id {
            self.id = id;
            self.table.rebase(now, id);
        }
    }

    /// There are others of the same family, maybe behind the same address.
    pub(crate) fn set_one_of_many(&mut self) {
        self.is_one_of_many = true;
    }

    /// An id that fits an address (BEP 42). Of nodes behind the same address each takes another of
    /// the eight beginnings that there are.
    pub(super) fn id_for(&mut self, ip: IpAddr) -> Id {
        match self.is_one_of_many {
            true => Id::from_address_as(ip, self.home.number(), &mut self.random),
            false => Id::from_address(ip, &mut self.random),
        }
    }

    pub(crate) fn standing(&self) -> Standing {
        match self.bootstrap.health() {
            _ if !self.knows_somebody() => Standing::Alone,
            Health::Offline => Standing::Away,
            Health::Starting => Standing::Beginning,
            Health::Online if self.is_poor() || !self.bootstrap.is_hearing() => Standing::Beginning,
            Health::Online if self.reachable => Standing::Reachable,
            Health::Online => Standing::Online,
        }
    }

    /// Whether it knows less than a bucket's worth.
    pub(crate) fn is_poor(&self) -> bool {
        self.table.len() < K
    }

    /// Whether others are to lend it contacts: it is about to look for its place in the network, or
    /// knows nobody there.
    pub(crate) fn is_in_need(&self, now: Instant) -> bool {
        let begins = self.bootstrap.is_due(now) || self.table.is_empty();
        self.config.upkeep.bootstrap && begins && self.is_poor()
    }

    /// Whether a contact of another is of use.
    pub(crate) fn may_borrow(&self, now: Instant, contact: &Contact) -> bool {
        !self.silent.is_shunned(now, &contact.addr)
            && !self.blocked.is_shunned(now, &contact.addr)
            && self.table.wants(now, *contact)
    }

    /// Takes in contacts of others, to be asked before they are trusted. Returns whether any was
    /// new.
    pub(crate) fn borrow_contacts(&mut self, now: Instant, contacts: &[Contact]) -> bool {
        let before = self.table.len();
        for contact in contacts {
            self.table.restore(now, *contact);
        }
        let is_richer = self.table.len() > before;
        if is_richer && !self.bootstrap.is_due(now) {
            self.bootstrap.start_over();
        }
        is_richer
    }
}
