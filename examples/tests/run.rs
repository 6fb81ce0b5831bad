//! The examples as a person runs them: as processes, without arguments, judged by what they print
//! and how they exit.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// Long after everything in them has given up: this ends what hangs, and decides nothing else.
const FOR_EVER: Duration = Duration::from_secs(120);

/// Cargo builds examples beside the tests of their package, but tells nobody where.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this test's own path");
    let profile = test.parent().and_then(|deps| deps.parent()).expect("target/<profile>/deps");
    let path = profile.join("examples").join(name).with_extension(std::env::consts::EXE_EXTENSION);
    assert!(
        path.exists(),
        "run `cargo build -p tinybt-examples --examples`: no {}",
        path.display()
    );
    path
}

/// Ends the process if it does not end by itself.
fn watched(child: Child) -> Output {
    let id = child.id().to_string();
    let (done, watch) = channel::<()>();
    let watchdog = thread::spawn(move || {
        if watch.recv_timeout(FOR_EVER) == Err(RecvTimeoutError::Timeout) {
            let _ = Command::new("kill").args(["-KILL", &id]).status();
        }
    });
    let output = child.wait_with_output().expect("its output");
    drop(done);
    watchdog.join().expect("the watchdog");
    output
}

fn run(name: &str, args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(program(name));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = watched(command.spawn().expect("it starts"));
    let text = [&output.stdout[..], &output.stderr].concat();
    (output.status.code(), String::from_utf8(text).expect("text"))
}

/// Each source knows one peer of its own, so that one sees who was asked; and the other protocol got
/// its datagrams.
fn finds_all_on_one_socket(name: &str) {
    let (code, text) = run(name, &[]);
    assert_eq!(code, Some(0), "{text}");
    for (peer, source) in [
        ("127.0.0.1:6001", "named by the DHT"),
        ("127.0.0.1:7001", "named by the tracker 127.0.0.1:"),
        ("127.0.0.1:7002", "named by the tracker 127.0.0.1:"),
    ] {
        assert!(text.contains(&format!("peer {peer}, {source}")), "{peer}: {text}");
    }
    assert!(text.contains("3 pongs"), "{text}");
    let (code, text) = run(name, &["nonsense"]);
    assert!(code == Some(1) && text.contains("expected <info-hash>"), "{text}");
}

#[test]
fn one_socket_in_a_poll_loop() {
    finds_all_on_one_socket("poll_loop");
}

#[test]
fn one_socket_with_mio() {
    finds_all_on_one_socket("mio_loop");
}

#[test]
fn one_socket_in_a_tokio_task() {
    finds_all_on_one_socket("tokio_task");
}

#[test]
fn three_torrents_on_smol() {
    let (code, text) = run("three_torrents", &[]);
    assert_eq!(code, Some(0), "{text}");
    for (peer, source) in [
        ("one: 127.0.0.1:6003", "the DHT"),
        ("two: 127.0.0.1:6002", "the DHT"),
        ("three: 127.0.0.1:6001", "the DHT"),
        ("three: 127.0.0.1:7001", "udp://127.0.0.1:"),
        ("three: 127.0.0.1:7002", "udp://127.0.0.1:"),
    ] {
        assert!(text.contains(&format!("{peer}, named by {source}")), "{peer}: {text}");
    }
    assert!(text.contains("three: 3 peers"), "{text}");
    let (code, text) = run("three_torrents", &["nonsense"]);
    assert!(code == Some(1) && text.contains("Error"), "{text}");
}

#[test]
fn nodes_in_virtual_time_do_the_same_twice() {
    let (code, text) = run("virtual_time", &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("peer: 127.0.0.1:6881"), "{text}");
    assert!(text.ends_with("twice the same, to the byte\n"), "{text}");
    assert_eq!(run("virtual_time", &[]), (code, text), "and in another process");
}

#[test]
fn the_crawler_counts_everybody() {
    let (code, text) = run("crawler", &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("200 of 200 nodes counted"), "{text}");
    // A port that is bound and that nobody reads.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let addr = silent.local_addr().expect("its address").to_string();
    let (code, text) = run("crawler", &[&addr]);
    assert!(code == Some(1) && text.contains("nobody answered"), "{text}");
}
