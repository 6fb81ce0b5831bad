//! A crowd around one target: fifty ids closer than anybody honest, that answer with each other, give
//! tokens, acknowledge announces and store nothing.

use tinybt_core::dht::{Config, Port};
use tinybt_core::{Family, InfoHash};

use super::Table;
use super::stage::{Crowd, Drive, Heard, Stage, Villains};
use crate::net::mix;
use crate::nodes::{id, node};
use crate::world::{Errand, World};

/// What many lookups for crowded targets came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Lookups that heard a peer of an honest node, or stored at one of the eight closest honest ones.
    pub reached: f64,
    /// Of the eight, those that stored; of the true peers, those that were found.
    pub part: f64,
    /// Datagrams sent.
    pub sent: f64,
    /// Milliseconds to the end.
    pub done: f64,
}

/// A lookup for a crowded target of a node that has looked for `warm` others before.
pub fn search(
    world: &World,
    crowd: Option<Crowd>,
    seed: u64,
    errand: Errand,
    config: &Config,
    warm: usize,
) -> (Heard, usize) {
    let stage = Stage::new(world, Villains { crowd, ..Villains::default() }, seed);
    let mut searcher = node(mix(seed, &[1]), config.clone());
    for source in stage.bootstrap() {
        searcher.add_source(source);
    }
    let mut drive = Drive::new(&stage);
    for round in 0..warm {
        searcher.find_node(drive.now, id(seed, 1_000_000 + round)).expect("a row is free");
        drive.search(&mut searcher);
    }
    let info_hash = InfoHash(stage.target.0);
    match errand {
        Errand::Look => searcher.get_peers(drive.now, info_hash),
        Errand::Announce => searcher.announce(drive.now, info_hash, Port::Number(7)),
    }
    .expect("a row is free");
    (drive.search(&mut searcher), stage.true_peers())
}

/// The figures of many lookups, each in a network of its own.
pub fn figures(
    world: &World,
    crowd: Option<Crowd>,
    lookups: u64,
    errand: Errand,
    config: &Config,
    warm: usize,
) -> Figures {
    let mut figures = Figures::default();
    let share = 1.0 / lookups as f64;
    for seed in 0..lookups {
        let (heard, peers) = search(world, crowd, 9_000 + seed, errand, config, warm);
        let part = match errand {
            Errand::Look => heard.true_and_invented().0 as f64 / peers.max(1) as f64,
            Errand::Announce => heard.stored as f64 / 8.0,
        };
        figures.reached += if part > 0.0 { share } else { 0.0 };
        figures.part += part * share;
        figures.sent += f64::from(heard.sent) * share;
        figures.done += heard.done * share;
    }
    figures
}

/// One /16 and fifty networks, pushed more and less, by a node that begins and by one that has looked
/// around, with diversity and without.
pub fn table(world: &World, lookups: u64) -> Table {
    let mut table = Table::new(&[
        "50 ids crowd a target",
        "pushed",
        "bits",
        "diversity",
        "lookups before",
        "look: reached",
        "peers",
        "sent",
        "announce: reached",
        "of 8",
        "sent",
        "done ms",
    ]);
    let crowd = |one_site, bits, pushed| Some(Crowd { count: 50, one_site, bits, pushed });
    let settings = [
        ("nobody", None),
        ("one /16", crowd(true, 8, 0)),
        ("one /16", crowd(true, 8, 500)),
        ("one /16", crowd(true, 8, 900)),
        ("50 networks", crowd(false, 8, 0)),
        ("50 networks", crowd(false, 8, 500)),
        ("50 networks", crowd(false, 8, 900)),
        ("50 networks", crowd(false, 1, 500)),
    ];
    for (name, crowd) in settings {
        for (diversity, warm) in [(true, 0), (true, 6), (false, 6)] {
            let mut config = Config::new(Family::V4);
            config.diversity = diversity;
            let run = |errand| figures(world, crowd, lookups, errand, &config, warm);
            let (look, announce) = (run(Errand::Look), run(Errand::Announce));
            let percent = |share: f64| format!("{:.1} %", share * 100.0);
            table.row(&[
                &name,
                &crowd.map_or(0, |crowd| crowd.pushed),
                &crowd.map_or(0, |crowd| crowd.bits),
                &diversity,
                &warm,
                &percent(look.reached),
                &percent(look.part),
                &format!("{:.0}", look.sent),
                &percent(announce.reached),
                &format!("{:.2}", announce.part * 8.0),
                &format!("{:.0}", announce.sent),
                &format!("{:.0}", announce.done),
            ]);
        }
    }
    table
}
