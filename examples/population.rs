//! Hundreds of real nodes in virtual time, who come and go, a third of them behind NATs: what do
//! lookups find among them? The same kit holds a million: see docs/SIMULATOR.md.
//!
//! ```text
//! cargo run -p tinybt-examples --example population
//! ```
#![allow(clippy::print_stdout)]

use std::time::Duration;

use tinybt_tests::net::{Delay, Link};
use tinybt_tests::population::{Churn, Population, Settings};

const HOUR: Duration = Duration::from_secs(3_600);

fn main() {
    // Half of the round trips are shorter than 90 ms; of a thousand datagrams 20 are lost.
    let median = Duration::from_millis(90);
    let link =
        Link { delay: Delay::LogNormal { median, p95: 4 * median }, loss: 20, ..Link::default() };
    // Half of the nodes stay for less than an hour.
    let churn = Some(Churn::of(HOUR));
    let settings = Settings { nodes: 500, nat: 330, churn, seed: 7, ..Settings::default() };

    let mut population = Population::planted(settings, link);
    population.run_for(HOUR);
    let (here, reachable) = population.here();
    let (came, went) = population.came_and_went;
    println!("{here} nodes are here, {reachable} can be reached; {came} came, {went} went");

    let report = population.lookups(50);
    print!("{report}");
    assert!(report.peers_found * 100 >= report.peers_announced * 97);
}
