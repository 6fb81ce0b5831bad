//! The thread that a DHT runs on, and threads for what blocks.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::Context;
use std::time::Duration;

use tinybt_runtime::{Builder, Engine, Error, Host, Hosted, Parts, Runtime, Work};

use crate::dht::Dht;
use crate::driver::Driver;

/// The runtime: a thread for each DHT.
#[derive(Clone, Copy, Debug)]
pub enum Thread {}

impl Runtime for Thread {
    type Started = Dht;

    fn start(builder: Builder<Self>) -> Result<Dht, Error> {
        let threads = Threads::default();
        let Parts { hosted, sockets, engine, dht } = builder.build(Arc::new(threads.clone()))?;
        let driver = Driver::new(hosted, sockets).map_err(Error::Socket)?;
        let thread = std::thread::Builder::new()
            .name("tinybt".into())
            .spawn(move || {
                let result = run(driver, engine);
                threads.end();
                result
            })
            .map_err(Error::Socket)?;
        Ok(Dht::new(dht, thread))
    }
}

#[cfg(feature = "finder")]
impl tinybt_runtime::WithFinder for Thread {
    type Finder = crate::Finder;

    fn finder(started: Dht) -> crate::Finder {
        crate::Finder::new(started)
    }
}

/// A thread for each piece of work. Those that wait go home when the DHT ends.
#[derive(Clone, Default)]
pub(crate) struct Threads(Arc<(Mutex<bool>, Condvar)>);

impl Threads {
    pub(crate) fn end(&self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.1.notify_all();
    }

    /// Whether it is still wanted after so long.
    fn wait(&self, time: Duration) -> bool {
        let has_ended = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.1.wait_timeout_while(has_ended, time, |has_ended| !*has_ended);
        !*waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Host for Threads {
    fn run(&self, after: Duration, work: Work) -> io::Result<()> {
        let threads = self.clone();
        let run = move || {
            if threads.wait(after) {
                work();
            }
        };
        std::thread::Builder::new().name("tinybt-errand".into()).spawn(run).map(drop)
    }
}

/// The thread, until it is stopped or waiting fails.
fn run(mut driver: Driver<Hosted>, mut engine: Engine) -> Result<(), Error> {
    let waker = driver.waker();
    let mut context = Context::from_waker(&waker);
    let mut result = Ok(());
    while result.is_ok() {
        let now = driver.now();
        engine.obey(driver.machine(), now, &mut context);
        if engine.is_done(driver.machine()) {
            break;
        }
        result = driver.turn(|hosted, now, event| engine.hear(hosted, now, event));
    }
    let last = engine.end(driver.machine(), result);
    // Whoever is told of the end may want the ports.
    drop(driver);
    last.finish()
}
