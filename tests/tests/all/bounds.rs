//! What a node costs: memory without an allocator, allocations with one, wake-ups in idle.

use std::time::Duration;

use chacha20::ChaCha8Rng;
use rand_core::SeedableRng;
use tinybt_core::dht::{Config, Event, Node};
use tinybt_core::wire::krpc::{self, Question};
use tinybt_core::{Family, Instant, Machine, Step, buffer};
use tinybt_tests::counting;
use tinybt_tests::net::{Link, Network};
use tinybt_tests::nodes::{addr, id, network, node};
use tinybt_tests::subjects::answer;

tinybt_core::storage! {
    /// Eight lookups and the node's own.
    struct Eight {
        lookups: 9,
        in_flight: 64,
        asks: 2,
        questions: 1,
        replies: 4,
        buckets: 20,
        peers_per_lookup: 100,
        hops: 16,
        peers_stored: 100,
        items: 0,
        shunned: 24,
        sources: 32,
    }
}

type Inline = Node<Eight, ChaCha8Rng>;

#[test]
fn a_node_of_eight_lookups_fits_into_96_kib() {
    assert!(size_of::<Inline>() <= 96 * 1024, "{} bytes", size_of::<Inline>());
}

#[test]
fn an_inline_node_finds_its_way() {
    let mut network = network(11, 60, Link::default());
    let mut inner: Network<Inline> = Network::new(1, Link::default());
    // The node without an allocator speaks to those with one through the same datagrams.
    let me = addr(5_000);
    let mut config = Config::private(Family::V4);
    config.id = Some(id(11, 5_000));
    let mut inline: Inline = Node::new(config, Eight, ChaCha8Rng::seed_from_u64(1));
    inline.add_source(addr(0));
    let target = id(3, 3);
    let mut now = network.now();
    let lookup = inline.find_node(now, target).unwrap();
    let mut buffer = buffer();
    let mut closest = Vec::new();
    let mut truth: Vec<_> = (0..60).map(|index| id(11, index)).collect();
    truth.sort_by_key(|id| id.distance(target));
    truth.truncate(8);
    while closest.is_empty() && now < network.now() + Duration::from_secs(30) {
        match inline.step(now, &mut buffer) {
            Step::Send(transmit) => {
                let query = buffer[..transmit.len].to_vec();
                let host = transmit.to;
                let reply = network.command(host, |node, now| {
                    node.handle_datagram(now, me, &query).unwrap();
                    let mut buffer = tinybt_core::buffer();
                    loop {
                        match node.step(now, &mut buffer) {
                            Step::Send(transmit) if transmit.to == me => {
                                break buffer[..transmit.len].to_vec();
                            }
                            Step::Wait(_) => panic!("no reply"),
                            _ => {}
                        }
                    }
                });
                inline.handle_datagram(now, host, &reply).unwrap();
            }
            Step::Event(Event::Finished { .. }) => {
                closest = inline.closest(lookup).map(|contact| contact.id).collect();
            }
            Step::Event(_) => {}
            Step::Wait(deadline) => now = deadline.unwrap(),
        }
    }
    assert_eq!(closest, truth);
    inner.run_for(Duration::from_secs(1));
}

#[test]
fn an_idle_node_wakes_for_its_deadlines_alone() {
    let mut network = network(12, 300, Link::default());
    network.run_for(Duration::from_secs(3_600));
    let before = network.traffic;
    let hour = 3_600;
    network.run_for(Duration::from_secs(hour));
    let wakeups = (network.traffic.wakeups - before.wakeups) as f64 / (300.0 * hour as f64);
    let sent = (network.traffic.sent - before.sent) as f64 / (300.0 * hour as f64);
    let nodes = network.machine(addr(0)).status(network.now()).nodes_good;
    assert!(sent <= 0.5, "{sent} datagrams a second");
    assert!(nodes >= 30, "{nodes}");
    assert!(wakeups <= 1.0, "{wakeups} wake-ups a second");
}

