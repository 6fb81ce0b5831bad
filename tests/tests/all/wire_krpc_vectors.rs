//! KRPC: the examples of the BEPs, both ways, to the byte.

use std::net::SocketAddr;

use tinybt_core::wire::krpc::{
    self, Answer, Body, Envelope, Filters, Item, Message, Query, Question, Response, SampleInfo,
    Values, Want, encode_error, encode_query, encode_response, encode_response_raw,
};
use tinybt_core::{Contact, Family, Id, InfoHash};

const A: Id = Id(*b"abcdefghij0123456789");
const M: Id = Id(*b"mnopqrstuvwxyz123456");
const SWARM: InfoHash = InfoHash(M.0);
const AA: Envelope<'_> =
    Envelope { transaction: b"aa", version: None, read_only: false, external: None };

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn query(envelope: &Envelope<'_>, question: &Question<'_>) -> Vec<u8> {
    let mut buffer = [0; 1472];
    let len = encode_query(&mut buffer, envelope, A, question).unwrap();
    buffer[..len].to_vec()
}

fn response(envelope: &Envelope<'_>, answer: &Answer<'_>) -> Vec<u8> {
    let mut buffer = [0; 1472];
    let len = encode_response(&mut buffer, envelope, answer).unwrap();
    buffer[..len].to_vec()
}

/// What a query is written as, and that it is read back as a query of that method.
#[track_caller]
fn asks(question: &Question<'_>, expected: &[u8], method: &str, check: impl FnOnce(&Query<'_>)) {
    let bytes = query(&AA, question);
    assert_eq!(text(&bytes), text(expected));
    let message = krpc::decode(&bytes).unwrap();
    assert_eq!(message.transaction, b"aa");
    let Body::Query(query) = &message.body else { panic!("{message:?}") };
    assert_eq!(text(query.method), method);
    assert_eq!(query.id(), Ok(A));
    check(query);
}

/// What a response is written as, and that it is read back as one of that node.
#[track_caller]
fn answers(answer: &Answer<'_>, expected: &[u8], check: impl FnOnce(&Response<'_>)) {
    let bytes = response(&AA, answer);
    assert_eq!(text(&bytes), text(expected));
    read_response(&bytes, |message, response| {
        assert_eq!(message.transaction, b"aa");
        assert_eq!(response.id(), Some(answer.id));
        check(response);
    });
}

