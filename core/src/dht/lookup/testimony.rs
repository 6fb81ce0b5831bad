//! What answers say of those who are not in them.

use core::net::SocketAddr;

use crate::contact::Contact;
use crate::dht::lookup::{Candidate, Lookup};

/// What those say of a candidate that ought to know it, each once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Testimony {
    /// How many named it.
    pub named: u8,
    /// How many told of others, farther away, and left it out.
    pub overlooked: u8,
}

impl Testimony {
    /// One in so many that left a candidate out makes it likelier dead than not.
    pub(super) const SUSPECT: u8 = 7;

    /// Whether at least one of `parts` left it out.
    pub(super) fn is_overlooked(self, parts: u8) -> bool {
        self.overlooked > 0 && self.overlooked.saturating_mul(parts - 1) >= self.named
    }
}

impl Lookup {
    /// A candidate told of these nodes, which were added before: who is among them and who is not.
    pub fn testified(&mut self, addr: &SocketAddr, told: &[Contact]) {
        let reach = told.iter().map(|contact| self.head(contact.id)).max().unwrap_or(0);
        let Some(at) = self.shortlist.iter().position(|c| c.contact.addr == *addr) else { return };
        // Whoever was asked twice may answer twice.
        let Some(witness) = self.shortlist.get_mut(at).filter(|c| c.reach == 0) else { return };
        witness.reach = reach;
        for index in 0..self.shortlist.len() {
            let (Some(witness), Some(candidate)) =
                (self.shortlist.get(at), self.shortlist.get(index))
            else {
                return;
            };
            let id = candidate.contact.id;
            if !self.reaches(witness, self.head(id)) {
                continue;
            }
            let named = told.iter().any(|contact| contact.id == id);
            if let Some(Candidate { testimony, .. }) = self.shortlist.get_mut(index) {
                let count = if named { &mut testimony.named } else { &mut testimony.overlooked };
                *count = count.saturating_add(1);
            }
        }
    }

    /// What was said of a candidate.
    pub fn testimony(&self, addr: &SocketAddr) -> Option<Testimony> {
        self.shortlist.iter().find(|c| c.contact.addr == *addr).map(|c| c.testimony)
    }

    /// Whether a candidate has told of all that it knows at this distance. It told of somebody farther
    /// who stands in another of its buckets, so it left nobody of this one out.
    pub(super) fn reaches(&self, candidate: &Candidate, head: u32) -> bool {
        let own = self.head(candidate.contact.id);
        let bucket = |head: u32| (own ^ head).leading_zeros();
        head < candidate.reach && head != own && bucket(head) != bucket(candidate.reach)
    }
}
