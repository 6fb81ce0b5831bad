//! Whom a lookup keeps in sight: who comes in, and who gives way.

use crate::contact::{Contact, Network};
use crate::dht::lookup::candidate::{Standing, State};
use crate::dht::lookup::paths::is_on;
use crate::dht::lookup::{Candidate, Lookup};
use crate::dht::size::Density;

impl Lookup {
    /// How many candidates of one network a lookup takes in, where diversity is wanted.
    const PER_NETWORK: usize = 2;
    /// The same for networks side by side, of which one customer of a provider may have many.
    const PER_SITE: usize = 3;

    /// Takes in a node to begin with, if it is close enough to matter.
    ///
    /// `doubtful`: it was silent lately, perhaps to another lookup.
    pub fn add(&mut self, contact: Contact, doubtful: bool) -> bool {
        self.take_in(contact, doubtful, self.emptiest())
    }

    /// Takes in a node that somebody of a path named, who has answered, if it is close enough to matter:
    /// [`Lookup::path_of`] is to be asked once for each answer, before whoever gave it gives way.
    pub fn hear(&mut self, path: u8, contact: Contact, doubtful: bool) -> bool {
        self.take_in(contact, doubtful, self.path_from(path))
    }

    pub(super) fn take_in(&mut self, contact: Contact, doubtful: bool, path: u8) -> bool {
        let known = |candidate: &Candidate| candidate.contact.addr == contact.addr;
        if self.shortlist.iter().any(|c| known(c) || c.contact.id == contact.id) {
            return false;
        }
        if self.seeds.iter().any(|seed| seed.addr == contact.addr && seed.tries > 0) {
            return false;
        }
        self.seeds.retain(|seed| seed.addr != contact.addr);
        if let Some(network) = Network::foreign(contact.addr.ip()).filter(|_| self.diversity) {
            let (mut same, mut beside) = (0, 0);
            for other in self.shortlist.iter().map(|c| Network::of(c.contact.addr.ip())) {
                same += usize::from(other == network);
                beside += usize::from(other.is_beside(network));
            }
            if same >= Self::PER_NETWORK || beside >= Self::PER_SITE {
                return false;
            }
        }
        let standing = if doubtful { Standing::Doubtful } else { Standing::Plain };
        let testimony = self.unnamed(self.head(contact.id));
        self.insert(Candidate::new(contact, standing, path, testimony))
    }

    fn insert(&mut self, candidate: Candidate) -> bool {
        let distance = |candidate: &Candidate| candidate.contact.id.distance(self.target);
        let new = distance(&candidate);
        let at = self.shortlist.partition_point(|known| distance(known) < new);
        if self.shortlist.is_full() {
            // Whoever was given up gives way, or is too many where it is, else the farthest of the
            // longest path that no question is open to.
            let given_up = |c: &Candidate| match c.state {
                State::Failed => c.open == [0; 2],
                // Of whoever gives way a late answer is not heard.
                State::Asked => !c.is_in_time() && self.is_given_up(c),
                State::Fresh | State::Answered => false,
            };
            let useless = self.shortlist.iter().rposition(given_up).or_else(|| self.crowding());
            let path = self.longest_with(candidate.path);
            let farthest =
                self.shortlist.iter().rposition(|c| is_on(c.path, path) && c.open == [0; 2]);
            let farthest = farthest.filter(|last| !is_on(path, candidate.path) || *last >= at);
            let Some(last) = useless.or(farthest) else { return false };
            self.shortlist.remove(last);
            let at = at - usize::from(last < at);
            return self.shortlist.insert(at, candidate).is_ok();
        }
        self.shortlist.insert(at, candidate).is_ok()
    }

    /// Whether there are too many somewhere, in a network of this density.
    pub fn is_crowded(&self, density: Density) -> bool {
        let lives = self.shortlist.iter().filter(|c| c.state != State::Failed);
        let mut distances = lives.map(|c| c.contact.id.distance(self.target)).enumerate();
        distances.any(|(count, distance)| density.is_crowded(count, distance))
    }

    /// The last of those that are too many where they are.
    fn crowding(&self) -> Option<usize> {
        let (mut count, mut last) = (0, None);
        for (index, candidate) in self.shortlist.iter().enumerate() {
            match candidate.state {
                State::Failed => {}
                _ if !self.is_too_many(count, candidate) => count += 1,
                _ if candidate.open == [0; 2] => last = Some(index),
                _ => {}
            }
        }
        last
    }
}
