//! Items, torrents that change, swarms and the size of the network, from a terminal.

use std::time::Duration;

use crate::process::{HASH, Running, json, scratch, text, tinybt};

/// A private network, and how to enter it.
fn network() -> (Running, String) {
    let mut net = Running::start(&["testnet", "--nodes", "30"]);
    let line = net.line_with("--bootstrap");
    let entry = line.trim().trim_start_matches("--bootstrap ").to_owned();
    (net, entry)
}

/// Runs a command within the network and expects an exit code.
fn run(entry: &str, args: &[&str], code: i32) -> Vec<u8> {
    let join = ["--bind", "127.0.0.1:0", "--private", "--bootstrap", entry];
    let done = tinybt(&[args, &join].concat());
    let told = format!("{args:?}: {}{}", text(&done.stdout), text(&done.stderr));
    assert_eq!(done.status.code(), Some(code), "{told}");
    done.stdout
}

#[test]
fn an_item_is_stored_found_replaced_and_followed() {
    let (net, entry) = network();
    let target = "e5f96f6f38320f0f33959cb4d3d656452117aadb";

    // By its hash: the vector of BEP 44.
    run(&entry, &["get", target], 1);
    let put = &json(&run(&entry, &["put", "Hello World!", "--json"], 0))[0];
    assert_eq!((&put["target"], &put["seq"]), (&target.into(), &serde_json::Value::Null));
    assert!(put["stored"].as_u64() >= Some(7), "{put}");
    let lines = json(&run(&entry, &["get", target, "--json"], 0));
    assert_eq!(
        (&lines[0]["value"], &lines[0]["bencoded"]),
        (&"Hello World!".into(), &{ serde_json::Value::from("31323a48656c6c6f20576f726c6421") })
    );
    assert!(lines.last().unwrap()["summary"]["newest"].as_u64() >= Some(7), "{lines:?}");
    assert_eq!(text(&run(&entry, &["get", target, "--raw"], 0)), "Hello World!");

    // By a key, which is made.
    let key = scratch("items.key");
    let file = key.to_str().unwrap();
    let put = &json(&run(&entry, &["put", "one", "--key", file, "--salt", "s", "--json"], 0))[0];
    assert_eq!(put["seq"], 1);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "nobody else reads it");
    }
    let public = put["key"].as_str().unwrap().to_owned();
    let again = &json(&run(&entry, &["put", "one", "--key", file, "--salt", "s", "--json"], 0))[0];
    assert_eq!(again["seq"], 1, "the same is put again, not anew");
    let two = &json(&run(&entry, &["put", "two", "--key", file, "--salt", "s", "--json"], 0))[0];
    assert_eq!((&two["seq"], &two["target"]), (&2.into(), &put["target"]));
    let found = json(&run(&entry, &["get", &public, "--salt", "s", "--json"], 0));
    assert_eq!((&found[0]["value"], &found[0]["seq"]), (&"two".into(), &2.into()));
    let old = ["put", "old", "--key", file, "--salt", "s", "--seq", "1"];
    assert!(run(&entry, &old, 2).ends_with(b"stored by 0 nodes\n"), "there is a newer one");
    run(&entry, &["get", &public], 1);

    // A torrent that changes.
    let link = format!("magnet:?xs=urn:btpk:{public}");
    run(&entry, &["follow", &link, "--once", "--timeout", "2"], 1);
    let shown = text(&run(&entry, &["put", "--torrent", HASH, "--key", file], 0));
    assert!(shown.contains(&link), "{shown}");
    let change = &json(&run(&entry, &["follow", &link, "--once", "--json"], 0))[0];
    assert_eq!((&change["info_hash"], &change["seq"]), (&HASH.into(), &1.into()));

    // Who keeps an item is told what who puts it is told.
    let old = ["put", "old", "--key", file, "--salt", "s", "--seq", "1", "--keep"];
    run(&entry, &old, 2);
    let brief = ["put", "new", "--key", file, "--salt", "s", "--timeout", "0.000001"];
    assert!(run(&entry, &brief, 3).is_empty(), "nobody knows which number is next");

    // Kept until somebody ends it.
    let join = ["--bind", "127.0.0.1:0", "--private", "--bootstrap", &entry];
    let keep = [&["put", "kept", "--keep"][..], &join].concat();
    let mut keeping = Running::start(&keep);
    keeping.line_with("stored by");
    let (took, code) = keeping.interrupt();
    assert!(took < Duration::from_secs(3) && code == Some(0), "{took:?} {code:?}");
    net.interrupt();
}

