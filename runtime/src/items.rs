//! Items of the DHT by a handle: found, stored, kept and followed (BEP 44, BEP 46).

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tinybt_core::dht::item::{ItemError, Signer};
use tinybt_core::dht::{Busy, End, Sought};
use tinybt_core::follow::Link;
use tinybt_core::limits::{K, SALT_MAX};
use tinybt_core::{Family, InfoHash};

use crate::dht::Dht;
use crate::error::Error;
use crate::host::Host;
use crate::item::OwnedItem;
use crate::ledger::Finished;
use crate::mailbox::mailbox;
use crate::search::Search;

/// Others may have stored something newer between our look and our put; then once more, so often.
const ATTEMPTS: usize = 4;

/// Between two puts or looks, at the least.
const EVERY_MIN: Duration = Duration::from_millis(10);

/// What became of an item that was to be stored.
#[derive(Clone, Debug)]
pub struct Published {
    /// What stands under its target now, as far as we can tell.
    pub item: OwnedItem,
    /// How the put went, in each family.
    pub finished: Vec<Finished>,
}

impl Published {
    /// How many nodes stored it.
    pub fn stored(&self) -> usize {
        self.finished.iter().map(|finished| usize::from(finished.outcome.stored)).sum()
    }

    /// Whether others had stored something newer in the meantime: the put was ended by that, or
    /// nobody took it and somebody said why (BEP 44: 301 and 302).
    fn is_outrun(&self) -> bool {
        let is_refused =
            |finished: &Finished| finished.refusals().any(|(_, code)| matches!(code, 301 | 302));
        // Of those that ended otherwise nobody held anything against it.
        let is_outrun =
            |finished: &Finished| matches!(finished.outcome.end, End::Outdated | End::Conflict);
        self.finished.iter().any(is_outrun)
            || (self.stored() == 0 && self.finished.iter().any(is_refused))
    }
}

impl<R> Dht<R> {
    /// Looks for an item (BEP 44). Yields each that is newer than the one before; the last is the
    /// newest that there is. Only what its key signed, or what hashes to the target, is yielded.
    ///
    /// # Errors
    ///
    /// [`Error::Item`] if the salt is too long, and as [`Dht::get_peers`].
    pub fn get(&self, sought: &Sought<'_>) -> Result<Search<OwnedItem>, Error> {
        let (target, newer_than) = (sought.target, sought.newer_than);
        let salt = sought.salt.to_vec();
        if salt.len() > SALT_MAX {
            return Err(Error::Item(ItemError::SaltTooBig));
        }
        self.search(move |machine, now| {
            machine.get(now, &Sought { target, salt: &salt, newer_than }).map_err(|_| Busy)
        })
    }

    /// Stores an item at the closest nodes (BEP 44): [`Search::finish`] says how many stored it, and
    /// which refused. If there is a newer one, that is yielded and nothing is stored
    /// ([`End::Outdated`]).
    ///
    /// `cas`: only in place of the version with this sequence number, or of nothing.
    ///
    /// Nodes forget it after two hours: [`Dht::keep`] puts it again.
    ///
    /// # Errors
    ///
    /// [`Error::Item`] if nobody would store it, and as [`Dht::get_peers`].
    pub fn put(&self, item: &OwnedItem, cas: Option<i64>) -> Result<Search<OwnedItem>, Error> {
        check(item)?;
        let item = item.clone();
        self.search(move |machine, now| machine.put(now, &item.item(), cas).map_err(|_| Busy))
    }

    /// The same in these families alone.
    fn put_in(&self, families: &[Family], item: &OwnedItem) -> Result<Search<OwnedItem>, Error> {
        check(item)?;
        let (families, item) = (families.to_vec(), item.clone());
        self.search(move |machine, now| {
            let pair = machine.put(now, &item.item(), None).map_err(|_| Busy)?;
            for lookup in pair.iter().filter(|lookup| !families.contains(&lookup.family())) {
                machine.cancel(now, lookup);
            }
            Ok(pair)
        })
    }

