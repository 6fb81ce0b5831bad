//! The handle on loopback: what it tells, what it refuses, and that it ends.
#![allow(missing_docs)]

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use tinybt_std::core::dht::{End, Port, Question};
use tinybt_std::core::wire::krpc::{self, Body};
use tinybt_std::core::{Id, InfoHash};
use tinybt_std::{Builder, Dht, Error, Found, Reply, State};

fn local() -> Builder {
    Dht::builder().bind("127.0.0.1:0".parse().unwrap()).private()
}

fn addr(dht: &Dht) -> SocketAddr {
    dht.local_addrs()[0]
}

/// Waits until a node knows as many others.
fn knows(dht: &Dht, count: usize) {
    let begun = Instant::now();
    while dht.overview().unwrap().v4.unwrap().0.nodes_good < count {
        assert!(begun.elapsed() < Duration::from_secs(30), "too few nodes");
        // A round trip at a time, and not as fast as can be.
        let _ = dht.ping(addr(dht));
    }
}

/// A few nodes that know each other.
fn few(count: usize) -> Vec<Dht> {
    let first = local().start().unwrap();
    let mut all = vec![first.clone()];
    for _ in 1..count {
        all.push(local().bootstrap([addr(&first).to_string()]).start().unwrap());
    }
    all
}

#[test]
fn single_questions_are_answered_refused_or_silent() {
    let (a, b) = (local().start().unwrap(), local().start().unwrap());
    let pong = a.ping(addr(&b)).unwrap();
    assert_eq!(Some(pong.id), b.overview().unwrap().v4.map(|(status, _)| status.id));
    assert_eq!(pong.external, Some(addr(&a)));
    assert_eq!(pong.version.as_deref(), Some(&b"TY01"[..]));

    let info_hash = InfoHash([3; 20]);
    let question = Question::GetPeers { info_hash, want: None, no_seed: false, scrape: false };
    let answered = a.ask(addr(&b), question).unwrap();
    let message = krpc::decode(&answered.datagram).unwrap();
    let Body::Response(response) = message.body else { panic!("no response") };
    let announce = |token| Question::AnnouncePeer {
        info_hash,
        port: 7,
        implied_port: false,
        token,
        seed: false,
    };
    a.ask(addr(&b), announce(response.token().unwrap())).unwrap();
    let refused = a.ask(addr(&b), announce(b"12345678")).unwrap_err();
    assert!(matches!(refused, Error::Refused { code: 203, .. }), "{refused}");
    let answered = a.ask(addr(&b), question).unwrap();
    let message = krpc::decode(&answered.datagram).unwrap();
    let Body::Response(response) = message.body else { panic!("no response") };
    assert_eq!(response.values().collect::<Vec<_>>(), ["127.0.0.1:7".parse().unwrap()]);

    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let silence = a.ping(silent.local_addr().unwrap()).unwrap_err();
    assert!(matches!(silence, Error::Silent(_)), "{silence}");
    let other = a.ping("[::1]:7".parse().unwrap()).unwrap_err();
    assert!(matches!(other, Error::Address(_)), "{other}");
    let wrong = a.ask(addr(&b), Question::Method { name: b"x", arguments: b"i1e" }).unwrap_err();
    assert!(matches!(wrong, Error::Arguments), "{wrong}");
}

#[test]
fn foreign_methods_are_the_applications() {
    let asker = local().start().unwrap();
    let handler = |_, query: &krpc::Query<'_>| match query.method {
        b"double" => match query.argument(b"n") {
            Some(n) => Reply::Dictionary([b"d1:n", n, b"e"].concat()),
            None => Reply::Error { code: 203, message: "no n".into() },
        },
        _ => Reply::Default,
    };
    let server = local().handler(Box::new(handler)).start().unwrap();
    let ask = |name: &'static [u8], arguments: &'static [u8]| {
        asker.ask(addr(&server), Question::Method { name, arguments })
    };
    let answered = ask(b"double", b"d1:ni21ee").unwrap();
    let message = krpc::decode(&answered.datagram).unwrap();
    let Body::Response(response) = message.body else { panic!("no response") };
    assert_eq!(response.member(b"n"), Some(&b"i21e"[..]));
    assert!(response.id().is_some());
    let refused = ask(b"double", b"de").unwrap_err();
    assert!(
        matches!(&refused, Error::Refused { code: 203, message } if message == "no n"),
        "{refused}"
    );
    assert!(matches!(ask(b"treble", b"de").unwrap_err(), Error::Refused { code: 204, .. }));
}

