//! What disjoint paths are worth, among liars and for a crowded target.

use tinybt_core::Family;
use tinybt_core::dht::Config;

use super::stage::{Crowd, Villains};
use super::{Table, crowd, liars};
use crate::world::{Errand, World};

/// More and more liars, of all lies, and a crowd among them; one path, two and four, which share
/// the width of one or do not.
pub fn table(world: &World, lookups: u64) -> Table {
    let mut table = Table::new(&[
        "lie",
        "paths",
        "wide",
        "true, mean",
        "worst",
        "with 90 %",
        "sent",
        "done ms",
        "crowd: reached",
        "peers",
        "sent",
        "done ms",
        "announce: reached",
        "of 8",
        "sent",
        "done ms",
    ]);
    let all = liars::LIES.last().map(|(_, lies)| *lies).unwrap_or_default();
    let crowd = Some(Crowd { count: 50, one_site: false, bits: 8, pushed: 500 });
    for share in [0, 100, 200, 300] {
        let wide = Config::new(Family::V4).parallel;
        for (paths, parallel) in [(1, wide), (2, wide), (2, 2 * wide), (4, wide)] {
            let mut config = Config::new(Family::V4);
            config.paths = paths;
            config.parallel = parallel;
            let among = Villains { liars: share, lies: all, crowd: None };
            let f = liars::figures(world, among, lookups, &config);
            let around = Villains { crowd, ..among };
            let start = crowd::Start::After(6);
            let run = |errand| crowd::figures(world, around, lookups, errand, &config, start);
            let (look, announce) = (run(Errand::Look), run(Errand::Announce));
            let percent = |share: f64| format!("{:.1} %", share * 100.0);
            let whole = |number: f64| format!("{number:.0}");
            table.row(&[
                &percent(f64::from(share) / 1e3),
                &paths,
                &parallel,
                &percent(f.mean),
                &percent(f.worst),
                &percent(f.most),
                &whole(f.sent),
                &whole(f.done),
                &percent(look.reached),
                &percent(look.part),
                &whole(look.sent),
                &whole(look.done),
                &percent(announce.reached),
                &format!("{:.2}", announce.part * 8.0),
                &whole(announce.sent),
                &whole(announce.done),
            ]);
        }
    }
    table
}
