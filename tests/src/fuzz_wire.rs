//! What must hold of the codec for any bytes at all: bodies for fuzz targets and for properties.
//!
//! Each panics where something does not hold, and otherwise returns nothing.

use std::collections::BTreeMap;

use bt_bencode::{ByteString, Value};
use tinybt_core::Id;
use tinybt_core::limits::{DATAGRAM_MAX, TRANSACTION_MAX};
use tinybt_core::wire::bencode::{Error, Kind, Reader, Writer, is_one_value};
use tinybt_core::wire::krpc::{
    self, Body, EncodeError, Envelope, Message, Query, Question, Response, encode_error,
    encode_query, encode_response_raw,
};

/// The value that comes next, as bt_bencode would hold it; of equal keys the last one counts, as
/// there.
///
/// # Errors
///
/// What the reader says, and [`None`] within for a number that does not fit, there or here: they
/// refuse the least of 64 bits.
pub fn tree(reader: &mut Reader<'_>) -> Result<Option<Value>, Error> {
    Ok(match reader.kind()? {
        Kind::Integer => {
            let mut ahead = *reader;
            reader.skip()?;
            match ahead.integer() {
                Ok(number) if number > i64::MIN => Some(Value::from(number)),
                _ => None,
            }
        }
        Kind::String => Some(Value::ByteStr(ByteString::from(reader.string()?))),
        Kind::List => {
            let mut items = Some(Vec::new());
            reader.enter_list()?;
            while reader.more()? {
                let item = tree(reader)?;
                items = items.zip(item).map(|(mut items, item)| {
                    items.push(item);
                    items
                });
            }
            items.map(Value::List)
        }
        Kind::Dictionary => {
            let mut members = Some(BTreeMap::new());
            reader.enter_dictionary()?;
            while let Some(key) = reader.key()? {
                let value = tree(reader)?;
                members = members.zip(value).map(|(mut members, value)| {
                    members.insert(ByteString::from(key), value);
                    members
                });
            }
            members.map(Value::Dict)
        }
    })
}

/// The number that a value is, where it is one and fits.
pub fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| i64::try_from(value.as_u64()?).ok())
}

/// Writes a value by our writer: canonical, whatever it was read from.
pub fn write(writer: &mut Writer<'_>, value: &Value) {
    match value {
        Value::ByteStr(string) => writer.string(string),
        Value::Int(_) => match number(value) {
            Some(number) => writer.integer(number),
            None => writer.raw(&bt_bencode::to_vec(value).unwrap_or_default()),
        },
        Value::List(items) => {
            writer.list();
            items.iter().for_each(|item| write(writer, item));
            writer.end();
        }
        Value::Dict(members) => {
            writer.dictionary();
            for (key, value) in members {
                writer.string(key);
                write(writer, value);
            }
            writer.end();
        }
    }
}

/// Bencoding: the reader and bt_bencode agree on what it accepts, its ways of reading agree with
/// each other, and the writer writes what was read.
pub fn bencode(data: &[u8]) {
    let mut skipping = Reader::new(data);
    let skipped = skipping.skip();
    let mut raw = Reader::new(data);
    let kept = raw.raw();
    assert_eq!(skipped.is_ok(), kept.is_ok());
    assert!(skipping.offset() <= data.len());
    match kept {
        Ok(kept) => {
            assert_eq!(kept, &data[..skipping.offset()]);
            assert!(is_one_value(kept));
            assert_eq!(is_one_value(data), kept.len() == data.len());
            accepted(kept);
        }
        Err(error) => {
            assert!(error.offset <= data.len(), "{error}");
            assert!(!is_one_value(data));
        }
    }
    // Reading without regard to what is there leads nowhere, but never out of bounds.
    let mut astray = Reader::new(data);
    for step in 0..data.len() {
        let _ = match data[step] % 7 {
            0 => astray.string().map(drop),
            1 => astray.integer().map(drop),
            2 => astray.key().map(drop),
            3 => astray.more().map(drop),
            4 => astray.enter_dictionary(),
            5 => astray.enter_list(),
            _ => astray.skip(),
        };
        assert!(astray.offset() <= data.len());
    }
}

fn accepted(kept: &[u8]) {
    let mut reader = Reader::new(kept);
    let Some(ours) = tree(&mut reader).expect("what was skipped can be read") else { return };
    assert_eq!(reader.offset(), kept.len());
    let theirs: Value = bt_bencode::from_slice(kept).expect("what we read they read");
    let canonical = bt_bencode::to_vec(&theirs).unwrap();
    assert_eq!(bt_bencode::to_vec(&ours).unwrap(), canonical);
    let mut buffer = vec![0; canonical.len()];
    let mut writer = Writer::new(&mut buffer);
    write(&mut writer, &theirs);
    assert_eq!(writer.written(), Ok(canonical.len()));
    assert_eq!(buffer, canonical);
}