#[test]
fn what_one_announces_the_others_find() {
    let all = few(12);
    let info_hash = InfoHash([7; 20]);
    let mut announce = all[3].announce(info_hash, Port::Number(4_242)).unwrap();
    let finished = announce.finish().unwrap();
    assert_eq!(finished[0].outcome.end, End::Complete);
    assert!(finished[0].outcome.stored >= 1);
    let mut search = all[9].get_peers(info_hash).unwrap();
    assert_eq!(search.next(), Some("127.0.0.1:4242".parse().unwrap()));
    assert_eq!(search.next(), None);
    let finished = search.finish().unwrap();
    assert_eq!(finished[0].outcome.peers, 1);
    assert!(!finished[0].trace.is_empty());
    let mut nodes = all[5].find_node(Id([9; 20])).unwrap();
    assert!(!nodes.finish().unwrap()[0].closest.is_empty());
}

#[test]
fn the_last_handle_ends_the_thread_and_gives_the_port_back() {
    let dht = local().start().unwrap();
    let (clone, bound) = (dht.clone(), addr(&dht));
    drop(dht);
    assert!(clone.overview().is_ok(), "a clone keeps it");
    let search = clone.get_peers(InfoHash([1; 20])).unwrap();
    drop(clone);
    assert!(UdpSocket::bind(bound).is_err(), "a search keeps it");
    drop(search);
    UdpSocket::bind(bound).expect("nobody keeps it");
}

#[test]
fn stopped_is_an_answer() {
    let dht = local().start().unwrap();
    let clone = dht.clone();
    dht.stop().unwrap();
    assert!(matches!(clone.overview(), Err(Error::Stopped)));
    assert!(matches!(clone.ping(addr(&clone)), Err(Error::Stopped)));
    assert!(matches!(clone.get_peers(InfoHash([1; 20])), Err(Error::Stopped)));
    assert!(matches!(clone.stop(), Err(Error::Stopped)));
}

#[test]
fn a_search_that_is_dropped_is_cancelled() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let entry = silent.local_addr().unwrap().to_string();
    // Without lookups of its own, so that they can be counted, and too patient to give up.
    let alone = local().configure(|config| {
        config.upkeep.bootstrap = false;
        config.timeout_min = Duration::from_secs(600);
        config.timeout_max = Duration::from_secs(600);
    });
    let dht = alone.bootstrap([entry]).start().unwrap();
    let mut search = dht.get_peers(InfoHash([1; 20])).unwrap();
    assert_eq!(search.next_within(Duration::from_millis(1)), Found::Nothing);
    let lookups = || dht.overview().unwrap().v4.unwrap().0.lookups;
    let mut cancelled = dht.get_peers(InfoHash([2; 20])).unwrap();
    cancelled.next_within(Duration::from_millis(1));
    cancelled.cancel();
    assert_eq!(cancelled.finish().unwrap()[0].outcome.end, End::Cancelled);
    assert!(lookups() >= 1, "the other goes on");
    drop(search);
    let begun = Instant::now();
    while lookups() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "it goes on");
    }
}

#[test]
fn a_supplied_socket_is_used_and_names_that_do_not_resolve_hurt_nobody() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let bound = socket.local_addr().unwrap();
    let builder = Dht::builder().socket(socket).private();
    let dht = builder.bootstrap(["no such name:1", "x.invalid:1"]).start().unwrap();
    assert_eq!(dht.local_addrs(), [bound]);
    // The lookup waits for the names, finds that there are none, and says so.
    let mut search = dht.get_peers(InfoHash([1; 20])).unwrap();
    let finished = search.finish().unwrap();
    assert_eq!(finished[0].outcome.end, End::Nobody);
    assert_eq!(dht.unresolved().unwrap().len(), 2);
}

#[test]
fn both_families_are_one() {
    if UdpSocket::bind("[::1]:0").is_err() {
        return;
    }
    let both = || {
        let builder = Dht::builder().bind("127.0.0.1:0".parse().unwrap());
        builder.bind("[::1]:0".parse().unwrap()).private()
    };
    let first = both().start().unwrap();
    let entries: Vec<_> = first.local_addrs().iter().map(SocketAddr::to_string).collect();
    let others: Vec<_> =
        (0..8).map(|_| both().bootstrap(entries.clone()).start().unwrap()).collect();
    let info_hash = InfoHash([8; 20]);
    let mut announce = others[2].announce(info_hash, Port::Number(99)).unwrap();
    assert_eq!(announce.finish().unwrap().len(), 2, "each family ends once");
    let mut found: Vec<_> = others[6].get_peers(info_hash).unwrap().collect();
    found.sort();
    assert_eq!(found, ["127.0.0.1:99".parse().unwrap(), "[::1]:99".parse().unwrap()]);
}

