//! One iterative lookup: whom it knows near the target, whom to ask next, when it is done.
//!
//! Knows neither time nor bytes: it is told that a candidate is slow, silent or has answered, and
//! says whom to ask. The life of a candidate:
//!
//! ```text
//!          next_ask()          slow()          next_ask(), again       slow(), again
//!   Fresh ──────────▶ Asked ──────────▶ Late ──────────────▶ Asked ──────────────▶ Passed
//!                       │                 │                                          │
//!                       └── answered() ───┴───────────▶ Answered ◀───────────────────┘
//!                       silent() of the last question, refused() ──▶ Failed
//! ```
//!
//! - A candidate that is *late* no longer counts among the questions in flight, so one dead node
//!   costs a soft deadline and not a timeout. If it stands among the `K` closest it is asked a
//!   second time, since a lost datagram is likelier there to matter than to be repeated in vain;
//!   if that is late as well it is *passed* over. Its late answer is welcome as long as the lookup
//!   lives.
//! - The lookup *has converged* when the `K` closest that were not passed over have answered.
//! - However it goes, it ends after [`QUESTIONS_MAX`] questions.
//! - An announce then goes to these, each repeated once where no confirmation comes.
//!
//! The idea that a silent candidate stops counting is Kademlia's; rust-libp2p's closest-peers
//! query states it best. The second question to a silent close node is ours: see ARCHITECTURE.

use core::net::SocketAddr;

use heapless::Vec;

use crate::contact::{Contact, Network};
use crate::dht::size::Density;
use crate::id::Id;
use crate::limits::{ANNOUNCES_MAX, K, QUESTIONS_MAX, SEEDS_MAX, SHORTLIST_MAX, TOKEN_MAX};

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
    parallel: u8,
    diversity: bool,
    density: Density,
    announcing: bool,
    /// Questions asked.
    asked: u16,
}

/// A node that the lookup knows.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Who and where.
    pub contact: Contact,
    state: State,
    announce: State,
    /// Times asked to search; times asked to store.
    tries: [u8; 2],
    /// Search questions still open; announces still open.
    open: [u8; 2],
    standing: Standing,
    token: Token,
}

/// What is known of a candidate beside how it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Plain,
    /// Remembered as silent from before: asked once, and not at the cost of others.
    Doubtful,
    /// It holds what the lookup is about: it has answered, so it is no longer doubtful.
    Holds,
}

#[derive(Clone, Debug)]
struct Seed {
    addr: SocketAddr,
    state: State,
    tries: u8,
    open: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fresh,
    Asked,
    Late,
    Passed,
    Answered,
    Failed,
}

impl State {
    /// Whether nothing more is to be waited for.
    fn is_over(self) -> bool {
        matches!(self, State::Passed | State::Answered | State::Failed)
    }
}

/// Whom to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The address.
    pub addr: SocketAddr,
    /// The id that is expected there, if one is.
    pub id: Option<Id>,
    /// Search or store.
    pub errand: Errand,
    /// Whether the same was asked there before.
    pub repeat: bool,
}

/// What a question of a lookup is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Errand {
    /// Who is closer?
    Search,
    /// Store this.
    Announce,
}

impl Lookup {
    /// How often a node is asked the same.
    const TRIES_MAX: u8 = 2;
    /// How many candidates of one network a lookup takes in, where diversity is wanted.
    const PER_NETWORK: usize = 2;
    /// The same for networks side by side, of which one customer of a provider may have many.
    const PER_SITE: usize = 3;

    /// A lookup that knows nobody yet and keeps `parallel` questions in flight.
    pub fn new(target: Id, parallel: u8, diversity: bool) -> Self {
        Self {
            target,
            shortlist: Vec::new(),
            seeds: Vec::new(),
            parallel: parallel.clamp(1, 16),
            diversity,
            density: Density::default(),
            announcing: false,
            asked: 0,
        }
    }

    /// Says how dense the network is: of those who sit closer together than chance would put them, no
    /// more are asked and told than are plausible.
    pub fn expect(&mut self, density: Density) {
        self.density = density;
    }

