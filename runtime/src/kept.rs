//! A state file while its owner runs: written now and then, elsewhere, and at the end.
//!
//! Knows neither what is in it nor who wants to know. Whoever writes may take his time: what is older
//! never takes the place of what is newer.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fmt, io};

use tinybt_core::Instant;

use crate::error::Error;
use crate::host::Host;
use crate::state::replace;

/// Between two times that it is written, if it can be: whoever is killed loses little more than this.
pub(crate) const SAVE_EVERY: Duration = Duration::from_secs(600);

/// A file that is replaced now and then, by whoever has the time.
pub(crate) struct Kept {
    path: PathBuf,
    host: Arc<dyn Host>,
    due: Instant,
    begun: u64,
    written: Arc<Mutex<u64>>,
}

type Replacement = Box<dyn FnOnce() -> io::Result<()> + Send>;

impl Kept {
    /// To be written for the first time when [`SAVE_EVERY`] has passed.
    pub(crate) fn new(path: PathBuf, host: Arc<dyn Host>, now: Instant) -> Self {
        Self { path, host, due: now + SAVE_EVERY, begun: 0, written: Arc::default() }
    }

    /// Has what is to be kept written, if it is time.
    pub(crate) fn keep(&mut self, now: Instant, bytes: impl FnOnce() -> Vec<u8>) {
        if now < self.due {
            return;
        }
        self.due = now + SAVE_EVERY;
        let replace = self.replacement(bytes());
        // If it cannot be, it is tried again, and in the end somebody is told.
        let _ = self.host.run(Duration::ZERO, Box::new(move || drop(replace())));
    }

    /// What is to be kept when all is over.
    pub(crate) fn close(mut self, bytes: Vec<u8>) -> LastWords {
        LastWords { replace: self.replacement(bytes), path: self.path }
    }

    fn replacement(&mut self, bytes: Vec<u8>) -> Replacement {
        self.begun += 1;
        let (path, number, written) = (self.path.clone(), self.begun, self.written.clone());
        Box::new(move || {
            let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
            if number > *written {
                replace(&path, &bytes)?;
                *written = number;
            }
            Ok(())
        })
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("path", &self.path).finish_non_exhaustive()
    }
}

/// What is left to be written at the end.
pub(crate) struct LastWords {
    replace: Replacement,
    path: PathBuf,
}

impl LastWords {
    /// Writes it, which may block.
    pub(crate) fn write(self) -> Result<(), Error> {
        (self.replace)().map_err(|source| Error::State { path: self.path, source })
    }
}
