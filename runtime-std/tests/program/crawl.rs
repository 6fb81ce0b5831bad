//! The crawler from a terminal, among nodes on loopback.

use std::net::UdpSocket;
use std::sync::Arc;

use tinybt_std::core::limits::DATAGRAM_MAX;
use tinybt_std::core::wire::krpc::{self, Answer, Body, Envelope, SampleInfo};
use tinybt_std::core::{Contact, Id, InfoHash};

use crate::process::{Running, json, scratch, text, tinybt};

/// Nodes that tell two info-hashes each, and whom they know; they end with the tests.
fn nodes(count: u8) -> Vec<Contact> {
    let id = |index: u8| Id([index.wrapping_mul(53); 20]);
    let sockets: Vec<UdpSocket> =
        (0..count).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let contact = |(index, socket): (usize, &UdpSocket)| Contact {
        id: id(index as u8),
        addr: socket.local_addr().unwrap(),
    };
    let all: Arc<[Contact]> = sockets.iter().enumerate().map(contact).collect();
    for (index, socket) in sockets.into_iter().enumerate() {
        let all = all.clone();
        std::thread::spawn(move || serve(&socket, id(index as u8), index as u8, &all));
    }
    all.to_vec()
}

fn serve(socket: &UdpSocket, id: Id, index: u8, all: &[Contact]) {
    let mut buffer = [0; DATAGRAM_MAX];
    while let Ok((len, from)) = socket.recv_from(&mut buffer) {
        let Ok(message) = krpc::decode(&buffer[..len]) else { continue };
        let Body::Query(query) = &message.body else { continue };
        let target = query.target().unwrap_or_default();
        let mut closest = all.to_vec();
        closest.sort_by_key(|contact| contact.id.distance(target));
        closest.truncate(8);
        let packed = [[index; 20], [index | 128; 20]].concat();
        let samples = SampleInfo { interval: 600, stored: 2, packed: &packed };
        let answer = Answer {
            id,
            nodes: Some(&closest),
            samples: (query.method == b"sample_infohashes").then_some(samples),
            ..Answer::default()
        };
        let envelope = Envelope { transaction: message.transaction, ..Envelope::default() };
        let mut reply = [0; DATAGRAM_MAX];
        let len = krpc::encode_response(&mut reply, &envelope, &answer).unwrap();
        let _ = socket.send_to(&reply[..len], from);
    }
}

fn all_hashes(count: u8) -> Vec<String> {
    let all = (0..count).flat_map(|index| [[index; 20], [index | 128; 20]]);
    let mut all: Vec<String> = all.map(|hash| InfoHash(hash).to_string()).collect();
    all.sort();
    all
}

#[test]
fn every_hash_of_a_network_is_printed_once() {
    let nodes = nodes(40);
    let entry = nodes[0].addr.to_string();
    let args = ["crawl", "--bind", "127.0.0.1:0", "--bootstrap", &entry, "--rate", "1000"];
    let done = tinybt(&[&args[..], &["--plain"]].concat());
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let mut lines: Vec<String> = text(&done.stdout).lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, all_hashes(40));
    assert!(done.stderr.is_empty(), "{}", text(&done.stderr));

    // A state is written; who goes on from it asks nobody whose interval is not over.
    let state = scratch("crawl.state");
    let path = state.to_str().unwrap();
    let args = [&args[..], &["--json", "--state", path]].concat();
    let done = tinybt(&args);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let lines = json(&done.stdout);
    assert_eq!(lines.iter().filter(|line| line["info_hash"].is_string()).count(), 80);
    let last = lines.last().unwrap();
    assert_eq!((&last["summary"]["hashes"], &last["end"]), (&80.into(), &"complete".into()));
    assert_eq!(last["summary"]["sampled"], 40);
    let done = tinybt(&args);
    assert_eq!(done.status.code(), Some(1), "{}", text(&done.stdout));
    assert_eq!(json(&done.stdout).last().unwrap()["summary"]["asked"], 0);

    std::fs::write(&state, "no state").unwrap();
    let done = tinybt(&args);
    assert_eq!(done.status.code(), Some(2));
    assert!(text(&done.stderr).contains("remove it to start afresh"), "{}", text(&done.stderr));
}

#[test]
fn a_crawl_ends_in_order_when_it_is_interrupted() {
    let nodes = nodes(40);
    let entry = nodes[0].addr.to_string();
    let state = scratch("crawl-interrupted.state");
    let path = state.to_str().unwrap();
    let args = ["crawl", "--bind", "127.0.0.1:0", "--bootstrap", &entry, "--rate", "10"];
    let mut crawl = Running::start(&[&args[..], &["--state", path]].concat());
    crawl.line_with("0");
    let (_, code) = crawl.interrupt();
    assert_eq!(code, Some(0));
    assert!(std::fs::metadata(&state).unwrap().len() > 100);
    let done = tinybt(&[&args[..], &["--timeout", "0.5", "--json"]].concat());
    assert_eq!(json(&done.stdout).last().unwrap()["end"], "stopped");
}

