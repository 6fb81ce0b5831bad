//! Items, counts and samples by the handle, on loopback (BEP 33, 44, 46, 51).
#![allow(missing_docs)]

use std::net::SocketAddr;
use std::time::Duration;

use tinybt_std::core::dht::item::{ItemError, SecretKey, SignError, Signature, Signer};
use tinybt_std::core::dht::{Announcement, End, Port, Sought};
use tinybt_std::core::follow::{Link, value_of};
use tinybt_std::core::{Id, InfoHash};
use tinybt_std::{Builder, Dht, Error, Found, OwnedItem};

fn local() -> Builder {
    Dht::builder().bind("127.0.0.1:0".parse().unwrap()).private()
}

fn addr(dht: &Dht) -> SocketAddr {
    dht.local_addrs()[0]
}

/// Nodes that know each other, each after having looked for itself.
fn few(count: usize) -> Vec<Dht> {
    let first = local().start().unwrap();
    let mut all = vec![first.clone()];
    for index in 1..count {
        let dht = local().bootstrap([addr(&first).to_string()]).start().unwrap();
        dht.find_node(Id([index as u8; 20])).unwrap().finish().unwrap();
        all.push(dht);
    }
    all
}

#[test]
fn items_are_stored_found_and_replaced() {
    let all = few(10);
    let key = SecretKey::from_seed([3; 32]);
    let none = all[1].get(&Sought::of_key(&key.key(), b"a")).unwrap().next();
    assert_eq!(none, None);

    let immutable = OwnedItem::immutable(*b"12:Hello World!");
    let mut put = all[2].put(&immutable, None).unwrap();
    let stored = put.finish().unwrap()[0].outcome.stored;
    assert!(stored >= 5, "{stored}");
    let mut get = all[7].get(&Sought::at(immutable.target())).unwrap();
    assert_eq!(get.next(), Some(immutable.clone()));
    let finished = get.finish().unwrap();
    assert_eq!(finished[0].item.as_ref(), Some(&immutable));
    assert!(finished[0].copies.unwrap().newest >= 5);

    // Two write in turn, each what comes after the other's.
    for (seq, value) in [(1, b"1:a"), (2, b"1:b"), (3, b"1:c"), (3, b"1:c")] {
        let published = all[seq as usize].publish(&key, b"a", value).unwrap();
        assert_eq!(published.item.seq(), Some(seq), "{published:?}");
        assert!(published.stored() >= 5);
    }
    let newest = all[5].get(&Sought::of_key(&key.key(), b"a")).unwrap().last().unwrap();
    assert_eq!((newest.seq(), newest.value()), (Some(3), &b"1:c"[..]));
    assert_eq!((newest.salt(), newest.key().unwrap().0), (&b"a"[..], key.key()));

    // An older one is not stored, and the newer is told.
    let old = OwnedItem::sign(&key, b"a", 2, *b"1:z").unwrap();
    let mut put = all[8].put(&old, None).unwrap();
    assert_eq!(put.next_within(Duration::from_secs(60)), Found::Something(newest));
    assert_eq!(put.finish().unwrap()[0].outcome.end, End::Outdated);
}

#[test]
fn what_nobody_would_store_is_told_at_once() {
    let dht = local().start().unwrap();
    for (value, why) in [
        (b"rubbish".to_vec(), ItemError::Bencoding),
        (format!("997:{}", "x".repeat(997)).into_bytes(), ItemError::TooBig),
    ] {
        let error = dht.put(&OwnedItem::immutable(value), None).unwrap_err();
        assert!(matches!(error, Error::Item(told) if told == why), "{error}");
    }
    let key = SecretKey::from_seed([4; 32]);
    let error = dht.publish(&key, &[0; 65], b"0:").unwrap_err();
    assert!(matches!(error, Error::Item(ItemError::SaltTooBig)), "{error}");

    /// A key that nobody has.
    struct Lost;
    impl Signer for Lost {
        fn key(&self) -> [u8; 32] {
            [9; 32]
        }
        fn sign(&self, _: &[u8]) -> Result<Signature, SignError> {
            Err(SignError::Key)
        }
    }
    let error = dht.publish(&Lost, b"", b"0:").unwrap_err();
    assert!(matches!(error, Error::Sign(SignError::Key)), "{error}");
}

