//! Trackers from a terminal.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::process::{HASH, Running, json, scratch, text, tinybt};

const OTHER: &str = "0123456789abcdef0123456789abcdef01234567";

/// A tracker of ours, and its address.
fn tracker() -> (Running, String) {
    let mut tracker = Running::start(&["tracker", "--bind", "127.0.0.1:0", "--json"]);
    let line = tracker.line_with("listening");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    (tracker, line["listening"].as_str().unwrap().to_owned())
}

#[test]
fn announce_find_scrape_and_go() {
    let (tracker, addr) = tracker();
    let (udp, http) = (format!("udp://{addr}/announce"), format!("http://{addr}/announce"));
    let bind = ["--bind", "127.0.0.1:0"];
    let announce = ["announce", HASH, "--no-dht", "--tracker", &udp, "--json", "--left", "0"];
    let mut first = Running::start(&[&announce[..], &bind, &["--port", "4001"]].concat());
    first.line_with("\"state\":\"working\"");
    let announce = ["announce", HASH, "--no-dht", "--tracker", &http, "--json"];
    let mut second = Running::start(&[&announce[..], &bind, &["--port", "4002"]].concat());
    second.line_with("\"state\":\"working\"");

    for url in [&udp, &http] {
        let args = ["peers", HASH, "--no-dht", "--tracker", url, "--plain"];
        let done = tinybt(&[&args[..], &bind].concat());
        assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
        let mut lines: Vec<_> = text(&done.stdout).lines().map(str::to_owned).collect();
        lines.sort();
        assert_eq!(lines, ["peer 127.0.0.1:4001", "peer 127.0.0.1:4002"]);

        let done =
            tinybt(&[&["scrape", HASH, OTHER, "--tracker", url, "--json"][..], &bind].concat());
        let lines = json(&done.stdout);
        let line = |hash| lines.iter().find(|line| line["info_hash"] == hash).unwrap();
        assert_eq!((&line(HASH)["seeders"], &line(HASH)["leechers"]), (&1.into(), &1.into()));
        assert_eq!(line(OTHER)["seeders"], 0);
    }
    for announcer in [first, second] {
        let (took, code) = announcer.interrupt();
        assert_eq!(code, Some(0));
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
    let done = tinybt(&[&["scrape", HASH, "--tracker", &udp, "--json"][..], &bind].concat());
    let lines = json(&done.stdout);
    assert_eq!((&lines[0]["seeders"], &lines[0]["leechers"]), (&0.into(), &0.into()));
    // Nobody there is no failure.
    let args = ["peers", HASH, "--no-dht", "--tracker", &udp];
    let done = tinybt(&[&args[..], &bind].concat());
    assert_eq!(done.status.code(), Some(1), "{}", text(&done.stderr));
    assert!(text(&done.stdout).contains("0 peers of"), "{}", text(&done.stdout));
    let (_, code) = tracker.interrupt();
    assert_eq!(code, Some(0));
}

#[test]
fn links_and_files_name_their_trackers() {
    let (_tracker, addr) = tracker();
    let link = format!(
        "magnet:?xt=urn:btih:{HASH}&dn=thing&tr=udp%3A%2F%2F{addr}&tr=http://{addr}/announce"
    );
    let bind = ["--bind", "127.0.0.1:0"];
    let announce = ["announce", &link, "--no-dht", "--once", "--port", "4003"];
    let done = tinybt(&[&announce[..], &bind].concat());
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert!(text(&done.stdout).contains("2 trackers know of"), "{}", text(&done.stdout));
    let done = tinybt(&[&["peers", &link, "--no-dht", "--json"][..], &bind].concat());
    let lines = json(&done.stdout);
    assert_eq!(lines[0]["peer"], "127.0.0.1:4003");
    let summary = lines.last().unwrap();
    assert_eq!((&summary["peers"], &summary["name"]), (&1.into(), &"thing".into()));
    assert_eq!(summary["sources"].as_object().unwrap().len(), 2);
    let done = tinybt(&[&["scrape", &link, "--json"][..], &bind].concat());
    assert_eq!(json(&done.stdout).len(), 2);

    // A private torrent asks its own trackers, and nobody may add one.
    let file = scratch("private.torrent");
    let url = format!("udp://{addr}");
    let metainfo = format!(
        "d8:announce{}:{url}4:infod4:name1:x12:piece lengthi1e6:pieces0:7:privatei1eee",
        url.len()
    );
    std::fs::write(&file, metainfo).unwrap();
    let file = file.to_str().unwrap();
    let done = tinybt(&[&["announce", file, "--once", "--port", "4004"][..], &bind].concat());
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let done = tinybt(&[&["peers", file, "--plain"][..], &bind].concat());
    assert_eq!(text(&done.stdout), "peer 127.0.0.1:4004\n");
    let done = tinybt(&["peers", file, "--tracker", "udp://127.0.0.1:1"]);
    assert_eq!(done.status.code(), Some(2));
    assert!(text(&done.stderr).contains("its own trackers alone"), "{}", text(&done.stderr));
}

#[test]
fn what_is_wrong_is_told_with_the_trackers_name_and_the_others_go_on() {
    let (_tracker, addr) = tracker();
    let page = TcpListener::bind("127.0.0.1:0").unwrap();
    let page_url = format!("http://{}/announce", page.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in page.incoming().flatten() {
            let _ = stream.read(&mut [0; 2_000]);
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\n<html>");
        }
    });
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let good = format!("udp://{addr}");
    let refused = format!("http://{closed}/announce");
    let urls = ["udp://no-such-host.invalid:1", &refused, &page_url, &good];
    let mut args =
        vec!["announce", HASH, "--no-dht", "--once", "--port", "4005", "--bind", "127.0.0.1:0"];
    urls.iter().for_each(|url| args.extend(["--tracker", url]));
    let done = tinybt(&args);
    let out = text(&done.stdout);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    for (url, reason) in [
        (urls[0], "cannot find the address"),
        (&refused, "refused"),
        (&page_url, "not a tracker"),
        (&good, "1 leecher"),
    ] {
        assert!(out.lines().any(|line| line.starts_with(url) && line.contains(reason)), "{out}");
    }
    // With nobody left, all of them are reasons.
    let done = tinybt(&["peers", HASH, "--no-dht", "--tracker", &refused, "--tracker", &page_url]);
    assert_eq!(done.status.code(), Some(3), "{}", text(&done.stdout));
    let error = text(&done.stderr);
    assert!(error.contains(&refused) && error.contains("not a tracker"), "{error}");
    for (args, expected) in [
        (&["peers", HASH, "--tracker", "wss://a"][..], "expected udp://, http:// or https://"),
        (&["peers", HASH, "--tracker", "udp://a"], "a port from 1 to 65535"),
        (&["peers", HASH, "--no-dht"], "--tracker"),
        (&["peers", HASH, "--no-trackers", "--tracker", "udp://a:1"], "cannot be used with"),
        (&["scrape", HASH], "--tracker"),
        (&["scrape"], "Usage"),
        (&["peers", HASH, "--proxy", "x y", "--tracker", "http://a/"], "proxy"),
        (&["peers", HASH, "--ca", "no.pem", "--tracker", "http://a/"], "cannot read no.pem"),
        (&["tracker", "--bind", "127.0.0.1:0", "--bind", "127.0.0.2:0"], "at most one"),
    ] {
        let done = tinybt(args);
        assert_eq!(done.status.code(), Some(2), "{args:?}: {}", text(&done.stderr));
        assert!(text(&done.stderr).contains(expected), "{args:?}: {}", text(&done.stderr));
    }
    let taken = ["tracker", "--bind", &addr];
    let done = tinybt(&taken);
    assert_eq!(done.status.code(), Some(3));
    assert!(text(&done.stderr).contains(&format!("cannot open sockets at {addr}")));
}

