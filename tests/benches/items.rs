//! What an item costs a node that keeps them: `cargo bench --bench items`.
//!
//! A store of 500 items that is full; the times are of one datagram in and its reply out.
#![allow(missing_docs, clippy::print_stdout)]

use std::hint::black_box;
use std::time::Instant as Clock;

use tinybt_core::dht::item::{SecretKey, Signer, immutable_target, mutable_target, sign};
use tinybt_core::dht::items::ItemMapLimits;
use tinybt_core::dht::{Config, Heap, Node};
use tinybt_core::wire::krpc::{self, Body, Envelope, Question};
use tinybt_core::{Family, Id, Instant, Machine, Step, buffer};
use tinybt_tests::nodes::{TestNode, addr, fill, id, small};

const NOW: Instant = Instant::from_secs(86_400);

fn exchange(node: &mut TestNode, from: usize, question: &Question<'_>) -> (f64, Vec<u8>) {
    let mut bytes = vec![0; 1_500];
    let envelope = Envelope { transaction: b"abcd", ..Envelope::default() };
    let len = krpc::encode_query(&mut bytes, &envelope, id(1, 1), question).unwrap();
    let mut out = buffer();
    let started = Clock::now();
    node.handle_datagram(NOW, addr(from), black_box(&bytes[..len])).unwrap();
    let Step::Send(sent) = node.step(NOW, &mut out) else { panic!("no reply") };
    (started.elapsed().as_secs_f64() * 1e6, out[..sent.len].to_vec())
}

fn token(node: &mut TestNode, from: usize, target: Id) -> Vec<u8> {
    let (_, reply) = exchange(node, from, &Question::Get { target, seq: None, want: None });
    match krpc::decode(&reply).unwrap().body {
        Body::Response(response) => response.token().unwrap().to_vec(),
        _ => panic!("not a response"),
    }
}

fn main() {
    let mut config = Config::private(Family::V4);
    config.upkeep.bootstrap = false;
    config.upkeep.verify = false;
    let heap = Heap { items_stored: ItemMapLimits::default(), ..small() };
    let mut node = Node::new(config, heap, rand_core::SeedableRng::seed_from_u64(1));
    fill(&mut node);
    let secret = SecretKey::from_seed([1; 32]);
    let key = secret.key();
    let value = |n: usize| format!("{}:{n:0300}", 300).into_bytes();
    let mut times: Vec<(&str, Vec<f64>)> = ["put, immutable", "put, mutable", "put again", "get"]
        .map(|name| (name, Vec::new()))
        .to_vec();
    let put_immutable = |node: &mut TestNode, n: usize| {
        let value = value(n);
        let target = immutable_target(&value);
        let token = self::token(node, n, target);
        exchange(node, n, &Question::PutImmutable { target, token: &token, value: &value }).0
    };
    for n in 0..499 {
        put_immutable(&mut node, n);
    }
    let salt = b"salt";
    let target = mutable_target(&key, salt);
    let token = token(&mut node, 7, target);
    for n in 0..3_000 {
        let value = value(n);
        let signature = &sign(&secret, salt, n as i64, &value).unwrap();
        let put = Question::PutMutable {
            target,
            token: &token,
            value: &value,
            key: &key,
            signature,
            seq: n as i64,
            salt,
            cas: None,
        };
        times[1].1.push(exchange(&mut node, 7, &put).0);
        times[2].1.push(exchange(&mut node, 7, &put).0);
        let get = Question::Get { target, seq: None, want: None };
        times[3].1.push(exchange(&mut node, 7, &get).0);
    }
    for n in 499..3_499 {
        times[0].1.push(put_immutable(&mut node, n));
    }
    assert_eq!(node.stats().items_told, 3_000);
    println!("{:?} items kept", node.status(NOW).items);
    for (name, mut times) in times {
        times.sort_by(f64::total_cmp);
        println!("{name}: {:.1} µs, the slowest of a hundred {:.1}", times[1_500], times[2_970]);
    }
}
