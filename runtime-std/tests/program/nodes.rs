//! The DHT from a terminal, and the program as such.

use std::collections::{BTreeMap, HashMap};
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use tinybt_std::core::wire::krpc;

use crate::process::{HASH, Running, json, scratch, text, tinybt};

#[test]
fn the_demo_finds_every_peer_it_announced() {
    let trace = scratch("demo.trace");
    let done = tinybt(&["demo", "--plain", "--trace", trace.to_str().unwrap()]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let mut lines: Vec<_> = text(&done.stdout).lines().map(str::to_owned).collect();
    lines.sort();
    let ports = (50_000..50_012).chain(51_001..51_004).chain(52_001..52_004);
    let expected: Vec<_> = ports.map(|port| format!("peer 127.0.0.1:{port}")).collect();
    assert_eq!(lines, expected, "and nothing else on a pipe");
    assert!(done.stderr.is_empty(), "no progress where nobody looks: {}", text(&done.stderr));
    let trace = std::fs::read_to_string(trace).unwrap();
    assert!(trace.lines().count() >= 8 && trace.lines().all(|line| line.contains("\"outcome\":")));
}

#[test]
fn what_makes_no_sense_is_told_back_with_what_was_expected() {
    for (args, expected) in [
        (&["peers", "123"][..], "40 hexadecimal digits"),
        (&["peers", "magnet:?dn=x"], "xt=urn:btih:"),
        (&["peers", "gone.torrent"], "cannot read gone.torrent"),
        (&["peers", HASH, "--timeout", "soon"], "number of seconds"),
        (&["peers", HASH, "--timeout", "0"], "above 0"),
        (&["peers", HASH, "--bind", "here"], "--bind"),
        (&["peers", HASH, "--bind", "127.0.0.1:9", "--bind", "127.0.0.1:9"], "port once"),
        (&["peers", HASH, "--bind", "0.0.0.0:0", "--bind", "127.0.0.2:0"], "one by one"),
        (&["peers", HASH, "--bootstrap", "nowhere"], "`name:port`"),
        (&["peers", HASH, "--json", "--plain"], "cannot be used with"),
        (&["peers", HASH, "--paths", "5"], "5 is not in 1..=4"),
        (&["announce", HASH, "--port", "70000"], "1 to 65535"),
        (&["announce", HASH, "--port", "0"], "1 to 65535"),
        (&["announce", HASH], "--port"),
        (&["ping", "nowhere"], "`address:port`"),
        (&["find-node", "abc"], "40 hexadecimal digits"),
        (&["testnet", "--nodes", "1"], "2..=5000"),
        (&[], "Usage"),
    ] {
        let done = tinybt(args);
        assert_eq!(done.status.code(), Some(2), "{args:?}: {}", text(&done.stderr));
        assert!(text(&done.stderr).contains(expected), "{args:?}: {}", text(&done.stderr));
        assert!(done.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn nobody_there_is_a_matter_of_the_network() {
    // A bound port that nobody reads.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = silent.local_addr().unwrap().to_string();
    let done = tinybt(&["peers", HASH, "--bind", "127.0.0.1:0", "--bootstrap", &addr]);
    assert_eq!(done.status.code(), Some(3), "{}", text(&done.stderr));
    assert!(text(&done.stderr).contains("no node of the DHT answered"));
    let done = tinybt(&["ping", &addr]);
    assert_eq!(done.status.code(), Some(1));
    assert!(text(&done.stdout).contains("no answer from"));
    let done = tinybt(&["peers", HASH, "--bind", "192.0.2.1:1"]);
    assert_eq!(done.status.code(), Some(3));
    assert!(text(&done.stderr).contains("cannot open a socket at 192.0.2.1:1"));
}

#[test]
fn a_private_network_can_be_entered() {
    let mut net = Running::start(&["testnet", "--nodes", "30"]);
    let line = net.line_with("--bootstrap");
    let entry = line.trim().trim_start_matches("--bootstrap ").to_owned();
    let join = ["--bind", "127.0.0.1:0", "--bootstrap", &entry];

    let done = tinybt(&[&["peers", HASH][..], &join].concat());
    assert_eq!(done.status.code(), Some(1), "{}", text(&done.stderr));
    assert!(text(&done.stdout).starts_with("0 peers of"), "{}", text(&done.stdout));

    let done = tinybt(&[&["announce", HASH, "--port", "4242", "--once"][..], &join].concat());
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    // Up to two more where one was slow to confirm.
    let told = text(&done.stdout);
    let says = |nodes| told.contains(&format!("{nodes} nodes of the DHT and 0 trackers know"));
    assert!((8..=10).any(says), "{told}");

    let magnet = format!("magnet:?xt=urn:btih:{HASH}&dn=thing&x.pe=127.0.0.9:9");
    let done = tinybt(&[&["peers", &magnet, "--json", "--paths", "2"][..], &join].concat());
    assert_eq!(done.status.code(), Some(0));
    let lines = json(&done.stdout);
    assert_eq!(lines[0]["peer"], "127.0.0.9:9");
    assert_eq!(lines[0]["source"], "link");
    assert_eq!(lines[1]["peer"], "127.0.0.1:4242");
    assert_eq!(lines[2]["peers"], 2);
    assert_eq!(lines[2]["name"], "thing");
    assert_eq!(lines[2]["networks"], serde_json::json!({"127.0.0.1:4242": 1}));

    let done = tinybt(&[&["find-node", HASH, "--json"][..], &join].concat());
    assert_eq!(text(&done.stdout).lines().count(), 8);
    let first = entry.split(',').next().unwrap();
    let done = tinybt(&["find-node", HASH, "--at", first, "--bind", "127.0.0.1:0"]);
    assert_eq!(text(&done.stdout).lines().count(), 8);
    let done = tinybt(&["ping", first, "--json"]);
    let pong: serde_json::Value = serde_json::from_str(&text(&done.stdout)).unwrap();
    assert_eq!(pong["version"], "TY01");

    // A node that remembers: the second run begins without being told where.
    let state = scratch("node.state");
    let path = state.to_str().unwrap();
    let mut node = Running::start(
        &[&["node", "--private", "--stats-json", "--interval", "0.05", "--state", path][..], &join]
            .concat(),
    );
    let begun = Instant::now();
    loop {
        let status: serde_json::Value =
            serde_json::from_str(&node.line_with("\"family\"")).unwrap();
        if status["nodes"]["good"].as_u64() >= Some(8) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{status}");
    }
    let (took, code) = node.interrupt();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(std::fs::metadata(&state).unwrap().len() > 100);
    let nobody = "127.0.0.1:9";
    let args = ["peers", HASH, "--plain", "--bind", "127.0.0.1:0", "--bootstrap", nobody];
    let done = tinybt(&[&args[..], &["--state", path]].concat());
    assert_eq!(text(&done.stdout), "peer 127.0.0.1:4242\n");

    std::fs::write(&state, "no state").unwrap();
    let done = tinybt(&[&args[..], &["--state", path]].concat());
    assert_eq!(done.status.code(), Some(2));
    assert!(text(&done.stderr).contains("remove it to start afresh"), "{}", text(&done.stderr));
    let (_, code) = net.interrupt();
    assert_eq!(code, Some(0));
}

/// Asks over a socket of its own; returns who answered and what.
fn ask(socket: &UdpSocket, to: SocketAddr, query: &[u8]) -> (SocketAddr, Vec<u8>) {
    socket.send_to(query, to).unwrap();
    let mut bytes = [0; 1_500];
    let (len, from) = socket.recv_from(&mut bytes).unwrap();
    (from, bytes[..len].to_vec())
}

#[test]
fn a_node_at_each_of_several_addresses() {
    let state = scratch("homes.state");
    let path = state.to_str().unwrap();
    let addrs = ["127.0.0.1:0", "127.0.0.2:0", "127.0.0.3:0"];
    let binds = addrs.iter().flat_map(|addr| ["--bind", addr]);
    let args = ["node", "--private", "--stats-json", "--interval", "0.05", "--state", path];
    let args: Vec<_> =
        args.into_iter().chain(binds).chain(["--bootstrap", "127.0.0.1:9"]).collect();
    let run = || {
        let mut node = Running::start(&args);
        let mut homes = HashMap::new();
        while homes.len() < addrs.len() {
            let line: serde_json::Value =
                serde_json::from_str(&node.line_with("\"family\"")).unwrap();
            let home: SocketAddr = line["address"].as_str().unwrap().parse().unwrap();
            homes.insert(home, line["id"].as_str().unwrap().to_owned());
        }
        (node, homes)
    };
    let (node, homes) = run();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    for (home, id) in &homes {
        // Who is read-only is not asked in turn.
        let query = b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping2:roi1e1:t2:aa1:y1:qe";
        let (from, answer) = ask(&socket, *home, query);
        assert_eq!(from, *home, "from the address that was asked");
        let message = krpc::decode(&answer).unwrap();
        let krpc::Body::Response(response) = &message.body else { panic!("{message:?}") };
        assert_eq!(response.id().unwrap().to_string(), *id);
    }
    let mut ids: Vec<_> = homes.values().cloned().collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), addrs.len(), "an id each");
    assert_eq!(node.interrupt().1, Some(0));
    // Each is itself again at its address, whatever its port.
    let by_ip = |homes: HashMap<SocketAddr, String>| -> BTreeMap<_, _> {
        homes.into_iter().map(|(addr, id)| (addr.ip(), id)).collect()
    };
    let (node, again) = run();
    assert_eq!(by_ip(again), by_ip(homes));
    assert_eq!(node.interrupt().1, Some(0));
}

#[test]
fn help_completions_and_manual_are_there() {
    for args in [&["--help"][..], &["completions", "bash"], &["man"], &["peers", "--help"]] {
        let done = tinybt(args);
        assert_eq!(done.status.code(), Some(0), "{args:?}");
        assert!(text(&done.stdout).contains("tinybt"), "{args:?}");
    }
}

#[test]
fn both_families_at_one_port() {
    if std::net::UdpSocket::bind("[::1]:0").is_err() {
        return;
    }
    // Below those that the system gives to whoever asks for any, as all other tests do.
    let is_free = |port: &u16| {
        std::net::UdpSocket::bind(("0.0.0.0", *port)).is_ok()
            && std::net::UdpSocket::bind(("::", *port)).is_ok()
    };
    let first = 20_000 + (std::process::id() % 10_000) as u16;
    let port = (first..first + 100).find(is_free).expect("one of a hundred ports is free");
    let (v4, v6) = (format!("0.0.0.0:{port}"), format!("[::]:{port}"));
    let args = ["node", "--stats-json", "--bind", &v4, "--bind", &v6, "--bootstrap", "127.0.0.1:9"];
    let mut node = Running::start(&args);
    node.line_with(&v4);
    node.line_with(&v6);
    let (_, code) = node.interrupt();
    assert_eq!(code, Some(0));
    let mut tracker = Running::start(&["tracker", "--json", "--bind", &v4, "--bind", &v6]);
    tracker.line_with(&v4);
    tracker.line_with(&v6);
    let (_, code) = tracker.interrupt();
    assert_eq!(code, Some(0));
}
