//! Whom a lookup waits for, and whom it asks again: what others say, and how late it is.

use tinybt_core::dht::lookup::{Errand, Lookup};
use tinybt_core::dht::queries::Late;
use tinybt_core::{Contact, Id};
use tinybt_tests::nodes::addr;

use crate::leaves::{asked, far};

/// A lookup that knows these and has asked as many of them as it asks at once.
fn begun(numbers: std::ops::RangeInclusive<u8>) -> Lookup {
    let mut lookup = Lookup::new(Id::default(), 32, false);
    for n in numbers {
        lookup.add(far(n), false);
    }
    asked(&mut lookup);
    lookup
}

/// Of so many witnesses, with this balance.
fn said(lookup: &Lookup, n: u8) -> (u8, i8) {
    lookup.testimony(&far(n).addr).map_or((0, 0), |said| (said.witnesses, said.balance))
}

#[test]
fn those_are_waited_for_whom_others_name() {
    for patiently in [false, true] {
        let mut lookup = Lookup::new(Id::default(), 32, false);
        for n in 1..=9 {
            lookup.add(far(n), false);
        }
        if patiently {
            lookup.be_patient();
        }
        assert_eq!(asked(&mut lookup).len(), 9);
        // From 4 on, 1 to 3 are in one bucket and 9 is in another: 3 would have been told before 9.
        for _ in 0..2 {
            lookup.answered(far(4), None, true);
            lookup.testified(&far(4).addr, &[far(1), far(2), far(9)]);
        }
        assert_eq!(said(&lookup, 2), (1, 1), "once each");
        assert_eq!(said(&lookup, 3), (1, -7));
        assert_eq!(said(&lookup, 9), (0, 1), "nobody told of anyone farther");
        assert_eq!(said(&lookup, 8), (0, -1), "9 is beside it");
        // Who is heard of later was left out as well.
        lookup.add(Contact { id: Id([0; 20]), addr: addr(100) }, false);
        let late = lookup.testimony(&addr(100));
        assert_eq!(late.map(|said| said.balance), Some(-7));
        lookup.refused(&addr(100), Errand::Search);
        for n in [5, 6, 7, 8, 9] {
            lookup.answered(far(n), None, true);
        }
        for n in 1..=3 {
            lookup.slow(&far(n).addr, Errand::Search, Late::Due);
        }
        assert_eq!(asked(&mut lookup), [1, 2, 3], "a second question, since the first may be lost");
        for n in 1..=3 {
            lookup.slow(&far(n).addr, Errand::Search, Late::Very);
        }
        assert!(!lookup.has_converged(), "1 and 2 are waited for");
        lookup.answered(far(1), None, true);
        lookup.slow(&far(2).addr, Errand::Search, Late::Overdue);
        assert!(!lookup.has_converged(), "most of those whom others name do answer");
        lookup.slow(&far(2).addr, Errand::Search, Late::Hopeless);
        assert_eq!(lookup.has_converged(), !patiently, "3 was not, unless there is time");
        lookup.slow(&far(3).addr, Errand::Search, Late::Hopeless);
        assert!(lookup.has_converged());
    }
}

/// 28 candidates, of whom the closest ten are asked; three name the closest, two leave out everybody and
/// tell of one far away.
#[test]
fn two_liars_take_nobodys_place_whom_three_named() {
    let mut lookup = begun(1..=28);
    for n in 4..=6 {
        lookup.answered(far(n), None, true);
        lookup.testified(&far(n).addr, &[far(1), far(2), far(3)]);
    }
    for n in [9, 10] {
        lookup.answered(far(n), None, true);
        lookup.testified(&far(n).addr, &[far(255)]);
    }
    asked(&mut lookup);
    lookup.slow(&far(1).addr, Errand::Search, Late::Due);
    assert_eq!(asked(&mut lookup), [1], "a second question, since the first may be lost");
    lookup.slow(&far(1).addr, Errand::Search, Late::Slow);
    lookup.add(far(67), false);
    assert!(lookup.testimony(&far(1).addr).is_some(), "nobody farther takes its place");
}

#[test]
fn who_was_just_asked_is_waited_for_even_if_it_was_silent_before() {
    let mut lookup = begun(2..=9);
    for n in 2..=9 {
        lookup.answered(far(n), None, true);
    }
    lookup.testified(&far(4).addr, &[far(2), far(3), far(9)]);
    lookup.add(far(1), true);
    assert_eq!(asked(&mut lookup), [1]);
    assert!(!lookup.has_converged(), "it was asked this instant");
    lookup.slow(&far(1).addr, Errand::Search, Late::Slow);
    assert!(lookup.has_converged());
}

