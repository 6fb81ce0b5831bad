//! A lookup under way: an iterator of peers as they are found.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tinybt_core::dht::{LookupId, Pair};

use crate::dht::Dht;
use crate::driver::stopwatch;
use crate::engine::{Finished, Told};
use crate::error::Error;

/// A lookup under way. Yields each peer once, as it is found; ends when the lookup does; cancels
/// the lookup when it is dropped.
///
/// What is found and not yet read waits in memory, bounded by what one lookup can find: the
/// capacity `peers_per_lookup` and a few thousand peers more at the most.
pub struct Search {
    dht: Dht,
    told: Receiver<Told>,
    stage: Arc<Mutex<Stage>>,
    open: usize,
    finished: Vec<Finished>,
    over: bool,
}

/// Where a search is, as the DHT's thread knows it: it may be told to end before it has begun.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Stage {
    /// Waits for somebody to ask.
    #[default]
    Waiting,
    Begun(Pair<LookupId>),
    Cancelled,
}

/// What a search has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A peer.
    Peer(SocketAddr),
    /// Nothing within the time given; the search goes on.
    Nothing,
    /// The search is over.
    End,
}

impl Search {
    pub(crate) fn new(dht: Dht, told: Receiver<Told>, stage: Arc<Mutex<Stage>>) -> Self {
        Self { dht, told, stage, open: 0, finished: Vec::new(), over: false }
    }

    /// The next peer, waiting for it no longer than this.
    pub fn next_within(&mut self, time: Duration) -> Found {
        let spent = stopwatch();
        while !self.over {
            let told = match self.told.recv_timeout(time.saturating_sub(spent())) {
                Ok(told) => told,
                Err(RecvTimeoutError::Timeout) => return Found::Nothing,
                Err(RecvTimeoutError::Disconnected) => {
                    self.over = true;
                    break;
                }
            };
            if let Some(peer) = self.hear(told) {
                return Found::Peer(peer);
            }
        }
        Found::End
    }

    fn hear(&mut self, told: Told) -> Option<SocketAddr> {
        match told {
            Told::Began(pair) => self.open = pair.iter().count(),
            Told::Peer(peer) => return Some(peer),
            Told::Finished(finished) => {
                self.finished.push(finished);
                self.open -= 1;
                self.over = self.open == 0;
            }
        }
        None
    }

    /// Ends the lookup early. What it found so far is still told, and how it went.
    pub fn cancel(&mut self) {
        let stage = self.stage.clone();
        // On the thread, where it has either begun or not.
        let _ = self.dht.command(move |machine, _, now| {
            let mut stage = stage.lock().unwrap_or_else(PoisonError::into_inner);
            if let Stage::Begun(pair) = *stage {
                pair.iter().for_each(|lookup| machine.cancel(now, lookup));
            }
            *stage = Stage::Cancelled;
        });
    }

    /// Waits for the end, and says how it went in each family; nothing if it was cancelled before
    /// it had begun.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] if the lookup could not begin, [`Error::Stopped`] if the DHT ended first.
    pub fn finish(&mut self) -> Result<&[Finished], Error> {
        while self.next().is_some() {}
        let stage = *self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        if self.finished.is_empty() && !matches!(stage, Stage::Cancelled) {
            let running = self.dht.overview().is_ok();
            return Err(if running { Error::Busy } else { Error::Stopped });
        }
        Ok(&self.finished)
    }

    /// How it went in the families where it is over.
    pub fn finished(&self) -> &[Finished] {
        &self.finished
    }
}

impl Iterator for Search {
    type Item = SocketAddr;

    fn next(&mut self) -> Option<SocketAddr> {
        while !self.over {
            match self.told.recv() {
                Ok(told) => {
                    if let Some(peer) = self.hear(told) {
                        return Some(peer);
                    }
                }
                Err(_) => self.over = true,
            }
        }
        None
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        if !self.over {
            self.cancel();
        }
    }
}
