//! One iterative lookup: whom it knows near the target, whom to ask next, when it is done.
//!
//! Knows neither time nor bytes: it is told that a candidate is slow, silent or has answered, and
//! says whom to ask. The life of a candidate:
//!
//! ```text
//!          next_ask()             next_ask(), again
//!   Fresh ──────────▶ Asked, in time ────▶ late ────▶ given up
//!                       │                   │             │
//!                       └── answered() ─────┴─────────────┴───▶ Answered
//!                       silent() of the last question, refused() ──▶ Failed
//! ```
//!
//! - *How wide*: a candidate is asked while the questions in flight that are ahead of it weigh less
//!   than [`Lookup::new`]'s `width`: each weighs one, and one more for each bit that it is closer. So
//!   equals are asked side by side, and nobody far away once close ones are on their way.
//! - *Testimony*: whoever answers speaks for the candidates that he names. If his answer reaches
//!   farther out than a candidate, into another of his buckets, he has told of everybody that he
//!   knows in the candidate's, and speaks against it if he left it out, unless that bucket may have
//!   been full. Whoever stands where somebody has told of everybody belongs to the neighbourhood of
//!   the target, and is asked however many are on their way.
//! - A candidate that is *late* costs a soft deadline and not a timeout, counted from its first
//!   question ([`Late`]). In the neighbourhood it is soon asked a second time, elsewhere late, if
//!   there is hope. What was said of it, how late it is and how many others answer make the *odds*
//!   that it will answer yet: when they are low it is given up, and counts no longer among the
//!   closest. Its late answer is welcome until the question's hard deadline.
//! - The lookup *has converged* when the `K` closest that were not given up have answered.
//! - Nodes that sit closer together than chance would put them are a *crowd* ([`Density`]): the
//!   closest few of them count, and the others are passed over as if they were not there. That may
//!   turn out when many have been asked.
//! - With more than one *path* ([`Lookup::set_paths`]) all this but the crowd and what is said
//!   of candidates holds on each for itself.
//! - However it goes, it ends after [`QUESTIONS_MAX`] questions.
//! - An announce goes to these, each repeated once where no confirmation comes; with
//!   [`Lookup::tell_early`] to each as soon as it is known to be one of them.
//!
//! The idea that a silent candidate stops counting is Kademlia's; rust-libp2p's closest-peers
//! query states it best. Testimony, the odds and the second question are ours: see
//! ARCHITECTURE.

mod announcing;
mod candidate;
mod climate;
mod odds;
mod paths;
mod seed;
mod shortlist;
mod testimony;

use core::net::SocketAddr;

use heapless::Vec;

use crate::contact::Contact;
use crate::dht::queries::Late;
use crate::dht::size::Density;
use crate::id::Id;
use crate::limits::{K, QUESTIONS_MAX, SEEDS_MAX, SHORTLIST_MAX, TOKEN_MAX};

use candidate::{Standing, State};
use climate::Climate;
use paths::is_on;
use seed::Seed;

pub use candidate::{Ask, Candidate, Errand};
pub use testimony::Testimony;

/// A token as a node gave it, to give back with an announce.
pub type Token = Vec<u8, TOKEN_MAX, u8>;

/// One iterative lookup.
#[derive(Clone, Debug)]
pub struct Lookup {
    target: Id,
    /// Ordered by distance, closest first.
    shortlist: Vec<Candidate, SHORTLIST_MAX>,
    /// Addresses to begin with whose id is not known.
    seeds: Vec<Seed, SEEDS_MAX>,
    /// How wide it searches, on each path.
    width: u8,
    paths: u8,
    diversity: bool,
    density: Density,
    early: bool,
    patient: bool,
    announcing: bool,
    climate: Climate,
    /// Questions asked.
    asked: u16,
}

impl Lookup {
    /// How often a node is asked the same.
    const TRIES_MAX: u8 = 2;
    /// How many of the closest may be asked or have answered: a few more than `K`, since some of them
    /// are dead.
    const WINDOW: usize = K + 2;

