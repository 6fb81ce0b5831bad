//! A waker that stays the same, whoever is to be woken.
//!
//! The reactor wakes a waker when another takes its place. Whoever polls with a new waker each time
//! would be woken by their own poll, for ever.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};

/// Passes a wake-up on to whoever polled last.
pub(crate) struct Bell {
    rope: Arc<Rope>,
    waker: Waker,
}

#[derive(Default)]
struct Rope(Mutex<Option<Waker>>);

impl Rope {
    fn put(&self, waker: Option<Waker>) -> Option<Waker> {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut place, waker)
    }
}

impl Wake for Rope {
    fn wake(self: Arc<Self>) {
        // Once: whoever is woken polls, and is put there again.
        if let Some(waker) = self.put(None) {
            waker.wake();
        }
    }
}

impl Bell {
    pub(crate) fn new() -> Self {
        let rope = Arc::new(Rope::default());
        let waker = Waker::from(rope.clone());
        Self { rope, waker }
    }

    /// From now on whoever polls with this is woken, by the waker that is returned.
    pub(crate) fn wakes(&self, context: &Context<'_>) -> Waker {
        drop(self.rope.put(Some(context.waker().clone())));
        self.waker.clone()
    }
}
