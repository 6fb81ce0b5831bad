//! A search of all sources under way: peers as they are named.

use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use tinybt_core::Family;
use tinybt_core::Instant;
use tinybt_core::finder::{DhtStatus, Presence, SearchId, Source, TrackerStatus};

use crate::dht::Commands;
use crate::engine::Hosted;
use crate::error::Error;
use crate::ledger::Finished;
use crate::mailbox::{Post, Receiver, Weight};

/// A search under way. Yields each peer once, with whoever named it first; ends when the search
/// does. When it is dropped, the search is told to stop. With the feature `stream` it is a `Stream`
/// of peers.
///
/// What is found and not yet read waits in memory: 8,192 peers at the most, others are
/// [missed](Swarm::missed).
pub struct Swarm {
    commands: Commands,
    told: Receiver<Told>,
    /// Known once it has begun.
    search: Arc<OnceLock<SearchId>>,
    trackers: Vec<Tracker>,
    lookups: Vec<Finished>,
    turns: Option<Turns>,
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

/// The DHT's half of a search that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turns {
    /// What is known of it.
    pub status: DhtStatus,
    /// When it is due again, counted from when this was told; others may be before it, or leave it
    /// time earlier.
    pub next_in: Option<Duration>,
}

impl Turns {
    pub(crate) fn new(status: DhtStatus, now: Instant) -> Self {
        Self { status, next_in: status.next.map(|next| next.since(now)) }
    }
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

/// What the machine's side tells a search.
#[derive(Debug)]
pub(crate) enum Told {
    Peer(Peer, bool),
    Tracker(u16, Box<Tracker>),
    Looked(Box<Finished>, Option<Turns>),
    Finished,
}

impl Post for Told {
    fn weight(&self) -> Weight {
        match self {
            Told::Peer(..) => Weight::Spare,
            // Of a search that is kept, the last of each family.
            Told::Looked(finished, _) if finished.family == Family::V4 => Weight::State(4),
            Told::Looked(..) => Weight::State(6),
            Told::Tracker(number, _) => Weight::State(u32::from(*number) + 10),
            Told::Finished => Weight::Must,
        }
    }
}

impl Swarm {
    pub(crate) fn new(
        commands: Commands,
        told: Receiver<Told>,
        search: Arc<OnceLock<SearchId>>,
    ) -> Self {
        let (trackers, lookups) = (Vec::new(), Vec::new());
        Self { commands, told, search, trackers, lookups, turns: None, over: false }
    }

    /// Whatever comes next.
    pub fn poll_sighting(&mut self, context: &mut Context<'_>) -> Poll<Sighting> {
        if self.over {
            return Poll::Ready(Sighting::End);
        }
        self.told.poll(context).map(|told| match told {
            Some(Told::Peer(peer, true)) => Sighting::Peer(peer),
            Some(Told::Peer(peer, false)) => Sighting::Again(peer),
            Some(Told::Tracker(number, tracker)) => {
                let place = usize::from(number);
                if self.trackers.len() <= place {
                    self.trackers.resize(place + 1, Tracker::default());
                }
                self.trackers[place] = *tracker;
                Sighting::Tracker(number)
            }
            Some(Told::Looked(finished, turns)) => {
                self.turns = turns;
                self.lookups.retain(|other| other.family != finished.family);
                self.lookups.push(*finished);
                Sighting::Looked
            }
            Some(Told::Finished) | None => {
                self.over = true;
                Sighting::End
            }
        })
    }

    /// Whatever comes next. Dropping the future loses nothing.
    pub async fn sighting(&mut self) -> Sighting {
        poll_fn(|context| self.poll_sighting(context)).await
    }

    /// The next peer; `None` when the search is over.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Peer>> {
        loop {
            match self.poll_sighting(context) {
                Poll::Ready(Sighting::Peer(peer)) => return Poll::Ready(Some(peer)),
                Poll::Ready(Sighting::End) => return Poll::Ready(None),
                Poll::Ready(_) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// The next peer; `None` when the search is over. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Peer> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// Peers that nobody will be told of because too many waited to be read.
    pub fn missed(&self) -> u64 {
        self.told.missed()
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

    /// What was known of the DHT's half when its last lookup ended; `None` before, and for a search
    /// that is not kept.
    pub fn turns(&self) -> Option<Turns> {
        self.turns
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

    /// Asks for more peers: trackers as soon as they allow it, the DHT before other searches.
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
        job: impl FnOnce(&mut Hosted, Instant, SearchId) + Send + 'static,
    ) -> Result<(), Error> {
        let search = self.search.clone();
        self.commands.finder(Box::new(move |finder, _, now| {
            // It began before: commands are carried out in their order.
            if let Some(search) = search.get() {
                job(finder, now, *search);
            }
        }))
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        if !self.over {
            // It may all have ended first, and then there is nothing to stop.
            let _ = self.stop();
        }
    }
}

#[cfg(feature = "stream")]
impl futures_core::Stream for Swarm {
    type Item = Peer;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Peer>> {
        Swarm::poll_next(&mut self, context)
    }
}

impl fmt::Debug for Swarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { over, trackers, .. } = self;
        f.debug_struct("Swarm")
            .field("over", over)
            .field("trackers", trackers)
            .finish_non_exhaustive()
    }
}