    /// A lookup that knows nobody yet; `width`, 1 to 32, says how many are asked side by side.
    pub fn new(target: Id, width: u8, diversity: bool) -> Self {
        Self {
            target,
            shortlist: Vec::new(),
            seeds: Vec::new(),
            width: width.clamp(1, 32),
            paths: 1,
            diversity,
            density: Density::default(),
            early: false,
            patient: false,
            announcing: false,
            climate: Climate::default(),
            asked: 0,
        }
    }

    /// Says how dense the network is: of those who sit closer together than chance would put them, no
    /// more are asked and told than are plausible.
    pub fn set_density(&mut self, density: Density) {
        self.density = density;
    }

    /// To hear of all the closest matters more than when: they are waited for while there is any hope.
    pub fn be_patient(&mut self) {
        self.patient = true;
    }

    /// The point that is looked for.
    pub fn target(&self) -> Id {
        self.target
    }

    /// An address to begin with whose id is not known. Ignored when there are enough.
    pub fn seed(&mut self, addr: SocketAddr) {
        let is_known = self.seeds.iter().any(|seed| seed.addr == addr)
            || self.shortlist.iter().any(|candidate| candidate.contact.addr == addr);
        if !is_known {
            let _ = self.seeds.push(Seed::new(addr, self.emptiest()));
        }
    }

    /// Whom to ask next, if anybody: marks it asked.
    pub fn next_ask(&mut self) -> Option<Ask> {
        let ask = match self.announcing {
            true => self.next_announce(),
            false if self.asked >= QUESTIONS_MAX => None,
            false if self.early => self.next_search().or_else(|| self.next_announce()),
            false => self.next_search(),
        };
        self.asked = self.asked.saturating_add(u16::from(ask.is_some()));
        ask
    }

    fn next_search(&mut self) -> Option<Ask> {
        self.paths().find_map(|path| self.next_of(path))
    }

    fn next_of(&mut self, path: u8) -> Option<Ask> {
        if let Some(index) = self.next_candidate(path) {
            return self.shortlist.get_mut(index).map(|c| c.ask(Errand::Search));
        }
        // Seeds only while candidates are few: they are public routers and have enough to do. Who is
        // passed over is nobody to wait for.
        let is_fresh = |c: &Candidate| is_on(c.path, path) && c.state == State::Fresh;
        if !self.is_idle(path) && self.shortlist.iter().any(is_fresh) {
            return None;
        }
        self.seeds.iter_mut().find(|seed| is_on(seed.path, path) && seed.is_wanted()).map(Seed::ask)
    }

    /// The candidate of a path to search at next, within the window of its closest that are neither
    /// suspect nor late nor given up: closest first, doubtful ones last.
    fn next_candidate(&self, path: u8) -> Option<usize> {
        let (mut all, mut window, mut confirmed) = (0, 0, 0);
        let (mut again, mut doubtful, mut held_back) = (None, None, None);
        let is_alone = self.is_alone();
        for (index, candidate) in self.shortlist.iter().enumerate() {
            if self.is_too_many(all, candidate) {
                continue;
            }
            let is_suspect = candidate.is_suspect();
            let counts = match candidate.state {
                State::Fresh | State::Answered => true,
                State::Asked => candidate.is_in_time() && !is_suspect,
                State::Failed => false,
            };
            // A crowd is one on all paths together, of those who were asked: another path may be over.
            let is_ours = is_on(candidate.path, path);
            all += usize::from(counts && (is_ours || candidate.state != State::Fresh));
            if !is_ours {
                continue;
            }
            window += usize::from(counts);
            match candidate.state {
                State::Fresh => {
                    if !candidate.is_near() && self.ahead_of(candidate) >= u32::from(self.width) {
                        held_back = held_back.or(Some(index));
                    } else if candidate.is_doubtful() {
                        doubtful = doubtful.or(Some(index));
                    } else {
                        return again.or(Some(index));
                    }
                }
                State::Asked => {
                    let is_wanted =
                        is_alone || !candidate.is_doubtful() && !self.is_given_up(candidate);
                    if is_wanted && candidate.is_to_repeat(is_alone) {
                        again = again.or(Some(index));
                    }
                }
                State::Answered => confirmed += 1,
                State::Failed => {}
            }
            if window >= Self::WINDOW || confirmed >= K {
                break;
            }
        }
        again.or(doubtful).or(held_back.filter(|_| self.is_idle(path)))
    }

