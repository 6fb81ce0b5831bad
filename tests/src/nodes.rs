//! Real nodes for virtual networks.

use std::net::SocketAddr;

use chacha20::ChaCha8Rng;
use rand_core::SeedableRng;
use tinybt_core::dht::items::ItemMapLimits;
use tinybt_core::dht::store::PeerMapLimits;
use tinybt_core::dht::{Config, Heap, Node};
use tinybt_core::wire::krpc::{self, Answer, Envelope};
use tinybt_core::{Family, Id, Instant, Machine, Step, buffer};

use crate::net::{Link, Network, mix};

/// A node as tests use it.
pub type TestNode = Node<Heap, ChaCha8Rng>;

/// Rows enough for a test, few enough for thousands of nodes.
pub fn small() -> Heap {
    Heap {
        lookups: 8,
        in_flight: 64,
        asks: 8,
        questions: 2,
        replies: 8,
        buckets: 20,
        peers_per_lookup: 200,
        hops: 100,
        peers_stored: PeerMapLimits { swarms: 100, peers_per_swarm: 100, peers: 1_000 },
        items_stored: ItemMapLimits { items: 50, bytes: 20_000 },
        shunned: 32,
        sources: 64,
    }
}

/// Hardly any rows: cheap to make, and full after a few datagrams.
pub fn tiny() -> Heap {
    Heap {
        lookups: 4,
        in_flight: 20,
        asks: 2,
        questions: 1,
        replies: 2,
        buckets: 4,
        peers_per_lookup: 8,
        hops: 4,
        peers_stored: PeerMapLimits { swarms: 3, peers_per_swarm: 4, peers: 8 },
        items_stored: ItemMapLimits { items: 3, bytes: 2_000 },
        shunned: 4,
        sources: 8,
    }
}

/// A node for a network where all trust each other.
pub fn node(seed: u64, config: Config) -> TestNode {
    Node::new(config, small(), ChaCha8Rng::seed_from_u64(seed))
}

/// The `index`th address of a virtual network, each in a network of its own, and neighbours in number
/// far apart, as nodes on the internet are.
pub fn addr(index: usize) -> SocketAddr {
    let index = index as u32 + 1;
    SocketAddr::from(([20 + (index >> 16) as u8, index as u8, (index >> 8) as u8, 7], 6881))
}

/// Which of these addresses it is.
pub fn index(addr: SocketAddr) -> usize {
    let std::net::IpAddr::V4(ip) = addr.ip() else { panic!("{addr} is none of these") };
    let [a, c, b, _] = ip.octets().map(usize::from);
    ((a - 20) << 16 | b << 8 | c) - 1
}

/// The id of the `index`th node.
pub fn id(seed: u64, index: usize) -> Id {
    let mut bytes = [0; 20];
    for (part, chunk) in bytes.chunks_mut(8).enumerate() {
        let word = mix(seed, &[index as u64, part as u64]).to_be_bytes();
        chunk.copy_from_slice(&word[..chunk.len()]);
    }
    Id(bytes)
}

/// A network of `count` real nodes that have found each other.
pub fn network(seed: u64, count: usize, link: Link) -> Network<TestNode> {
    let mut network = Network::new(seed, link);
    for index in 0..count {
        let mut config = Config::private(Family::V4);
        config.id = Some(id(seed, index));
        let mut node = node(mix(seed, &[index as u64]), config);
        if index > 0 {
            // Everybody begins at one of the first.
            node.add_source(addr(mix(seed, &[index as u64, 7]) as usize % index.min(20)));
        }
        network.add(addr(index), node);
        if index % 10 == 9 {
            network.run_for(std::time::Duration::from_secs(1));
        }
    }
    network.run_for(std::time::Duration::from_secs(60));
    network
}

/// Lets nodes answer until the table is full.
pub fn fill(node: &mut TestNode) {
    let now = Instant::from_secs(86_400);
    let mut buffer = buffer();
    for index in 0..20_000 {
        node.add_node(addr(index));
        while let Step::Send(transmit) = node.step(now, &mut buffer) {
            let query = buffer[..transmit.len].to_vec();
            let message = krpc::decode(&query).unwrap();
            let envelope = Envelope {
                transaction: message.transaction,
                version: None,
                read_only: false,
                external: None,
            };
            let answer = Answer { id: id(3, index), ..Answer::default() };
            let mut bytes = [0; 500];
            let len = krpc::encode_response(&mut bytes, &envelope, &answer).unwrap();
            let _ = node.handle_datagram(now, transmit.to, &bytes[..len]);
        }
    }
}
