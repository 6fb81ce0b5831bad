//! The figures that a lookup promises, in emulated worlds: round trips log-normal with a median of
//! 120 ms. Virtual time and fixed seeds: the same on every machine. Bounds are generous, since runs are
//! few; `cargo sim lookups` prints the figures themselves.

use tinybt_tests::world::{Errand, Start, World, mean, median, row, searches};

/// A fifth of the nodes dead, 15 % of the contacts stale, 2 % loss.
fn plain() -> World {
    World { nodes: 20_000, ..World::default() }
}

#[test]
fn a_cold_lookup_is_close_to_what_the_all_knowing_need() {
    let results = searches(&plain(), 60, Errand::Look, Start::Cold);
    let text = row("look", &results);
    assert!(median(&results, |r| r.first / r.floor_first) <= 1.2, "{text}");
    assert!(median(&results, |r| r.done / r.floor_done) <= 1.3, "{text}");
    assert!(median(&results, |r| r.sent) <= 60.0, "{text}");
    assert!(mean(&results, |r| r.answered) >= 7.85, "{text}");
}

#[test]
fn a_cold_lookup_copes_with_a_harder_world() {
    let results =
        searches(&World { nodes: 20_000, ..World::harder() }, 60, Errand::Look, Start::Cold);
    let text = row("harder", &results);
    assert!(median(&results, |r| r.first / r.floor_first) <= 1.3, "{text}");
    assert!(median(&results, |r| r.done / r.floor_done) <= 1.75, "{text}");
    assert!(median(&results, |r| r.sent) <= 65.0, "{text}");
    assert!(mean(&results, |r| r.answered) >= 7.6, "{text}");
}

#[test]
fn an_announce_reaches_the_closest() {
    let results = searches(&plain(), 60, Errand::Announce, Start::Cold);
    let text = row("announce", &results);
    assert!(mean(&results, |r| r.answered) >= 7.85, "{text}");
    assert!(mean(&results, |r| r.stored) >= 7.85, "{text}");
    assert!(results.iter().all(|r| r.announced_to <= 10.0), "{text}");
}

#[test]
fn who_knows_the_network_asks_half_as_much() {
    let cold = searches(&plain(), 12, Errand::Look, Start::Cold);
    let warm = searches(&plain(), 12, Errand::Look, Start::Warm(10));
    let text = [row("cold", &cold), row("warm", &warm)].join("\n");
    assert!(median(&warm, |r| r.sent) <= 32.0, "{text}");
    assert!(median(&warm, |r| r.first) <= 1.3 * median(&cold, |r| r.first), "{text}");
}
