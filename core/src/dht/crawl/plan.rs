//! Whom a crawl asks next, about what, and when a round is over.
//!
//! A round goes through a part of the key space and asks each node that may be asked once, so one
//! question both samples and discovers (BEP 51: the target of each is ours to choose).
//!
//! # The sweep
//!
//! The space is halved until its parts are known completely. What is done with a part:
//!
//! ```text
//!   more than K known in it            halve it; nobody is asked
//!   somebody in it was not asked yet   ask them for its nodes
//!        tells K nodes of the part     there may be more: halve it
//!        tells fewer                   these are all: if a second says so, it is covered
//!        does not tell                 the next one
//!   nobody in it is left to be asked   if one has told, it is covered
//!   nobody in it has told              ask two outside, the closest, then it is covered
//! ```
//!
//! In a covered part everybody else is asked for nodes around their own place, somewhat farther than
//! the part reaches: what the one who was asked about the part does not know is known to others.
//! Nodes that are told of later are asked when the sweep is over.
//!
//! A round ends, whatever liars tell: each question takes a node away that is not asked again before
//! the next round, of one answer no more than `K` nodes are taken, and [`Known`] bounds how many nodes
//! there are. Later rounds do the same with those who may be asked again, and ask nobody outside of a
//! part.
//!
//! Knows time, since nodes say when they may be asked again; knows no messages.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use rand_core::Rng;

use crate::contact::Contact;
use crate::dht::crawl::known::{Entry, Kind, Known, Sample};
use crate::dht::crawl::prefix::Prefix;
use crate::id::Id;
use crate::limits::{CRAWL_TRIES_MAX, K};
use crate::time::Instant;

/// How many have to say that a part holds no more.
const AGREE: u8 = 2;
/// Nobody is expected in a part so many bits deeper than others, unless somebody was told of there: a
/// crowd, which a liar can invent, is in many empty parts.
const VOID_BITS: u32 = 8;
/// So many have to be covered before it is known how deep others are.
const SETTLED: u32 = 64;

/// A question to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errand {
    /// Whom.
    pub to: SocketAddr,
    /// About which point.
    pub target: Id,
    /// Whether samples are wanted, or nodes alone.
    pub samples: bool,
    /// The part of the key space that waits for the answer.
    part: Option<Part>,
    /// It was asked before, and it was not clear why nobody answered.
    again: bool,
}

/// What an answer says, as far as the plan has to know.
#[derive(Clone, Copy, Debug)]
pub struct Said<'a> {
    /// Who it says it is.
    pub id: Option<Id>,
    /// The nodes it tells of, `K` at most.
    pub nodes: &'a [Contact],
    /// Its sample; none if it does not know what that is.
    pub sample: Option<Sample>,
}

/// A part of the key space that is not covered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    prefix: Prefix,
    /// Nodes in it that told of it.
    inside: u8,
    /// Nodes outside of it that told of it.
    outside: u8,
    /// Nodes outside of it that were asked about it.
    tried: u8,
    /// Somebody told so many of it that there may be more.
    is_full: bool,
}

/// The plan of a crawl.
#[derive(Debug)]
pub struct Plan {
    /// Everybody.
    pub known: Known,
    slice: Prefix,
    /// Those who may be asked in this round and were not yet.
    waiting: BTreeSet<(Id, SocketAddr)>,
    /// Parts to be covered, the next one last.
    open: Vec<Part>,
    /// How many of them wait for an answer.
    asked_about: usize,
    /// Covered parts in which somebody waits to be asked.
    covered: VecDeque<Prefix>,
    /// Questions that come first: they were decided before.
    first: Vec<Errand>,
    /// How much is covered, 0 to 1.
    share: f64,
    /// Covered parts in which there was somebody.
    settled: u32,
    /// How many sixteenths of a bit parts have that are covered: as many have more as have less.
    depth: u32,
    round: u32,
    /// Whether this round asks those outside as well.
    is_thorough: bool,
    /// Whether it had nobody left to ask about a part.
    is_lacking: bool,
}

impl Plan {
    /// For a part of the key space, with room for so many nodes.
    pub fn new(slice: Prefix, nodes: usize) -> Self {
        Self {
            known: Known::new(nodes),
            slice,
            waiting: BTreeSet::new(),
            open: Vec::new(),
            asked_about: 0,
            covered: VecDeque::new(),
            first: Vec::new(),
            share: 0.0,
            settled: 0,
            depth: u32::from(slice.bits()) * 16,
            round: 0,
            is_thorough: true,
            is_lacking: false,
        }
    }

    /// The part of the key space that is crawled.
    pub fn slice(&self) -> Prefix {
        self.slice
    }

    /// Which round this is, counted from 1; 0 before the first.
    pub fn round(&self) -> u32 {
        self.round
    }

    /// The number of a round that ended before a restart.
    pub(crate) fn set_round(&mut self, round: u32) {
        self.round = round;
    }

