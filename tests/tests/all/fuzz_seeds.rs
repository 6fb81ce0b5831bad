//! The fuzz targets without a fuzzer: every committed seed, and random changes to seeds.

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use tinybt_tests::fuzz_laws::Look;
use tinybt_tests::fuzz_network;
use tinybt_tests::seeds::{LOOKING, TARGETS};

fn committed(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let files = fs::read_dir(&folder).expect("seeds of every target");
    let mut seeds: Vec<_> =
        files.map(|file| fs::read(file.unwrap().path()).expect("a seed")).collect();
    seeds.sort();
    seeds
}

#[test]
fn every_seed_of_every_target_passes() {
    for (target, body) in TARGETS {
        let seeds = committed(target);
        assert!(!seeds.is_empty(), "{target}");
        seeds.iter().for_each(|seed| body(seed));
    }
}

#[test]
fn every_seed_passes_both_looks() {
    for (target, body) in LOOKING {
        for seed in committed(target) {
            [Look::Close, Look::Passing].into_iter().for_each(|look| body(&seed, look));
        }
    }
}

#[test]
fn every_target_is_built_and_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let manifest = fs::read_to_string(root.join("fuzz/Cargo.toml")).unwrap();
    for (target, _) in TARGETS {
        assert!(manifest.contains(&format!("name = \"{target}\"")), "{target}");
        assert!(root.join(format!("fuzz/fuzz_targets/{target}.rs")).is_file(), "{target}");
    }
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_network_in_trouble_recovers(
        first: u8,
        faults in vec(any::<u8>(), 0..120),
        which: Index,
        changes in vec((any::<Index>(), any::<u8>()), 0..8),
    ) {
        let seeds = committed("network_laws");
        let mut bytes = which.get(&seeds).clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        fuzz_network::network(&bytes, Look::Close);
        fuzz_network::network(&bytes, Look::Passing);
        fuzz_network::network(&[&[first | 32], &faults[..]].concat(), Look::Close);
    }
}
