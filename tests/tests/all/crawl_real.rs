//! A crawler among real nodes, who were told of peers by real announces.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use tinybt_core::dht::crawl::{self, CrawlConfig, CrawlEnd, Progress};
use tinybt_core::dht::{Config, Port};
use tinybt_core::{Buffer, Family, Ignored, InfoHash, Instant, Machine, Transmit};
use tinybt_tests::crawl_world::{TestCrawler, crawler, hash};
use tinybt_tests::net::{Link, Network};
use tinybt_tests::nodes::{TestNode, addr, id, node};

/// Nodes and a crawler on one network.
enum Host {
    Node(Box<TestNode>),
    Crawler(Box<TestCrawler>),
}

impl Machine for Host {
    type Event = Option<crawl::Event>;

    fn handle_datagram(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Ignored> {
        match self {
            Host::Node(node) => node.handle_datagram(now, from, datagram),
            Host::Crawler(crawler) => crawler.handle_datagram(now, from, datagram),
        }
    }

    fn poll_transmit(&mut self, now: Instant, buffer: &mut Buffer) -> Option<Transmit> {
        match self {
            Host::Node(node) => node.poll_transmit(now, buffer),
            Host::Crawler(crawler) => crawler.poll_transmit(now, buffer),
        }
    }

    fn poll_event(&mut self) -> Option<Self::Event> {
        match self {
            Host::Node(node) => node.poll_event().map(|_| None),
            Host::Crawler(crawler) => crawler.poll_event().map(Some),
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Host::Node(node) => node.poll_timeout(),
            Host::Crawler(crawler) => crawler.poll_timeout(),
        }
    }
}

/// Nodes that have found each other, and tell another sample every five minutes.
fn network(count: usize) -> Network<TestNode> {
    let mut network = Network::new(3, Link::default());
    for index in 0..count {
        let mut config = Config::private(Family::V4);
        config.id = Some(id(3, index));
        config.sample_interval = Duration::from_secs(300);
        let mut node = node(index as u64, config);
        node.add_source(addr(index / 2));
        network.add(addr(index), node);
        if index % 10 == 9 {
            network.run_for(Duration::from_secs(1));
        }
    }
    network.run_for(Duration::from_secs(60));
    network
}

#[test]
fn three_hundred_real_nodes_tell_what_was_announced_to_them() {
    // Sixty-four a node, of which forty-three fit into an answer.
    let (count, hashes) = (300, 2_400);
    let mut nodes = network(count);
    for index in 0..hashes {
        nodes
            .command(addr(index * 7 % count), |node, now| {
                node.announce(now, InfoHash(hash(index).0), Port::Number(4_242))
            })
            .expect("there is room");
        if index % 25 == 24 {
            nodes.run_for(Duration::from_secs(2));
        }
    }
    nodes.run_for(Duration::from_secs(10));
    let begun = nodes.now();

    let mut network: Network<Host> = Network::new(4, Link::default());
    network.run_until(begun);
    for index in 0..count {
        let node = nodes.remove(addr(index)).expect("it was there");
        network.add(addr(index), Host::Node(Box::new(node)));
    }
    let mut config = CrawlConfig::default();
    config.rounds = Some(6);
    let here = addr(count);
    network.add(here, Host::Crawler(Box::new(crawler(config, Some(100)))));
    let ended = |events: &[(Instant, SocketAddr, Option<crawl::Event>)]| {
        events.iter().find_map(|(_, _, event)| match event {
            Some(crawl::Event::Ended { end, progress }) => Some((*end, *progress)),
            _ => None,
        })
    };
    let until = begun + Duration::from_secs(3 * 86_400);
    assert!(network.run_while(until, |events| ended(events).is_none()), "it does not end");
    let (end, progress): (CrawlEnd, Progress) = ended(&network.events).expect("it ended");
    let told = network.events.iter().filter_map(|(_, _, event)| match event {
        Some(crawl::Event::Hash { info_hash }) => Some(*info_hash),
        _ => None,
    });
    let told: BTreeSet<InfoHash> = told.collect();
    let found = (0..hashes).filter(|index| told.contains(&hash(*index))).count();
    eprintln!("{found} of {hashes}, {end:?}, {progress:?}");
    assert_eq!(progress.nodes, count, "{progress:?}");
    assert_eq!(progress.sampled, progress.answered, "all of them know samples");
    assert_eq!(told.len(), found, "and nothing else");
    assert!(progress.round > 1, "{progress:?}");
    assert!(found * 100 >= hashes * 99, "{found} of {hashes}: {progress:?}");
}
