//! Who waits for which lookup and which answer of the DHT, and telling them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use chacha20::ChaCha12Rng;
use tinybt_core::dht::{
    AskError, AskId, Copies, Dual, Event, Heap, Hop, LookupId, Outcome, Pair, QuestionId, SwarmSize,
};
use tinybt_core::wire::krpc::{Body, Question};
use tinybt_core::{Contact, Family, Instant};

use crate::error::Error;
use crate::handler::{Handler, Reply};
use crate::item::OwnedItem;
use crate::mailbox::{Post, Sender, Weight};
use crate::names::Named;
use crate::search::Progress;

pub(crate) type Machine = Dual<Heap, ChaCha12Rng>;

/// A command to the DHT.
pub(crate) type Job = Box<dyn FnOnce(&mut Machine, &mut Ledger, Instant) + Send>;

/// What a lookup tells whoever began it.
#[derive(Debug)]
pub(crate) enum Told {
    Began(Pair<LookupId>),
    Peer(SocketAddr),
    Item(Box<OwnedItem>),
    Finished(Box<Finished>),
}

impl Post for Told {
    fn weight(&self) -> Weight {
        match self {
            Told::Peer(_) => Weight::Spare,
            // The newest is what counts.
            Told::Item(_) => Weight::State(0),
            Told::Began(_) | Told::Finished(_) => Weight::Must,
        }
    }

    /// One family may know an older item than the other has told.
    fn replaces(&self, waiting: &Self) -> bool {
        match (self, waiting) {
            (Told::Item(item), Told::Item(waiting)) => item.is_newer(waiting),
            _ => true,
        }
    }
}

/// How a lookup of one family ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The family.
    pub family: Family,
    /// How it ended.
    pub outcome: Outcome,
    /// Question by question.
    pub trace: Vec<Hop>,
    /// The closest nodes that answered, closest first.
    pub closest: Vec<Contact>,
    /// The peers that were found, each with the number of networks (a /24, a /64) of those that named
    /// it: at least so many, at most 8. What one network names alone may be invented.
    pub named: Vec<(SocketAddr, u8)>,
    /// How many are in the swarm that was to be counted (BEP 33).
    pub swarm: Option<SwarmSize>,
    /// The newest item that was found, or the one that was stored (BEP 44).
    pub item: Option<OwnedItem>,
    /// How many nodes held it.
    pub copies: Option<Copies>,
}

impl Finished {
    pub(crate) fn of(machine: &Machine, lookup: LookupId, outcome: Outcome) -> Self {
        Self {
            family: lookup.family(),
            outcome,
            trace: machine.trace(lookup).to_vec(),
            closest: machine.closest(lookup).collect(),
            named: machine.named(lookup).collect(),
            swarm: machine.swarm_size(lookup),
            item: machine.item(lookup).map(|item| OwnedItem::of(&item)),
            copies: machine.copies(lookup),
        }
    }

    /// Nodes that refused what they were to store, and with which error (BEP 5, BEP 44).
    pub fn refusals(&self) -> impl Iterator<Item = (SocketAddr, u16)> {
        let stores = self.trace.iter().filter(|hop| hop.announce);
        stores.filter_map(|hop| Some((hop.addr, hop.refused?)))
    }
}

/// The answer to a single question.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The datagram as it came; [`tinybt_core::wire::krpc::decode`] reads it.
    pub datagram: Vec<u8>,
    /// The round trip.
    pub rtt: Duration,
}

/// Lookups that may wait for somebody to begin with.
const WAITING_MAX: usize = 8_192;

/// Who waits for what.
#[derive(Default)]
pub(crate) struct Ledger {
    lookups: HashMap<LookupId, Sender<Told>>,
    asks: HashMap<AskId, (SocketAddr, Sender<Result<Answered, Error>>)>,
    handler: Option<Handler>,
    /// Names that are being resolved: lookups wait for somebody to begin with.
    pub(crate) resolving: usize,
    pub(crate) unresolved: Vec<String>,
    waiting: Vec<(Progress, Job)>,
    pub(crate) stop: bool,
    /// Whoever waits for the end.
    pub(crate) stoppers: Vec<Sender<Result<(), Error>>>,
}

impl Ledger {
    pub(crate) fn new(handler: Option<Handler>) -> Self {
        Self { handler, ..Self::default() }
    }

    /// Ends it all once the present turn is over, and tells of the end.
    pub(crate) fn stop(&mut self, tell: Sender<Result<(), Error>>) {
        self.stop = true;
        self.stoppers.push(tell);
    }

    /// Begins a search once there is somebody to ask, or no hope of it.
    pub(crate) fn when_ready(
        &mut self,
        machine: &mut Machine,
        now: Instant,
        search: Progress,
        begin: Job,
    ) {
        let known = [Family::V4, Family::V6]
            .into_iter()
            .any(|family| machine.node(family).is_some_and(|node| node.knows_somebody()));
        if self.resolving == 0 || known {
            return begin(machine, self, now);
        }
        // Beyond that it is dropped, which says that too much is under way.
        if self.waiting.len() < WAITING_MAX {
            self.waiting.push((search, begin));
        }
    }

    /// Ends the searches that were cancelled before they had begun.
    pub(crate) fn forget_cancelled(&mut self) {
        self.waiting.retain(|(search, _)| !search.is_cancelled());
    }

