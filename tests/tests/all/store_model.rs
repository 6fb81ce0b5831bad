//! The stores against a naive model: a list of who announced what, when, looked at as a whole for
//! every question.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use tinybt_core::dht::store::{
    PEER_TTL, Packed, PeerMap, PeerMapLimits, PeerRing, PeerStore, Sample, Scrape, Stored,
};
use tinybt_core::limits::{FILTERED_MAX, SAMPLES_MAX};
use tinybt_core::wire::compact::read_peer;
use tinybt_core::{Family, InfoHash, Instant};

/// What is done to a store.
#[derive(Clone, Debug)]
enum Deed {
    Announce { swarm: u8, peer: u8, seed: bool },
    Wait { secs: u16 },
    Look { swarm: u8, most: usize, random: u32 },
    Sample { most: usize, random: u64 },
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        6 => (0..12u8, 0..40u8, any::<bool>())
            .prop_map(|(swarm, peer, seed)| Deed::Announce { swarm, peer, seed }),
        2 => (0..1_500u16).prop_map(|secs| Deed::Wait { secs }),
        2 => (0..13u8, 0..50usize, any::<u32>())
            .prop_map(|(swarm, most, random)| Deed::Look { swarm, most, random }),
        1 => (0..20usize, any::<u64>()).prop_map(|(most, random)| Deed::Sample { most, random }),
    ];
    vec(deed, 1..120)
}

/// Each peer of each swarm, with when it expires and whether it is a seed; the oldest first.
#[derive(Default)]
struct Model {
    rows: Vec<(InfoHash, SocketAddr, Instant, bool)>,
    /// How many peers there may be.
    most: usize,
}

impl Model {
    fn announce(&mut self, now: Instant, hash: InfoHash, peer: SocketAddr, seed: bool) -> Stored {
        let before = self.rows.len();
        self.rows.retain(|row| (row.0, row.1) != (hash, peer));
        let known = self.rows.len() < before;
        if self.rows.len() >= self.most {
            self.rows.remove(0);
        }
        self.rows.push((hash, peer, now + PEER_TTL, seed));
        if known { Stored::Refreshed } else { Stored::New }
    }

    fn swarm(&self, now: Instant, hash: InfoHash) -> BTreeMap<SocketAddr, bool> {
        let rows = self.rows.iter().filter(|row| row.0 == hash && row.2 > now);
        rows.map(|row| (row.1, row.3)).collect()
    }

    fn swarms(&self, now: Instant) -> BTreeSet<InfoHash> {
        self.rows.iter().filter(|row| row.2 > now).map(|row| row.0).collect()
    }

    fn scrape(&self, now: Instant, hash: InfoHash) -> Option<Scrape> {
        let mut scrape = None;
        for (peer, seed) in self.swarm(now, hash) {
            let Scrape { seeds, downloaders } = scrape.get_or_insert_with(Scrape::default);
            if seed { seeds } else { downloaders }.insert(peer.ip());
        }
        scrape
    }
}

fn hash(swarm: u8) -> InfoHash {
    InfoHash([swarm.wrapping_mul(71); 20])
}

/// Two ports for each address, addresses enough.
fn peer(family: Family, peer: u8) -> SocketAddr {
    let port = 1_000 + u16::from(peer % 2);
    match family {
        Family::V4 => (Ipv4Addr::new(9, 1, 1, peer / 2), port).into(),
        Family::V6 => (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, peer.into()), port).into(),
    }
}

fn read(family: Family, packed: Packed<'_>) -> Vec<SocketAddr> {
    let chunks = packed.runs.iter().flat_map(|run| run.chunks_exact(family.peer_len()));
    chunks.map(|peer| read_peer(peer).unwrap()).collect()
}

const INTERVAL: Duration = Duration::from_secs(600);

