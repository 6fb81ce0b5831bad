//! A runtime of one's own, as little as it takes, whose host has no place for names or never comes to
//! them.
#![allow(missing_docs)]

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tinybt_runtime::core::InfoHash;
use tinybt_runtime::core::dht::End;
use tinybt_runtime::{Builder, Dht, Engine, Error, Host, Hosted, Next, Parts, Pump, Runtime, Work};

enum Mine {}

struct Started {
    dht: Dht<Mine>,
    pump: Pump<Hosted, UdpSocket>,
    engine: Engine,
}

/// Keeps work and does none, or says that it cannot.
enum Nowhere {
    Never(Mutex<Vec<Work>>),
    Full,
}

impl Host for Nowhere {
    fn run(&self, _: Duration, work: Work) -> io::Result<()> {
        match self {
            Nowhere::Never(kept) => kept.lock().unwrap().push(work),
            Nowhere::Full => return Err(io::ErrorKind::OutOfMemory.into()),
        }
        Ok(())
    }
}

fn with_address(socket: UdpSocket) -> (UdpSocket, SocketAddr) {
    let local = socket.local_addr().unwrap();
    (socket, local)
}

fn start(builder: Builder<Mine>, host: Nowhere) -> Started {
    let Parts { hosted, sockets, engine, dht } = builder.build(Arc::new(host)).unwrap();
    let sockets = sockets.into_iter().map(with_address).collect();
    Started { dht, pump: Pump::new(hosted, sockets), engine }
}

impl Runtime for Mine {
    type Started = Started;

    fn start(builder: Builder<Self>) -> Result<Started, Error> {
        Ok(start(builder, Nowhere::Never(Mutex::default())))
    }
}

impl Started {
    /// Does everything that can be done without waiting, a few times over.
    fn run<F: Future>(&mut self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..10_000 {
            let now = self.pump.now();
            self.engine.obey(&mut self.pump.machine, now, &mut context);
            while let Next::Event(event) = self.pump.step(now) {
                self.engine.hear(&mut self.pump.machine, now, event);
            }
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return Some(output);
            }
            self.pump.set_ready(0);
            self.pump.receive();
        }
        None
    }
}

fn local() -> Builder<Mine> {
    Dht::builder().bind("127.0.0.1:0".parse::<SocketAddr>().unwrap()).private()
}

#[test]
fn a_runtime_is_a_loop_and_a_place_for_what_blocks() {
    let mut started = local().start().unwrap();
    let own = started.dht.local_addrs()[0];
    let dht = started.dht.clone();
    let pong = started.run(dht.ping(own)).unwrap().unwrap();
    assert_eq!(pong.external, Some(own));
    started.run(dht.overview()).unwrap().unwrap();
    let stopping = dht.stop();
    let Started { mut pump, mut engine, .. } = started;
    let now = pump.now();
    engine.obey(&mut pump.machine, now, &mut Context::from_waker(Waker::noop()));
    assert!(engine.is_done(&pump.machine));
    engine.end(&mut pump.machine, Ok(())).finish().unwrap();
    let told = pin!(stopping).poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(told, Poll::Ready(Ok(()))));
}

#[test]
fn names_without_a_place_to_be_looked_up_hold_up_nobody() {
    let mut started = start(local(), Nowhere::Full);
    assert!(matches!(started.dht.add_nodes(["localhost:9"]), Err(Error::Socket(_))));
    let dht = started.dht.clone();
    let mut search = dht.get_peers(InfoHash([1; 20])).unwrap();
    let finished = started.run(search.finish()).expect("it waits for names").unwrap();
    assert_eq!(finished[0].outcome.end, End::Nobody);
    assert_eq!(started.run(dht.unresolved()).unwrap().unwrap(), ["localhost:9"]);
}

#[test]
fn a_search_that_waits_for_names_can_be_cancelled() {
    let mut started = local().bootstrap(["localhost:9"]).start().unwrap();
    let mut search = started.dht.get_peers(InfoHash([1; 20])).unwrap();
    assert!(started.run(search.next()).is_none());
    search.cancel();
    let finished = started.run(search.finish()).expect("it waits for names");
    assert!(finished.unwrap().is_empty());
}

/// Counts how often it is woken.
#[derive(Default)]
struct Rung(AtomicUsize);

impl Wake for Rung {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn commands_and_the_network_take_turns() {
    let Started { dht, mut pump, mut engine } = local().start().unwrap();
    for _ in 0..200 {
        dht.block("10.0.0.1:1".parse().unwrap(), Duration::ZERO).unwrap();
    }
    let rung = Arc::new(Rung::default());
    let waker = Waker::from(rung.clone());
    for (turn, is_woken) in [true, true, true, false].into_iter().enumerate() {
        let now = pump.now();
        engine.obey(&mut pump.machine, now, &mut Context::from_waker(&waker));
        let woken = rung.0.swap(0, Ordering::Relaxed);
        assert_eq!(woken > 0, is_woken, "in turn {turn}");
    }
    // From now on somebody who commands wakes the loop.
    dht.block("10.0.0.1:1".parse().unwrap(), Duration::ZERO).unwrap();
    assert_eq!(rung.0.load(Ordering::Relaxed), 1);
}
