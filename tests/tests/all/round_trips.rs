//! What is known of round trips at its edges, and questions in flight counted.

use std::time::Duration;

use chacha20::ChaCha8Rng;
use rand_core::SeedableRng;
use tinybt_core::dht::Config;
use tinybt_core::dht::queries::{Lapse, Late, Patience, Queries, RoundTrips};
use tinybt_core::list::Bounded;
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

#[test]
fn they_are_halved_when_there_are_more_than_it_remembers() {
    let mut trips = RoundTrips::new();
    let slowest = |trips: &RoundTrips| trips.quantile(970) > Duration::from_millis(60);
    for _ in RoundTrips::PRIOR..RoundTrips::MEMORY {
        trips.observe(Duration::from_millis(1));
    }
    assert!(slowest(&trips), "as many as it remembers, an eighth of a quarter of them the guess");
    trips.observe(Duration::from_millis(1));
    assert!(!slowest(&trips), "of the guess, in which nearly all are single, one is left");
}

#[test]
fn the_longest_are_counted_with_the_long() {
    let mut trips = RoundTrips::new();
    for _ in 0..100 {
        trips.observe(Duration::from_secs(3_600));
    }
    assert!(trips.quantile(500) > Duration::from_secs(11), "{trips:?}");
}

#[test]
fn questions_in_flight_are_counted() {
    let patience = Patience { min: Duration::from_millis(100), max: Duration::from_secs(2) };
    let mut queries = Queries::new(Bounded::new(2), patience);
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let now = Instant::from_secs(1);
    assert_eq!((queries.len(), queries.is_empty(), queries.is_full()), (0, true, false));
    for count in 1..=2 {
        assert!(queries.open(now, &mut random, addr(count), None, (), false).is_some());
        assert_eq!(
            (queries.len(), queries.is_empty(), queries.is_full()),
            (count, false, count == 2)
        );
    }
    assert_eq!(queries.open(now, &mut random, addr(3), None, (), false), None);
}

/// Among neighbours all deadlines are the shortest that may be; but there is time to ask again.
#[test]
fn a_second_question_has_its_time_where_all_answer_at_once() {
    let (min, millisecond) = (Duration::from_millis(100), Duration::from_millis(1));
    let patience = Patience { min, max: Duration::from_secs(2) };
    let mut queries = Queries::new(Bounded::new(1), patience);
    for _ in 0..8 * RoundTrips::MEMORY {
        queries.round_trips.observe(Duration::from_millis(5));
    }
    let now = Instant::from_secs(1);
    let mut random = ChaCha8Rng::seed_from_u64(1);
    queries.open(now, &mut random, addr(1), None, (), false).unwrap();
    let mut lapses = |now| match queries.lapse(now) {
        Some(Lapse::Slow(_, late)) => Some(Some(late)),
        Some(Lapse::Silent(_)) => Some(None),
        None => None,
    };
    assert_eq!(lapses(now + (min - millisecond)), None);
    for late in [Late::Due, Late::Slow] {
        assert_eq!(lapses(now + min), Some(Some(late)));
    }
    assert_eq!(lapses(now + (min * 5 / 4 - millisecond)), None);
    assert_eq!(lapses(now + min * 5 / 4), Some(Some(Late::Very)));
    assert_eq!(lapses(now + (min * 7 / 4 - millisecond)), None);
    for late in [Late::Rare, Late::Overdue, Late::Long] {
        assert_eq!(lapses(now + min * 7 / 4), Some(Some(late)));
    }
    assert_eq!(lapses(now + (min * 5 / 2 - millisecond)), None);
    assert_eq!(lapses(now + min * 5 / 2), Some(Some(Late::Hopeless)));
    assert_eq!(lapses(now + min * 5 / 2), Some(None));
}
