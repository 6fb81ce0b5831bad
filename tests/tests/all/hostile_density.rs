//! Who crowds a target is told from its neighbours by how dense the network is.

use tinybt_core::dht::size::{Census, Density};
use tinybt_core::dht::{Config, RestoreError, SAVE_MAX};
use tinybt_core::limits::DENSITY_LOOKUPS;
use tinybt_core::{Family, Id, Instant};
use tinybt_tests::hostile::stage::beside;
use tinybt_tests::nodes::{id, node};

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

/// A state with something between its nodes and its version.
fn state(more: &[u8]) -> Vec<u8> {
    [b"d2:id20:aaaaaaaaaaaaaaaaaaaa5:nodes0:", more, b"1:vi1ee"].concat()
}

fn saved_again(bytes: &[u8]) -> Result<Vec<u8>, RestoreError> {
    let mut node = node(1, Config::new(Family::V4));
    node.restore(Instant::EPOCH, bytes)?;
    let mut saved = [0; SAVE_MAX];
    let len = node.save(&mut saved);
    Ok(saved[..len].to_vec())
}

#[test]
fn how_dense_the_network_is_outlives_a_node_that_looked_for_nothing() {
    for reach in [1, 3_435_973, u32::MAX] {
        let bytes = state(format!("5:reachi{reach}e").as_bytes());
        assert_eq!(saved_again(&bytes), Ok(bytes));
    }
}

#[test]
fn a_state_that_says_nothing_of_it_or_nonsense_is_taken_all_the_same() {
    for said in [
        "",
        "5:reachi0e",
        "5:reachi-1e",
        "5:reachi4294967296e",
        "5:reachi99999999999999999999999e",
        "5:reach4:1234",
        "5:reachle",
        "5:reachd1:ai1ee",
    ] {
        assert_eq!(saved_again(&state(said.as_bytes())), Ok(state(b"")), "{said}");
    }
    for said in ["5:reach", "5:reachi5", "5:reachi01e"] {
        assert_eq!(saved_again(&state(said.as_bytes())), Err(RestoreError::Malformed), "{said}");
    }
}

#[test]
fn what_was_recalled_gives_way_to_what_is_seen() {
    let ids: Vec<Id> = (0..NODES).map(|index| id(1, index)).collect();
    let mut census = Census::default();
    census.recall(Density::of(7));
    for lookup in 0..DENSITY_LOOKUPS {
        assert_eq!(census.density(), Density::of(7));
        let target = id(2, lookup);
        census.note(target, closest(&ids, target).into_iter(), true);
    }
    assert_eq!(census.density(), taught(&ids, DENSITY_LOOKUPS));
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