#[test]
fn a_state_that_is_saved_is_whole() {
    let path = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("dht.state");
    let _ = std::fs::remove_file(&path);
    let all = few(6);
    let dht = local().state(&path).bootstrap([addr(&all[0]).to_string()]).start().unwrap();
    knows(&dht, 5);
    let id = dht.overview().unwrap().v4.unwrap().0.id;
    dht.stop().unwrap();
    let again = local().state(&path).start().unwrap();
    let status = again.overview().unwrap().v4.unwrap().0;
    assert_eq!(status.id, id);
    assert!(status.nodes_good + status.nodes_questionable >= 5, "{status:?}");
    let mut search = again.find_node(Id([1; 20])).unwrap();
    assert_eq!(search.finish().unwrap()[0].outcome.end, End::Complete);
}

#[test]
fn several_addresses_are_one_handle_and_a_node_each() {
    let all = few(6);
    let entry = addr(&all[0]).to_string();
    let homes = local().bind("127.0.0.2:0".parse().unwrap()).bootstrap([entry]);
    let homes = homes.start().unwrap();
    let [first, second] = *homes.local_addrs() else { panic!("{:?}", homes.local_addrs()) };
    assert_eq!(second.ip().to_string(), "127.0.0.2");
    let begun = Instant::now();
    while homes.overview().unwrap().homes.iter().any(|(_, status, _)| status.nodes_good < 5) {
        assert!(begun.elapsed() < Duration::from_secs(30), "too few nodes");
        let _ = homes.ping(addr(&all[0]));
    }
    let overview = homes.overview().unwrap();
    let ids: Vec<Id> = overview.homes.iter().map(|(_, status, _)| status.id).collect();
    assert_eq!(overview.v4.unwrap().0.id, ids[0]);
    for (local, id) in [first, second].into_iter().zip(ids) {
        assert_eq!(all[1].ping(local).unwrap().id, id);
    }
    // Announced from each, found at each.
    let info_hash = InfoHash([9; 20]);
    for local in [first, second] {
        let mut announce = homes.announce_from(local, info_hash, Port::Number(99)).unwrap();
        let finished = announce.finish().unwrap();
        assert!(finished.len() == 1 && finished[0].outcome.stored >= 5, "{finished:?}");
    }
    let mut found: Vec<_> = all[2].get_peers(info_hash).unwrap().collect();
    found.sort();
    assert_eq!(found, ["127.0.0.1:99".parse().unwrap(), "127.0.0.2:99".parse().unwrap()]);
    let nowhere: SocketAddr = "127.0.0.3:1".parse().unwrap();
    let error = homes.announce_from(nowhere, info_hash, Port::Implied);
    assert!(matches!(error, Err(Error::Address(addr)) if addr == nowhere));
}

#[test]
fn each_address_begins_with_the_state_of_its_own() {
    let path = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("homes.state");
    let _ = std::fs::remove_file(&path);
    let run = |ips: &[&str]| {
        let bind = |builder: Builder, ip: &&str| builder.bind(format!("{ip}:0").parse().unwrap());
        let builder = ips.iter().fold(Dht::builder().private(), bind);
        let dht = builder.state(&path).start().unwrap();
        let homes = dht.overview().unwrap().homes;
        dht.stop().unwrap();
        homes.into_iter().map(|(_, status, _)| status.id).collect::<Vec<_>>()
    };
    let load = || State::load(&path).unwrap().unwrap();
    let alone = run(&["127.0.0.1"]);
    // A file as it was before there could be several.
    assert!(load().v4.is_some() && load().homes.is_empty());
    let both = run(&["127.0.0.1", "127.0.0.2"]);
    assert_eq!(both[0], alone[0]);
    let homes: Vec<String> = load().homes.into_keys().collect();
    assert!(homes.len() == 1 && homes[0].starts_with("127.0.0.2:"), "{homes:?}");
    let reversed = run(&["127.0.0.2", "127.0.0.1"]);
    assert_eq!(reversed, [both[1], both[0]]);
    let with_another = run(&["127.0.0.3", "127.0.0.1", "127.0.0.2"]);
    assert_eq!(with_another[1], both[0]);
}

