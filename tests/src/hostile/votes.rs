//! Who lies about our address: a node counts the votes of networks (BEP 42), and a crowd wants it to
//! believe that it is elsewhere, so that its id moves where they like.

use std::net::SocketAddr;

use tinybt_core::Family;
use tinybt_core::Network;
use tinybt_core::dht::Config;
use tinybt_core::dht::external::External;

use super::Table;
use super::stage::{Drive, Lies, SEARCHER, Stage, VICTIM, Villains};
use crate::net::mix;
use crate::nodes::{id, node};
use crate::world::World;

/// What nodes believe after some lookups among liars, in counts of nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Belief {
    /// They know their address.
    pub right: usize,
    /// They have not agreed on any.
    pub none: usize,
    /// They believe the liars.
    pub wrong: usize,
}

/// Nodes among so many liars in a thousand, after `lookups` lookups each.
pub fn belief(world: &World, liars: u32, nodes: u64, lookups: usize, config: &Config) -> Belief {
    let mut belief = Belief::default();
    for seed in 0..nodes {
        let lies = Lies { address: true, ..Lies::default() };
        let stage = Stage::new(world, Villains { liars, lies, crowd: None }, 2_000 + seed);
        let mut searcher = node(mix(seed, &[1]), config.clone());
        for source in stage.bootstrap() {
            searcher.add_source(source);
        }
        let mut drive = Drive::new(&stage);
        for round in 0..lookups {
            searcher.find_node(drive.now, id(seed, 1_000_000 + round)).expect("a row is free");
            drive.search(&mut searcher);
        }
        match searcher.status(drive.now).external {
            Some(SEARCHER) => belief.right += 1,
            None => belief.none += 1,
            Some(_) => belief.wrong += 1,
        }
    }
    belief
}

/// Whether a thousand ids of one /24 outvote three honest networks, and whether `networks` of theirs
/// do.
pub fn crowd_wins(networks: u8, honest: u8) -> bool {
    let mut external = External::new(Family::V4, false);
    let victim = SocketAddr::from((VICTIM, 1));
    for round in 0..1_000u32 {
        for number in 0..networks.max(honest) {
            if number < honest {
                external.vote(Network::of([20, 0, number, 1].into()), SEARCHER);
            }
            if number < networks {
                let ip = [66, 6, number, round as u8];
                external.vote(Network::of(ip.into()), victim);
            }
        }
    }
    external.agreed().is_some_and(|agreed| agreed.addr == victim)
}

/// Shares of liars from a tenth to two thirds, with a vote for each network and for each address.
pub fn table(world: &World, nodes: u64) -> Table {
    let mut table = Table::new(&["lie about our address", "a vote each", "right", "none", "wrong"]);
    for liars in [0, 100, 300, 400, 500, 670] {
        for diversity in [true, false] {
            let mut config = Config::new(Family::V4);
            config.diversity = diversity;
            let Belief { right, none, wrong } = belief(world, liars, nodes, 3, &config);
            let voters = if diversity { "network" } else { "address" };
            let share = format!("{} % of nodes", liars / 10);
            table.row(&[&share, &voters, &right, &none, &wrong]);
        }
    }
    for (networks, honest) in [(1, 3), (2, 3), (3, 3), (4, 3), (9, 8)] {
        let text = format!("{networks} /24 of 1,000 ids against {honest} honest networks");
        let wins = crowd_wins(networks, honest);
        table.row(&[&text, &"network", &u8::from(!wins), &0, &u8::from(wins)]);
    }
    table
}
