//! Worlds to let the machines of tinybt loose in: `cargo sim --help`.
//!
//! Everything is in virtual time and decided by a seed: the same command prints the same table.

mod lookups;
mod seeds;

use clap::{Parser, Subcommand};

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
    /// Writes the seeds of the fuzz targets anew
    Seeds,
}

fn main() {
    match Args::parse().what {
        What::Lookups(args) => lookups::run(&args),
        What::Seeds => seeds::run().expect("the repository can be read and written"),
    }
}
