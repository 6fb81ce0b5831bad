//! A crawl of the DHT (BEP 51) for people who want no loop: how it is to be, the handle, and what
//! stands between the machine and the handle.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll};

use chacha20::ChaCha12Rng;
use tinybt_core::dht::crawl::{CrawlConfig, Crawler, Event, Progress};
use tinybt_core::dht::{Heap, Node};
use tinybt_core::{Family, Instant};

use crate::error::Error;
use crate::host::Host;
use crate::kept::{Kept, LastWords};
use crate::mailbox::{Receiver, Sender, WAITING_MAX, mailbox};
use crate::names::{Named, Names};
use crate::pump::START;
use crate::setup::random;
use crate::state;

/// What a driver drives in a crawl.
pub type Crawling = Crawler<Heap, ChaCha12Rng>;

/// How a crawl is to be. Without anything it crawls the DHT over IPv4, at 100 questions per second,
/// from nobody: name nodes to begin with.
#[derive(Debug)]
pub struct CrawlBuilder {
    addr: SocketAddr,
    socket: Option<UdpSocket>,
    bootstrap: Vec<String>,
    state: Option<PathBuf>,
    rate: Option<u32>,
    config: CrawlConfig,
}

/// What a runtime puts together.
pub struct CrawlParts {
    /// The machine.
    pub crawler: Crawling,
    /// Its socket, which does not block.
    pub socket: UdpSocket,
    /// What tells the handle.
    pub engine: CrawlEngine,
    /// The handle.
    pub crawl: Crawl,
}

/// A crawl under way: tells what it finds. When the handle is dropped, the crawl ends.
///
/// Whoever reads slowly slows the crawl, and loses nothing: while 8,192 events wait to be read nobody
/// is asked. With the feature `stream` it is a `Stream`.
pub struct Crawl {
    orders: Sender<Order>,
    told: Receiver<Event>,
    addr: SocketAddr,
    names: Names,
}

/// Between the machine and its handle, as [`Engine`](crate::Engine) is for a DHT.
pub struct CrawlEngine {
    orders: Receiver<Order>,
    tell: Sender<Event>,
    /// Too much waits to be read.
    is_held: bool,
    state: Option<Kept>,
    is_over: bool,
    /// Names that were not found so far.
    unresolved: Vec<String>,
}

/// What is left to be done when the loop has ended.
pub struct CrawlLast {
    save: Option<LastWords>,
    result: io::Result<()>,
    tell: Sender<Event>,
}

enum Order {
    Stop,
    Progress(Sender<Progress>),
    Unresolved(Sender<Vec<String>>),
    Named(Named),
    /// Enough was read of what waited.
    Room,
}

/// As much waits to be read when a crawl goes on that was held.
const ROOM: usize = WAITING_MAX / 2;

impl Default for CrawlBuilder {
    fn default() -> Self {
        Self {
            addr: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            socket: None,
            bootstrap: Vec::new(),
            state: None,
            rate: Some(100),
            config: CrawlConfig::default(),
        }
    }
}

impl CrawlBuilder {
    /// Opens a socket at this address; its family is that of the DHT to be crawled.
    pub fn bind(mut self, addr: SocketAddr) -> Self {
        self.addr = addr;
        self
    }

    /// Uses a socket that is bound already.
    pub fn socket(mut self, socket: UdpSocket) -> Self {
        self.socket = Some(socket);
        self
    }

    /// Begins with these nodes: `address:port` or `name:port`.
    pub fn bootstrap<T: Into<String>>(mut self, nodes: impl IntoIterator<Item = T>) -> Self {
        self.bootstrap.extend(nodes.into_iter().map(Into::into));
        self
    }

    /// Goes on where the crawl was that wrote this file; writes it every ten minutes and in the end.
    pub fn state(mut self, path: impl Into<PathBuf>) -> Self {
        self.state = Some(path.into());
        self
    }

    /// Questions per second, repeats included. `None`: no limit.
    pub fn rate(mut self, per_second: Option<u32>) -> Self {
        self.rate = per_second;
        self
    }

