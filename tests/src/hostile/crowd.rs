//! A crowd around one target: fifty ids closer than anybody honest, that answer with each other, give
//! tokens, acknowledge announces and store nothing.

use std::fmt;

use tinybt_core::dht::{Config, Port, SAVE_MAX};
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

/// What a searcher has done before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// It has looked for so many other targets.
    After(usize),
    /// The same; then it has saved its state, and another has begun with it.
    Restarted(usize),
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Start::After(0) => "nothing".to_owned(),
            Start::After(lookups) => format!("{lookups} lookups"),
            Start::Restarted(lookups) => format!("{lookups}, restart"),
        };
        f.pad(&text)
    }
}

/// A lookup for a crowded target.
pub fn search(
    world: &World,
    villains: Villains,
    seed: u64,
    errand: Errand,
    config: &Config,
    start: Start,
) -> (Heard, usize) {
    let stage = Stage::new(world, villains, seed);
    let begin = |life: u64| {
        let mut searcher = node(mix(seed, &[life]), config.clone());
        for source in stage.bootstrap() {
            searcher.add_source(source);
        }
        searcher
    };
    let (mut searcher, mut drive) = (begin(1), Drive::new(&stage));
    let (Start::After(before) | Start::Restarted(before)) = start;
    for round in 0..before {
        searcher.find_node(drive.now, id(seed, 1_000_000 + round)).expect("a row is free");
        drive.search(&mut searcher);
    }
    if let Start::Restarted(_) = start {
        let mut state = [0; SAVE_MAX];
        let len = searcher.save(&mut state);
        searcher = begin(2);
        searcher.restore(drive.now, &state[..len]).expect("it was saved just now");
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
    villains: Villains,
    lookups: u64,
    errand: Errand,
    config: &Config,
    start: Start,
) -> Figures {
    let mut figures = Figures::default();
    let share = 1.0 / lookups as f64;
    for seed in 0..lookups {
        let (heard, peers) = search(world, villains, 9_000 + seed, errand, config, start);
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

/// One /16 and fifty networks, pushed more and less: for a node that begins, for one that has looked
/// around, with diversity and without, and for one that begins with the state of such a one.
pub fn table(world: &World, lookups: u64) -> Table {
    let mut table = Table::new(&[
        "50 ids crowd a target",
        "pushed",
        "bits",
        "diversity",
        "before",
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
        for (diversity, start) in [
            (true, Start::After(0)),
            (true, Start::After(6)),
            (true, Start::Restarted(6)),
            (false, Start::After(6)),
        ] {
            let mut config = Config::new(Family::V4);
            config.diversity = diversity;
            config.paths = world.paths;
            let villains = Villains { crowd, ..Villains::default() };
            let run = |errand| figures(world, villains, lookups, errand, &config, start);
            let (look, announce) = (run(Errand::Look), run(Errand::Announce));
            let percent = |share: f64| format!("{:.1} %", share * 100.0);
            table.row(&[
                &name,
                &crowd.map_or(0, |crowd| crowd.pushed),
                &crowd.map_or(0, |crowd| crowd.bits),
                &diversity,
                &start,
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
