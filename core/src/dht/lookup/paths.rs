//! Disjoint paths: a lookup that is several, no two of which ask the same node.
//!
//! A candidate belongs to the path of whoever named it first, and those that a lookup begins with are
//! dealt out. Each path asks its own closest and waits for them; what it finds nobody else asks. So
//! whoever lies leads one path astray and leaves the others alone. They share the shortlist: where it is
//! full the longest path gives way, so that nobody crowds out the others by inventing more. The closest
//! of all paths together are the result (S/Kademlia, Baumgart and Mies 2007, section 4.4).

use core::net::SocketAddr;
use core::ops::Range;

use crate::dht::lookup::Lookup;
use crate::dht::lookup::candidate::State;
use crate::limits::PATHS_MAX;

impl Lookup {
    /// Searches on so many paths, 1 to [`PATHS_MAX`], which share the width: before anybody is added.
    pub fn set_paths(&mut self, paths: u8) {
        self.paths = paths.clamp(1, PATHS_MAX);
        self.width = self.width.div_ceil(self.paths);
    }

    pub(super) fn paths(&self) -> Range<u8> {
        0..if PATHS_MAX == 1 { 1 } else { self.paths }
    }

    /// The path of a candidate, for [`Lookup::hear`]. One that has given way meanwhile may have been of
    /// any, and is taken to have been of the longest.
    pub fn path_of(&self, addr: &SocketAddr) -> u8 {
        if PATHS_MAX == 1 {
            return 0;
        }
        let known = self.shortlist.iter().find(|c| c.contact.addr == *addr);
        known.map_or_else(|| self.longest_with(self.paths), |candidate| candidate.path)
    }

    /// The path of whoever is named on one: the same, unless there is one with nobody.
    pub(super) fn path_from(&self, path: u8) -> u8 {
        let emptiest = self.emptiest();
        let is_lost = PATHS_MAX == 1 || path >= self.paths || self.living(emptiest) == 0;
        if is_lost { emptiest } else { path }
    }

    /// The path with the fewest to go on with.
    pub(super) fn emptiest(&self) -> u8 {
        if PATHS_MAX == 1 {
            return 0;
        }
        self.paths().min_by_key(|path| self.living(*path)).unwrap_or(0)
    }

    /// The path with the most candidates, with one more on this one.
    pub(super) fn longest_with(&self, new: u8) -> u8 {
        if PATHS_MAX == 1 {
            return 0;
        }
        let len = |path: u8| {
            let known = self.shortlist.iter().filter(|c| c.path == path).count();
            (known + usize::from(path == new), path == new)
        };
        self.paths().max_by_key(|path| len(*path)).unwrap_or(0)
    }

    /// Whether no question of a path is in flight that counts.
    pub(super) fn is_idle(&self, path: u8) -> bool {
        if PATHS_MAX == 1 {
            return self.in_flight() == 0;
        }
        self.shortlist.iter().all(|c| c.path != path || !c.is_waited_for())
            && self.seeds.iter().all(|seed| seed.path != path || !seed.is_in_time())
    }

    /// How many of a path have answered or still may.
    fn living(&self, path: u8) -> usize {
        let lives = |state: State, of: u8| of == path && state != State::Failed;
        let seeds = self.seeds.iter().filter(|seed| lives(seed.state, seed.path)).count();
        self.shortlist.iter().filter(|c| lives(c.state, c.path)).count() + seeds
    }
}

/// Whether somebody `of` a path is of this one: everybody where there is but one.
pub(super) const fn is_on(of: u8, path: u8) -> bool {
    PATHS_MAX == 1 || of == path
}
