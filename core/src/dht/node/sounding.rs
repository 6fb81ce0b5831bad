//! A node that sounds how dense the network is, while somebody looks and nothing else tells it.

use heapless::Vec;
use rand_core::CryptoRng;

use crate::contact::Contact;
use crate::dht::node::Node;
use crate::dht::node::receive::own_nodes;
use crate::dht::node::rows::Flight;
use crate::dht::size::Density;
use crate::dht::soundings::Soundings;
use crate::dht::storage::Storage;
use crate::dht::table::{Quality, Routing};
use crate::id::Id;
use crate::limits::{K, SOUNDING_SHARES_MAX, SOUNDINGS_MAX};
use crate::time::Instant;
use crate::wire::krpc::Response;

impl<S: Storage, R: CryptoRng> Node<S, R> {
    pub(super) const CAN_SOUND: bool = S::CENSUS && SOUNDINGS_MAX != 0;

    /// How dense the network is around any point, as well as is known.
    pub(super) fn density(&self) -> Density {
        match self.census.density() {
            Density::UNKNOWN if Self::CAN_SOUND => self.soundings.density(),
            known => known,
        }
    }

    /// Whether it has to be asked how dense the network is.
    pub(super) fn sounds(&self) -> bool {
        Self::CAN_SOUND && self.config.diversity && !self.census.knows_density()
    }

    /// A lookup is to begin: what was sounded for earlier ones is old, and whoever has a table asks
    /// those of the half of the key space in which the target is not.
    pub(super) fn begin_sounding(&mut self, now: Instant, target: Id) {
        if !self.sounds() {
            return;
        }
        self.end_sounding();
        let mut opposite = target;
        opposite.0[0] ^= 0x80;
        let mut far = Vec::<Contact, { 2 * K }>::new();
        self.table.closest(now, opposite, Quality::Usable, &mut far);
        self.may_sound(now, target, &far, Soundings::ENOUGH);
    }

    /// Forgets what was sounded, if nobody looks.
    pub(super) fn end_sounding(&mut self) {
        if Self::CAN_SOUND && !self.is_searching() {
            self.soundings = Soundings::default();
        }
    }

    /// Of these nodes so many may be asked: such as are not near the target, and no places to begin,
    /// which tell of anybody.
    pub(super) fn may_sound(&mut self, now: Instant, target: Id, told: &[Contact], most: usize) {
        if !self.sounds() {
            return;
        }
        let is_fit = |contact: &&Contact| {
            contact.id.distance(target).leading_zeros() <= SOUNDING_SHARES_MAX
                && !self.silent.is_shunned(now, &contact.addr)
                && !self.bootstrap.sources().contains(&contact.addr)
        };
        for contact in told.iter().filter(is_fit).take(most) {
            self.soundings.offer(*contact);
        }
    }

    /// Whom to ask next for its neighbours. Also when it has become known how dense the network is: a
    /// lookup that waits for an answer is looked at again when it comes.
    pub(super) fn next_sounding(&mut self) -> Option<Contact> {
        if Self::CAN_SOUND && self.is_searching() { self.soundings.next() } else { None }
    }

    /// Somebody told of its own neighbours, or does not in time. Once by that it is known how dense
    /// the network is, lookups tell crowds.
    pub(super) fn sounded(&mut self, now: Instant, flight: &Flight, told: Option<&Response<'_>>) {
        let Some(id) = flight.id else { return };
        self.stirred = true;
        let before = self.soundings.density();
        match told.filter(|told| told.id() == Some(id)) {
            None => self.soundings.give_up(id),
            Some(told) => {
                let neighbours = own_nodes(self.config.family, told).map(|contact| contact.id);
                self.soundings.heard(id, neighbours);
            }
        }
        if self.soundings.density() != before {
            self.share_density(now);
        }
    }

    /// How dense the network is has become known: lookups under way tell crowds.
    pub(super) fn share_density(&mut self, now: Instant) {
        self.stirred = true;
        let density = self.density();
        for (_, search) in self.searches.iter_mut().filter(|(_, search)| !search.has_ended()) {
            search.lookup.set_density(density);
            if !search.lookup.is_crowded(density) {
                continue;
            }
            // The crowd may have pushed everybody else out of sight.
            let mut closest = Vec::<Contact, { 2 * K }>::new();
            self.table.closest(now, search.lookup.target(), Quality::Usable, &mut closest);
            for contact in &closest {
                search.lookup.add(*contact, false);
            }
        }
    }

    fn is_searching(&self) -> bool {
        self.searches.iter().any(|(_, search)| !search.has_ended())
    }
}