#[test]
fn no_datagram_allocates() {
    let now = Instant::from_secs(1_000);
    let mut config = Config::private(Family::V4);
    // A lookup allocates its rows when it begins, and the node would begin one of its own.
    config.upkeep.bootstrap = false;
    let mut node = node(1, config);
    let mut buffer = buffer();
    node.add_source(addr(0));
    node.get_peers(now, tinybt_core::InfoHash([7; 20])).unwrap();
    let mut queries = Vec::new();
    for question in [
        Question::Ping,
        Question::FindNode { target: id(1, 1), want: None },
        Question::GetPeers {
            info_hash: tinybt_core::InfoHash([7; 20]),
            want: None,
            no_seed: false,
            scrape: false,
        },
        Question::Method { name: b"vote", arguments: b"de" },
    ] {
        let envelope = krpc::Envelope {
            transaction: b"abcd",
            version: None,
            read_only: false,
            external: None,
        };
        let mut bytes = vec![0; 500];
        let len = krpc::encode_query(&mut bytes, &envelope, id(9, 9), &question).unwrap();
        bytes.truncate(len);
        queries.push(bytes);
    }
    let mut count = 0;
    let mut grown = 0;
    let mut answers = Vec::with_capacity(100);
    for round in 0..100u8 {
        if round == 50 {
            node.get_peers(now, tinybt_core::InfoHash([7; 20])).unwrap();
        }
        // What a stranger would do happens outside of the count.
        let mut sent = Vec::with_capacity(100);
        let ((), allocations) = counting::allocations(|| {
            for query in &queries {
                node.handle_datagram(now, addr(700), query).unwrap();
            }
            for (from, bytes) in &answers {
                let _: &Vec<u8> = bytes;
                let _ = node.handle_datagram(now, *from, bytes);
            }
            loop {
                match node.step(now, &mut buffer) {
                    Step::Send(transmit) => {
                        let mut copy = heapless::Vec::<u8, 1_472>::new();
                        copy.extend_from_slice(&buffer[..transmit.len]).unwrap();
                        sent.push((transmit.to, copy));
                    }
                    Step::Event(_) => {}
                    Step::Wait(_) => break,
                }
            }
        });
        count += sent.len();
        // Rows are allocated as they are needed for the first time, and not for the second lookup.
        grown += allocations;
        assert!(allocations == 0 || round < 50, "{allocations} in round {round}");
        answers = sent
            .iter()
            .filter(|(_, bytes)| bytes.windows(6).any(|window| window == b"1:y1:q"))
            .map(|(to, bytes)| (*to, answer(bytes, (round % 50).wrapping_mul(5))))
            .collect();
    }
    assert!(count > 150, "{count} datagrams");
    assert!(grown < 62, "{grown} allocations");
}

#[test]
fn a_thousand_udp_trackers_cost_less_than_2_kib_each() {
    use tinybt_core::tracker::udp::{Inline as Rows, UdpTrackers};
    type Thousand = UdpTrackers<Rows<1_000, 64, 1_000, 8>, ChaCha8Rng>;
    assert!(size_of::<Thousand>() / 1_000 <= 2_048, "{}", size_of::<Thousand>() / 1_000);
    // One with a single server fits where there is little.
    type One = UdpTrackers<Rows<1, 64, 2, 2>, ChaCha8Rng>;
    assert!(size_of::<One>() <= 3 * 1_024, "{}", size_of::<One>());
}

#[test]
fn announcing_to_a_udp_tracker_allocates_nothing() {
    use tinybt_core::tracker::udp::Patience;
    use tinybt_tests::tracker_subjects::{announce, answer, trackers};

    let (mut machine, servers) = trackers(1, 4);
    let now = Instant::from_secs(1_000);
    let mut out = buffer();
    let mut replies = std::collections::HashMap::new();
    let mut total = 0;
    for round in 0..20 {
        machine.announce(servers[0], announce(1), Patience::BEP_15).unwrap();
        loop {
            let (step, count) = counting::allocations(|| machine.step(now, &mut out));
            total += count;
            match step {
                Step::Send(sent) => {
                    let reply = answer(&out[..sent.len], 0);
                    let (_, count) =
                        counting::allocations(|| machine.handle_datagram(now, sent.to, &reply));
                    total += count;
                    replies.insert(round, reply.len());
                }
                Step::Event(event) => {
                    let (_, count) =
                        counting::allocations(|| machine.peers(event.request()).count());
                    total += count;
                }
                Step::Wait(_) => break,
            }
        }
    }
    assert_eq!((replies.len(), total), (20, 0));
}
