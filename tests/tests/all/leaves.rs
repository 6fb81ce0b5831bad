//! The small leaves of the DHT, each alone: ids bound to addresses, tokens, the vote, stores,
//! budgets, the lookup, and getting back into the network.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use chacha20::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use tinybt_core::budget::{Budget, Rate};
use tinybt_core::dht::bootstrap::Bootstrap;
use tinybt_core::dht::budget::{Destinations, Sources};
use tinybt_core::dht::external::External;
use tinybt_core::dht::found::Found;
use tinybt_core::dht::lookup::{Errand, Lookup};
use tinybt_core::dht::queries::{Late, RoundTrips};
use tinybt_core::dht::size::{Census, Density};
use tinybt_core::dht::store::{PEER_TTL, PeerMap, PeerMapLimits, PeerRing, PeerStore, Stored};
use tinybt_core::dht::token::Tokens;
use tinybt_core::dht::{Health, Pair};
use tinybt_core::id::is_local;
use tinybt_core::limits::{FILTERED_MAX, VOTES_MAX};
use tinybt_core::list::{Bounded, List};
use tinybt_core::{Contact, Family, Id, InfoHash, Instant, Network};
use tinybt_tests::nodes::{addr, id};

fn random() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(1)
}

fn at(secs: u64) -> Instant {
    Instant::from_secs(secs)
}

/// BEP 42, the table of its example: address, random byte, prefix and last byte of the id.
const BEP_42: [(&str, &str); 5] = [
    ("124.31.75.21", "5fbfbff10c5d6a4ec8a88e4c6ab4c28b95eee401"),
    ("21.75.31.124", "5a3ce9c14e7a08645677bbd1cfe7d8f956d53256"),
    ("65.23.51.170", "a5d43220bc8f112a3d426c84764f8c2a1150e616"),
    ("84.124.73.14", "1b0321dd1bb1fe518101ceef99462b947a01ff41"),
    ("43.213.53.83", "e56f6cbf5b7c4be0237986d5243b87aa6d51305a"),
];

#[test]
fn ids_fit_the_addresses_of_bep_42() {
    for (ip, id) in BEP_42 {
        let (ip, id): (IpAddr, Id) = (ip.parse().unwrap(), id.parse().unwrap());
        assert!(id.fits_address(ip), "{id} {ip}");
        for bit in 0..21 {
            let mut other = id;
            other.0[bit / 8] ^= 0x80 >> (bit % 8);
            assert!(!other.fits_address(ip), "bit {bit} of {id}");
        }
        let mut other = id;
        other.0[2] ^= 0x04;
        assert!(other.fits_address(ip), "bit 21 is free");
        other.0[19] ^= 1;
        assert!(!other.fits_address(ip), "the last byte is not");
    }
}

#[test]
fn ids_made_for_an_address_fit_it_and_differ() {
    let mut random = random();
    for ip in ["1.2.3.4", "203.0.113.9", "2001:db8::1", "2a02:1234:5678:9abc:def0::1"] {
        let ip: IpAddr = ip.parse().unwrap();
        let ids: Vec<Id> = (0..50).map(|_| Id::from_address(ip, &mut random)).collect();
        assert!(ids.iter().all(|id| id.fits_address(ip)), "{ip}");
        assert!((1..50).all(|index| ids[index] != ids[0]), "{ip}");
        let other: IpAddr = "198.51.100.77".parse().unwrap();
        assert!(ids.iter().filter(|id| id.fits_address(other)).count() <= 1);
    }
    for ip in [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "172.16.9.9",
        "169.254.1.1",
        "::1",
        "fe80::1",
        "fd00::1",
    ] {
        assert!(id(1, 1).fits_address(ip.parse().unwrap()), "{ip} is exempt");
    }
}

