//! The entries nearest to a target, without sorting the table.
//!
//! An entry of bucket `i` differs from us at bit `i` first. So where target and we differ at bit
//! `i`, bucket `i` is nearer to the target than all the buckets behind it, and elsewhere it is
//! farther than all of them: walking up over the bits that differ, then to the last bucket, then
//! down over those that do not, meets the buckets in order. Only within one is anything compared.

use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use heapless::Vec;

use super::bucket::Bucket;
use super::place::{Address, Place};
use crate::contact::Contact;
use crate::id::Id;
use crate::list::List;

/// What stands in a place until there is somebody.
const NOBODY: Contact =
    Contact { id: Id([0; 20]), addr: SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)) };

/// The nearest entries met so far, the first 64 bits of each one's distance beside it.
pub(super) struct Nearest<'a, A, const N: usize> {
    target: Id,
    head: u64,
    found: Vec<(u64, &'a Place<A>), N>,
}

impl<'a, A: Address, const N: usize> Nearest<'a, A, N> {
    pub(super) fn new(target: Id) -> Self {
        Self { target, head: head(target), found: Vec::new() }
    }

    pub(super) fn is_full(&self) -> bool {
        self.found.is_full()
    }

    /// Gathers wanted entries, nearest bucket first, until there are enough.
    #[inline]
    pub(super) fn gather<E: List<Place<A>>, R: List<Place<A>>>(
        &mut self,
        own: Id,
        buckets: &'a [Bucket<A, E, R>],
        wanted: impl Fn(&Place<A>) -> bool,
    ) {
        let Some((last, before)) = buckets.split_last() else { return };
        let apart = own.distance(self.target).0;
        let differs =
            |bit: usize| apart.get(bit / 8).is_some_and(|byte| byte & (0x80 >> (bit % 8)) != 0);
        let numbered = before.iter().enumerate();
        let up = numbered.clone().filter(|(bit, _)| differs(*bit));
        let down = numbered.rev().filter(|(bit, _)| !differs(*bit));
        let walk = up.map(|(_, b)| b).chain([last]).chain(down.map(|(_, b)| b));
        for bucket in walk {
            let start = self.found.len();
            for entry in bucket.entries.iter().filter(|entry| wanted(entry)) {
                self.offer(start, entry);
            }
            if self.found.is_full() {
                return;
            }
        }
    }

    /// Puts an entry in its place among those of its bucket, which begin at `start`.
    #[inline]
    fn offer(&mut self, start: usize, entry: &'a Place<A>) {
        let key = self.head ^ head(entry.id);
        if self.found.is_full() {
            match self.found.last() {
                Some(last)
                    if self.found.len() > start && is_nearer(self.target, (key, entry), *last) =>
                {
                    self.found.pop()
                }
                _ => return,
            };
        }
        let at = self.found.len();
        let _ = self.found.push((key, entry));
        self.settle(start, at, (key, entry));
    }

    /// Brings what stands at a place to where it belongs among those before it, from `start` on.
    /// Those that are farther move on: to swap is to read what was just written, in other pieces,
    /// and to wait for it.
    #[inline]
    fn settle(&mut self, start: usize, mut at: usize, here: (u64, &'a Place<A>)) {
        while at > start
            && let Some([before, place]) = self.found.get_mut(at - 1..=at)
            && is_nearer(self.target, here, *before)
        {
            *place = *before;
            at -= 1;
        }
        if let Some(place) = self.found.get_mut(at) {
            *place = here;
        }
    }

    /// By insertion: they are few, and a sort for many is two kilobytes of a firmware.
    fn sort(&mut self) {
        for end in 1..self.found.len() {
            if let Some(here) = self.found.get(end).copied() {
                self.settle(0, end, here);
            }
        }
    }

    /// Writes the contacts found, nearest first. `mixed`: they were gathered in more than one walk.
    pub(super) fn write(mut self, mixed: bool, found: &mut Vec<Contact, N>) {
        if mixed {
            self.sort();
        }
        found.clear();
        let _ = found.resize(self.found.len(), NOBODY);
        // Each where it is to stand: what was put together elsewhere would be moved in other
        // pieces than it was written in, and waited for.
        for (place, (_, entry)) in found.iter_mut().zip(&self.found) {
            (place.id, place.addr) = (entry.id, entry.addr.addr());
        }
    }
}

/// Whether one of two is nearer; nearly always the first 64 bits tell.
#[inline]
fn is_nearer<A: Address>(target: Id, one: (u64, &Place<A>), than: (u64, &Place<A>)) -> bool {
    let distance = |entry: &Place<A>| entry.id.distance(target);
    one.0 < than.0 || one.0 == than.0 && distance(one.1) < distance(than.1)
}

/// The first 64 bits of an id.
#[inline]
fn head(id: Id) -> u64 {
    id.0.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
