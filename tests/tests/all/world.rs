//! The figures that a lookup promises, in emulated worlds: round trips log-normal with a median of
//! 120 ms. Virtual time and fixed seeds: the same on every machine. Bounds are generous, since runs are
//! few; `cargo sim lookups` prints the figures themselves.

use tinybt_tests::world::{Errand, Result, Start, World, mean, median, row, searches};

/// A fifth of the nodes dead, 15 % of the contacts stale, 2 % loss.
fn plain() -> World {
    World { nodes: 20_000, ..World::default() }
}

fn packets(result: &Result) -> f64 {
    result.sent + result.received
}

#[test]
fn a_cold_lookup_is_close_to_what_the_all_knowing_need() {
    let results = searches(&plain(), 60, Errand::Look, Start::Cold);
    let text = row("look", &results);
    assert!(median(&results, |r| r.first / r.floor_first) <= 1.35, "{text}");
    assert!(median(&results, |r| r.done / r.floor_done) <= 1.55, "{text}");
    assert!(median(&results, packets) <= 65.0, "{text}");
    assert!(mean(&results, |r| r.answered) >= 7.65, "{text}");
}

#[test]
fn a_cold_lookup_copes_with_a_harder_world() {
    let results =
        searches(&World { nodes: 20_000, ..World::harder() }, 60, Errand::Look, Start::Cold);
    let text = row("harder", &results);
    assert!(median(&results, |r| r.first / r.floor_first) <= 1.7, "{text}");
    assert!(median(&results, |r| r.done / r.floor_done) <= 2.5, "{text}");
    assert!(median(&results, packets) <= 70.0, "{text}");
    assert!(mean(&results, |r| r.answered) >= 7.2, "{text}");
}

#[test]
fn an_announce_reaches_the_closest() {
    let results = searches(&plain(), 60, Errand::Announce, Start::Cold);
    let text = row("announce", &results);
    assert!(mean(&results, |r| r.answered) >= 7.75, "{text}");
    assert!(mean(&results, |r| r.stored) >= 7.75, "{text}");
    assert!(results.iter().all(|r| r.announced_to <= 10.0), "{text}");
}

#[test]
fn who_knows_the_network_is_faster() {
    let cold = searches(&plain(), 12, Errand::Look, Start::Cold);
    let warm = searches(&plain(), 12, Errand::Look, Start::Warm(10));
    let text = [row("cold", &cold), row("warm", &warm)].join("\n");
    assert!(median(&warm, |r| r.first) <= median(&cold, |r| r.first), "{text}");
    assert!(median(&warm, packets) <= 70.0, "{text}");
}
