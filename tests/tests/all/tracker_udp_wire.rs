//! The codec of BEP 15: its tables byte by byte, and both directions against each other.

use proptest::prelude::*;
use tinybt_core::announce::Counts;
use tinybt_core::wire::udp_tracker::{
    DecodeError, Hashes, Request, Response, Scraped, UrlData, decode_request, decode_response,
    encode_request, encode_response,
};
use tinybt_core::{Announce, Family, Happening, InfoHash, PeerId};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    digits
        .chunks(2)
        .map(|c| u8::from_str_radix(&c.iter().collect::<String>(), 16).unwrap())
        .collect()
}

fn announce() -> Announce {
    Announce {
        info_hash: InfoHash(*b"hhhhhhhhhhhhhhhhhhhh"),
        peer_id: PeerId(*b"pppppppppppppppppppp"),
        downloaded: 1,
        left: 2,
        uploaded: 3,
        event: Happening::Started,
        ip: Some([1, 2, 3, 4].into()),
        key: 0x1122_3344,
        num_want: None,
        port: 6881,
    }
}

fn encoded(transaction: u32, request: &Request<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 1_500];
    let len = encode_request(&mut bytes, transaction, request).unwrap();
    bytes.truncate(len);
    bytes
}

fn answered(transaction: u32, response: &Response<'_>) -> Vec<u8> {
    let mut bytes = vec![0; 1_500];
    let len = encode_response(&mut bytes, transaction, response).unwrap();
    bytes.truncate(len);
    bytes
}

#[test]
fn the_tables_of_bep_15() {
    let connect = hex("0000041727101980 00000000 01020304");
    assert_eq!(encoded(0x0102_0304, &Request::Connect), connect);
    let url = UrlData::Plain(b"");
    let request = Request::Announce { connection: 0xa1, announce: announce(), url };
    let expected = hex(
        "00000000000000a1 00000001 00000009
         6868686868686868686868686868686868686868 7070707070707070707070707070707070707070
         0000000000000001 0000000000000002 0000000000000003 00000002 01020304 11223344 ffffffff 1ae1",
    );
    assert_eq!(encoded(9, &request), expected);
    assert_eq!(expected.len(), 98);
    let hashes = [InfoHash([0xaa; 20]), InfoHash([0xbb; 20])];
    let scrape = Request::Scrape { connection: 0xa1, hashes: Hashes::Values(&hashes) };
    let expected =
        hex(&format!("00000000000000a1 00000002 00000009 {} {}", "aa".repeat(20), "bb".repeat(20)));
    assert_eq!(encoded(9, &scrape), expected);

    let connected = Response::Connect { connection: 5 };
    assert_eq!(answered(9, &connected), hex("00000000 00000009 0000000000000005"));
    let peers = [1, 2, 3, 4, 0, 80];
    let told = Response::Announce { interval: 60, leechers: 1, seeders: 2, packed: [&peers, &[]] };
    let expected = hex("00000001 00000009 0000003c 00000001 00000002 01020304 0050");
    assert_eq!(answered(9, &told), expected);
    let counts = [Counts { seeders: 1, leechers: 3, completed: Some(2) }];
    let scraped = Response::Scrape(Scraped::Values(&counts));
    assert_eq!(answered(9, &scraped), hex("00000002 00000009 00000001 00000002 00000003"));
    assert_eq!(answered(9, &Response::Error { message: b"no" }), hex("00000003 00000009 6e6f"));
}

#[test]
fn longer_and_shorter_than_expected() {
    let mut connected = answered(9, &Response::Connect { connection: 5 });
    connected.extend([7; 40]);
    assert_eq!(decode_response(&connected), Ok((9, Response::Connect { connection: 5 })));
    for len in 0..16 {
        let expected =
            if len < 8 { DecodeError::Foreign } else { DecodeError::Short { transaction: 9 } };
        assert_eq!(decode_response(&connected[..len]), Err(expected));
    }
    let url = UrlData::Plain(b"");
    let request = encoded(9, &Request::Announce { connection: 1, announce: announce(), url });
    for len in 0..98 {
        assert_eq!(decode_request(&request[..len]), None);
    }
    // aria2's announce is 100 bytes, with two zeros at its end.
    let mut long = request.clone();
    long.extend([0, 0]);
    let Some((9, Request::Announce { announce: read, url, .. })) = decode_request(&long) else {
        panic!()
    };
    assert_eq!(read, announce());
    assert_eq!(url.runs().count(), 0);
    // A connect request must say so.
    assert_eq!(decode_request(&hex("0000041727101981 00000000 01020304")), None);
}

#[test]
fn peers_of_the_family_and_of_the_other_by_mistake() {
    let packed: Vec<u8> = (0..24).collect();
    let over = |family, len: usize| {
        let packed = [&packed[..len], &[]];
        let response = Response::Announce { interval: 0, leechers: 0, seeders: 0, packed };
        response.peers(family).map(|peer| peer.is_ipv6()).collect::<Vec<_>>()
    };
    assert_eq!(over(Family::V4, 12), [false, false]);
    assert_eq!(over(Family::V6, 18), [true]);
    // bittorrent-tracker lists IPv4 peers over IPv6.
    assert_eq!(over(Family::V6, 12), [false, false]);
    assert_eq!(over(Family::V4, 15), [false, false]);
    assert_eq!(over(Family::V6, 20), [true]);
}

#[test]
fn paused_has_no_number_and_more_than_all_is_all() {
    let mut announce = announce();
    announce.event = Happening::Paused;
    announce.num_want = Some(u32::MAX);
    let url = UrlData::Plain(b"");
    let bytes = encoded(9, &Request::Announce { connection: 1, announce, url });
    let Some((_, Request::Announce { announce: read, .. })) = decode_request(&bytes) else {
        panic!()
    };
    assert_eq!((read.event, read.num_want), (Happening::None, Some(i32::MAX as u32)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        tinybt_tests::fuzz_wire::udp_tracker(&bytes);
    }

    #[test]
    fn an_announce_comes_back_as_it_went(
        hash in any::<[u8; 20]>(), numbers in any::<[u64; 3]>(), key in any::<u32>(),
        want in proptest::option::of(0..=i32::MAX as u32), port in any::<u16>(),
        ip in proptest::option::of(1u32..), url in proptest::collection::vec(any::<u8>(), 0..700),
    ) {
        let [downloaded, left, uploaded] = numbers;
        let ip = ip.map(|ip| std::net::Ipv4Addr::from_bits(ip).into());
        let announce = Announce { info_hash: InfoHash(hash), downloaded, left, uploaded, key, ip,
            num_want: want, port, ..announce() };
        let request = Request::Announce { connection: 3, announce, url: UrlData::Plain(&url) };
        let bytes = encoded(8, &request);
        let Some((8, Request::Announce { connection: 3, announce: read, url: read_url })) = decode_request(&bytes)
            else { panic!() };
        prop_assert_eq!(read, announce);
        prop_assert_eq!(read_url.runs().collect::<Vec<_>>().concat(), url);
    }
}
