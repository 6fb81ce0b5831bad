//! A lookup under way: peers as they are found, or ever newer versions of an item.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tinybt_core::dht::{LookupId, Pair};

use crate::dht::Commands;
use crate::error::Error;
use crate::item::OwnedItem;
use crate::ledger::{Finished, Told};
use crate::mailbox::Receiver;

/// A lookup under way. Yields each peer once, as it is found, or each [`OwnedItem`] that is newer
/// than the one before; ends when the lookup does; cancels the lookup when it is dropped. With the
/// feature `stream` it is a `Stream`.
///
/// What is found and not yet read waits in memory: 8,192 peers at the most, others are
/// [missed](Search::missed); of items the newest.
pub struct Search<T = SocketAddr> {
    commands: Commands,
    told: Receiver<Told>,
    progress: Progress,
    open: usize,
    finished: Vec<Finished>,
    /// The newest item that was yielded, of whichever family.
    newest: Option<OwnedItem>,
    over: bool,
    /// It all ended first.
    is_cut_off: bool,
    finds: PhantomData<fn() -> T>,
}

/// What a [`Search`] finds: the address of a peer, or an item.
pub trait Find: sealed::Sealed + Sized {
    #[doc(hidden)]
    fn peer(_addr: SocketAddr) -> Option<Self> {
        None
    }

    #[doc(hidden)]
    fn item(_item: OwnedItem) -> Option<Self> {
        None
    }
}

impl Find for SocketAddr {
    fn peer(addr: SocketAddr) -> Option<Self> {
        Some(addr)
    }
}

impl Find for OwnedItem {
    fn item(item: OwnedItem) -> Option<Self> {
        Some(item)
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for std::net::SocketAddr {}
    impl Sealed for crate::item::OwnedItem {}
}

/// Where a search is, as the machine's side knows it: it may be told to end before it has begun.
#[derive(Clone, Copy)]
enum Stage {
    /// Waits for somebody to ask.
    Waiting,
    Begun(Pair<LookupId>),
    Cancelled,
}

/// The same for both sides. Looked at and changed where the machine is, so nothing comes in between.
#[derive(Clone)]
pub(crate) struct Progress(Arc<Mutex<Stage>>);

impl Progress {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Stage::Waiting)))
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        matches!(*self.stage(), Stage::Cancelled)
    }

    pub(crate) fn set_begun(&self, pair: Pair<LookupId>) {
        *self.stage() = Stage::Begun(pair);
    }

    /// Cancels; returns what had begun.
    fn cancel(&self) -> Option<Pair<LookupId>> {
        match std::mem::replace(&mut *self.stage(), Stage::Cancelled) {
            Stage::Begun(pair) => Some(pair),
            Stage::Waiting | Stage::Cancelled => None,
        }
    }
}

impl<T> Search<T> {
    pub(crate) fn new(commands: Commands, told: Receiver<Told>, progress: Progress) -> Self {
        Self {
            commands,
            told,
            progress,
            open: 0,
            finished: Vec::new(),
            newest: None,
            over: false,
            is_cut_off: false,
            finds: PhantomData,
        }
    }

    /// Ends the lookup early. What it found so far is still told, and how it went.
    pub fn cancel(&mut self) {
        let progress = self.progress.clone();
        // Where the machine is, since there it has either begun or not.
        let _ = self.commands.insist(move |machine, ledger, now| match progress.cancel() {
            Some(begun) => begun.iter().for_each(|lookup| machine.cancel(now, lookup)),
            None => ledger.forget_cancelled(),
        });
    }
}

impl<T: Find> Search<T> {
    /// What is found next; `None` when the lookup is over.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        while !self.over {
            let Poll::Ready(told) = self.told.poll(context) else { return Poll::Pending };
            let found = match told {
                Some(Told::Peer(peer)) => T::peer(peer),
                Some(Told::Item(item)) => {
                    let is_news = self.newest.as_ref().is_none_or(|newest| item.is_newer(newest));
                    if is_news {
                        self.newest = Some(OwnedItem::clone(&item));
                    }
                    Some(*item).filter(|_| is_news).and_then(T::item)
                }
                Some(Told::Began(pair)) => {
                    self.open = pair.iter().count();
                    None
                }
                Some(Told::Finished(finished)) => {
                    self.finished.push(*finished);
                    self.open = self.open.saturating_sub(1);
                    self.over = self.open == 0;
                    None
                }
                None => {
                    self.over = true;
                    self.is_cut_off = self.open > 0;
                    None
                }
            };
            if found.is_some() {
                return Poll::Ready(found);
            }
        }
        Poll::Ready(None)
    }

    /// What is found next; `None` when the lookup is over. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<T> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// Waits for the end, and says how it went in each family; nothing if it was cancelled before
    /// it had begun.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] if the lookup could not begin, [`Error::Stopped`] if the DHT ended first.
    pub async fn finish(&mut self) -> Result<&[Finished], Error> {
        while self.next().await.is_some() {}
        if self.is_cut_off {
            return Err(Error::Stopped);
        }
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

impl<T> Drop for Search<T> {
    fn drop(&mut self) {
        if !self.over {
            self.cancel();
        }
    }
}

#[cfg(feature = "stream")]
impl<T: Find> futures_core::Stream for Search<T> {
    type Item = T;

    fn poll_next(mut self: std::pin::Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        Search::poll_next(&mut self, context)
    }
}

impl<T> fmt::Debug for Search<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { over, finished, .. } = self;
        f.debug_struct("Search")
            .field("over", over)
            .field("finished", finished)
            .finish_non_exhaustive()
    }
}
