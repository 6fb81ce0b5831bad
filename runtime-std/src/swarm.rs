//! A search of all sources under way: an iterator of peers as they are named.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tinybt_core::finder::{Presence, SearchId, Source, TrackerStatus};

use crate::driver::stopwatch;
use crate::engine::Finished;
use crate::error::Error;
use crate::finder::Finder;

/// A search under way. Yields each peer once, with whoever named it first; ends when the search
/// does. When it is dropped, the search is told to stop.
pub struct Swarm {
    finder: Finder,
    told: Receiver<Told>,
    search: Option<SearchId>,
    trackers: Vec<Tracker>,
    lookups: Vec<Finished>,
    over: bool,
}

/// A peer of the swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Who named it.
    pub source: Source,
}

/// A tracker of the search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tracker {
    /// What is known of it.
    pub status: TrackerStatus,
    /// When it is asked next, counted from when this was told.
    pub next_in: Option<Duration>,
}

/// What a search has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// A peer that nobody had named before.
    Peer(Peer),
    /// Somebody else named a peer that was told already.
    Again(Peer),
    /// What is known of a tracker changed: see [`Swarm::trackers`].
    Tracker(u16),
    /// A lookup in the DHT ended: see [`Swarm::lookups`].
    Looked,
    /// Nothing within the time given; the search goes on.
    Nothing,
    /// The search is over.
    End,
}

/// What the thread tells a search.
#[derive(Debug)]
pub(crate) enum Told {
    Began(SearchId),
    Peer(Peer, bool),
    Tracker(u16, Tracker),
    Looked(Finished),
    Finished,
}

impl Swarm {
    pub(crate) fn new(finder: Finder, told: Receiver<Told>) -> Self {
        let (trackers, lookups) = (Vec::new(), Vec::new());
        Self { finder, told, search: None, trackers, lookups, over: false }
    }

    /// Whatever comes next, waiting for it no longer than this.
    pub fn next_within(&mut self, time: Duration) -> Sighting {
        let spent = stopwatch();
        while !self.over {
            match self.told.recv_timeout(time.saturating_sub(spent())) {
                Ok(told) => {
                    if let Some(sighting) = self.hear(told) {
                        return sighting;
                    }
                }
                Err(RecvTimeoutError::Timeout) => return Sighting::Nothing,
                Err(RecvTimeoutError::Disconnected) => self.over = true,
            }
        }
        Sighting::End
    }

    fn hear(&mut self, told: Told) -> Option<Sighting> {
        Some(match told {
            Told::Began(search) => {
                self.search = Some(search);
                return None;
            }
            Told::Peer(peer, true) => Sighting::Peer(peer),
            Told::Peer(peer, false) => Sighting::Again(peer),
            Told::Tracker(number, tracker) => {
                let place = usize::from(number);
                if self.trackers.len() <= place {
                    self.trackers.resize(place + 1, Tracker::default());
                }
                self.trackers[place] = tracker;
                Sighting::Tracker(number)
            }
            Told::Looked(finished) => {
                // Of a search that is kept, the last of each family.
                self.lookups.retain(|other| other.family != finished.family);
                self.lookups.push(finished);
                Sighting::Looked
            }
            Told::Finished => {
                self.over = true;
                Sighting::End
            }
        })
    }

    /// What is known of the trackers, by number. Those of which nothing is known yet may be
    /// missing at the end, or empty.
    pub fn trackers(&self) -> &[Tracker] {
        &self.trackers
    }

    /// The lookups in the DHT that are over.
    pub fn lookups(&self) -> &[Finished] {
        &self.lookups
    }

    /// Says that the download of a kept search is complete.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub fn complete(&mut self) -> Result<(), Error> {
        self.command(|finder, now, search| finder.complete(now, search))
    }

    /// Says that we are a partial seed, or no longer (BEP 21).
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub fn set_paused(&mut self, paused: bool) -> Result<(), Error> {
        self.command(move |finder, _, search| finder.set_paused(search, paused))
    }

    /// Changes what trackers are told of us.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub fn set_presence(&mut self, presence: Presence) -> Result<(), Error> {
        self.command(move |finder, _, search| finder.set_presence(search, presence))
    }

    /// Asks for more peers, as soon as the trackers allow it.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub fn hurry(&mut self) -> Result<(), Error> {
        self.command(|finder, now, search| finder.hurry(now, search))
    }

    /// Ends the search: trackers that know us are told that we go. What comes until then is still
    /// told; it takes three seconds at the most.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub fn stop(&mut self) -> Result<(), Error> {
        self.command(|finder, now, search| finder.stop(now, search))
    }

    fn command(
        &mut self,
        job: impl FnOnce(&mut crate::engine::Hosted, tinybt_core::Instant, SearchId) + Send + 'static,
    ) -> Result<(), Error> {
        while self.search.is_none() && !self.over {
            match self.told.recv() {
                Ok(told) => drop(self.hear(told)),
                Err(_) => self.over = true,
            }
        }
        let Some(search) = self.search else { return Err(Error::Stopped) };
        self.finder.command(Box::new(move |finder, _, now| job(finder, now, search)))
    }
}

impl Iterator for Swarm {
    type Item = Peer;

    fn next(&mut self) -> Option<Peer> {
        while !self.over {
            match self.told.recv() {
                Ok(told) => {
                    if let Some(Sighting::Peer(peer)) = self.hear(told) {
                        return Some(peer);
                    }
                }
                Err(_) => self.over = true,
            }
        }
        None
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        if !self.over {
            // The thread may have ended first, and then there is nothing to stop.
            let _ = self.stop();
        }
    }
}