/// KRPC: any bytes are decoded or refused, everything in a message can be asked for, and what is
/// sent on is read the same.
pub fn krpc(data: &[u8]) {
    let message = match krpc::decode(data) {
        Ok(message) => message,
        Err(error) => {
            let _ = error.to_string();
            assert_eq!(error == krpc::DecodeError::NotKrpc, data.first() != Some(&b'd'));
            return;
        }
    };
    assert!(message.transaction.len() <= TRANSACTION_MAX);
    let again = |written: Result<usize, EncodeError>, buffer: &[u8], same: &dyn Fn(&Body<'_>)| {
        let Ok(len) = written else { return };
        let mut whole = Reader::new(&buffer[..len]);
        assert!(tree(&mut whole).is_ok() && whole.offset() == len, "{}", buffer.escape_ascii());
        let sent = krpc::decode(&buffer[..len]).expect("what we write we read");
        assert_eq!(sent.transaction, message.transaction);
        assert_eq!(sent.version, message.version.filter(|version| version.len() == 4));
        assert_eq!(sent.external, message.external);
        same(&sent.body);
        // A byte less is too little.
        let mut short = buffer[..len - 1].to_vec();
        assert_eq!(rewrite(&message, &mut short), Err(EncodeError::NoRoom));
    };
    let mut buffer = vec![0; data.len() + DATAGRAM_MAX];
    let written = rewrite(&message, &mut buffer);
    match &message.body {
        Body::Query(query) => {
            ask_everything(query);
            again(written, &buffer, &|body| {
                let Body::Query(sent) = body else { panic!("a query became something else") };
                assert_eq!(sent.method, query.method);
                assert_eq!(sent.target(), query.target());
                assert_eq!(sent.token(), query.token());
                assert!(sent.argument(b"id").is_some());
            });
        }
        Body::Response(response) => {
            read_everything(response);
            again(written, &buffer, &|body| {
                let Body::Response(sent) = body else { panic!("a response became something else") };
                assert!(sent.nodes().eq(response.nodes()) && sent.nodes6().eq(response.nodes6()));
                assert!(sent.values().eq(response.values()));
                assert_eq!(sent.token(), response.token());
            });
        }
        Body::Error(error) => again(written, &buffer, &|body| {
            let Body::Error(sent) = body else { panic!("an error became something else") };
            assert_eq!(sent, error);
        }),
    }
}

/// Writes a message as an application would that passes it on.
fn rewrite(message: &Message<'_>, buffer: &mut [u8]) -> Result<usize, EncodeError> {
    let envelope = Envelope {
        transaction: message.transaction,
        version: message.version.and_then(|version| version.try_into().ok()),
        read_only: message.read_only,
        external: message.external,
    };
    let id = Id([7; 20]);
    match &message.body {
        Body::Query(query) => {
            let question = Question::Method { name: query.method, arguments: query.raw };
            encode_query(buffer, &envelope, id, &question)
        }
        Body::Response(response) => encode_response_raw(buffer, &envelope, response.raw, id),
        Body::Error(error) => encode_error(buffer, &envelope, error.code, error.message),
    }
}

fn ask_everything(query: &Query<'_>) {
    let _ = (query.id(), query.target(), query.info_hash(), query.token(), query.want());
    let _ = (query.implied_port(), query.seed(), query.no_seed(), query.scrape());
    let _ = (query.key(), query.signature(), query.salt(), query.sequence());
    let _ = (query.compare_and_swap(), query.value().map(is_one_value));
    assert_ne!(query.port(), Ok(0));
    if let Err(fault) = query.id() {
        assert!(fault.to_string().contains("`id`"));
    }
}

fn read_everything(response: &Response<'_>) {
    let _ = (response.id(), response.token(), response.seeds(), response.downloaders());
    let _ = (response.key(), response.signature(), response.sequence(), response.value());
    assert!(response.nodes().all(|node| node.addr.is_ipv4() && node.addr.port() != 0));
    assert!(response.nodes6().all(|node| node.addr.is_ipv6() && node.addr.port() != 0));
    assert!(response.values().all(|peer| peer.port() != 0));
    assert!(response.values().count() <= response.raw.len() / 8);
    if let Some(samples) = response.samples() {
        assert!(samples.info_hashes().count() <= response.raw.len() / 20);
    }
}

/// The UDP tracker protocol: what is read can be written, and reads the same again.
pub fn udp_tracker(data: &[u8]) {
    use tinybt_core::wire::udp_tracker::{
        Request, Response, decode_request, decode_response, encode_request, encode_response,
    };
    let mut buffer = vec![0; 2 * data.len() + DATAGRAM_MAX];
    if let Some((transaction, request)) = decode_request(data) {
        let len = encode_request(&mut buffer, transaction, &request).expect("room enough");
        let again = decode_request(&buffer[..len]).expect("written by us");
        match (request, again.1) {
            (
                Request::Announce { announce, url, .. },
                Request::Announce { announce: announce2, url: url2, .. },
            ) => {
                assert_eq!(announce, announce2);
                let all = |url: tinybt_core::wire::udp_tracker::UrlData<'_>| {
                    url.runs().flatten().copied().collect::<Vec<_>>()
                };
                assert_eq!(all(url), all(url2));
            }
            (Request::Scrape { hashes, .. }, Request::Scrape { hashes: hashes2, .. }) => {
                assert!(hashes.iter().take(74).eq(hashes2.iter()));
            }
            (one, two) => assert_eq!(one, two),
        }
    }
    if let Ok((transaction, response)) = decode_response(data) {
        for family in [tinybt_core::Family::V4, tinybt_core::Family::V6] {
            assert!(response.peers(family).count() <= data.len() / 6);
        }
        let len = encode_response(&mut buffer, transaction, &response).expect("room enough");
        let again = decode_response(&buffer[..len]).expect("written by us");
        match (response, again.1) {
            (Response::Scrape(counts), Response::Scrape(counts2)) => {
                assert!(counts.iter().take(74).eq(counts2.iter()));
            }
            (one, two) => assert_eq!(one, two),
        }
    }
}
