//! The handle and its future on loopback: what it tells, that it ends, that dropping loses nothing.
#![allow(missing_docs)]

use std::net::{SocketAddr, UdpSocket};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use smol::future::{FutureExt, poll_once, yield_now};
use smol::stream::StreamExt;
use smol::{LocalExecutor, Timer, block_on};
use tinybt_smol::core::budget::Rate;
use tinybt_smol::core::dht::{Config, End, Heap, Port, Question, Status};
use tinybt_smol::core::wire::krpc::{self, Body};
use tinybt_smol::core::{Id, InfoHash};
use tinybt_smol::{Builder, Dht, Error, Reply, Running};

fn local() -> Builder {
    Dht::builder().bind("127.0.0.1:0".parse().unwrap()).private()
}

fn addr(dht: &Dht) -> SocketAddr {
    dht.local_addrs()[0]
}

/// A node on an executor.
fn start(executor: &LocalExecutor<'_>, builder: Builder) -> Dht {
    let (dht, running) = builder.start().unwrap();
    executor.spawn(running).detach();
    dht
}

/// A few nodes that begin with the first.
fn few(executor: &LocalExecutor<'_>, count: usize) -> Vec<Dht> {
    let first = start(executor, local());
    let entry = addr(&first).to_string();
    let others = (1..count).map(|_| start(executor, local().bootstrap([entry.clone()])));
    [first].into_iter().chain(others).collect()
}

/// A test on an executor of its own, on one thread.
fn on_one_thread(test: impl AsyncFnOnce(&LocalExecutor<'_>)) {
    let executor = LocalExecutor::new();
    block_on(executor.run(test(&executor)));
}

#[test]
fn single_questions_are_answered_refused_or_silent() {
    on_one_thread(async |executor| {
        let handler = |_: SocketAddr, query: &krpc::Query<'_>| match query.method {
            b"double" => Reply::Dictionary(b"d1:ni42ee".to_vec()),
            _ => Reply::Default,
        };
        let a = start(executor, local());
        let b = start(executor, local().handler(Box::new(handler)));
        let pong = a.ping(addr(&b)).await.unwrap();
        let overview = b.overview().await.unwrap();
        assert_eq!(Some(pong.id), overview.v4.map(|(status, _)| status.id));
        assert_eq!(pong.external, Some(addr(&a)));
        let question = Question::Method { name: b"double", arguments: b"de" };
        let answered = a.ask(addr(&b), question).await.unwrap();
        let message = krpc::decode(&answered.datagram).unwrap();
        let Body::Response(response) = message.body else { panic!("no response") };
        assert_eq!(response.member(b"n"), Some(&b"i42e"[..]));
        let question = Question::Method { name: b"treble", arguments: b"de" };
        let refused = a.ask(addr(&b), question).await.unwrap_err();
        assert!(matches!(refused, Error::Refused { code: 204, .. }), "{refused}");
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let silence = a.ping(silent.local_addr().unwrap()).await.unwrap_err();
        assert!(matches!(silence, Error::Silent(_)), "{silence}");
        let other = a.ping("[::1]:7".parse().unwrap()).await.unwrap_err();
        assert!(matches!(other, Error::Address(_)), "{other}");
    });
}

#[test]
fn what_one_announces_the_others_find() {
    on_one_thread(async |executor| {
        let all = few(executor, 12);
        let info_hash = InfoHash([7; 20]);
        let mut announce = all[3].announce(info_hash, Port::Number(4_242)).unwrap();
        let finished = announce.finish().await.unwrap();
        assert_eq!(finished[0].outcome.end, End::Complete);
        assert!(finished[0].outcome.stored >= 1);
        let mut search = all[9].get_peers(info_hash).unwrap();
        // As a stream, which ends when the lookup does.
        let found: Vec<SocketAddr> = StreamExt::collect(&mut search).await;
        assert_eq!(found, ["127.0.0.1:4242".parse().unwrap()]);
        assert_eq!(search.finish().await.unwrap()[0].outcome.peers, 1);
        assert_eq!(search.missed(), 0);
        let mut nodes = all[5].find_node(Id([9; 20])).unwrap();
        assert!(!nodes.finish().await.unwrap()[0].closest.is_empty());
    });
}

