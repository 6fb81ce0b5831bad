//! Lookups in the emulated world against the floor: `cargo bench --bench lookup [RUNS]`.
#![allow(missing_docs, clippy::print_stdout)]

use tinybt_tests::world::{Errand, World, table};

fn main() {
    let runs = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(100);
    let harder = World { dead: 300, stale: 220, loss: 50, ..World::default() };
    let larger = World { nodes: 50_000, ..World::default() };
    for (name, world) in
        [("10,000 nodes", World::default()), ("harder", harder), ("50,000 nodes", larger)]
    {
        for errand in [Errand::Look, Errand::Announce] {
            println!("{name}, {errand:?}: {}", table(&world, runs, errand).1);
        }
    }
}
