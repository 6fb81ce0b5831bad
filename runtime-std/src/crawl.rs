//! A crawl on a thread of its own: an iterator of what is found.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use tinybt_core::dht::crawl::{Event, Progress};
use tinybt_runtime::{CrawlBuilder, CrawlEngine, CrawlParts, Crawling, Error};

use crate::driver::Driver;
use crate::threads::Threads;
use crate::wait::{wait, within};

/// A crawl of the DHT (BEP 51) on a thread of its own. Ends when it is dropped.
///
/// ```no_run
/// use tinybt_std::core::dht::crawl::Event;
/// use tinybt_std::{Crawl, CrawlBuilder, PUBLIC_ROUTERS};
///
/// let crawl = Crawl::start(CrawlBuilder::default().bootstrap(PUBLIC_ROUTERS))?;
/// for event in crawl {
///     if let Event::Hash { info_hash } = event {
///         println!("{info_hash}");
///     }
/// }
/// # Ok::<(), tinybt_std::Error>(())
/// ```
#[derive(Debug)]
pub struct Crawl {
    inner: tinybt_runtime::Crawl,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl Crawl {
    /// Opens the socket and starts the thread.
    ///
    /// # Errors
    ///
    /// As [`CrawlBuilder::build`].
    pub fn start(builder: CrawlBuilder) -> Result<Self, Error> {
        let threads = Threads::default();
        let CrawlParts { crawler, socket, engine, crawl } =
            builder.build(Arc::new(threads.clone()))?;
        let driver = Driver::new(crawler, vec![socket]).map_err(Error::Socket)?;
        let run = move || {
            let result = run(driver, engine);
            threads.end();
            result
        };
        let thread = std::thread::Builder::new().name("tinybt-crawl".into()).spawn(run);
        Ok(Self { inner: crawl, thread: Some(thread.map_err(Error::Socket)?) })
    }

    /// The handle that the runtimes share.
    pub fn handle(&self) -> &tinybt_runtime::Crawl {
        &self.inner
    }

    /// The next thing found, waiting for it no longer than this: pending if there is none, nothing
    /// when the crawl is over.
    pub fn next_within(&mut self, time: Duration) -> Poll<Option<Event>> {
        within(time, |context| self.inner.poll_next(context)).map_or(Poll::Pending, Poll::Ready)
    }

    /// How far it is.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub fn progress(&self) -> Result<Progress, Error> {
        wait(self.inner.progress())
    }

    /// Names of nodes that were not found so far. They are looked up again.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub fn unresolved(&self) -> Result<Vec<String>, Error> {
        wait(self.inner.unresolved())
    }

    /// Ends the crawl. What was found is still told, and how far it came.
    pub fn stop(&self) {
        self.inner.stop();
    }

    /// Ends the crawl, and waits until its state is saved.
    ///
    /// # Errors
    ///
    /// [`Error::State`] if the state could not be written, [`Error::Socket`] if waiting failed.
    pub fn finish(mut self) -> Result<(), Error> {
        self.stop();
        let thread = self.thread.take().map(JoinHandle::join);
        thread.and_then(Result::ok).unwrap_or(Err(Error::Stopped))
    }
}

impl Iterator for Crawl {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        wait(self.inner.next())
    }
}

impl Drop for Crawl {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            // The state is saved when this returns.
            let _ = thread.join();
        }
    }
}

fn run(mut driver: Driver<Crawling>, mut engine: CrawlEngine) -> Result<(), Error> {
    let waker = driver.waker();
    let mut context = Context::from_waker(&waker);
    let mut result = Ok(());
    while result.is_ok() {
        let now = driver.now();
        engine.obey(driver.machine(), now, &mut context);
        if engine.is_done() {
            break;
        }
        result = driver.turn(|crawler, _, event| engine.hear(crawler, event));
    }
    let now = driver.now();
    let last = engine.end(driver.machine(), now, result);
    drop(driver);
    last.finish()
}
