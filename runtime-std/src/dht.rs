//! The handle for people who want no loop of their own.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, ThreadId};
use std::time::Duration;

use tinybt_core::dht::{Announcement, NetworkSize, Pair};
use tinybt_core::wire::krpc::Question;
use tinybt_core::{Contact, Id, InfoHash};
use tinybt_runtime::{Answered, Error, Overview, Pong, Sampled};

use crate::search::Search;
use crate::thread::Thread;
use crate::wait::wait;

/// A DHT node on a thread of its own. Clones are handles to the same node; the thread ends, and
/// the state is saved, when the last of them and the last [`Search`] is gone.
///
/// What waits for an answer fails with [`Error::Inside`] in a handler, which runs on that thread.
///
/// ```no_run
/// use tinybt_std::{Dht, PUBLIC_ROUTERS};
///
/// let dht = Dht::builder().bootstrap(PUBLIC_ROUTERS).start()?;
/// let info_hash = "2b66980093bc11806fab50cb3cb41835b95a0362".parse()?;
/// for peer in dht.get_peers(info_hash)? {
///     println!("{peer}");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Dht {
    shared: Arc<Shared>,
}

type Handle = tinybt_runtime::Dht<Thread>;

struct Shared {
    handle: Handle,
    id: ThreadId,
    thread: Mutex<Option<JoinHandle<Result<(), Error>>>>,
}

impl Dht {
    /// Says how it is to be.
    pub fn builder() -> crate::Builder {
        crate::Builder::default()
    }

    /// Opens the sockets and starts the thread: the same as [`Builder::start`](crate::Builder::start).
    ///
    /// # Errors
    ///
    /// As [`Builder::start`](crate::Builder::start).
    pub fn bind(builder: crate::Builder) -> Result<Self, Error> {
        builder.start()
    }

    pub(crate) fn new(handle: Handle, thread: JoinHandle<Result<(), Error>>) -> Self {
        let id = thread.thread().id();
        Self { shared: Arc::new(Shared { handle, id, thread: Mutex::new(Some(thread)) }) }
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.shared.handle
    }

    /// Waits for an answer, where that makes sense.
    pub(crate) fn wait<T>(
        &self,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        if self.is_inside() { Err(Error::Inside) } else { wait(answer) }
    }

    /// Whether this is the DHT's own thread, where its handler runs and nothing can be waited for.
    pub(crate) fn is_inside(&self) -> bool {
        self.shared.is_inside()
    }

