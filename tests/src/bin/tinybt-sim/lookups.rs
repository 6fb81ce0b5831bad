//! Single lookups in an emulated world, against what the all-knowing need.
#![allow(clippy::print_stdout)]

use clap::value_parser;
use tinybt_tests::world::{Errand, HEAD, Start, World, row, searches};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Nodes, dead ones included
    #[arg(long, default_value_t = 50_000, value_parser = value_parser!(u32).range(100..=1_000_000))]
    nodes: u32,
    /// 30 % of the nodes dead, 22 % of the contacts stale, 5 % of the datagrams lost
    #[arg(long)]
    harder: bool,
    /// Of a thousand nodes, how many are dead: 200, or 300 if it is harder
    #[arg(long, value_parser = value_parser!(u32).range(..=800))]
    dead: Option<u32>,
    /// Of a thousand contacts in routing tables, how many are of dead nodes: 150 or 220
    #[arg(long, value_parser = value_parser!(u32).range(..=800))]
    stale: Option<u32>,
    /// Of a thousand datagrams, how many are lost, each way: 20 or 50
    #[arg(long, value_parser = value_parser!(u32).range(..=500))]
    loss: Option<u32>,
    /// Lookups, each with a target, tables and distances of its own
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u64).range(1..))]
    runs: u64,
    /// The first of the seeds, one a lookup: figures hold on those that nobody has tuned on
    #[arg(long, default_value_t = 1_000)]
    seed: u64,
    /// Searchers that have looked for so many other targets before; 0 leaves them out
    #[arg(long, default_value_t = 0)]
    warm: u64,
    /// Disjoint paths of a lookup
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u8).range(1..=4))]
    paths: u8,
    /// Cold lookups alone, in worlds of a thousand nodes, of ten thousand, up to `nodes`
    #[arg(long)]
    growth: bool,
}

pub(crate) fn run(args: &Args) {
    let world = if args.harder { World::harder() } else { World::default() };
    let world = World {
        nodes: args.nodes as usize,
        dead: args.dead.unwrap_or(world.dead),
        stale: args.stale.unwrap_or(world.stale),
        loss: args.loss.unwrap_or(world.loss),
        seed: args.seed,
        paths: args.paths,
        ..world
    };
    println!("{HEAD}");
    if args.growth {
        for nodes in
            (3..).map(|power| 10usize.pow(power)).take_while(|nodes| *nodes <= args.nodes as usize)
        {
            let results =
                searches(&World { nodes, ..world.clone() }, args.runs, Errand::Look, Start::Cold);
            println!("{}", row(&nodes.to_string(), &results));
        }
        return;
    }
    let mut rows = vec![("look", Errand::Look, Start::Cold)];
    rows.push(("announce", Errand::Announce, Start::Cold));
    if args.warm > 0 {
        rows.push(("look, warm", Errand::Look, Start::Warm(args.warm)));
    }
    for (name, errand, start) in rows {
        println!("{}", row(name, &searches(&world, args.runs, errand, start)));
    }
}