    /// Whether nobody has answered and everybody is late: then nobody stands in for the silent.
    fn is_alone(&self) -> bool {
        self.shortlist.iter().all(|candidate| match candidate.state {
            State::Fresh | State::Answered => false,
            State::Asked => candidate.late[0] >= Late::Slow,
            State::Failed => true,
        })
    }

    /// What the questions in flight weigh that are ahead of a candidate.
    fn ahead_of(&self, candidate: &Candidate) -> u32 {
        let own = self.head(candidate.contact.id);
        let ahead = |c: &&Candidate| {
            is_on(c.path, candidate.path) && c.state == State::Asked && c.late[0] == Late::No
        };
        let heads = self.shortlist.iter().filter(ahead).map(|c| self.head(c.contact.id));
        let closer = heads.filter(|head| *head < own);
        closer.map(|head| 1 + head.leading_zeros() - own.leading_zeros()).sum()
    }

    /// Whether the answer of a candidate is not waited for any longer.
    fn is_given_up(&self, candidate: &Candidate) -> bool {
        let most = if self.patient { odds::HOPELESS } else { odds::UNLIKELY };
        candidate.odds(self.climate) <= most
    }

    /// Questions in flight that count: of the candidates asked and not late.
    pub fn in_flight(&self) -> usize {
        let seeds = self.seeds.iter().filter(|seed| seed.is_in_time());
        self.shortlist.iter().filter(|c| c.is_waited_for()).count() + seeds.count()
    }

    /// A question passed a soft deadline.
    pub fn slow(&mut self, addr: &SocketAddr, errand: Errand, late: Late) {
        if let Some(seed) = self.seed_at(addr) {
            seed.late = seed.late.max(late);
        }
        let Some(candidate) = self.candidate_at(addr) else { return };
        // The first of two questions is the later one.
        if let Some(known) = candidate.late.get_mut(errand as usize) {
            *known = late.max(*known);
        }
        if candidate.state == State::Asked && !candidate.is_in_time() && !candidate.lapsed {
            candidate.lapsed = true;
            self.climate.lapses = self.climate.lapses.saturating_add(1);
        }
    }

    /// A candidate said something, if only to refuse: it has not lapsed.
    fn heard(&mut self, addr: &SocketAddr) {
        let Some(candidate) = self.candidate_at(addr) else { return };
        let lapsed = core::mem::take(&mut candidate.lapsed);
        if candidate.state == State::Asked {
            self.climate.answers = self.climate.answers.saturating_add(1);
        }
        self.climate.lapses = self.climate.lapses.saturating_sub(lapsed.into());
    }

    /// A question passed its hard deadline. Returns whether the node never answered at all.
    pub fn silent(&mut self, addr: &SocketAddr, errand: Errand) -> bool {
        let mut never = false;
        if let Some(seed) = self.seed_at(addr) {
            never = seed.silent();
        }
        if let Some(candidate) = self.candidate_at(addr) {
            never |= candidate.close(errand, State::Failed);
        }
        never
    }

    /// A node answered a search, with its own id.
    ///
    /// `counts`: whether it may stand among the closest (BEP 42 may forbid it).
    pub fn answered(&mut self, contact: Contact, token: Option<&[u8]>, counts: bool) {
        let verdict = if counts { State::Answered } else { State::Failed };
        if let Some(path) = self.seed_at(&contact.addr).map(|seed| seed.path) {
            // From a seed it becomes a candidate like any other, already answered.
            self.seeds.retain(|seed| seed.addr != contact.addr);
            self.take_in(contact, false, path);
        }
        self.heard(&contact.addr);
        if let Some(candidate) = self.candidate_at(&contact.addr) {
            candidate.close(Errand::Search, verdict);
            candidate.state = verdict;
            // A token that is too long to keep makes a node that cannot be announced to.
            if let Some(token) = token.and_then(|token| Token::from_slice(token).ok()) {
                candidate.token = token;
            }
        }
    }

