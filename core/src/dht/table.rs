//! The routing table: the nodes that we know, few of them far away and many close by (BEP 5).
//!
//! Bucket `i` holds nodes whose ids share exactly `i` bits with ours; the last bucket holds all
//! that share more, and splits when it is full, as long as there is room for another bucket.
//!
//! A node is *good* if it answered us within 15 minutes, or answered once and asked us something
//! within 15 minutes; *questionable* after that; *bad* once it failed to answer twice in a row. Only
//! nodes that have answered us are ever let in. A full bucket keeps a few newcomers in reserve: the
//! one heard of last takes the place of the next node that turns bad. Old good nodes are never
//! displaced, since those that have been there long tend to stay.
//!
//! Knows time; knows no messages. [`Routing`] is the seam for policies of one's own.

use core::net::SocketAddr;
use core::time::Duration;

use heapless::Vec;
use rand_core::Rng;

use crate::contact::{Contact, Network};
use crate::id::{Distance, Id};
use crate::limits::{K, RESERVES_MAX};
use crate::list::List;
use crate::time::Instant;

/// What a node needs of a routing table: implement it to bring your own, or wrap [`Table`].
pub trait Routing {
    /// Our own id, around which the table is built.
    fn own(&self) -> Id;

    /// Takes on a new own id. Nodes stay as far as they fit.
    fn rebase(&mut self, now: Instant, own: Id);

    /// A node answered a question of ours. Returns whether it is in the table now.
    fn answered(&mut self, now: Instant, contact: Contact, rtt: Duration, proof: Proof) -> bool;

    /// A node asked us something. Returns whether it is in the table under this id and address.
    fn asked_us(&mut self, now: Instant, contact: &Contact) -> bool;

    /// A node did not answer.
    fn silent(&mut self, now: Instant, addr: &SocketAddr);

    /// Whether there would be a place for a node that was heard of, if it answers.
    fn wants(&self, now: Instant, contact: Contact) -> bool;

    /// Takes in a node known from a former run: it is asked before it counts as good.
    fn restore(&mut self, now: Instant, contact: Contact);

    /// Forgets a node.
    fn remove(&mut self, addr: &SocketAddr);

    /// Never drop this node, or do again.
    fn protect(&mut self, addr: &SocketAddr, protected: bool);

    /// The nodes closest to `target`, closest first, as many as `found` has room for.
    fn closest<const N: usize>(
        &self,
        now: Instant,
        target: Id,
        quality: Quality,
        found: &mut Vec<Contact, N>,
    );

    /// The one question that upkeep wants asked at `now`, if it is time for one.
    fn upkeep(&mut self, now: Instant, random: &mut impl Rng) -> Option<Upkeep>;

    /// When upkeep wants to ask next; `None` while nobody is known.
    fn deadline(&self) -> Option<Instant>;

    /// How many nodes are in the table.
    fn len(&self) -> usize;

    /// Whether nobody is known.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How they are.
    fn counts(&self, now: Instant) -> Counts;

    /// Every node in the table, closest bucket first.
    fn for_each(&self, see: &mut dyn FnMut(&Entry));
}

/// Whether a node's id fits its address (BEP 42).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    /// It does not.
    Unverified,
    /// It does, or the address is exempt.
    Verified,
}

/// Which nodes are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    /// Such as one may tell others of: good ones, and questionable ones where those do not suffice.
    Good,
    /// Whoever may be alive.
    Usable,
}

/// A question of the table's upkeep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upkeep {
    /// Is it still there?
    Ping(Contact),
    /// Is it still there, and whom does it know in a part of the key space where we know few?
    FindNode {
        /// Whom to ask.
        via: Contact,
        /// For whom.
        target: Id,
    },
}

/// How the nodes of a table are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Heard of within 15 minutes.
    pub good: usize,
    /// Not heard of for longer.
    pub questionable: usize,
    /// Silent twice in a row.
    pub bad: usize,
    /// Waiting for a place.
    pub reserves: usize,
    /// Buckets in use.
    pub buckets: usize,
}

