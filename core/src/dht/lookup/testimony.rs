//! What answers say of those who are in them, and of those who are not.

use core::net::SocketAddr;

use crate::contact::Contact;
use crate::dht::lookup::Lookup;

/// What those say of a candidate who have answered, each once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Testimony {
    /// How many told of all that they know where it is.
    pub witnesses: u8,
    /// What speaks for it. Whoever names it adds [`Testimony::NAMED`]; whoever left it out takes
    /// [`Testimony::OVERLOOKED`] away if he told of all that he knows there, and
    /// [`Testimony::MISSED`] if he may have had no room for it.
    pub balance: i8,
}

impl Testimony {
    /// A unit of the odds that a candidate lives: a factor of 1.45.
    pub const NAMED: i8 = 1;
    /// A living node is in nearly all of the buckets that have room for it, a dead one in some.
    pub const OVERLOOKED: i8 = 4;
    /// It may have been there first or not.
    pub const MISSED: i8 = 1;

    /// `silence`: what it takes away not to be named.
    fn take(&mut self, is_named: bool, silence: i8) {
        let is_witness = silence == Self::OVERLOOKED;
        self.witnesses = self.witnesses.saturating_add(is_witness.into());
        self.balance = self.balance.saturating_add(if is_named { Self::NAMED } else { -silence });
    }
}

impl Lookup {
    /// A candidate told of these nodes, which were added before: who is among them and who is not.
    pub fn testified(&mut self, addr: &SocketAddr, told: &[Contact]) {
        let target = self.target;
        let head = |contact: &Contact| contact.id.distance(target).head();
        let reach = told.iter().map(head).max().map_or(0, |reach| reach.max(1));
        let Some(witness) = self.candidate_at(addr) else { return };
        // Whoever was asked twice may answer twice.
        if witness.reach != 0 {
            return;
        }
        witness.reach = reach;
        let own = head(&witness.contact);
        for candidate in &mut self.shortlist {
            let is_named = told.iter().any(|contact| contact.id == candidate.contact.id);
            candidate.testimony.take(is_named, silence(own, reach, head(&candidate.contact)));
        }
    }

    /// What those say of somebody at this distance who did not name him: all who have answered, or he
    /// would be known, unless he has given way since.
    pub(super) fn unnamed(&self, head: u32) -> Testimony {
        let mut testimony = Testimony::default();
        for witness in &self.shortlist {
            testimony.take(false, silence(self.head(witness.contact.id), witness.reach, head));
        }
        testimony
    }

    /// What was said of a candidate.
    pub fn testimony(&self, addr: &SocketAddr) -> Option<Testimony> {
        self.shortlist.iter().find(|c| c.contact.addr == *addr).map(|c| c.testimony)
    }
}

/// What it takes from a candidate at this distance not to be named by a node at a distance of its `own`
/// which told of others as far as its `reach`. Whoever told of somebody farther, who stands in another
/// of its buckets, left nobody of this one out.
fn silence(own: u32, reach: u32, head: u32) -> i8 {
    let bucket = |head: u32| (own ^ head).leading_zeros();
    match () {
        _ if head >= reach || head == own => 0,
        _ if bucket(head) == bucket(reach) => Testimony::MISSED,
        _ => Testimony::OVERLOOKED,
    }
}