#[test]
fn a_swarm_is_counted_and_the_network_measured() {
    let (net, entry) = network();
    run(&entry, &["scrape", "--dht", HASH], 1);
    run(&entry, &["announce", HASH, "--port", "4242", "--once"], 0);
    run(&entry, &["announce", HASH, "--port", "4243", "--once", "--left", "0"], 0);
    let swarm = &json(&run(&entry, &["scrape", "--dht", HASH, "--json"], 0))[0];
    // One address, which both a seed and a downloader have: the later counts.
    assert!(swarm["filters"].as_u64() >= Some(7), "{swarm}");
    assert_eq!(swarm["family"], "ipv4");
    let size = &json(&run(&entry, &["size", "--lookups", "4", "--json"], 0))[0];
    let of = |name: &str| size[name].as_u64().unwrap();
    assert!(of("low") <= of("nodes") && of("nodes") <= of("high"), "{size}");
    assert!((10..=100).contains(&of("nodes")), "{size}");
    net.interrupt();
}

#[test]
fn what_makes_no_sense_is_told_back() {
    let rubbish = scratch("rubbish.key");
    std::fs::write(&rubbish, "0123").unwrap();
    let long = "x".repeat(1_000);
    let unmade = scratch("unmade.key");
    for (args, expected) in [
        (&["get", "123"][..], "40 hexadecimal digits"),
        (&["get", HASH, "--raw", "--json"], "cannot be used with"),
        (&["put"], "Usage"),
        (&["put", "a", "--file", "b"], "cannot be used with"),
        (&["put", "a", "--salt", "b"], "--key"),
        (&["put", "--torrent", HASH], "--key"),
        (&["put", "--file", "gone"], "cannot read gone"),
        (&["put", "a", "--key", rubbish.to_str().unwrap()], "64 hexadecimal digits"),
        (&["put", "a", "--key", "/gone/key"], "cannot write the key"),
        (&["put", &long, "--key", unmade.to_str().unwrap()], "longer than 1000 bytes"),
        (&["put", "a", "--key", unmade.to_str().unwrap(), "--seq", "-5"], "--seq: no version"),
        (&["put", "a", "--key", unmade.to_str().unwrap(), "--cas", "-5"], "--cas: no version"),
        (&["put", "a", "--key", unmade.to_str().unwrap(), "--salt", &long[..65]], "salt"),
        (&["get", HASH, "--newer-than", "-1"], "--newer-than: no version"),
        (&["put", &long, "--bind", "127.0.0.1:0"], "longer than 1000 bytes"),
        (&["put", "x", "--bencoded", "--bind", "127.0.0.1:0"], "not bencoded"),
        (&["follow", "magnet:?xt=urn:btih:x"], "xs=urn:btpk:"),
        (&["size", "--lookups", "0"], "1..=64"),
        (&["scrape", "--dht", HASH, "--tracker", "udp://a:1"], "cannot be used with"),
    ] {
        let done = tinybt(args);
        assert_eq!(done.status.code(), Some(2), "{args:?}: {}", text(&done.stderr));
        assert!(text(&done.stderr).contains(expected), "{args:?}: {}", text(&done.stderr));
        assert!(done.stdout.is_empty(), "{args:?}");
        assert!(!unmade.exists(), "{args:?}");
    }
}
