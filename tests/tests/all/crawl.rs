//! The crawler among thousands of nodes in virtual time: what it finds, whom it spares, how it ends.

use std::time::Duration;

use tinybt_core::dht::crawl::{CrawlConfig, CrawlEnd, Event, Progress};
use tinybt_tests::crawl_world::{Crawl, Manner, World, crawler};

const DAY: Duration = Duration::from_secs(86_400);

fn ended(crawl: &Crawl) -> Option<(CrawlEnd, Progress)> {
    crawl.events.iter().find_map(|(_, event)| match event {
        Event::Ended { end, progress } => Some((*end, *progress)),
        _ => None,
    })
}

fn rounds(crawl: &Crawl) -> Vec<Progress> {
    let all = crawl.events.iter().filter_map(|(_, event)| match event {
        Event::Round { progress, .. } => Some(*progress),
        _ => None,
    });
    all.collect()
}

fn run(world: World, config: CrawlConfig, rate: Option<u32>) -> Crawl {
    let mut crawl = Crawl::new(world, crawler(config, rate));
    assert!(crawl.run(DAY, |crawl| ended(crawl).is_some()), "it does not end");
    assert_eq!(crawl.violations, [], "asked too soon");
    assert_eq!(crawl.told_again, 0);
    crawl
}

#[test]
fn five_thousand_nodes_tell_a_hundred_thousand_hashes() {
    let mut config = CrawlConfig::default();
    config.rounds = Some(3);
    let crawl = run(World::default(), config, Some(200));
    let rounds = rounds(&crawl);
    let (_, asked) = crawl.asked(Manner::Honest);
    let per_round = crawl.sent as f64 / asked as f64 / rounds.len() as f64;
    eprintln!("{:.4} found, {asked} nodes, {per_round:.3} a node and round", crawl.share());
    for round in &rounds {
        eprintln!("{round:?}");
    }
    assert!(crawl.share() >= 0.99, "{}", crawl.share());
    assert!(asked >= 4_995, "{asked}");
    assert!(per_round <= 1.3, "{per_round}");
    assert!(crawl.rate_max <= 220, "{} in a second", crawl.rate_max);
    assert!(rounds.iter().all(|round| (round.covered - 1.0).abs() < 1e-6));
}