#[test]
fn both_families_are_one() {
    if UdpSocket::bind("[::1]:0").is_err() {
        return;
    }
    let both = || local().bind("[::1]:0".parse().unwrap());
    on_one_thread(async |executor| {
        let first = start(executor, both());
        let entries: Vec<_> = first.local_addrs().iter().map(SocketAddr::to_string).collect();
        let others: Vec<_> =
            (0..8).map(|_| start(executor, both().bootstrap(entries.clone()))).collect();
        let info_hash = InfoHash([8; 20]);
        let mut announce = others[2].announce(info_hash, Port::Number(99)).unwrap();
        assert_eq!(announce.finish().await.unwrap().len(), 2, "each family ends once");
        let mut found: Vec<_> = others[6].get_peers(info_hash).unwrap().collect().await;
        found.sort();
        assert_eq!(found, ["127.0.0.1:99".parse().unwrap(), "[::1]:99".parse().unwrap()]);
    });
}

#[test]
fn the_last_handle_ends_it_and_gives_the_port_back() {
    on_one_thread(async |executor| {
        let (dht, running) = local().start().unwrap();
        let running = executor.spawn(running);
        let (clone, bound) = (dht.clone(), addr(&dht));
        drop(dht);
        assert!(clone.overview().await.is_ok(), "a clone keeps it");
        let search = clone.get_peers(InfoHash([1; 20])).unwrap();
        drop(clone);
        yield_now().await;
        assert!(UdpSocket::bind(bound).is_err(), "a search keeps it");
        drop(search);
        running.await.unwrap();
        UdpSocket::bind(bound).expect("nobody keeps it");
    });
}

#[test]
fn stopped_is_an_answer() {
    on_one_thread(async |executor| {
        let (dht, running) = local().start().unwrap();
        let running = executor.spawn(running);
        let (clone, bound) = (dht.clone(), addr(&dht));
        dht.stop().await.unwrap();
        UdpSocket::bind(bound).expect("the port is back before the end is told");
        running.await.unwrap();
        assert!(matches!(clone.overview().await, Err(Error::Stopped)));
        assert!(matches!(clone.ping(bound).await, Err(Error::Stopped)));
        assert!(matches!(clone.get_peers(InfoHash([1; 20])), Err(Error::Stopped)));
        assert!(matches!(clone.stop().await, Err(Error::Stopped)));
        // The same if nobody drives it any more.
        let (dht, running) = local().start().unwrap();
        let mut search = dht.get_peers(InfoHash([1; 20])).unwrap();
        drop(running);
        assert_eq!(search.next().await, None);
        assert!(matches!(search.finish().await, Err(Error::Stopped)));
        assert!(matches!(dht.overview().await, Err(Error::Stopped)));
    });
}

/// A node that asks a silent one, has no lookups of its own, and never gives up.
fn patient(entry: &UdpSocket) -> Builder {
    let patient = local().configure(|config: &mut Config| {
        config.upkeep.bootstrap = false;
        config.timeout_min = Duration::from_secs(600);
        config.timeout_max = Duration::from_secs(600);
    });
    patient.bootstrap([entry.local_addr().unwrap().to_string()])
}

#[test]
fn a_search_that_is_dropped_is_cancelled() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    on_one_thread(async |executor| {
        let dht = start(executor, patient(&silent));
        let lookups = async || dht.overview().await.unwrap().v4.unwrap().0.lookups;
        let mut search = dht.get_peers(InfoHash([1; 20])).unwrap();
        let mut cancelled = dht.get_peers(InfoHash([2; 20])).unwrap();
        assert_eq!(lookups().await, 2);
        assert!(poll_once(search.next()).await.is_none());
        cancelled.cancel();
        assert_eq!(cancelled.finish().await.unwrap()[0].outcome.end, End::Cancelled);
        assert_eq!(lookups().await, 1, "the other goes on");
        drop(search);
        while lookups().await > 0 {
            yield_now().await;
        }
    });
}

#[test]
fn names_that_do_not_resolve_hurt_nobody() {
    on_one_thread(async |executor| {
        let dht = start(executor, local().bootstrap(["no such name:1", "x.invalid:1"]));
        // The lookup waits for the names, finds that there are none, and says so.
        let mut search = dht.get_peers(InfoHash([1; 20])).unwrap();
        assert_eq!(search.finish().await.unwrap()[0].outcome.end, End::Nobody);
        assert_eq!(dht.unresolved().await.unwrap().len(), 2);
        // They are looked up again in a while, and that keeps nothing alive.
        dht.stop().await.unwrap();
    });
}