    /// Gives the item of a key and a salt a new value: looks for the newest version, signs the next
    /// one and stores it. A value that it has already is put again as it is.
    ///
    /// # Errors
    ///
    /// [`Error::Item`] and [`Error::Sign`], [`Error::Outdated`] if others were faster each time, and
    /// as [`Dht::get_peers`].
    pub async fn publish(
        &self,
        signer: &(impl Signer + ?Sized),
        salt: &[u8],
        value: &[u8],
    ) -> Result<Published, Error> {
        let key = signer.key();
        for _ in 0..ATTEMPTS {
            let mut search = self.get(&Sought::of_key(&key, salt))?;
            let newest = newest(search.finish().await?);
            let item = match newest {
                Some(item) if item.value() == value => item,
                newest => {
                    let last = newest.and_then(|item| item.seq()).unwrap_or(0);
                    let next = last.checked_add(1).ok_or(Error::Item(ItemError::Sequence))?;
                    OwnedItem::sign(signer, salt, next, value).map_err(Error::Sign)?
                }
            };
            let mut put = self.put(&item, None)?;
            let finished = put.finish().await?.to_vec();
            let published = Published { item, finished };
            if !published.is_outrun() {
                return Ok(published);
            }
        }
        Err(Error::Outdated)
    }
}

impl<R: 'static> Dht<R> {
    /// Stores an item, and stores it again from time to time as long as the [`Keep`] lives: nodes
    /// forget it after two hours, so once an hour is what BEP 44 asks for, and 10 milliseconds are
    /// the least.
    ///
    /// # Errors
    ///
    /// [`Error::Item`] if nobody would store it.
    pub fn keep(&self, item: OwnedItem, every: Duration) -> Result<Keep, Error> {
        check(&item)?;
        let begin = {
            let dht = self.clone();
            move |wait| -> Step<Published> { Box::pin(put_after(dht.clone(), item.clone(), wait)) }
        };
        Ok(Keep { again: Again::new(every), begin: Box::new(begin) })
    }

    /// Follows a torrent that changes (BEP 46): looks for its item at once and then from time to
    /// time, 10 milliseconds at the least, and yields the torrent whenever it is another. In a family
    /// where not more than 8 nodes are seen to hold the item it is put again, so that it lives as long
    /// as somebody follows it.
    pub fn follow(&self, link: &Link, every: Duration) -> Follow {
        let begin = {
            let (dht, link) = (self.clone(), link.clone());
            move |wait, known| -> Step<Option<Change>> {
                Box::pin(look_after(dht.clone(), link.clone(), known, wait))
            }
        };
        Follow { again: Again::new(every), begin: Box::new(begin), known: None }
    }
}

async fn put_after<R>(dht: Dht<R>, item: OwnedItem, wait: Duration) -> Result<Published, Error> {
    pause(&dht.host, wait).await?;
    let mut put = dht.put(&item, None)?;
    let finished = put.finish().await?.to_vec();
    Ok(Published { item: newest(&finished).unwrap_or(item), finished })
}

async fn look_after<R>(
    dht: Dht<R>,
    link: Link,
    known: Option<Change>,
    wait: Duration,
) -> Result<Option<Change>, Error> {
    pause(&dht.host, wait).await?;
    let newer_than = known.as_ref().map(|change| change.seq);
    let sought = Sought { newer_than, ..Sought::of_key(&link.key.0, link.salt()) };
    let mut search = dht.get(&sought)?;
    let finished = search.finish().await?;
    let found = newest(finished).and_then(|item| {
        let (seq, info_hash) = (item.seq()?, item.torrent()?);
        Some(Change { info_hash, seq, item })
    });
    if let Some(change) = found.as_ref().or(known.as_ref()) {
        let rare: Vec<_> = finished
            .iter()
            .filter(|finished| is_rare(finished, &change.item, found.is_some()))
            .map(|finished| finished.family)
            .collect();
        if !rare.is_empty() {
            dht.put_in(&rare, &change.item)?.finish().await?;
        }
    }
    Ok(found)
}

