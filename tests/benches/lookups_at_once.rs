//! A thousand lookups at once on one smol thread, with the network they ask on the same thread: time,
//! and what they cost in memory. `cargo bench --bench lookups_at_once`.
#![allow(missing_docs, clippy::print_stdout)]

use std::net::SocketAddr;
use std::time::Instant;

use smol::LocalExecutor;
use tinybt_core::InfoHash;
use tinybt_core::budget::Rate;
use tinybt_core::dht::{Config, Heap, Port};
use tinybt_smol::{Builder, Dht};
use tinybt_tests::counting::{Counting, live};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const COUNT: usize = 1_000;
const NODES: usize = 64;
const SWARMS: usize = 50;

fn main() {
    let executor = LocalExecutor::new();
    smol::block_on(executor.run(async {
        let first = start(&executor, local());
        let entry = first.local_addrs()[0].to_string();
        let mut all = vec![first];
        for _ in 1..NODES {
            all.push(start(&executor, local().bootstrap([entry.clone()])));
        }
        for swarm in 0..SWARMS {
            let mut announce = all[swarm + 1].announce(hash(swarm), port(swarm)).unwrap();
            announce.finish().await.unwrap();
        }
        let before = live();
        // Rows are made when a lookup begins, as large as they may become; nobody reads the traces.
        let capacities = Heap {
            lookups: COUNT,
            in_flight: 2_048,
            peers_per_lookup: 200,
            hops: 0,
            ..Heap::default()
        };
        let asker = start(&executor, local().capacities(capacities).bootstrap([entry]));
        let alone = live() - before;
        let begun = Instant::now();
        let mut searches: Vec<_> =
            (0..COUNT).map(|index| asker.get_peers(hash(index % SWARMS)).unwrap()).collect();
        let (mut most, mut right) = (0, 0);
        for (index, search) in searches.iter_mut().enumerate() {
            let mut found = Vec::new();
            while let Some(peer) = search.next().await {
                found.push(peer);
                most = most.max(live() - before);
            }
            let expected = SocketAddr::from(([127, 0, 0, 1], (index % SWARMS + 1) as u16));
            right += usize::from(found == [expected]);
        }
        println!(
            "{COUNT} lookups at once: {right} right after {:.2} s; {} bytes each at the most, of which \
             the rows of the node that were there before {}",
            begun.elapsed().as_secs_f64(),
            most / COUNT as i64,
            alone / COUNT as i64,
        );
    }));
}

fn local() -> Builder {
    let builder = Dht::builder().bind("127.0.0.1:0".parse().unwrap()).private();
    // One socket does not hold what a thousand lookups ask at once.
    builder.configure(|config: &mut Config| {
        config.questions = Some(Rate { per_second: 20_000, burst: 100 });
    })
}

fn start(executor: &LocalExecutor<'_>, builder: Builder) -> Dht {
    let (dht, running) = builder.start().unwrap();
    executor.spawn(running).detach();
    dht
}

fn hash(swarm: usize) -> InfoHash {
    let mut hash = [swarm as u8; 20];
    hash[0] = (swarm * 5) as u8;
    InfoHash(hash)
}

fn port(swarm: usize) -> Port {
    Port::Number(swarm as u16 + 1)
}
