//! The handle for people who want no loop of their own.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use chacha20::ChaCha12Rng;
use chacha20::rand_core::SeedableRng;
use tinybt_core::dht::{Dual, Node, Port, Stats, Status};
use tinybt_core::wire::krpc::{self, Body, Question};
use tinybt_core::{Contact, Family, Id, InfoHash, Instant};

use crate::builder::Builder;
use crate::driver::{Driver, Waker};
use crate::engine::{self, Answered, Command, Job, Ledger, Machine, Office};
use crate::error::Error;
use crate::names::{self, Named};
use crate::search::{Search, Stage};
use crate::state::State;

/// A DHT node on a thread of its own. Clones are handles to the same node; the thread ends, and
/// the state is saved, when the last of them and the last [`Search`] is gone.
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

struct Shared {
    commands: Sender<Command>,
    waker: Waker,
    addrs: Vec<SocketAddr>,
    thread: Mutex<Option<JoinHandle<Result<(), Error>>>>,
}

/// The answer to a ping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pong {
    /// The node's id.
    pub id: Id,
    /// The round trip.
    pub rtt: Duration,
    /// What it calls itself: `v`.
    pub version: Option<Vec<u8>>,
    /// Our address as it sees it (BEP 42).
    pub external: Option<SocketAddr>,
}

/// How a node is, by family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// IPv4's state and counters.
    pub v4: Option<(Status, Stats)>,
    /// IPv6's.
    pub v6: Option<(Status, Stats)>,
}

