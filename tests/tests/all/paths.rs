//! A lookup on several paths: each candidate belongs to one of them, and who lies on one leaves the
//! others alone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use proptest::collection::vec;
use proptest::prelude::*;
use tinybt_core::dht::Config;
use tinybt_core::dht::lookup::{Errand, Lookup};
use tinybt_core::dht::queries::Late;
use tinybt_core::dht::size::Density;
use tinybt_core::limits::{K, QUESTIONS_MAX, SHORTLIST_MAX};
use tinybt_core::{Contact, Family, Id};
use tinybt_tests::hostile::liars::{self, LIES};
use tinybt_tests::hostile::stage::Villains;
use tinybt_tests::nodes::addr;
use tinybt_tests::world::{Errand as Wish, Start, World, searches};

/// A node at a distance from the target that its number gives.
fn far(n: u16) -> Contact {
    let mut id = [0; 20];
    id[..2].copy_from_slice(&n.to_be_bytes());
    Contact { id: Id(id), addr: addr(usize::from(n)) }
}

fn lookup(paths: u8, known: impl IntoIterator<Item = u16>) -> Lookup {
    let mut lookup = Lookup::new(Id::default(), 32, false);
    lookup.set_paths(paths);
    for n in known {
        lookup.add(far(n), false);
    }
    lookup
}

fn asked(lookup: &mut Lookup) -> Vec<u16> {
    let number = |id: Id| u16::from_be_bytes([id.0[0], id.0[1]]);
    std::iter::from_fn(|| lookup.next_ask()).map(|ask| ask.id.map_or(0, number)).collect()
}

#[test]
fn each_path_asks_its_own_closest_and_all_of_them_have_to_be_done() {
    let mut lookup = lookup(2, 1000..1022);
    // Dealt out in turn; of each path eight, and two for those that may be dead.
    let expected: Vec<u16> = (1000..1020).step_by(2).chain((1001..1020).step_by(2)).collect();
    assert_eq!(asked(&mut lookup), expected);
    for n in (1000..1016).step_by(2) {
        lookup.answered(far(n), None, true);
    }
    assert!(!lookup.has_converged(), "the other path is on its way");
    // Whom one path finds is none of the other's, however close: its own eight still stand.
    assert!(lookup.hear(0, far(1), false));
    assert!(!lookup.hear(1, far(1), false), "known is known");
    assert_eq!(asked(&mut lookup), [1]);
    for n in (1001..1017).step_by(2) {
        lookup.answered(far(n), None, true);
    }
    assert!(!lookup.has_converged(), "it was the closest of its path");
    lookup.answered(far(1), None, true);
    assert!(lookup.has_converged());
    let closest: Vec<Id> = lookup.closest().map(|contact| contact.id).collect();
    let truth: Vec<Id> = [1].into_iter().chain(1000..1007).map(|n| far(n).id).collect();
    assert_eq!(closest, truth, "of both paths together");
}

#[test]
fn who_invents_nodes_takes_no_place_of_another_path() {
    let honest = |lookup: &mut Lookup| {
        // The other path comes closer meanwhile, and eight of it answer.
        let path = lookup.path_of(&far(1001).addr);
        for n in 500..508 {
            lookup.hear(path, far(n), false);
        }
        asked(lookup)
    };
    for (paths, found) in [(1, 0), (2, 8), (3, 8), (4, 7)] {
        let mut lookup = lookup(paths, 1000..1004);
        asked(&mut lookup);
        for n in 1000..1004 {
            lookup.answered(far(n), None, true);
        }
        let path = lookup.path_of(&far(1000).addr);
        for n in 1..=60 {
            lookup.hear(path, far(n), false);
        }
        // Who has given way is taken to be of the path that has the most.
        assert_eq!(lookup.path_of(&far(1000).addr), path);
        let asked = honest(&mut lookup).into_iter().filter(|n| *n >= 500).count();
        assert!(asked >= found, "{asked} on {paths}");
        assert!(paths > 1 || asked == 0, "a single path is led astray");
    }
}

#[test]
fn a_path_that_has_nobody_takes_whoever_is_heard_of_next() {
    let mut lookup = lookup(3, []);
    lookup.seed(addr(9_000));
    assert_eq!(lookup.next_ask().map(|ask| ask.addr), Some(addr(9_000)));
    lookup.answered(Contact { id: far(9_000).id, addr: addr(9_000) }, None, true);
    let path = lookup.path_of(&addr(9_000));
    for n in 1001..=1020 {
        lookup.hear(path, far(n), false);
    }
    // One goes to each of the two others, and all the rest belongs to the first.
    let expected: Vec<u16> = (1003..=1012).chain([1001, 1002]).collect();
    assert_eq!(asked(&mut lookup), expected);
    for n in expected {
        lookup.silent(&far(n).addr, Errand::Search);
    }
    assert!(!lookup.has_converged());
    assert_eq!(asked(&mut lookup), Vec::from_iter(1013..=1020));
}

