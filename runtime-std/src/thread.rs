//! The thread that a DHT runs on.

use std::sync::Arc;
use std::task::Context;

use tinybt_runtime::{Builder, Engine, Error, Hosted, Parts, Runtime};

use crate::dht::Dht;
use crate::driver::Driver;
use crate::threads::Threads;

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
