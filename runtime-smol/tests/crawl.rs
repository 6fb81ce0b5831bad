//! A crawl on one thread, on loopback.
#![allow(missing_docs)]

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};

use tinybt_core::dht::crawl::{CrawlEnd, Event};
use tinybt_core::limits::DATAGRAM_MAX;
use tinybt_core::wire::krpc::{self, Answer, Body, Envelope, SampleInfo};
use tinybt_core::{Contact, Id, InfoHash};
use tinybt_smol::{CrawlBuilder, crawl};

const COUNT: u8 = 20;

/// Nodes that tell one info-hash each, and everybody they know.
fn nodes() -> SocketAddr {
    let id = |index: u8| Id([index.wrapping_mul(53); 20]);
    let sockets: Vec<UdpSocket> =
        (0..COUNT).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let contacts = sockets
        .iter()
        .enumerate()
        .map(|(index, socket)| Contact { id: id(index as u8), addr: socket.local_addr().unwrap() });
    let all: Vec<Contact> = contacts.collect();
    let first = all[0].addr;
    for (index, socket) in sockets.into_iter().enumerate() {
        let (index, all) = (index as u8, all.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; DATAGRAM_MAX];
            while let Ok((len, from)) = socket.recv_from(&mut buffer) {
                let Ok(message) = krpc::decode(&buffer[..len]) else { continue };
                let Body::Query(query) = &message.body else { continue };
                let target = query.target().unwrap_or_default();
                let mut closest = all.clone();
                closest.sort_by_key(|contact| contact.id.distance(target));
                closest.truncate(8);
                let samples = SampleInfo { interval: 60, stored: 1, packed: &[index; 20] };
                let answer = Answer {
                    id: id(index),
                    nodes: Some(&closest),
                    samples: Some(samples),
                    ..Answer::default()
                };
                let envelope = Envelope { transaction: message.transaction, ..Envelope::default() };
                let mut reply = [0; DATAGRAM_MAX];
                let len = krpc::encode_response(&mut reply, &envelope, &answer).unwrap();
                let _ = socket.send_to(&reply[..len], from);
            }
        });
    }
    first
}

fn builder(entry: SocketAddr) -> CrawlBuilder {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    CrawlBuilder::default().bind(loopback).bootstrap([entry.to_string()]).rate(Some(1_000))
}

#[test]
fn a_crawl_finds_every_hash_and_ends() {
    let entry = nodes();
    smol::block_on(async {
        let (mut found, running) = crawl(builder(entry)).unwrap();
        let local = smol::LocalExecutor::new();
        let running = local.spawn(running);
        let hashes = local
            .run(async {
                let mut hashes = BTreeSet::new();
                while let Some(event) = found.next().await {
                    match event {
                        Event::Hash { info_hash } => assert!(hashes.insert(info_hash)),
                        Event::Ended { end, .. } => assert_eq!(end, CrawlEnd::Complete),
                        _ => {}
                    }
                }
                running.await.unwrap();
                hashes
            })
            .await;
        let all: BTreeSet<InfoHash> = (0..COUNT).map(|index| InfoHash([index; 20])).collect();
        assert_eq!(hashes, all);
    });
}

#[test]
fn who_drops_the_handle_or_the_future_finds_the_state_saved() {
    let entry = nodes();
    for drops_handle in [true, false] {
        let name = format!("smol-crawl-{drops_handle}.state");
        let path = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_file(&path);
        smol::block_on(async {
            let builder = builder(entry).state(&path).configure(|config| config.forever = true);
            let (mut found, running) = crawl(builder).unwrap();
            let local = smol::LocalExecutor::new();
            let running = local.spawn(running);
            local
                .run(async {
                    let told = found.next().await;
                    assert!(told.is_some());
                    assert!(found.progress().await.unwrap().asked > 0);
                    if drops_handle {
                        drop(found);
                        running.await.unwrap();
                    } else {
                        running.cancel().await;
                        while found.next().await.is_some() {}
                    }
                })
                .await;
        });
        assert!(std::fs::metadata(&path).unwrap().len() > 100);
    }
}