/// What becomes of those who lapse before eight others answer.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    Nothing,
    Answer,
    Refuse,
}

/// When the last of nine, whom so many name and nobody left out, is given up where so many more lapsed.
fn given_up(named: u8, lapsed: u8, then: Then) -> Option<Late> {
    let mut lookup = begun(1..=9 + lapsed);
    for n in 2..2 + lapsed {
        lookup.slow(&far(n).addr, Errand::Search, Late::Very);
        match then {
            Then::Nothing => drop(lookup.silent(&far(n).addr, Errand::Search)),
            // It is not to be among the closest.
            Then::Answer => lookup.answered(far(n), None, false),
            Then::Refuse => lookup.refused(&far(n).addr, Errand::Search),
        }
    }
    asked(&mut lookup);
    for n in 2 + lapsed..=9 + lapsed {
        lookup.answered(far(n), None, true);
        // Its second question is lost.
        lookup.slow(&far(n).addr, Errand::Search, Late::Very);
        if n < 2 + lapsed + named {
            lookup.testified(&far(n).addr, &[far(1)]);
        }
    }
    let lates = [Late::Due, Late::Slow, Late::Very, Late::Rare, Late::Overdue, Late::Long];
    lates.into_iter().find(|late| {
        lookup.slow(&far(1).addr, Errand::Search, *late);
        lookup.has_converged()
    })
}

#[test]
fn where_many_are_silent_the_next_is_given_up_sooner() {
    assert_eq!(given_up(0, 0, Then::Nothing), Some(Late::Long));
    assert_eq!(given_up(0, 2, Then::Nothing), Some(Late::Rare));
    assert_eq!(given_up(0, 8, Then::Nothing), Some(Late::Slow), "whom nobody names");
    assert_eq!(given_up(3, 8, Then::Nothing), Some(Late::Very), "whom three name");
    assert_eq!(given_up(2, 8, Then::Nothing), Some(Late::Very), "or two");
}

#[test]
fn whoever_says_something_after_all_has_not_lapsed() {
    assert_eq!(given_up(0, 8, Then::Answer), Some(Late::Long));
    assert_eq!(given_up(0, 8, Then::Refuse), Some(Late::Long));
}

#[test]
fn whoever_looks_waits_no_longer_than_is_hopeless_for_somebody_whom_all_name() {
    let mut lookup = begun(1..=10);
    for n in 2..=10 {
        lookup.answered(far(n), None, true);
        lookup.testified(&far(n).addr, &[far(1)]);
    }
    lookup.slow(&far(1).addr, Errand::Search, Late::Long);
    assert!(!lookup.has_converged());
    lookup.slow(&far(1).addr, Errand::Search, Late::Hopeless);
    assert!(lookup.has_converged());
}

/// So many name somebody, the others leave him out though they tell of somebody far away.
#[test]
fn a_few_do_not_outweigh_many() {
    for (namers, liars, until) in [(8, 3, Late::Very), (7, 3, Late::Slow), (0, 3, Late::Slow)] {
        let mut lookup = begun(1..=12);
        for n in 2..=9 {
            lookup.answered(far(n), None, true);
        }
        for n in 2..2 + namers {
            lookup.testified(&far(n).addr, &[far(1)]);
        }
        for n in 2 + namers..2 + namers + liars {
            lookup.testified(&far(n).addr, &[far(255)]);
        }
        let given_up = [Late::Due, Late::Slow, Late::Very].into_iter().find(|late| {
            lookup.slow(&far(1).addr, Errand::Search, *late);
            lookup.has_converged()
        });
        assert_eq!(given_up, Some(until), "{namers} against {liars}");
    }
}

/// Whoever tells of six in a bucket may not have room for a seventh, or not dare to tell of him.
#[test]
fn who_tells_of_nearly_as_many_as_fit_may_know_others() {
    let mut lookup = begun(1..=20);
    lookup.answered(far(8), None, true);
    lookup.testified(&far(8).addr, &[1, 2, 3, 4, 6, 9].map(far));
    assert_eq!(said(&lookup, 5), (1, -7), "five of seven");
    lookup.answered(far(9), None, true);
    lookup.testified(&far(9).addr, &[1, 2, 3, 4, 6, 7, 10].map(far));
    assert_eq!(said(&lookup, 5), (1, -8), "six");
    assert_eq!(said(&lookup, 8), (0, 0), "nothing of its own bucket");
}