#[test]
fn a_token_is_for_an_address_and_a_hash_and_a_while() {
    let mut tokens = Tokens::new(&mut random());
    let (ip, other): (IpAddr, IpAddr) = ("1.2.3.4".parse().unwrap(), "1.2.3.5".parse().unwrap());
    let (hash, another) = (InfoHash([1; 20]), InfoHash([2; 20]));
    let token = tokens.make(at(1_000), ip, &hash);
    for (now, ip, hash, good) in [
        (1_000, ip, hash, true),
        (1_000 + 299, ip, hash, true),
        (1_000, other, hash, false),
        (1_000, ip, another, false),
        (1_000 + 600, ip, hash, false),
        (1_000 + 86_400, ip, hash, false),
    ] {
        assert_eq!(tokens.check(at(now), ip, &hash, &token), good, "{now} {ip} {hash}");
    }
    let mut wrong = token;
    wrong[7] ^= 1;
    for wrong in [&wrong[..], &token[..7], &[], &[0; 9]] {
        assert!(!tokens.check(at(1_000), ip, &hash, wrong));
    }
    let mut others = Tokens::new(&mut ChaCha8Rng::seed_from_u64(2));
    assert_ne!(others.make(at(1_000), ip, &hash), token, "each node has its own");
    // The difference of two tokens tells nothing of the difference of two others.
    let differences: Vec<u64> = (0..4u8)
        .map(|last| {
            let of =
                |ip: [u8; 4]| u64::from_le_bytes(tokens.clone().make(at(1_000), ip.into(), &hash));
            of([9, 9, last, 1]) ^ of([9, 9, last, 2])
        })
        .collect();
    assert!(differences.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn an_address_is_what_distinct_networks_agree_on() {
    let mut external = External::new(Family::V4, false);
    let ours: SocketAddr = "1.2.3.4:5".parse().unwrap();
    let lie: SocketAddr = "6.6.6.6:6".parse().unwrap();
    let voter = |index: usize| Network::of(addr(index).ip());
    for (index, claimed) in
        ["0.0.0.0:5", "1.2.3.4:0", "224.0.0.1:5", "10.0.0.1:5", "[2001::1]:5", "255.255.255.255:5"]
            .iter()
            .enumerate()
    {
        assert_eq!(external.vote(voter(index), claimed.parse().unwrap()), None);
    }
    // A crowd in one place is one voice.
    for _ in 0..50 {
        assert_eq!(external.vote(voter(1), lie), None);
    }
    assert_eq!(external.vote(voter(2), ours), None);
    assert_eq!(external.vote(voter(3), ours), None, "two of three, and not three");
    assert_eq!(external.vote(voter(4), ours), Some(ours));
    assert_eq!(external.vote(voter(5), ours), None, "no news");
    let agreed = external.agreed().unwrap();
    assert_eq!((agreed.addr, agreed.votes, agreed.of), (ours, 4, 5));
    for index in 20..23 {
        assert_eq!(external.vote(voter(index), lie), None, "half is no majority");
    }
    let moved = (30..45).find_map(|index| external.vote(voter(index), lie));
    assert_eq!(moved, Some(lie), "a new address wins in the end");
}

/// Votes that come and go, against a recount of all of them.
#[test]
fn votes_are_counted_once() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    for round in 0..50 {
        let mut external = External::new(Family::V4, false);
        let (mut votes, mut agreed) = (Vec::<(usize, SocketAddr)>::new(), None);
        for _ in 0..300 {
            let voter = random.next_u32() as usize % 24;
            let (ip, port) = (random.next_u32() % (1 + round % 4), random.next_u32() % 3);
            let claimed = SocketAddr::from(([9, 9, 9, ip as u8], 1 + port as u16));
            votes.retain(|(known, _)| *known != voter);
            votes.push((voter, claimed));
            if votes.len() > VOTES_MAX {
                votes.remove(0);
            }
            external.vote(Network::of(addr(voter).ip()), claimed);

            let on = |ip: IpAddr| votes.iter().filter(|(_, addr)| addr.ip() == ip).count();
            let on_port = |at: SocketAddr| votes.iter().filter(|(_, addr)| *addr == at).count();
            let best = votes.iter().map(|(_, addr)| addr.ip()).max_by_key(|ip| on(*ip)).unwrap();
            let of = votes.len();
            let moves = agreed.is_some_and(|ip| ip != best) && on(best) * 4 < of * 3;
            if on(best) < 3 || on(best) * 2 <= of || moves {
                continue;
            }
            agreed = Some(best);
            let told = external.agreed().unwrap();
            assert_eq!((told.addr.ip(), told.votes, told.of), (best, on(best) as u8, of as u8));
            let of_best = votes.iter().filter(|(_, addr)| addr.ip() == best);
            let most = of_best.map(|(_, addr)| on_port(*addr)).max().unwrap();
            assert_eq!(on_port(told.addr), most, "the port that most name");
        }
        assert_eq!(external.agreed().map(|told| told.addr.ip()), agreed);
    }
}

fn store_keeps_its_bounds(mut store: impl PeerStore, most: usize) {
    let hash = |n: u32| InfoHash(id(7, n as usize).0);
    let peer = |n: u16| SocketAddr::from(([9, 8, 7, 6], n));
    assert_eq!(store.announce(at(0), hash(0), peer(1), false), Stored::New);
    assert_eq!(store.announce(at(9), hash(0), peer(1), false), Stored::Refreshed);
    assert_eq!(store.counts().peers, 1, "each once");
    assert_eq!(store.announce(at(9), hash(0), peer(2), true), Stored::New);
    let mut told = |now, hash, most, start| {
        let packed = store.peers(now, hash, Family::V4, most, start).runs.concat();
        packed.chunks(6).map(|peer| u16::from_be_bytes([peer[4], peer[5]])).collect::<Vec<_>>()
    };
    assert_eq!(told(at(10), hash(0), 9, 0), [1, 2]);
    assert_eq!(told(at(10), hash(0), 9, 1), [2, 1], "from another place on");
    assert_eq!(told(at(10), hash(0), 1, 1), [2]);
    assert_eq!(told(at(10), hash(1), 9, 0), [0u16; 0]);
    let end = at(9) + PEER_TTL;
    assert_eq!(told(end, hash(0), 9, 0), [0u16; 0], "expired");
    for n in 0..3_000u32 {
        store.announce(at(20), hash(n % 500), peer(1 + (n % 60_000) as u16), false);
    }
    assert!(store.counts().peers <= most, "{:?}", store.counts());
    assert!(
        store.peers(at(21), hash(499), Family::V4, 9, 0).runs[0].len() >= 6,
        "the newest is there"
    );
    assert_eq!(store.peers(at(21), hash(499), Family::V6, 9, 0).runs.concat(), []);
}

#[test]
fn stores_are_bounded_and_forget() {
    store_keeps_its_bounds(PeerRing::<64>::new(), 64);
    let limits = PeerMapLimits { swarms: 40, peers_per_swarm: 10, peers: 200 };
    store_keeps_its_bounds(PeerMap::new(Family::V4, limits), 200);
}

#[test]
fn a_budget_is_exact_to_the_microsecond() {
    let mut budget = Budget::new(Some(Rate { per_second: 10, burst: 3 }));
    let mut now = at(100);
    for _ in 0..3 {
        assert!(budget.has(now));
        budget.take(now);
    }
    assert!(!budget.has(now));
    for _ in 0..1_000 {
        let ready = budget.ready_at();
        assert!(!budget.has(Instant::from_micros(ready.as_micros() - 1)));
        now = ready;
        assert!(budget.has(now), "at the instant it named");
        budget.take(now);
    }
    // Three at once, and then ten a second.
    assert_eq!(now.since(at(100)), Duration::from_millis(100 * 1_000));
    assert!(Budget::new(None).has(Instant::EPOCH));
}

#[test]
fn a_source_that_asks_too_much_is_alone_in_that() {
    let rate = Rate { per_second: 5, burst: 5 };
    let mut sources = Sources::new(Bounded::new(64), Some(rate), &mut random());
    let [loud, quiet] = ["5.5.5.5", "5.5.5.6"].map(|ip| sources.seat(ip.parse().unwrap()));
    let answered = (0..100).filter(|_| {
        let allowed = sources.allows(at(50), loud);
        if allowed {
            sources.spend(at(50), loud);
        }
        allowed
    });
    assert_eq!(answered.count(), 5);
    assert!(sources.allows(at(50), quiet));
    assert!(sources.allows(at(51), loud), "it may ask again a second later");
    // A /64 is one source.
    let six = |last: u16| IpAddr::from([0x2001, 1, 2, 3, 0, 0, 0, last]);
    for last in 0..5 {
        sources.spend(at(50), sources.seat(six(last)));
    }
    assert!(!sources.allows(at(50), sources.seat(six(77))));
    // A flood of others wins the loud one nothing but its place among those who used little.
    for n in 0..10_000usize {
        sources.spend(at(50), sources.seat(addr(n).ip()));
    }
    assert!(sources.allows(at(52), quiet));
}

#[test]
fn destinations_are_counted_by_the_minute() {
    let mut destinations = Destinations::new(Some(10));
    for n in 0..10 {
        assert!(destinations.has_room(at(60)));
        destinations.note(at(60), &addr(n));
        destinations.note(at(61), &addr(n));
    }
    assert!(!destinations.has_room(at(119)));
    assert_eq!(destinations.ready_at(at(119)), at(120));
    assert!(destinations.has_room(at(120)));
}

/// Busy minutes and quiet ones in turn, and one in which nothing was sent.
#[test]
fn destinations_of_a_minute_are_known_again_and_no_others() {
    let mut destinations = Destinations::new(Some(2_000));
    for (minute, many) in [(1, 500), (2, 5), (3, 2), (4, 60), (6, 1), (7, 1_900), (8, 3)] {
        let now = at(60 * minute + 7);
        assert!((0..many).all(|n| !destinations.knows(now, &addr(n))), "forgotten: {minute}");
        for n in 0..many {
            destinations.note(now, &addr(n));
            assert!(destinations.knows(now, &addr(n)));
        }
        assert!((0..many).all(|n| destinations.knows(now, &addr(n))), "minute {minute}");
        let strangers = (0..1_000).filter(|n| destinations.knows(now, &addr(5_000 + n))).count();
        // By chance alone: as many as bits are set.
        let by_chance = 1_000 * many / 4_096;
        assert!(strangers <= by_chance * 5 / 4 + 5, "{strangers}, minute {minute}");
        assert!(destinations.has_room(now));
    }
}

#[test]
fn a_peer_is_told_once() {
    let mut found = Found::new(Family::V4, Bounded::new(7 * 4));
    let namer = addr(7).ip();
    for n in [1, 2, 1, 2, 3] {
        found.insert(addr(n), namer);
    }
    assert!(!found.insert("[2001::1]:5".parse().unwrap(), namer), "of the other family");
    let told: Vec<_> = std::iter::from_fn(|| found.tell()).collect();
    assert_eq!(told, [addr(1), addr(2), addr(3)]);
    assert!(found.is_told() && !found.insert(addr(2), namer));
    // Full: those told give way to those that are not.
    for n in 10..100 {
        assert!(found.insert(addr(n), namer));
        assert_eq!(found.tell(), Some(addr(n)));
    }
    assert_eq!(found.dropped(), 0);
    // Full of those that nobody has heard of yet.
    let accepted = (200..210).filter(|n| found.insert(addr(*n), namer)).count();
    assert_eq!((accepted, found.dropped()), (4, 6));
}

#[test]
fn a_peer_is_remembered_with_the_networks_that_named_it() {
    let mut found = Found::new(Family::V4, Bounded::new(7 * 4));
    for namer in 0..200u8 {
        found.insert(addr(1), [66, 6, 6, namer].into());
        found.insert(addr(2), [66, 6, namer, 1].into());
        if namer % 50 == 0 {
            found.insert(addr(3), [66, namer, 6, 1].into());
        }
    }
    let named: Vec<_> = found.named().collect();
    assert_eq!(named[..2], [(addr(1), 1), (addr(2), 8)], "a /24 is one voice, and eight are many");
    assert!(named[2].0 == addr(3) && (2..=4).contains(&named[2].1), "{named:?}");
}

#[test]
fn round_trips_are_remembered_by_their_distribution() {
    let mut trips = RoundTrips::new();
    let guess = trips.quantile(860);
    assert!(guess > Duration::from_millis(300) && guess < Duration::from_millis(800), "{guess:?}");
    for _ in 0..1_000 {
        trips.observe(Duration::from_millis(20));
    }
    assert!(trips.quantile(900) < Duration::from_millis(30));
    for _ in 0..1_000 {
        trips.observe(Duration::from_millis(300));
    }
    let now = trips.quantile(500);
    assert!(now > Duration::from_millis(200) && now < Duration::from_millis(400), "{now:?}");
    for extreme in [Duration::ZERO, Duration::from_secs(1 << 40)] {
        trips.observe(extreme);
    }
    assert!(trips.quantile(1_000) >= trips.quantile(0));
}

/// A node at a distance from the target that its number gives.
pub(crate) fn far(n: u8) -> Contact {
    let mut id = [0; 20];
    id[0] = n;
    Contact { id: Id(id), addr: addr(usize::from(n)) }
}

pub(crate) fn asked(lookup: &mut Lookup) -> Vec<u8> {
    std::iter::from_fn(|| lookup.next_ask()).map(|ask| ask.id.map_or(255, |id| id.0[0])).collect()
}

#[test]
fn a_lookup_asks_the_closest_and_passes_over_the_late() {
    let mut lookup = Lookup::new(Id::default(), 32, false);
    for n in (1..=20).rev() {
        lookup.add(far(n), false);
    }
    let closest: Vec<u8> = (1..=10).collect();
    assert_eq!(asked(&mut lookup), closest, "the eight closest and two more, once");
    // One that is late makes way for the next.
    lookup.slow(&far(3).addr, Errand::Search, Late::Slow);
    assert_eq!(asked(&mut lookup), []);
    lookup.slow(&far(3).addr, Errand::Search, Late::Very);
    assert_eq!(asked(&mut lookup), [11]);
    for n in [1, 2, 4, 5, 6, 7, 8] {
        lookup.answered(far(n), Some(b"t"), true);
    }
    assert!(!lookup.has_converged(), "9 may still come");
    lookup.answered(far(9), None, true);
    assert!(!lookup.has_converged(), "3 as well, where all the others did");
    lookup.slow(&far(3).addr, Errand::Search, Late::Long);
    assert!(lookup.has_converged(), "3 is passed over");
    let closest: Vec<u8> = lookup.closest().map(|contact| contact.id.0[0]).collect();
    assert_eq!(closest, [1, 2, 4, 5, 6, 7, 8, 9]);
    // Its late answer is welcome.
    lookup.answered(far(3), Some(b"t"), true);
    assert_eq!(lookup.closest().nth(2).map(|contact| contact.id.0[0]), Some(3));
    // Told are those with a token; 9 gave none. One that refuses is replaced by nobody here.
    lookup.begin_announce();
    assert_eq!(asked(&mut lookup), [1, 2, 3, 4, 5, 6, 7, 8]);
    for n in 1..=6 {
        assert!(lookup.stored(&far(n).addr));
        assert!(!lookup.stored(&far(n).addr), "counted once");
    }
    lookup.refused(&far(7).addr, Errand::Announce);
    lookup.slow(&far(8).addr, Errand::Announce, Late::Slow);
    assert!(!lookup.has_announced());
    assert_eq!(asked(&mut lookup), [8], "repeated once");
    // Who is heard of now changes nothing: this is how a lookup once never ended.
    lookup.add(far(0), false);
    lookup.slow(&far(8).addr, Errand::Announce, Late::Very);
    assert!(lookup.has_converged() && lookup.has_announced());
}

#[test]
fn who_is_far_behind_those_in_flight_is_not_asked() {
    let mut lookup = Lookup::new(Id::default(), 4, false);
    for n in [1, 8, 9, 10, 11, 12, 13, 128] {
        lookup.add(far(n), false);
    }
    // The first is three bits ahead of the others and weighs four.
    assert_eq!(asked(&mut lookup), [1]);
    lookup.answered(far(1), None, true);
    assert_eq!(asked(&mut lookup), [8, 9, 10, 11], "equals weigh one each");
    for n in 8..=11 {
        lookup.silent(&far(n).addr, Errand::Search);
    }
    assert_eq!(asked(&mut lookup), [12, 13], "128 is four bits behind two");
}

#[test]
fn an_announce_tells_those_early_whose_neighbours_have_answered() {
    let mut lookup = Lookup::new(Id::default(), 32, false);
    lookup.tell_early();
    for n in 1..=20 {
        lookup.add(far(n), false);
    }
    assert_eq!(asked(&mut lookup).len(), 10);
    for n in [4, 5, 6] {
        lookup.answered(far(n), Some(b"t"), true);
        lookup.testified(&far(n).addr, &[far(1), far(2), far(9)]);
    }
    lookup.answered(far(2), Some(b"t"), true);
    let asks: Vec<_> = std::iter::from_fn(|| lookup.next_ask()).collect();
    let asks: Vec<_> = asks.iter().map(|ask| (ask.addr, ask.errand)).collect();
    // All three overlooked 3 and 7 and may have had no room for 8, whose places others take; all have
    // testified of 2.
    let search = |n| (far(n).addr, Errand::Search);
    assert_eq!(asks, [search(11), search(12), search(13), (far(2).addr, Errand::Announce)]);
    assert!(!lookup.has_converged());
}

#[test]
fn a_lookup_is_not_crowded_by_one_network() {
    let mut lookup = Lookup::new(Id::default(), 16, true);
    for n in 1..=50u8 {
        let addr = SocketAddr::from(([66, 66, 66, n], 6881));
        lookup.add(Contact { addr, ..far(n) }, false);
    }
    lookup.add(far(200), false);
    assert_eq!(asked(&mut lookup), [1, 2, 200]);
    // On a local network all are neighbours.
    let mut lookup = Lookup::new(Id::default(), 32, true);
    for n in 1..=50u8 {
        let addr = SocketAddr::from(([127, 0, 0, n], 6881));
        lookup.add(Contact { addr, ..far(n) }, false);
    }
    assert_eq!(asked(&mut lookup).len(), 10);
}

#[test]
fn an_offline_node_tries_at_growing_intervals_and_starts_over_when_it_is_heard() {
    let mut bootstrap = Bootstrap::new(true);
    assert!(!bootstrap.is_due(at(1)), "nobody to begin with");
    assert!(bootstrap.add_source(addr(1)));
    let mut now = at(100);
    let mut waits = Vec::new();
    for _ in 0..10 {
        assert!(bootstrap.is_due(now));
        bootstrap.begun();
        assert_eq!(bootstrap.deadline(), None);
        bootstrap.finished(now, 0, true);
        let next = bootstrap.deadline().unwrap();
        waits.push(next.since(now).as_secs());
        now = next;
    }
    assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 600, 600, 600]);
    assert_eq!(bootstrap.health(), Health::Offline);
    assert!(!bootstrap.blames_node(now));
    bootstrap.begun();
    assert_eq!(bootstrap.heard(now), Some(Health::Online));
    assert!(bootstrap.is_due(now), "at once");
    // A few silences are nobody's outage; many without any answer are.
    bootstrap.begun();
    let later = now + Duration::from_secs(31);
    let silences = (0..8).map(|_| bootstrap.silence(later)).collect::<Vec<_>>();
    assert_eq!(silences.iter().flatten().collect::<Vec<_>>(), [&Health::Offline]);
    assert!(silences[7].is_some());
}

