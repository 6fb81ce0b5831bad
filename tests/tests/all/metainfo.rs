//! `.torrent` files: hashed as they stand, and read with mistrust.

use sha1_smol::Sha1;
use sha2::{Digest, Sha256};
use tinybt_core::torrent::{MetainfoError, Torrent};

const V1: &[u8] = b"d4:name1:x12:piece lengthi1e6:pieces0:e";
const V2: &[u8] = b"d9:file treede12:meta versioni2e4:name1:y7:privatei1ee";
const HYBRID: &[u8] = b"d9:file treede12:meta versioni2e4:name1:z6:pieces0:e";

fn file(before: &[u8], info: &[u8], after: &[u8]) -> Vec<u8> {
    [b"d", before, b"4:info", info, after, b"e"].concat()
}

fn sha1(info: &[u8]) -> [u8; 20] {
    Sha1::from(info).digest().bytes()
}

fn sha256(info: &[u8]) -> [u8; 20] {
    *Sha256::digest(info).first_chunk().unwrap()
}

#[test]
fn every_version_has_its_hash() {
    for (info, hashes) in
        [(V1, vec![sha1(V1)]), (V2, vec![sha256(V2)]), (HYBRID, vec![sha1(HYBRID), sha256(HYBRID)])]
    {
        let torrent = Torrent::from_metainfo(&file(b"", info, b"")).unwrap();
        let found: Vec<_> = torrent.info_hashes.iter().map(|hash| hash.0).collect();
        assert_eq!(found, hashes);
    }
    // Keys out of order, a key twice: hashed as it stands and not written anew.
    let odd = b"d6:pieces0:4:name1:b4:name1:ae";
    let torrent = Torrent::from_metainfo(&file(b"", odd, b"")).unwrap();
    assert_eq!(torrent.info_hash().0, sha1(odd));
}

#[test]
fn trackers_nodes_and_the_private_flag() {
    let before = b"8:announce7:udp://a13:announce-listll3:u:13:u:2e3:u:3li7e0:el3:u:4ee";
    let after = b"5:nodesll9:127.0.0.1i6881eel2:::i1ee3:badl1:xi70000eee";
    let torrent = Torrent::from_metainfo(&file(before, V1, after)).unwrap();
    assert_eq!(torrent.tiers, [vec!["u:1", "u:2"], vec!["u:3"], vec!["u:4"]]);
    assert_eq!(torrent.trackers().count(), 4);
    assert_eq!(torrent.nodes, ["127.0.0.1:6881", "[::]:1"]);
    assert_eq!((torrent.name.as_deref(), torrent.private), (Some("x"), false));
    let torrent = Torrent::from_metainfo(&file(b"8:announce7:udp://a", V2, b"")).unwrap();
    assert_eq!((torrent.tiers, torrent.private), (vec![vec!["udp://a".to_owned()]], true));
}

#[test]
fn what_is_no_torrent_says_why() {
    let wrong = |bytes: &[u8]| Torrent::from_metainfo(bytes).unwrap_err();
    assert!(matches!(wrong(b""), MetainfoError::Bencode(_)));
    assert!(matches!(wrong(b"i1e"), MetainfoError::Bencode(_)));
    assert!(matches!(
        wrong(&[b"d4:info".to_vec(), vec![b'l'; 60_000]].concat()),
        MetainfoError::Bencode(_)
    ));
    assert_eq!(wrong(b"de"), MetainfoError::NoInfo);
    assert_eq!(wrong(b"d4:infoi1ee"), MetainfoError::NoInfo);
    assert_eq!(wrong(b"d4:infod4:name1:xee"), MetainfoError::NoVersion);
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(0u8.., 0..200)) {
        tinybt_tests::fuzz_trackers::metainfo(&bytes);
        tinybt_tests::fuzz_trackers::metainfo(&file(&bytes, V1, &bytes));
    }
}
