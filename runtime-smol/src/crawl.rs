//! A crawl: the handle, and the future that drives it.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use blocking::unblock;
use tinybt_runtime::{Crawl, CrawlBuilder, CrawlEngine, CrawlParts, Error};

use crate::driver::Driver;
use crate::running::{Alarms, BATCH, Ending, Saving, pool};

/// Begins a crawl of the DHT (BEP 51): the handle, a `Stream` of what is found, and the future that
/// drives it.
///
/// ```no_run
/// use tinybt_smol::core::dht::crawl::Event;
/// use tinybt_smol::{CrawlBuilder, PUBLIC_ROUTERS, crawl};
///
/// smol::block_on(async {
///     let (mut found, running) = crawl(CrawlBuilder::default().bootstrap(PUBLIC_ROUTERS))?;
///     let running = smol::spawn(running);
///     while let Some(event) = found.next().await {
///         if let Event::Hash { info_hash } = event {
///             println!("{info_hash}");
///         }
///     }
///     running.await
/// })?;
/// # Ok::<(), tinybt_smol::Error>(())
/// ```
///
/// # Errors
///
/// As [`CrawlBuilder::build`].
pub fn crawl(builder: CrawlBuilder) -> Result<(Crawl, RunningCrawl), Error> {
    let (host, alarms) = pool();
    let CrawlParts { crawler, socket, engine, crawl } = builder.build(host)?;
    let driver = Driver::new(crawler, vec![socket]).map_err(Error::Socket)?;
    let bench = Bench { inner: Some((driver, engine)), alarms };
    Ok((crawl, RunningCrawl(Box::pin(run(bench)))))
}

/// Drives a crawl as long as it is polled. Ends, and has saved the state, when the crawl is over or
/// its handle is gone. When it is dropped before, the state is saved there and then.
///
/// # Errors
///
/// [`Error::State`] if the state could not be written, [`Error::Socket`] if waiting failed.
#[must_use = "the crawl makes progress only while this is polled"]
pub struct RunningCrawl(Ending);

impl Future for RunningCrawl {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(context)
    }
}

async fn run(mut bench: Bench) -> Result<(), Error> {
    let result = poll_fn(|context| bench.poll(context)).await;
    let Some((mut driver, engine)) = bench.inner.take() else { return Ok(()) };
    let now = driver.now();
    let last = engine.end(driver.machine(), now, result);
    drop(driver);
    Saving::new(unblock(|| last.finish())).await
}

struct Bench {
    /// There until the end.
    inner: Option<(Driver<tinybt_runtime::Crawling>, CrawlEngine)>,
    alarms: Alarms,
}

impl Bench {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.alarms.poll(context);
        let Some((driver, engine)) = &mut self.inner else { return Poll::Ready(Ok(())) };
        let now = driver.now();
        engine.obey(driver.machine(), now, context);
        for _ in 0..BATCH {
            if engine.is_done() {
                return Poll::Ready(Ok(()));
            }
            match driver.poll_next(context) {
                Poll::Ready(Ok(event)) => engine.hear(driver.machine(), event),
                told => return told.map(|told| told.map(drop)),
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some((mut driver, engine)) = self.inner.take() {
            let now = driver.now();
            let last = engine.end(driver.machine(), now, Ok(()));
            drop(driver);
            // Nobody is left to be told of an error.
            let _ = last.finish();
        }
    }
}

impl fmt::Debug for RunningCrawl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunningCrawl").finish_non_exhaustive()
    }
}
