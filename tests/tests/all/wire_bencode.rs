//! Bencoding: one spelling for each value, no panic for any bytes, agreement with bt_bencode.

use bt_bencode::{ByteString, Value};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use tinybt_core::limits::DEPTH_MAX;
use tinybt_core::wire::bencode::{NoRoom, Reader, Reason, Writer, is_one_value};
use tinybt_tests::fuzz_wire;

#[test]
fn integers() {
    let good = [
        ("i0e", 0),
        ("i7e", 7),
        ("i10e", 10),
        ("i-1e", -1),
        ("i-10e", -10),
        ("i9223372036854775807e", i64::MAX),
        ("i-9223372036854775808e", i64::MIN),
    ];
    for (text, value) in good {
        let mut reader = Reader::new(text.as_bytes());
        assert_eq!(reader.integer(), Ok(value), "{text}");
        assert_eq!(reader.offset(), text.len());
        let mut buffer = [0; 32];
        let mut writer = Writer::new(&mut buffer);
        writer.integer(value);
        let len = writer.written().unwrap();
        assert_eq!(&buffer[..len], text.as_bytes());
    }
    let bad = [
        ("ie", Reason::Integer),
        ("i-e", Reason::Integer),
        ("i-0e", Reason::Integer),
        ("i00e", Reason::Integer),
        ("i05e", Reason::Integer),
        ("i-05e", Reason::Integer),
        ("i+5e", Reason::Integer),
        ("i 5e", Reason::Integer),
        ("i5 e", Reason::Integer),
        ("i5.0e", Reason::Integer),
        ("i--5e", Reason::Integer),
        ("i5-e", Reason::Integer),
        ("i0x5e", Reason::Integer),
        ("i9223372036854775808e", Reason::Integer),
        ("i-9223372036854775809e", Reason::Integer),
        ("i5", Reason::Truncated),
        ("i-", Reason::Truncated),
        ("i", Reason::Truncated),
        ("", Reason::Truncated),
        ("5e", Reason::Unexpected),
        ("3:abc", Reason::Unexpected),
    ];
    for (text, reason) in bad {
        let error = Reader::new(text.as_bytes()).integer().unwrap_err();
        assert_eq!(error.reason, reason, "{text}");
    }
    // Of any length where nothing is made of it.
    assert!(is_one_value(b"i18446744073709551615e"));
    assert!(is_one_value(b"i-100000000000000000000000000000e"));
    assert!(!is_one_value(b"i-000000000000000000000000000001e"));
}

#[test]
fn strings() {
    let long = format!("1000:{}", "x".repeat(1000));
    let good = [("0:", ""), ("1:a", "a"), ("3:e:e", "e:e"), ("11:hello world", "hello world")];
    for (text, string) in good.into_iter().chain([(&long[..], &long[5..])]) {
        let mut reader = Reader::new(text.as_bytes());
        assert_eq!(reader.string(), Ok(string.as_bytes()), "{text}");
        assert_eq!(reader.offset(), text.len());
        let mut buffer = [0; 1100];
        let mut writer = Writer::new(&mut buffer);
        writer.string(string.as_bytes());
        let len = writer.written().unwrap();
        assert_eq!(&buffer[..len], text.as_bytes());
    }
    let bad = [
        ("00:", Reason::Length),
        ("05:hello", Reason::Length),
        ("000000005:hello", Reason::Length),
        ("5:hell", Reason::Length),
        ("12:hello world", Reason::Length),
        ("5-:hello", Reason::Length),
        ("5e", Reason::Length),
        ("99999999999999999999:", Reason::Length),
        ("18446744073709551615:", Reason::Length),
        ("18446744073709551614:ab", Reason::Length),
        // Short where a sum or a product wraps, on 64 bit or on 32.
        ("18446744073709551617:a", Reason::Length),
        ("18446744073709551620:abcd", Reason::Length),
        ("4294967297:a", Reason::Length),
        ("4294967300:abcd", Reason::Length),
        ("-1:", Reason::Unexpected),
        ("+5:hello", Reason::Unexpected),
        (" 5:hello", Reason::Unexpected),
        (":", Reason::Unexpected),
        ("i5e", Reason::Unexpected),
        ("5", Reason::Truncated),
        ("123", Reason::Truncated),
        ("", Reason::Truncated),
    ];
    for (text, reason) in bad {
        let error = Reader::new(text.as_bytes()).string().unwrap_err();
        assert_eq!(error.reason, reason, "{text}");
        assert!(!is_one_value(text.as_bytes()) || reason == Reason::Unexpected, "{text}");
    }
}

