//! How a [`Dht`] is to be: which sockets, whom to begin with, what to remember.

use std::fmt;
use std::marker::PhantomData;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;

use chacha20::ChaCha12Rng;
use chacha20::rand_core::SeedableRng;
use tinybt_core::dht::{Config, Dual, Heap, HomeError, Node, RestoreError};
use tinybt_core::{Family, Instant};

use crate::dht::Dht;
use crate::engine::{Engine, Hosted};
use crate::error::Error;
use crate::handler::Handler;
use crate::host::Host;
use crate::kept::Kept;
use crate::ledger::Ledger;
use crate::mailbox::mailbox;
use crate::state::{self, State};

/// Public nodes to begin with, as other clients use them.
pub const PUBLIC_ROUTERS: [&str; 4] = [
    "router.bittorrent.com:6881",
    "dht.transmissionbt.com:6881",
    "dht.libtorrent.org:25401",
    "router.utorrent.com:6881",
];

/// How a runtime begins.
pub trait Runtime: Sized {
    /// What it gives: a handle, and whatever is to be done with the loop.
    type Started;

    /// Opens the sockets and begins.
    ///
    /// # Errors
    ///
    /// As [`Builder::build`].
    fn start(builder: Builder<Self>) -> Result<Self::Started, Error>;
}

/// A runtime whose handle can ask trackers as well.
#[cfg(feature = "finder")]
pub trait WithFinder: Runtime {
    /// What it gives in place of [`Runtime::Started`].
    type Finder;

    /// The same with the handle that asks trackers as well.
    fn finder(started: Self::Started) -> Self::Finder;
}

/// Makes a DHT.
pub struct Builder<R> {
    bind: Vec<SocketAddr>,
    sockets: Vec<UdpSocket>,
    bootstrap: Vec<String>,
    state: Option<PathBuf>,
    capacities: Heap,
    configure: Vec<Configure>,
    handler: Option<Handler>,
    /// Whether there is a node at all.
    dht: bool,
    #[cfg(feature = "finder")]
    trackers: tinybt_core::tracker::udp::Heap,
    #[cfg(feature = "http")]
    http: crate::fetch::HttpConfig,
    runtime: PhantomData<fn() -> R>,
}

type Configure = Box<dyn Fn(&mut Config) + Send>;

/// What a runtime puts together.
pub struct Parts<R> {
    /// The machine.
    pub hosted: Hosted,
    /// Its sockets.
    pub sockets: Vec<UdpSocket>,
    /// What tells whoever waits.
    pub engine: Engine,
    /// The handle.
    pub dht: Dht<R>,
}

impl<R> Default for Builder<R> {
    fn default() -> Self {
        Self {
            bind: Vec::new(),
            sockets: Vec::new(),
            bootstrap: Vec::new(),
            state: None,
            capacities: Heap::default(),
            configure: Vec::new(),
            handler: None,
            dht: true,
            #[cfg(feature = "finder")]
            trackers: tinybt_core::tracker::udp::Heap::default(),
            #[cfg(feature = "http")]
            http: crate::fetch::HttpConfig::default(),
            runtime: PhantomData,
        }
    }
}

impl<R> Builder<R> {
    /// Opens a socket at this address. There may be several of each family: each is a node of its
    /// own (BEP 45), so name the addresses of the host and no wildcard, and one port of each.
    /// Without any, one of each family is opened at a free port, IPv6 only where there is any.
    ///
    /// The standard library opens IPv6 sockets as the operating system likes them, on Linux for
    /// both families. For the same port in both, open one for IPv6 alone (with the crate `socket2`,
    /// say) and give it to [`Builder::socket`].
    pub fn bind(mut self, addr: SocketAddr) -> Self {
        self.bind.push(addr);
        self
    }

    /// Uses a socket that is bound already, as if [`Builder::bind`] had opened it.
    pub fn socket(mut self, socket: UdpSocket) -> Self {
        self.sockets.push(socket);
        self
    }