#[test]
fn a_search_is_cancelled_whenever_that_is() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let entry = silent.local_addr().unwrap().to_string();
    let dht = local().configure(|config| config.upkeep.bootstrap = false);
    let dht = dht.bootstrap([entry]).start().unwrap();
    for wait in [false, true] {
        let mut search = dht.get_peers(InfoHash([1; 20])).unwrap();
        if wait {
            // It has begun when the thread has time for a question.
            dht.overview().unwrap();
        }
        search.cancel();
        let finished = search.finish().unwrap();
        assert!(finished.iter().all(|finished| finished.outcome.end == End::Cancelled));
    }
}

/// Takes datagrams until there is a question with the method, about the torrent if it names one.
fn take(socket: &UdpSocket, method: &[u8], about: &[u8]) -> (Vec<u8>, SocketAddr) {
    let mut buf = [0; 1_500];
    loop {
        let (len, from) = socket.recv_from(&mut buf).unwrap();
        let Body::Query(query) = krpc::decode(&buf[..len]).unwrap().body else { continue };
        let names = |part| query.raw.windows(20).any(|window| window == part);
        if query.method == method && (about.is_empty() || names(about)) {
            return (buf[..len].to_vec(), from);
        }
    }
}

#[test]
fn announces_that_are_dropped_are_not_made() {
    let storer = UdpSocket::bind("127.0.0.1:0").unwrap();
    storer.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let dht = local().bootstrap([storer.local_addr().unwrap().to_string()]).start().unwrap();
    let answer = |question: &[u8], from| {
        let transaction = krpc::decode(question).unwrap().transaction;
        let mut answer = b"d1:rd2:id20:aaaaaaaaaaaaaaaaaaaa5:nodes0:5:token2:tke1:t".to_vec();
        answer.extend(format!("{}:", transaction.len()).as_bytes());
        answer.extend(transaction);
        answer.extend(b"1:y1:re");
        storer.send_to(&answer, from).unwrap();
    };
    let (question, from) = take(&storer, b"find_node", b"");
    answer(&question, from);

    let dropped = dht.announce(InfoHash([1; 20]), Port::Number(77)).unwrap();
    let (question, from) = take(&storer, b"get_peers", &[1; 20]);
    drop(dropped);
    // The thread has heard of it when it has time for a question.
    dht.overview().unwrap();
    answer(&question, from);

    // One that is made, after it.
    let made = dht.announce(InfoHash([9; 20]), Port::Number(77)).unwrap();
    let (question, from) = take(&storer, b"get_peers", &[9; 20]);
    answer(&question, from);
    let (told, _) = take(&storer, b"announce_peer", b"");
    assert!(told.windows(20).any(|part| part == [9; 20]), "{}", told.escape_ascii());
    drop(made);
}

#[test]
fn a_handler_may_fail_and_may_want_an_end() {
    let method = Question::Method { name: b"boo", arguments: b"de" };
    let asked =
        local().handler(Box::new(|_, _| panic!("a fault of the application"))).start().unwrap();
    let asker = local().start().unwrap();
    let answered = asker.ask(addr(&asked), method);
    assert!(matches!(answered, Err(Error::Refused { code: 204, .. })), "{answered:?}");
    asked.overview().unwrap();

    let cell: std::sync::Arc<std::sync::OnceLock<Dht>> = std::sync::Arc::default();
    let inner = cell.clone();
    let handler = Box::new(move |_: SocketAddr, _: &krpc::Query<'_>| {
        inner.get().unwrap().stop().unwrap();
        Reply::Default
    });
    let ending = local().handler(handler).start().unwrap();
    assert!(cell.set(ending.clone()).is_ok());
    let _ = asker.ask(addr(&ending), method);
    while ending.overview().is_ok() {}
}

#[test]
fn what_cannot_work_is_refused_at_the_start() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let two = Dht::builder().socket(socket.try_clone().unwrap()).socket(socket).start();
    assert!(matches!(two, Err(Error::TwoSockets(_))));
    let impatient = local().configure(|config| config.timeout_max = Duration::from_millis(50));
    let impatient = impatient.bootstrap(["127.0.0.1:9"]).start().unwrap();
    let _ = impatient.ping("127.0.0.1:9".parse().unwrap());
    impatient.overview().unwrap();
}