/// Does the same to a store and to the model, and compares all that can be seen.
fn agrees(mut store: impl PeerStore, family: Family, most: usize, deeds: &[Deed]) {
    let mut model = Model { most, ..Model::default() };
    let mut now = Instant::from_secs(5);
    // What was sampled last, while it must not change: until when, and whether all fitted.
    let mut sampled: Option<(Instant, usize, Vec<u8>)> = None;
    for deed in deeds {
        match *deed {
            Deed::Announce { swarm, peer: index, seed } => {
                let peer = peer(family, index);
                let stored = store.announce(now, hash(swarm), peer, seed);
                let expected = model.announce(now, hash(swarm), peer, seed);
                // One that has expired may be gone or refreshed.
                let expired = model.rows.iter().any(|row| row.2 <= now);
                assert!(stored == expected || expired || stored == Stored::New, "{stored:?}");
                sampled = None;
                assert!(store.counts().peers <= most);
            }
            // No two within a moment, so that one peer is the oldest.
            Deed::Wait { secs } => now = now + Duration::from_secs(u64::from(secs)),
            Deed::Look { swarm, most, random } => {
                let all = model.swarm(now, hash(swarm));
                let told = read(family, store.peers(now, hash(swarm), family, most, random));
                check_told(&told, most, all.keys().copied().collect());
                let of_them = all.iter().filter(|(_, seed)| !**seed).map(|(peer, _)| *peer);
                let told = store.downloaders(now, hash(swarm), family, most, random);
                check_told(&read(family, told), most, of_them.collect());
                assert_eq!(store.scrape(now, hash(swarm)), model.scrape(now, hash(swarm)));
                assert!(store.accepts(now, hash(swarm), peer(family, 1).ip()));
            }
            Deed::Sample { most, random } => {
                let all = model.swarms(now);
                let sample = store.sample(now, most, INTERVAL, random);
                assert_eq!(sample.stored, all.len());
                assert!(sample.left <= INTERVAL && !sample.left.is_zero());
                let chunks = sample.packed.chunks_exact(20);
                let told: BTreeSet<_> = chunks.map(|c| InfoHash(c.try_into().unwrap())).collect();
                assert_eq!(told.len() * 20, sample.packed.len(), "each once");
                if all.len() <= most {
                    assert_eq!(told, all, "all of them where they fit");
                } else if let Some((until, same, packed)) = &sampled
                    && now < *until
                    && *same == most
                    && now < Instant::from_secs(0) + PEER_TTL
                {
                    assert_eq!(sample.packed, packed, "the same within the interval");
                } else {
                    assert_eq!(told.len(), most);
                    assert!(told.is_subset(&all) || now >= Instant::EPOCH + PEER_TTL);
                    sampled = Some((now + sample.left, most, sample.packed.to_vec()));
                }
            }
        }
        // Announces at one instant have no order.
        now = now + Duration::from_secs(1);
    }
}

/// As many as are wanted, each once, of these.
fn check_told(told: &[SocketAddr], most: usize, all: BTreeSet<SocketAddr>) {
    let set: BTreeSet<_> = told.iter().copied().collect();
    assert_eq!(set.len(), told.len(), "each once");
    assert_eq!(told.len(), most.min(all.len()));
    assert!(set.is_subset(&all), "{set:?} {all:?}");
}

fn roomy() -> PeerMapLimits {
    PeerMapLimits { swarms: 100, peers_per_swarm: 100, peers: 1_000 }
}

proptest! {
    #[test]
    fn a_ring_is_what_the_model_is(deeds in deeds()) {
        agrees(PeerRing::<24, true>::new(), Family::V4, 24, &deeds);
        agrees(PeerRing::<200, true>::new(), Family::V6, 200, &deeds);
    }

    #[test]
    fn a_map_is_what_the_model_is(deeds in deeds()) {
        agrees(PeerMap::new(Family::V4, roomy()), Family::V4, 1_000, &deeds);
        agrees(PeerMap::new(Family::V6, roomy()), Family::V6, 1_000, &deeds);
    }

    #[test]
    fn in_a_full_swarm_the_oldest_gives_way(
        announces in vec((0..40u8, any::<bool>()), 1..150),
        random in any::<u32>(),
    ) {
        let limits = PeerMapLimits { peers_per_swarm: 12, ..roomy() };
        let mut store = PeerMap::new(Family::V4, limits);
        let mut model = Model { most: 12, ..Model::default() };
        for ((index, seed), secs) in announces.into_iter().zip(1..) {
            let (now, peer) = (Instant::from_secs(secs), peer(Family::V4, index));
            prop_assert_eq!(
                store.announce(now, hash(1), peer, seed),
                model.announce(now, hash(1), peer, seed)
            );
            let told = read(Family::V4, store.peers(now, hash(1), Family::V4, 99, random));
            check_told(&told, 99, model.swarm(now, hash(1)).into_keys().collect());
            prop_assert_eq!(store.scrape(now, hash(1)), model.scrape(now, hash(1)));
            prop_assert_eq!(store.counts().peers, told.len());
        }
    }
}

