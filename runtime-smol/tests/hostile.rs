//! What executors and sockets do at their worst: end in the middle, poll with other wakers, tell of
//! nothing without end.
#![allow(missing_docs)]

use std::net::UdpSocket;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use smol::future::{poll_once, yield_now};
use smol::{LocalExecutor, Timer, block_on};
use tinybt_smol::core::InfoHash;
use tinybt_smol::core::dht::Config;
use tinybt_smol::{Builder, Dht, Error, Running};

fn local() -> Builder {
    Dht::builder().bind("127.0.0.1:0".parse().unwrap()).private()
}

fn state(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_file(&path);
    path
}

#[test]
fn the_state_is_saved_when_it_is_dropped_while_it_saves() {
    for round in 0..20 {
        let path = state(&format!("saving.{round}"));
        let (dht, running) = local().state(&path).start().unwrap();
        let mut running = Box::pin(running);
        drop(dht);
        // Until it waits for the pool, which now and then has saved before it is waited for.
        let _ = block_on(poll_once(&mut running));
        drop(running);
        assert!(path.exists());
    }
    // As a program ends that has no more to do.
    let path = state("saving.executor");
    let executor = LocalExecutor::new();
    let (dht, running) = local().state(&path).start().unwrap();
    executor.spawn(running).detach();
    block_on(executor.run(async {
        dht.overview().await.unwrap();
        drop(dht);
        yield_now().await;
    }));
    drop(executor);
    assert!(path.exists());
}

#[test]
fn the_port_is_back_when_the_end_is_told() {
    for round in 0..10 {
        let (dht, running) = local().state(state(&format!("port.{round}"))).start().unwrap();
        let executor = LocalExecutor::new();
        let running = executor.spawn(running);
        let asking = std::thread::spawn(move || {
            while block_on(dht.overview()).is_ok() {}
            UdpSocket::bind(dht.local_addrs()[0]).map(drop)
        });
        block_on(executor.run(async {
            Timer::after(Duration::from_millis(5)).await;
            running.cancel().await;
        }));
        asking.join().unwrap().unwrap();
    }
}

#[test]
fn half_a_lookup_is_not_a_whole_one() {
    let Ok(silent) = UdpSocket::bind("[::1]:0") else { return };
    // One family has nobody and ends, the other waits.
    let both = local().bind("[::1]:0".parse().unwrap()).configure(|config: &mut Config| {
        config.upkeep.bootstrap = false;
        config.timeout_min = Duration::from_secs(600);
        config.timeout_max = Duration::from_secs(600);
    });
    let both = both.bootstrap([silent.local_addr().unwrap().to_string()]);
    let (dht, running) = both.start().unwrap();
    let executor = LocalExecutor::new();
    executor.spawn(running).detach();
    block_on(executor.run(async {
        let mut search = dht.get_peers(InfoHash([1; 20])).unwrap();
        while search.finished().is_empty() {
            assert!(poll_once(search.next()).await.is_none());
            yield_now().await;
        }
        dht.stop().await.unwrap();
        assert!(matches!(search.finish().await, Err(Error::Stopped)));
    }));
}

/// Counts how often a future is polled, each time with another waker if it is to be.
struct Counted {
    running: Running,
    polls: Arc<AtomicUsize>,
    is_fresh: bool,
}

struct Through(Waker);

impl Wake for Through {
    fn wake(self: Arc<Self>) {
        self.0.wake_by_ref();
    }
}

impl Future for Counted {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.polls.fetch_add(1, Ordering::Relaxed);
        let fresh = Waker::from(Arc::new(Through(context.waker().clone())));
        let waker = if self.is_fresh { &fresh } else { context.waker() };
        Pin::new(&mut self.running).poll(&mut Context::from_waker(waker))
    }
}

/// Polls of a handle that has nothing to do, in half a second.
fn idle_polls(builder: Builder, is_fresh: bool, upset: impl FnOnce()) -> usize {
    let (dht, running) = builder.start().unwrap();
    let polls = Arc::new(AtomicUsize::new(0));
    let executor = LocalExecutor::new();
    executor.spawn(Counted { running, polls: polls.clone(), is_fresh }).detach();
    block_on(executor.run(async {
        for _ in 0..5 {
            dht.overview().await.unwrap();
            yield_now().await;
        }
        upset();
        Timer::after(Duration::from_millis(100)).await;
        let before = polls.load(Ordering::Relaxed);
        Timer::after(Duration::from_millis(500)).await;
        polls.load(Ordering::Relaxed) - before
    }))
}

#[test]
fn another_waker_each_time_wakes_nobody() {
    let polls = idle_polls(local(), true, || {});
    assert!(polls < 10, "{polls}");
}

#[test]
fn a_socket_that_is_ready_without_end_is_left_alone() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let clone = socket2::Socket::from(socket.try_clone().unwrap());
    let builder = Dht::builder().private().socket(socket);
    // Whoever shut it down is told that it is not connected, and it is done all the same.
    let polls = idle_polls(builder, false, || drop(clone.shutdown(std::net::Shutdown::Both)));
    // It looks again ten times a second, in a few polls each.
    assert!(polls < 50, "{polls}");
}

#[cfg(feature = "http")]
#[test]
fn no_tracker_is_told_that_we_come_when_we_are_gone() {
    use std::net::TcpListener;
    use tinybt_smol::core::finder::{Presence, Wanted};
    use tinybt_tests::loopback::{loopback, torrent};

    // A tracker that takes calls and never answers, and so keeps all errands busy.
    let listener = TcpListener::bind(loopback()).unwrap();
    let url = format!("http://{}/announce", listener.local_addr().unwrap());
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming().flatten() {
            kept.push(stream);
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let http = tinybt_smol::fetch::HttpConfig {
        timeout: Duration::from_millis(500),
        ..Default::default()
    };
    let (finder, running) = local().without_dht().http(http).finder().unwrap();
    let executor = LocalExecutor::new();
    let running = executor.spawn(running);
    let wanted = || Wanted::announce(torrent(&[&url]), Presence::new(1));
    let swarms: Vec<_> = (0..150).map(|_| finder.find(wanted()).unwrap()).collect();
    block_on(executor.run(async {
        while calls.load(Ordering::Relaxed) < 32 {
            Timer::after(Duration::from_millis(5)).await;
        }
        running.cancel().await;
    }));
    drop((swarms, finder));
    // As long as several rounds of errands would take.
    block_on(Timer::after(Duration::from_millis(1_500)));
    assert!(calls.load(Ordering::Relaxed) <= 2 * 32, "{calls:?}");
}
