//! HTTP trackers without HTTP: URLs, answers as others send them, and bodies made to harm.

use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;
use tinybt_core::announce::Counts;
use tinybt_core::limits::{BODY_MAX, HTTP_PEERS_MAX};
use tinybt_core::tracker::http::{
    Announced, AnswerError, HttpRequest, Refusal, RequestError, Retry, announce_url,
    read_announced, read_scraped, scrape_url, write_announced, write_refusal, write_scraped,
};
use tinybt_core::tracker::{Scheme, TrackerUrl, UrlError};
use tinybt_core::{Announce, Happening, InfoHash, PeerId};

fn url(text: &str) -> TrackerUrl<'_> {
    TrackerUrl::parse(text).unwrap()
}

fn announce() -> Announce {
    let hash = *b"\x12\x34\x56\x78\x9a\xbc\xde\xf1\x23\x45\x67\x89\xab\xcd\xef\x12\x34\x56\x78\x9a";
    let mut announce =
        Announce::new(InfoHash(hash), PeerId(*b"-tB0100-abc ef/hi~kl"), 0xbeef, 6881);
    (announce.downloaded, announce.left, announce.uploaded) = (1, 2, 3);
    announce
}

#[test]
fn urls_of_trackers() {
    for (text, scheme, host, port, target) in [
        ("udp://a.example:6969", Scheme::Udp, "a.example", 6969, ""),
        ("UDP://a.example:6969/x?y#z", Scheme::Udp, "a.example", 6969, "/x?y"),
        ("http://a/announce", Scheme::Http, "a", 80, "/announce"),
        ("https://a?k=v", Scheme::Https, "a", 443, "?k=v"),
        (" http://user:word@[::1]:8080/a/b ", Scheme::Http, "::1", 8080, "/a/b"),
        ("udp://[2001:db8::1]:1/announce", Scheme::Udp, "2001:db8::1", 1, "/announce"),
    ] {
        let url = url(text);
        assert_eq!((url.scheme, url.host, url.port, url.target), (scheme, host, port, target));
    }
    for (text, error) in [
        ("", UrlError::Scheme),
        ("a.example:6969", UrlError::Scheme),
        ("wss://a.example", UrlError::Scheme),
        ("udp://a.example", UrlError::Port),
        ("udp://a.example:0", UrlError::Port),
        ("udp://a.example:70000/x", UrlError::Port),
        ("udp://[::1]6969", UrlError::Port),
        ("udp://:6969", UrlError::Host),
        ("http:///announce", UrlError::Host),
        ("http://[::z]/", UrlError::Host),
        ("http://a/x y", UrlError::Character),
        ("http://a/\u{e9}", UrlError::Character),
    ] {
        assert_eq!(TrackerUrl::parse(text), Err(error), "{text}");
    }
}

#[test]
fn the_url_of_an_announce() {
    let mut announce = announce();
    let common = "info_hash=%124Vx%9A%BC%DE%F1%23Eg%89%AB%CD%EF%124Vx%9A&peer_id=-tB0100-abc%20ef%2Fhi~kl\
        &port=6881&uploaded=3&downloaded=1&left=2&compact=1&no_peer_id=1&supportcrypto=1&key=0000BEEF";
    let of = |text, announce| announce_url(&url(text), announce, None);
    assert_eq!(of("http://a/announce", &announce), format!("http://a/announce?{common}"));
    // A query that is there is kept, and there is one question mark.
    assert_eq!(of("http://a/x?k=v&", &announce), format!("http://a/x?k=v&{common}"));
    assert_eq!(of("http://a/x?k=v", &announce), format!("http://a/x?k=v&{common}"));
    assert_eq!(of("http://u:p@a:1?", &announce), format!("http://u:p@a:1?{common}"));
    announce.event = Happening::Started;
    announce.num_want = Some(7);
    announce.ip = Some([1, 2, 3, 4].into());
    let all = announce_url(&url("https://a/"), &announce, Some(b"id&1"));
    assert_eq!(
        all,
        format!("https://a/?{common}&event=started&numwant=7&ip=1.2.3.4&trackerid=id%261")
    );
}

#[test]
fn a_scrape_only_where_the_url_allows_it() {
    let hashes = [InfoHash([b'a'; 20]), InfoHash([0xff; 20])];
    let asked = format!("info_hash={}&info_hash={}", "a".repeat(20), "%FF".repeat(20));
    for (text, expected) in [
        ("http://a/announce", Some("http://a/scrape?")),
        ("http://a/x/announce", Some("http://a/x/scrape?")),
        ("http://a/x/announce.php", Some("http://a/x/scrape.php?")),
        ("http://a/announce?x2%0644", Some("http://a/scrape?x2%0644&")),
        ("http://a/announce?x=2/4", Some("http://a/scrape?x=2/4&")),
        ("http://a/announce/key", Some("http://a/scrape/key?")),
        ("http://a/a", None),
        ("http://a/x%064announce", None),
        ("http://announce/", None),
        ("http://a/?announce", None),
    ] {
        let expected = expected.map(|head| format!("{head}{asked}"));
        assert_eq!(scrape_url(&url(text), &hashes), expected, "{text}");
    }
}

