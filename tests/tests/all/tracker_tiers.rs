//! Tiers: the examples of BEP 12, events in order, intervals, back-offs, goodbyes.

use std::time::Duration;

use chacha20::ChaCha8Rng;
use proptest::prelude::*;
use rand_core::SeedableRng;
use tinybt_core::list::Bounded;
use tinybt_core::tracker::tiers::{Again, Pace, Policy, Tiers, Tracker};
use tinybt_core::{Happening, Instant};

const START: Instant = Instant::from_secs(1_000);

fn tiers(policy: Policy, of: &[u16], seed: u64) -> Tiers<Bounded<Tracker>> {
    let mut tiers = Tiers::new(Bounded::new(of.len()), policy, Pace::default());
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for (number, tier) in of.iter().enumerate() {
        assert!(tiers.add(number as u16, *tier, &mut random));
    }
    tiers
}

fn order(tiers: &Tiers<Bounded<Tracker>>) -> Vec<u16> {
    tiers.order().collect()
}

fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

#[test]
fn backups_are_tried_in_their_order_on_each_announce() {
    // d['announce-list'] = [ [tracker1], [backup1], [backup2] ]
    let mut tiers = tiers(Policy::InTurn, &[0, 1, 2], 1);
    assert_eq!(tiers.poll(START), Some((0, Happening::Started)));
    assert_eq!(tiers.poll(START), None);
    tiers.failed(START, 0, Again::Backoff);
    assert_eq!(tiers.poll(START), Some((1, Happening::Started)));
    tiers.failed(START, 1, Again::Backoff);
    assert_eq!(tiers.poll(START), Some((2, Happening::Started)));
    tiers.succeeded(START, 2, Some(minutes(30)), None);
    assert_eq!(tiers.poll(START), None);
    assert_eq!(tiers.deadline(), Some(START + minutes(30)));
    // On the next announce in the same order again; whoever has heard nothing hears `started`.
    let next = START + minutes(30);
    assert_eq!(tiers.poll(next), Some((0, Happening::Started)));
    tiers.succeeded(next, 0, Some(minutes(30)), None);
    assert_eq!(tiers.poll(next + minutes(30)), Some((0, Happening::None)));
}

#[test]
fn whoever_answers_moves_to_the_front_of_its_tier() {
    // d['announce-list'] = [[ tracker1, tracker2, tracker3 ]]
    let mut tiers = tiers(Policy::InTurn, &[0, 0, 0], 5);
    let before = order(&tiers);
    let [first, second, third] = before[..] else { panic!() };
    assert_eq!(tiers.poll(START), Some((first, Happening::Started)));
    tiers.failed(START, first, Again::Backoff);
    assert_eq!(tiers.poll(START), Some((second, Happening::Started)));
    tiers.succeeded(START, second, None, None);
    assert_eq!(order(&tiers), [second, first, third]);
    let later = START + minutes(30);
    assert_eq!(tiers.poll(later), Some((second, Happening::None)));
    tiers.failed(later, second, Again::Backoff);
    assert_eq!(tiers.poll(later), Some((first, Happening::Started)));
    tiers.failed(later, first, Again::Backoff);
    assert_eq!(tiers.poll(later), Some((third, Happening::Started)));
    tiers.succeeded(later, third, None, None);
    assert_eq!(order(&tiers), [third, second, first]);
}

#[test]
fn a_tier_is_shuffled_and_tiers_are_not() {
    let mut firsts = [0; 3];
    for seed in 0..300 {
        let order = order(&tiers(Policy::InTurn, &[1, 0, 0, 0, 1], seed));
        let mut head = order[..3].to_vec();
        firsts[usize::from(head[0]) - 1] += 1;
        head.sort_unstable();
        assert_eq!(head, [1, 2, 3]);
    }
    assert!(firsts.iter().all(|count| (70..130).contains(count)), "{firsts:?}");
}

#[test]
fn all_at_once_each_at_its_own_interval() {
    let mut tiers = tiers(Policy::All, &[0, 1], 1);
    assert_eq!(tiers.poll(START), Some((0, Happening::Started)));
    assert_eq!(tiers.poll(START), Some((1, Happening::Started)));
    assert_eq!(tiers.poll(START), None);
    tiers.succeeded(START, 0, Some(minutes(10)), Some(minutes(15)));
    tiers.succeeded(START, 1, Some(minutes(20)), None);
    // `min interval` wins over a shorter interval.
    assert_eq!(tiers.deadline(), Some(START + minutes(15)));
    tiers.hurry();
    assert_eq!(tiers.deadline(), Some(START + minutes(1)));
    assert_eq!(tiers.poll(START + minutes(1)), Some((1, Happening::None)));
    assert_eq!(tiers.poll(START + minutes(14)), None);
    assert_eq!(tiers.poll(START + minutes(15)), Some((0, Happening::None)));
}