    /// Begins with these nodes: `address:port` or `name:port`. Names are resolved while the DHT
    /// runs; one that does not resolve is looked up again from time to time (see
    /// [`Dht::unresolved`]).
    pub fn bootstrap<T: Into<String>>(mut self, nodes: impl IntoIterator<Item = T>) -> Self {
        self.bootstrap.extend(nodes.into_iter().map(Into::into));
        self
    }

    /// Remembers nodes from run to run: read at the start, written every ten minutes while it runs and
    /// when the DHT ends. A file that cannot be written is an error of the start, as far as can be seen
    /// then.
    pub fn state(mut self, path: impl Into<PathBuf>) -> Self {
        self.state = Some(path.into());
        self
    }

    /// Asks but does not answer (BEP 43).
    pub fn read_only(self, read_only: bool) -> Self {
        self.configure(move |config| config.read_only = read_only)
    }

    /// Changes anything else, for the node of each address. [`Config`] has the defaults and meanings.
    /// Where it fixes an id, nodes after the first of a family have others, made from it.
    pub fn configure(mut self, change: impl Fn(&mut Config) + Send + 'static) -> Self {
        self.configure.push(Box::new(change));
        self
    }

    /// For a network of one's own: no limits, no demands on addresses ([`Config::private`]).
    pub fn private(self) -> Self {
        self.configure(|config| *config = Config::private(config.family))
    }

    /// How much may be under way at once, and how much is stored.
    pub fn capacities(mut self, capacities: Heap) -> Self {
        self.capacities = capacities;
        self
    }

    /// Answers queries of methods that this library does not know. It runs where the DHT
    /// does, so it must be quick, and must not wait
    /// for this DHT. A handle of the same DHT in it keeps the DHT alive until it is stopped.
    pub fn handler(mut self, handler: Handler) -> Self {
        self.handler = Some(handler);
        self.configure(|config| config.foreign_methods = true)
    }

    /// Takes no part in the DHT: for a finder that asks trackers alone.
    #[cfg(feature = "finder")]
    pub fn without_dht(mut self) -> Self {
        self.dht = false;
        self
    }

    /// How many UDP trackers may be asked at once.
    #[cfg(feature = "finder")]
    pub fn trackers(mut self, trackers: tinybt_core::tracker::udp::Heap) -> Self {
        self.trackers = trackers;
        self
    }

    /// How HTTP trackers are asked.
    #[cfg(feature = "http")]
    pub fn http(mut self, http: crate::fetch::HttpConfig) -> Self {
        self.http = http;
        self
    }

    /// Opens the sockets and begins. Reads the state file, sees whether it can be written, and reads the
    /// certificates here and now, which may take the disk a moment.
    ///
    /// # Errors
    ///
    /// As [`Builder::build`].
    pub fn start(self) -> Result<R::Started, Error>
    where
        R: Runtime,
    {
        R::start(self)
    }

    /// The same with the handle that asks trackers as well.
    ///
    /// # Errors
    ///
    /// As [`Builder::build`].
    #[cfg(feature = "finder")]
    pub fn finder(self) -> Result<R::Finder, Error>
    where
        R: WithFinder,
    {
        self.start().map(R::finder)
    }