    /// How much of the slice is covered in this round, 0 to 1.
    pub fn share(&self) -> f64 {
        self.share.min(1.0)
    }

    /// How many wait to be asked in this round.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Begins a round: a thorough one goes where nobody is known as well.
    pub fn begin(&mut self, now: Instant, is_thorough: bool) {
        self.known.forget_silent(now);
        self.round = self.round.saturating_add(1);
        self.is_thorough = is_thorough;
        self.is_lacking = false;
        self.share = 0.0;
        self.asked_about = 0;
        self.covered.clear();
        self.first.clear();
        self.open.clear();
        self.open.push(Part::new(self.slice));
        let due = self.known.due(now).filter(|contact| self.slice.contains(contact.id));
        self.waiting = due.map(|contact| (contact.id, contact.addr)).collect();
    }

    /// Hears of a node. Returns whether it is one to be asked: of the slice, new, and with room.
    pub fn meet(&mut self, contact: Contact) -> bool {
        let is_new = self.slice.contains(contact.id)
            && self.known.insert(contact.addr, Entry::heard(contact.id));
        if is_new {
            self.waiting.insert((contact.id, contact.addr));
        }
        is_new
    }

    /// The next question. It counts as asked, unless it is [given back](Plan::give_back).
    ///
    /// Looks at so many parts at most, and counts them down: at zero there may be more to be asked,
    /// and others should have their turn before.
    pub fn next(&mut self, random: &mut impl Rng, parts: &mut u32) -> Option<Errand> {
        if let Some(errand) = self.first.pop() {
            return Some(errand);
        }
        if let Some(errand) = self.next_part(random, parts) {
            return Some(errand);
        }
        if *parts == 0 {
            return None;
        }
        if let Some(to) = self.next_covered() {
            return Some(self.ask_around(to, random));
        }
        if self.asked_about > 0 {
            // Who waits may be needed for what the answers show.
            return None;
        }
        let to = self.waiting.first().copied()?;
        Some(self.ask_around(to, random))
    }

    /// A question could not be asked now.
    pub fn give_back(&mut self, errand: Errand) {
        self.first.push(errand);
    }

    /// A question can never be asked.
    pub fn give_up(&mut self, now: Instant, errand: Errand) {
        self.silent(now, errand);
    }

    /// Somebody answered. Returns how many of the nodes told are new.
    pub fn answered(&mut self, now: Instant, errand: Errand, said: Said<'_>) -> usize {
        if let Some(id) = said.id {
            self.known.rename(&errand.to, id);
        }
        if let Some(entry) = self.known.get_mut(&errand.to) {
            match said.sample {
                Some(sample) => entry.sampled(now, sample),
                None => entry.plain(now),
            }
        }
        let told = || said.nodes.iter().take(K);
        let new = told().filter(|contact| self.meet(**contact)).count();
        if let Some(mut part) = errand.part {
            let of_part = told().enumerate().filter(|(index, contact)| {
                // Whoever is told twice is one.
                let is_first = told().take(*index).all(|other| other.addr != contact.addr);
                is_first && part.prefix.contains(contact.id)
            });
            part.is_full = of_part.count() >= K;
            match said.id.is_none_or(|id| part.prefix.contains(id)) {
                true => part.inside += u8::from(!said.nodes.is_empty()),
                false => part.outside += 1,
            }
            self.open.push(part);
            self.asked_about = self.asked_about.saturating_sub(1);
        }
        new
    }

    /// Somebody refused. If it was for samples, nodes will do: asked for once, next of all.
    pub fn refused(&mut self, now: Instant, errand: Errand) {
        if let Some(entry) = self.known.get_mut(&errand.to) {
            entry.plain(now);
        }
        if errand.samples {
            self.first.push(Errand { samples: false, ..errand });
        } else {
            self.unanswered(errand);
        }
    }

    /// Somebody did not answer.
    pub fn silent(&mut self, now: Instant, errand: Errand) {
        if let Some(entry) = self.known.get_mut(&errand.to) {
            entry.silent(now);
        }
        self.unanswered(errand);
    }

    /// Somebody did not answer, and it was not clear whether the network was there. They are asked
    /// once more.
    pub fn doubted(&mut self, now: Instant, errand: Errand) {
        match errand.again {
            true => self.silent(now, errand),
            false => self.first.push(Errand { again: true, ..errand }),
        }
    }

    /// Whether the round is over, once no question is on its way.
    pub fn is_over(&self) -> bool {
        self.open.is_empty() && self.waiting.is_empty() && self.first.is_empty()
    }

    /// Whether a part counts as covered although nobody told of it: all who could were asked about
    /// others before. The next round is to be thorough as well, or whoever is there stays unknown.
    pub fn is_lacking(&self) -> bool {
        self.is_lacking
    }

    /// Whether anybody stores more than they told.
    pub fn has_more(&self) -> bool {
        self.of_slice().any(Entry::has_more)
    }