/// Announces as many seeds of one swarm as filters can count; whether one of them, a stranger, and
/// a stranger to another swarm may announce.
fn crowded(mut store: impl PeerStore) -> [bool; 3] {
    let swarm = InfoHash([7; 20]);
    for index in 0..FILTERED_MAX {
        if index % 1_000 == 999 {
            assert!(store.accepts(at(1), swarm, [9, 9, 9, 9].into()), "{index}");
        }
        store.announce(at(1), swarm, addr(index), true);
    }
    let stranger = addr(FILTERED_MAX).ip();
    let known = [addr(0).ip(), stranger].map(|ip| store.accepts(at(2), swarm, ip));
    [known[0], known[1], store.accepts(at(2), InfoHash([8; 20]), stranger)]
}

#[test]
fn a_ring_that_is_as_large_as_filters_count_turns_strangers_away() {
    assert_eq!(crowded(PeerRing::<FILTERED_MAX, true>::default()), [true, false, true]);
    assert_eq!(crowded(PeerRing::<FILTERED_MAX, false>::default()), [true, true, true]);
}

#[test]
fn who_is_passed_over_keeps_nobody_from_being_asked() {
    let mut lookup = Lookup::new(Id::default(), 16, false);
    // Eight nodes in all: two of them may be as close as this by chance.
    lookup.set_density(Density::of(u32::MAX));
    for n in 1..=3 {
        lookup.add(far(n), false);
    }
    lookup.seed(addr(9));
    assert_eq!(asked(&mut lookup), [1, 2]);
    for n in 1..=2 {
        lookup.answered(far(n), None, true);
    }
    assert!(!lookup.has_converged());
    assert_eq!(lookup.next_ask().map(|ask| ask.addr), Some(addr(9)), "3 is one too many");
    lookup.refused(&addr(9), Errand::Search);
    assert!(lookup.has_converged());
}