/// A node in the table.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Who and where.
    pub contact: Contact,
    /// When it last answered or asked.
    pub heard: Instant,
    /// Its last round trip in milliseconds.
    pub rtt_ms: u16,
    /// Failures to answer in a row.
    pub silences: u8,
    /// Whether its id fits its address.
    pub proof: Proof,
    /// Whether it has answered us in this run.
    pub answered: bool,
    /// Whether it may never be dropped.
    pub protected: bool,
}

impl Entry {
    /// Failures in a row that make a node bad.
    const SILENCES_MAX: u8 = 2;

    /// Whether it is no longer to be relied on.
    pub fn is_bad(&self) -> bool {
        self.silences >= Self::SILENCES_MAX
    }

    fn is_good(&self, now: Instant, config: &TableConfig) -> bool {
        self.answered && self.silences == 0 && now.since(self.heard) < config.questionable_after
    }
}

/// How a [`Table`] behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableConfig {
    /// One node of each address and of each /24 or /64. Otherwise one of each address and port.
    pub diversity: bool,
    /// In a full bucket, a node whose id fits its address takes the place of one whose does not.
    pub prefer_verified: bool,
    /// Ask of one's own accord.
    pub upkeep: bool,
    /// The least time between two such questions.
    pub upkeep_spacing: Duration,
    /// How long a node counts as good without being heard of.
    pub questionable_after: Duration,
}

impl Default for TableConfig {
    fn default() -> Self {
        Self {
            diversity: true,
            prefer_verified: true,
            upkeep: true,
            upkeep_spacing: Duration::from_secs(5),
            questionable_after: Duration::from_secs(15 * 60),
        }
    }
}

/// Up to `K` nodes at about the same distance, and a few in reserve.
#[derive(Clone, Debug, Default)]
pub struct Bucket {
    entries: Vec<Entry, K, u8>,
    reserves: Vec<Entry, RESERVES_MAX, u8>,
    /// When somebody was last looked for here.
    refreshed: Instant,
}

/// The default routing table, with as many buckets as its list has room for.
#[derive(Debug)]
pub struct Table<L: List<Bucket>> {
    own: Id,
    buckets: L,
    config: TableConfig,
    len: usize,
    /// The one deadline: when upkeep looks again.
    next: Option<Instant>,
}

impl<L: List<Bucket>> Table<L> {
    /// An empty table in an empty list.
    pub fn new(own: Id, config: TableConfig, mut buckets: L) -> Self {
        let _ = buckets.push(Bucket::default());
        Self { own, buckets, config, len: 0, next: None }
    }

    /// The bucket that an id belongs to.
    fn index(&self, id: Id) -> usize {
        let shared = id.distance(self.own).leading_zeros() as usize;
        shared.min(self.buckets.len().saturating_sub(1))
    }

    fn find(&mut self, contact: &Contact) -> Option<&mut Entry> {
        let index = self.index(contact.id);
        let bucket = self.buckets.get_mut(index)?;
        let known = |entry: &&mut Entry| entry.contact == *contact;
        bucket.entries.iter_mut().chain(&mut bucket.reserves).find(known)
    }

    fn at(&mut self, addr: &SocketAddr) -> Option<&mut Entry> {
        let known = |entry: &&mut Entry| entry.contact.addr == *addr;
        let all = |bucket| {
            let Bucket { entries, reserves, .. }: &mut Bucket = bucket;
            entries.iter_mut().chain(reserves)
        };
        self.buckets.iter_mut().flat_map(all).find(known)
    }