#[test]
fn a_torrent_that_changes_is_followed_and_kept() {
    let all = few(10);
    let key = SecretKey::from_seed([5; 32]);
    let link = Link::new(key.key(), b"x").unwrap();
    let brief = Duration::from_millis(20);
    let mut follow = all[6].follow(&link, brief);
    assert!(follow.next_within(Duration::from_millis(50)).is_none(), "there is nothing yet");
    for torrent in [InfoHash([1; 20]), InfoHash([2; 20])] {
        all[2].publish(&key, b"x", &value_of(torrent)).unwrap();
        let change = follow.next_within(Duration::from_secs(60)).unwrap().unwrap();
        assert_eq!(change.info_hash, torrent);
    }
    let item = OwnedItem::immutable(*b"4:kept");
    let mut keep = all[3].keep(item.clone(), brief).unwrap();
    for _ in 0..3 {
        let published = keep.next_within(Duration::from_secs(60)).unwrap().unwrap();
        assert_eq!(published.item, item);
        assert!(published.stored() >= 5);
    }
}

#[test]
fn swarms_are_counted_sampled_and_the_network_measured() {
    let all = few(10);
    let info_hash = InfoHash([8; 20]);
    let seed = Announcement { port: Port::Number(1), seed: true };
    all[1].announce(info_hash, seed).unwrap().finish().unwrap();
    let mut scrape = all[5].scrape(info_hash).unwrap();
    let swarm = scrape.finish().unwrap()[0].swarm.unwrap();
    let counts = (swarm.seeds.count.round(), swarm.downloaders.count.round());
    assert_eq!(counts, (1.0, 0.0), "{swarm:?}");
    // A seed has no use for seeds.
    all[2].announce(info_hash, Port::Number(2)).unwrap().finish().unwrap();
    let others: Vec<_> = all[4].get_downloaders(info_hash).unwrap().collect();
    assert_eq!(others, ["127.0.0.1:2".parse().unwrap()]);

    let samples = all.iter().map(|dht| all[0].ask_samples(addr(dht), Id([0; 20])).unwrap());
    let holders = samples.filter(|sampled| sampled.info_hashes == [info_hash]).count();
    assert!(holders >= 5, "{holders} of ten");

    let size = all[9].measure(4).unwrap().v4.unwrap();
    assert!(size.low <= 12 && size.high >= 8, "{size:?}");
}

/// Threads of this process.
#[cfg(target_os = "linux")]
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
#[cfg(target_os = "linux")]
fn what_is_followed_and_kept_costs_no_thread_each() {
    let dht = local().start().unwrap();
    let before = threads();
    let hour = Duration::from_secs(3_600);
    let waiting: Vec<_> = (0..200)
        .map(|index| {
            let link = Link::new([index; 32], b"").unwrap();
            let mut follow = dht.follow(&link, hour);
            // Until it has looked once, and waits.
            while follow.next_within(Duration::from_millis(1)).is_some_and(|told| told.is_err()) {}
            let item = OwnedItem::immutable(format!("i{index}e"));
            let mut keep = dht.keep(item, hour).unwrap();
            keep.next_within(Duration::from_secs(60)).unwrap().unwrap();
            assert!(keep.next_within(Duration::ZERO).is_none());
            (follow, keep)
        })
        .collect();
    // Tests run beside each other, and each has some of its own.
    assert!(threads() < before + 150, "{} threads, {before} before", threads());
    drop(waiting);
    assert!(dht.stop().is_ok(), "and nothing waits for an hour");
}
