//! The codec allocates nothing, whatever it reads or writes.

use tinybt_core::wire::krpc::{
    self, Answer, Body, Envelope, Question, Values, encode_error, encode_query, encode_response,
    encode_response_raw,
};
use tinybt_core::{Contact, Family, Id, InfoHash};
use tinybt_tests::counting::{Counting, allocations};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn the_counter_counts() {
    let (_, count) = allocations(|| std::hint::black_box(vec![1u8; 10]));
    assert_eq!(count, 1);
}

#[test]
fn the_codec_allocates_nothing() {
    let contact = Contact { id: Id([9; 20]), addr: ([1, 2, 3, 4], 5).into() };
    let envelope =
        Envelope { transaction: b"abcd", external: Some(contact.addr), ..Envelope::default() };
    let packed = [8; 6 * 50];
    let (read, count) = allocations(|| {
        let mut read = 0;
        let mut buffer = [0; 1472];
        let b = &mut buffer;
        let answer = Answer {
            id: contact.id,
            nodes: Some(&[contact; 8]),
            token: Some(b"token"),
            values: Some(Values { family: Family::V4, packed: [&packed, &[]] }),
            ..Answer::default()
        };
        let len = encode_response(b, &envelope, &answer).unwrap();
        let message = krpc::decode(&b[..len]).unwrap();
        if let Body::Response(response) = &message.body {
            read += response.nodes().count() + response.values().count();
            read += usize::from(response.samples().is_none() && response.value().is_none());
        }
        let question = Question::GetPeers {
            info_hash: InfoHash([3; 20]),
            want: None,
            no_seed: true,
            scrape: true,
        };
        let len = encode_query(b, &envelope, contact.id, &question).unwrap();
        let message = krpc::decode(&b[..len]).unwrap();
        if let Body::Query(query) = &message.body {
            read += usize::from(query.info_hash().is_ok() && query.scrape());
        }
        let len = encode_error(b, &envelope, 203, b"`id` is missing").unwrap();
        read += usize::from(krpc::decode(&b[..len]).is_ok());
        let len = encode_response_raw(b, &envelope, b"d1:ai1e1:zi2ee", contact.id).unwrap();
        read += usize::from(krpc::decode(&b[..len]).is_ok());
        read + usize::from(krpc::decode(b"d1:ad1:al").is_err())
    });
    assert_eq!((read, count), (8 + 50 + 1 + 1 + 1 + 1 + 1, 0));
}
