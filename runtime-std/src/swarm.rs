//! A search of all sources under way: an iterator of peers as they are named.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use tinybt_runtime::{Peer, Sighting};

use crate::dht::Dht;
use crate::wait::within;

/// A search under way. Yields each peer once, with whoever named it first; ends when the search
/// does. When it is dropped, the search is told to stop.
///
/// What does not wait is [`tinybt_runtime::Swarm`]'s; leave its futures to those who have an executor.
#[derive(Debug)]
pub struct Swarm {
    // Dropped before the handle that keeps the thread alive.
    inner: tinybt_runtime::Swarm,
    dht: Dht,
}

impl Swarm {
    pub(crate) fn new(inner: tinybt_runtime::Swarm, dht: Dht) -> Self {
        Self { inner, dht }
    }

    /// Whatever comes next, waiting for it no longer than this.
    pub fn next_within(&mut self, time: Duration) -> Sighting {
        // On the DHT's own thread there is nothing to wait for.
        let time = if self.dht.is_inside() { Duration::ZERO } else { time };
        within(time, |context| self.inner.poll_sighting(context)).unwrap_or(Sighting::Nothing)
    }
}

impl Deref for Swarm {
    type Target = tinybt_runtime::Swarm;

    fn deref(&self) -> &tinybt_runtime::Swarm {
        &self.inner
    }
}

impl DerefMut for Swarm {
    fn deref_mut(&mut self) -> &mut tinybt_runtime::Swarm {
        &mut self.inner
    }
}

impl Iterator for Swarm {
    type Item = Peer;

    fn next(&mut self) -> Option<Peer> {
        loop {
            match self.next_within(Duration::MAX) {
                Sighting::Peer(peer) => return Some(peer),
                Sighting::Nothing | Sighting::End => return None,
                _ => {}
            }
        }
    }
}
