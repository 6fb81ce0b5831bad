//! Threads for what blocks: one for each piece of work, and one in all for those that wait.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tinybt_runtime::{Host, Work, stopwatch};

/// Pieces of work that may wait.
const WAITING_MAX: usize = 65_536;

/// Where work is done. What waits is dropped when the DHT ends.
#[derive(Clone)]
pub(crate) struct Threads(Arc<Inner>);

struct Inner {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    clock: Box<dyn Fn() -> Duration + Send + Sync>,
}

#[derive(Default)]
struct Waiting {
    /// By when it is due; among equals who came first.
    queue: BinaryHeap<Reverse<Later>>,
    count: u64,
    /// There is a thread that waits.
    is_watched: bool,
    has_ended: bool,
}

struct Later {
    due: (Duration, u64),
    work: Work,
}

impl Default for Threads {
    fn default() -> Self {
        let (waiting, changed) = (Mutex::default(), Condvar::new());
        Self(Arc::new(Inner { waiting, changed, clock: Box::new(stopwatch()) }))
    }
}

impl Threads {
    pub(crate) fn end(&self) {
        let mut waiting = self.waiting();
        waiting.has_ended = true;
        let dropped = std::mem::take(&mut waiting.queue);
        drop(waiting);
        self.0.changed.notify_all();
        // Whoever waits for one of them is told by that, and may want the lock.
        drop(dropped);
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins what is due, as long as something waits.
    fn watch(&self) {
        let mut waiting = self.waiting();
        while let Some(Reverse(next)) = waiting.queue.peek() {
            let left = next.due.0.saturating_sub((self.0.clock)());
            if left.is_zero() {
                let due = waiting.queue.pop();
                drop(waiting);
                if let Some(Reverse(Later { work, .. })) = due {
                    // Without a thread of its own it is done here, and others wait.
                    spawn(work).unwrap_or_else(|work| work());
                }
                waiting = self.waiting();
                continue;
            }
            let waited = self.0.changed.wait_timeout(waiting, left);
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        waiting.is_watched = false;
    }
}

impl Host for Threads {
    fn run(&self, after: Duration, work: Work) -> io::Result<()> {
        if after.is_zero() {
            return spawn(work).map_err(|_| io::ErrorKind::OutOfMemory.into());
        }
        let mut waiting = self.waiting();
        if waiting.has_ended || waiting.queue.len() >= WAITING_MAX {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        waiting.count += 1;
        let due = ((self.0.clock)().saturating_add(after), waiting.count);
        waiting.queue.push(Reverse(Later { due, work }));
        if !std::mem::replace(&mut waiting.is_watched, true) {
            let threads = self.clone();
            if spawn(Box::new(move || threads.watch())).is_err() {
                waiting.is_watched = false;
                return Err(io::ErrorKind::OutOfMemory.into());
            }
        }
        drop(waiting);
        self.0.changed.notify_all();
        Ok(())
    }
}

/// Does some work on a thread of its own; gives it back if there can be none.
fn spawn(work: Work) -> Result<(), Work> {
    let slot = Arc::new(Mutex::new(Some(work)));
    let taken = slot.clone();
    let take =
        |slot: &Mutex<Option<Work>>| slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    let run = move || {
        if let Some(work) = take(&taken) {
            work();
        }
    };
    match std::thread::Builder::new().name("tinybt-errand".into()).spawn(run) {
        Ok(_) => Ok(()),
        Err(_) => take(&slot).map_or(Ok(()), Err),
    }
}

impl PartialEq for Later {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}

impl Eq for Later {}

impl PartialOrd for Later {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Later {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.due.cmp(&other.due)
    }
}