#[track_caller]
fn read_response(bytes: &[u8], check: impl FnOnce(&Message<'_>, &Response<'_>)) {
    let message = krpc::decode(bytes).unwrap();
    let Body::Response(response) = &message.body else { panic!("{message:?}") };
    check(&message, response);
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn bep_5_queries() {
    asks(
        &Question::Ping,
        b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe",
        "ping",
        |_| {},
    );
    asks(
        &Question::FindNode { target: M, want: None },
        b"d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e1:q9:find_node1:t2:aa\
          1:y1:qe",
        "find_node",
        |query| {
            assert_eq!(query.target(), Ok(M));
            assert_eq!(query.want(), Want::default());
        },
    );
    asks(
        &Question::GetPeers { info_hash: SWARM, want: None, no_seed: false, scrape: false },
        b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q9:get_peers1:t2:aa\
          1:y1:qe",
        "get_peers",
        |query| assert_eq!(query.info_hash(), Ok(SWARM)),
    );
    let announce = |implied_port| Question::AnnouncePeer {
        info_hash: SWARM,
        port: 6881,
        implied_port,
        token: b"aoeusnth",
        seed: false,
    };
    asks(
        &announce(true),
        b"d1:ad2:id20:abcdefghij012345678912:implied_porti1e9:info_hash20:mnopqrstuvwxyz123456\
          4:porti6881e5:token8:aoeusnthe1:q13:announce_peer1:t2:aa1:y1:qe",
        "announce_peer",
        |query| {
            assert_eq!(query.info_hash(), Ok(SWARM));
            assert_eq!(query.port(), Ok(6881));
            assert_eq!(query.token(), Ok(&b"aoeusnth"[..]));
            assert!(query.implied_port() && !query.seed());
        },
    );
    asks(
        &announce(false),
        b"d1:ad2:id20:abcdefghij012345678912:implied_porti0e9:info_hash20:mnopqrstuvwxyz123456\
          4:porti6881e5:token8:aoeusnthe1:q13:announce_peer1:t2:aa1:y1:qe",
        "announce_peer",
        |query| assert!(!query.implied_port()),
    );
}

#[test]
fn bep_5_responses() {
    let plain = Answer { id: M, ..Answer::default() };
    answers(&plain, b"d1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re", |response| {
        assert_eq!(response.nodes().count() + response.values().count(), 0);
        assert_eq!(response.token(), None);
    });
    let peers = Answer {
        id: A,
        token: Some(b"aoeusnth"),
        values: Some(Values { family: Family::V4, packed: [b"axje.u", b"idhtnm"] }),
        ..Answer::default()
    };
    answers(
        &peers,
        b"d1:rd2:id20:abcdefghij01234567895:token8:aoeusnth6:valuesl6:axje.u6:idhtnmee1:t2:aa\
          1:y1:re",
        |response| {
            assert_eq!(response.token(), Some(&b"aoeusnth"[..]));
            let expected = [addr("97.120.106.101:11893"), addr("105.100.104.116:28269")];
            assert!(response.values().eq(expected));
        },
    );
    let contact = Contact { id: M, addr: addr("97.120.106.101:11893") };
    let nodes =
        Answer { id: A, nodes: Some(&[contact]), token: Some(b"aoeusnth"), ..Answer::default() };
    answers(
        &nodes,
        b"d1:rd2:id20:abcdefghij01234567895:nodes26:mnopqrstuvwxyz123456axje.u5:token8:aoeusnthe\
          1:t2:aa1:y1:re",
        |response| assert!(response.nodes().eq([contact])),
    );
    // The BEP's example of nodes is abridged to 9 bytes, which are no nodes.
    let abridged = b"d1:rd2:id20:0123456789abcdefghij5:nodes9:def456...e1:t2:aa1:y1:re";
    read_response(abridged, |_, response| assert_eq!(response.nodes().count(), 0));
    let none = Answer { id: A, nodes: Some(&[]), ..Answer::default() };
    answers(&none, b"d1:rd2:id20:abcdefghij01234567895:nodes0:e1:t2:aa1:y1:re", |response| {
        assert_eq!(response.nodes().count(), 0);
    });
}

#[test]
fn bep_5_errors() {
    let mut buffer = [0; 100];
    let len = encode_error(&mut buffer, &AA, 201, b"A Generic Error Ocurred").unwrap();
    let expected = b"d1:eli201e23:A Generic Error Ocurrede1:t2:aa1:y1:ee";
    assert_eq!(text(&buffer[..len]), text(expected));
    let message = krpc::decode(expected).unwrap();
    let Body::Error(error) = message.body else { panic!("{message:?}") };
    assert_eq!((error.code, error.message), (201, &b"A Generic Error Ocurred"[..]));
}

#[test]
fn bep_32() {
    let both = Some(Want { v4: true, v6: true });
    asks(
        &Question::FindNode { target: M, want: both },
        b"d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz1234564:wantl2:n42:n6ee\
          1:q9:find_node1:t2:aa1:y1:qe",
        "find_node",
        |query| assert_eq!(Some(query.want()), both),
    );
    let six = Some(Want { v4: false, v6: true });
    asks(
        &Question::GetPeers { info_hash: SWARM, want: six, no_seed: false, scrape: false },
        b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234564:wantl2:n6ee\
          1:q9:get_peers1:t2:aa1:y1:qe",
        "get_peers",
        |query| assert_eq!(Some(query.want()), six),
    );
    let v4 = Contact { id: M, addr: addr("1.2.3.4:5") };
    let v6 = Contact { id: A, addr: addr("[102:304:506:708:90a:b0c:d0e:f10]:4386") };
    let peer = *b"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x22";
    let answer = Answer {
        id: M,
        nodes: Some(&[v4]),
        nodes6: Some(&[v6]),
        values: Some(Values { family: Family::V6, packed: [&[], &peer] }),
        ..Answer::default()
    };
    answers(
        &answer,
        b"d1:rd2:id20:mnopqrstuvwxyz1234565:nodes26:mnopqrstuvwxyz123456\x01\x02\x03\x04\0\x05\
          6:nodes638:abcdefghij0123456789\
          \x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x22\
          6:valuesl18:\
          \x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x22ee\
          1:t2:aa1:y1:re",
        |response| {
            assert!(response.nodes().eq([v4]) && response.nodes6().eq([v6]));
            assert!(response.values().eq([v6.addr]));
        },
    );
}

#[test]
fn bep_42_tells_the_address_of_whoever_is_answered() {
    let plain = Answer { id: M, ..Answer::default() };
    let rows: [(&str, &[u8]); 2] = [
        ("97.120.106.101:11893", b"d2:ip6:axje.u1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re"),
        (
            "[2001:db8::1]:6881",
            b"d2:ip18: \x01\r\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x1a\xe1\
              1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re",
        ),
    ];
    for (external, expected) in rows {
        let envelope = Envelope { external: Some(addr(external)), ..AA };
        let bytes = response(&envelope, &plain);
        assert_eq!(text(&bytes), text(expected));
        assert_eq!(krpc::decode(&bytes).unwrap().external, envelope.external);
    }
    let mut buffer = [0; 100];
    let envelope = Envelope { external: Some(addr("97.120.106.101:11893")), ..AA };
    let len = encode_error(&mut buffer, &envelope, 202, b"no").unwrap();
    assert_eq!(text(&buffer[..len]), "d1:eli202e2:noe2:ip6:axje.u1:t2:aa1:y1:ee");
}

#[test]
fn bep_43_read_only() {
    let envelope = Envelope { read_only: true, version: Some(*b"TB\0\x01"), ..AA };
    let bytes = query(&envelope, &Question::Ping);
    let expected = b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping2:roi1e1:t2:aa1:v4:TB\0\x011:y1:qe";
    assert_eq!(text(&bytes), text(expected));
    let message = krpc::decode(&bytes).unwrap();
    assert!(message.read_only);
    assert_eq!(message.version, Some(&b"TB\0\x01"[..]));
    assert!(!krpc::decode(b"d1:rd2:id1:xe2:roi0e1:t0:1:y1:re").unwrap().read_only);
}

#[test]
fn bep_33_scrapes() {
    asks(
        &Question::GetPeers { info_hash: SWARM, want: None, no_seed: true, scrape: true },
        b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234566:noseedi1e\
          6:scrapei1ee1:q9:get_peers1:t2:aa1:y1:qe",
        "get_peers",
        |query| assert!(query.no_seed() && query.scrape()),
    );
    let seed = Question::AnnouncePeer {
        info_hash: SWARM,
        port: 1,
        implied_port: false,
        token: b"",
        seed: true,
    };
    asks(
        &seed,
        b"d1:ad2:id20:abcdefghij012345678912:implied_porti0e9:info_hash20:mnopqrstuvwxyz123456\
          4:porti1e4:seedi1e5:token0:e1:q13:announce_peer1:t2:aa1:y1:qe",
        "announce_peer",
        |query| assert!(query.seed()),
    );
    let (seeds, downloaders) = ([3; 256], [9; 256]);
    let filters = Filters { seeds: &seeds, downloaders: &downloaders };
    let answer = Answer { id: M, filters: Some(filters), ..Answer::default() };
    let expected = [
        &b"d1:rd4:BFpe256:"[..],
        &downloaders,
        b"4:BFsd256:",
        &seeds,
        b"2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re",
    ];
    answers(&answer, &expected.concat(), |response| {
        assert_eq!(response.seeds(), Some(&seeds));
        assert_eq!(response.downloaders(), Some(&downloaders));
    });
}

#[test]
fn bep_44_items() {
    asks(
        &Question::Get { target: M, seq: Some(-3), want: None },
        b"d1:ad2:id20:abcdefghij01234567893:seqi-3e6:target20:mnopqrstuvwxyz123456e1:q3:get\
          1:t2:aa1:y1:qe",
        "get",
        |query| assert_eq!((query.target(), query.sequence()), (Ok(M), Some(-3))),
    );
    asks(
        &Question::PutImmutable { target: M, token: b"tk", value: b"12:Hello World!" },
        b"d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz1234565:token2:tk\
          1:v12:Hello World!e1:q3:put1:t2:aa1:y1:qe",
        "put",
        |query| {
            assert_eq!(query.value(), Some(&b"12:Hello World!"[..]));
            assert_eq!(query.key(), None);
        },
    );
    let (key, signature) = ([b'k'; 32], [b's'; 64]);
    let mutable = Question::PutMutable {
        target: M,
        token: b"tk",
        value: b"li1ei2ee",
        key: &key,
        signature: &signature,
        seq: 4,
        salt: b"foobar",
        cas: Some(3),
    };
    let expected = [
        &b"d1:ad3:casi3e2:id20:abcdefghij01234567891:k32:"[..],
        &key,
        b"4:salt6:foobar3:seqi4e3:sig64:",
        &signature,
        b"6:target20:mnopqrstuvwxyz1234565:token2:tk1:vli1ei2eee1:q3:put1:t2:aa1:y1:qe",
    ];
    asks(&mutable, &expected.concat(), "put", |query| {
        assert_eq!((query.key(), query.signature()), (Some(&key), Some(&signature)));
        assert_eq!((query.sequence(), query.compare_and_swap()), (Some(4), Some(3)));
        assert_eq!((query.salt(), query.value()), (Some(&b"foobar"[..]), Some(&b"li1ei2ee"[..])));
    });
    let Question::PutMutable { target, token, value, .. } = mutable else { unreachable!() };
    let plain = Question::PutMutable {
        target,
        token,
        value,
        key: &key,
        signature: &signature,
        seq: 0,
        salt: b"",
        cas: None,
    };
    let expected = [
        &b"d1:ad2:id20:abcdefghij01234567891:k32:"[..],
        &key,
        b"3:seqi0e3:sig64:",
        &signature,
        b"6:target20:mnopqrstuvwxyz1234565:token2:tk1:vli1ei2eee1:q3:put1:t2:aa1:y1:qe",
    ];
    asks(&plain, &expected.concat(), "put", |query| {
        assert_eq!((query.salt(), query.compare_and_swap()), (None, None));
    });
    let item = Item {
        value: Some(b"li1ei2ee"),
        key: Some(&key),
        signature: Some(&signature),
        sequence: Some(4),
    };
    let answer = Answer {
        id: M,
        nodes: Some(&[]),
        token: Some(b"tk"),
        item: Some(item),
        ..Answer::default()
    };
    let expected = [
        &b"d1:rd2:id20:mnopqrstuvwxyz1234561:k32:"[..],
        &key,
        b"5:nodes0:3:seqi4e3:sig64:",
        &signature,
        b"5:token2:tk1:vli1ei2eee1:t2:aa1:y1:re",
    ];
    answers(&answer, &expected.concat(), |response| {
        assert_eq!((response.key(), response.signature()), (Some(&key), Some(&signature)));
        assert_eq!((response.sequence(), response.value()), (Some(4), Some(&b"li1ei2ee"[..])));
    });
}

#[test]
fn bep_51_samples() {
    asks(
        &Question::SampleInfohashes { target: M, want: None },
        b"d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e1:q17:sample_infohashes\
          1:t2:aa1:y1:qe",
        "sample_infohashes",
        |query| assert_eq!(query.target(), Ok(M)),
    );
    let packed = [A.0, M.0].concat();
    let samples = SampleInfo { interval: 21600, stored: 77, packed: &packed };
    let answer = Answer { id: M, samples: Some(samples), ..Answer::default() };
    answers(
        &answer,
        b"d1:rd2:id20:mnopqrstuvwxyz1234568:intervali21600e3:numi77e7:samples40:\
          abcdefghij0123456789mnopqrstuvwxyz123456e1:t2:aa1:y1:re",
        |response| {
            let samples = response.samples().unwrap();
            assert_eq!((samples.interval, samples.stored), (21600, 77));
            assert!(samples.info_hashes().eq([InfoHash(A.0), SWARM]));
        },
    );
}

#[test]
fn foreign_methods_and_answers_get_our_id_in_its_place() {
    let with_id = |dictionary: &[u8]| {
        let question = Question::Method { name: b"vote", arguments: dictionary };
        let mut buffer = [0; 200];
        let asked = encode_query(&mut buffer, &AA, A, &question).map(|len| text(&buffer[..len]));
        let answered = encode_response_raw(&mut buffer, &AA, dictionary, A);
        let answered = answered.map(|len| text(&buffer[..len]));
        let inner = asked.map(|asked| {
            let inner = asked.strip_prefix("d1:a").unwrap();
            inner.strip_suffix("1:q4:vote1:t2:aa1:y1:qe").unwrap().to_string()
        });
        match &inner {
            Ok(inner) => assert_eq!(answered, Ok(format!("d1:r{inner}1:t2:aa1:y1:re"))),
            Err(error) => assert_eq!(answered, Err(*error)),
        }
        inner
    };
    let rows = [
        ("de", "d2:id20:abcdefghij0123456789e"),
        ("d1:ai1ee", "d1:ai1e2:id20:abcdefghij0123456789e"),
        ("d1:zi1ee", "d2:id20:abcdefghij01234567891:zi1ee"),
        ("d1:ai1e1:zi1ee", "d1:ai1e2:id20:abcdefghij01234567891:zi1ee"),
        ("d2:id1:x1:zi1ee", "d2:id1:x1:zi1ee"),
        ("d2:ic0:3:idalee", "d2:ic0:2:id20:abcdefghij01234567893:idalee"),
    ];
    for (dictionary, expected) in rows {
        assert_eq!(with_id(dictionary.as_bytes()).as_deref(), Ok(expected));
    }
    for bad in
        ["", "i1e", "le", "d", "d1:ae", "d1:zi1e1:ai1ee", "d1:ai1e1:ai2ee", "dexx", "d1:ai01ee"]
    {
        assert_eq!(with_id(bad.as_bytes()), Err(krpc::EncodeError::Value), "{bad}");
    }
}

#[test]
fn what_is_not_bencoding_does_not_go_out() {
    let mut buffer = [0; 500];
    let (key, signature) = ([b'k'; 32], [b's'; 64]);
    for value in [&b""[..], b"abc", b"i1", b"i1ei2e", b"1:ab", b"d1:ae"] {
        let refused = Err(krpc::EncodeError::Value);
        let put = Question::PutImmutable { target: M, token: b"", value };
        assert_eq!(encode_query(&mut buffer, &AA, A, &put), refused);
        let put = Question::PutMutable {
            target: M,
            token: b"",
            value,
            key: &key,
            signature: &signature,
            seq: 0,
            salt: b"",
            cas: None,
        };
        assert_eq!(encode_query(&mut buffer, &AA, A, &put), refused);
        let item = Item { value: Some(value), ..Item::default() };
        let answer = Answer { item: Some(item), ..Answer::default() };
        assert_eq!(encode_response(&mut buffer, &AA, &answer), refused);
    }
}

#[test]
fn contacts_of_the_other_family_are_passed_over() {
    let v4 = Contact { id: M, addr: addr("1.2.3.4:5") };
    let v6 = Contact { id: A, addr: addr("[::1]:5") };
    let mixed = [v6, v4, v6, v4];
    let answer =
        Answer { id: M, nodes: Some(&mixed), nodes6: Some(&mixed[..2]), ..Answer::default() };
    let apart = Answer { id: M, nodes: Some(&[v4, v4]), nodes6: Some(&[v6]), ..Answer::default() };
    assert_eq!(text(&response(&AA, &answer)), text(&response(&AA, &apart)));
}
