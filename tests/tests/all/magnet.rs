//! Magnet links: every way to name a torrent, and what is none.

use proptest::prelude::*;
use tinybt_core::magnet::{Magnet, MagnetError};
use tinybt_core::torrent::Torrent;
use tinybt_core::{InfoHash, ParseError};

const V1: &str = "c12fe1c06bba254a9dc9f519b335aa7c1367a88a";
const BASE32: &str = "YEX6DQDLXISUVHOJ6UM3GNNKPQJWPKEK";
const V2: &str = "caf1e1c30e81cb361b9ee167c4aa64228a7fa4fa9f6105232b28ad099f3a302e";

#[test]
fn every_way_to_name_a_torrent() {
    let v1: InfoHash = V1.parse().unwrap();
    let v2: InfoHash = V2.parse().unwrap();
    for (link, expected) in [
        (format!("magnet:?xt=urn:btih:{V1}"), (Some(v1), None)),
        (format!("magnet:?xt=urn:btih:{BASE32}"), (Some(v1), None)),
        (format!("MAGNET:?dn=x&xt=URN:BTIH:{}", V1.to_uppercase()), (Some(v1), None)),
        (format!("magnet:?xt=urn%3Abtih%3A{V1}"), (Some(v1), None)),
        (format!("magnet:?xt=urn:btmh:1220{V2}"), (None, Some(v2))),
        (format!("magnet:?xt=urn:btih:{V1}&xt=urn:btmh:1220{V2}"), (Some(v1), Some(v2))),
        (format!("magnet:?xt.1=urn:btih:{V1}&xt.2=urn:sha1:xyz"), (Some(v1), None)),
        (format!(" magnet:?xt=urn:btih:{V1}\n"), (Some(v1), None)),
    ] {
        let magnet = Magnet::parse(&link).unwrap();
        assert_eq!((magnet.v1, magnet.v2), expected, "{link}");
        let hashes: Vec<InfoHash> = [expected.0, expected.1].into_iter().flatten().collect();
        assert_eq!(link.parse::<Torrent>().unwrap().info_hashes, hashes);
        assert_eq!(magnet.info_hash(), hashes[0]);
    }
}

#[test]
fn what_is_no_link_says_why() {
    let wrong = |link: &str| Magnet::parse(link).unwrap_err();
    assert_eq!(wrong(""), MagnetError::Scheme);
    assert_eq!(wrong("magnet:"), MagnetError::Scheme);
    assert_eq!(wrong("magnet!?xt=1"), MagnetError::Scheme);
    assert_eq!(wrong("http://a/?xt=urn:btih:1"), MagnetError::Scheme);
    assert_eq!(wrong("magnet:?dn=x"), MagnetError::NoTorrent);
    assert_eq!(wrong("magnet:?xt=urn:sha1:abc"), MagnetError::NoTorrent);
    let length = |link: &str| matches!(wrong(link), MagnetError::InfoHash(ParseError::Length(_)));
    assert!(length("magnet:?xt=urn:btih:12"));
    assert!(length(&format!("magnet:?xt=urn:btih:{V2}")));
    assert!(length(&format!("magnet:?xt=urn:btmh:1220{V1}")));
    assert!(length(&format!("magnet:?xt=urn:btih:{}", "a".repeat(1_000))));
    let digit = wrong(&format!("magnet:?xt=urn:btih:{}g", &V1[1..]));
    assert_eq!(digit, MagnetError::InfoHash(ParseError::Digit('g')));
}

#[test]
fn names_trackers_and_peers_unescaped_and_in_order() {
    let link = format!(
        "magnet:?xt=urn:btih:{V1}&dn=a+b%20%C3%A9%ff%E2%82&tr=udp%3A%2F%2Fa%3A1&tr.2=http://b/x%3Fy\
         &trx=no&tr=&x.pe=10.0.0.1%3A80&x.pe=[::1]:81&x.pe=name:1&x.pe=1.2.3.4:0&ws=http://w"
    );
    let magnet = Magnet::parse(&link).unwrap();
    assert_eq!(magnet.name().unwrap().to_string(), "a b é\u{fffd}\u{fffd}");
    let trackers: Vec<String> = magnet.trackers().map(|url| url.to_string()).collect();
    assert_eq!(trackers, ["udp://a:1", "http://b/x?y", ""]);
    let peers: Vec<String> = magnet.peers().map(|peer| peer.to_string()).collect();
    assert_eq!(peers, ["10.0.0.1:80", "[::1]:81"]);
}

proptest! {
    #[test]
    fn any_text_is_read_without_harm(text in "(magnet:\\?)?[ -~é€]{0,200}") {
        tinybt_tests::fuzz_trackers::magnet(text.as_bytes());
    }
}