#[test]
fn what_is_asked_is_what_is_read() {
    let mut announce = announce();
    announce.event = Happening::Completed;
    announce.num_want = Some(0);
    announce.ip = Some("2001:db8::1".parse().unwrap());
    let text = announce_url(&url("http://a/announce"), &announce, None);
    let target = url(&text).target;
    assert_eq!(HttpRequest::parse(target), Ok(HttpRequest::Announce(announce)));
    // Lower-case escapes, as libtorrent writes them; −1 for what is not known.
    let lower = target.replace("%9A", "%9a").replace("left=2", "left=-1");
    let Ok(HttpRequest::Announce(read)) = HttpRequest::parse(&lower) else { panic!() };
    assert_eq!((read.info_hash, read.left), (announce.info_hash, u64::MAX));
    for (target, error) in [
        ("/", RequestError::Path),
        ("/announced?info_hash=x", RequestError::Path),
        ("/announce", RequestError::Key("info_hash")),
        ("/announce?port=1", RequestError::Key("info_hash")),
        (&target.replace("port=6881", "port=0"), RequestError::Key("port")),
        (&target.replace("left=2", "left=x"), RequestError::Key("left")),
        (&target.replace("-tB", "-"), RequestError::Key("peer_id")),
        ("/scrape?info_hash=short", RequestError::Key("info_hash")),
    ] {
        assert_eq!(HttpRequest::parse(target), Err(error), "{target}");
    }
    assert_eq!(HttpRequest::parse("/x/scrape"), Ok(HttpRequest::Scrape(vec![])));
}

#[test]
fn every_field_of_an_answer() {
    let body = b"d8:completei5e10:downloadedi9e11:external ip4:\x01\x02\x03\x0410:incompletei6e\
        8:intervali1800e12:min intervali900e5:peers12:\x0a\x00\x00\x01\x1a\xe1\x0a\x00\x00\x02\x00\x00\
        6:peers618:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x5010:tracker id2:id\
        15:warning message4:careebytes behind";
    let announced = read_announced(body).unwrap();
    let peers: Vec<SocketAddr> =
        vec!["10.0.0.1:6881".parse().unwrap(), "[2001:db8::1]:80".parse().unwrap()];
    assert_eq!(
        announced,
        Announced {
            interval: Some(Duration::from_secs(1_800)),
            min_interval: Some(Duration::from_secs(900)),
            counts: Some(Counts { seeders: 5, leechers: 6, completed: Some(9) }),
            peers,
            tracker_id: Some(b"id".to_vec()),
            external_ip: Some([1, 2, 3, 4].into()),
            warning: Some("care".to_owned()),
        }
    );
}

#[test]
fn peers_as_dictionaries() {
    let body = b"d8:intervali60e5:peersld2:ip8:10.0.0.17:peer id20:aaaaaaaaaaaaaaaaaaaa4:porti80eed2:ip3:::14:porti81ee\
        d2:ip4:name4:porti1eed2:ip8:10.0.0.24:porti0eed4:porti5eei7eee";
    let peers: Vec<String> =
        read_announced(body).unwrap().peers.iter().map(ToString::to_string).collect();
    assert_eq!(peers, ["10.0.0.1:80", "[::1]:81"]);
}

#[test]
fn refusals_in_the_trackers_words() {
    let refused = |body: &[u8]| match read_announced(body) {
        Err(AnswerError::Refused(refusal)) => (refusal.reason, refusal.retry),
        other => panic!("{other:?}"),
    };
    let minutes = |count: u64| Some(Retry::After(Duration::from_secs(60 * count)));
    for (body, reason, retry) in [
        (&b"d14:failure reason8:unknown!e"[..], "unknown!", None),
        (b"d14:failure reason1:a8:retry ini5ee", "a", minutes(5)),
        (b"d14:failure reason1:a8:retry in1:5e", "a", minutes(5)),
        (b"d14:failure reason1:a8:retry in5:nevere", "a", Some(Retry::Never)),
        (b"d14:failure reason1:a8:retry in3:abce", "a", None),
        (b"d14:failure reason2:\xff\xfe8:intervali1e5:peers0:e", "\u{fffd}\u{fffd}", None),
    ] {
        assert_eq!(refused(body), (reason.to_owned(), retry));
    }
    let never = Refusal { reason: "no".to_owned(), retry: Some(Retry::Never) };
    let text = AnswerError::Refused(never).to_string();
    assert_eq!(text, "refused: no (never to be asked again)");
}

