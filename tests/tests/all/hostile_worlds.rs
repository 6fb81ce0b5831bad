//! What still works among liars, for a crowded target and in a flood: `cargo sim hostile` prints the
//! figures that these are bounds of.

use std::time::Duration;

use tinybt_core::Family;
use tinybt_core::dht::Config;
use tinybt_tests::hostile::crowd::Start;
use tinybt_tests::hostile::flood;
use tinybt_tests::hostile::liars::{self, LIES};
use tinybt_tests::hostile::stage::{Crowd, Villains};
use tinybt_tests::hostile::{crowd, votes};
use tinybt_tests::world::{Errand, World};

fn world() -> World {
    World { nodes: 3_000, ..World::default() }
}

fn crowd_of(one_site: bool) -> Villains {
    let crowd = Some(Crowd { count: 50, one_site, bits: 8, pushed: 500 });
    Villains { crowd, ..Villains::default() }
}

#[test]
fn among_a_tenth_of_liars_lookups_end_and_find_the_true_peers() {
    for (name, lies) in LIES {
        let villains = Villains { liars: 100, lies, crowd: None };
        let f = liars::figures(&world(), villains, 30, &Config::new(Family::V4));
        assert!(f.ended > 0.999, "{name}: {f:?}");
        // Invented nodes near the target may fill a shortlist: one lookup of thirty.
        assert!(f.most >= 0.9 && f.mean >= 0.95, "{name}: {f:?}");
        assert!(f.sent <= 150.0, "{name}: {f:?}");
        assert!(f.at_victim <= 14, "{name}: {f:?}");
    }
}

/// A crowd, of one network or of fifty, hides the honest from so few.
fn hides(one_site: bool, start: Start, least: f64) {
    let config = Config::new(Family::V4);
    for errand in [Errand::Look, Errand::Announce] {
        let f = crowd::figures(&world(), crowd_of(one_site), 40, errand, &config, start);
        assert!(f.reached >= least, "{errand:?}: {f:?}");
    }
}

#[test]
fn a_crowd_of_one_network_hides_nobody() {
    hides(true, Start::After(0), 0.95);
}

#[test]
fn a_crowd_of_fifty_networks_hides_few() {
    hides(false, Start::After(6), 0.8);
}

#[test]
fn whoever_looks_for_the_first_time_asks_around_how_dense_the_network_is() {
    hides(false, Start::After(0), 0.8);
}

#[test]
fn whoever_begins_with_a_state_knows_a_crowd_of_fifty_networks_at_once() {
    hides(false, Start::Restarted(6), 0.8);
}

#[test]
fn a_third_of_liars_moves_nobody_elsewhere() {
    let config = Config::new(Family::V4);
    let few = votes::belief(&world(), 100, 10, 3, &config);
    assert_eq!((few.right, few.wrong), (10, 0));
    assert_eq!(votes::belief(&world(), 300, 10, 3, &config).wrong, 0);
    assert!(!votes::crowd_wins(2, 3), "a thousand ids of two networks are two voices");
}

#[test]
fn a_flood_costs_no_memory_and_lookups_hardly_any_time() {
    let config = Config::new(Family::V4);
    let f = flood::figures(&world(), &config, 100_000, Duration::from_micros(100));
    assert!(f.tally.thrown >= 95_000, "{f:?}");
    assert_eq!((f.tally.forged, f.tally.stolen), (0, 0), "{f:?}");
    assert!(f.tally.stored > 100, "{f:?}");
    assert_eq!(f.found, f.lookups, "{f:?}");
    assert!(f.flood <= 2.0 * f.peace, "{f:?}");
    assert!(f.tally.peak <= 40_000, "what the stores hold, and nothing else: {f:?}");
    // Strangers are asked whether they are there one at a time: of the 64 rows lookups take most, those
    // of nodes that have not answered the ones before among them.
    assert!(f.in_flight <= 58, "{f:?}");
}