impl Dht {
    /// Says how it is to be.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn start(mut builder: Builder) -> Result<Self, Error> {
        let state = match &builder.state {
            None => State::default(),
            Some(path) => State::load(path)
                .map_err(|source| Error::State { path: path.clone(), source })?
                .ok_or_else(|| Error::StateFormat {
                    path: path.clone(),
                    reason: tinybt_core::dht::RestoreError::Malformed,
                })?,
        };
        let sockets = builder.open()?;
        let mut addrs = Vec::new();
        let (mut v4, mut v6) = (None, None);
        for socket in &sockets {
            let addr = socket.local_addr().map_err(Error::Socket)?;
            addrs.push(addr);
            if !builder.dht {
                continue;
            }
            let family = Family::of(&addr);
            let mut node = Node::new(builder.config(family), builder.capacities, random()?);
            if let (Some(bytes), Some(path)) = (state.of(family), &builder.state) {
                node.restore(Instant::EPOCH, bytes)
                    .map_err(|reason| Error::StateFormat { path: path.clone(), reason })?;
            }
            let place = if family == Family::V4 { &mut v4 } else { &mut v6 };
            if place.replace(node).is_some() {
                return Err(Error::TwoSockets(addr));
            }
        }
        let nodes = Dual::new(v4, v6);
        #[cfg(feature = "finder")]
        let nodes = {
            let families = addrs.iter().map(Family::of);
            engine::Hosted::new(nodes, builder.trackers, families, [random()?, random()?])
        };
        let driver = Driver::new(nodes, sockets).map_err(Error::Socket)?;
        let waker = driver.waker();
        let (commands, inbox) = channel();
        let office = Office {
            ledger: Ledger::new(builder.handler.take()),
            #[cfg(feature = "finder")]
            desk: crate::desk::Desk::new(&builder, commands.clone(), waker.clone())?,
        };
        let path = builder.state.take();
        let thread = std::thread::Builder::new()
            .name("tinybt".into())
            .spawn(move || engine::run(driver, office, &inbox, path))
            .map_err(Error::Socket)?;
        let thread = Mutex::new(Some(thread));
        let dht = Self { shared: Arc::new(Shared { commands, waker, addrs, thread }) };
        if builder.dht {
            dht.add_nodes(builder.bootstrap)?;
        }
        Ok(dht)
    }

    /// The addresses of its sockets.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.shared.addrs
    }

    /// Adds nodes to begin with, `address:port` or `name:port`. Names are resolved on a thread of
    /// their own, and again from time to time as long as they are not found.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub fn add_nodes<T: Into<String>>(
        &self,
        nodes: impl IntoIterator<Item = T>,
    ) -> Result<(), Error> {
        let mut names = Vec::new();
        for node in nodes {
            let node = node.into();
            match node.parse::<SocketAddr>() {
                Ok(addr) => self.command(move |machine, _, _| {
                    machine.add_source(addr);
                })?,
                Err(_) => names.push(node),
            }
        }
        if names.is_empty() {
            return Ok(());
        }
        let count = names.len();
        self.command(move |_, ledger, _| ledger.resolving += count)?;
        // Only what it needs: a name that takes long to resolve keeps no handle alive.
        let (commands, waker) = (self.shared.commands.clone(), self.shared.waker.clone());
        let tell = move |name: &str, named: Named| {
            let name = name.to_owned();
            let is_news = named != Named::StillNot;
            let job: Job = Box::new(move |machine, ledger, now| match named {
                Named::Found(addrs) => {
                    // It may have been missed the first time.
                    let known = ledger.unresolved.iter().position(|other| *other == name);
                    match known {
                        Some(index) => drop(ledger.unresolved.swap_remove(index)),
                        None => ledger.resolving = ledger.resolving.saturating_sub(1),
                    }
                    for addr in addrs {
                        machine.add_source(addr);
                    }
                    ledger.resolved(machine, now);
                }
                Named::NotFound => {
                    ledger.resolving = ledger.resolving.saturating_sub(1);
                    ledger.unresolved.push(name);
                    ledger.resolved(machine, now);
                }
                Named::StillNot => {}
            });
            let is_there = commands.send(Command::Dht(job)).is_ok();
            // No news wakes nobody; that it can be told shows that somebody is there.
            if is_news {
                waker.wake();
            }
            is_there
        };
        let resolve = move || names::resolve(names, names::RETRY, names::look_up, tell);
        std::thread::Builder::new()
            .name("tinybt-names".into())
            .spawn(resolve)
            .map(drop)
            .map_err(Error::Socket)
    }

    /// Names that were to be resolved and were not, so far.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub fn unresolved(&self) -> Result<Vec<String>, Error> {
        self.inquire(|_, ledger, _| ledger.unresolved.clone())
    }

    /// Tells of a node from elsewhere, such as a `PORT` message: it is asked before it is kept.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub fn add_node(&self, addr: SocketAddr) -> Result<(), Error> {
        self.command(move |machine, _, _| {
            machine.add_node(addr);
        })
    }

    /// Leaves an address alone for a while.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub fn block(&self, addr: SocketAddr, how_long: Duration) -> Result<(), Error> {
        self.command(move |machine, _, now| machine.block(now, addr, how_long))
    }

    /// Keeps a node in the routing table whatever happens, or no longer.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub fn protect(&self, addr: SocketAddr, protected: bool) -> Result<(), Error> {
        self.command(move |machine, _, _| machine.protect(&addr, protected))
    }

    /// Looks for the peers of a swarm: an iterator of each as it is found.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`]; [`Error::Busy`] comes from the first call of the iterator's methods.
    pub fn get_peers(&self, info_hash: InfoHash) -> Result<Search, Error> {
        self.search(move |machine, now| machine.get_peers(now, info_hash))
    }

    /// Looks for the peers of a swarm, then tells the closest nodes that we are one of them.
    ///
    /// # Errors
    ///
    /// As [`Dht::get_peers`].
    pub fn announce(&self, info_hash: InfoHash, port: Port) -> Result<Search, Error> {
        self.search(move |machine, now| machine.announce(now, info_hash, port))
    }

    /// Looks for the nodes closest to a point of the key space: see [`Search::finish`] for them.
    ///
    /// # Errors
    ///
    /// As [`Dht::get_peers`].
    pub fn find_node(&self, target: Id) -> Result<Search, Error> {
        self.search(move |machine, now| machine.find_node(now, target))
    }

    fn search(
        &self,
        start: impl Fn(
            &mut Machine,
            Instant,
        ) -> Result<
            tinybt_core::dht::Pair<tinybt_core::dht::LookupId>,
            tinybt_core::dht::Busy,
        > + Send
        + 'static,
    ) -> Result<Search, Error> {
        let (tell, told) = channel();
        let stage = Arc::new(Mutex::new(Stage::Waiting));
        let shared = stage.clone();
        self.command(move |machine, ledger, now| {
            let begin: Job = Box::new(move |machine, ledger, now| {
                let mut stage = shared.lock().unwrap_or_else(PoisonError::into_inner);
                if matches!(*stage, Stage::Cancelled) {
                    return;
                }
                // Busy: the channel closes, and the search says so.
                if let Ok(pair) = start(machine, now) {
                    *stage = Stage::Begun(pair);
                    ledger.lookup(pair, tell);
                }
            });
            ledger.when_ready(machine, now, begin);
        })?;
        Ok(Search::new(self.clone(), told, stage))
    }

    /// Asks a node whether it is there.
    ///
    /// # Errors
    ///
    /// [`Error::Silent`], [`Error::Refused`], [`Error::Address`], [`Error::Answer`],
    /// [`Error::Stopped`].
    pub fn ping(&self, addr: SocketAddr) -> Result<Pong, Error> {
        let answered = self.ask(addr, Question::Ping)?;
        let message = krpc::decode(&answered.datagram).map_err(|_| Error::Answer(addr))?;
        let Body::Response(response) = &message.body else { return Err(Error::Answer(addr)) };
        Ok(Pong {
            id: response.id().ok_or(Error::Answer(addr))?,
            rtt: answered.rtt,
            version: message.version.map(<[u8]>::to_vec),
            external: message.external,
        })
    }

    /// Asks a node for the nodes that it knows closest to a target.
    ///
    /// # Errors
    ///
    /// As [`Dht::ping`].
    pub fn ask_nodes(&self, addr: SocketAddr, target: Id) -> Result<Vec<Contact>, Error> {
        let answered = self.ask(addr, Question::FindNode { target, want: None })?;
        let message = krpc::decode(&answered.datagram).map_err(|_| Error::Answer(addr))?;
        let Body::Response(response) = &message.body else { return Err(Error::Answer(addr)) };
        Ok(response.nodes().chain(response.nodes6()).collect())
    }

    /// Asks a node any question, and gives its answer as it came.
    ///
    /// # Errors
    ///
    /// As [`Dht::ping`], and [`Error::Arguments`], [`Error::Busy`].
    pub fn ask(&self, addr: SocketAddr, question: Question<'_>) -> Result<Answered, Error> {
        let owned = OwnedQuestion::of(question).ok_or(Error::Arguments)?;
        let (tell, told) = channel();
        self.command(move |machine, ledger, _| {
            ledger.ask(machine, addr, &owned.question(), tell);
        })?;
        told.recv().map_err(|_| Error::Stopped)?
    }

    /// How it is.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub fn overview(&self) -> Result<Overview, Error> {
        self.inquire(|machine, _, now| {
            let of = |family| machine.node(family).map(|node| (node.status(now), *node.stats()));
            Overview { v4: of(Family::V4), v6: of(Family::V6) }
        })
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

    pub(crate) fn command(
        &self,
        job: impl FnOnce(&mut Machine, &mut Ledger, Instant) + Send + 'static,
    ) -> Result<(), Error> {
        self.send(Command::Dht(Box::new(job)))
    }

    pub(crate) fn send(&self, command: Command) -> Result<(), Error> {
        self.shared.commands.send(command).map_err(|_| Error::Stopped)?;
        self.shared.waker.wake();
        Ok(())
    }

    fn inquire<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut Machine, &mut Ledger, Instant) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (tell, told): (Sender<T>, Receiver<T>) = channel();
        self.command(move |machine, ledger, now| {
            let _ = tell.send(look(machine, ledger, now));
        })?;
        told.recv().map_err(|_| Error::Stopped)
    }
}

