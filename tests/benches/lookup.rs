//! Lookups in the emulated world against the floor: `cargo bench --bench lookup [RUNS]`.
#![allow(missing_docs, clippy::print_stdout)]

use tinybt_tests::world::{Errand, HEAD, Start, World, row, searches};

fn main() {
    let runs = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(100);
    let larger = World { nodes: 50_000, ..World::default() };
    println!("{HEAD}");
    for (name, world) in
        [("10,000 nodes", World::default()), ("harder", World::harder()), ("50,000 nodes", larger)]
    {
        for errand in [Errand::Look, Errand::Announce] {
            let results = searches(&world, runs, errand, Start::Cold);
            println!("{}", row(&format!("{name}, {errand:?}"), &results));
        }
    }
}