    /// Something became of a name.
    pub(crate) fn named(&mut self, machine: &mut Machine, now: Instant, named: Named) {
        let Named { name, addrs, is_first } = named;
        self.resolving -= usize::from(is_first && self.resolving > 0);
        let known = self.unresolved.iter().position(|other| *other == name);
        match known {
            None if addrs.is_empty() => self.unresolved.push(name),
            Some(index) if !addrs.is_empty() => drop(self.unresolved.swap_remove(index)),
            _ => {}
        }
        let is_news = is_first || !addrs.is_empty();
        for addr in addrs {
            machine.add_source(addr);
        }
        if is_news {
            self.resolved(machine, now);
        }
    }

    /// Names were resolved.
    fn resolved(&mut self, machine: &mut Machine, now: Instant) {
        for (search, begin) in std::mem::take(&mut self.waiting) {
            self.when_ready(machine, now, search, begin);
        }
    }

    /// Notes who is to be told of a lookup.
    pub(crate) fn lookup(&mut self, pair: Pair<LookupId>, tell: Sender<Told>) {
        let _ = tell.post(Told::Began(pair));
        for lookup in pair.iter() {
            self.lookups.insert(lookup, tell.clone());
        }
    }

    /// Asks a single question and notes who is to be told of the answer.
    pub(crate) fn ask(
        &mut self,
        machine: &mut Machine,
        to: SocketAddr,
        question: &Question<'_>,
        tell: Sender<Result<Answered, Error>>,
    ) {
        let error = match machine.ask(to, question) {
            Ok(ask) => {
                self.asks.insert(ask, (to, tell));
                return;
            }
            Err(AskError::Busy) => Error::Busy,
            Err(AskError::Arguments) => Error::Arguments,
            Err(_) => Error::Address(to),
        };
        let _ = tell.send(Err(error));
    }

    /// Passes on what the DHT tells.
    pub(crate) fn hear(&mut self, machine: &mut Machine, now: Instant, event: Event) {
        match event {
            Event::Peer { lookup, peer } => self.tell(machine, now, lookup, Told::Peer(peer)),
            Event::Item { lookup } => {
                if let Some(item) = machine.item(lookup).map(|item| OwnedItem::of(&item)) {
                    self.tell(machine, now, lookup, Told::Item(Box::new(item)));
                }
            }
            Event::Finished { lookup, outcome } => {
                let Some(tell) = self.lookups.remove(&lookup) else { return };
                let finished = Finished::of(machine, lookup, outcome);
                let _ = tell.post(Told::Finished(Box::new(finished)));
            }
            Event::Answered { ask, rtt } => {
                let datagram = machine.answer_raw(ask).unwrap_or_default().to_vec();
                self.answer(ask, |_| Ok(Answered { datagram, rtt }));
            }
            Event::Refused { ask, code } => {
                let message = match machine.answer(ask).map(|message| message.body) {
                    Some(Body::Error(error)) => String::from_utf8_lossy(error.message).into_owned(),
                    _ => String::new(),
                };
                self.answer(ask, |_| Err(Error::Refused { code, message }));
            }
            Event::Silent { ask } => self.answer(ask, |to| Err(Error::Silent(to))),
            Event::Asked { question } => self.handle(machine, question),
            _ => {}
        }
    }

    fn tell(&mut self, machine: &mut Machine, now: Instant, lookup: LookupId, told: Told) {
        // Nobody listens any more.
        if self.lookups.get(&lookup).is_some_and(|tell| tell.post(told).is_err()) {
            machine.cancel(now, lookup);
        }
    }

    fn answer(&mut self, ask: AskId, answer: impl FnOnce(SocketAddr) -> Result<Answered, Error>) {
        if let Some((to, tell)) = self.asks.remove(&ask) {
            let _ = tell.send(answer(to));
        }
    }

    fn handle(&mut self, machine: &mut Machine, question: QuestionId) {
        let Some(handler) = &mut self.handler else { return };
        let Some((from, message)) = machine.question(question) else { return };
        let Body::Query(query) = message.body else { return };
        // What goes wrong in there is the application's, and no reason to leave the network.
        let reply = catch_unwind(AssertUnwindSafe(|| handler(from, &query)));
        let reply = reply.unwrap_or(Reply::Default);
        // What cannot be sent is answered by the node itself.
        let _ = match reply {
            Reply::Dictionary(dictionary) => machine.reply(question, &dictionary),
            Reply::Error { code, message } => machine.refuse(question, code, &message),
            Reply::Default => Ok(()),
        };
    }
}

#[cfg(test)]
mod tests {
    use tinybt_core::dht::item::{Item, Mutable};

    use super::*;
    use crate::mailbox::mailbox;

    #[test]
    fn what_waits_is_never_replaced_by_something_older() {
        let (sender, receiver) = mailbox();
        for (seq, value) in [(5, b"1:a"), (7, b"1:b"), (7, b"1:a"), (6, b"1:z")] {
            let (key, salt, signature) = (&[1; 32], &b""[..], &[0; 64]);
            let item = Item::Mutable(Mutable { key, salt, seq, value, signature });
            sender.post(Told::Item(Box::new(OwnedItem::of(&item)))).unwrap();
        }
        drop(sender);
        let told = || receiver.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
        let std::task::Poll::Ready(Some(Told::Item(item))) = told() else { panic!() };
        assert_eq!((item.seq(), item.value()), (Some(7), &b"1:b"[..]));
        assert!(matches!(told(), std::task::Poll::Ready(None)));
    }
}
