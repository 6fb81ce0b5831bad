//! The handle of a DHT, for people who want no loop of their own.

use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tinybt_core::dht::{Announcement, Busy, LookupId, NetworkSize, Pair, Stats, Status};
use tinybt_core::wire::krpc::{self, Body, Question};
use tinybt_core::{Contact, Family, Id, InfoHash, Instant};

use crate::engine::Command;
use crate::error::Error;
use crate::host::Host;
use crate::ledger::{Answered, Job, Ledger, Machine};
use crate::mailbox::{Refused, Sender, mailbox};
use crate::names::{Named, Names};
use crate::question::OwnedQuestion;
use crate::search::{Progress, Search};
use crate::setup::{Builder, Runtime};

/// A DHT node for each local address, of both families. Clones are handles to the same; it ends, and the state is
/// saved, when the last of them and the last [`Search`] is gone.
///
/// What it gives are futures of no executor in particular. They make progress as long as somebody
/// drives the machine, [`Dht::stop`] included, and begin when they are polled first. A question that
/// is dropped keeps its place until its time is over.
pub struct Dht<R> {
    pub(crate) commands: Commands,
    addrs: Arc<[SocketAddr]>,
    names: Names,
    pub(crate) host: Arc<dyn Host>,
    /// Whether there is a node at all.
    has_nodes: bool,
    runtime: PhantomData<fn() -> R>,
}

impl<R> Clone for Dht<R> {
    fn clone(&self) -> Self {
        let (commands, addrs) = (self.commands.clone(), self.addrs.clone());
        let (names, host, has_nodes) = (self.names.clone(), self.host.clone(), self.has_nodes);
        Self { commands, addrs, names, host, has_nodes, runtime: PhantomData }
    }
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

/// What a node says of the info-hashes that it stores (BEP 51).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sampled {
    /// Until there is another sample: six hours at the most.
    pub interval: Duration,
    /// How many it stores, by its own word.
    pub stored: u64,
    /// Some of them.
    pub info_hashes: Vec<InfoHash>,
    /// Nodes closest to the target.
    pub nodes: Vec<Contact>,
}

/// How the nodes are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// State and counters of the first IPv4 node.
    pub v4: Option<(Status, Stats)>,
    /// Those of the first IPv6 node.
    pub v6: Option<(Status, Stats)>,
    /// All of them, by the addresses of their sockets.
    pub homes: Vec<(SocketAddr, Status, Stats)>,
    /// How large each family's network is, judged by the lookups of all nodes that have ended.
    pub network: Pair<NetworkSize>,
}

impl<R: Runtime> Dht<R> {
    /// Says how it is to be.
    pub fn builder() -> Builder<R> {
        Builder::default()
    }

    /// Opens the sockets and begins: the same as [`Builder::start`].
    ///
    /// # Errors
    ///
    /// As [`Builder::start`].
    pub fn bind(builder: Builder<R>) -> Result<R::Started, Error> {
        builder.start()
    }
}

impl<R> Dht<R> {
    pub(crate) fn new(
        commands: Sender<Command>,
        addrs: Arc<[SocketAddr]>,
        host: Arc<dyn Host>,
        has_nodes: bool,
    ) -> Self {
        // A name that takes long to resolve keeps no handle alive.
        let back = Commands(commands.uncounted());
        let tell = move |named: Named| {
            let told = move |machine: &mut Machine, ledger: &mut Ledger, now| {
                ledger.named(machine, now, named);
            };
            back.insist(told).is_ok()
        };
        let (commands, names) = (Commands(commands), Names::new(host.clone(), tell));
        Self { commands, addrs, names, host, has_nodes, runtime: PhantomData }
    }

    /// The addresses of its sockets.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// Adds nodes to begin with, `address:port` or `name:port`. Names are resolved in the
    /// background, and again from time to time as long as they are not found.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`]; [`Error::Socket`] if there is no place to resolve names.
    pub fn add_nodes<T: Into<String>>(
        &self,
        nodes: impl IntoIterator<Item = T>,
    ) -> Result<(), Error> {
        let mut names = Vec::new();
        for node in nodes {
            let node = node.into();
            match node.parse::<SocketAddr>() {
                Ok(addr) => self.commands.dht(move |machine, _, _| {
                    machine.add_source(addr);
                })?,
                Err(_) => names.push(node),
            }
        }
        if names.is_empty() {
            return Ok(());
        }
        let count = names.len();
        self.commands.dht(move |_, ledger, _| ledger.resolving += count)?;
        let missed = names.clone();
        self.names.look_up(names).map_err(|error| {
            // Nobody is to wait for them.
            let _ = self.commands.insist(move |machine, ledger, now| {
                for name in missed {
                    let named = Named { name, addrs: Vec::new(), is_first: true };
                    ledger.named(machine, now, named);
                }
            });
            Error::Socket(error)
        })
    }

