//! Between the machine and its handles: carries out commands, passes on what the machine tells,
//! and knows when it is over. With the feature `finder` the machine is a finder around the DHT.

use std::io;
use std::task::{Context, Poll};

use tinybt_core::Instant;
use tinybt_core::dht::SAVE_MAX;

use crate::error::Error;
use crate::kept::{Kept, LastWords};
use crate::ledger::{self, Ledger, Machine};
use crate::mailbox::Receiver;
use crate::state::State;

/// What a driver drives. It is another type with the feature `finder`, which anybody in a build may
/// enable: use it as the [`Machine`](tinybt_core::Machine) that it is.
#[cfg(feature = "finder")]
pub type Hosted = tinybt_core::finder::Finder<tinybt_core::dht::Heap, chacha20::ChaCha12Rng>;
/// What a driver drives. It is another type with the feature `finder`, which anybody in a build may
/// enable: use it as the [`Machine`](tinybt_core::Machine) that it is.
#[cfg(not(feature = "finder"))]
pub type Hosted = Machine;

/// Commands that are carried out before the machine has its turn.
const BATCH: usize = 64;

type Event = <Hosted as tinybt_core::Machine>::Event;

/// Something to be done where the machine is.
pub(crate) enum Command {
    Dht(ledger::Job),
    #[cfg(feature = "finder")]
    Finder(crate::desk::Job),
}

/// Tells whoever waits for something, and does what they want.
///
/// A loop gives it each event ([`Engine::hear`]) while the machine still has the event's rows, and
/// lets it carry out commands ([`Engine::obey`]) until it [is done](Engine::is_done).
pub struct Engine {
    commands: Receiver<Command>,
    ledger: Ledger,
    #[cfg(feature = "finder")]
    desk: crate::desk::Desk,
    state: Option<Kept>,
    /// What nodes left in the file that are not here.
    absent: State,
}

impl Engine {
    pub(crate) fn new(
        commands: Receiver<Command>,
        ledger: Ledger,
        #[cfg(feature = "finder")] desk: crate::desk::Desk,
        state: Option<Kept>,
        absent: State,
    ) -> Self {
        Self {
            commands,
            ledger,
            #[cfg(feature = "finder")]
            desk,
            state,
            absent,
        }
    }

    /// Carries out commands of handles, so many that the machine has its turn as well, and has the
    /// state written when it is time. The context's waker is woken when there are more.
    pub fn obey(&mut self, hosted: &mut Hosted, now: Instant, context: &mut Context<'_>) {
        if let Some(kept) = &mut self.state {
            kept.keep(now, || saved(&self.absent, dht(hosted)).bytes());
        }
        for _ in 0..BATCH {
            if self.poll_command(hosted, now, context).is_pending() {
                return;
            }
        }
        context.waker().wake_by_ref();
    }

    fn poll_command(
        &mut self,
        hosted: &mut Hosted,
        now: Instant,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        let command = match self.ledger.stop {
            false => self.commands.poll(context),
            // Handles have had their say; errands have not.
            true => self.commands.poll_uncounted(context),
        };
        let Poll::Ready(command) = command else { return Poll::Pending };
        match command {
            Some(Command::Dht(job)) => job(dht(hosted), &mut self.ledger, now),
            #[cfg(feature = "finder")]
            Some(Command::Finder(job)) => job(hosted, &mut self.desk, now),
            // The last handle is gone.
            None => self.ledger.stop = true,
        }
        #[cfg(feature = "finder")]
        {
            hosted.hold_dht(self.ledger.resolving > 0);
            if self.ledger.stop {
                // Trackers that know us are told that we go; the machine bounds how long it takes.
                hosted.stop_all(now);
            }
        }
        Poll::Ready(())
    }

    /// Passes on what the machine tells, while its rows can still be read.
    pub fn hear(&mut self, hosted: &mut Hosted, now: Instant, event: Event) {
        #[cfg(feature = "finder")]
        match event {
            tinybt_core::finder::Event::Dht(event) => self.ledger.hear(&mut hosted.dht, now, event),
            event => self.desk.hear(hosted, now, event),
        }
        #[cfg(not(feature = "finder"))]
        self.ledger.hear(hosted, now, event);
    }

    /// Whether it is to end, and nobody is left to be told that we go.
    pub fn is_done(&self, hosted: &Hosted) -> bool {
        #[cfg(feature = "finder")]
        let searches = hosted.searches();
        #[cfg(not(feature = "finder"))]
        let (searches, _) = (0, hosted);
        self.ledger.stop && searches == 0
    }