#[test]
fn any_number_of_paths_is_one_to_four() {
    for (paths, as_good_as) in [(0, 1), (5, 4), (255, 4)] {
        let asked_of = |paths| asked(&mut lookup(paths, 1000..1028));
        assert_eq!(asked_of(paths), asked_of(as_good_as));
    }
}

#[test]
fn on_several_paths_lookups_find_what_they_find_on_one() {
    for paths in [2, 4] {
        let world = World { nodes: 3_000, paths, ..World::default() };
        let results = searches(&world, 15, Wish::Announce, Start::Cold);
        let mean = |of: fn(&tinybt_tests::world::Result) -> f64| {
            results.iter().map(of).sum::<f64>() / results.len() as f64
        };
        assert!(mean(|result| result.stored) >= 7.5, "{paths}: {}", mean(|result| result.stored));
        assert!(
            mean(|result| result.sent) <= 45.0 + 18.0 * f64::from(paths),
            "{paths}: {}",
            mean(|result| result.sent)
        );
        let mut config = Config::new(Family::V4);
        config.paths = paths;
        for (name, lies) in LIES {
            let villains = Villains { liars: 200, lies, crowd: None };
            let f = liars::figures(&world, villains, 10, &config);
            assert!(f.ended > 0.999 && f.most >= 0.8, "{name} on {paths}: {f:?}");
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    Ask,
    Hear(u8, Vec<u16>),
    Slow(u8),
    Silent(u8),
    Refused(u8),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    vec(
        prop_oneof![
            8 => Just(Op::Ask),
            4 => (any::<u8>(), vec(0..400u16, 0..8)).prop_map(|(who, told)| Op::Hear(who, told)),
            1 => any::<u8>().prop_map(Op::Slow),
            1 => any::<u8>().prop_map(Op::Silent),
            1 => any::<u8>().prop_map(Op::Refused),
        ],
        0..600,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn nobody_is_asked_by_two_paths_and_every_lookup_ends(
        paths in 1..=4u8,
        is_small: bool,
        reach in prop_oneof![Just(0), 20..30u32],
        ops in ops(),
    ) {
        // So few that none gives way, to be asked again when it is heard of again; or many.
        let nodes = if is_small { SHORTLIST_MAX as u16 } else { 400 };
        let mut lookup = lookup(paths, 1..12);
        lookup.set_density(Density::of(1 << reach & !1));
        let mut open: Vec<(SocketAddr, Id)> = Vec::new();
        let mut times = BTreeMap::<SocketAddr, u16>::new();
        let mut answered = BTreeSet::new();
        let mut ask = |lookup: &mut Lookup, open: &mut Vec<(SocketAddr, Id)>| {
            let Some(ask) = lookup.next_ask() else { return false };
            let count = times.entry(ask.addr).or_default();
            assert!(!is_small || ask.repeat == (*count > 0), "{ask:?}");
            *count += 1;
            assert!(!is_small || *count <= 2, "{ask:?}");
            open.push((ask.addr, ask.id.unwrap()));
            true
        };
        let pick = |open: &mut Vec<(SocketAddr, Id)>, who: u8| {
            (!open.is_empty()).then(|| open.swap_remove(usize::from(who) % open.len()))
        };
        for op in ops {
            match op {
                Op::Ask => drop(ask(&mut lookup, &mut open)),
                Op::Hear(who, told) => {
                    let Some((addr, id)) = pick(&mut open, who) else { continue };
                    lookup.answered(Contact { id, addr }, Some(b"t"), true);
                    answered.insert(id);
                    let told: Vec<Contact> = told.into_iter().map(|n| far(n % nodes)).collect();
                    let path = lookup.path_of(&addr);
                    for contact in &told {
                        lookup.hear(path, *contact, false);
                    }
                    lookup.testified(&addr, &told);
                }
                Op::Slow(who) => {
                    if let Some((addr, _)) = open.get(usize::from(who) % open.len().max(1)) {
                        lookup.slow(addr, Errand::Search, Late::Slow);
                    }
                }
                Op::Silent(who) => {
                    let Some((addr, _)) = pick(&mut open, who) else { continue };
                    lookup.silent(&addr, Errand::Search);
                }
                Op::Refused(who) => {
                    let Some((addr, _)) = pick(&mut open, who) else { continue };
                    lookup.refused(&addr, Errand::Search);
                }
            }
        }
        // Everybody falls silent, and whoever is left is asked and says nothing.
        for _ in 0..=QUESTIONS_MAX {
            for (addr, _) in open.drain(..) {
                lookup.silent(&addr, Errand::Search);
            }
            if !ask(&mut lookup, &mut open) {
                break;
            }
        }
        prop_assert!(lookup.has_converged());
        prop_assert!(lookup.closest().count() <= K);
        prop_assert!(lookup.closest().all(|contact| answered.contains(&contact.id)));
    }
}
