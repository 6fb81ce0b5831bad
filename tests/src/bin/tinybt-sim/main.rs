//! Worlds to let the machines of tinybt loose in: `cargo sim --help`.
//!
//! Everything is in virtual time and decided by a seed: the same command prints the same table.

mod growth;
mod hostile;
mod lookups;
mod scale;
mod seeds;

use clap::{Parser, Subcommand};
use tinybt_tests::counting::Counting;

/// So that what a node takes can be told to the byte.
#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Parser)]
#[command(name = "tinybt-sim", about = "Simulated DHTs: what lookups cost and what holds")]
struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// One searcher in an emulated network, against a floor that only the all-knowing reach
    Lookups(lookups::Args),
    /// Real nodes by the hundred thousand: what lookups find, and what a node costs
    Scale(scale::Args),
    /// What a lookup costs in networks of every size
    Growth(growth::Args),
    /// Attackers, and what still works, with protections switched off one by one
    Hostile(hostile::Args),
    /// Writes the seeds of the fuzz targets anew
    Seeds,
}

fn main() {
    match Args::parse().what {
        What::Lookups(args) => lookups::run(&args),
        What::Scale(args) => scale::run(&args),
        What::Growth(args) => growth::run(&args),
        What::Hostile(args) => hostile::run(&args),
        What::Seeds => seeds::run().expect("the repository can be read and written"),
    }
}
