//! The default routing table: buckets around our own id, the last of which splits.

use core::marker::PhantomData;
use core::net::SocketAddr;
use core::time::Duration;

use heapless::Vec;
use rand_core::Rng;

use super::bucket::Bucket;
use super::entry::Entry;
use super::nearest::Nearest;
use super::place::{Address, Place};
use super::stamp::{Epoch, Lately};
use super::{Counts, Proof, Quality, Routing, TableConfig, Upkeep};
use crate::contact::{Contact, Network};
use crate::id::Id;
use crate::limits::{K, RESERVES_MAX};
use crate::list::List;
use crate::time::Instant;

type Entries<A> = Vec<Place<A>, K, u8>;
type Reserves<A> = Vec<Place<A>, RESERVES_MAX, u8>;

/// Bits of an id: there is no use for more buckets.
const BITS: usize = 160;

/// The default routing table, with as many buckets as its list has room for.
///
/// In a [`heapless::Vec`] it is inline and needs no allocator; a bucket takes about 1 kB.
///
/// ```
/// use core::time::Duration;
/// use tinybt_core::dht::table::{Bucket, Proof, Quality, Routing, Table, TableConfig};
/// use tinybt_core::{Contact, Id, Instant, heapless};
///
/// let buckets = heapless::Vec::<Bucket, 16>::new();
/// let mut table = Table::new(Id([7; 20]), TableConfig::default(), buckets);
/// let contact = Contact { id: Id([1; 20]), addr: ([203, 0, 113, 5], 6881).into() };
///
/// let now = Instant::from_secs(60);
/// assert!(table.answered(now, contact, Duration::from_millis(90), Proof::Unverified));
///
/// let mut found = heapless::Vec::<Contact, 8>::new();
/// table.closest(now, Id([2; 20]), Quality::Good, &mut found);
/// assert_eq!(found.as_slice(), [contact]);
/// // It is asked whether it is still there when nothing was heard of it for 15 minutes.
/// assert_eq!(table.deadline(), Some(now + Duration::from_secs(15 * 60)));
/// ```
#[derive(Clone, Debug)]
pub struct Table<L, A = SocketAddr, E = Entries<A>, R = Reserves<A>>
where
    L: List<Bucket<A, E, R>>,
{
    own: Id,
    buckets: L,
    rows: PhantomData<(A, E, R)>,
    config: TableConfig,
    epoch: Epoch,
    /// The one deadline: when upkeep looks again.
    next: Option<Instant>,
}