    /// Changes anything else. [`CrawlConfig`] has the defaults and meanings.
    pub fn configure(mut self, change: impl FnOnce(&mut CrawlConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// Opens the socket and makes everything that a runtime puts together.
    ///
    /// # Errors
    ///
    /// [`Error::Bind`] and [`Error::Socket`] for the socket, [`Error::State`] and
    /// [`Error::StateFormat`] for the state file, [`Error::Random`] without randomness.
    pub fn build(self, host: Arc<dyn Host>) -> Result<CrawlParts, Error> {
        let addr = self.addr;
        let socket = match self.socket {
            Some(socket) => socket,
            None => UdpSocket::bind(addr).map_err(|source| Error::Bind { addr, source })?,
        };
        socket.set_nonblocking(true).map_err(Error::Socket)?;
        let addr = socket.local_addr().map_err(Error::Socket)?;
        let node = CrawlConfig::node(Family::of(&addr), self.rate);
        let node = Node::new(node, self.config.storage(), random()?);
        let mut crawler = Crawler::new(self.config, node, random()?);
        if let Some(path) = &self.state {
            restore(&mut crawler, path)?;
            // Told now, and not when the work of hours is lost.
            state::check(path).map_err(|source| Error::State { path: path.clone(), source })?;
        }
        let (orders, inbox) = mailbox();
        let (tell, told) = mailbox();
        let (literal, names): (Vec<_>, Vec<_>) =
            self.bootstrap.into_iter().map(|name| (name.parse().ok(), name)).partition(is_literal);
        for addr in literal.into_iter().filter_map(|(addr, _)| addr) {
            crawler.add_source(addr);
        }
        // A name that takes long to resolve keeps no crawl alive.
        let back = orders.uncounted();
        let resolver =
            Names::new(host.clone(), move |named| back.send(Order::Named(named)).is_ok());
        let names: Vec<String> = names.into_iter().map(|(_, name)| name).collect();
        if !names.is_empty() {
            resolver.look_up(names).map_err(Error::Socket)?;
        }
        let engine = CrawlEngine {
            orders: inbox,
            tell,
            is_held: false,
            state: self.state.map(|path| Kept::new(path, host, START)),
            is_over: false,
            unresolved: Vec::new(),
        };
        let crawl = Crawl { orders, told, addr, names: resolver };
        Ok(CrawlParts { crawler, socket, engine, crawl })
    }
}

fn is_literal((addr, _): &(Option<SocketAddr>, String)) -> bool {
    addr.is_some()
}

fn restore(crawler: &mut Crawling, path: &Path) -> Result<(), Error> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(Error::State { path: path.to_owned(), source }),
    };
    let restored = crawler.restore(START, &bytes);
    restored.map(drop).map_err(|reason| Error::StateFormat { path: path.to_owned(), reason })
}

impl Crawl {
    /// The address of its socket.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// The next thing found; `None` when the crawl is over and its state is saved.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let told = self.told.poll(context);
        // Told once for each time that it may be waited for: the way down leads through here.
        if told.is_ready() && self.told.waiting() == ROOM {
            let _ = self.orders.send(Order::Room);
        }
        told
    }

    /// The next thing found; `None` when the crawl is over and its state is saved. Dropping the
    /// future loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// How far it is.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub async fn progress(&self) -> Result<Progress, Error> {
        let (tell, told) = mailbox();
        self.orders.send(Order::Progress(tell)).map_err(|_| Error::Stopped)?;
        told.take().await.ok_or(Error::Stopped)
    }

    /// Names of nodes that were not found so far. They are looked up again.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub async fn unresolved(&self) -> Result<Vec<String>, Error> {
        let (tell, told) = mailbox();
        self.orders.send(Order::Unresolved(tell)).map_err(|_| Error::Stopped)?;
        told.take().await.ok_or(Error::Stopped)
    }

    /// Ends the crawl. What was found is still told, and how far it came.
    pub fn stop(&self) {
        let _ = self.orders.send(Order::Stop);
    }

    /// Adds nodes to begin with, as [`CrawlBuilder::bootstrap`].
    ///
    /// # Errors
    ///
    /// [`Error::Socket`] if names cannot be looked up.
    pub fn add_nodes<T: Into<String>>(
        &self,
        nodes: impl IntoIterator<Item = T>,
    ) -> Result<(), Error> {
        let names = nodes.into_iter().map(Into::into).collect();
        self.names.look_up(names).map_err(Error::Socket)
    }
}