#[test]
fn nested() {
    let good = [
        "le",
        "de",
        "lleledee",
        "d1:ai1ee",
        "d0:lee",
        "d1:b1:x1:a1:ye",
        "d1:a1:x1:a1:ye",
        "l6:abcdef6:ghijkl6:mnopqre",
        "l6:abcdefi1e6:ghijkle",
        "d6:abcdef6:ghijkle",
        "d6:abcdefl6:ghijkl18:012345678901234567ee",
    ];
    for text in good {
        assert!(is_one_value(text.as_bytes()), "{text}");
    }
    let bad = [
        ("l", 1, Reason::Truncated),
        ("d", 1, Reason::Truncated),
        ("d1:a", 4, Reason::Truncated),
        ("d1:ae", 4, Reason::Unexpected),
        ("d1:ai1e1:be", 10, Reason::Unexpected),
        ("di1ei2ee", 1, Reason::Unexpected),
        ("dlelee", 1, Reason::Unexpected),
        ("d6:abcdefe", 9, Reason::Unexpected),
        ("lxe", 1, Reason::Unexpected),
        ("l6:abcdef6:ghie", 9, Reason::Length),
        ("e", 0, Reason::Unexpected),
        ("x", 0, Reason::Unexpected),
    ];
    for (text, offset, reason) in bad {
        let error = Reader::new(text.as_bytes()).skip().unwrap_err();
        assert_eq!((error.offset, error.reason), (offset, reason), "{text}: {error}");
    }
    assert!(!is_one_value(b"lele") && !is_one_value(b"i1ex") && !is_one_value(b""));
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| [vec![b'l'; depth], vec![b'e'; depth]].concat();
    assert!(is_one_value(&nested(DEPTH_MAX)));
    let error = Reader::new(&nested(DEPTH_MAX + 1)).skip().unwrap_err();
    assert_eq!((error.offset, error.reason), (DEPTH_MAX, Reason::Depth));
    let bomb = vec![b'l'; 60_000];
    assert_eq!(Reader::new(&bomb).skip().unwrap_err().reason, Reason::Depth);
    let bomb = b"d1:a".repeat(15_000);
    assert_eq!(Reader::new(&bomb).skip().unwrap_err().reason, Reason::Depth);
}

#[test]
fn a_full_writer_stays_full() {
    let mut buffer = *b"......";
    let mut writer = Writer::new(&mut buffer);
    writer.string(b"abc");
    writer.string(b"abc");
    // Would fit, but then something would be missing in between.
    writer.end();
    assert!(writer.reserve(0).is_none());
    assert_eq!((writer.written(), writer.room()), (Err(NoRoom), 0));
    assert!(buffer.starts_with(b"3:abc"));
}

fn value() -> impl Strategy<Value = Value> {
    let string = vec(any::<u8>(), 0..24).prop_map(|bytes| Value::ByteStr(ByteString::from(bytes)));
    let peers = vec(any::<[u8; 6]>(), 0..5).prop_map(|peers| {
        let peer = |peer: [u8; 6]| Value::ByteStr(ByteString::from(&peer[..]));
        Value::List(peers.into_iter().map(peer).collect())
    });
    let leaf = prop_oneof![any::<i64>().prop_map(Value::from), string, peers];
    leaf.prop_recursive(6, 40, 6, |inner| {
        let key = vec(any::<u8>(), 0..8).prop_map(ByteString::from);
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::List),
            btree_map(key, inner, 0..6).prop_map(Value::Dict),
        ]
    })
}

/// Bytes that are nearly bencoding: well-formed, then a few bytes changed, taken out or put in.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let byte =
        prop_oneof![Just(b'e'), Just(b'l'), Just(b'd'), Just(b'i'), b'0'..=b':', any::<u8>()];
    let edit = (any::<proptest::sample::Index>(), 0u8..3, byte);
    (value(), vec(edit, 0..4)).prop_map(|(value, edits)| {
        let mut bytes = bt_bencode::to_vec(&value).unwrap();
        for (at, what, byte) in edits {
            let at = at.index(bytes.len() + 1);
            match what {
                0 => bytes.insert(at, byte),
                1 if at < bytes.len() => bytes[at] = byte,
                _ if at < bytes.len() => drop(bytes.remove(at)),
                _ => {}
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1024, ..Default::default() })]

    #[test]
    fn what_bt_bencode_writes_is_read_and_written_the_same(value in value()) {
        let bytes = bt_bencode::to_vec(&value).unwrap();
        let mut reader = Reader::new(&bytes);
        prop_assert_eq!(fuzz_wire::tree(&mut reader).unwrap(), Some(value.clone()));
        prop_assert_eq!(reader.offset(), bytes.len());
        for room in 0..=bytes.len() {
            let mut buffer = vec![0xaa; bytes.len()];
            let mut writer = Writer::new(&mut buffer[..room]);
            fuzz_wire::write(&mut writer, &value);
            let expected = if room == bytes.len() { Ok(room) } else { Err(NoRoom) };
            prop_assert_eq!(writer.written(), expected);
            prop_assert!(buffer[room..].iter().all(|byte| *byte == 0xaa));
        }
    }

    #[test]
    fn every_truncation_is_an_error(value in value()) {
        let bytes = bt_bencode::to_vec(&value).unwrap();
        for len in 0..bytes.len() {
            prop_assert!(Reader::new(&bytes[..len]).skip().is_err());
        }
    }

    #[test]
    fn what_is_nearly_bencoding(bytes in nearly()) {
        fuzz_wire::bencode(&bytes);
        // What they read and would write like this, we read.
        if let Ok(value) = bt_bencode::from_slice::<Value>(&bytes) {
            let canonical = bt_bencode::to_vec(&value).unwrap() == bytes;
            prop_assert!(!canonical || is_one_value(&bytes), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn what_is_no_bencoding(bytes in vec(any::<u8>(), 0..200)) {
        fuzz_wire::bencode(&bytes);
    }
}