impl<L, A, E, R> Table<L, A, E, R>
where
    L: List<Bucket<A, E, R>>,
    A: Address,
    E: List<Place<A>> + Default,
    R: List<Place<A>> + Default,
{
    /// An empty table in an empty list. With room for no bucket it stays empty.
    pub fn new(own: Id, mut config: TableConfig, mut buckets: L) -> Self {
        // Without any spacing, a deadline could fail to lie in the future.
        config.upkeep_spacing = config.upkeep_spacing.max(Duration::from_millis(1));
        let _ = buckets.push(Bucket::default());
        Self { own, buckets, rows: PhantomData, config, epoch: Epoch::default(), next: None }
    }

    /// The bucket that an id belongs to.
    fn index(&self, id: Id) -> usize {
        let shared = id.distance(self.own).leading_zeros() as usize;
        shared.min(self.buckets.len().saturating_sub(1))
    }

    fn can_split(&self) -> bool {
        self.buckets.len() < self.buckets.capacity().min(BITS)
    }

    /// Those whose presence forbids another with this id, at this address or in this network, and
    /// whether each is in reserve.
    fn rivals(&self, id: Id, addr: A) -> impl Iterator<Item = (bool, &Place<A>)> {
        // On local networks all are neighbours.
        let network = Network::foreign(addr.addr().ip()).filter(|_| self.config.diversity);
        let is_neighbour = move |entry: &Place<A>| {
            let ip = entry.addr.addr().ip();
            network == Some(Network::of(ip)) && network == Network::foreign(ip)
        };
        let clashes =
            move |entry: &Place<A>| entry.id == id || entry.addr == addr || is_neighbour(entry);
        let entries = self.buckets.iter().flat_map(|bucket| bucket.entries.iter());
        let reserves = self.buckets.iter().flat_map(|bucket| bucket.reserves.iter());
        let all = entries.map(|entry| (false, entry)).chain(reserves.map(|entry| (true, entry)));
        all.filter(move |(_, entry)| clashes(entry))
    }

    fn first_rival(&self, id: Id, addr: A) -> Option<A> {
        self.rivals(id, addr).next().map(|(_, rival)| rival.addr)
    }

    /// Whether a rival makes room for a node that has just answered, or would.
    fn makes_room(&self, now: Instant, rival: (bool, &Place<A>), here: Option<A>) -> bool {
        let (reserved, entry) = rival;
        // Nobody asks those in reserve, so they are believed only as long as they count as good.
        let stale = reserved && !entry.is_good(self.lately(now));
        let remade = here == Some(entry.addr);
        !entry.is_protected() && (remade || entry.silences() > 0 || stale)
    }

    fn lately(&self, now: Instant) -> Lately {
        Lately::new(self.epoch.stamp(now), self.config.questionable_after)
    }

    fn take(&mut self, addr: &A) -> Option<Place<A>> {
        let prefer = self.config.prefer_verified;
        self.buckets.iter_mut().find_map(|bucket| bucket.take(addr, prefer))
    }

    /// Somebody is about to come in: into an empty table, with an epoch of its own.
    fn begin(&mut self, now: Instant) {
        if self.is_empty() {
            self.epoch = Epoch::around(now);
        }
    }

    /// Gives an entry its place, splitting the last bucket as often as that helps. Returns whether
    /// it is among the entries.
    fn place(&mut self, now: Instant, entry: Place<A>) -> bool {
        loop {
            let index = self.index(entry.id);
            let last = index + 1 == self.buckets.len();
            let Some(bucket) = self.buckets.get_mut(index) else { return false };
            if bucket.entries.is_full() && last && self.split() {
                continue;
            }
            let Some(bucket) = self.buckets.get_mut(index) else { return false };
            let placed = bucket.settle(entry, self.config.prefer_verified);
            if placed {
                bucket.refreshed = now;
                self.look_by(now, self.due(&entry));
            }
            return placed;
        }
    }

    /// Splits the last bucket in two. False if there is no room. Nobody is in reserve there: a last
    /// bucket keeps reserves only where it cannot split.
    fn split(&mut self) -> bool {
        let shared = self.buckets.len();
        if !self.can_split() || self.buckets.push(Bucket::default()).is_err() {
            return false;
        }
        let own = self.own;
        let Some([old, new]) = self.buckets.last_chunk_mut::<2>() else { return false };
        new.refreshed = old.refreshed;
        let moves = |e: &Place<A>| e.id.distance(own).leading_zeros() as usize >= shared;
        for entry in old.entries.iter().filter(|entry| moves(entry)) {
            let _ = new.entries.push(*entry);
        }
        old.entries.retain(|entry| !moves(entry));
        true
    }

    /// An entry that is not in the bucket that its id belongs to, taken out of bucket `index`.
    fn take_stray(&mut self, index: usize) -> Option<Place<A>> {
        let is_stray = |e: &Place<A>| self.index(e.id) != index || e.id == self.own;
        let bucket = self.buckets.get(index)?;
        if let Some(at) = bucket.entries.iter().position(is_stray) {
            return self.buckets.get_mut(index)?.entries.swap_remove(at);
        }
        let at = bucket.reserves.iter().position(is_stray)?;
        self.buckets.get_mut(index)?.reserves.swap_remove(at)
    }

    /// Brings a stray home. Whoever strays there makes room, and is brought home next: each turn
    /// puts one more entry in its place, so there are no more turns than entries and splits.
    fn bring_home(&mut self, mut entry: Place<A>) {
        while entry.id != self.own {
            let index = self.index(entry.id);
            let Some(bucket) = self.buckets.get(index) else { return };
            let stray = if bucket.entries.is_full() { self.take_stray(index) } else { None };
            let last = index + 1 == self.buckets.len();
            let full = self.buckets.get(index).is_some_and(|bucket| bucket.entries.is_full());
            if full && stray.is_none() && last && self.split() {
                continue;
            }
            let Some(bucket) = self.buckets.get_mut(index) else { return };
            bucket.settle(entry, self.config.prefer_verified);
            match stray {
                Some(stray) => entry = stray,
                None => return,
            }
        }
    }

    /// Makes one of the last two buckets, as long as both fit in one.
    fn merge(&mut self) {
        while let Some([before, last]) = self.buckets.last_chunk_mut::<2>() {
            let fits = before.entries.len() + last.entries.len() <= K;
            if !fits || !before.reserves.is_empty() || !last.reserves.is_empty() {
                return;
            }
            for entry in last.entries.iter() {
                let _ = before.entries.push(*entry);
            }
            self.buckets.swap_remove(self.buckets.len().saturating_sub(1));
        }
    }

    /// Sees to it that upkeep looks when something is due, though never at once.
    fn look_by(&mut self, now: Instant, due: Instant) {
        let at = due.max(now + self.config.upkeep_spacing);
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }

    fn due(&self, entry: &Place<A>) -> Instant {
        entry.due(self.epoch, self.config.questionable_after)
    }

    /// Whom nothing was heard of for longest, and when it is due to be asked.
    fn stalest(&self) -> Option<(Instant, usize, Contact)> {
        let numbered = self.buckets.iter().enumerate();
        let all = numbered.flat_map(|(i, bucket)| bucket.entries.iter().map(move |e| (i, e)));
        let stalest = all.map(|(i, e)| (self.due(e), i, e)).min_by_key(|(due, ..)| *due);
        stalest.map(|(due, index, entry)| (due, index, entry.contact()))
    }

    /// Which bucket with room was looked after longest ago, and when it is due again.
    fn thinnest(&self) -> Option<(Instant, usize)> {
        let after = self.config.questionable_after;
        let numbered = self.buckets.iter().enumerate();
        let thin = numbered.filter(|(_, bucket)| !bucket.entries.is_full());
        thin.map(|(index, bucket)| (bucket.refreshed + after, index)).min()
    }

    /// The question that is due at `now`, and the bucket that it looks after.
    fn question(&mut self, now: Instant, random: &mut impl Rng) -> Option<(usize, Upkeep)> {
        if let Some((_, index, contact)) = self.stalest().filter(|(due, ..)| *due <= now) {
            let full = self.buckets.get(index).is_some_and(|bucket| bucket.entries.is_full());
            if full {
                return Some((index, Upkeep::Ping(contact)));
            }
            let target = self.id_within(index, random);
            return Some((index, Upkeep::FindNode { via: contact, target }));
        }
        let (_, index) = self.thinnest().filter(|(due, _)| *due <= now)?;
        // Whoever is nearest to the bucket may know somebody in it.
        let target = self.id_within(index, random);
        let mut nearest = Vec::<Contact, 1>::new();
        self.closest(now, target, Quality::Usable, &mut nearest);
        let question = nearest.first().map(|via| (index, Upkeep::FindNode { via: *via, target }));
        if question.is_none()
            && let Some(bucket) = self.buckets.get_mut(index)
        {
            // Nobody to ask: not before the next turn.
            bucket.refreshed = now;
        }
        question
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

impl<L, A, E, R> Routing for Table<L, A, E, R>
where
    L: List<Bucket<A, E, R>>,
    A: Address,
    E: List<Place<A>> + Default,
    R: List<Place<A>> + Default,
{
    fn own(&self) -> Id {
        self.own
    }

    fn rebase(&mut self, now: Instant, own: Id) {
        self.own = own;
        let mut index = 0;
        while index < self.buckets.len() {
            match self.take_stray(index) {
                Some(stray) => self.bring_home(stray),
                None => index += 1,
            }
        }
        for bucket in self.buckets.iter_mut() {
            bucket.fill(self.config.prefer_verified);
            bucket.refreshed = now;
        }
        self.merge();
        if let Some((due, ..)) = self.stalest() {
            self.look_by(now, due);
        }
    }

    fn answered(&mut self, now: Instant, contact: Contact, _: Duration, proof: Proof) -> bool {
        let Some(addr) = A::keep(&contact.addr) else { return false };
        if contact.id == self.own {
            return false;
        }
        self.begin(now);
        let mut new = Place::answering(contact.id, addr, proof, self.epoch.stamp(now));
        let index = self.index(contact.id);
        let Some(bucket) = self.buckets.get_mut(index) else { return false };
        if let Some(known) = bucket.entries.iter_mut().find(|e| e.is(&contact.id, &addr)) {
            new.hear(known.heard());
            new.protect(known.is_protected());
            *known = new;
            self.look_by(now, self.due(&new));
            return true;
        }
        if let Some(at) = bucket.reserves.iter().position(|e| e.is(&contact.id, &addr)) {
            let Some(known) = bucket.reserves.remove(at) else { return false };
            new.hear(known.heard());
            new.protect(known.is_protected());
            return self.place(now, new);
        }
        let mut rivals = self.rivals(contact.id, addr);
        if !rivals.all(|rival| self.makes_room(now, rival, Some(addr))) {
            return false;
        }
        drop(rivals);
        while let Some(rival) = self.first_rival(contact.id, addr) {
            if self.take(&rival).is_none() {
                return false;
            }
        }
        self.place(now, new)
    }

    fn asked_us(&mut self, now: Instant, contact: &Contact) -> bool {
        let Some(addr) = A::keep(&contact.addr) else { return false };
        let (index, heard) = (self.index(contact.id), self.epoch.stamp(now));
        let Some(bucket) = self.buckets.get_mut(index) else { return false };
        let Some(entry) = bucket.all_mut().find(|entry| entry.is(&contact.id, &addr)) else {
            return false;
        };
        // Whoever fell silent and is back has to answer before it counts: its question is no reason
        // to ask it later.
        let known = entry.has_answered() && !entry.is_bad();
        if known {
            entry.hear(heard);
        }
        known
    }

    fn silent(&mut self, now: Instant, addr: &SocketAddr) {
        let Some(addr) = A::keep(addr) else { return };
        let (asked, prefer) = (self.epoch.stamp(now), self.config.prefer_verified);
        let known = |bucket: &Bucket<A, E, R>| bucket.all().any(|entry| entry.addr == addr);
        let Some(bucket) = self.buckets.iter_mut().find(|bucket| known(bucket)) else { return };
        let due = match bucket.silent(asked, &addr, prefer) {
            Some(entry) => Some(self.due(&entry)),
            // Whoever took its place may have been in reserve for long.
            None => self.stalest().map(|(due, ..)| due),
        };
        if let Some(due) = due {
            self.look_by(now, due);
        }
    }

    fn wants(&self, now: Instant, contact: Contact) -> bool {
        let Some(addr) = A::keep(&contact.addr) else { return false };
        let index = self.index(contact.id);
        let Some(bucket) = self.buckets.get(index) else { return false };
        let new = Place::answering(contact.id, addr, proof(&contact), self.epoch.stamp(now));
        let prefer = self.config.prefer_verified;
        // Nobody is in reserve where a split would make room.
        let room = !bucket.entries.is_full()
            || !bucket.reserves.is_full()
            || bucket.entries.iter().any(|entry| entry.gives_way(&new, prefer).is_some())
            || bucket.reserves.iter().any(|e| !e.is_protected() && !e.is_good(self.lately(now)));
        // What it claims is unproven, so whoever is at its address is left in peace.
        let mut rivals = self.rivals(contact.id, addr);
        room && contact.id != self.own && rivals.all(|rival| self.makes_room(now, rival, None))
    }

    fn restore(&mut self, now: Instant, contact: Contact) {
        let Some(addr) = A::keep(&contact.addr) else { return };
        if contact.id != self.own && self.rivals(contact.id, addr).next().is_none() {
            self.begin(now);
            self.place(now, Place::unheard(contact.id, addr, proof(&contact)));
        }
    }

    fn remove(&mut self, addr: &SocketAddr) {
        if let Some(addr) = A::keep(addr) {
            self.take(&addr);
        }
    }

    fn protect(&mut self, addr: &SocketAddr, protected: bool) {
        let Some(addr) = A::keep(addr) else { return };
        let prefer = self.config.prefer_verified;
        for bucket in self.buckets.iter_mut() {
            bucket.protect(&addr, protected, prefer);
        }
    }

    fn closest<const N: usize>(
        &self,
        now: Instant,
        target: Id,
        quality: Quality,
        found: &mut Vec<Contact, N>,
    ) {
        let mut nearest = Nearest::<A, N>::new(target);
        let (own, buckets) = (self.own, &*self.buckets);
        if quality == Quality::Usable {
            nearest.gather(own, buckets, |entry| !entry.is_bad());
            return nearest.write(false, found);
        }
        let lately = self.lately(now);
        nearest.gather(own, buckets, |entry| entry.is_good(lately));
        let mixed = !nearest.is_full();
        if mixed {
            nearest.gather(own, buckets, |entry| !entry.is_bad() && !entry.is_good(lately));
        }
        nearest.write(mixed, found);
    }

    fn upkeep(&mut self, now: Instant, random: &mut impl Rng) -> Option<Upkeep> {
        if !self.config.upkeep || self.next.is_none_or(|next| next > now) {
            return None;
        }
        let earliest = now + self.config.upkeep_spacing;
        if earliest <= now {
            // The end of time.
            self.next = None;
            return None;
        }
        let question = self.question(now, random);
        if let Some((index, question)) = question {
            let (Upkeep::Ping(asked) | Upkeep::FindNode { via: asked, .. }) = question;
            let home = self.index(asked.id);
            let home = self.buckets.get_mut(home).map(|bucket| bucket.entries.iter_mut());
            if let Some(entry) = home.into_iter().flatten().find(|e| e.contact() == asked) {
                entry.ask(self.epoch.stamp(now));
            }
            if let Some(bucket) = self.buckets.get_mut(index) {
                bucket.refreshed = now;
            }
        }
        let stalest = self.stalest().map(|(due, ..)| due);
        let thinnest = self.thinnest().map(|(due, _)| due);
        let due = stalest.map(|due| thinnest.map_or(due, |thin| thin.min(due)));
        self.next = due.map(|due| due.max(earliest));
        question.map(|(_, question)| question)
    }

    fn deadline(&self) -> Option<Instant> {
        self.next.filter(|_| self.config.upkeep)
    }

    fn len(&self) -> usize {
        self.buckets.iter().map(|bucket| bucket.entries.len()).sum()
    }

    fn counts(&self, now: Instant) -> Counts {
        let lately = self.lately(now);
        let mut counts = Counts { buckets: self.buckets.len(), ..Counts::default() };
        for bucket in self.buckets.iter() {
            counts.reserves += bucket.reserves.len();
            for entry in bucket.entries.iter() {
                if entry.is_bad() {
                    counts.bad += 1;
                } else if entry.is_good(lately) {
                    counts.good += 1;
                } else {
                    counts.questionable += 1;
                }
            }
        }
        counts
    }

    fn for_each(&self, see: &mut dyn FnMut(&Entry)) {
        let all = self.buckets.iter().rev().flat_map(|bucket| bucket.entries.iter());
        all.for_each(|entry| see(&entry.entry(self.epoch)));
    }
}

/// Whether the id of a node that was heard of fits its address (BEP 42).
fn proof(contact: &Contact) -> Proof {
    match contact.id.fits_address(contact.addr.ip()) {
        true => Proof::Verified,
        false => Proof::Unverified,
    }
}
