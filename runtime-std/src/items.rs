//! Items of the DHT, for threads that wait (BEP 44, BEP 46).

use std::time::Duration;

use tinybt_core::dht::Sought;
use tinybt_core::dht::item::Signer;
use tinybt_core::follow::Link;
use tinybt_runtime::{Change, Error, OwnedItem, Published};

use crate::dht::Dht;
use crate::search::Search;
use crate::wait::within;

impl Dht {
    /// Looks for an item (BEP 44): an iterator of ever newer versions, the last of which is the
    /// newest there is. Only what its key signed, or what hashes to the target, is yielded.
    ///
    /// # Errors
    ///
    /// [`Error::Item`] if the salt is too long, and as [`Dht::get_peers`].
    ///
    /// ```no_run
    /// use tinybt_std::core::dht::Sought;
    ///
    /// let dht = tinybt_std::Dht::builder().bootstrap(tinybt_std::PUBLIC_ROUTERS).start()?;
    /// let target = "e5f96f6f38320f0f33959cb4d3d656452117aadb".parse()?;
    /// if let Some(item) = dht.get(&Sought::at(target))?.next() {
    ///     println!("{}", item.value().escape_ascii());
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn get(&self, sought: &Sought<'_>) -> Result<Search<OwnedItem>, Error> {
        Ok(Search::new(self.handle().get(sought)?, self.clone()))
    }

    /// Stores an item at the closest nodes (BEP 44): [`Search::finish`] says how many stored it, and
    /// which refused. If there is a newer one, that is yielded and nothing is stored.
    ///
    /// `cas`: only in place of the version with this sequence number, or of nothing.
    ///
    /// Nodes forget it after two hours: [`Dht::keep`] puts it again.
    ///
    /// # Errors
    ///
    /// [`Error::Item`] if nobody would store it, and as [`Dht::get_peers`].
    pub fn put(&self, item: &OwnedItem, cas: Option<i64>) -> Result<Search<OwnedItem>, Error> {
        Ok(Search::new(self.handle().put(item, cas)?, self.clone()))
    }

    /// Gives the item of a key and a salt a new value: looks for the newest version, signs the next
    /// one and stores it. A value that it has already is put again as it is.
    ///
    /// # Errors
    ///
    /// [`Error::Item`] and [`Error::Sign`], [`Error::Outdated`] if others were faster each time, and
    /// as [`Dht::get_peers`].
    pub fn publish(
        &self,
        signer: &(impl Signer + ?Sized),
        salt: &[u8],
        value: &[u8],
    ) -> Result<Published, Error> {
        self.wait(self.handle().publish(signer, salt, value))
    }

    /// Stores an item, and stores it again from time to time as long as the [`Keep`] lives and is
    /// asked: once an hour is what BEP 44 asks for, and 10 milliseconds are the least.
    ///
    /// # Errors
    ///
    /// [`Error::Item`] if nobody would store it.
    pub fn keep(&self, item: OwnedItem, every: Duration) -> Result<Keep, Error> {
        Ok(Keep { inner: self.handle().keep(item, every)?, dht: self.clone() })
    }

    /// Follows a torrent that changes (BEP 46): looks for its item at once and then from time to
    /// time, 10 milliseconds at the least, and yields the torrent whenever it is another. In a family
    /// where not more than 8 nodes are seen to hold the item it is put again, so that it lives as long
    /// as somebody follows it.
    pub fn follow(&self, link: &Link, every: Duration) -> Follow {
        Follow { inner: self.handle().follow(link, every), dht: self.clone() }
    }
}

/// An item that is kept in the DHT, as long as this lives and is asked for the next put.
#[derive(Debug)]
pub struct Keep {
    inner: tinybt_runtime::Keep,
    dht: Dht,
}

impl Keep {
    /// How the next put went, waiting for it no longer than this: the first begins at once. `None`
    /// if it is not over.
    ///
    /// # Errors
    ///
    /// Why it could not be made, as [`Dht::put`]; the next is tried when its time comes.
    pub fn next_within(&mut self, time: Duration) -> Option<Result<Published, Error>> {
        if self.dht.is_inside() {
            return Some(Err(Error::Inside));
        }
        within(time, |context| self.inner.poll_next(context))
    }
}

/// A torrent that is followed (BEP 46), as long as this lives and is asked for the next change.
#[derive(Debug)]
pub struct Follow {
    inner: tinybt_runtime::Follow,
    dht: Dht,
}

impl Follow {
    /// The next change, waiting for it no longer than this; the first is what the torrent is now, as
    /// soon as that is known. `None` if there was none.
    ///
    /// # Errors
    ///
    /// Why there was no lookup, as [`Dht::get`]; the next is tried when its time comes.
    pub fn next_within(&mut self, time: Duration) -> Option<Result<Change, Error>> {
        if self.dht.is_inside() {
            return Some(Err(Error::Inside));
        }
        within(time, |context| self.inner.poll_next(context))
    }
}