    /// Names that were to be resolved and were not, so far.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub async fn unresolved(&self) -> Result<Vec<String>, Error> {
        self.commands.inquire(|_, ledger, _| ledger.unresolved.clone()).await
    }

    /// Tells of a node from elsewhere, such as a `PORT` message: it is asked before it is kept.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub fn add_node(&self, addr: SocketAddr) -> Result<(), Error> {
        self.commands.dht(move |machine, _, _| {
            machine.add_node(addr);
        })
    }

    /// Leaves an address alone for a while.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub fn block(&self, addr: SocketAddr, how_long: Duration) -> Result<(), Error> {
        self.commands.dht(move |machine, _, now| machine.block(now, addr, how_long))
    }

    /// Keeps a node in the routing table whatever happens, or no longer.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub fn protect(&self, addr: SocketAddr, protected: bool) -> Result<(), Error> {
        self.commands.dht(move |machine, _, _| machine.protect(&addr, protected))
    }

    /// Looks for the peers of a swarm, each yielded as it is found.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`], [`Error::NoDht`], [`Error::Busy`]; that too many lookups are under way comes
    /// from [`Search::finish`].
    pub fn get_peers(&self, info_hash: InfoHash) -> Result<Search, Error> {
        self.search(move |machine, now| machine.get_peers(now, info_hash))
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
        let how = how.into();
        self.search(move |machine, now| machine.announce(now, info_hash, how))
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
        let how = how.into();
        if !self.addrs.contains(&local) {
            return Err(Error::Address(local));
        }
        self.search(move |machine, now| {
            let home = machine.home(local).ok_or(Busy)?.id();
            machine.announce_from(home, now, info_hash, how).map(Pair::from)
        })
    }

    /// Looks for the peers of a swarm that lack something, as far as nodes tell them apart (BEP 33).
    ///
    /// # Errors
    ///
    /// As [`Dht::get_peers`].
    pub fn get_downloaders(&self, info_hash: InfoHash) -> Result<Search, Error> {
        self.search(move |machine, now| machine.get_downloaders(now, info_hash))
    }

    /// Counts the peers of a swarm (BEP 33): yields none, and [`Finished::swarm`] has the counts.
    ///
    /// [`Finished::swarm`]: crate::Finished::swarm
    ///
    /// # Errors
    ///
    /// As [`Dht::get_peers`].
    pub fn scrape(&self, info_hash: InfoHash) -> Result<Search, Error> {
        self.search(move |machine, now| machine.scrape(now, info_hash))
    }

    /// Looks for the nodes closest to a point of the key space: see [`Search::finish`] for them.
    ///
    /// # Errors
    ///
    /// As [`Dht::get_peers`].
    pub fn find_node(&self, target: Id) -> Result<Search, Error> {
        self.search(move |machine, now| machine.find_node(now, target))
    }

    pub(crate) fn search<T>(
        &self,
        start: impl Fn(&mut Machine, Instant) -> Result<Pair<LookupId>, Busy> + Send + 'static,
    ) -> Result<Search<T>, Error> {
        if !self.has_nodes {
            return Err(Error::NoDht);
        }
        let (tell, told) = mailbox();
        let progress = Progress::new();
        let shared = progress.clone();
        self.commands.dht(move |machine, ledger, now| {
            let begun = shared.clone();
            let begin: Job = Box::new(move |machine, ledger, now| {
                // Busy: the mailbox closes, and the search says so.
                if let Ok(pair) = start(machine, now) {
                    begun.set_begun(pair);
                    ledger.lookup(pair, tell);
                }
            });
            ledger.when_ready(machine, now, shared, begin);
        })?;
        Ok(Search::new(self.commands.clone(), told, progress))
    }

    /// Asks a node whether it is there.
    ///
    /// # Errors
    ///
    /// [`Error::Silent`], [`Error::Refused`], [`Error::Address`], [`Error::Answer`],
    /// [`Error::Stopped`].
    pub async fn ping(&self, addr: SocketAddr) -> Result<Pong, Error> {
        let answered = self.ask(addr, Question::Ping).await?;
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
    pub async fn ask_nodes(&self, addr: SocketAddr, target: Id) -> Result<Vec<Contact>, Error> {
        let answered = self.ask(addr, Question::FindNode { target, want: None }).await?;
        let message = krpc::decode(&answered.datagram).map_err(|_| Error::Answer(addr))?;
        let Body::Response(response) = &message.body else { return Err(Error::Answer(addr)) };
        Ok(response.nodes().chain(response.nodes6()).collect())
    }

    /// Asks a node for some of the info-hashes that it stores (BEP 51). Who asks again before the
    /// interval is over learns nothing new.
    ///
    /// # Errors
    ///
    /// As [`Dht::ping`]; [`Error::Answer`] if the node knows no such question.
    pub async fn ask_samples(&self, addr: SocketAddr, target: Id) -> Result<Sampled, Error> {
        let question = Question::SampleInfohashes { target, want: None };
        let answered = self.ask(addr, question).await?;
        let message = krpc::decode(&answered.datagram).map_err(|_| Error::Answer(addr))?;
        let Body::Response(response) = &message.body else { return Err(Error::Answer(addr)) };
        let samples = response.samples().ok_or(Error::Answer(addr))?;
        Ok(Sampled {
            interval: Duration::from_secs(samples.interval.clamp(0, 21_600) as u64),
            stored: samples.stored.max(0) as u64,
            info_hashes: samples.info_hashes().collect(),
            nodes: response.nodes().chain(response.nodes6()).collect(),
        })
    }

    /// Looks for the nodes closest to random points, so many one after the other, and says how large
    /// the network is by what all lookups have found: see [`NetworkSize`]. With 16 of them the
    /// interval is a fifth to each side.
    ///
    /// # Errors
    ///
    /// As [`Dht::get_peers`]; [`Error::Random`].
    pub async fn measure(&self, lookups: usize) -> Result<Pair<NetworkSize>, Error> {
        for _ in 0..lookups {
            let mut target = Id::default();
            getrandom::fill(&mut target.0).map_err(|_| Error::Random)?;
            self.find_node(target)?.finish().await?;
        }
        Ok(self.overview().await?.network)
    }

    /// Asks a node any question, and gives its answer as it came.
    ///
    /// # Errors
    ///
    /// As [`Dht::ping`], and [`Error::Arguments`], [`Error::Busy`].
    pub async fn ask(&self, addr: SocketAddr, question: Question<'_>) -> Result<Answered, Error> {
        let owned = OwnedQuestion::of(question).ok_or(Error::Arguments)?;
        let (tell, told) = mailbox();
        self.commands.dht(move |machine, ledger, _| {
            ledger.ask(machine, addr, &owned.question(), tell);
        })?;
        told.take().await.unwrap_or(Err(Error::Stopped))
    }

    /// How it is.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    pub async fn overview(&self) -> Result<Overview, Error> {
        self.commands.overview().await
    }

    /// Ends it here and now, whoever else has a handle. The future says whether the state was saved. Trackers
    /// that know us are told that we go, which takes three seconds at the most.
    ///
    /// # Errors
    ///
    /// [`Error::State`] if the state could not be written, [`Error::Stopped`] if it had ended.
    pub fn stop(&self) -> impl Future<Output = Result<(), Error>> + use<R> {
        let (tell, told) = mailbox();
        let sent = self.commands.insist(move |_, ledger, _| ledger.stop(tell));
        async move {
            sent?;
            told.take().await.unwrap_or(Err(Error::Stopped))
        }
    }
}