    /// Somebody in the table whose presence forbids another at this address or with this id.
    fn rival(&self, contact: &Contact) -> Option<(usize, Entry)> {
        let network = Network::of(contact.addr.ip());
        let diversity = self.config.diversity;
        let clashes = move |entry: &Entry| {
            entry.contact.id == contact.id
                || entry.contact.addr == contact.addr
                || (diversity && Network::of(entry.contact.addr.ip()) == network)
        };
        self.buckets.iter().enumerate().find_map(|(index, bucket)| {
            let mut all = bucket.entries.iter().chain(&bucket.reserves);
            all.find(|entry| clashes(entry)).map(|entry| (index, *entry))
        })
    }

    fn drop_at(&mut self, addr: &SocketAddr) {
        for bucket in self.buckets.iter_mut() {
            if let Some(index) = bucket.reserves.iter().position(|e| e.contact.addr == *addr) {
                bucket.reserves.remove(index);
            }
            if let Some(index) = bucket.entries.iter().position(|e| e.contact.addr == *addr) {
                bucket.entries.swap_remove(index);
                self.len -= 1;
                if let Some(reserve) = bucket.reserves.pop() {
                    self.len += usize::from(bucket.entries.push(reserve).is_ok());
                }
            }
        }
    }

    /// Gives an entry its place, splitting the last bucket as often as that helps.
    fn place(&mut self, now: Instant, entry: Entry) -> bool {
        loop {
            let index = self.index(entry.contact.id);
            let last = index + 1 == self.buckets.len();
            let Some(bucket) = self.buckets.get_mut(index) else { return false };
            if bucket.entries.push(entry).is_ok() {
                self.len += 1;
                self.wake(now);
                return true;
            }
            if last && self.split() {
                continue;
            }
            let prefer = self.config.prefer_verified;
            let Some(bucket) = self.buckets.get_mut(index) else { return false };
            return bucket.displace(entry, prefer) || bucket.reserve(entry);
        }
    }

    /// Splits the last bucket in two. False if there is no room or nothing to gain.
    fn split(&mut self) -> bool {
        let shared = self.buckets.len();
        if shared >= 160 || self.buckets.push(Bucket::default()).is_err() {
            return false;
        }
        let own = self.own;
        let Some([old, new]) = self.buckets.last_chunk_mut::<2>() else { return false };
        new.refreshed = old.refreshed;
        let moves = |e: &Entry| e.contact.id.distance(own).leading_zeros() as usize >= shared;
        move_if(&mut old.entries, &mut new.entries, moves);
        move_if(&mut old.reserves, &mut new.reserves, moves);
        for bucket in [old, new] {
            // A split makes room on both sides for those in reserve.
            while !bucket.entries.is_full() {
                let Some(reserve) = bucket.reserves.pop() else { break };
                self.len += usize::from(bucket.entries.push(reserve).is_ok());
            }
        }
        true
    }

    /// Sees to it that upkeep has a deadline.
    fn wake(&mut self, now: Instant) {
        if self.next.is_none() {
            self.next = Some(now + self.config.upkeep_spacing);
        }
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.buckets.iter().rev().flat_map(|bucket| &bucket.entries)
    }

    /// A random id that belongs to a bucket.
    fn id_within(&self, index: usize, random: &mut impl Rng) -> Id {
        let mut bytes = [0; 20];
        random.fill_bytes(&mut bytes);
        let last = index + 1 == self.buckets.len();
        // The first `index` bits are ours; the one behind is not, unless this is the last bucket.
        for (position, (byte, own)) in bytes.iter_mut().zip(self.own.0).enumerate() {
            let shared = index.saturating_sub(position * 8);
            let kept = if shared >= 8 { 0xff } else { !(0xffu8 >> shared) };
            *byte = own & kept | *byte & !kept;
            if shared < 8 && index >= position * 8 && !last {
                let bit = 0x80u8 >> shared;
                *byte = *byte & !bit | (!own & bit);
            }
        }
        Id(bytes)
    }
}