#[cfg(feature = "stream")]
impl futures_core::Stream for Crawl {
    type Item = Event;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Event>> {
        Crawl::poll_next(&mut self, context)
    }
}

impl CrawlEngine {
    /// Carries out what the handle wants, and has the state written when it is time. The context's
    /// waker is woken when there is more.
    pub fn obey(&mut self, crawler: &mut Crawling, now: Instant, context: &mut Context<'_>) {
        if let Some(kept) = &mut self.state {
            kept.keep(now, || crawler.save(now));
        }
        while !self.is_over
            && let Poll::Ready(order) = self.orders.poll(context)
        {
            match order {
                Some(Order::Named(named)) => {
                    self.unresolved.retain(|name| *name != named.name);
                    if named.addrs.is_empty() {
                        self.unresolved.push(named.name);
                    }
                    for addr in named.addrs {
                        crawler.add_source(addr);
                    }
                }
                Some(Order::Progress(tell)) => drop(tell.send(crawler.progress(now))),
                Some(Order::Unresolved(tell)) => drop(tell.send(self.unresolved.clone())),
                Some(Order::Room) => self.hold(crawler, self.is_held && self.tell.waiting() > ROOM),
                Some(Order::Stop) | None => {
                    crawler.stop(now);
                    // Without a handle nobody hears of the end.
                    self.is_over |= order.is_none();
                }
            }
        }
    }

    /// Passes on what the machine tells, and holds it while too much waits to be read.
    pub fn hear(&mut self, crawler: &mut Crawling, event: Event) {
        self.is_over |= matches!(event, Event::Ended { .. });
        if matches!(event, Event::Dht(_)) {
            return;
        }
        let _ = self.tell.send(event);
        if !self.is_held && self.tell.waiting() >= WAITING_MAX {
            self.hold(crawler, true);
        }
    }

    fn hold(&mut self, crawler: &mut Crawling, is_held: bool) {
        self.is_held = is_held;
        crawler.hold(is_held);
    }

    /// Whether it is to end.
    pub fn is_done(&self) -> bool {
        self.is_over
    }

    /// What is left to be done when the loop has ended, for whatever reason. Close the socket before
    /// [`CrawlLast::finish`]: who is told of the end may want the port.
    pub fn end(self, crawler: &Crawling, now: Instant, result: io::Result<()>) -> CrawlLast {
        let save = self.state.map(|kept| kept.close(crawler.save(now)));
        CrawlLast { save, result, tell: self.tell }
    }
}

impl CrawlLast {
    /// Saves the state, which may block, and tells the handle of the end.
    ///
    /// # Errors
    ///
    /// [`Error::State`] if the state could not be written, [`Error::Socket`] if waiting failed.
    pub fn finish(self) -> Result<(), Error> {
        let Self { save, result, tell } = self;
        let saved = save.map_or(Ok(()), LastWords::write);
        drop(tell);
        saved.and(result.map_err(Error::Socket))
    }
}

