//! The handle that asks the DHT and all trackers at once.

use std::fmt;
use std::sync::{Arc, OnceLock};

use tinybt_core::InfoHash;
use tinybt_core::announce::Counts;
use tinybt_core::finder::{ScrapeId, Wanted};
use tinybt_core::tracker::udp::Patience;

use crate::desk::Job;
use crate::dht::{Commands, Dht};
use crate::engine::Command;
use crate::error::Error;
use crate::mailbox::mailbox;
use crate::swarm::Swarm;

/// Finds the peers of torrents: asks the DHT and every tracker at once, on the DHT's sockets.
/// Clones are handles to the same.
pub struct Finder<R> {
    dht: Dht<R>,
}

impl<R> Clone for Finder<R> {
    fn clone(&self) -> Self {
        Self { dht: self.dht.clone() }
    }
}

impl<R> Finder<R> {
    /// On the sockets of a DHT.
    pub fn new(dht: Dht<R>) -> Self {
        Self { dht }
    }

    /// The DHT.
    pub fn dht(&self) -> &Dht<R> {
        &self.dht
    }

    /// Begins a search.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`]. What goes wrong with single sources is told by the [`Swarm`].
    pub fn find(&self, wanted: Wanted) -> Result<Swarm, Error> {
        let (tell, told) = mailbox();
        let search = Arc::new(OnceLock::new());
        let (begun, commands) = (search.clone(), self.dht.commands.clone());
        commands.finder(Box::new(move |finder, desk, now| {
            let search = finder.search(now, wanted);
            let _ = begun.set(search);
            desk.search(search, tell);
        }))?;
        Ok(Swarm::new(commands, told, search))
    }

    /// Asks one tracker for the counts of swarms, and waits for its answer. Those that it does not
    /// answer for are missing. When the future is dropped, no more is asked.
    ///
    /// # Errors
    ///
    /// [`Error::Tracker`] says why there is nothing at all, [`Error::Stopped`].
    pub async fn scrape(
        &self,
        url: &str,
        swarms: &[InfoHash],
        patience: Patience,
    ) -> Result<Vec<(InfoHash, Counts)>, Error> {
        let (tell, told) = mailbox();
        let (asked, swarms) = (url.to_owned(), swarms.to_vec());
        let begun = Arc::new(OnceLock::new());
        let commands = self.dht.commands.clone();
        let _withdraws = Withdraw { commands, scrape: begun.clone() };
        self.dht.commands.finder(Box::new(move |finder, desk, now| {
            match finder.scrape(now, &asked, &swarms, patience) {
                Ok(scrape) => {
                    let _ = begun.set(scrape);
                    desk.scrape(scrape, tell);
                }
                Err(error) => drop(tell.send(Err(error.to_string()))),
            }
        }))?;
        let answer = told.take().await.ok_or(Error::Stopped)?;
        answer.map_err(|reason| Error::Tracker { url: url.to_owned(), reason })
    }
}

/// Gives a scrape up that nobody waits for any more.
struct Withdraw {
    commands: Commands,
    /// Known once it has begun.
    scrape: Arc<OnceLock<ScrapeId>>,
}

impl Drop for Withdraw {
    fn drop(&mut self) {
        let begun = self.scrape.clone();
        let _ = self.commands.finder(Box::new(move |finder, desk, _| {
            if let Some(scrape) = begun.get()
                && desk.forget(*scrape)
            {
                finder.withdraw_scrape(*scrape);
            }
        }));
    }
}

impl<R> fmt::Debug for Finder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finder").field("dht", &self.dht).finish()
    }
}

impl Commands {
    pub(crate) fn finder(&self, job: Job) -> Result<(), Error> {
        self.send(Command::Finder(job))
    }
}
