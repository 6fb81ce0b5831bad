//! KRPC: what others get wrong, and what is made of it.

use proptest::prelude::*;
use tinybt_core::limits::TRANSACTION_MAX;
use tinybt_core::wire::bencode::Reason;
use tinybt_core::wire::krpc::{self, Body, DecodeError, Fault, Query, Want};
use tinybt_core::{Id, InfoHash};

const A: &str = "20:abcdefghij0123456789";

#[track_caller]
fn query(datagram: &str, check: impl FnOnce(&Query<'_>)) {
    let message = krpc::decode(datagram.as_bytes()).expect(datagram);
    let Body::Query(query) = &message.body else { panic!("{message:?}") };
    check(query);
}

#[test]
fn what_is_no_message() {
    use DecodeError::{Error, Kind, NotKrpc, Response, Transaction};
    let rows = [
        ("", NotKrpc),
        ("x", NotKrpc),
        ("\0\0\0\x01abcdefghijkl", NotKrpc),
        ("le", NotKrpc),
        ("i1e", NotKrpc),
        ("1:d", NotKrpc),
        ("de", Transaction),
        ("d1:y1:qe", Transaction),
        ("d1:ti1e1:y1:qe", Transaction),
        ("d1:tle1:y1:qe", Transaction),
        ("d1:t33:0123456789012345678901234567890121:y1:qe", Transaction),
        ("d1:t1:xe", Kind),
        ("d1:t1:x1:y1:xe", Kind),
        ("d1:t1:x1:y0:e", Kind),
        ("d1:t1:x1:y2:qqe", Kind),
        ("d1:t1:x1:yi1ee", Kind),
        ("d1:t1:x1:y1:re", Response),
        ("d1:rle1:t1:x1:y1:re", Response),
        ("d1:ri1e1:t1:x1:y1:re", Response),
        ("d1:r2:de1:t1:x1:y1:re", Response),
        ("d1:ade1:t1:x1:y1:re", Response),
        ("d1:t1:x1:y1:ee", Error),
        ("d1:ede1:t1:x1:y1:ee", Error),
        ("d1:ele1:t1:x1:y1:ee", Error),
        ("d1:e3:abc1:t1:x1:y1:ee", Error),
        ("d1:eli201ee1:t1:x1:y1:ee", Error),
        ("d1:el3:abci201ee1:t1:x1:y1:ee", Error),
        ("d1:el3:2013:abce1:t1:x1:y1:ee", Error),
        ("d1:eli201ei201ee1:t1:x1:y1:ee", Error),
        ("d1:eli99999999999999999999e1:xe1:t1:x1:y1:ee", Error),
    ];
    for (datagram, expected) in rows {
        assert_eq!(krpc::decode(datagram.as_bytes()).unwrap_err(), expected, "{datagram}");
    }
}

#[test]
fn what_is_no_bencoding() {
    let rows = [
        ("d", 1, Reason::Truncated),
        ("d1:t1:x1:y1:q", 13, Reason::Truncated),
        ("di1e1:xe", 1, Reason::Unexpected),
        ("d1:t1:x1:y1:q1:z", 16, Reason::Truncated),
        ("d1:t1:x1:y1:q1:ze", 16, Reason::Unexpected),
        ("d1:t01:x1:y1:qe", 4, Reason::Length),
        ("d1:t-1:x1:y1:qe", 4, Reason::Unexpected),
        ("d1:t99999999999999999999:x1:y1:qe", 4, Reason::Length),
        ("d1:ad4:porti-0eee", 11, Reason::Integer),
        ("d1:ad4:porti05eee", 11, Reason::Integer),
        ("d1:ad4:porti+5eee", 11, Reason::Integer),
        ("d1:ad4:portieee", 11, Reason::Integer),
        ("d1:rd5:nodes999:abceee", 12, Reason::Length),
    ];
    for (datagram, offset, reason) in rows {
        match krpc::decode(datagram.as_bytes()) {
            Err(DecodeError::Bencode(error)) => {
                assert_eq!((error.offset, error.reason), (offset, reason), "{datagram}: {error}");
            }
            other => panic!("{datagram}: {other:?}"),
        }
    }
    for bomb in [b"d1:x".repeat(15_000), [&b"d1:x"[..], &b"l".repeat(60_000)].concat()] {
        let Err(DecodeError::Bencode(error)) = krpc::decode(&bomb) else { panic!("a bomb") };
        assert_eq!(error.reason, Reason::Depth);
    }
}

#[test]
fn transactions_of_any_length_up_to_the_bound() {
    for len in 0..=TRANSACTION_MAX {
        let transaction = "x".repeat(len);
        let datagram = format!("d1:ad2:id{A}e1:q4:ping1:t{len}:{transaction}1:y1:qe");
        let message = krpc::decode(datagram.as_bytes()).unwrap();
        assert_eq!(message.transaction, transaction.as_bytes());
    }
}

#[test]
fn what_is_tolerated() {
    let rows = [
        format!("d1:y1:q1:t1:x1:q4:ping1:ad2:id{A}ee"),
        format!("d1:ad2:id{A}e1:q4:ping1:t1:x1:y1:qetrailing"),
        format!("d1:ad2:id{A}e1:q4:ping1:t1:x1:y1:qed1:ade"),
        format!("d1:ad2:id{A}e1:q4:ping1:t1:x1:v0:1:y1:qe"),
        format!("d1:ad2:id{A}e1:q4:ping1:t1:x1:v9:some name1:y1:qe"),
        format!("d1:ad2:id{A}e1:q4:ping1:t1:x1:vi7e1:y1:qe"),
        format!("d1:ad2:id{A}e2:ip3:abc1:q4:ping1:t1:x1:y1:qe"),
        format!("d1:ad2:id{A}e2:ipi1e1:q4:ping1:t1:x1:y1:qe"),
        format!("d0:0:1:ad2:id{A}1:xd1:yleee1:q4:ping2:role1:t1:x1:y1:q2:zzdee"),
        // The first of two counts.
        format!("d1:ad2:id{A}2:id1:xe1:ad2:id1:ye1:q4:ping1:q4:pong1:t1:x1:t1:z1:y1:q1:y1:re"),
        // What belongs to a response does not disturb.
        format!("d1:ad2:id{A}e1:q4:ping1:rd2:id1:xe1:t1:x1:y1:qe"),
        format!("d1:rd2:id1:xe1:q4:ping1:ad2:id{A}e1:t1:x1:y1:qe"),
    ];
    for datagram in rows {
        let message = krpc::decode(datagram.as_bytes()).expect(&datagram);
        assert_eq!(message.transaction, b"x", "{datagram}");
        assert_eq!((message.external, message.read_only), (None, false), "{datagram}");
        let Body::Query(query) = &message.body else { panic!("{datagram}") };
        assert_eq!(query.method, b"ping", "{datagram}");
        assert_eq!(query.id(), Ok(Id(*b"abcdefghij0123456789")), "{datagram}");
    }
    for (flags, expected) in [("2:roi1e", true), ("2:roi0e2:roi1e", false), ("2:ro1:1", false)] {
        let response = format!("d1:rd2:id{A}e{flags}1:t1:x1:y1:re");
        assert_eq!(krpc::decode(response.as_bytes()).unwrap().read_only, expected, "{flags}");
    }
}

#[test]
fn queries_that_deserve_an_answer() {
    for arguments in ["", "1:ai1e", "1:ale", "1:a2:de", "1:ade"] {
        query(&format!("d{arguments}1:t1:x1:y1:qe"), |query| {
            assert_eq!(query.method, b"");
            assert_eq!(query.id(), Err(Fault::Missing("id")));
            assert_eq!(query.token(), Err(Fault::Missing("token")));
            assert_eq!(query.port(), Err(Fault::Missing("port")));
            assert_eq!(query.want(), Want::default());
            assert!(!query.implied_port() && !query.seed());
            assert_eq!(query.argument(b"id"), None);
        });
    }
    for len in (0..64).filter(|len| *len != 20) {
        let id = format!("{len}:{}", "x".repeat(len));
        let all = format!("d1:ad2:id{id}9:info_hash{id}6:target{id}e1:t1:x1:y1:qe");
        query(&all, |query| {
            assert_eq!(query.id(), Err(Fault::Wrong("id")));
            assert_eq!(query.info_hash(), Err(Fault::Wrong("info_hash")));
            assert_eq!(query.target(), Err(Fault::Wrong("target")));
        });
    }
    for wrong in ["i20e", "le", "de", "l20:abcdefghij0123456789e"] {
        query(&format!("d1:ad2:id{wrong}5:token{wrong}e1:t1:x1:y1:qe"), |query| {
            assert_eq!(query.id(), Err(Fault::Wrong("id")));
            assert_eq!(query.token(), Err(Fault::Wrong("token")));
            assert_eq!(query.token().unwrap_err().to_string(), "`token` is wrong");
        });
    }
    query(&format!("d1:ad9:info_hash{A}e1:t1:x1:y1:qe"), |query| {
        assert_eq!(query.info_hash(), Ok(InfoHash(*b"abcdefghij0123456789")));
        assert_eq!(query.id().unwrap_err().to_string(), "`id` is missing");
    });
}

#[test]
fn ports() {
    let rows = [
        ("i1e", Ok(1)),
        ("i80e", Ok(80)),
        ("i65535e", Ok(65535)),
        ("i0e", Err(Fault::Wrong("port"))),
        ("i-1e", Err(Fault::Wrong("port"))),
        ("i65536e", Err(Fault::Wrong("port"))),
        ("i70000e", Err(Fault::Wrong("port"))),
        ("i18446744073709551617e", Err(Fault::Wrong("port"))),
        ("3:abc", Err(Fault::Wrong("port"))),
        ("4:6881", Err(Fault::Wrong("port"))),
        ("le", Err(Fault::Wrong("port"))),
    ];
    for (port, expected) in rows {
        query(&format!("d1:ad4:port{port}e1:t1:x1:y1:qe"), |query| {
            assert_eq!(query.port(), expected, "{port}");
        });
    }
    for (flag, expected) in [
        ("i0e", false),
        ("i1e", true),
        ("i2e", true),
        ("i-1e", true),
        ("1:1", false),
        ("le", false),
    ] {
        query(&format!("d1:ad12:implied_port{flag}4:seed{flag}e1:t1:x1:y1:qe"), |query| {
            assert_eq!((query.implied_port(), query.seed()), (expected, expected), "{flag}");
        });
    }
}

#[test]
fn wants() {
    let rows = [
        ("le", (false, false)),
        ("l2:n4e", (true, false)),
        ("l2:n6e", (false, true)),
        ("l2:n62:n4e", (true, true)),
        ("l2:n42:n42:n5i4ele0:e", (true, false)),
        ("2:n4", (false, false)),
        ("d2:n42:n6e", (false, false)),
        ("i4e", (false, false)),
    ];
    for (want, (v4, v6)) in rows {
        query(&format!("d1:ad4:want{want}e1:t1:x1:y1:qe"), |query| {
            assert_eq!(query.want(), Want { v4, v6 }, "{want}");
        });
    }
}

/// Peers and nodes that a response with these members is read as.
fn found(members: &str) -> (Vec<String>, usize, usize) {
    let datagram = format!("d1:rd2:id{A}{members}e1:t1:x1:y1:re");
    let message = krpc::decode(datagram.as_bytes()).expect(&datagram);
    let Body::Response(response) = &message.body else { panic!("{datagram}") };
    let peers = response.values().map(|peer| peer.to_string()).collect();
    (peers, response.nodes().count(), response.nodes6().count())
}

#[test]
fn peers() {
    let rows: [(&str, &[&str]); 12] = [
        ("", &[]),
        ("6:valuesle", &[]),
        ("6:valuesde", &[]),
        ("6:valuesi6e", &[]),
        ("6:values6:axje.u", &[]),
        ("6:valuesl6:axje.ue", &["97.120.106.101:11893"]),
        ("6:valuesl6:axje\0\0e", &[]),
        ("6:valuesl6:axje\0\x016:axje.ue", &["97.120.106.101:1", "97.120.106.101:11893"]),
        // One of 18 bytes is one, not three.
        ("6:valuesl18:axje.uaxje.uaxje.ue", &["[6178:6a65:2e75:6178:6a65:2e75:6178:6a65]:11893"]),
        (
            "6:valuesl6:axje.u18:axje.uaxje.uaxje.u6:axje.ve",
            &[
                "97.120.106.101:11893",
                "[6178:6a65:2e75:6178:6a65:2e75:6178:6a65]:11893",
                "97.120.106.101:11894",
            ],
        ),
        (
            "6:valuesl0:5:axje.7:axje.ux12:axje.uaxje.ui6eled2:id6:axje.ue6:axje.ue",
            &["97.120.106.101:11893"],
        ),
        ("6:valuesl6:axje.ue6:valuesl6:bxje.ue", &["97.120.106.101:11893"]),
    ];
    for (members, expected) in rows {
        let (peers, ..) = found(members);
        assert_eq!(peers, expected, "{}", members.escape_debug());
    }
}

#[test]
fn nodes() {
    for len in 0..120 {
        let packed = format!("{len}:{}", "x".repeat(len));
        let expected = |width: usize| if len % width == 0 { len / width } else { 0 };
        let (_, nodes, nodes6) = found(&format!("5:nodes{packed}6:nodes6{packed}"));
        assert_eq!((nodes, nodes6), (expected(26), expected(38)), "{len}");
    }
    for wrong in ["i26e", "le", "de", "l26:xxxxxxxxxxxxxxxxxxxxxxxxxxe"] {
        let (_, nodes, nodes6) = found(&format!("5:nodes{wrong}6:nodes6{wrong}"));
        assert_eq!((nodes, nodes6), (0, 0), "{wrong}");
    }
}

#[test]
fn fields_of_the_wrong_width_are_none() {
    let members = "4:BFpe3:abc4:BFsd3:abc2:id3:abc1:k3:abc7:samples21:012345678901234567890\
                   3:seq1:43:sig3:abc5:tokeni7e";
    let datagram = format!("d1:rd{members}e1:t1:x1:y1:re");
    let message = krpc::decode(datagram.as_bytes()).unwrap();
    let Body::Response(response) = &message.body else { panic!() };
    assert_eq!((response.id(), response.token()), (None, None));
    assert_eq!((response.seeds(), response.downloaders()), (None, None));
    assert_eq!((response.key(), response.signature()), (None, None));
    assert_eq!((response.sequence(), response.value()), (None, None));
    assert_eq!(response.samples().unwrap().info_hashes().count(), 0);
    assert_eq!(response.member(b"k"), Some(&b"3:abc"[..]));
}

#[test]
fn more_bytes_than_a_datagram_can_have() {
    let pad = "x".repeat(70_000);
    let before = format!("d1:ad2:id{A}e1:q4:ping1:t1:x1:y1:qe{pad}");
    assert!(krpc::decode(before.as_bytes()).is_ok());
    let within = format!("d1:ad2:id{A}4:pads70000:{pad}e1:q4:ping1:t1:x1:y1:qe");
    assert!(matches!(krpc::decode(within.as_bytes()), Err(DecodeError::Bencode(_))));
    let pad = "x".repeat(65_000);
    query(&format!("d1:ad3:pad65000:{pad}6:target{A}e1:q4:ping1:t1:x1:y1:qe"), |query| {
        assert_eq!(query.target(), Ok(Id(*b"abcdefghij0123456789")));
    });
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_truncation_is_a_message(id: [u8; 20], target: [u8; 20]) {
        let whole = [b"d1:ad2:id20:", &id[..], b"6:target20:", &target, b"e1:t1:x1:y1:qe"].concat();
        for len in 0..whole.len() {
            prop_assert!(krpc::decode(&whole[..len]).is_err());
        }
        prop_assert!(krpc::decode(&whole).is_ok());
    }
}

#[test]
fn of_equal_keys_the_first_counts() {
    let (one, two) = ("2:id20:aaaaaaaaaaaaaaaaaaaa", "2:id20:bbbbbbbbbbbbbbbbbbbb");
    let first = Id(*b"aaaaaaaaaaaaaaaaaaaa");
    for datagram in [
        format!("d1:rd{one}e1:rd{two}e1:t2:aa1:y1:re"),
        // `a` came before, and counts for nothing in a response.
        format!("d1:ad{two}e1:rd{one}e1:rd{two}e1:t2:aa1:y1:re"),
        format!("d1:ad{two}e1:ad{two}e1:rd{one}e1:rd{two}e1:t2:aa1:y1:re"),
    ] {
        let message = krpc::decode(datagram.as_bytes()).expect(&datagram);
        let Body::Response(response) = &message.body else { panic!("{message:?}") };
        assert_eq!(response.id(), Some(first), "{datagram}");
    }
    query(&format!("d1:ad{one}e1:ad{two}e1:q4:ping1:q4:pong1:t2:aa1:y1:q1:y1:re"), |query| {
        assert_eq!((query.id(), query.method), (Ok(first), &b"ping"[..]));
    });
    let datagram = b"d1:eli201e3:onee1:eli202e3:twoe2:ip6:aaaabb2:ip6:ccccdd2:roi1e2:roi0e\
        1:t2:aa1:t2:bb1:v4:XX011:v4:YY021:y1:ee";
    let message = krpc::decode(datagram).unwrap();
    let Body::Error(error) = message.body else { panic!("{message:?}") };
    assert_eq!((error.code, error.message), (201, &b"one"[..]));
    assert_eq!(message.external, Some("97.97.97.97:25186".parse().unwrap()));
    assert_eq!((message.transaction, message.version), (&b"aa"[..], Some(&b"XX01"[..])));
    assert!(message.read_only);
}

/// All orders of a few.
fn orders(of: &[&str], then: &mut impl FnMut(&str)) {
    fn with(before: &str, of: &[&str], then: &mut impl FnMut(&str)) {
        if of.is_empty() {
            then(before);
        }
        for (index, one) in of.iter().enumerate() {
            with(&format!("{before}{one}"), &[&of[..index], &of[index + 1..]].concat(), then);
        }
    }
    with("", of, then);
}

#[test]
fn what_a_message_is_its_kind_says_in_whatever_order_and_whatever_else_is_there() {
    let arguments = "1:ad2:id20:aaaaaaaaaaaaaaaaaaaa6:target20:cccccccccccccccccccce";
    let response = "1:rd2:id20:bbbbbbbbbbbbbbbbbbbb5:token3:abce";
    let error = "1:eli202e4:bluee";
    let [asks, answers] = [b'a', b'b'].map(|byte| Id([byte; 20]));
    for kind in ["1:y1:q", "1:y1:r", "1:y1:e"] {
        let keys = [arguments, response, error, kind, "1:q4:ping", "1:t2:xy"];
        orders(&keys, &mut |order| {
            let datagram = format!("d{order}e");
            let message = krpc::decode(datagram.as_bytes()).expect(&datagram);
            assert_eq!(message.transaction, b"xy", "{datagram}");
            match message.body {
                Body::Query(query) => {
                    assert_eq!((kind, query.id()), ("1:y1:q", Ok(asks)), "{datagram}");
                    assert_eq!(query.target(), Ok(Id([b'c'; 20])), "{datagram}");
                    assert_eq!(query.argument(b"token"), None, "{datagram}");
                }
                Body::Response(response) => {
                    assert_eq!((kind, response.id()), ("1:y1:r", Some(answers)), "{datagram}");
                    assert_eq!(response.token(), Some(&b"abc"[..]), "{datagram}");
                    assert_eq!(response.member(b"target"), None, "{datagram}");
                }
                Body::Error(error) => {
                    assert_eq!((kind, error.code), ("1:y1:e", 202), "{datagram}");
                    assert_eq!(error.message, b"blue", "{datagram}");
                }
            }
        });
    }
}

#[test]
fn what_is_of_another_kind_stands_in_for_nothing() {
    let (arguments, response) = (format!("1:ad2:id{A}e"), format!("1:rd2:id{A}e"));
    for other in [&response[..], "1:ai1e1:rde", "1:rde1:ale", "1:eli201e1:xe"] {
        query(&format!("d{other}1:q4:ping1:t1:x1:y1:qe"), |query| {
            assert_eq!(query.id(), Err(Fault::Missing("id")), "{other}");
        });
    }
    for other in [&arguments[..], "1:ri1e1:ade", "1:ade1:rle", "1:eli201e1:xe"] {
        let datagram = format!("d{other}1:t1:x1:y1:re");
        assert_eq!(krpc::decode(datagram.as_bytes()).err(), Some(DecodeError::Response), "{other}");
    }
    // What is no dictionary is in nobody's way, and of two that are none the first counts.
    let datagram = format!("d1:ai1e{response}1:t1:x1:y1:re");
    assert!(krpc::decode(datagram.as_bytes()).is_ok());
    query(&format!("d1:rle{arguments}1:q4:ping1:t1:x1:y1:qe"), |query| {
        assert!(query.id().is_ok());
    });
}

#[test]
fn members_in_any_order() {
    let arguments = [
        "2:id20:aaaaaaaaaaaaaaaaaaaa",
        "9:info_hash20:cccccccccccccccccccc",
        "12:implied_porti1e",
        "4:porti7e",
        "5:token3:abc",
        "1:zde",
    ];
    orders(&arguments, &mut |order| {
        query(&format!("d1:ad{order}e1:q13:announce_peer1:t1:x1:y1:qe"), |query| {
            assert_eq!(query.id(), Ok(Id([b'a'; 20])), "{order}");
            assert_eq!(query.info_hash(), Ok(InfoHash([b'c'; 20])), "{order}");
            assert_eq!((query.port(), query.implied_port()), (Ok(7), true), "{order}");
            assert_eq!(query.token(), Ok(&b"abc"[..]), "{order}");
        });
    });
    let response = [
        "2:id20:aaaaaaaaaaaaaaaaaaaa",
        "5:token3:abc",
        "6:valuesl6:axje.ue",
        "5:nodes26:mnopqrstuvwxyz123456axje.u",
        "3:seqi5e",
        "1:zde",
    ];
    orders(&response, &mut |order| {
        let datagram = format!("d1:rd{order}e1:t1:x1:y1:re");
        let message = krpc::decode(datagram.as_bytes()).expect(order);
        let Body::Response(response) = &message.body else { panic!("{message:?}") };
        assert_eq!(response.id(), Some(Id([b'a'; 20])), "{order}");
        assert_eq!(
            (response.token(), response.sequence()),
            (Some(&b"abc"[..]), Some(5)),
            "{order}"
        );
        assert_eq!((response.values().count(), response.nodes().count()), (1, 1), "{order}");
    });
}