    /// Opens the sockets and makes everything that a runtime puts together.
    ///
    /// # Errors
    ///
    /// [`Error::Bind`], [`Error::Socket`], [`Error::TwoSockets`] and [`Error::TooManySockets`] for
    /// sockets, [`Error::State`] and [`Error::StateFormat`] for the state file, [`Error::Random`]
    /// without randomness, [`Error::Http`] for the proxy and the certificates.
    pub fn build(mut self, host: Arc<dyn Host>) -> Result<Parts<R>, Error> {
        // Without a node there is nothing to remember.
        self.state = self.state.filter(|_| self.dht);
        let state = self.load()?;
        let sockets = self.open()?;
        let mut addrs = Vec::new();
        for socket in &sockets {
            socket.set_nonblocking(true).map_err(Error::Socket)?;
            let addr = socket.local_addr().map_err(Error::Socket)?;
            if addrs.contains(&addr) {
                return Err(Error::TwoSockets(addr));
            }
            addrs.push(addr);
        }
        let mut hosted = Dual::new(None, None);
        let saved = state.share_out(&addrs);
        for (addr, saved) in addrs.iter().zip(saved).filter(|_| self.dht) {
            let config = self.config(Family::of(addr));
            let mut node = Node::new(config, self.capacities, random()?);
            if let (Some(bytes), Some(path)) = (saved, &self.state) {
                node.restore(Instant::EPOCH, bytes)
                    .map_err(|reason| Error::StateFormat { path: path.clone(), reason })?;
            }
            hosted.add(Instant::EPOCH, *addr, node).map_err(|error| match error {
                HomeError::Full => Error::TooManySockets(*addr),
                // As the configuration may say.
                HomeError::Family => Error::Address(*addr),
                _ => Error::TwoSockets(*addr),
            })?;
        }
        #[cfg(feature = "finder")]
        let hosted = {
            let here = |family: &Family| addrs.iter().any(|addr| Family::of(addr) == *family);
            let families = [Family::V4, Family::V6].into_iter().filter(here);
            Hosted::new(hosted, self.trackers, families, [random()?, random()?])
        };
        let (commands, inbox) = mailbox();
        let ledger = Ledger::new(self.handler.take());
        #[cfg(feature = "finder")]
        let desk = crate::desk::Desk::new(crate::errands::Errands::new(
            host.clone(),
            commands.uncounted(),
            #[cfg(feature = "http")]
            crate::fetch::Fetcher::new(self.http)
                .map_err(|error| Error::Http(error.to_string()))?,
        ));
        let engine = Engine::new(
            inbox,
            ledger,
            #[cfg(feature = "finder")]
            desk,
            self.state.map(|path| Kept::new(path, host.clone(), Instant::EPOCH)),
            state.of_absent(&addrs),
        );
        let dht = Dht::new(commands, addrs.into(), host, self.dht);
        if self.dht {
            dht.add_nodes(self.bootstrap)?;
        }
        Ok(Parts { hosted, sockets, engine, dht })
    }

    fn load(&self) -> Result<State, Error> {
        let Some(path) = &self.state else { return Ok(State::default()) };
        let of_file = |source| Error::State { path: path.clone(), source };
        let state = State::load(path).map_err(of_file)?.ok_or_else(|| Error::StateFormat {
            path: path.clone(),
            reason: RestoreError::Malformed,
        })?;
        // Told now, and not when it is to be written.
        state::check(path).map_err(of_file)?;
        Ok(state)
    }

    /// The sockets, opened where they are not.
    fn open(&mut self) -> Result<Vec<UdpSocket>, Error> {
        let mut sockets = std::mem::take(&mut self.sockets);
        for addr in std::mem::take(&mut self.bind) {
            let socket = UdpSocket::bind(addr).map_err(|source| Error::Bind { addr, source })?;
            sockets.push(socket);
        }
        if !sockets.is_empty() {
            return Ok(sockets);
        }
        let addr = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        sockets.push(UdpSocket::bind(addr).map_err(|source| Error::Bind { addr, source })?);
        // A host without IPv6 is no reason to do without IPv4.
        sockets.extend(UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)));
        Ok(sockets)
    }

    fn config(&self, family: Family) -> Config {
        let mut config = Config::new(family);
        self.configure.iter().for_each(|change| change(&mut config));
        config
    }
}

pub(crate) fn random() -> Result<ChaCha12Rng, Error> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|_| Error::Random)?;
    Ok(ChaCha12Rng::from_seed(seed))
}

impl<R> fmt::Debug for Builder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bind, sockets, bootstrap, state, .. } = self;
        f.debug_struct("Builder")
            .field("bind", bind)
            .field("sockets", sockets)
            .field("bootstrap", bootstrap)
            .field("state", state)
            .finish_non_exhaustive()
    }
}