#[test]
fn who_is_known_alone_is_asked_again_when_silent() {
    let mut lookup = Lookup::new(id(1, 1), 10, true);
    let only = Contact { id: id(1, 2), addr: addr(2) };
    assert!(lookup.add(only, false));
    assert_eq!(lookup.next_ask().map(|ask| (ask.addr, ask.repeat)), Some((only.addr, false)));
    assert_eq!(lookup.next_ask(), None);
    lookup.slow(&only.addr, Errand::Search, Late::Slow);
    assert!(!lookup.has_converged(), "nobody stands in for it");
    assert_eq!(lookup.next_ask().map(|ask| (ask.addr, ask.repeat)), Some((only.addr, true)));
    lookup.slow(&only.addr, Errand::Search, Late::Very);
    assert!(!lookup.has_converged());
    lookup.slow(&only.addr, Errand::Search, Late::Hopeless);
    assert!(lookup.has_converged());
}

#[test]
fn hosts_of_private_networks_are_told_apart() {
    let hosts = ["fd00::1", "fd00::2", "fd00:0:0:1::1", "fd00:0:0:1::2", "10.0.0.1", "10.0.0.2"];
    let hosts: BTreeSet<_> = hosts.map(|ip| Network::host(ip.parse().unwrap())).into();
    assert_eq!(hosts.len(), 6);
}