fn move_if<const N: usize>(
    from: &mut Vec<Entry, N, u8>,
    to: &mut Vec<Entry, N, u8>,
    moves: impl Fn(&Entry) -> bool,
) {
    for entry in from.iter().filter(|entry| moves(entry)) {
        let _ = to.push(*entry);
    }
    from.retain(|entry| !moves(entry));
}

impl Bucket {
    /// Puts an entry in the place of one that is worse. The one displaced is gone.
    fn displace(&mut self, new: Entry, prefer_verified: bool) -> bool {
        let worse = |entry: &&mut Entry| {
            !entry.protected
                && (entry.is_bad() || (prefer_verified && entry.proof < new.proof && !new.is_bad()))
        };
        let worst = self.entries.iter_mut().filter(worse);
        let Some(place) = worst.max_by_key(|entry| (entry.silences, entry.proof < new.proof))
        else {
            return false;
        };
        *place = new;
        true
    }

    /// Keeps an entry in reserve, in place of the one heard of longest ago.
    fn reserve(&mut self, new: Entry) -> bool {
        if self.reserves.is_full() {
            self.reserves.remove(0);
        }
        let _ = self.reserves.push(new);
        false
    }
}

impl<L: List<Bucket>> Routing for Table<L> {
    fn own(&self) -> Id {
        self.own
    }

    fn rebase(&mut self, now: Instant, own: Id) {
        self.own = own;
        // Bucket by bucket out and in again: those taken out fit on the stack.
        let len = self.buckets.len();
        let mut waiting = core::mem::take(&mut self.len);
        for index in 0..len {
            let Some(bucket) = self.buckets.get_mut(index) else { break };
            let old = core::mem::take(bucket);
            bucket.refreshed = old.refreshed;
            for entry in old.entries.iter().chain(&old.reserves) {
                let place = self.index(entry.contact.id);
                // Buckets not emptied yet make room when their turn comes.
                let Some(bucket) = self.buckets.get_mut(place) else { continue };
                if bucket.entries.push(*entry).is_err() {
                    bucket.reserve(*entry);
                }
            }
            waiting = waiting.saturating_sub(old.entries.len());
        }
        self.len = self.buckets.iter().map(|bucket| bucket.entries.len()).sum();
        while self.buckets.last().is_some_and(|last| last.entries.is_full()) && self.split() {}
        self.wake(now);
    }

    fn answered(&mut self, now: Instant, contact: Contact, rtt: Duration, proof: Proof) -> bool {
        let rtt_ms = rtt.as_millis().min(u128::from(u16::MAX)) as u16;
        if let Some(entry) = self.find(&contact) {
            entry.heard = entry.heard.max(now);
            entry.answered = true;
            entry.silences = 0;
            entry.rtt_ms = rtt_ms;
            entry.proof = proof;
            return true;
        }
        if contact.id == self.own {
            return false;
        }
        if let Some((_, rival)) = self.rival(&contact) {
            let here = rival.contact.addr == contact.addr;
            // Another id at a known address: the node was made anew, and has just proven it. Any
            // other claim waits until the rival has been silent.
            if rival.protected || !(here || rival.silences > 0) {
                return false;
            }
            self.drop_at(&rival.contact.addr);
        }
        let entry = Entry {
            contact,
            heard: now,
            rtt_ms,
            silences: 0,
            proof,
            answered: true,
            protected: false,
        };
        self.place(now, entry)
    }

    fn asked_us(&mut self, now: Instant, contact: &Contact) -> bool {
        let Some(entry) = self.find(contact) else { return false };
        if entry.answered {
            entry.heard = entry.heard.max(now);
        }
        entry.answered
    }

    fn silent(&mut self, _now: Instant, addr: &SocketAddr) {
        for bucket in self.buckets.iter_mut() {
            if let Some(index) = bucket.reserves.iter().position(|e| e.contact.addr == *addr) {
                bucket.reserves.remove(index);
                return;
            }
            let Some(index) = bucket.entries.iter().position(|e| e.contact.addr == *addr) else {
                continue;
            };
            let Some(entry) = bucket.entries.get_mut(index) else { return };
            entry.silences = entry.silences.saturating_add(1);
            if entry.is_bad() && !entry.protected {
                if let Some(reserve) = bucket.reserves.pop() {
                    *entry = reserve;
                }
            }
            return;
        }
    }