/// How often each swarm was in a sample of many intervals.
fn sampled(mut store: impl PeerStore, swarms: u8, most: usize) -> BTreeMap<[u8; 20], u32> {
    let start = Instant::from_secs(1);
    for swarm in 0..swarms {
        store.announce(start, InfoHash([swarm; 20]), peer(Family::V4, 0), false);
    }
    let mut times = BTreeMap::new();
    for (round, random) in (0..2_000).zip((0u64..).map(|n| tinybt_tests::net::mix(9, &[n]))) {
        let now = start + Duration::from_millis(1_000 + round * 10);
        let sample = store.sample(now, most, Duration::from_millis(10), random);
        assert_eq!((sample.packed.len(), sample.stored), (most * 20, usize::from(swarms)));
        for hash in sample.packed.chunks_exact(20) {
            *times.entry(hash.try_into().unwrap()).or_default() += 1;
        }
    }
    times
}

#[test]
fn every_swarm_has_its_share_of_being_sampled() {
    let of_map = |most| sampled(PeerMap::new(Family::V4, roomy()), 100, most);
    let of_ring = |most| sampled(PeerRing::<100, true>::new(), 100, most);
    for (most, times) in [(40, of_map(40)), (7, of_map(7)), (40, of_ring(40)), (7, of_ring(7))] {
        let mean = 2_000 * most as u32 / 100;
        assert_eq!(times.len(), 100);
        // Six standard deviations of a share of 7 %.
        let fair = mean - mean / 2..mean + mean / 2;
        assert!(times.values().all(|n| fair.contains(n)), "{most}: {mean} {:?}", times.values());
    }
}

#[test]
fn a_sample_begun_with_little_is_not_kept_for_long() {
    let mut store = PeerMap::new(Family::V4, roomy());
    let at = Instant::from_secs(10);
    assert_eq!(store.sample(at, 20, INTERVAL, 1).packed, []);
    for swarm in 0..90 {
        store.announce(at, InfoHash([swarm; 20]), peer(Family::V4, 0), false);
    }
    let first = store.sample(at, 20, INTERVAL, 2).packed.to_vec();
    assert_eq!(first.len(), 400);
    let later = Instant::from_secs(609);
    let sample = store.sample(later, 20, INTERVAL, 3);
    assert_eq!((sample.packed, sample.left), (&first[..], Duration::from_secs(1)));
    let next = store.sample(Instant::from_secs(610), 20, INTERVAL, 4);
    assert_ne!(next.packed, first);
    assert_eq!(next.left, INTERVAL);
    let end = at + PEER_TTL;
    assert_eq!(store.sample(end, 20, INTERVAL, 5).stored, 0, "expired ones do not count");
    assert_eq!(store.counts().swarms, 0);
}

fn fills_up(mut store: impl PeerStore) {
    let ip = |n: usize| Ipv4Addr::from_bits(0x0900_0000 + n as u32);
    let now = Instant::from_secs(1);
    for n in 0..FILTERED_MAX {
        assert!(store.accepts(now, hash(1), ip(n).into()));
        store.announce(now, hash(1), (ip(n), 6881).into(), true);
    }
    assert!(!store.accepts(now, hash(1), ip(FILTERED_MAX).into()), "6,000 seeds");
    assert!(store.accepts(now, hash(1), ip(77).into()), "it is one of them");
    assert!(store.accepts(now, hash(2), ip(FILTERED_MAX).into()), "another swarm");
    store.announce(now, hash(1), (ip(77), 6881).into(), false);
    assert!(store.accepts(now, hash(1), ip(FILTERED_MAX).into()), "5,999 seeds");
    assert!(store.scrape(now, hash(1)).unwrap().seeds.estimate().count > 5_000.0);
    store.announce(now, hash(1), (ip(77), 6881).into(), true);
    assert!(store.accepts(now + PEER_TTL, hash(1), ip(FILTERED_MAX).into()), "expired");
}