#[test]
fn a_pair_is_of_either() {
    let pair = Pair { v4: Some(4), v6: Some(6) };
    assert!(pair.contains(4) && pair.contains(6) && !pair.contains(5));
    assert!(Pair { v4: Some(4), v6: None }.contains(4));
}

#[test]
fn the_interval_of_a_size_is_that_of_the_distribution() {
    // Quantiles of chi-squared with 16, 64 and 240 degrees of freedom at 2.5 % and 97.5 %, halved:
    // those of a gamma distribution whose shape is 8, 32 and 120.
    for (lookups, low, high) in [(1, 3.454, 14.423), (4, 21.888, 44.002), (15, 99.492, 142.396)] {
        let mut census = Census::default();
        for lookup in 0..lookups {
            // The eighth is a 2^32th of the key space away.
            let target = Id([lookup; 20]);
            let mut other = target;
            other.0[3] ^= 1;
            census.note(target, [other; 8].into_iter(), true);
        }
        let size = census.size().unwrap();
        let unit = f64::from(1 << 16) * f64::from(1 << 16) / f64::from(lookups);
        let near = |found: u64, expected: f64| (found as f64 / unit / expected - 1.0).abs() < 0.01;
        assert!(near(size.low, low * 0.97) && near(size.high, high * 1.03), "{size:?}");
        assert!(near(size.nodes, f64::from(lookups) * 8.0 - 1.0), "{size:?}");
    }
}

