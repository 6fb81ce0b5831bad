//! Items, counts and samples by the handle, on one thread (BEP 33, 44, 46, 51).
#![allow(missing_docs)]

use std::net::SocketAddr;
use std::time::Duration;

use smol::future::poll_once;
use smol::stream::StreamExt;
use smol::{LocalExecutor, block_on};
use tinybt_smol::core::dht::item::{SecretKey, Signer};
use tinybt_smol::core::dht::{Announcement, End, Port, Sought};
use tinybt_smol::core::follow::{Link, value_of};
use tinybt_smol::core::{Id, InfoHash};
use tinybt_smol::{Builder, Dht, Error, OwnedItem};

fn local() -> Builder {
    Dht::builder().bind("127.0.0.1:0".parse().unwrap()).private()
}

fn addr(dht: &Dht) -> SocketAddr {
    dht.local_addrs()[0]
}

/// A test with ten nodes that know each other.
fn with_ten(test: impl AsyncFnOnce(Vec<Dht>)) {
    let executor = LocalExecutor::new();
    block_on(executor.run(async {
        let mut all: Vec<Dht> = Vec::new();
        for index in 0..10 {
            let entry: Vec<_> = all.iter().take(1).map(|dht| addr(dht).to_string()).collect();
            let (dht, running) = local().bootstrap(entry).start().unwrap();
            executor.spawn(running).detach();
            if index > 0 {
                dht.find_node(Id([index; 20])).unwrap().finish().await.unwrap();
            }
            all.push(dht);
        }
        test(all).await;
    }));
}

#[test]
fn items_are_stored_found_and_replaced() {
    with_ten(async |all| {
        let key = SecretKey::from_seed([3; 32]);
        let immutable = OwnedItem::immutable(*b"12:Hello World!");
        let mut put = all[2].put(&immutable, None).unwrap();
        assert!(put.finish().await.unwrap()[0].outcome.stored >= 5);
        let get = all[7].get(&Sought::at(immutable.target())).unwrap();
        // As a stream, which ends when the lookup does.
        let found: Vec<OwnedItem> = StreamExt::collect(get).await;
        assert_eq!(found, [immutable]);

        for (seq, value) in [(1, b"1:a"), (2, b"1:b"), (2, b"1:b")] {
            let published = all[seq as usize].publish(&key, b"a", value).await.unwrap();
            assert_eq!(published.item.seq(), Some(seq), "{published:?}");
        }
        let old = OwnedItem::sign(&key, b"a", 1, *b"1:z").unwrap();
        let mut put = all[8].put(&old, None).unwrap();
        assert_eq!(put.next().await.and_then(|item| item.seq()), Some(2));
        assert_eq!(put.finish().await.unwrap()[0].outcome.end, End::Outdated);
        let error = all[1].put(&OwnedItem::immutable(*b"rubbish"), None).unwrap_err();
        assert!(matches!(error, Error::Item(_)), "{error}");
    });
}

#[test]
fn a_torrent_that_changes_is_followed_and_kept() {
    with_ten(async |all| {
        let key = SecretKey::from_seed([5; 32]);
        let link = Link::new(key.key(), b"x").unwrap();
        let brief = Duration::from_millis(20);
        let mut follow = all[6].follow(&link, brief);
        for torrent in [InfoHash([1; 20]), InfoHash([2; 20])] {
            all[2].publish(&key, b"x", &value_of(torrent)).await.unwrap();
            // A future that is dropped takes nothing with it.
            assert!(poll_once(follow.next()).await.is_none());
            assert_eq!(follow.next().await.unwrap().info_hash, torrent);
        }
        let item = OwnedItem::immutable(*b"4:kept");
        let mut keep = all[3].keep(item.clone(), brief).unwrap();
        for _ in 0..3 {
            let published = keep.next().await.unwrap();
            assert_eq!(published.item, item);
            assert!(published.stored() >= 5);
        }
    });
}

#[test]
fn swarms_are_counted_sampled_and_the_network_measured() {
    with_ten(async |all| {
        let info_hash = InfoHash([8; 20]);
        let seed = Announcement { port: Port::Number(1), seed: true };
        all[1].announce(info_hash, seed).unwrap().finish().await.unwrap();
        let mut scrape = all[5].scrape(info_hash).unwrap();
        let swarm = scrape.finish().await.unwrap()[0].swarm.unwrap();
        let counts = (swarm.seeds.count.round(), swarm.downloaders.count.round());
        assert_eq!(counts, (1.0, 0.0), "{swarm:?}");
        let mut holders = 0;
        for dht in &all {
            let sampled = all[0].ask_samples(addr(dht), Id([0; 20])).await.unwrap();
            holders += usize::from(sampled.info_hashes == [info_hash]);
        }
        assert!(holders >= 5, "{holders} of ten");
        let size = all[9].measure(4).await.unwrap().v4.unwrap();
        assert!(size.low <= 12 && size.high >= 8, "{size:?}");
    });
}
