//! Liars among the nodes: they tell of nodes and peers that do not exist, or of each other.

use chacha20::ChaCha8Rng;
use rand_core::SeedableRng;
use tinybt_core::dht::{Config, Heap, Node};
use tinybt_core::{Family, InfoHash};

use super::Table;
use super::stage::{Drive, Heard, Lies, Stage, Villains};
use crate::net::mix;
use crate::nodes::{TestNode, small};
use crate::world::World;

/// What many lookups among liars came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Of the true peers, in thousandths: in the worst lookup, and on average.
    pub worst: f64,
    /// On average.
    pub mean: f64,
    /// Lookups that found nine tenths of them, as a share.
    pub most: f64,
    /// Lookups that ended, as a share.
    pub ended: f64,
    /// Invented peers told, on average, and in the worst lookup.
    pub invented: f64,
    /// In the worst lookup.
    pub invented_worst: usize,
    /// Of the true ones told, the share that three networks or more named; of the invented ones.
    pub backed: (f64, f64),
    /// Datagrams sent.
    pub sent: f64,
    /// Of these, to addresses that were invented.
    pub astray: f64,
    /// In the worst lookup, to the victim.
    pub at_victim: u32,
    /// Milliseconds to the end.
    pub done: f64,
}

/// All kinds of lies, by name.
pub const LIES: [(&str, Lies); 6] = [
    ("none", Lies { nodes: false, victim: false, each_other: false, peers: false, address: false }),
    ("invented nodes", Lies { nodes: true, ..NONE }),
    ("nodes at a victim", Lies { victim: true, ..NONE }),
    ("invented peers", Lies { peers: true, ..NONE }),
    ("each other", Lies { each_other: true, ..NONE }),
    ("all of it", Lies { nodes: true, victim: true, each_other: true, peers: true, address: true }),
];

const NONE: Lies =
    Lies { nodes: false, victim: false, each_other: false, peers: false, address: false };

/// A lookup of a node that knows four honest ones.
pub fn search(world: &World, villains: Villains, seed: u64, config: &Config) -> (Heard, usize) {
    let stage = Stage::new(world, villains, seed);
    let heap = Heap { peers_per_lookup: 2_000, ..small() };
    let mut searcher: TestNode =
        Node::new(config.clone(), heap, ChaCha8Rng::seed_from_u64(mix(seed, &[1])));
    for source in stage.bootstrap() {
        searcher.add_source(source);
    }
    let mut drive = Drive::new(&stage);
    searcher.get_peers(drive.now, InfoHash(stage.target.0)).expect("a row is free");
    (drive.search(&mut searcher), stage.true_peers())
}

/// The figures of many lookups, each in a network of its own.
pub fn figures(world: &World, villains: Villains, lookups: u64, config: &Config) -> Figures {
    let mut figures = Figures { worst: 1.0, ..Figures::default() };
    let share = 1.0 / lookups as f64;
    for seed in 0..lookups {
        let (heard, peers) = search(world, villains, 5_000 + seed, config);
        let (found, invented) = heard.true_and_invented();
        let part = found as f64 / peers.max(1) as f64;
        figures.worst = figures.worst.min(part);
        figures.mean += part * share;
        figures.most += if part >= 0.9 { share } else { 0.0 };
        figures.ended += if heard.outcome.is_some() { share } else { 0.0 };
        figures.invented += invented as f64 * share;
        figures.invented_worst = figures.invented_worst.max(invented);
        let backed = heard.named[2..].iter().fold((0, 0), |sum, c| (sum.0 + c.0, sum.1 + c.1));
        figures.backed.0 += backed.0 as f64 / found.max(1) as f64 * share;
        figures.backed.1 += backed.1 as f64 / invented.max(1) as f64 * share;
        figures.sent += f64::from(heard.sent) * share;
        figures.astray += f64::from(heard.astray) * share;
        figures.at_victim = figures.at_victim.max(heard.at_victim);
        figures.done += heard.done * share;
    }
    figures
}

/// Every kind of lie by one node of ten, with diversity and without.
pub fn table(world: &World, lookups: u64, liars: u32) -> Table {
    let mut table = Table::new(&[
        "a tenth lies",
        "diversity",
        "true, worst",
        "mean",
        "with 90 %",
        "ended",
        "invented",
        "worst",
        "named by 3: true",
        "invented",
        "sent",
        "astray",
        "at victim",
        "done ms",
    ]);
    for (name, lies) in LIES {
        for diversity in [true, false] {
            let mut config = Config::new(Family::V4);
            config.diversity = diversity;
            config.paths = world.paths;
            let villains = Villains { liars, lies, crowd: None };
            let f = figures(world, villains, lookups, &config);
            let percent = |share: f64| format!("{:.1} %", share * 100.0);
            table.row(&[
                &name,
                &diversity,
                &percent(f.worst),
                &percent(f.mean),
                &percent(f.most),
                &percent(f.ended),
                &format!("{:.0}", f.invented),
                &f.invented_worst,
                &percent(f.backed.0),
                &percent(f.backed.1),
                &format!("{:.0}", f.sent),
                &format!("{:.0}", f.astray),
                &f.at_victim,
                &format!("{:.0}", f.done),
            ]);
        }
    }
    table
}