#[test]
fn who_is_to_begin_with_twice_is_asked_once() {
    let mut lookup = Lookup::new(Id::default(), 32, false);
    lookup.add(far(1), false);
    for seed in [addr(1), addr(2), addr(2)] {
        lookup.seed(seed);
    }
    assert_eq!(asked(&mut lookup), [1, 255]);
}

#[test]
fn the_list_inline_closes_up_as_others_do() {
    let mut list: heapless::Vec<u8, 4> = [1, 2, 3].into_iter().collect();
    assert_eq!((List::remove(&mut list, 3), List::remove(&mut list, 0)), (None, Some(1)));
    assert_eq!(list[..], [2, 3]);
}

#[test]
fn of_the_sources_in_a_full_set_who_has_used_least_gives_way() {
    let rate = Some(Rate { per_second: 1, burst: 5 });
    let mut sources = Sources::new(Bounded::new(4), rate, &mut random());
    let greedy = sources.seat(addr(1).ip());
    while sources.allows(at(1), greedy) {
        sources.spend(at(1), greedy);
    }
    for index in 2..100 {
        let seat = sources.seat(addr(index).ip());
        sources.spend(at(1), seat);
        assert!(!sources.allows(at(1), greedy), "{index}");
    }
}

#[test]
fn addresses_that_carriers_share_are_local() {
    let ips = ["100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0", "101.64.0.1"];
    let local = ips.map(|ip| is_local(ip.parse().unwrap()));
    assert_eq!(local, [false, true, true, false, false]);
}

#[test]
fn a_list_on_the_heap_keeps_what_it_is_told_to() {
    let mut list = Bounded::by_need(4);
    assert!((1..=4).all(|item| list.push(item).is_ok()) && list.push(5).is_err());
    List::retain(&mut list, |item| item % 2 == 0);
    assert_eq!(list[..], [2, 4]);
}