impl Shared {
    fn stop(&self) -> Result<(), Error> {
        let thread = self.thread.lock().ok().and_then(|mut thread| thread.take());
        let thread = thread.ok_or(Error::Stopped)?;
        let is_own = thread.thread().id() == std::thread::current().id();
        let _ = self.commands.send(Command::Dht(Box::new(|_, ledger, _| ledger.stop())));
        self.waker.wake();
        if is_own {
            // A handler wants an end: it comes when the handler is done.
            return Ok(());
        }
        // A panic over there is no reason for one here.
        thread.join().unwrap_or(Err(Error::Stopped))
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Whoever wants to know whether the state was saved calls `stop`.
        let _ = self.stop();
    }
}

/// A question that can go to another thread.
struct OwnedQuestion {
    name: Vec<u8>,
    arguments: Vec<u8>,
}

impl OwnedQuestion {
    fn of(question: Question<'_>) -> Option<Self> {
        if let Question::Method { name, arguments } = question {
            return Some(Self { name: name.to_vec(), arguments: arguments.to_vec() });
        }
        // Written and read again: name and arguments are all there is to any question.
        let mut bytes = [0; tinybt_core::limits::DATAGRAM_MAX];
        let envelope =
            krpc::Envelope { transaction: b"", version: None, read_only: false, external: None };
        let len = krpc::encode_query(&mut bytes, &envelope, Id::default(), &question).ok()?;
        let message = krpc::decode(bytes.get(..len)?).ok()?;
        let Body::Query(query) = message.body else { return None };
        let arguments = without_id(query.raw)?;
        Some(Self { name: query.method.to_vec(), arguments })
    }

    fn question(&self) -> Question<'_> {
        Question::Method { name: &self.name, arguments: &self.arguments }
    }
}

/// The dictionary without `id`, which the node adds.
fn without_id(dictionary: &[u8]) -> Option<Vec<u8>> {
    let mut reader = krpc_reader(dictionary)?;
    let mut bytes = b"d".to_vec();
    loop {
        let before = reader;
        let Some(key) = reader.key().ok()? else { break };
        reader.skip().ok()?;
        if key != b"id" {
            bytes.extend_from_slice(before.until(&reader));
        }
    }
    bytes.push(b'e');
    Some(bytes)
}

fn krpc_reader(dictionary: &[u8]) -> Option<tinybt_core::wire::bencode::Reader<'_>> {
    let mut reader = tinybt_core::wire::bencode::Reader::new(dictionary);
    reader.enter_dictionary().ok()?;
    Some(reader)
}

fn random() -> Result<ChaCha12Rng, Error> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|_| Error::Random)?;
    Ok(ChaCha12Rng::from_seed(seed))
}