    /// A node answered with an error.
    pub fn refused(&mut self, addr: &SocketAddr, errand: Errand) {
        if let Some(seed) = self.seed_at(addr) {
            seed.refused();
        }
        self.heard(addr);
        if let Some(candidate) = self.candidate_at(addr) {
            candidate.close(errand, State::Failed);
            match errand {
                Errand::Search if candidate.state != State::Answered => {
                    candidate.state = State::Failed;
                }
                Errand::Announce if candidate.announce != State::Answered => {
                    candidate.announce = State::Failed;
                }
                _ => {}
            }
        }
    }

    /// Whether the search is over: of each path the `K` closest that were not passed over have
    /// answered, or there is nobody left to ask.
    ///
    /// Over is over: who is heard of while the closest are being told is not asked any more.
    pub fn has_converged(&self) -> bool {
        if self.announcing || (self.asked >= QUESTIONS_MAX && self.in_flight() == 0) {
            return true;
        }
        let is_alone = self.is_alone();
        self.paths().all(|path| self.is_over(path, is_alone))
    }

    fn is_over(&self, path: u8, is_alone: bool) -> bool {
        let (mut all, mut confirmed) = (0, 0);
        for candidate in &self.shortlist {
            if self.is_too_many(all, candidate) {
                continue;
            }
            all += usize::from(candidate.state == State::Answered);
            if !is_on(candidate.path, path) {
                continue;
            }
            match candidate.state {
                State::Answered => confirmed += 1,
                State::Failed => {}
                State::Asked if is_alone && !candidate.is_hopeless() => return false,
                State::Asked if self.is_given_up(candidate) => {}
                State::Fresh | State::Asked => return false,
            }
            if confirmed == K {
                return true;
            }
        }
        self.seeds.iter().all(|seed| !is_on(seed.path, path) || seed.is_over(is_alone))
    }

    /// The token that a node gave.
    pub fn token(&self, addr: &SocketAddr) -> Option<&[u8]> {
        let candidate = self.shortlist.iter().find(|c| c.contact.addr == *addr)?;
        Some(&candidate.token)
    }

    /// A node said that it holds what the lookup is about, in whatever version. Returns whether it
    /// says so for the first time; of whoever has given way since nobody can tell.
    pub fn set_holds(&mut self, addr: &SocketAddr) -> bool {
        let candidate = self.candidate_at(addr);
        candidate.is_some_and(|candidate| {
            core::mem::replace(&mut candidate.standing, Standing::Holds) != Standing::Holds
        })
    }

    /// Whether it said so.
    pub fn holds(&self, addr: &SocketAddr) -> bool {
        self.shortlist.iter().any(|c| c.contact.addr == *addr && c.standing == Standing::Holds)
    }

    /// The closest nodes that answered, closest first, at most `K`.
    pub fn closest(&self) -> impl Iterator<Item = Contact> + '_ {
        let answered = self.shortlist.iter().filter(|c| c.state == State::Answered);
        answered.map(|c| c.contact).take(K)
    }

    /// Whether it knows anybody at all.
    pub fn knows_somebody(&self) -> bool {
        !self.shortlist.is_empty() || !self.seeds.is_empty()
    }

    /// Whether so many count already as are plausible up to a candidate.
    fn is_too_many(&self, count: usize, candidate: &Candidate) -> bool {
        self.density.is_crowded(count, candidate.contact.id.distance(self.target))
    }

    /// The first bits of the distance to the target.
    fn head(&self, id: Id) -> u32 {
        id.distance(self.target).head()
    }

    fn candidate_at(&mut self, addr: &SocketAddr) -> Option<&mut Candidate> {
        self.shortlist.iter_mut().find(|c| c.contact.addr == *addr)
    }

    fn seed_at(&mut self, addr: &SocketAddr) -> Option<&mut Seed> {
        self.seeds.iter_mut().find(|seed| seed.addr == *addr)
    }
}