/// Whether BEP 44 asks for another put of an item in a family: unless more than eight hold it.
fn is_rare(finished: &Finished, item: &OwnedItem, is_news: bool) -> bool {
    // Copies are counted of what the family itself knows as the newest.
    let is_behind = is_news && finished.item.as_ref().is_none_or(|found| item.is_newer(found));
    is_behind || finished.copies.is_none_or(|copies| usize::from(copies.newest) <= K)
}

fn check(item: &OwnedItem) -> Result<(), Error> {
    let item = item.item();
    let checked = if cfg!(feature = "ed25519") { item.check() } else { item.check_form() };
    checked.map_err(Error::Item)
}

/// The newest of what each family found.
fn newest(finished: &[Finished]) -> Option<OwnedItem> {
    let items = finished.iter().filter_map(|finished| finished.item.clone());
    items.reduce(|newest, item| if item.is_newer(&newest) { item } else { newest })
}

/// Waits where the runtime waits.
async fn pause(host: &Arc<dyn Host>, time: Duration) -> Result<(), Error> {
    if time.is_zero() {
        return Ok(());
    }
    let (tell, told) = mailbox();
    let ring = move || {
        let _ = tell.send(());
    };
    host.run(time, Box::new(ring)).map_err(Error::Socket)?;
    told.take().await.ok_or(Error::Stopped)
}

/// A torrent that changed (BEP 46).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What it is now.
    pub info_hash: InfoHash,
    /// The number of the version.
    pub seq: i64,
    /// The item that says so.
    pub item: OwnedItem,
}

/// An item that is kept in the DHT, as long as this lives and is asked for the next put.
pub struct Keep {
    again: Again<Published>,
    begin: Box<dyn Fn(Duration) -> Step<Published> + Send>,
}

impl Keep {
    /// How the next put went: the first begins at once. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// Why it could not be made, as [`Dht::put`]; the next is tried when its time comes.
    pub async fn next(&mut self) -> Result<Published, Error> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// The same for those who poll.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Published, Error>> {
        self.again.poll(context, &self.begin)
    }
}

/// A torrent that is followed (BEP 46), as long as this lives and is asked for the next change.
pub struct Follow {
    again: Again<Option<Change>>,
    begin: Box<Look>,
    known: Option<Change>,
}

impl Follow {
    /// The next change; the first is what the torrent is now, as soon as that is known. Dropping the
    /// future loses nothing.
    ///
    /// # Errors
    ///
    /// Why there was no lookup, as [`Dht::get`]; the next is tried when its time comes.
    pub async fn next(&mut self) -> Result<Change, Error> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// The same for those who poll.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Change, Error>> {
        loop {
            let (begin, known) = (&self.begin, &self.known);
            let looked = self.again.poll(context, |wait| begin(wait, known.clone()));
            let Some(found) = ready!(looked)? else { continue };
            let known = self.known.replace(found.clone()).map(|known| known.info_hash);
            if known != Some(found.info_hash) {
                return Poll::Ready(Ok(found));
            }
        }
    }
}

/// Looks again after a while, knowing what it was.
type Look = dyn Fn(Duration, Option<Change>) -> Step<Option<Change>> + Send;

type Step<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

/// Something that is done again and again, by whoever polls.
struct Again<T> {
    every: Duration,
    /// Before the next step: nothing before the first.
    wait: Duration,
    under_way: Option<Step<T>>,
}

impl<T> Again<T> {
    fn new(every: Duration) -> Self {
        Self { every: every.max(EVERY_MIN), wait: Duration::ZERO, under_way: None }
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
        begin: impl FnOnce(Duration) -> Step<T>,
    ) -> Poll<Result<T, Error>> {
        let wait = self.wait;
        let step = self.under_way.get_or_insert_with(|| begin(wait));
        let done = ready!(step.as_mut().poll(context));
        (self.under_way, self.wait) = (None, self.every);
        Poll::Ready(done)
    }
}

impl fmt::Debug for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keep").finish_non_exhaustive()
    }
}

impl fmt::Debug for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follow").finish_non_exhaustive()
    }
}
