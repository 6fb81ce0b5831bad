//! Who crowds a target is told from its neighbours by how dense the network is.

use tinybt_core::Id;
use tinybt_core::dht::size::{Census, Density};
use tinybt_tests::hostile::stage::beside;
use tinybt_tests::nodes::id;

const NODES: usize = 5_000;

fn closest(ids: &[Id], target: Id) -> Vec<Id> {
    let mut ids = ids.to_vec();
    ids.sort_by_key(|id| id.distance(target));
    ids.truncate(20);
    ids
}

/// What lookups for so many targets teach.
fn taught(ids: &[Id], lookups: usize) -> Density {
    let mut census = Census::default();
    for lookup in 0..lookups {
        let target = id(2, lookup);
        census.note(target, closest(ids, target).into_iter(), true);
    }
    census.density()
}

/// Of the nodes closest to a target, those that are too many where they are.
fn too_many(density: Density, near: &[Id], target: Id) -> usize {
    let mut count = 0;
    for id in near {
        if !density.is_crowded(count, id.distance(target)) {
            count += 1;
        }
    }
    near.len() - count
}

#[test]
fn the_honest_are_hardly_ever_too_many() {
    let ids: Vec<Id> = (0..NODES).map(|index| id(1, index)).collect();
    for (lookups, most) in [(1, 60), (4, 60), (64, 60)] {
        let density = taught(&ids, lookups);
        let targets = (0..400).map(|target| id(3, target));
        let wrong =
            targets.filter(|target| too_many(density, &closest(&ids, *target)[..8], *target) > 0);
        let wrong = wrong.count();
        assert!(wrong <= most, "{wrong} of 400 after {lookups}");
    }
}

#[test]
fn a_crowd_is_too_many_wherever_it_sits() {
    let ids: Vec<Id> = (0..NODES).map(|index| id(1, index)).collect();
    let density = taught(&ids, 6);
    for target in (0..100).map(|target| id(3, target)) {
        let nearest = closest(&ids, target)[0].distance(target).leading_zeros() as usize;
        for (bits, counted) in [(3, 4), (8, 3), (100, 2)] {
            let crowd: Vec<Id> =
                (0..50).map(|number| beside(target, nearest + bits, number)).collect();
            assert!(50 - too_many(density, &crowd, target) <= counted);
        }
    }
}

#[test]
fn before_the_first_lookup_nobody_is_too_many_and_a_crowd_does_not_change_the_scale() {
    let target = id(3, 1);
    let crowd: Vec<Id> = (0..20).map(|number| beside(target, 30, number)).collect();
    assert_eq!(too_many(Density::default(), &crowd, target), 0);
    let ids: Vec<Id> = (0..NODES).map(|index| id(1, index)).collect();
    let mut census = Census::default();
    for lookup in 0..8 {
        let target = id(2, lookup);
        census.note(target, closest(&ids, target).into_iter(), true);
    }
    let (before, point) = (census.density(), closest(&ids, target)[7].distance(target));
    census.note(target, crowd.into_iter(), true);
    let after = census.density();
    let most = |density: Density| (0..).find(|count| density.is_crowded(*count, point)).unwrap();
    assert!(most(after) <= most(before) * 5 / 4);
}
