//! Items, counts and samples by the handle, on loopback (BEP 33, 44, 46, 51).
#![allow(missing_docs)]

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use tinybt_std::core::dht::item::{ItemError, SecretKey, SignError, Signature, Signer};
use tinybt_std::core::dht::{Announcement, End, Port, Sought};
use tinybt_std::core::follow::{Link, value_of};
use tinybt_std::core::wire::krpc::{self, Answer, Body, Envelope};
use tinybt_std::core::{Id, InfoHash};
use tinybt_std::{Builder, Dht, Error, Found, OwnedItem};

fn local() -> Builder {
    Dht::builder().bind("127.0.0.1:0".parse().unwrap()).private()
}

fn addr(dht: &Dht) -> SocketAddr {
    dht.local_addrs()[0]
}

fn few(count: usize) -> Vec<Dht> {
    few_at("127.0.0.1:0", count)
}

/// Nodes that know each other, each after having looked for itself.
fn few_at(bind: &str, count: usize) -> Vec<Dht> {
    let local = || Dht::builder().bind(bind.parse().unwrap()).private();
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

/// A node of both families that begins at one of each.
fn both(v4: &Dht, v6: &Dht) -> Dht {
    let names = [v4, v6].map(|dht| addr(dht).to_string());
    local().bind("[::1]:0".parse().unwrap()).bootstrap(names).start().unwrap()
}

#[test]
fn no_family_rolls_the_other_back() {
    let key = SecretKey::from_seed([9; 32]);
    for (v4_seq, v6_seq) in [(7, 5), (5, 7)] {
        let (v4, v6) = (few(3), few_at("[::1]:0", 3));
        for (dht, seq, value) in [(&v4[1], v4_seq, "4:four"), (&v6[1], v6_seq, "3:six")] {
            let item = OwnedItem::sign(&key, b"", seq, value.as_bytes()).unwrap();
            assert!(dht.put(&item, None).unwrap().finish().unwrap()[0].outcome.stored > 0);
        }
        let mut get = both(&v4[0], &v6[0]).get(&Sought::of_key(&key.key(), b"")).unwrap();
        let told: Vec<_> = get.by_ref().map(|item| item.seq().unwrap()).collect();
        assert!(told.is_sorted() && told.last() == Some(&7), "{told:?}");
        assert_eq!(get.finish().unwrap().len(), 2);
    }
}

#[test]
fn what_is_followed_is_kept_alive_in_both_families() {
    let key = SecretKey::from_seed([11; 32]);
    let (v4, v6) = (few(10), few_at("[::1]:0", 10));
    let item = OwnedItem::sign(&key, b"", 1, value_of(InfoHash([1; 20]))).unwrap();
    assert!(v4[1].put(&item, None).unwrap().finish().unwrap()[0].outcome.stored > 0);
    let link = Link::new(key.key(), b"").unwrap();
    let mut follow = both(&v4[0], &v6[0]).follow(&link, Duration::from_secs(3_600));
    assert_eq!(follow.next_within(Duration::from_secs(60)).unwrap().unwrap().seq, 1);
    // It was put again before it was told.
    let holders = v6.iter().filter(|dht| dht.overview().unwrap().v6.unwrap().0.items > 0).count();
    assert!(holders > 0);
}

#[test]
fn who_was_outrun_each_time_is_told() {
    // Whoever is asked knows nothing, and refuses what is put since it has a newer one.
    let late = UdpSocket::bind("127.0.0.1:0").unwrap();
    let name = late.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let (mut bytes, mut out) = ([0; 2_000], [0; 2_000]);
        while let Ok((len, from)) = late.recv_from(&mut bytes) {
            let message = krpc::decode(&bytes[..len]).unwrap();
            let Body::Query(asked) = &message.body else { continue };
            let envelope = Envelope { transaction: message.transaction, ..Envelope::default() };
            let answer = Answer { id: Id([3; 20]), token: Some(b"token"), ..Answer::default() };
            let len = match asked.method {
                b"put" => krpc::encode_error(&mut out, &envelope, 302, b"newer").unwrap(),
                _ => krpc::encode_response(&mut out, &envelope, &answer).unwrap(),
            };
            late.send_to(&out[..len], from).unwrap();
        }
    });
    let dht = local().bootstrap([name]).start().unwrap();
    let error = dht.publish(&SecretKey::from_seed([5; 32]), b"", b"4:mine").unwrap_err();
    assert!(matches!(error, Error::Outdated), "{error}");
}