#[test]
fn no_more_are_accepted_than_can_be_counted() {
    fills_up(PeerRing::<7_000, true>::new());
    let limits = PeerMapLimits { swarms: 9, peers_per_swarm: 7_000, peers: 9_000 };
    fills_up(PeerMap::new(Family::V4, limits));
}

#[test]
fn a_store_of_ones_own_needs_three_methods() {
    struct Own;
    impl PeerStore for Own {
        fn announce(&mut self, _: Instant, _: InfoHash, _: SocketAddr, _: bool) -> Stored {
            Stored::Full
        }
        fn peers(&mut self, _: Instant, _: InfoHash, _: Family, _: usize, _: u32) -> Packed<'_> {
            Packed { runs: [&[1, 2, 3, 4, 5, 6], &[]] }
        }
        fn counts(&self) -> tinybt_core::dht::store::StoreCounts {
            Default::default()
        }
    }
    let now = Instant::EPOCH;
    assert_eq!(Own.downloaders(now, hash(1), Family::V4, 9, 0).runs[0].len(), 6);
    assert_eq!(Own.scrape(now, hash(1)), None);
    assert_eq!(Own.sample(now, 9, INTERVAL, 0), Sample::default());
    const { assert!(!Own::SCRAPES) };
    assert!(Own.accepts(now, hash(1), Ipv4Addr::LOCALHOST.into()));
}

#[test]
fn a_ring_keeps_its_sample_while_swarms_get_peers() {
    let mut store = PeerRing::<250, true>::new();
    let at = Instant::from_secs(1);
    let sample = |store: &mut PeerRing<250, true>| {
        let packed = store.sample(at, SAMPLES_MAX, INTERVAL, 5).packed;
        packed.chunks_exact(20).map(<[u8]>::to_vec).collect::<BTreeSet<_>>()
    };
    for swarm in 0..100 {
        store.announce(at, InfoHash([swarm; 20]), peer(Family::V4, 0), false);
    }
    let first = sample(&mut store);
    assert_eq!(first.len(), SAMPLES_MAX);
    for swarm in (0..100).rev() {
        store.announce(at, InfoHash([swarm; 20]), peer(Family::V4, 1), false);
    }
    assert_eq!(sample(&mut store), first);
}

#[test]
fn a_full_ring_forgets_no_swarm_of_which_it_has_a_peer() {
    let mut store = PeerRing::<4, true>::new();
    let at = Instant::from_secs(1);
    for (swarm, index) in [(1, 1), (1, 2), (1, 1), (2, 1), (3, 1), (4, 1)] {
        store.announce(at, hash(swarm), peer(Family::V4, index), false);
    }
    assert_eq!(store.sample(at, 9, INTERVAL, 5).stored, 4);
    assert_eq!((store.counts().swarms, store.counts().peers), (4, 4));
}

#[test]
fn a_ring_without_scrapes_counts_swarms_all_the_same() {
    let mut store = PeerRing::<8>::new();
    let at = Instant::from_secs(1);
    for (swarm, index) in [(1, 1), (2, 1), (1, 2), (1, 3), (3, 1), (2, 2), (1, 4)] {
        store.announce(at, hash(swarm), peer(Family::V4, index), false);
    }
    assert_eq!((store.counts().swarms, store.counts().peers), (3, 7));
    assert_eq!(store.sample(at, 9, INTERVAL, 5), Sample::default());
}

#[test]
fn whoever_was_told_all_that_a_ring_has_waits_for_a_whole_interval() {
    let mut store = PeerRing::<8, true>::new();
    let (first, later) = (Instant::from_secs(1), Instant::from_secs(101));
    for swarm in 0..4 {
        store.announce(first, hash(swarm), peer(Family::V4, 1), false);
    }
    assert_eq!(store.sample(first, 4, INTERVAL, 5).left, INTERVAL);
    // There is nothing else to be told before the next announce; of a part there is.
    assert_eq!(store.sample(later, 4, INTERVAL, 5).left, INTERVAL);
    assert_eq!(store.sample(later, 3, INTERVAL, 5).left, INTERVAL - later.since(first));
}