#[test]
fn a_crawl_that_nobody_reads_any_longer_saves_its_state() {
    let nodes = nodes(40);
    let entry = nodes[0].addr.to_string();
    let state = scratch("crawl-abandoned.state");
    let path = state.to_str().unwrap();
    let args = ["crawl", "--bind", "127.0.0.1:0", "--bootstrap", &entry, "--rate", "10"];
    let mut crawl = Running::start(&[&args[..], &["--state", path]].concat());
    crawl.line_with("0");
    assert_eq!(crawl.abandon(), Some(0));
    assert!(std::fs::metadata(&state).unwrap().len() > 100);
}

#[test]
fn one_node_is_asked_for_a_sample() {
    let nodes = nodes(2);
    let addr = nodes[1].addr.to_string();
    let done = tinybt(&["sample", &addr, "--json"]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let lines = json(&done.stdout);
    assert_eq!((&lines[0]["interval"], &lines[0]["num"]), (&600.into(), &2.into()));
    assert_eq!(lines[1]["info_hash"], InfoHash([1; 20]).to_string());
    assert_eq!(lines.len(), 3);
    let done = tinybt(&["sample", &addr]);
    assert!(text(&done.stdout).contains("next sample in 600 s"), "{}", text(&done.stdout));

    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().to_string();
    assert_eq!(tinybt(&["sample", &silent]).status.code(), Some(1));
    assert_eq!(tinybt(&["sample", "nowhere"]).status.code(), Some(2));
    for (args, expected) in [
        (&["crawl", "--bind", "[::1]:0", "--bootstrap", "127.0.0.1:1"][..], "same family"),
        (&["crawl", "--bind", "127.0.0.1:0", "--bootstrap", "[::1]:1"], "same family"),
        (&["crawl", "--slice", "33"], "0..=32"),
        (&["crawl", "--rate", "0"], "1..=100000"),
        (&["crawl", "--bootstrap", "nowhere"], "`name:port`"),
        (&["crawl", "--json", "--plain"], "cannot be used with"),
    ] {
        let done = tinybt(args);
        assert_eq!(done.status.code(), Some(2), "{args:?}: {}", text(&done.stderr));
        assert!(text(&done.stderr).contains(expected), "{args:?}: {}", text(&done.stderr));
    }
}

#[test]
fn a_crawl_that_nobody_answers_ends_and_says_so() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().unwrap().to_string();
    let crawl = ["crawl", "--bind", "127.0.0.1:0", "--rounds", "1", "--bootstrap", &silent];
    let done = tinybt(&crawl);
    assert_eq!(done.status.code(), Some(3), "{}", text(&done.stdout));
    let done = tinybt(&[&crawl[..], &["--timeout", "1"]].concat());
    assert_eq!(done.status.code(), Some(3), "{}", text(&done.stdout));
    let unknown = ["crawl", "--bind", "127.0.0.1:0", "--bootstrap", "nosuch.invalid:6881"];
    let done = tinybt(&unknown);
    assert_eq!(done.status.code(), Some(3), "{}", text(&done.stdout));
    assert!(text(&done.stderr).contains("nosuch.invalid"), "{}", text(&done.stderr));
}

#[test]
fn a_slice_where_nobody_lives_is_no_failure_of_the_network() {
    let entry = nodes(40)[0].addr.to_string();
    let around = "2b66980093bc11806fab50cb3cb41835b95a0362";
    let crawl = ["crawl", "--bind", "127.0.0.1:0", "--bootstrap", &entry, "--rounds", "1"];
    let done = tinybt(&[&crawl[..], &["--slice", "32", "--around", around]].concat());
    assert_eq!(done.status.code(), Some(1), "{}", text(&done.stderr));
}

#[test]
fn nobody_writes_over_a_state_of_another_kind() {
    let entry = nodes(40)[0].addr.to_string();
    let (crawls, nodes) = (scratch("of-a-crawl.state"), scratch("of-a-node.state"));
    let join = ["--bind", "127.0.0.1:0", "--bootstrap", &entry, "--state"];
    let crawl = ["crawl", "--rounds", "1"];
    let crawled = [&crawl[..], &join, &[crawls.to_str().unwrap()]].concat();
    assert_eq!(tinybt(&crawled).status.code(), Some(0));
    // What a node writes that has nothing to say of IPv6.
    std::fs::write(&nodes, "d1:44:de1ee").unwrap();
    for (command, state) in [(&["node"][..], &crawls), (&crawl, &nodes)] {
        let before = std::fs::read(state).unwrap();
        let done = tinybt(&[command, &join, &[state.to_str().unwrap()]].concat());
        assert_eq!(done.status.code(), Some(2), "{command:?}: {}", text(&done.stderr));
        assert_eq!(std::fs::read(state).unwrap(), before, "{command:?}");
    }
    // One that cannot be written is told of before the work.
    let nowhere = scratch("no-such-directory").join("crawl.state");
    let done = tinybt(&[&crawl[..], &join, &[nowhere.to_str().unwrap()]].concat());
    assert_eq!(done.status.code(), Some(3), "{}", text(&done.stderr));
    assert!(done.stdout.is_empty(), "{}", text(&done.stdout));
}
