//! What answers say of those who are in them, and of those who are not.

use core::net::SocketAddr;

use crate::contact::Contact;
use crate::dht::lookup::Lookup;
use crate::limits::K;

/// What those say of a candidate who have answered, each once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Testimony {
    /// How many told of all that they know where it is.
    pub witnesses: u8,
    /// What speaks for it. Whoever names it adds [`Testimony::NAMED`]; whoever left it out takes
    /// [`Testimony::OVERLOOKED`] away if he told of all that he knows there, and
    /// [`Testimony::MISSED`] if he may have had no room for it.
    pub balance: i8,
    /// How many more named it than left it out though they told of all that they know there.
    pub lead: i16,
}

impl Testimony {
    /// A unit of the odds that a candidate lives: a factor of 1.45.
    pub const NAMED: i8 = 1;
    /// A living node is in nearly all of the buckets that have room for it, a dead one in some.
    pub const OVERLOOKED: i8 = 7;
    /// It may have been there first or not.
    pub const MISSED: i8 = 1;

    /// `silence`: what it takes away not to be named.
    fn take(&mut self, is_named: bool, silence: i8) {
        let is_witness = silence == Self::OVERLOOKED;
        self.witnesses = self.witnesses.saturating_add(is_witness.into());
        let (lead, balance) =
            if is_named { (1, Self::NAMED) } else { (-i16::from(is_witness), -silence) };
        // Nobody asks tens of thousands in one lookup.
        self.lead = self.lead.wrapping_add(lead);
        self.balance = self.balance.saturating_add(balance);
    }
}

impl Lookup {
    /// Whoever tells of so many in a bucket that he tells all of may have no room there: others may be in
    /// it that he does not tell of, since they were silent or he has not heard of them for long.
    const NEARLY_FULL: usize = K - 2;

    /// A candidate told of these nodes, which were added before: who is among them and who is not.
    pub fn testified(&mut self, addr: &SocketAddr, told: &[Contact]) {
        let target = self.target;
        let head = |contact: &Contact| contact.id.distance(target).head();
        let Some(witness) = self.candidate_at(addr) else { return };
        // Whoever was asked twice may answer twice.
        if witness.reach != 0 {
            return;
        }
        let own = head(&witness.contact);
        let (mut home, mut near, mut far) = (0, 1, u32::from(!told.is_empty()));
        for head in told.iter().map(head) {
            far = far.max(head);
            if head.leading_zeros() > own.leading_zeros() {
                near = near.max(head);
                home += 1;
            }
        }
        let reach = if home < Self::NEARLY_FULL { far } else { near };
        witness.reach = reach;
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
    match () {
        _ if head >= reach || head == own => 0,
        _ if bucket(own, head) == bucket(own, reach) => Testimony::MISSED,
        _ => Testimony::OVERLOOKED,
    }
}

/// In which bucket of a node at a distance of its `own` somebody stands.
fn bucket(own: u32, head: u32) -> u32 {
    (own ^ head).leading_zeros()
}