impl fmt::Debug for Crawl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crawl").field("addr", &self.addr).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;
    use std::time::Duration;

    use tinybt_core::{InfoHash, Machine, Step, buffer};

    use super::*;
    use crate::host::Work;
    use crate::host::later::Later;
    use crate::kept::SAVE_EVERY;

    struct Nowhere;

    impl Host for Nowhere {
        fn run(&self, _: Duration, _: Work) -> io::Result<()> {
            Ok(())
        }
    }

    fn builder() -> CrawlBuilder {
        let builder = CrawlBuilder::default().bind(([127, 0, 0, 1], 0).into());
        builder.bootstrap(["127.0.0.1:9"])
    }

    fn parts() -> CrawlParts {
        builder().build(Arc::new(Nowhere)).unwrap()
    }

    #[test]
    fn a_state_is_written_now_and_then_and_no_older_one_after_a_newer() {
        let path = std::env::temp_dir().join(format!("tinybt-crawl-{}.state", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let later = Arc::new(Later::default());
        let CrawlParts { mut crawler, mut engine, .. } =
            builder().state(&path).build(later.clone()).unwrap();
        let mut context = Context::from_waker(Waker::noop());
        let mut obey = |engine: &mut CrawlEngine, crawler: &mut Crawling, at: Duration| {
            engine.obey(crawler, START + at, &mut context);
            later.take()
        };
        let tick = Duration::from_micros(1);
        assert!(obey(&mut engine, &mut crawler, SAVE_EVERY - tick).is_empty());
        let (mut states, mut works) = (Vec::new(), Vec::new());
        for round in 1..4 {
            // Each time there are more rounds behind it.
            let mut saved = crawler.save(START);
            saved[b"d2:ati".len()] = b'0' + round;
            crawler.restore(START, &saved).unwrap();
            states.push(saved);
            let at = SAVE_EVERY * u32::from(round);
            works.extend(obey(&mut engine, &mut crawler, at));
            assert!(obey(&mut engine, &mut crawler, at + SAVE_EVERY - tick).is_empty());
        }
        let read = || std::fs::read(&path).ok();
        assert_eq!((works.len(), read()), (3, None));
        // Whoever does it takes his time, and so does the end.
        let third = works.pop();
        for (work, now) in works.into_iter().rev().zip([1, 1]) {
            work();
            assert_eq!(read().as_ref(), Some(&states[now]));
        }
        let last = engine.end(&crawler, START, Ok(()));
        let end = crawler.save(START);
        last.finish().unwrap();
        std::fs::write(&path, "of the end").unwrap();
        third.unwrap()();
        assert_eq!((read().as_deref(), end == states[2]), (Some(&b"of the end"[..]), true));
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn who_reads_slowly_holds_the_crawl_and_loses_nothing() {
        let CrawlParts { mut crawler, mut engine, mut crawl, .. } = parts();
        let mut context = Context::from_waker(Waker::noop());
        let hash = |n: usize| InfoHash([(n / 250) as u8; 20]);
        let asks =
            |crawler: &mut Crawling| matches!(crawler.step(START, &mut buffer()), Step::Send(_));
        // What is under way when it is held is told all the same.
        let count = WAITING_MAX + 5_000;
        for n in 0..count {
            engine.hear(&mut crawler, Event::Hash { info_hash: hash(n) });
        }
        assert!(!asks(&mut crawler), "too much waits");
        for n in 0..count {
            engine.obey(&mut crawler, START, &mut context);
            let told = crawl.poll_next(&mut context);
            assert_eq!(told, Poll::Ready(Some(Event::Hash { info_hash: hash(n) })));
            assert_eq!(engine.is_held, n + ROOM < count, "{n}");
        }
        engine.obey(&mut crawler, START, &mut context);
        assert!(!engine.is_held && asks(&mut crawler), "it goes on");
    }

    #[test]
    fn each_round_is_told_in_its_place() {
        let CrawlParts { mut crawler, mut engine, mut crawl, .. } = parts();
        let mut context = Context::from_waker(Waker::noop());
        let progress = crawler.progress(START);
        let round = |seconds| {
            let next = Some(Duration::from_secs(seconds));
            Event::Round { progress, next }
        };
        let hash = Event::Hash { info_hash: InfoHash([1; 20]) };
        let all = [round(1), hash, round(2)];
        all.iter().for_each(|event| engine.hear(&mut crawler, *event));
        for event in all {
            assert_eq!(crawl.poll_next(&mut context), Poll::Ready(Some(event)));
        }
    }
}
