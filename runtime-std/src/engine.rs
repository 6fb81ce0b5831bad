//! What runs on the thread: the driver, the commands that come from handles, and whom to tell of
//! what the machine tells. With the feature `finder` the machine is a finder around the DHT.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use chacha20::ChaCha12Rng;
use tinybt_core::dht::{
    AskError, AskId, Dual, Event, Heap, Hop, LookupId, Outcome, Pair, QuestionId, SAVE_MAX,
};
use tinybt_core::wire::krpc::{Body, Question};
use tinybt_core::{Contact, Family, Instant};

use crate::driver::Driver;
use crate::error::Error;
use crate::handler::{Handler, Reply};
use crate::state::State;

pub(crate) type Machine = Dual<Heap, ChaCha12Rng>;

/// What the driver drives.
#[cfg(feature = "finder")]
pub(crate) type Hosted = tinybt_core::finder::Finder<Heap, ChaCha12Rng>;
#[cfg(not(feature = "finder"))]
pub(crate) type Hosted = Machine;

/// A command to the DHT.
pub(crate) type Job = Box<dyn FnOnce(&mut Machine, &mut Ledger, Instant) + Send>;

/// Something to be done on the thread.
pub(crate) enum Command {
    Dht(Job),
    #[cfg(feature = "finder")]
    Finder(crate::desk::Job),
}

/// Who is to be told what.
pub(crate) struct Office {
    pub(crate) ledger: Ledger,
    #[cfg(feature = "finder")]
    pub(crate) desk: crate::desk::Desk,
}

#[cfg(feature = "finder")]
impl Office {
    fn hear(&mut self, hosted: &mut Hosted, now: Instant, event: tinybt_core::finder::Event) {
        match event {
            tinybt_core::finder::Event::Dht(event) => self.ledger.hear(&mut hosted.dht, now, event),
            event => self.desk.hear(hosted, now, event),
        }
    }

    fn obey(&mut self, hosted: &mut Hosted, now: Instant, command: Command) {
        match command {
            Command::Dht(job) => job(&mut hosted.dht, &mut self.ledger, now),
            Command::Finder(job) => job(hosted, &mut self.desk, now),
        }
        hosted.hold_dht(self.ledger.resolving > 0);
        if self.ledger.stop {
            // Trackers that know us are told that we go; the machine bounds how long that takes.
            hosted.stop_all(now);
        }
    }

    fn is_done(&self, hosted: &Hosted) -> bool {
        self.ledger.stop && hosted.searches() == 0
    }
}

#[cfg(not(feature = "finder"))]
impl Office {
    fn hear(&mut self, hosted: &mut Hosted, now: Instant, event: Event) {
        self.ledger.hear(hosted, now, event);
    }

    fn obey(&mut self, hosted: &mut Hosted, now: Instant, command: Command) {
        let Command::Dht(job) = command;
        job(hosted, &mut self.ledger, now);
    }

    fn is_done(&self, _: &Hosted) -> bool {
        self.ledger.stop
    }
}

#[cfg(feature = "finder")]
fn nodes(hosted: &Hosted) -> &Machine {
    &hosted.dht
}

#[cfg(not(feature = "finder"))]
fn nodes(hosted: &Hosted) -> &Machine {
    hosted
}

/// What a lookup tells whoever began it.
#[derive(Debug)]
pub(crate) enum Told {
    Began(Pair<LookupId>),
    Peer(SocketAddr),
    Finished(Finished),
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
}

/// The answer to a single question.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The datagram as it came; [`tinybt_core::wire::krpc::decode`] reads it.
    pub datagram: Vec<u8>,
    /// The round trip.
    pub rtt: Duration,
}

/// Who waits for what.
#[derive(Default)]
pub(crate) struct Ledger {
    lookups: HashMap<LookupId, Sender<Told>>,
    asks: HashMap<AskId, (SocketAddr, Sender<Result<Answered, Error>>)>,
    handler: Option<Handler>,
    /// Names that are being resolved: lookups wait for somebody to begin with.
    pub(crate) resolving: usize,
    pub(crate) unresolved: Vec<String>,
    waiting: Vec<Job>,
    stop: bool,
}

impl Ledger {
    pub(crate) fn new(handler: Option<Handler>) -> Self {
        Self { handler, ..Self::default() }
    }

    /// Ends the thread once the present turn is over.
    pub(crate) fn stop(&mut self) {
        self.stop = true;
    }

    /// Does something once there is somebody to ask, or no hope of it.
    pub(crate) fn when_ready(&mut self, machine: &mut Machine, now: Instant, job: Job) {
        let known = [Family::V4, Family::V6]
            .into_iter()
            .any(|family| machine.node(family).is_some_and(|node| node.knows_somebody()));
        if self.resolving > 0 && !known {
            self.waiting.push(job);
        } else {
            job(machine, self, now);
        }
    }

    /// Names were resolved.
    pub(crate) fn resolved(&mut self, machine: &mut Machine, now: Instant) {
        for job in std::mem::take(&mut self.waiting) {
            self.when_ready(machine, now, job);
        }
    }

    /// Notes who is to be told of a lookup.
    pub(crate) fn lookup(&mut self, pair: Pair<LookupId>, tell: Sender<Told>) {
        let _ = tell.send(Told::Began(pair));
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

    fn hear(&mut self, machine: &mut Machine, now: Instant, event: Event) {
        match event {
            Event::Peer { lookup, peer } => {
                let told = self.lookups.get(&lookup).map(|tell| tell.send(Told::Peer(peer)));
                // Nobody listens any more.
                if told.is_some_and(|told| told.is_err()) {
                    machine.cancel(now, lookup);
                }
            }
            Event::Finished { lookup, outcome } => {
                let Some(tell) = self.lookups.remove(&lookup) else { return };
                let _ = tell.send(Told::Finished(Finished {
                    family: lookup.family(),
                    outcome,
                    trace: machine.trace(lookup).to_vec(),
                    closest: machine.closest(lookup).collect(),
                }));
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

/// The thread, until it is stopped or waiting fails.
pub(crate) fn run(
    mut driver: Driver<Hosted>,
    mut office: Office,
    commands: &Receiver<Command>,
    state: Option<PathBuf>,
) -> Result<(), Error> {
    let mut result = Ok(());
    while !office.is_done(&driver.machine) && result.is_ok() {
        result = driver.turn(|hosted, now, event| office.hear(hosted, now, event));
        while let Ok(command) = commands.try_recv() {
            let now = driver.now();
            office.obey(&mut driver.machine, now, command);
        }
    }
    if let Some(path) = state {
        save(nodes(&driver.machine), &path)?;
    }
    result.map_err(Error::Socket)
}

/// Writes the state of both nodes.
pub(crate) fn save(machine: &Machine, path: &std::path::Path) -> Result<(), Error> {
    let of = |family| {
        let node = machine.node(family)?;
        let mut bytes = vec![0; SAVE_MAX];
        let len = node.save(&mut bytes);
        bytes.truncate(len);
        (len > 0).then_some(bytes)
    };
    let state = State { v4: of(Family::V4), v6: of(Family::V6) };
    state.store(path).map_err(|source| Error::State { path: path.to_owned(), source })
}
