//! What waits to be read on the other side: commands for the machine's side, answers and sightings
//! for a handle.
//!
//! A channel of one reader that anybody can wait for who has a [`Waker`]: a future, a thread, a poll.
//! Beyond what channels do, it is bounded without stopping the writer: what is told of the same
//! thing replaces what still waits, and what is too much is counted in place of being kept.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Sightings that wait for somebody who does not read.
pub(crate) const WAITING_MAX: usize = 8_192;

/// How what is told counts if nobody reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// It is kept whatever happens.
    Must,
    /// The last of its number is enough.
    #[cfg_attr(not(feature = "finder"), allow(dead_code))]
    State(u32),
    /// It can be left out when too much waits.
    Spare,
}

/// What is told within bounds.
pub(crate) trait Post {
    fn weight(&self) -> Weight;

    /// Whether it takes the place of what waits with the same weight: else it is left out.
    fn replaces(&self, _waiting: &Self) -> bool {
        true
    }
}

/// The end to write to.
pub(crate) struct Sender<T> {
    shared: Arc<Mutex<Shared<T>>>,
    /// Whether the reader is to know when it goes.
    counts: bool,
}

/// The end to read from.
pub(crate) struct Receiver<T>(Arc<Mutex<Shared<T>>>);

/// Nobody reads any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone;

/// Why something was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Nobody reads any more.
    Gone,
    /// Too much waits.
    Full,
}

struct Shared<T> {
    waiting: VecDeque<T>,
    reader: Option<Waker>,
    is_read: bool,
    senders: usize,
    missed: u64,
}

/// An empty one.
pub(crate) fn mailbox<T>() -> (Sender<T>, Receiver<T>) {
    let (waiting, reader) = (VecDeque::new(), None);
    let shared = Shared { waiting, reader, is_read: true, senders: 1, missed: 0 };
    let shared = Arc::new(Mutex::new(shared));
    (Sender { shared: shared.clone(), counts: true }, Receiver(shared))
}

fn lock<T>(shared: &Mutex<Shared<T>>) -> MutexGuard<'_, Shared<T>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Sender<T> {
    /// Writes, whatever waits already.
    pub(crate) fn send(&self, value: T) -> Result<(), Gone> {
        self.put(|waiting| {
            waiting.push_back(value);
            true
        })
    }

    /// How much waits to be read.
    pub(crate) fn waiting(&self) -> usize {
        lock(&self.shared).waiting.len()
    }

    /// Writes, unless as much waits as may.
    pub(crate) fn offer(&self, value: T, most: usize) -> Result<(), Refused> {
        let mut is_full = false;
        let put = self.put(|waiting| {
            is_full = waiting.len() >= most;
            if !is_full {
                waiting.push_back(value);
            }
            !is_full
        });
        match put {
            Ok(()) if is_full => Err(Refused::Full),
            Ok(()) => Ok(()),
            Err(Gone) => Err(Refused::Gone),
        }
    }

    /// Writes, and is left out of the count of those who keep the reader waiting.
    pub(crate) fn uncounted(&self) -> Self {
        Self { shared: self.shared.clone(), counts: false }
    }

    fn put(&self, add: impl FnOnce(&mut VecDeque<T>) -> bool) -> Result<(), Gone> {
        let mut shared = lock(&self.shared);
        if !shared.is_read {
            return Err(Gone);
        }
        if !add(&mut shared.waiting) {
            shared.missed += 1;
            return Ok(());
        }
        let reader = shared.reader.take();
        // The reader may want the lock at once.
        drop(shared);
        if let Some(reader) = reader {
            reader.wake();
        }
        Ok(())
    }
}

