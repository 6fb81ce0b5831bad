//! Threads for what blocks: one for each piece of work, and one in all for those that wait.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tinybt_runtime::{Host, Timers, Work, stopwatch};

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
    timers: Timers,
    /// There is a thread that waits.
    is_watched: bool,
    has_ended: bool,
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
        let dropped = std::mem::take(&mut waiting.timers);
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
        while let Some(due) = waiting.timers.next_due() {
            let now = (self.0.clock)();
            let Some(work) = waiting.timers.take_due(now) else {
                let waited = self.0.changed.wait_timeout(waiting, due.saturating_sub(now));
                waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
                continue;
            };
            drop(waiting);
            // If there can be no thread it is dropped, which tells whoever waits for it.
            let _ = spawn(work);
            waiting = self.waiting();
        }
        waiting.is_watched = false;
    }
}

impl Host for Threads {
    fn run(&self, after: Duration, work: Work) -> io::Result<()> {
        if after.is_zero() {
            return spawn(work);
        }
        let mut waiting = self.waiting();
        if waiting.has_ended {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        waiting.timers.add((self.0.clock)().saturating_add(after), work)?;
        if !waiting.is_watched {
            let threads = self.clone();
            spawn(Box::new(move || threads.watch()))?;
            waiting.is_watched = true;
        }
        drop(waiting);
        self.0.changed.notify_all();
        Ok(())
    }
}

/// Does some work on a thread of its own.
fn spawn(work: Work) -> io::Result<()> {
    std::thread::Builder::new().name("tinybt-errand".into()).spawn(work).map(drop)
}
