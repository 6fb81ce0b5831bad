//! Torrents followed through items (BEP 46): links and values, the vectors of the BEP, and what is
//! none.

use proptest::prelude::*;
use tinybt_core::dht::item::{KeyError, PublicKey, mutable_target};
use tinybt_core::follow::{Link, LinkError, torrent_of, value_of};
use tinybt_core::limits::SALT_MAX;
use tinybt_core::{Id, InfoHash};

const KEY: &str = "8543d3e6115f0f98c944077a4493dcd543e49c739fd998550a1f614ab36ed63e";

#[test]
fn the_vectors_of_bep_46() {
    for (link, salt, target) in [
        (format!("magnet:?xs=urn:btpk:{KEY}"), "", "cc3f9d90b572172053626f9980ce261a850d050b"),
        (
            format!("magnet:?xs=urn:btpk:{KEY}&s=6e"),
            "n",
            "59ee7c2cb9b4f7eb1986ee2d18fd2fdb8a56554f",
        ),
    ] {
        let read: Link = link.parse().unwrap();
        assert_eq!(read.key.to_string(), KEY);
        assert_eq!(read.salt(), salt.as_bytes());
        assert_eq!(read.target(), target.parse::<Id>().unwrap());
        assert_eq!(read.to_string(), link);
        assert_eq!(Link::new(read.key.0, salt.as_bytes()), Ok(read));
    }
}

#[test]
fn every_way_to_write_a_link() {
    let plain = Link::new(KEY.parse::<PublicKey>().unwrap().0, b"").unwrap();
    let salted = Link::new(plain.key.0, b"n").unwrap();
    for (text, expected) in [
        (format!("urn:btpk:{KEY}"), &plain),
        (format!(" URN:BTPK:{}\n", KEY.to_uppercase()), &plain),
        (format!("MAGNET:?xs=URN:btpk:{}&s=", KEY.to_uppercase()), &plain),
        (format!("magnet:?xs=urn%3abtpk%3A{KEY}&dn=x&s=6E"), &salted),
        (format!("magnet:?s=6e&xs=http://x/y&xs.1=urn:btpk:{KEY}&xs=urn:btpk:00"), &salted),
        (format!("magnet:?xt=urn:btih:{}&xs=urn:btpk:{KEY}&s=%36e", &KEY[..40]), &salted),
    ] {
        assert_eq!(text.parse::<Link>().as_ref(), Ok(expected), "{text}");
    }
    let longest = Link::new(plain.key.0, &[0xff; SALT_MAX]).unwrap();
    assert_eq!(longest.to_string().parse(), Ok(longest));
}

#[test]
fn what_is_no_link_says_why() {
    let wrong = |text: &str| text.parse::<Link>().unwrap_err();
    for text in ["", KEY, "magnet:", "magnet!?xs=1", "http://a/?xs=urn:btpk:1", "urn:btih:1"] {
        assert_eq!(wrong(text), LinkError::Scheme, "{text}");
    }
    for text in ["magnet:?", "magnet:?xs=urn:btpk", "magnet:?xs=http://x", "magnet:?xsd=urn:btpk:1"]
    {
        assert_eq!(wrong(text), LinkError::NoKey, "{text}");
    }
    let length = |text: String, count| {
        assert_eq!(wrong(&text), LinkError::Key(KeyError::Length(count)), "{text}");
    };
    length("urn:btpk:".into(), 0);
    length(format!("urn:btpk:{KEY}0"), 65);
    length(format!("magnet:?xs=urn:btpk:{}", &KEY[1..]), 63);
    length(format!("magnet:?xs=urn:btpk:{}", KEY.repeat(9)), 9 * 64);
    let digit = format!("magnet:?xs=urn:btpk:{}g", &KEY[1..]);
    assert_eq!(wrong(&digit), LinkError::Key(KeyError::Digit('g')));
    for salt in ["6", "6x", "x6", "666", &"00".repeat(SALT_MAX + 1), "6%"] {
        assert_eq!(
            wrong(&format!("magnet:?xs=urn:btpk:{KEY}&s={salt}")),
            LinkError::Salt,
            "{salt}"
        );
    }
    assert_eq!(Link::new([0; 32], &[0; SALT_MAX + 1]), Err(LinkError::Salt));
    for error in [
        LinkError::Scheme,
        LinkError::NoKey,
        LinkError::Key(KeyError::Length(3)),
        LinkError::Key(KeyError::Digit('x')),
        LinkError::Salt,
    ] {
        assert!(error.to_string().len() > 20, "{error}");
    }
}

#[test]
fn what_a_value_names() {
    let torrent = InfoHash(*b"mnopqrstuvwxyz123456");
    for (value, expected) in [
        (&b"d2:ih20:mnopqrstuvwxyz123456e"[..], Some(torrent)),
        (b"d1:ai1e2:ih20:mnopqrstuvwxyz1234561:zlee", Some(torrent)),
        (b"d2:ih19:mnopqrstuvwxyz12345e", None),
        (b"d2:ih21:mnopqrstuvwxyz1234567e", None),
        (b"d2:ihi1ee", None),
        (b"d2:iH20:mnopqrstuvwxyz123456e", None),
        (b"d1:xd2:ih20:mnopqrstuvwxyz123456ee", None),
        (b"d2:ih20:mnopqrstuvwxyz123456", None),
        (b"d2:ih20:mnopqrstuvwxyz123456ee", None),
        (b"20:mnopqrstuvwxyz123456", None),
        (b"l2:ih20:mnopqrstuvwxyz123456e", None),
        (b"de", None),
        (b"", None),
    ] {
        assert_eq!(torrent_of(value), expected, "{}", String::from_utf8_lossy(value));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn what_is_written_is_read(
        key in any::<[u8; 32]>(),
        salt in prop::collection::vec(any::<u8>(), 0..=SALT_MAX),
        hash in any::<[u8; 20]>(),
    ) {
        let link = Link::new(key, &salt).unwrap();
        prop_assert_eq!(link.target(), mutable_target(&key, &salt));
        prop_assert_eq!(link.to_string().parse::<Link>(), Ok(link));
        prop_assert_eq!(torrent_of(&value_of(InfoHash(hash))), Some(InfoHash(hash)));
    }

    /// No text upsets the reader, and what it reads it would write so that it reads it again.
    #[test]
    fn no_text_upsets_the_reader(
        parts in prop::collection::vec(prop_oneof![
            Just("magnet:?"), Just("xs="), Just("xs.2="), Just("urn:btpk:"), Just("&"), Just("s="),
            Just(KEY), Just("6e"), Just("%6"), Just("%"), Just("é"), Just("+"), Just("="),
        ], 0..8),
        noise in ".{0,6}",
        value in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        for text in [parts.concat(), parts.concat() + &noise, noise] {
            if let Ok(link) = text.parse::<Link>() {
                prop_assert_eq!(link.to_string().parse::<Link>(), Ok(link));
            }
        }
        let _ = torrent_of(&value);
    }
}
