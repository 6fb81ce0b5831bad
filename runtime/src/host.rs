//! What a runtime brings beside its loop.

use std::io;
use std::time::Duration;

/// Something that may block: a name to be resolved, a URL to be fetched.
pub type Work = Box<dyn FnOnce() + Send>;

/// A place for what blocks. At most 64 pieces of work of trackers are under way at once, one for each
/// call that adds names of nodes, one that waits for the names that were not found, and one that writes
/// the state.
pub trait Host: Send + Sync + 'static {
    /// Does some work elsewhere, after a while.
    ///
    /// # Errors
    ///
    /// Why it cannot; then the work is not done.
    fn run(&self, after: Duration, work: Work) -> io::Result<()>;
}

#[cfg(test)]
pub(crate) mod later {
    use std::sync::Mutex;

    use super::*;

    /// Keeps what is to be done until somebody asks for it.
    #[derive(Default)]
    pub(crate) struct Later(Mutex<Vec<Work>>);

    impl Host for Later {
        fn run(&self, _: Duration, work: Work) -> io::Result<()> {
            self.0.lock().unwrap().push(work);
            Ok(())
        }
    }

    impl Later {
        pub(crate) fn take(&self) -> Vec<Work> {
            std::mem::take(&mut *self.0.lock().unwrap())
        }
    }
}
