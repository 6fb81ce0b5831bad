//! How a [`Dht`] is to be: which sockets, whom to begin with, what to remember.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;

use tinybt_core::Family;
use tinybt_core::dht::{Config, Heap};

use crate::dht::Dht;
use crate::error::Error;
use crate::handler::Handler;

/// Public nodes to begin with, as other clients use them.
pub const PUBLIC_ROUTERS: [&str; 4] = [
    "router.bittorrent.com:6881",
    "dht.transmissionbt.com:6881",
    "dht.libtorrent.org:25401",
    "router.utorrent.com:6881",
];

/// Makes a [`Dht`].
///
/// ```no_run
/// let dht = tinybt_std::Dht::builder().bootstrap(tinybt_std::PUBLIC_ROUTERS).start()?;
/// # Ok::<(), tinybt_std::Error>(())
/// ```
pub struct Builder {
    pub(crate) bind: Vec<SocketAddr>,
    pub(crate) sockets: Vec<UdpSocket>,
    pub(crate) bootstrap: Vec<String>,
    pub(crate) state: Option<PathBuf>,
    pub(crate) capacities: Heap,
    pub(crate) configure: Vec<Configure>,
    pub(crate) handler: Option<Handler>,
    /// Whether there is a node at all.
    pub(crate) dht: bool,
    #[cfg(feature = "finder")]
    pub(crate) trackers: tinybt_core::tracker::udp::Heap,
    #[cfg(feature = "http")]
    pub(crate) http: crate::fetch::HttpConfig,
}

type Configure = Box<dyn Fn(&mut Config)>;

impl Builder {
    pub(crate) fn new() -> Self {
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
        }
    }

    /// Opens a socket at this address. At most one of each family; without any, one of each is
    /// opened at a free port, IPv6 only where there is any.
    ///
    /// The standard library opens IPv6 sockets as the operating system likes them, on Linux for
    /// both families. For the same port in both, open one for IPv6 alone (with the crate `socket2`,
    /// say) and give it to [`Builder::socket`].
    pub fn bind(mut self, addr: SocketAddr) -> Self {
        self.bind.push(addr);
        self
    }

    /// Uses a socket that is bound already.
    pub fn socket(mut self, socket: UdpSocket) -> Self {
        self.sockets.push(socket);
        self
    }

    /// Begins with these nodes: `address:port` or `name:port`. Names are resolved while the DHT
    /// runs; one that does not resolve is passed over (see
    /// [`Dht::unresolved`](crate::Dht::unresolved)).
    pub fn bootstrap<T: Into<String>>(mut self, nodes: impl IntoIterator<Item = T>) -> Self {
        self.bootstrap.extend(nodes.into_iter().map(Into::into));
        self
    }

    /// Remembers nodes from run to run: read at the start, written when the DHT ends.
    pub fn state(mut self, path: impl Into<PathBuf>) -> Self {
        self.state = Some(path.into());
        self
    }

    /// Asks but does not answer (BEP 43).
    pub fn read_only(self, read_only: bool) -> Self {
        self.configure(move |config| config.read_only = read_only)
    }

    /// Changes anything else, for each family's node. [`Config`] has the defaults and meanings.
    pub fn configure(mut self, change: impl Fn(&mut Config) + 'static) -> Self {
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

    /// Answers queries of methods that this library does not know. It runs on the DHT's thread, so
    /// it must be quick.
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

    /// Opens the sockets, starts the thread, and gives the handle that asks trackers as well.
    ///
    /// # Errors
    ///
    /// As [`Builder::start`], and [`Error::Http`].
    #[cfg(feature = "finder")]
    pub fn finder(self) -> Result<crate::Finder, Error> {
        self.start().map(crate::Finder::new)
    }

    /// Opens the sockets and starts the thread.
    ///
    /// # Errors
    ///
    /// [`Error::Bind`] and [`Error::Socket`] for sockets, [`Error::State`] and
    /// [`Error::StateFormat`] for the state file, [`Error::Random`] without randomness.
    pub fn start(self) -> Result<Dht, Error> {
        Dht::start(self)
    }

    /// The sockets, opened where they are not.
    pub(crate) fn open(&mut self) -> Result<Vec<UdpSocket>, Error> {
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

    pub(crate) fn config(&self, family: Family) -> Config {
        let mut config = Config::new(family);
        self.configure.iter().for_each(|change| change(&mut config));
        config
    }
}