    fn wants(&self, _now: Instant, contact: Contact) -> bool {
        if contact.id == self.own || self.rival(&contact).is_some() {
            return false;
        }
        let index = self.index(contact.id);
        let splits =
            index + 1 == self.buckets.len() && self.buckets.len() < self.buckets.capacity();
        self.buckets.get(index).is_some_and(|bucket| {
            splits
                || !bucket.entries.is_full()
                || !bucket.reserves.is_full()
                || bucket.entries.iter().any(Entry::is_bad)
        })
    }

    fn restore(&mut self, now: Instant, contact: Contact) {
        if contact.id != self.own && self.rival(&contact).is_none() {
            let entry = Entry {
                contact,
                heard: Instant::EPOCH,
                rtt_ms: 0,
                silences: 0,
                proof: Proof::Unverified,
                answered: false,
                protected: false,
            };
            self.place(now, entry);
        }
    }

    fn remove(&mut self, addr: &SocketAddr) {
        self.drop_at(addr);
    }

    fn protect(&mut self, addr: &SocketAddr, protected: bool) {
        if let Some(entry) = self.at(addr) {
            entry.protected = protected;
        }
    }

    fn closest<const N: usize>(
        &self,
        now: Instant,
        target: Id,
        quality: Quality,
        found: &mut Vec<Contact, N>,
    ) {
        let mut nearest = Nearest::<N>::new(target);
        let home = self.index(target);
        // Nodes of the home bucket share more bits with the target than any other; those of the
        // buckets beyond share as many as we do; each bucket before shares one less.
        let (before, beyond) = self.buckets.split_at_checked(home).unwrap_or_default();
        let (home, beyond) = match beyond.split_first() {
            Some((home, beyond)) => (core::slice::from_ref(home), beyond),
            None => (beyond, beyond),
        };
        let usable = |entry: &&Entry| !entry.is_bad();
        let good = |entry: &&Entry| entry.is_good(now, &self.config);
        let gather = |nearest: &mut Nearest<N>, wanted: &dyn Fn(&&Entry) -> bool| {
            for group in [home, beyond] {
                for bucket in group {
                    bucket.entries.iter().filter(wanted).for_each(|entry| nearest.offer(entry));
                }
                if nearest.end_of_group() {
                    return;
                }
            }
            for bucket in before.iter().rev() {
                bucket.entries.iter().filter(wanted).for_each(|entry| nearest.offer(entry));
                if nearest.end_of_group() {
                    return;
                }
            }
        };
        if quality == Quality::Good {
            gather(&mut nearest, &good);
            if !nearest.is_full() {
                gather(&mut nearest, &|entry| !entry.is_bad() && !good(entry));
            }
        } else {
            gather(&mut nearest, &usable);
        }
        nearest.into(found);
    }