#[test]
fn several_addresses_are_one_handle_and_a_node_each() {
    on_one_thread(async |executor| {
        let all = few(executor, 6);
        let homes = local().bind("127.0.0.2:0".parse().unwrap());
        let homes = start(executor, homes.bootstrap([addr(&all[0]).to_string()]));
        let few = |(_, status, _): &(_, Status, _)| status.nodes_good < 5;
        while homes.overview().await.unwrap().homes.iter().any(few) {
            let _ = homes.ping(addr(&all[0])).await;
        }
        let info_hash = InfoHash([9; 20]);
        for (local, status, _) in homes.overview().await.unwrap().homes {
            assert_eq!(all[1].ping(local).await.unwrap().id, status.id);
            let mut announce = homes.announce_from(local, info_hash, Port::Number(99)).unwrap();
            assert!(announce.finish().await.unwrap()[0].outcome.stored >= 5);
        }
        let mut found: Vec<_> = all[2].get_peers(info_hash).unwrap().collect().await;
        found.sort();
        assert_eq!(found, ["127.0.0.1:99".parse().unwrap(), "127.0.0.2:99".parse().unwrap()]);
    });
}

#[test]
fn the_state_is_saved_however_it_ends() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    on_one_thread(async |executor| {
        let all = few(executor, 6);
        let entry = addr(&all[0]).to_string();
        for (name, is_dropped) in [("stopped.state", false), ("dropped.state", true)] {
            let path = folder.join(name);
            let _ = std::fs::remove_file(&path);
            let builder = local().state(&path).bootstrap([entry.clone()]);
            let (dht, running) = builder.start().unwrap();
            let running = executor.spawn(running);
            while dht.overview().await.unwrap().v4.unwrap().0.nodes_good < 5 {
                let _ = dht.ping(addr(&all[0])).await;
            }
            let id = dht.overview().await.unwrap().v4.unwrap().0.id;
            match is_dropped {
                true => assert!(running.cancel().await.is_none()),
                false => dht.stop().await.unwrap(),
            }
            // The other runtime reads the same file.
            let again = tinybt_std::Dht::builder().bind("127.0.0.1:0".parse().unwrap());
            let again = again.private().state(&path).start().unwrap();
            let status = again.overview().unwrap().v4.unwrap().0;
            assert_eq!(status.id, id, "{name}");
            assert!(status.nodes_good + status.nodes_questionable >= 5, "{status:?}");
        }
        let gone = folder.join("a folder that is taken away");
        let path = gone.join("state");
        // What cannot be written is told at once, as far as can be seen.
        assert!(matches!(local().state(&path).start(), Err(Error::State { .. })));
        std::fs::create_dir_all(&gone).unwrap();
        let (dht, running) = local().state(&path).start().unwrap();
        std::fs::remove_dir(&gone).unwrap();
        let running = executor.spawn(running);
        assert!(matches!(dht.stop().await, Err(Error::State { .. })));
        assert!(matches!(running.await, Err(Error::State { .. })));
    });
}

#[test]
fn any_executor_or_none_will_do() {
    let ping = async |other: SocketAddr| {
        let (dht, running) = local().start().unwrap();
        let ping = async {
            dht.ping(other).await.unwrap();
            dht.stop().await
        };
        smol::future::zip(running, ping).await
    };
    let other = tinybt_std::Dht::builder().bind("127.0.0.1:0".parse().unwrap());
    let other = other.private().start().unwrap();
    let addr = other.local_addrs()[0];
    let without = block_on(ping(addr));
    assert!(without.0.is_ok() && without.1.is_ok());
    // The plainest there is, which knows nothing of the reactor.
    let plain = smol::future::block_on(ping(addr));
    assert!(plain.0.is_ok() && plain.1.is_ok());
    // The global one, on any thread.
    let (dht, running) = local().start().unwrap();
    let running = smol::spawn(running);
    block_on(async {
        let asking = smol::spawn(async move { dht.ping(addr).await.map(|_| ()) });
        asking.await.unwrap();
        running.await.unwrap();
    });
}

#[test]
fn everything_goes_to_other_threads() {
    fn goes<T: Send>(_: &T) {}
    let (dht, running) = local().start().unwrap();
    let addr = addr(&dht);
    let mut search = dht.get_peers(InfoHash([1; 20])).unwrap();
    goes(&dht.ping(addr));
    goes(&dht.ask(addr, Question::Ping));
    goes(&dht.stop());
    goes(&search.next());
    goes(&search.finish());
    goes(&search);
    goes(&running);
    // A handle is of use to many at once.
    goes(&&dht);
}

