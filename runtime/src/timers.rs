//! Work that waits for its time, for a [`Host`](crate::Host) with one thread or timer for all of it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::time::Duration;

use crate::host::Work;

/// Pieces of work that may wait.
const WAITING_MAX: usize = 65_536;

/// Pieces of work, by when they are due on a clock of the host's choice.
#[derive(Default)]
pub struct Timers {
    /// The next first; among equals who came first.
    waiting: BinaryHeap<Reverse<Later>>,
    count: u64,
}

struct Later {
    due: (Duration, u64),
    work: Work,
}

impl Timers {
    /// Adds some work.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] if 65,536 pieces wait already.
    pub fn add(&mut self, due: Duration, work: Work) -> io::Result<()> {
        if self.waiting.len() >= WAITING_MAX {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.count += 1;
        self.waiting.push(Reverse(Later { due: (due, self.count), work }));
        Ok(())
    }

    /// When the next is due.
    pub fn next_due(&self) -> Option<Duration> {
        self.waiting.peek().map(|next| next.0.due.0)
    }

    /// Takes out the next, if it is due.
    pub fn take_due(&mut self, now: Duration) -> Option<Work> {
        self.next_due().filter(|due| *due <= now)?;
        self.waiting.pop().map(|next| next.0.work)
    }
}

impl std::fmt::Debug for Timers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timers").field("waiting", &self.waiting.len()).finish()
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::{Timers, WAITING_MAX};

    #[test]
    fn what_is_due_comes_in_order_and_no_sooner() {
        let (mut timers, (tell, told)) = (Timers::default(), channel());
        for (due, name) in [(3, 'c'), (1, 'a'), (3, 'd'), (2, 'b')] {
            let tell = tell.clone();
            let work = Box::new(move || tell.send(name).unwrap());
            timers.add(Duration::from_secs(due), work).unwrap();
        }
        assert_eq!(timers.next_due(), Some(Duration::from_secs(1)));
        for now in 0..5 {
            while let Some(work) = timers.take_due(Duration::from_secs(now)) {
                work();
            }
            let expected = ["", "a", "b", "cd", ""][now as usize];
            assert_eq!(told.try_iter().collect::<String>(), expected, "{now}");
        }
        for _ in 0..WAITING_MAX {
            timers.add(Duration::ZERO, Box::new(|| {})).unwrap();
        }
        assert!(timers.add(Duration::ZERO, Box::new(|| {})).is_err());
    }
}
