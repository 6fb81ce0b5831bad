//! Networks of real nodes in virtual time: what a lookup finds against the truth.

use std::time::Duration;

use tinybt_core::dht::{Config, End, Event, Port};
use tinybt_core::{Family, Id, InfoHash};
use tinybt_tests::net::{Delay, Link};
use tinybt_tests::nodes::{TestNode, addr, id, network, node};

#[test]
fn lookups_among_a_thousand_nodes_find_the_truly_closest() {
    let (seed, count) = (1, 1_000);
    let mut network = network(seed, count, Link::default());
    let (mut wanted, mut found) = (0, 0);
    for lookup in 0..50 {
        let target = id(99, lookup);
        let asker = addr(lookup * 17 % count);
        let mut truth: Vec<Id> = (0..count).map(|index| id(seed, index)).collect();
        truth.retain(|id| *id != network.machine(asker).id());
        truth.sort_by_key(|id| id.distance(target));
        truth.truncate(8);

        network.events.clear();
        let row = network.command(asker, |node, now| node.find_node(now, target)).unwrap();
        let closest = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
        let seen = closest.clone();
        network.watch(move |_, _, node, event| {
            if matches!(event, Event::Finished { lookup, .. } if *lookup == row) {
                seen.borrow_mut().extend(node.closest(row).map(|contact| contact.id));
            }
        });
        let until = network.now() + Duration::from_secs(30);
        assert!(network.run_while(until, |_| closest.borrow().is_empty()));
        wanted += 8;
        found += truth.iter().filter(|id| closest.borrow().contains(id)).count();
    }
    assert!(found * 1_000 >= wanted * 990, "{found} of {wanted}");
}

#[test]
fn an_announced_peer_is_found_by_everybody() {
    let mut network = network(2, 200, Link { loss: 20, ..Link::default() });
    let info_hash = InfoHash(id(5, 5).0);
    network
        .command(addr(3), |node, now| node.announce(now, info_hash, Port::Number(4_242)))
        .unwrap();
    network.run_for(Duration::from_secs(30));
    let announced = network.events.iter().find_map(|(_, _, event)| match event {
        Event::Finished { outcome, .. } => Some(*outcome),
        _ => None,
    });
    let announced = announced.expect("the announce ends");
    assert_eq!(announced.end, End::Complete);
    assert!(announced.stored >= 7, "{announced:?}");

    let peer = std::net::SocketAddr::new(addr(3).ip(), 4_242);
    for asker in [10, 50, 150, 199] {
        network.events.clear();
        network.command(addr(asker), |node, now| node.get_peers(now, info_hash)).unwrap();
        network.run_for(Duration::from_secs(30));
        let told = network.events.iter();
        let told: Vec<_> = told
            .filter_map(|(_, _, event)| match event {
                Event::Peer { peer, .. } => Some(*peer),
                _ => None,
            })
            .collect();
        assert_eq!(told, [peer], "each peer once");
    }
}

#[test]
fn whoever_is_far_from_everybody_gets_in_and_finds() {
    for millis in [900, 1_300, 1_900] {
        let mut network = network(3, 200, Link::default());
        let info_hash = InfoHash(id(5, 6).0);
        let announce = |node: &mut TestNode, now| node.announce(now, info_hash, Port::Number(7));
        network.command(addr(3), announce).unwrap();
        network.run_for(Duration::from_secs(30));

        network.link.delay = Delay::Constant(Duration::from_millis(millis));
        let mut stranger = node(9, Config::new(Family::V4));
        stranger.add_source(addr(100));
        network.add(addr(1_000), stranger);
        network.events.clear();
        network.command(addr(1_000), |node, now| node.get_peers(now, info_hash)).unwrap();
        network.run_for(Duration::from_secs(60));
        let end = network.events.iter().find_map(|(_, at, event)| match event {
            Event::Finished { outcome, .. } if *at == addr(1_000) => Some(*outcome),
            _ => None,
        });
        let end = end.expect("the lookup ends");
        assert_eq!((end.end, end.peers), (End::Complete, 1), "{millis} ms each way: {end:?}");
    }
}