    /// What is left to be done when the loop has ended, for whatever reason. Whoever waits is told of
    /// the end by [`Last::finish`]: close the sockets before, they may want the ports.
    pub fn end(mut self, hosted: &mut Hosted, result: io::Result<()>) -> Last {
        let bytes = |hosted| saved(&self.absent, dht(hosted)).bytes();
        let save = self.state.take().map(|kept| kept.close(bytes(hosted)));
        Last { save, result, engine: self }
    }
}

/// What is left to be done when the loop has ended.
pub struct Last {
    save: Option<LastWords>,
    result: io::Result<()>,
    engine: Engine,
}

impl Last {
    /// Saves the state, which may block, and tells whoever waits of the end.
    ///
    /// # Errors
    ///
    /// [`Error::State`] if the state could not be written, [`Error::Socket`] if waiting failed.
    pub fn finish(self) -> Result<(), Error> {
        let Self { save, result, mut engine } = self;
        let saved = save.map_or(Ok(()), LastWords::write);
        let result = saved.and(result.map_err(Error::Socket));
        let stoppers = std::mem::take(&mut engine.ledger.stoppers);
        // Everybody else is told by that; who stopped it finds it stopped.
        drop(engine);
        for stopper in stoppers {
            let _ = stopper.send(result.as_ref().copied().map_err(again));
        }
        result
    }
}

/// The same error for somebody else.
fn again(error: &Error) -> Error {
    let copy = |source: &io::Error| io::Error::new(source.kind(), source.to_string());
    match error {
        Error::State { path, source } => Error::State { path: path.clone(), source: copy(source) },
        Error::Socket(source) => Error::Socket(copy(source)),
        _ => Error::Stopped,
    }
}

#[cfg(feature = "finder")]
fn dht(hosted: &mut Hosted) -> &mut Machine {
    &mut hosted.dht
}

#[cfg(not(feature = "finder"))]
fn dht(hosted: &mut Hosted) -> &mut Machine {
    hosted
}

/// What all nodes want to remember, and what those left that are not here.
fn saved(absent: &State, machine: &Machine) -> State {
    let mut state = absent.clone();
    for home in machine.homes() {
        let mut bytes = vec![0; SAVE_MAX];
        let len = home.node().save(&mut bytes);
        bytes.truncate(len);
        state.keep(home.id(), home.local(), bytes);
    }
    state
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::task::Waker;
    use std::time::Duration;

    use tinybt_core::Family;

    use super::*;
    use crate::host::later::Later;
    use crate::kept::SAVE_EVERY;
    use crate::setup::{Builder, Parts};

    fn v4(path: &std::path::Path) -> Builder<Infallible> {
        Builder::default().bind(([127, 0, 0, 1], 0).into()).state(path)
    }

    fn file(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("tinybt-{name}-{}.state", std::process::id()))
    }

    #[test]
    fn a_state_is_written_now_and_then() {
        let path = file("engine");
        let later = Arc::new(Later::default());
        let Parts { mut hosted, mut engine, .. } = v4(&path).build(later.clone()).unwrap();
        assert!(!path.exists());
        let mut context = Context::from_waker(Waker::noop());
        let mut works = |at| {
            engine.obey(&mut hosted, Instant::EPOCH + at, &mut context);
            later.take()
        };
        for round in 1..4 {
            let at = SAVE_EVERY * round;
            assert_eq!(works(at - Duration::from_micros(1)).len(), 0);
            works(at).into_iter().for_each(|work| work());
            assert!(State::load(&path).unwrap().unwrap().of(Family::V4).is_some(), "{round}");
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn what_nodes_left_that_are_not_here_is_kept() {
        let path = file("absent");
        let Parts { mut hosted, engine, .. } = v4(&path).build(Arc::new(Later::default())).unwrap();
        engine.end(&mut hosted, Ok(())).finish().unwrap();
        let mut both = State::load(&path).unwrap().unwrap();
        both.v6.clone_from(&both.v4);
        both.store(&path).unwrap();
        let once_more = |builder: Builder<Infallible>| {
            let Parts { mut hosted, engine, .. } =
                builder.build(Arc::new(Later::default())).unwrap();
            engine.end(&mut hosted, Ok(())).finish().unwrap();
            let left = State::load(&path).unwrap().unwrap();
            assert!(left.v4.is_some());
            assert_eq!(left.v6, both.v6);
        };
        once_more(v4(&path));
        #[cfg(feature = "finder")]
        once_more(v4(&path).without_dht());
        std::fs::remove_file(&path).unwrap();
    }
}