    /// The addresses of its sockets.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        self.handle().local_addrs()
    }

    /// Adds nodes to begin with, `address:port` or `name:port`. Names are resolved on a thread of
    /// their own, and again from time to time as long as they are not found.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`]; [`Error::Socket`] if there can be no thread.
    pub fn add_nodes<T: Into<String>>(
        &self,
        nodes: impl IntoIterator<Item = T>,
    ) -> Result<(), Error> {
        self.handle().add_nodes(nodes)
    }

    /// Names that were to be resolved and were not, so far.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub fn unresolved(&self) -> Result<Vec<String>, Error> {
        self.wait(self.handle().unresolved())
    }

    /// Tells of a node from elsewhere, such as a `PORT` message: it is asked before it is kept.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub fn add_node(&self, addr: SocketAddr) -> Result<(), Error> {
        self.handle().add_node(addr)
    }

    /// Leaves an address alone for a while.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub fn block(&self, addr: SocketAddr, how_long: Duration) -> Result<(), Error> {
        self.handle().block(addr, how_long)
    }

    /// Keeps a node in the routing table whatever happens, or no longer.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub fn protect(&self, addr: SocketAddr, protected: bool) -> Result<(), Error> {
        self.handle().protect(addr, protected)
    }

    /// Looks for the peers of a swarm: an iterator of each as it is found.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`]; [`Error::Busy`] comes from [`Search::finish`].
    pub fn get_peers(&self, info_hash: InfoHash) -> Result<Search, Error> {
        Ok(Search::new(self.handle().get_peers(info_hash)?, self.clone()))
    }

    /// Looks for the peers of a swarm, then tells the closest nodes that we are one of them.
    ///
    /// # Errors
    ///
    /// As [`Dht::get_peers`].
    pub fn announce(
        &self,
        info_hash: InfoHash,
        how: impl Into<Announcement>,
    ) -> Result<Search, Error> {
        Ok(Search::new(self.handle().announce(info_hash, how)?, self.clone()))
    }

    /// The same from one of several local addresses, as [`Dht::local_addrs`] names them: for peers
    /// that are to be found at each. Leave some time between them, since the same nodes are asked
    /// (BEP 45).
    ///
    /// # Errors
    ///
    /// As [`Dht::get_peers`], and [`Error::Address`] if there is no such socket.
    pub fn announce_from(
        &self,
        local: SocketAddr,
        info_hash: InfoHash,
        how: impl Into<Announcement>,
    ) -> Result<Search, Error> {
        let search = self.handle().announce_from(local, info_hash, how)?;
        Ok(Search::new(search, self.clone()))
    }

    /// Looks for the peers of a swarm that lack something, as far as nodes tell them apart (BEP 33).
    ///
    /// # Errors
    ///
    /// As [`Dht::get_peers`].
    pub fn get_downloaders(&self, info_hash: InfoHash) -> Result<Search, Error> {
        Ok(Search::new(self.handle().get_downloaders(info_hash)?, self.clone()))
    }

    /// Counts the peers of a swarm (BEP 33): yields none, and [`Finished::swarm`] has the counts.
    ///
    /// [`Finished::swarm`]: crate::Finished::swarm
    ///
    /// # Errors
    ///
    /// As [`Dht::get_peers`].
    pub fn scrape(&self, info_hash: InfoHash) -> Result<Search, Error> {
        Ok(Search::new(self.handle().scrape(info_hash)?, self.clone()))
    }

    /// Looks for the nodes closest to a point of the key space: see [`Search::finish`] for them.
    ///
    /// # Errors
    ///
    /// As [`Dht::get_peers`].
    pub fn find_node(&self, target: Id) -> Result<Search, Error> {
        Ok(Search::new(self.handle().find_node(target)?, self.clone()))
    }

    /// Asks a node whether it is there.
    ///
    /// # Errors
    ///
    /// [`Error::Silent`], [`Error::Refused`], [`Error::Address`], [`Error::Answer`],
    /// [`Error::Stopped`].
    pub fn ping(&self, addr: SocketAddr) -> Result<Pong, Error> {
        self.wait(self.handle().ping(addr))
    }

    /// Asks a node for the nodes that it knows closest to a target.
    ///
    /// # Errors
    ///
    /// As [`Dht::ping`].
    pub fn ask_nodes(&self, addr: SocketAddr, target: Id) -> Result<Vec<Contact>, Error> {
        self.wait(self.handle().ask_nodes(addr, target))
    }

    /// Asks a node for some of the info-hashes that it stores (BEP 51). Who asks again before the
    /// interval is over learns nothing new.
    ///
    /// # Errors
    ///
    /// As [`Dht::ping`]; [`Error::Answer`] if the node knows no such question.
    pub fn ask_samples(&self, addr: SocketAddr, target: Id) -> Result<Sampled, Error> {
        self.wait(self.handle().ask_samples(addr, target))
    }

    /// Looks for the nodes closest to random points, so many one after the other, and says how large
    /// the network is by what all lookups have found. With 16 of them the interval is a fifth to
    /// each side.
    ///
    /// # Errors
    ///
    /// As [`Dht::get_peers`]; [`Error::Random`].
    pub fn measure(&self, lookups: usize) -> Result<Pair<NetworkSize>, Error> {
        self.wait(self.handle().measure(lookups))
    }

    /// Asks a node any question, and gives its answer as it came.
    ///
    /// # Errors
    ///
    /// As [`Dht::ping`], and [`Error::Arguments`], [`Error::Busy`].
    pub fn ask(&self, addr: SocketAddr, question: Question<'_>) -> Result<Answered, Error> {
        self.wait(self.handle().ask(addr, question))
    }

    /// How it is.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub fn overview(&self) -> Result<Overview, Error> {
        self.wait(self.handle().overview())
    }

    /// Ends the thread, whoever else has a handle, and says whether the state was saved. Trackers
    /// that know us are told that we go, which takes three seconds at the most.
    ///
    /// # Errors
    ///
    /// [`Error::State`] if the state could not be written, [`Error::Stopped`] if it had ended.
    pub fn stop(&self) -> Result<(), Error> {
        self.shared.stop()
    }
}

impl Shared {
    fn stop(&self) -> Result<(), Error> {
        if self.is_inside() {
            // A handler wants an end: it comes when the handler is done.
            drop(self.handle.stop());
            return Ok(());
        }
        let thread = self.thread.lock().ok().and_then(|mut thread| thread.take());
        let told = self.handle.stop();
        match thread {
            // A panic over there is no reason for one here.
            Some(thread) => thread.join().unwrap_or(Err(Error::Stopped)),
            // Somebody else waits for the thread, or it has ended long ago.
            None => wait(told),
        }
    }

    /// Whether this is the DHT's own thread, where its handler runs.
    fn is_inside(&self) -> bool {
        self.id == std::thread::current().id()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Whoever wants to know whether the state was saved calls `stop`.
        let _ = self.stop();
    }
}

impl fmt::Debug for Dht {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle().fmt(f)
    }
}
