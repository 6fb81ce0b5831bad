//! The handle that asks the DHT and all trackers at once.

use tinybt_core::InfoHash;
use tinybt_core::announce::Counts;
use tinybt_core::finder::Wanted;
use tinybt_core::tracker::udp::Patience;
use tinybt_runtime::Error;

use crate::dht::Dht;
use crate::swarm::Swarm;

/// Finds the peers of torrents: asks the DHT and every tracker at once, on the DHT's thread and
/// sockets. Clones are handles to the same.
///
/// ```no_run
/// use tinybt_std::core::finder::Wanted;
/// use tinybt_std::{Dht, PUBLIC_ROUTERS};
///
/// let finder = Dht::builder().bootstrap(PUBLIC_ROUTERS).finder()?;
/// let torrent = "magnet:?xt=urn:btih:2b66980093bc11806fab50cb3cb41835b95a0362".parse()?;
/// for peer in finder.find(Wanted::peers_of(torrent))? {
///     println!("{} by {:?}", peer.addr, peer.source);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Finder {
    dht: Dht,
}

impl Finder {
    /// On the thread and the sockets of a DHT.
    pub fn new(dht: Dht) -> Self {
        Self { dht }
    }

    /// The DHT.
    pub fn dht(&self) -> &Dht {
        &self.dht
    }

    /// Begins a search.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`]. What goes wrong with single sources is told by the [`Swarm`].
    pub fn find(&self, wanted: Wanted) -> Result<Swarm, Error> {
        let swarm = tinybt_runtime::Finder::new(self.dht.handle().clone()).find(wanted)?;
        Ok(Swarm::new(swarm, self.dht.clone()))
    }

    /// Asks one tracker for the counts of swarms, and waits for its answer. Those that it does not
    /// answer for are missing.
    ///
    /// # Errors
    ///
    /// [`Error::Tracker`] says why there is nothing at all, [`Error::Stopped`].
    pub fn scrape(
        &self,
        url: &str,
        swarms: &[InfoHash],
        patience: Patience,
    ) -> Result<Vec<(InfoHash, Counts)>, Error> {
        let finder = tinybt_runtime::Finder::new(self.dht.handle().clone());
        self.dht.wait(finder.scrape(url, swarms, patience))
    }
}
