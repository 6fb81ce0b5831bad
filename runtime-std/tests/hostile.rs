//! What applications should not do, and do: asking from inside of a handler, stopping twice, names that
//! nobody finds.
#![allow(missing_docs)]

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tinybt_std::core::InfoHash;
use tinybt_std::core::dht::Question;
use tinybt_std::core::wire::krpc;
use tinybt_std::{Builder, Dht, Error, Found, Reply};

fn local() -> Builder {
    Dht::builder().bind("127.0.0.1:0".parse().unwrap()).private()
}

/// Lets a handler run with the DHT that it belongs to.
fn inside(builder: Builder, mut run: impl FnMut(&Dht) + Send + 'static) -> Dht {
    let cell: Arc<OnceLock<Dht>> = Arc::default();
    let own = cell.clone();
    let handler = move |_: SocketAddr, _: &krpc::Query<'_>| {
        run(own.get().unwrap());
        Reply::Default
    };
    let dht = builder.handler(Box::new(handler)).start().unwrap();
    assert!(cell.set(dht.clone()).is_ok());
    dht
}

fn call(dht: &Dht) {
    let asker = local().start().unwrap();
    let method = Question::Method { name: b"x", arguments: b"de" };
    let _ = asker.ask(dht.local_addrs()[0], method);
}

#[test]
fn a_handler_that_waits_for_its_own_dht_is_told_so() {
    let (tell, told) = channel();
    let dht = inside(local(), move |dht| {
        let mut search = dht.get_peers(InfoHash([1; 20])).unwrap();
        let nothing = search.next_within(Duration::from_secs(600)) == Found::Nothing;
        let refused = [
            dht.overview().err(),
            dht.ping(dht.local_addrs()[0]).err(),
            search.finish().err(),
            dht.unresolved().err(),
        ];
        let refused = refused.iter().all(|error| matches!(error, Some(Error::Inside)));
        tell.send(nothing && refused && search.next().is_none()).unwrap();
    });
    call(&dht);
    assert!(told.recv().unwrap());
    dht.stop().unwrap();
}

#[test]
fn whoever_stops_waits_for_the_end_the_first_the_second_and_after_the_handler() {
    let path = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("stopped twice");
    let _ = std::fs::remove_file(&path);
    let (tell, told) = channel();
    let dht = inside(local().state(&path), move |dht| {
        dht.stop().unwrap();
        tell.send(()).unwrap();
        // What a busy machine would do.
        std::thread::sleep(Duration::from_millis(200));
    });
    let (calling, bound) = (dht.clone(), dht.local_addrs()[0]);
    let caller = std::thread::spawn(move || call(&calling));
    told.recv().unwrap();
    let second = dht.clone();
    let second = std::thread::spawn(move || second.stop());
    dht.stop().unwrap();
    assert!(path.exists(), "the state is saved when the end is told");
    UdpSocket::bind(bound).expect("so is the port");
    // It came at the same time, or when all was over.
    assert!(matches!(second.join().unwrap(), Ok(()) | Err(Error::Stopped)));
    caller.join().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_found_keep_no_threads() {
    fn threads() -> usize {
        let all = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        let name = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap_or_default();
        all.filter(|task| name(task.path().join("comm")).starts_with("tinybt-errand")).count()
    }
    let dht = local().start().unwrap();
    for _ in 0..40 {
        dht.add_nodes(["no such name:1"]).unwrap();
    }
    let mut search = dht.get_peers(InfoHash([1; 20])).unwrap();
    search.finish().unwrap();
    assert_eq!(dht.unresolved().unwrap(), ["no such name:1"]);
    // Those that were told of it are on their way home; other tests of this file have none.
    while threads() > 1 {
        std::thread::yield_now();
    }
    drop(search);
    dht.stop().unwrap();
    while threads() > 0 {
        std::thread::yield_now();
    }
}

#[cfg(feature = "finder")]
#[test]
fn a_lookup_without_a_node_is_refused_at_once() {
    let finder = local().without_dht().finder().unwrap();
    let refused = finder.dht().get_peers(InfoHash([1; 20]));
    assert!(matches!(refused, Err(Error::NoDht)));
}