    /// How many count up to a candidate.
    fn most(&self, candidate: &Candidate) -> usize {
        self.density.most_within(candidate.contact.id.distance(self.target))
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
            let _ = self.seeds.push(Seed { addr, state: State::Fresh, tries: 0, open: 0 });
        }
    }

    /// Takes in a node that was heard of, if it is close enough to matter.
    ///
    /// `doubtful`: it was silent lately, perhaps to another lookup.
    pub fn add(&mut self, contact: Contact, doubtful: bool) -> bool {
        let known = |candidate: &Candidate| candidate.contact.addr == contact.addr;
        if self.shortlist.iter().any(|c| known(c) || c.contact.id == contact.id) {
            return false;
        }
        if self.seeds.iter().any(|seed| seed.addr == contact.addr && seed.tries > 0) {
            return false;
        }
        self.seeds.retain(|seed| seed.addr != contact.addr);
        if let Some(network) = Network::foreign(contact.addr.ip()).filter(|_| self.diversity) {
            let others = || self.shortlist.iter().map(|c| Network::of(c.contact.addr.ip()));
            if others().filter(|other| *other == network).count() >= Self::PER_NETWORK
                || others().filter(|other| other.is_beside(network)).count() >= Self::PER_SITE
            {
                return false;
            }
        }
        self.insert(Candidate {
            contact,
            state: State::Fresh,
            announce: State::Fresh,
            tries: [0; 2],
            open: [0; 2],
            standing: if doubtful { Standing::Doubtful } else { Standing::Plain },
            token: Token::new(),
        })
    }

    fn insert(&mut self, candidate: Candidate) -> bool {
        let distance = |candidate: &Candidate| candidate.contact.id.distance(self.target);
        let new = distance(&candidate);
        let at = self.shortlist.partition_point(|known| distance(known) < new);
        if self.shortlist.is_full() {
            // Whoever was given up gives way, or is too many, else the farthest that no question is
            // open to.
            let given_up = |c: &Candidate| match c.state {
                State::Passed => c.announce == State::Fresh,
                state => state == State::Failed && c.open == [0; 2],
            };
            let useless = self.shortlist.iter().rposition(given_up).or_else(|| self.crowding());
            let farthest = self.shortlist.iter().rposition(|c| c.open == [0; 2]);
            let Some(last) = useless.or(farthest.filter(|last| *last >= at)) else { return false };
            self.shortlist.remove(last);
            let at = at - usize::from(last < at);
            return self.shortlist.insert(at, candidate).is_ok();
        }
        self.shortlist.insert(at, candidate).is_ok()
    }

    /// The last of those that are too many where they are.
    fn crowding(&self) -> Option<usize> {
        let (mut count, mut last) = (0, None);
        for (index, candidate) in self.shortlist.iter().enumerate() {
            match candidate.state {
                State::Failed | State::Passed => {}
                _ if count < self.most(candidate) => count += 1,
                _ if candidate.open == [0; 2] => last = Some(index),
                _ => {}
            }
        }
        last
    }

    /// Whom to ask next, if anybody: marks it asked.
    pub fn next_ask(&mut self) -> Option<Ask> {
        let ask = match self.announcing {
            true => self.next_announce(),
            false if self.asked >= QUESTIONS_MAX => None,
            false => self.next_search(),
        };
        self.asked = self.asked.saturating_add(u16::from(ask.is_some()));
        ask
    }

    fn next_search(&mut self) -> Option<Ask> {
        if self.in_flight() >= usize::from(self.parallel) {
            return None;
        }
        let index = self.next_candidate();
        // Seeds only while candidates are few: they are public routers and have enough to do.
        let seed = self
            .seeds
            .iter_mut()
            .find(|seed| {
                seed.state == State::Fresh
                    || (seed.state == State::Late && seed.tries < Self::TRIES_MAX)
            })
            .filter(|_| index.is_none());
        if let Some(seed) = seed {
            let repeat = seed.tries > 0;
            seed.state = State::Asked;
            seed.tries += 1;
            seed.open += 1;
            return Some(Ask { addr: seed.addr, id: None, errand: Errand::Search, repeat });
        }
        self.shortlist.get_mut(index?).map(|c| c.ask(Errand::Search))
    }

    /// The candidate to search at next: the closest fresh one within the window of the `K` closest
    /// that are neither late nor given up; and before it any late one that stands closer than the
    /// `K`th answer.
    fn next_candidate(&self) -> Option<usize> {
        let mut window = 0;
        let mut confirmed = 0;
        let mut fresh = None;
        let mut doubtful = None;
        let mut late = None;
        for (index, candidate) in self.shortlist.iter().enumerate() {
            if window >= self.most(candidate) {
                continue;
            }
            match candidate.state {
                State::Fresh => {
                    let first = if candidate.is_doubtful() { &mut doubtful } else { &mut fresh };
                    *first = first.or(Some(index));
                    window += 1;
                }
                State::Asked => window += 1,
                State::Answered => {
                    window += 1;
                    confirmed += 1;
                }
                State::Late if candidate.tries[0] < Self::TRIES_MAX => {
                    late = late.or(Some(index));
                }
                State::Late | State::Passed | State::Failed => {}
            }
            if window >= K {
                break;
            }
        }
        // Far from the target a late node is not worth a second question: others lead there too.
        let converging = confirmed * 2 >= window;
        match (fresh.or(doubtful), late) {
            (Some(fresh), Some(late)) if converging && late < fresh => Some(late),
            (Some(fresh), _) => Some(fresh),
            (None, late) => late,
        }
    }

    fn next_announce(&mut self) -> Option<Ask> {
        let index = self.announce_candidate()?;
        self.shortlist.get_mut(index).map(|c| c.ask(Errand::Announce))
    }

    /// The candidate to tell next. `K` places, closest first; one that refuses or does not confirm
    /// gives its place to the next, as long as no more than [`ANNOUNCES_MAX`] were told.
    fn announce_candidate(&self) -> Option<usize> {
        let told = self.shortlist.iter().filter(|c| c.tries[1] > 0).count();
        let mut places = 0;
        for (index, candidate) in self.shortlist.iter().enumerate() {
            let is_crowd = places >= self.most(candidate);
            if candidate.state != State::Answered || candidate.token.is_empty() || is_crowd {
                continue;
            }
            match candidate.announce {
                State::Failed | State::Passed => continue,
                State::Fresh if told < ANNOUNCES_MAX => return Some(index),
                State::Late if candidate.tries[1] < Self::TRIES_MAX => return Some(index),
                State::Fresh => return None,
                State::Asked | State::Late | State::Answered => places += 1,
            }
            if places == K {
                return None;
            }
        }
        None
    }

    /// Questions in flight that count: of the candidates asked and not late.
    pub fn in_flight(&self) -> usize {
        let candidates = self.shortlist.iter().filter(|c| c.state == State::Asked).count();
        candidates + self.seeds.iter().filter(|seed| seed.state == State::Asked).count()
    }

    /// A question passed its soft deadline.
    pub fn slow(&mut self, addr: &SocketAddr, errand: Errand) {
        if let Some(seed) = self.seed_at(addr).filter(|seed| seed.state == State::Asked) {
            seed.state = if seed.tries >= Self::TRIES_MAX { State::Passed } else { State::Late };
        }
        if let Some(candidate) = self.candidate_at(addr) {
            candidate.slow(errand);
        }
    }

    /// A question passed its hard deadline. Returns whether the node never answered at all.
    pub fn silent(&mut self, addr: &SocketAddr, errand: Errand) -> bool {
        let mut never = false;
        if let Some(seed) = self.seed_at(addr) {
            seed.open = seed.open.saturating_sub(1);
            if seed.open == 0 && seed.state != State::Answered {
                seed.state = State::Failed;
                never = true;
            }
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
        if self.seed_at(&contact.addr).is_some() {
            // From a seed it becomes a candidate like any other, already answered.
            self.seeds.retain(|seed| seed.addr != contact.addr);
            self.add(contact, false);
        }
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
            seed.open = seed.open.saturating_sub(1);
            seed.state = State::Failed;
        }
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

    /// A node refused to store, since it has something that is not to be replaced: its place is
    /// taken, or what it refused would be stored around it.
    pub fn conflicted(&mut self, addr: &SocketAddr) {
        if let Some(candidate) = self.candidate_at(addr) {
            candidate.close(Errand::Announce, State::Answered);
            candidate.announce = State::Answered;
        }
    }

    /// A node confirmed the announce. Returns whether it is the first time.
    pub fn stored(&mut self, addr: &SocketAddr) -> bool {
        let Some(candidate) = self.candidate_at(addr) else { return false };
        let first = candidate.announce != State::Answered;
        candidate.close(Errand::Announce, State::Answered);
        candidate.announce = State::Answered;
        first
    }

    /// Whether the search is over: the `K` closest that were not passed over have answered, or
    /// there is nobody left to ask.
    ///
    /// Over is over: who is heard of while the closest are being told is not asked any more.
    pub fn has_converged(&self) -> bool {
        if self.announcing || (self.asked >= QUESTIONS_MAX && self.in_flight() == 0) {
            return true;
        }
        let mut confirmed = 0;
        for candidate in &self.shortlist {
            if confirmed >= self.most(candidate) {
                continue;
            }
            match candidate.state {
                State::Answered => confirmed += 1,
                State::Passed | State::Failed => {}
                State::Fresh | State::Asked | State::Late => return false,
            }
            if confirmed == K {
                return true;
            }
        }
        self.seeds.iter().all(|seed| seed.state.is_over())
    }

    /// Begins the second half of an announce: from now on [`Lookup::next_ask`] says whom to tell.
    pub fn begin_announce(&mut self) {
        self.announcing = true;
    }

    /// Whether every announce was confirmed or given up.
    pub fn has_announced(&self) -> bool {
        self.announcing
            && self.shortlist.iter().all(|c| c.announce != State::Asked)
            && self.announce_candidate().is_none()
    }

    /// The token that a node gave.
    pub fn token(&self, addr: &SocketAddr) -> Option<&[u8]> {
        let candidate = self.shortlist.iter().find(|c| c.contact.addr == *addr)?;
        Some(&candidate.token)
    }

    /// A node said that it holds what the lookup is about, in whatever version. Returns whether it
    /// says so for the first time.
    pub fn set_holds(&mut self, addr: &SocketAddr) -> bool {
        let candidate = self.candidate_at(addr);
        candidate.is_none_or(|candidate| {
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

    fn candidate_at(&mut self, addr: &SocketAddr) -> Option<&mut Candidate> {
        self.shortlist.iter_mut().find(|c| c.contact.addr == *addr)
    }

    fn seed_at(&mut self, addr: &SocketAddr) -> Option<&mut Seed> {
        self.seeds.iter_mut().find(|seed| seed.addr == *addr)
    }
}

impl Candidate {
    fn ask(&mut self, errand: Errand) -> Ask {
        let kind = errand as usize;
        let repeat = self.tries.get(kind).is_some_and(|tries| *tries > 0);
        for count in [self.tries.get_mut(kind), self.open.get_mut(kind)].into_iter().flatten() {
            *count = count.saturating_add(1);
        }
        *self.state_of(errand) = State::Asked;
        Ask { addr: self.contact.addr, id: Some(self.contact.id), errand, repeat }
    }

    fn is_doubtful(&self) -> bool {
        self.standing == Standing::Doubtful
    }

    fn state_of(&mut self, errand: Errand) -> &mut State {
        match errand {
            Errand::Search => &mut self.state,
            Errand::Announce => &mut self.announce,
        }
    }

    fn slow(&mut self, errand: Errand) {
        let tries = self.tries.get(errand as usize).copied().unwrap_or(0);
        let doubtful = self.is_doubtful();
        let state = self.state_of(errand);
        if *state == State::Asked {
            let done = tries >= Lookup::TRIES_MAX || (doubtful && errand == Errand::Search);
            *state = if done { State::Passed } else { State::Late };
        }
    }

    /// Closes one question; where it was the last and none was answered the state becomes `end`.
    /// Returns whether it did.
    fn close(&mut self, errand: Errand, end: State) -> bool {
        let Some(open) = self.open.get_mut(errand as usize) else { return false };
        *open = open.saturating_sub(1);
        let last = *open == 0;
        let state = self.state_of(errand);
        if last && *state != State::Answered {
            *state = end;
            return true;
        }
        false
    }
}
