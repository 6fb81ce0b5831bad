//! A private network of real nodes on this machine's loopback, each with a socket of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use tinybt_std::Dht;
use tinybt_std::core::dht::Heap;
use tinybt_std::core::dht::items::ItemMapLimits;
use tinybt_std::core::dht::store::PeerMapLimits;

use crate::args::{Format, Testnet};
use crate::exit::{Failure, Found, interrupted};
use crate::output::Output;

/// Nodes that know each other.
pub(crate) struct Network {
    pub(crate) nodes: Vec<Dht>,
}

impl Network {
    /// Starts nodes, each of which begins at one of those before it.
    pub(crate) fn start(count: usize, output: &Output) -> Result<Self, Failure> {
        let mut network = Network { nodes: Vec::with_capacity(count) };
        for index in 0..count {
            let mut builder = Dht::builder()
                .bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
                .capacities(capacities())
                .private();
            if index > 0 {
                // A few different ones, so that nobody is asked by all at once.
                let first = network.entry((index * 7) % index.min(16));
                builder = builder.bootstrap([first.to_string()]);
            }
            network.nodes.push(builder.start()?);
            if index % 16 == 0 {
                output.progress(format!("starting {index} of {count} nodes"));
            }
            if interrupted() {
                return Err(Failure::Network("interrupted".to_owned()));
            }
        }
        network.settle(output)?;
        Ok(network)
    }

    /// The address of a node.
    pub(crate) fn entry(&self, index: usize) -> SocketAddr {
        let unknown = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let node = self.nodes.get(index).and_then(|node| node.local_addrs().first());
        node.copied().unwrap_or(unknown)
    }

    /// Ends a fifth of the nodes without a word to the others, but not this one. Returns how many.
    pub(crate) fn bury_a_fifth(&mut self, but: usize) -> Result<usize, Failure> {
        let mut died = 0;
        for (index, node) in self.nodes.iter().enumerate() {
            if index % 5 == 3 && index != but {
                node.stop()?;
                died += 1;
            }
        }
        Ok(died)
    }

    /// Waits until everybody knows a few others, but not for ever.
    fn settle(&self, output: &Output) -> Result<(), Failure> {
        let begun = Instant::now();
        let enough = (self.nodes.len() - 1).min(8);
        while begun.elapsed() < Duration::from_secs(10) && !interrupted() {
            let mut ready = 0;
            for node in &self.nodes {
                let known = node.overview()?.v4.map_or(0, |(status, _)| status.nodes_good);
                ready += usize::from(known >= enough);
            }
            output.progress(format!("{ready} of {} nodes are connected", self.nodes.len()));
            if ready == self.nodes.len() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

/// Small ones: there are hundreds in a process.
fn capacities() -> Heap {
    Heap {
        lookups: 8,
        in_flight: 64,
        asks: 8,
        questions: 2,
        replies: 16,
        buckets: 24,
        peers_per_lookup: 200,
        hops: 64,
        peers_stored: PeerMapLimits { swarms: 500, peers_per_swarm: 200, peers: 5_000 },
        items_stored: ItemMapLimits { items: 100, bytes: 50_000 },
        shunned: 32,
        sources: 64,
    }
}

pub(crate) fn run(args: &Testnet) -> Result<Found, Failure> {
    let output = Output::new(Format::default());
    let network = Network::start(usize::from(args.nodes), &output)?;
    output.finish();
    output.say(&format!("{} nodes run; enter with", args.nodes))?;
    output.say(&format!("  --bootstrap {},{}", network.entry(0), network.entry(1)))?;
    output.say("Ctrl-C ends it.")?;
    while !interrupted() {
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(Found::Something)
}