impl<T: Post> Sender<T> {
    /// Writes within bounds.
    pub(crate) fn post(&self, value: T) -> Result<(), Gone> {
        let weight = value.weight();
        self.put(|waiting| {
            match weight {
                Weight::Spare if waiting.len() >= WAITING_MAX => return false,
                Weight::Must | Weight::Spare => waiting.push_back(value),
                Weight::State(_) => match waiting.iter_mut().find(|old| old.weight() == weight) {
                    Some(old) if value.replaces(old) => *old = value,
                    Some(_) => {}
                    None => waiting.push_back(value),
                },
            }
            true
        })
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        lock(&self.shared).senders += usize::from(self.counts);
        Self { shared: self.shared.clone(), counts: self.counts }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut shared = lock(&self.shared);
        shared.senders -= usize::from(self.counts);
        let reader = if shared.senders == 0 { shared.reader.take() } else { None };
        drop(shared);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl<T> Receiver<T> {
    /// The next thing; `None` when nothing waits and all counted senders are gone.
    pub(crate) fn poll(&self, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.poll_while(context, |senders| senders > 0)
    }

    /// The next thing, from whomever; never `None`.
    pub(crate) fn poll_uncounted(&self, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.poll_while(context, |_| true)
    }

    fn poll_while(
        &self,
        context: &mut Context<'_>,
        is_awaited: impl Fn(usize) -> bool,
    ) -> Poll<Option<T>> {
        let mut cloned: Option<Waker> = None;
        loop {
            let mut shared = lock(&self.0);
            if let Some(value) = shared.waiting.pop_front() {
                return Poll::Ready(Some(value));
            }
            if !is_awaited(shared.senders) {
                return Poll::Ready(None);
            }
            if shared.reader.as_ref().is_some_and(|it| it.will_wake(context.waker())) {
                return Poll::Pending;
            }
            // What wakers do when they come and go is not known here, so not under the lock.
            let Some(waker) = cloned.take() else {
                drop(shared);
                cloned = Some(context.waker().clone());
                continue;
            };
            let last = shared.reader.replace(waker);
            drop(shared);
            drop(last);
            return Poll::Pending;
        }
    }

    /// Waits for the next thing.
    pub(crate) async fn take(&self) -> Option<T> {
        poll_fn(|context| self.poll(context)).await
    }

    /// How much waits.
    pub(crate) fn waiting(&self) -> usize {
        lock(&self.0).waiting.len()
    }

    /// How much was left out because too much waited.
    pub(crate) fn missed(&self) -> u64 {
        lock(&self.0).missed
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut shared = lock(&self.0);
        shared.is_read = false;
        // What waits may hold ends of other mailboxes, and of this one; so may whom a waker wakes.
        let waiting = std::mem::take(&mut shared.waiting);
        let reader = shared.reader.take();
        drop(shared);
        drop((waiting, reader));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    enum Told {
        Peer(u32),
        Status(u8, u32),
        End,
    }

    impl Post for Told {
        fn weight(&self) -> Weight {
            match self {
                Told::Peer(_) => Weight::Spare,
                Told::Status(number, _) => Weight::State(u32::from(*number)),
                Told::End => Weight::Must,
            }
        }
    }

    fn take<T>(receiver: &Receiver<T>) -> Poll<Option<T>> {
        receiver.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn nobody_who_does_not_read_costs_more_than_the_bound() {
        let (sender, receiver) = mailbox();
        for number in 0..2 * WAITING_MAX as u32 {
            sender.post(Told::Peer(number)).unwrap();
            sender.post(Told::Status((number % 3) as u8, number)).unwrap();
        }
        sender.post(Told::End).unwrap();
        assert_eq!(lock(&receiver.0).waiting.len(), WAITING_MAX + 1);
        assert_eq!(receiver.missed(), WAITING_MAX as u64 + 3);
        assert_eq!(take(&receiver), Poll::Ready(Some(Told::Peer(0))));
        let latest = 2 * WAITING_MAX as u32 - 1;
        let latest = Told::Status((latest % 3) as u8, latest);
        assert!(lock(&receiver.0).waiting.contains(&latest));
        assert_eq!(lock(&receiver.0).waiting.back(), Some(&Told::End));
    }

    #[test]
    fn each_side_knows_when_the_other_is_gone() {
        let (sender, receiver) = mailbox();
        let (more, back) = (sender.clone(), sender.uncounted());
        sender.send(1).unwrap();
        drop((sender, more));
        assert_eq!(take(&receiver), Poll::Ready(Some(1)));
        assert_eq!(take(&receiver), Poll::Ready(None));
        back.send(2).unwrap();
        assert_eq!(take(&receiver), Poll::Ready(Some(2)));
        drop(receiver);
        assert_eq!(back.send(3), Err(Gone));
    }

    #[test]
    fn what_was_not_read_is_dropped_with_the_reader() {
        // A command holds the end that its answer is written to, and perhaps a handle.
        let (sender, receiver) = mailbox();
        let (tell, told) = mailbox::<u8>();
        let handle = sender.clone();
        sender.send(Box::new((tell, handle)) as Box<dyn std::any::Any>).unwrap();
        assert_eq!(take(&told), Poll::Pending);
        drop(receiver);
        assert_eq!(take(&told), Poll::Ready(None));
    }

    #[test]
    fn what_is_written_last_is_not_lost() {
        // Written and gone in a moment, while somebody looks.
        let (give, ends) = std::sync::mpsc::sync_channel::<Sender<u32>>(64);
        let writer =
            std::thread::spawn(move || ends.into_iter().for_each(|end| end.send(7).unwrap()));
        for _ in 0..100_000 {
            let (sender, receiver) = mailbox();
            give.send(sender).unwrap();
            loop {
                match take(&receiver) {
                    Poll::Pending => {}
                    told => break assert_eq!(told, Poll::Ready(Some(7))),
                }
            }
        }
        drop(give);
        writer.join().unwrap();
    }

    /// A task that owns a handle, as those of the plainest executors do: the waker is the task.
    struct Task(#[expect(dead_code)] Option<Sender<u8>>);

    impl std::task::Wake for Task {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn a_waker_may_own_what_it_waits_for() {
        let (sender, receiver) = mailbox::<u8>();
        let task = Waker::from(Arc::new(Task(Some(sender.clone()))));
        assert!(receiver.poll(&mut Context::from_waker(&task)).is_pending());
        drop(task);
        // The last of the task goes when another takes its place.
        assert_eq!(take(&receiver), Poll::Pending);
        drop(sender);
        assert_eq!(take(&receiver), Poll::Ready(None));
    }

    #[test]
    fn whoever_does_not_read_any_more_is_forgotten() {
        let (sender, receiver) = mailbox::<u8>();
        let task = Arc::new(Task(None));
        let waker = Waker::from(task.clone());
        assert!(receiver.poll(&mut Context::from_waker(&waker)).is_pending());
        drop((receiver, waker));
        assert_eq!(Arc::strong_count(&task), 1);
        drop(sender);
    }
}