#[test]
fn intervals_of_liars_are_bounded() {
    let mut tiers = tiers(Policy::All, &[0], 1);
    let mut at = START;
    for (told, kept) in [(0, 60), (1, 60), (u64::from(u32::MAX), 86_400)] {
        let (number, _) = tiers.poll(at).unwrap();
        tiers.succeeded(at, number, Some(Duration::from_secs(told)), None);
        assert_eq!(tiers.deadline(), Some(at + Duration::from_secs(kept)));
        at = tiers.deadline().unwrap();
    }
}

#[test]
fn a_failing_tracker_is_asked_less_and_less_and_returns() {
    let mut tiers = tiers(Policy::All, &[0], 1);
    let mut at = START;
    for expected in [30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600] {
        assert_eq!(tiers.poll(at), Some((0, Happening::Started)));
        tiers.failed(at, 0, Again::Backoff);
        assert_eq!(tiers.deadline(), Some(at + Duration::from_secs(expected)));
        at = at + Duration::from_secs(expected);
    }
    assert_eq!(tiers.state(0), (9, Some(at)));
    tiers.poll(at);
    tiers.failed(at, 0, Again::After(minutes(5)));
    at = at + minutes(5);
    assert_eq!(tiers.deadline(), Some(at));
    tiers.poll(at);
    tiers.succeeded(at, 0, None, None);
    assert_eq!(tiers.state(0), (0, Some(at + minutes(30))));
}

#[test]
fn never_is_never() {
    let mut tiers = tiers(Policy::All, &[0], 1);
    tiers.poll(START);
    tiers.failed(START, 0, Again::Never);
    assert_eq!((tiers.deadline(), tiers.poll(START + minutes(10_000))), (None, None));
    assert!(tiers.is_over());
}

#[test]
fn completed_is_told_once_and_at_once_to_those_who_know_us() {
    let mut tiers = tiers(Policy::All, &[0, 1, 2], 1);
    for _ in 0..3 {
        tiers.poll(START);
    }
    tiers.succeeded(START, 0, None, None);
    tiers.failed(START, 1, Again::Backoff);
    // The third has not answered yet when it happens.
    tiers.complete(START);
    assert_eq!(tiers.poll(START), Some((0, Happening::Completed)));
    tiers.succeeded(START, 0, None, None);
    tiers.succeeded(START, 2, None, None);
    assert_eq!(tiers.poll(START), Some((2, Happening::Completed)));
    tiers.failed(START, 2, Again::Backoff);
    // Who never heard of us hears that we are here, as one who has everything.
    let later = START + Duration::from_secs(30);
    let mut events = [tiers.poll(later).unwrap(), tiers.poll(later).unwrap()];
    events.sort_unstable_by_key(|(number, _)| *number);
    assert_eq!(events, [(1, Happening::Started), (2, Happening::Completed)]);
    assert_eq!(tiers.poll(START + minutes(30)), Some((0, Happening::None)));
}

#[test]
fn completed_is_told_once_and_not_before_a_failing_tracker_allows_it() {
    let mut tiers = tiers(Policy::All, &[0], 1);
    tiers.poll(START);
    tiers.succeeded(START, 0, None, None);
    let later = START + minutes(30);
    tiers.poll(later);
    tiers.failed(later, 0, Again::After(minutes(60)));
    tiers.complete(later);
    assert_eq!(tiers.poll(later), None);
    let allowed = later + minutes(60);
    assert_eq!(tiers.poll(allowed), Some((0, Happening::Completed)));
    tiers.succeeded(allowed, 0, None, None);
    tiers.complete(allowed);
    assert_eq!(tiers.poll(allowed), None);
}