    fn upkeep(&mut self, now: Instant, random: &mut impl Rng) -> Option<Upkeep> {
        if !self.config.upkeep || self.next.is_none_or(|next| next > now) {
            return None;
        }
        let after = self.config.questionable_after;
        // Whom was nothing heard of for longest? Silent ones are asked again at once.
        let due =
            |entry: &Entry| if entry.silences > 0 { Instant::EPOCH } else { entry.heard + after };
        let mut stalest: Option<(Instant, usize, Contact)> = None;
        for (index, bucket) in self.buckets.iter().enumerate() {
            for entry in bucket.entries.iter().filter(|entry| !entry.is_bad() || entry.protected) {
                if stalest.is_none_or(|(known, ..)| due(entry) < known) {
                    stalest = Some((due(entry), index, entry.contact));
                }
            }
        }
        // Which bucket with room was looked after longest ago?
        let thin = self.buckets.iter().enumerate().filter(|(_, bucket)| !bucket.entries.is_full());
        let thin = thin.map(|(index, bucket)| (bucket.refreshed + after, index)).min();

        let Some((stale_at, index, contact)) = stalest else {
            self.next = None;
            return None;
        };
        let asked = if stale_at <= now {
            let full = self.buckets.get(index).is_some_and(|bucket| bucket.entries.is_full());
            Some((index, contact, !full))
        } else {
            // Whoever is closest to the bucket may know somebody in it.
            let thin = thin.filter(|(at, _)| *at <= now);
            thin.and_then(|(_, index)| {
                let mut one = Vec::<Contact, 1>::new();
                let target = self.id_within(index, random);
                self.closest(now, target, Quality::Usable, &mut one);
                one.first().map(|via| (index, *via, true))
            })
        };
        let Some((index, contact, find)) = asked else {
            let at = thin.map_or(stale_at, |(at, _)| stale_at.min(at));
            self.next = Some(at.max(now + self.config.upkeep_spacing));
            return None;
        };
        self.next = Some(now + self.config.upkeep_spacing);
        if !find {
            return Some(Upkeep::Ping(contact));
        }
        let target = self.id_within(index, random);
        if let Some(bucket) = self.buckets.get_mut(index) {
            bucket.refreshed = now;
        }
        Some(Upkeep::FindNode { via: contact, target })
    }

    fn deadline(&self) -> Option<Instant> {
        self.next.filter(|_| self.config.upkeep)
    }

    fn len(&self) -> usize {
        self.len
    }

    fn counts(&self, now: Instant) -> Counts {
        let mut counts = Counts { buckets: self.buckets.len(), ..Counts::default() };
        for bucket in self.buckets.iter() {
            counts.reserves += bucket.reserves.len();
            for entry in &bucket.entries {
                if entry.is_bad() {
                    counts.bad += 1;
                } else if entry.is_good(now, &self.config) {
                    counts.good += 1;
                } else {
                    counts.questionable += 1;
                }
            }
        }
        counts
    }

    fn for_each(&self, see: &mut dyn FnMut(&Entry)) {
        self.entries().for_each(see);
    }
}

/// The nearest nodes met so far. Nodes come in groups, each farther than the one before, so only
/// within a group is anything compared.
struct Nearest<const N: usize> {
    target: Id,
    found: Vec<(Distance, Contact), N>,
    /// Where the group begins.
    group: usize,
}

impl<const N: usize> Nearest<N> {
    fn new(target: Id) -> Self {
        Self { target, found: Vec::new(), group: 0 }
    }

    #[inline]
    fn offer(&mut self, entry: &Entry) {
        let distance = entry.contact.id.distance(self.target);
        if self.found.is_full() {
            if self.found.last().is_none_or(|(last, _)| distance >= *last) {
                return;
            }
            // Those of an earlier group are closer anyway.
            self.found.pop();
        }
        let mut at = self.found.len();
        while at > self.group && self.found.get(at - 1).is_some_and(|(d, _)| distance < *d) {
            at -= 1;
        }
        let _ = self.found.insert(at, (distance, entry.contact));
    }

    /// Returns whether there is no use in going on.
    fn end_of_group(&mut self) -> bool {
        self.group = self.found.len();
        self.found.is_full()
    }

    fn is_full(&self) -> bool {
        self.found.is_full()
    }

    fn into(self, found: &mut Vec<Contact, N>) {
        found.clear();
        let mut all = self.found;
        // Good ones and those that fill up were gathered one after the other.
        all.sort_unstable_by_key(|(distance, _)| *distance);
        found.extend(all.into_iter().map(|(_, contact)| contact));
    }
}

const _: () = assert!(size_of::<Entry>() <= 80);
