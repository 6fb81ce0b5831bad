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
//! - *Testimony*: an answer that reaches farther out than a candidate, into another bucket of whoever
//!   gave it, tells of everybody that he knows in the candidate's. He names a living one nearly
//!   always, since his bucket has room, and a dead one by chance. So a candidate that was *overlooked*
//!   is waited for less long than one that all have named. Whoever stands where somebody's answer
//!   reaches belongs to the neighbourhood of the target, and is asked however many are on their way.
//! - A candidate that is *late* costs a soft deadline and not a timeout, counted from its first
//!   question ([`Late`]). In the neighbourhood it is asked a second time. Given up, it counts no
//!   longer among the closest; its late answer is welcome as long as the lookup lives.
//! - The lookup *has converged* when the `K` closest that were not given up have answered.
//! - Nodes that sit closer together than chance would put them are a *crowd* ([`Density`]): the
//!   closest few of them count, and the others are passed over as if they were not there.
//! - However it goes, it ends after [`QUESTIONS_MAX`] questions.
//! - An announce goes to these, each repeated once where no confirmation comes; with
//!   [`Lookup::tell_early`] to each as soon as it is known to be one of them.
//!
//! The idea that a silent candidate stops counting is Kademlia's; rust-libp2p's closest-peers
//! query states it best. Testimony and the second question are ours: see ARCHITECTURE.

use core::net::SocketAddr;

use heapless::Vec;

use crate::contact::{Contact, Network};
use crate::dht::queries::Late;
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
    width: u8,
    diversity: bool,
    density: Density,
    early: bool,
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
    /// How late the answer to search is, and the one to store.
    late: [Late; 2],
    /// Times asked to search; times asked to store.
    tries: [u8; 2],
    /// Search questions still open; announces still open.
    open: [u8; 2],
    standing: Standing,
    testimony: Testimony,
    /// How far its answer reaches: the head of the distance of the farthest node that it told of.
    reach: u32,
    token: Token,
}

/// What those say of a candidate that ought to know it, each once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Testimony {
    /// How many named it.
    pub named: u8,
    /// How many told of others, farther away, and left it out.
    pub overlooked: u8,
}

impl Testimony {
    /// Whether at least one of `parts` left it out.
    fn is_overlooked(self, parts: u8) -> bool {
        self.overlooked > 0 && self.overlooked.saturating_mul(parts - 1) >= self.named
    }
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
    late: Late,
    tries: u8,
    open: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fresh,
    Asked,
    Answered,
    Failed,
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
    /// How many neighbours must have testified before anybody is told early.
    const SURE: u8 = 3;

    /// One in so many that left a candidate out makes it likelier dead than not.
    const SUSPECT: u8 = 7;

    /// A lookup that knows nobody yet; `width`, 1 to 32, says how many are asked side by side.
    pub fn new(target: Id, width: u8, diversity: bool) -> Self {
        Self {
            target,
            shortlist: Vec::new(),
            seeds: Vec::new(),
            width: width.clamp(1, 32),
            diversity,
            density: Density::default(),
            early: false,
            announcing: false,
            asked: 0,
        }
    }

    /// Says how dense the network is: of those who sit closer together than chance would put them, no
    /// more are asked and told than are plausible.
    pub fn set_density(&mut self, density: Density) {
        self.density = density;
    }