    /// When the next round is worth it: as soon as nine tenths of those may be asked who store more
    /// than they told; of all, if nobody does; but after a pause. None if nobody is known.
    pub fn next_round(&self, now: Instant, pause: Duration) -> Option<Instant> {
        let mut due: Vec<Instant> = self.due_of(Entry::has_more);
        if due.is_empty() {
            due = self.due_of(|entry| entry.kind != Kind::Silent);
        }
        let nine_tenths = due.len().saturating_sub(1) * 9 / 10;
        let at = match due.get_mut(nine_tenths) {
            Some(_) => *due.select_nth_unstable(nine_tenths).1,
            None => return None,
        };
        Some(at.max(now + pause))
    }

    fn due_of(&self, is_meant: impl Fn(&Entry) -> bool) -> Vec<Instant> {
        self.of_slice().filter(|entry| is_meant(entry)).map(|entry| entry.due).collect()
    }

    /// Everybody of the slice: others may be known from another crawl.
    fn of_slice(&self) -> impl Iterator<Item = &Entry> {
        let all = self.known.iter().map(|(_, entry)| entry);
        all.filter(|entry| self.slice.contains(entry.id))
    }

    // The sweep.

    /// A question about a part that is not covered; halves and covers what needs none.
    fn next_part(&mut self, random: &mut impl Rng, parts: &mut u32) -> Option<Errand> {
        while *parts > 0
            && let Some(mut part) = self.open.pop()
        {
            *parts -= 1;
            let is_crowded = part.is_full || self.known.count(part.prefix, K + 1) > K;
            if is_crowded && let Some([lower, upper]) = part.prefix.halves() {
                self.open.push(Part::new(upper));
                self.open.push(Part::new(lower));
                continue;
            }
            let is_void = self.settled >= SETTLED
                && u32::from(part.prefix.bits()) > self.depth / 16 + VOID_BITS
                && self.known.count(part.prefix, 1) == 0;
            let pilot = if is_void { None } else { self.pilot(&mut part) };
            let Some(to) = pilot else {
                self.is_lacking |= self.is_thorough && !is_void && part.is_open();
                self.settle(part.prefix);
                continue;
            };
            self.asked_about += 1;
            let target = part.prefix.random(random);
            return Some(self.ask(to, target, Some(part)));
        }
        None
    }

    /// Who is to be asked about a part: somebody in it, else the closest outside; nobody if enough
    /// were.
    fn pilot(&self, part: &mut Part) -> Option<(Id, SocketAddr)> {
        if part.inside >= AGREE {
            return None;
        }
        let inside = self.first_in(part.prefix);
        if inside.is_some() || part.inside > 0 || !self.is_thorough {
            return inside;
        }
        if !part.is_open() {
            return None;
        }
        part.tried += 1;
        let mut around = part.prefix;
        loop {
            around = around.parent()?;
            if let Some(outside) = self.first_in(around) {
                return Some(outside);
            }
        }
    }

    fn first_in(&self, prefix: Prefix) -> Option<(Id, SocketAddr)> {
        self.waiting.range(prefix.range()).next().copied()
    }

    fn settle(&mut self, prefix: Prefix) {
        self.share += prefix.share_of(self.slice);
        if self.first_in(prefix).is_some() {
            self.covered.push_back(prefix);
        }
        if self.known.count(prefix, 1) > 0 {
            self.settled = self.settled.saturating_add(1);
            // A few deep parts, which a liar can make, move it no farther than a few others do.
            match self.depth < u32::from(prefix.bits()) * 16 {
                true => self.depth += 4,
                false => self.depth = self.depth.saturating_sub(4),
            }
        }
    }

    fn unanswered(&mut self, errand: Errand) {
        if let Some(part) = errand.part {
            self.open.push(part);
            self.asked_about = self.asked_about.saturating_sub(1);
        }
    }

    // Everybody else.

    fn next_covered(&mut self) -> Option<(Id, SocketAddr)> {
        while let Some(prefix) = self.covered.front().copied() {
            if let Some(to) = self.first_in(prefix) {
                return Some(to);
            }
            self.covered.pop_front();
        }
        None
    }

    /// Asks somebody about a point in their neighbourhood.
    fn ask_around(&mut self, to: (Id, SocketAddr), random: &mut impl Rng) -> Errand {
        let bits = (self.depth / 16).saturating_sub(1).max(u32::from(self.slice.bits()));
        let target = Prefix::around(to.0, bits.min(160) as u8).random(random);
        self.ask(to, target, None)
    }

    fn ask(&mut self, to: (Id, SocketAddr), target: Id, part: Option<Part>) -> Errand {
        self.waiting.remove(&to);
        Errand { to: to.1, target, samples: true, part, again: false }
    }
}

impl Part {
    fn new(prefix: Prefix) -> Self {
        Self { prefix, inside: 0, outside: 0, tried: 0, is_full: false }
    }

    /// Whether nobody has told of it, and others are to be asked.
    fn is_open(&self) -> bool {
        self.inside == 0 && self.outside < AGREE && self.tried < CRAWL_TRIES_MAX
    }
}