#[test]
fn bounds_the_wrong_way_round_neither_panic_nor_spin() {
    let pace = Pace {
        interval_min: minutes(9),
        interval_max: minutes(1),
        backoff: Duration::ZERO,
        ..Pace::default()
    };
    let mut tiers = Tiers::new(Bounded::new(1), Policy::All, pace);
    assert!(tiers.add(0, 0, &mut ChaCha8Rng::seed_from_u64(1)));
    for again in [Again::After(minutes(5)), Again::Backoff, Again::Soon] {
        let at = tiers.deadline().unwrap().max(START);
        assert_eq!(tiers.poll(at), Some((0, Happening::Started)));
        tiers.failed(at, 0, again);
        assert!(tiers.deadline().unwrap() > at);
    }
    let at = tiers.deadline().unwrap();
    tiers.poll(at);
    tiers.succeeded(at, 0, Some(minutes(5)), None);
    assert!(tiers.deadline().unwrap() > at);
}

#[test]
fn paused_in_every_announce_of_a_partial_seed() {
    let mut tiers = tiers(Policy::All, &[0], 1);
    tiers.set_paused(true);
    assert_eq!(tiers.poll(START), Some((0, Happening::Started)));
    tiers.succeeded(START, 0, None, None);
    let next = START + minutes(30);
    assert_eq!(tiers.poll(next), Some((0, Happening::Paused)));
    tiers.succeeded(next, 0, None, None);
    tiers.set_paused(false);
    assert_eq!(tiers.poll(next + minutes(30)), Some((0, Happening::None)));
}

#[test]
fn goodbye_once_to_those_who_know_us_and_are_there() {
    let mut tiers = tiers(Policy::All, &[0, 1, 2, 3], 1);
    for _ in 0..4 {
        tiers.poll(START);
    }
    tiers.succeeded(START, 0, None, None);
    tiers.failed(START, 1, Again::Backoff);
    tiers.succeeded(START, 2, None, None);
    tiers.stop();
    assert_eq!(tiers.poll(START), Some((0, Happening::Stopped)));
    assert_eq!(tiers.poll(START), Some((2, Happening::Stopped)));
    assert_eq!(tiers.poll(START), None);
    assert!(!tiers.is_over());
    // The fourth answers late, and is told.
    tiers.succeeded(START, 3, None, None);
    assert_eq!(tiers.poll(START), Some((3, Happening::Stopped)));
    tiers.succeeded(START, 0, None, None);
    tiers.failed(START, 2, Again::Backoff);
    tiers.succeeded(START, 3, None, None);
    assert!(tiers.is_over());
    assert_eq!((tiers.poll(START + minutes(999)), tiers.deadline()), (None, None));
}

#[test]
fn no_goodbye_to_who_knew_us_and_is_gone() {
    let mut tiers = tiers(Policy::All, &[0], 1);
    tiers.poll(START);
    tiers.succeeded(START, 0, None, None);
    let later = START + minutes(30);
    tiers.poll(later);
    tiers.failed(later, 0, Again::Backoff);
    tiers.stop();
    assert_eq!(tiers.poll(later + minutes(60)), None);
    assert!(tiers.is_over());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn whatever_they_answer(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        tinybt_tests::fuzz_trackers::tiers(&bytes);
    }
}

#[test]
fn who_hears_of_us_once_we_have_everything_hears_of_no_completion() {
    let mut tiers = tiers(Policy::All, &[0, 1], 1);
    assert!(tiers.poll(START).is_some_and(|(number, _)| number == 0));
    tiers.failed(START, 0, Again::Backoff);
    tiers.complete(START);
    assert_eq!(tiers.poll(START), Some((1, Happening::Started)));
    tiers.succeeded(START, 1, None, None);
    assert_eq!(tiers.poll(START), None);
    let later = START + Duration::from_secs(30);
    assert_eq!(tiers.poll(later), Some((0, Happening::Started)));
    tiers.succeeded(later, 0, None, None);
    assert_eq!(tiers.poll(later), None);
}

#[test]
fn who_knows_us_and_whether_we_are_leaving_can_be_asked() {
    let mut tiers = tiers(Policy::All, &[0, 1, 2], 1);
    assert!((0..3).all(|number| !tiers.knows(number)));
    for _ in 0..3 {
        tiers.poll(START);
    }
    tiers.succeeded(START, 1, None, None);
    tiers.failed(START, 0, Again::Never);
    assert_eq!([0, 1, 2, 9].map(|number| tiers.knows(number)), [false, true, false, false]);
    assert!(!tiers.is_leaving());
    tiers.leave(1);
    assert!(!tiers.is_leaving(), "one has not answered yet");
    tiers.stop();
    assert!(tiers.is_leaving());
}
