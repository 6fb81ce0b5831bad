//! Single lookups in an emulated world.
#![allow(clippy::print_stdout)]

use clap::value_parser;
use tinybt_tests::world::{Errand, World, table};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Nodes, dead ones included
    #[arg(long, default_value_t = 50_000, value_parser = value_parser!(u32).range(100..=1_000_000))]
    nodes: u32,
    /// Of a thousand nodes, how many are dead
    #[arg(long, default_value_t = 200, value_parser = value_parser!(u32).range(..=800))]
    dead: u32,
    /// Of a thousand contacts in routing tables, how many are of dead nodes
    #[arg(long, default_value_t = 150, value_parser = value_parser!(u32).range(..=800))]
    stale: u32,
    /// Of a thousand datagrams, how many are lost, each way
    #[arg(long, default_value_t = 20, value_parser = value_parser!(u32).range(..=500))]
    loss: u32,
    /// Lookups, each in a world of its own
    #[arg(long, default_value_t = 40, value_parser = value_parser!(u64).range(1..))]
    runs: u64,
}

pub(crate) fn run(args: &Args) {
    let Args { nodes, dead, stale, loss, runs } = *args;
    let world = World { nodes: nodes as usize, dead, stale, loss, ..World::default() };
    for errand in [Errand::Look, Errand::Announce] {
        println!("{errand:?}: {}", table(&world, runs, errand).1);
    }
}
