//! A lookup under way: peers as they are found.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tinybt_core::dht::{LookupId, Pair};

use crate::dht::Commands;
use crate::error::Error;
use crate::ledger::{Finished, Told};
use crate::mailbox::{Receiver, Sender};

/// A lookup under way. Yields each peer once, as it is found; ends when the lookup does; cancels
/// the lookup when it is dropped. With the feature `stream` it is a `Stream`.
///
/// What is found and not yet read waits in memory: 8,192 peers at the most, others are
/// [missed](Search::missed).
pub struct Search {
    commands: Commands,
    told: Receiver<Told>,
    progress: Progress,
    open: usize,
    finished: Vec<Finished>,
    over: bool,
}

/// Where a search is, as the machine's side knows it: it may be told to end before it has begun.
pub(crate) enum Stage {
    /// Waits for somebody to ask, and holds the end to be written to.
    Waiting(Sender<Told>),
    Begun(Pair<LookupId>),
    Cancelled,
}

/// The same for both sides.
#[derive(Clone)]
pub(crate) struct Progress(Arc<Mutex<Stage>>);

impl Progress {
    pub(crate) fn new(tell: Sender<Told>) -> Self {
        Self(Arc::new(Mutex::new(Stage::Waiting(tell))))
    }

    /// What it was.
    fn set(&self, stage: Stage) -> Stage {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut place, stage)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        let stage = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(*stage, Stage::Cancelled)
    }

    /// Begins, unless it was cancelled. If it cannot, nobody is told anything any more.
    pub(crate) fn begin(&self, begin: impl FnOnce(Sender<Told>) -> Option<Pair<LookupId>>) {
        if self.is_cancelled() {
            return;
        }
        // A cancel is carried out on the same side, so none comes in between.
        if let Stage::Waiting(tell) = self.set(Stage::Begun(Pair { v4: None, v6: None }))
            && let Some(pair) = begin(tell)
        {
            drop(self.set(Stage::Begun(pair)));
        }
    }

    /// Cancels; returns what had begun.
    fn cancel(&self) -> Option<Pair<LookupId>> {
        match self.set(Stage::Cancelled) {
            Stage::Begun(pair) => Some(pair),
            Stage::Waiting(_) | Stage::Cancelled => None,
        }
    }
}

impl Search {
    pub(crate) fn new(commands: Commands, told: Receiver<Told>, progress: Progress) -> Self {
        Self { commands, told, progress, open: 0, finished: Vec::new(), over: false }
    }

    /// The next peer; `None` when the lookup is over.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<SocketAddr>> {
        while !self.over {
            let Poll::Ready(told) = self.told.poll(context) else { return Poll::Pending };
            match told {
                Some(Told::Began(pair)) => self.open = pair.iter().count(),
                Some(Told::Peer(peer)) => return Poll::Ready(Some(peer)),
                Some(Told::Finished(finished)) => {
                    self.finished.push(*finished);
                    self.open = self.open.saturating_sub(1);
                    self.over = self.open == 0;
                }
                None => self.over = true,
            }
        }
        Poll::Ready(None)
    }

    /// The next peer; `None` when the lookup is over. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<SocketAddr> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// Ends the lookup early. What it found so far is still told, and how it went.
    pub fn cancel(&mut self) {
        let progress = self.progress.clone();
        // Where the machine is, since there it has either begun or not.
        let _ = self.commands.insist(move |machine, _, now| {
            let begun = progress.cancel();
            begun.iter().flat_map(Pair::iter).for_each(|lookup| machine.cancel(now, lookup));
        });
    }

    /// Waits for the end, and says how it went in each family; nothing if it was cancelled before
    /// it had begun.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] if the lookup could not begin, [`Error::Stopped`] if the DHT ended first.
    pub async fn finish(&mut self) -> Result<&[Finished], Error> {
        while self.next().await.is_some() {}
        if self.finished.is_empty() && !self.progress.is_cancelled() {
            let is_running = self.commands.overview().await.is_ok();
            return Err(if is_running { Error::Busy } else { Error::Stopped });
        }
        Ok(&self.finished)
    }

    /// How it went in the families where it is over.
    pub fn finished(&self) -> &[Finished] {
        &self.finished
    }

    /// Peers that nobody will be told of because too many waited to be read.
    pub fn missed(&self) -> u64 {
        self.told.missed()
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        if !self.over {
            self.cancel();
        }
    }
}

#[cfg(feature = "stream")]
impl futures_core::Stream for Search {
    type Item = SocketAddr;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<SocketAddr>> {
        Search::poll_next(&mut self, context)
    }
}