/// The way to the machine.
#[derive(Clone)]
pub(crate) struct Commands(Sender<Command>);

/// Commands that may wait to be carried out.
const COMMANDS_MAX: usize = 65_536;

impl Commands {
    pub(crate) fn send(&self, command: Command) -> Result<(), Error> {
        self.0.offer(command, COMMANDS_MAX).map_err(|refused| match refused {
            Refused::Gone => Error::Stopped,
            Refused::Full => Error::Busy,
        })
    }

    pub(crate) fn dht(
        &self,
        job: impl FnOnce(&mut Machine, &mut Ledger, Instant) + Send + 'static,
    ) -> Result<(), Error> {
        self.send(Command::Dht(Box::new(job)))
    }

    /// Sends what must not be lost, whatever waits already.
    pub(crate) fn insist(
        &self,
        job: impl FnOnce(&mut Machine, &mut Ledger, Instant) + Send + 'static,
    ) -> Result<(), Error> {
        self.0.send(Command::Dht(Box::new(job))).map_err(|_| Error::Stopped)
    }

    async fn inquire<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut Machine, &mut Ledger, Instant) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (tell, told) = mailbox();
        self.dht(move |machine, ledger, now| {
            let _ = tell.send(look(machine, ledger, now));
        })?;
        told.take().await.ok_or(Error::Stopped)
    }

    pub(crate) async fn overview(&self) -> Result<Overview, Error> {
        let look = |machine: &mut Machine, _: &mut Ledger, now| {
            let of = |family| machine.node(family).map(|node| (node.status(now), *node.stats()));
            let (v4, v6) = (of(Family::V4), of(Family::V6));
            let homes = machine.homes().filter_map(|home| {
                let node = home.node();
                Some((home.local()?, node.status(now), *node.stats()))
            });
            let network =
                Pair { v4: machine.network_size(Family::V4), v6: machine.network_size(Family::V6) };
            Overview { v4, v6, homes: homes.collect(), network }
        };
        self.inquire(look).await
    }
}

impl<R> fmt::Debug for Dht<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dht").field("addrs", &self.addrs).finish_non_exhaustive()
    }
}
