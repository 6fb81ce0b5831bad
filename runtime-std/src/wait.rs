//! A thread that waits for a future.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use tinybt_runtime::stopwatch;

/// Wakes a thread, once for each time that it waits.
struct Parked {
    thread: Thread,
    is_woken: AtomicBool,
}

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// Waits for a future as long as it takes.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Some(output) = within(Duration::MAX, |context| future.as_mut().poll(context)) {
            return output;
        }
    }
}

/// Waits no longer than this.
pub(crate) fn within<T>(
    time: Duration,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Option<T> {
    let spent = stopwatch();
    let is_woken = AtomicBool::new(false);
    let parked = Arc::new(Parked { thread: std::thread::current(), is_woken });
    let waker = Waker::from(parked.clone());
    loop {
        if let Poll::Ready(output) = poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
        // Somebody else may use the thread's token, so it counts for nothing by itself.
        while !parked.is_woken.swap(false, Ordering::Acquire) {
            let left = time.saturating_sub(spent());
            if left.is_zero() {
                return None;
            }
            std::thread::park_timeout(left);
        }
    }
}