#[test]
fn bodies_made_to_harm() {
    let not_bencoded = |body: &[u8]| {
        assert!(matches!(read_announced(body), Err(AnswerError::NotBencoded(_))));
        assert!(matches!(read_scraped(body), Err(AnswerError::NotBencoded(_))));
    };
    not_bencoded(b"");
    not_bencoded(b"<!DOCTYPE html><html>");
    not_bencoded(b"i5e");
    not_bencoded(b"le");
    // Deep enough to overflow the stack of a reader that recurses.
    not_bencoded(&[&b"d1:a"[..], &[b'l'; 60_000], &[b'e'; 60_001]].concat());
    not_bencoded(&[b'd'; 60_000]);
    not_bencoded(b"d5:peers99999999999999999999:");
    not_bencoded(b"d8:intervali-0ee");
    not_bencoded(&vec![b'x'; BODY_MAX]);
    let huge = vec![b'x'; BODY_MAX + 1];
    assert_eq!(read_announced(&huge), Err(AnswerError::TooLong(BODY_MAX + 1)));
    for (body, key) in [
        (&b"d5:peers7:abcdefge"[..], "peers"),
        (b"d6:peers617:aaaaaaaaaaaaaaaaae", "peers6"),
        (b"d5:peersi1ee", "peers"),
        (b"d5:peersdee", "peers"),
        (b"d6:peers6lee", "peers6"),
        (b"de", "interval"),
        (b"d8:intervall1:aee", "interval"),
    ] {
        assert_eq!(read_announced(body), Err(AnswerError::Key(key)), "{}", body.escape_ascii());
    }
    // Numbers in the place of bytes, which the library would take for them, are no bytes.
    let list =
        b"d11:external ipli1ei2ei3ei4ee8:intervali1e10:tracker idli1ee15:warning messageli65eee";
    let announced = read_announced(list).unwrap();
    assert_eq!(
        (announced.external_ip, announced.tracker_id, announced.warning),
        (None, None, None)
    );
    let counts = read_announced(b"d8:completei-1e8:intervali-5e5:peers0:e").unwrap();
    assert_eq!((counts.counts, counts.interval), (None, None));
    let many = [&b"d8:intervali1e5:peers60000:"[..], &[1; 60_000], b"e"].concat();
    assert_eq!(read_announced(&many).unwrap().peers.len(), HTTP_PEERS_MAX);
}

#[test]
fn the_library_itself_takes_a_list_for_bytes() {
    // Why every value is matched by its type.
    let bytes: Result<bt_bencode::ByteString, _> = bt_bencode::from_slice(b"li65ei66ee");
    assert_eq!(bytes.unwrap().as_slice(), b"li65ei66ee");
}

#[test]
fn scrapes() {
    // The example of BEP 48.
    let body =
        b"d5:filesd20:xxxxxxxxxxxxxxxxxxxxd8:completei11e10:downloadedi13772e10:incompletei19ee\
        20:yyyyyyyyyyyyyyyyyyyyd8:completei21e10:downloadedi206e10:incompletei20eeee";
    let x = Counts { seeders: 11, leechers: 19, completed: Some(13_772) };
    let y = Counts { seeders: 21, leechers: 20, completed: Some(206) };
    let expected = vec![(InfoHash([b'x'; 20]), x), (InfoHash([b'y'; 20]), y)];
    assert_eq!(read_scraped(body).unwrap(), expected);
    assert_eq!(write_scraped(expected), body);
    assert_eq!(read_scraped(b"de"), Err(AnswerError::Key("files")));
    assert_eq!(read_scraped(b"d5:filesd3:abcdeee").unwrap(), []);
    let refusal = Refusal { reason: "no".to_owned(), retry: None };
    assert_eq!(read_scraped(&write_refusal(&refusal)), Err(AnswerError::Refused(refusal)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_body_is_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        tinybt_tests::fuzz_trackers::http_answer(&bytes);
        let framed = [&b"d8:intervali1e5:peers"[..], &bytes, b"e"].concat();
        tinybt_tests::fuzz_trackers::http_answer(&framed);
    }

    #[test]
    fn what_is_written_is_what_is_read(
        interval in proptest::option::of(any::<u32>()), v4 in proptest::collection::vec(any::<([u8; 4], u16)>(), 0..30),
        v6 in proptest::collection::vec(any::<([u8; 16], u16)>(), 0..30), warning in proptest::option::of(".{0,9}"),
    ) {
        let v4 = v4.into_iter().map(SocketAddr::from);
        let peers = v4.chain(v6.into_iter().map(SocketAddr::from)).filter(|peer| peer.port() != 0);
        let announced = Announced {
            interval: interval.map(|seconds| Duration::from_secs(seconds.into())),
            peers: peers.collect(),
            warning,
            ..Announced::default()
        };
        prop_assert_eq!(read_announced(&write_announced(&announced)).unwrap(), announced);
    }
}