    /// Whether so many count already as are plausible up to a candidate.
    fn is_crowded(&self, count: usize, candidate: &Candidate) -> bool {
        self.density.is_crowded(count, candidate.contact.id.distance(self.target))
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
            let (state, late) = (State::Fresh, Late::No);
            let _ = self.seeds.push(Seed { addr, state, late, tries: 0, open: 0 });
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
            let (mut same, mut beside) = (0, 0);
            for other in self.shortlist.iter().map(|c| Network::of(c.contact.addr.ip())) {
                same += usize::from(other == network);
                beside += usize::from(other.is_beside(network));
            }
            if same >= Self::PER_NETWORK || beside >= Self::PER_SITE {
                return false;
            }
        }
        // Whoever has answered did not name it, or it would be known.
        let head = self.head(contact.id);
        let overlooked = self.shortlist.iter().filter(|c| self.reaches(c, head)).count() as u8;
        self.insert(Candidate {
            contact,
            state: State::Fresh,
            announce: State::Fresh,
            late: [Late::No; 2],
            tries: [0; 2],
            open: [0; 2],
            standing: if doubtful { Standing::Doubtful } else { Standing::Plain },
            testimony: Testimony { named: 0, overlooked },
            reach: 0,
            token: Token::new(),
        })
    }

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

    /// The first bits of the distance to the target: enough to compare by.
    fn head(&self, id: Id) -> u32 {
        let [a, b, c, d, ..] = id.distance(self.target).0;
        u32::from_be_bytes([a, b, c, d])
    }

    /// Whether a candidate has told of all that it knows at this distance. It told of somebody farther
    /// who stands in another of its buckets, so it left nobody of this one out.
    fn reaches(&self, candidate: &Candidate, head: u32) -> bool {
        let own = self.head(candidate.contact.id);
        let bucket = |head: u32| (own ^ head).leading_zeros();
        head < candidate.reach && head != own && bucket(head) != bucket(candidate.reach)
    }

    fn insert(&mut self, candidate: Candidate) -> bool {
        let distance = |candidate: &Candidate| candidate.contact.id.distance(self.target);
        let new = distance(&candidate);
        let at = self.shortlist.partition_point(|known| distance(known) < new);
        if self.shortlist.is_full() {
            // Whoever was given up gives way, or is too many where it is, else the farthest that no
            // question is open to.
            let given_up = |c: &Candidate| match c.state {
                State::Failed => c.open == [0; 2],
                State::Asked => c.is_given_up(self.early),
                State::Fresh | State::Answered => false,
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
                State::Failed => {}
                _ if !self.is_crowded(count, candidate) => count += 1,
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
            false if self.early => self.next_search().or_else(|| self.next_announce()),
            false => self.next_search(),
        };
        self.asked = self.asked.saturating_add(u16::from(ask.is_some()));
        ask
    }

    fn next_search(&mut self) -> Option<Ask> {
        if let Some(index) = self.next_candidate() {
            return self.shortlist.get_mut(index).map(|c| c.ask(Errand::Search));
        }
        // Seeds only while candidates are few: they are public routers and have enough to do.
        if self.shortlist.iter().any(|candidate| candidate.state == State::Fresh) {
            return None;
        }
        let again = |seed: &Seed| seed.late >= Late::Slow && seed.tries < Self::TRIES_MAX;
        let wanted = |seed: &&mut Seed| match seed.state {
            State::Fresh => true,
            State::Asked => again(seed),
            State::Answered | State::Failed => false,
        };
        let seed = self.seeds.iter_mut().find(wanted)?;
        let repeat = seed.tries > 0;
        seed.state = State::Asked;
        seed.tries += 1;
        seed.open += 1;
        Some(Ask { addr: seed.addr, id: None, errand: Errand::Search, repeat })
    }

    /// The candidate to search at next, within the window of the `K` closest that are neither suspect
    /// nor late nor given up: closest first, doubtful ones last.
    fn next_candidate(&self) -> Option<usize> {
        let (mut window, mut confirmed) = (0, 0);
        let (mut again, mut doubtful, mut held_back) = (None, None, None);
        for (index, candidate) in self.shortlist.iter().enumerate() {
            if self.is_crowded(window, candidate) {
                continue;
            }
            let is_near = candidate.testimony != Testimony::default();
            match candidate.state {
                State::Fresh => {
                    window += 1;
                    if !is_near && self.ahead_of(candidate) >= u32::from(self.width) {
                        held_back = held_back.or(Some(index));
                    } else if candidate.is_doubtful() {
                        doubtful = doubtful.or(Some(index));
                    } else {
                        return again.or(Some(index));
                    }
                }
                State::Asked => {
                    let is_suspect = candidate.is_suspect();
                    window += usize::from(candidate.is_in_time() && !is_suspect);
                    // Far from the target others lead there too.
                    let is_wanted = candidate.late[0] >= Late::Slow && is_near && !is_suspect;
                    if is_wanted
                        && candidate.tries[0] < Self::TRIES_MAX
                        && !candidate.is_given_up(self.early)
                    {
                        again = again.or(Some(index));
                    }
                }
                State::Answered => {
                    window += 1;
                    confirmed += 1;
                }
                State::Failed => {}
            }
            if window >= K || confirmed >= K {
                break;
            }
        }
        again.or(doubtful).or(held_back.filter(|_| self.in_flight() == 0))
    }

    /// What the questions in flight weigh that are ahead of a candidate.
    fn ahead_of(&self, candidate: &Candidate) -> u32 {
        let own = self.head(candidate.contact.id);
        let ahead = |c: &&Candidate| c.state == State::Asked && c.is_in_time();
        let heads = self.shortlist.iter().filter(ahead).map(|c| self.head(c.contact.id));
        let closer = heads.filter(|head| *head < own);
        closer.map(|head| 1 + head.leading_zeros() - own.leading_zeros()).sum()
    }

    fn next_announce(&mut self) -> Option<Ask> {
        let index = self.announce_candidate()?;
        self.shortlist.get_mut(index).map(|c| c.ask(Errand::Announce))
    }

    /// The candidate to tell next. `K` places, closest first; one that refuses or does not confirm
    /// gives its place to the next, as long as no more than [`ANNOUNCES_MAX`] were told.
    ///
    /// While the search goes on, whoever may still answer has a place as well, and only those are told
    /// whose neighbours have answered.
    fn announce_candidate(&self) -> Option<usize> {
        let told = self.shortlist.iter().filter(|c| c.tries[1] > 0).count();
        let most = if self.announcing { ANNOUNCES_MAX } else { K };
        let mut places = 0;
        for (index, candidate) in self.shortlist.iter().enumerate() {
            if self.is_crowded(places, candidate) {
                continue;
            }
            if candidate.state != State::Answered || candidate.token.is_empty() {
                let may_answer = matches!(candidate.state, State::Fresh | State::Asked);
                places += usize::from(
                    !self.announcing && may_answer && !candidate.is_given_up(self.early),
                );
            } else {
                let Testimony { named, overlooked } = candidate.testimony;
                let is_sure = self.announcing || named.saturating_add(overlooked) >= Self::SURE;
                let again = candidate.late[1] >= Late::Slow && candidate.tries[1] < Self::TRIES_MAX;
                match candidate.announce {
                    State::Fresh if told < most && is_sure => return Some(index),
                    State::Asked if again => return Some(index),
                    State::Fresh if self.announcing => return None,
                    State::Failed => {}
                    State::Asked if candidate.late[1] >= Late::Very => {}
                    State::Fresh | State::Asked | State::Answered => places += 1,
                }
            }
            if places == K {
                return None;
            }
        }
        None
    }

    /// Questions in flight that count: of the candidates asked and not late.
    pub fn in_flight(&self) -> usize {
        let counts = |c: &&Candidate| c.state == State::Asked && c.is_in_time();
        let seeds = self.seeds.iter().filter(|s| s.state == State::Asked && s.late < Late::Very);
        self.shortlist.iter().filter(counts).count() + seeds.count()
    }

    /// A question passed a soft deadline.
    pub fn slow(&mut self, addr: &SocketAddr, errand: Errand, late: Late) {
        if let Some(seed) = self.seed_at(addr) {
            seed.late = seed.late.max(late);
        }
        // The first of two questions is the later one.
        let known = self.candidate_at(addr).and_then(|c| c.late.get_mut(errand as usize));
        if let Some(known) = known {
            *known = late.max(*known);
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
            if self.is_crowded(confirmed, candidate) {
                continue;
            }
            match candidate.state {
                State::Answered => confirmed += 1,
                State::Failed => {}
                State::Asked if candidate.is_given_up(self.early) => {}
                State::Fresh | State::Asked => return false,
            }
            if confirmed == K {
                return true;
            }
        }
        let is_over = |seed: &Seed| match seed.state {
            State::Fresh => false,
            // Nobody stands in for it where nobody else is known.
            State::Asked => seed.late >= Late::Hopeless,
            State::Answered | State::Failed => true,
        };
        self.seeds.iter().all(is_over)
    }

    /// For an announce: each of the closest is told as soon as it is known to be one of them. Nobody
    /// waits for the last, so the search is patient with all of them.
    pub fn tell_early(&mut self) {
        self.early = true;
    }

    /// Begins the second half of an announce: from now on [`Lookup::next_ask`] says whom to tell.
    pub fn begin_announce(&mut self) {
        self.announcing = true;
    }

    /// Whether every announce was confirmed or given up.
    pub fn has_announced(&self) -> bool {
        self.announcing
            && self.shortlist.iter().all(|c| c.announce != State::Asked || c.late[1] >= Late::Very)
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

    fn is_in_time(&self) -> bool {
        self.late[0] < Late::Very
    }

    /// Whether it is likelier dead than not.
    fn is_suspect(&self) -> bool {
        self.is_doubtful() || self.testimony.is_overlooked(Lookup::SUSPECT)
    }

    /// Whether its answer is not waited for any longer.
    ///
    /// `calmly`: nobody waits for the end.
    fn is_given_up(&self, calmly: bool) -> bool {
        let patience = match () {
            _ if self.is_doubtful() || self.testimony == Testimony::default() => Late::Slow,
            _ if !self.is_suspect() => Late::Hopeless,
            _ if calmly => Late::Hopeless,
            _ if self.testimony.is_overlooked(2) => Late::Slow,
            _ => Late::Very,
        };
        self.late[0] >= patience
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
