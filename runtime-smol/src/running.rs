//! The future that drives a DHT, and the pool for what blocks.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_channel::{Receiver, Sender};
use async_io::Timer;
use blocking::unblock;
use futures_core::Stream;
use tinybt_runtime::{Builder, Engine, Error, Host, Hosted, Parts, Runtime, Work};

use crate::driver::Driver;

/// Events that are passed on before other tasks have their turn.
pub(crate) const BATCH: usize = 16;

/// The runtime: a future for each DHT.
#[derive(Clone, Copy, Debug)]
pub enum Smol {}

impl Runtime for Smol {
    type Started = (crate::Dht, Running);

    fn start(builder: Builder<Self>) -> Result<Self::Started, Error> {
        let (host, alarms) = pool();
        let Parts { hosted, sockets, engine, dht } = builder.build(host)?;
        let driver = Driver::new(hosted, sockets).map_err(Error::Socket)?;
        let bench = Bench { inner: Some(Inner { driver, engine }), alarms };
        Ok((dht, Running(Box::pin(run(bench)))))
    }
}

#[cfg(feature = "finder")]
impl tinybt_runtime::WithFinder for Smol {
    type Finder = (crate::Finder, Running);

    fn finder((dht, running): Self::Started) -> Self::Finder {
        (crate::Finder::new(dht), running)
    }
}

/// Drives the DHT as long as it is polled. Ends, and has saved the state, when the DHT is stopped or
/// the last handle is gone.
///
/// When it is dropped before, the state is saved there and then, and trackers are told nothing.
///
/// # Errors
///
/// [`Error::State`] if the state could not be written, [`Error::Socket`] if waiting failed.
#[must_use = "the DHT makes progress only while this is polled"]
pub struct Running(Ending);

pub(crate) type Ending = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

impl Future for Running {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(context)
    }
}

async fn run(mut bench: Bench) -> Result<(), Error> {
    let result = poll_fn(|context| bench.poll(context)).await;
    match bench.inner.take() {
        Some(Inner { mut driver, engine }) => {
            let last = engine.end(driver.machine(), result);
            // Whoever is told of the end may want the ports.
            drop(driver);
            Saving::new(unblock(|| last.finish())).await
        }
        None => Ok(()),
    }
}

/// The last of it, on the pool. Whoever drops it waits for it: what is to be saved is saved.
pub(crate) struct Saving(Option<Ending>);

impl Saving {
    pub(crate) fn new(saving: impl Future<Output = Result<(), Error>> + Send + 'static) -> Self {
        Self(Some(Box::pin(saving)))
    }
}

impl Future for Saving {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(saving) = &mut self.0 else { return Poll::Ready(Ok(())) };
        let saved = saving.as_mut().poll(context);
        if saved.is_ready() {
            self.0 = None;
        }
        saved
    }
}

impl Drop for Saving {
    fn drop(&mut self) {
        if let Some(saving) = self.0.take() {
            let _ = async_io::block_on(saving);
        }
    }
}

/// Everything that is polled together.
struct Bench {
    /// There until the end.
    inner: Option<Inner>,
    alarms: Alarms,
}

struct Inner {
    driver: Driver<Hosted>,
    engine: Engine,
}

impl Bench {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.alarms.poll(context);
        let Some(inner) = &mut self.inner else { return Poll::Ready(Ok(())) };
        let Inner { driver, engine } = inner;
        let now = driver.now();
        engine.obey(driver.machine(), now, context);
        for _ in 0..BATCH {
            let told = driver.poll_next(context);
            if let Poll::Ready(Ok(event)) = told {
                let now = driver.now();
                engine.hear(driver.machine(), now, event);
            } else if engine.is_done(driver.machine()) {
                return Poll::Ready(Ok(()));
            } else {
                return told.map(|told| told.map(drop));
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some(Inner { mut driver, engine }) = self.inner.take() {
            let last = engine.end(driver.machine(), Ok(()));
            drop(driver);
            // Nobody is left to be told of an error.
            let _ = last.finish();
        }
    }
}

/// The pool of the crate `blocking`, for what is to be done at once.
struct Pool {
    later: Sender<(Duration, Work)>,
}

impl Host for Pool {
    fn run(&self, after: Duration, work: Work) -> io::Result<()> {
        if after.is_zero() {
            unblock(work).detach();
            return Ok(());
        }
        self.later.try_send((after, work)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

/// The pool, and what is to be polled so that it does later what is to be done later.
pub(crate) fn pool() -> (Arc<dyn Host>, Alarms) {
    let (later, alarms) = async_channel::unbounded();
    (Arc::new(Pool { later }), Alarms { new: Box::pin(alarms), set: Vec::new() })
}

/// What is to be done later.
pub(crate) struct Alarms {
    new: Pin<Box<Receiver<(Duration, Work)>>>,
    set: Vec<(Timer, Option<Work>)>,
}

impl Alarms {
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) {
        while let Poll::Ready(Some((after, work))) = self.new.as_mut().poll_next(context) {
            self.set.push((Timer::after(after), Some(work)));
        }
        self.set.retain_mut(|(timer, work)| {
            let is_due = Pin::new(timer).poll(context).is_ready();
            if let Some(work) = work.take_if(|_| is_due) {
                unblock(work).detach();
            }
            !is_due
        });
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}
