//! Attacks and what they come to, with protections switched off one by one.
#![allow(clippy::print_stdout)]

use tinybt_tests::hostile::{amplification, crowd, flood, liars, paths, votes};
use tinybt_tests::world::World;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which: all of them if none is named
    #[arg(value_enum)]
    attacks: Vec<Attack>,
    /// Nodes of a network, dead ones included
    #[arg(long, default_value_t = 10_000)]
    nodes: usize,
    /// Lookups, each in a network of its own
    #[arg(long, default_value_t = 200)]
    runs: u64,
    /// Of a thousand living nodes, how many lie
    #[arg(long, default_value_t = 100)]
    liars: u32,
    /// Disjoint paths of a lookup
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=4))]
    paths: u8,
    /// Datagrams of a flood
    #[arg(long, default_value_t = 1_000_000)]
    datagrams: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Attack {
    /// Nodes that tell of nodes and peers that do not exist, or of each other
    Liars,
    /// Fifty ids closer to a target than anybody
    Crowd,
    /// Liars and a crowd, for lookups on one path, two and four
    Paths,
    /// Datagrams of all kinds during lookups
    Flood,
    /// Lies about the node's own address
    Votes,
    /// Bytes sent for bytes received
    Amplification,
}

pub(crate) fn run(args: &Args) {
    let world = World { nodes: args.nodes, paths: args.paths, ..World::default() };
    let is_wanted = |attack| args.attacks.is_empty() || args.attacks.contains(&attack);
    if is_wanted(Attack::Liars) {
        println!("{}", liars::table(&world, args.runs, args.liars));
    }
    if is_wanted(Attack::Crowd) {
        println!("{}", crowd::table(&world, args.runs));
    }
    if is_wanted(Attack::Paths) {
        println!("{}", paths::table(&world, args.runs));
    }
    if is_wanted(Attack::Votes) {
        println!("{}", votes::table(&world, args.runs.min(50)));
    }
    if is_wanted(Attack::Amplification) {
        println!("{}", amplification::table());
    }
    if is_wanted(Attack::Flood) {
        println!("{}", flood::table(&world, args.datagrams));
    }
}
