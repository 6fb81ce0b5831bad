//! What is known of round trips at its edges, and questions in flight counted.

use std::time::Duration;

use tinybt_core::dht::Config;
use tinybt_core::dht::queries::RoundTrips;
use tinybt_core::wire::krpc::Question;
use tinybt_core::{Family, Instant, Machine, Step, buffer};
use tinybt_tests::nodes::{addr, node};

#[test]
fn one_of_long_ago_is_forgotten_and_so_is_the_guess() {
    let mut trips = RoundTrips::new();
    trips.observe(Duration::from_secs(4));
    for _ in 0..8 * u32::from(RoundTrips::MEMORY) {
        trips.observe(Duration::from_millis(50));
    }
    assert!(trips.quantile(1_000) <= Duration::from_millis(64), "{trips:?}");
    assert!(trips.quantile(1) >= Duration::from_millis(45), "{trips:?}");
}

#[test]
fn no_share_of_them_is_the_quickest() {
    assert_eq!(RoundTrips::new().quantile(0), Duration::from_millis(64));
}

#[test]
fn what_is_in_flight_is_counted() {
    let mut node = node(1, Config::endpoint(Family::V4));
    let (now, mut buffer) = (Instant::from_secs(1), buffer());
    for asked in 0..3 {
        assert_eq!(node.status(now).in_flight, asked);
        node.ask(addr(asked), &Question::Ping).unwrap();
        while let Step::Send(_) = node.step(now, &mut buffer) {}
    }
    assert_eq!(node.status(now).in_flight, 3);
}
