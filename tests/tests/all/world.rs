//! The figures that a lookup promises, in the emulated world of 10,000 nodes: a fifth of them dead,
//! 15 % of the contacts stale, 2 % loss, round trips log-normal with a median of 120 ms. Virtual
//! time and fixed seeds: the same on every machine. `cargo bench --bench lookup` prints them all.

use tinybt_tests::world::{Errand, World, mean, median, table};

#[test]
fn a_cold_lookup_is_close_to_what_the_all_knowing_need() {
    let (results, text) = table(&World::default(), 60, Errand::Look);
    assert!(median(&results, |r| r.first / r.floor_first) <= 1.4, "{text}");
    assert!(median(&results, |r| r.done / r.floor_done) <= 1.8, "{text}");
    assert!(median(&results, |r| r.sent + r.received) <= 80.0, "{text}");
    assert!(mean(&results, |r| r.answered) >= 7.7, "{text}");
}

#[test]
fn an_announce_reaches_the_closest() {
    let (results, text) = table(&World::default(), 60, Errand::Announce);
    assert!(mean(&results, |r| r.stored) >= 7.6, "{text}");
    assert!(results.iter().all(|r| r.announced_to <= 10.0), "{text}");
}
