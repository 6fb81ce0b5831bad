//! A lookup under way: an iterator of what it finds.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use tinybt_runtime::{Error, Find, Finished};

use crate::dht::Dht;
use crate::wait::within;

/// A lookup under way. Yields each peer once, as it is found, or each
/// [`OwnedItem`](crate::OwnedItem) that is newer than the one before; ends when the lookup does;
/// cancels the lookup when it is dropped.
///
/// What is found and not yet read waits in memory: 8,192 peers at the most, others are
/// [missed](Search::missed); of items the newest.
pub struct Search<T = SocketAddr> {
    // Dropped before the handle that keeps the thread alive.
    inner: tinybt_runtime::Search<T>,
    dht: Dht,
}

/// What a search has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<T = SocketAddr> {
    /// A peer, or an item.
    Something(T),
    /// Nothing within the time given; the search goes on.
    Nothing,
    /// The search is over.
    End,
}

impl<T: Find> Search<T> {
    pub(crate) fn new(inner: tinybt_runtime::Search<T>, dht: Dht) -> Self {
        Self { inner, dht }
    }

    /// What is found next, waiting for it no longer than this.
    pub fn next_within(&mut self, time: Duration) -> Found<T> {
        // On the DHT's own thread there is nothing to wait for.
        let time = if self.dht.is_inside() { Duration::ZERO } else { time };
        match within(time, |context| self.inner.poll_next(context)) {
            Some(Some(found)) => Found::Something(found),
            Some(None) => Found::End,
            None => Found::Nothing,
        }
    }

    /// Ends the lookup early. What it found so far is still told, and how it went.
    pub fn cancel(&mut self) {
        self.inner.cancel();
    }

    /// Waits for the end, and says how it went in each family; nothing if it was cancelled before
    /// it had begun.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] if the lookup could not begin, [`Error::Stopped`] if the DHT ended first.
    pub fn finish(&mut self) -> Result<&[Finished], Error> {
        self.dht.wait(self.inner.finish())
    }

    /// How it went in the families where it is over.
    pub fn finished(&self) -> &[Finished] {
        self.inner.finished()
    }

    /// Peers that nobody will be told of because too many waited to be read.
    pub fn missed(&self) -> u64 {
        self.inner.missed()
    }
}

impl<T: Find> Iterator for Search<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match self.next_within(Duration::MAX) {
            Found::Something(found) => Some(found),
            Found::Nothing | Found::End => None,
        }
    }
}

impl<T> fmt::Debug for Search<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Search").field("inner", &self.inner).finish()
    }
}