#[test]
fn a_dead_tracker_and_a_timeout() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("udp://{}", silent.local_addr().unwrap());
    let begun = Instant::now();
    let args =
        ["peers", HASH, "--no-dht", "--tracker", &url, "--timeout", "1", "--bind", "127.0.0.1:0"];
    let done = tinybt(&args);
    assert_eq!(done.status.code(), Some(3), "{}", text(&done.stderr));
    assert!(begun.elapsed() < Duration::from_secs(6));
}

#[test]
fn over_tls_with_a_certificate_of_ones_own() {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let pem = scratch("tracker.pem");
    std::fs::write(&pem, signed.cert.pem()).unwrap();
    let key =
        rustls::pki_types::PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}/announce", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut connection = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = rustls::Stream::new(&mut connection, &mut stream);
            if stream.read(&mut [0; 2_000]).is_ok() {
                let body = b"d8:intervali60e5:peers6:\x0a\x00\x00\x01\x00\x50e";
                let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                let _ = stream.write_all(body);
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    let args = ["peers", HASH, "--no-dht", "--tracker", &url, "--plain", "--bind", "127.0.0.1:0"];
    let trusted = tinybt(&[&args[..], &["--ca", pem.to_str().unwrap()]].concat());
    assert_eq!(text(&trusted.stdout), "peer 10.0.0.1:80\n", "{}", text(&trusted.stderr));
    let strange = tinybt(&args);
    assert_eq!(strange.status.code(), Some(3));
    let error = text(&strange.stderr);
    assert!(error.contains(&url) && error.contains("not to be trusted"), "{error}");
}

#[test]
fn the_rough_demo_finds_what_is_there() {
    let done = tinybt(&["demo", "--rough", "--plain", "--nodes", "60"]);
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    let ours = |line: &&str| line.starts_with("peer 127.0.0.1:5");
    assert_eq!(text(&done.stdout).lines().filter(ours).count(), 18, "{}", text(&done.stdout));
}