/// Counts how often a future is polled.
struct Counted(Running, Arc<AtomicUsize>);

impl Future for Counted {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.1.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.0).poll(context)
    }
}

#[test]
fn an_idle_handle_is_not_woken() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    on_one_thread(async |executor| {
        let (dht, running) = patient(&silent).start().unwrap();
        let polls = Arc::new(AtomicUsize::new(0));
        executor.spawn(Counted(running, polls.clone())).detach();
        dht.overview().await.unwrap();
        // What is left of the past: the answer was told in the midst of a poll.
        for _ in 0..10 {
            yield_now().await;
        }
        let before = polls.load(Ordering::Relaxed);
        // The next deadline of the machine is minutes away.
        Timer::after(Duration::from_millis(300)).await;
        assert_eq!(polls.load(Ordering::Relaxed), before);
    });
}

#[test]
fn a_thousand_lookups_at_once_on_one_thread() {
    const COUNT: usize = 1_000;
    on_one_thread(async |executor| {
        let all = few(executor, 24);
        let hash = |index: usize| {
            let mut hash = [index as u8; 20];
            hash[..2].copy_from_slice(&(index as u16).to_be_bytes());
            InfoHash(hash)
        };
        for index in 0..20 {
            let port = Port::Number(index as u16 + 1);
            all[index % 8 + 1].announce(hash(index), port).unwrap().finish().await.unwrap();
        }
        let capacities = Heap { lookups: COUNT, in_flight: 4_096, ..Heap::default() };
        let entry = addr(&all[0]).to_string();
        let asker = local().capacities(capacities).bootstrap([entry]);
        let asker = asker.configure(|config: &mut Config| {
            config.upkeep.bootstrap = false;
            // All thousand begin at one node, whose socket holds some 270 questions (Linux counts 768
            // bytes of 212,992 for each) and is read when the asker lets others on this thread have
            // their turn: after 64 answers, each of which has a thousand lookups looked at. What the
            // budget lets go out meanwhile has to fit, or both questions of a lookup may be lost.
            config.questions = Some(Rate { per_second: 5_000, burst: 32 });
        });
        let asker = start(executor, asker);
        let mut searches: Vec<_> =
            (0..COUNT).map(|index| asker.get_peers(hash(index % 20)).unwrap()).collect();
        let status = asker.overview().await.unwrap().v4.unwrap().0;
        assert_eq!(status.lookups, COUNT, "at once");
        for (index, search) in searches.iter_mut().enumerate() {
            let found: Vec<_> = StreamExt::collect(search).await;
            let port = (index % 20 + 1) as u16;
            assert_eq!(found, [SocketAddr::from(([127, 0, 0, 1], port))], "lookup {index}");
        }
    });
}

#[test]
fn many_commands_do_not_keep_the_network_waiting() {
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    other.set_nonblocking(true).unwrap();
    let (dht, mut running) = patient(&other).start().unwrap();
    block_on(async {
        let mut ping = pin!(dht.ping(other.local_addr().unwrap()));
        assert!(poll_once(&mut ping).await.is_none());
        for _ in 0..60_000 {
            dht.block("10.0.0.1:1".parse().unwrap(), Duration::ZERO).unwrap();
        }
        assert!(poll_once(&mut running).await.is_none());
        assert!(other.recv(&mut [0; 100]).is_ok(), "the question was sent");
    });
}

#[test]
fn an_answer_is_not_lost_when_nobody_waits_for_it_now() {
    on_one_thread(async |executor| {
        let all = few(executor, 6);
        let hash = InfoHash([3; 20]);
        for (index, dht) in all.iter().enumerate().skip(1).take(4) {
            dht.announce(hash, Port::Number(index as u16)).unwrap().finish().await.unwrap();
        }
        let mut search = all[5].get_peers(hash).unwrap();
        let mut found = Vec::new();
        loop {
            // A future that is dropped whenever something else is ready, which is always.
            let other = async {
                yield_now().await;
                None
            };
            let next = async { Some(search.next().await) };
            match next.or(other).await {
                Some(Some(peer)) => found.push(peer.port()),
                Some(None) => break,
                None => {}
            }
        }
        found.sort_unstable();
        assert_eq!(found, [1, 2, 3, 4]);
        let mut ping = pin!(all[0].ping(addr(&all[1])));
        while poll_once(&mut ping).await.is_none() {
            yield_now().await;
        }
    });
}
