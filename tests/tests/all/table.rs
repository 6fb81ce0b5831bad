//! The routing table: the cases worth naming, each for itself; and against a model.

mod model;

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeSet;

use chacha20::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use tinybt_core::dht::table::{
    Bucket, Entry, Packed, Proof, Quality, Routing, Table, TableConfig, Upkeep,
};
use tinybt_core::limits::{K, RESERVES_MAX};
use tinybt_core::list::Bounded;
use tinybt_core::{Contact, Family, Id, Instant, heapless};

const OWN: Id = Id([0x5a; 20]);
const MINUTE: Duration = Duration::from_secs(60);
const RTT: Duration = Duration::from_millis(80);

fn table(buckets: usize, config: TableConfig) -> Packed {
    Packed::new(OWN, config, Family::V4, buckets)
}

/// The same with rows that hold addresses of either family.
fn inline(buckets: usize, config: TableConfig) -> Table<Bounded<Bucket>> {
    Table::new(OWN, config, Bounded::new(buckets))
}

fn entries(table: &impl Routing) -> Vec<Entry> {
    let mut all = Vec::new();
    table.for_each(&mut |entry| all.push(*entry));
    all
}

/// An id that shares exactly `shared` bits with ours; the rest is told by `seed`.
fn id(shared: usize, seed: u64) -> Id {
    let mut bytes = [0; 20];
    ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    for bit in 0..=shared {
        let mask = 0x80 >> (bit % 8);
        let own = OWN.0[bit / 8] & mask;
        let wanted = if bit == shared { own ^ mask } else { own };
        bytes[bit / 8] = bytes[bit / 8] & !mask | wanted;
    }
    Id(bytes)
}

fn addr(network: u8, host: u8, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, network, 7, host)), port)
}

/// Node `n` of many: an id at `shared` bits, a network of its own.
fn node(shared: usize, n: u8) -> Contact {
    Contact { id: id(shared, u64::from(n)), addr: addr(n, 1, 6881) }
}

fn at(secs: u64) -> Instant {
    Instant::from_secs(secs)
}

fn answers(table: &mut impl Routing, now: Instant, contact: Contact) -> bool {
    table.answered(now, contact, RTT, Proof::Verified)
}

fn has(table: &impl Routing, contact: Contact) -> bool {
    entries(table).iter().any(|entry| entry.contact == contact)
}

fn shared_bits(a: Id, b: Id) -> usize {
    a.distance(b).leading_zeros() as usize
}

// The cases worth naming.

/// A table of one bucket, full of nodes 0 to 7, which answered at second 0 to 7.
fn full() -> Packed {
    let mut table = table(1, TableConfig::default());
    for n in 0..K as u8 {
        assert!(answers(&mut table, at(n.into()), node(0, n)));
    }
    table
}

#[test]
fn a_node_is_good_for_a_quarter_of_an_hour_after_it_was_heard() {
    let mut table = table(1, TableConfig::default());
    let known = node(0, 1);
    answers(&mut table, at(0), known);
    for (asks_us, now, good) in
        [(None, 899, 1), (None, 900, 0), (Some(900), 1_799, 1), (Some(1_000), 1_900, 0)]
    {
        if let Some(when) = asks_us {
            assert!(table.asked_us(at(when), &known));
        }
        assert_eq!(table.counts(at(now)).good, good, "at second {now}");
    }
    let elsewhere = Contact { addr: addr(1, 1, 1), ..known };
    let other_id = Contact { id: id(0, 99), ..known };
    for stranger in [elsewhere, other_id] {
        assert!(!table.asked_us(at(5_000), &stranger));
        assert_eq!(table.counts(at(5_000)).good, 0, "{stranger:?} is not the one we know");
    }
}

/// Rows count seconds from an epoch that the table chooses.
#[test]
fn it_is_all_the_same_when_the_callers_time_began() {
    let year = 365 * 86_400;
    let late = Instant::from_micros(u64::MAX - 3_600_000_000);
    for begin in [at(0), at(40 * year), at(70 * year), at(140 * year), at(580_000 * year), late] {
        let mut table = table(1, TableConfig::default());
        let secs = Duration::from_secs;
        assert!(answers(&mut table, begin + Duration::from_millis(700), node(0, 1)));
        assert!(begin.since(entries(&table)[0].heard) < secs(1));
        let good = |table: &Packed, after| table.counts(begin + after).good;
        assert_eq!((good(&table, secs(899)), good(&table, secs(901))), (1, 0), "{begin:?}");
        let due = table.deadline().unwrap().since(begin);
        assert!(due >= secs(899) && due <= secs(901), "{begin:?}: {due:?}");
        // Clocks that are set back, and found to have been right.
        let before = Instant::from_micros(begin.as_micros().saturating_sub(86_400_000_000));
        assert!(answers(&mut table, before, node(0, 2)));
        assert!(answers(&mut table, begin + secs(10), node(0, 3)));
        let expected = if before == begin { 3 } else { 2 };
        assert_eq!(good(&table, secs(20)), expected, "{begin:?}");
    }
}

/// A clock may leap farther than stamps can count: nobody is lost, and upkeep keeps its pace.
#[test]
fn a_clock_that_leaps_a_century_does_not_hurt() {
    for leap in [Instant::NEVER, at(200 * 365 * 86_400), at(0)] {
        let mut table = table(1, TableConfig::default());
        assert!(answers(&mut table, at(100 * 365 * 86_400), node(0, 1)));
        assert!(answers(&mut table, leap, node(0, 2)));
        assert_eq!(table.len(), 2);
        let mut random = ChaCha8Rng::seed_from_u64(1);
        table.upkeep(leap, &mut random);
        assert_eq!(table.upkeep(leap, &mut random), None, "twice at once");
    }
}

#[test]
fn whom_a_message_could_not_tell_of_is_not_kept() {
    let v6 = |addr: &str| Contact { id: id(0, 1), addr: addr.parse().unwrap() };
    let (v4, global) = (node(0, 1), v6("[2001:db8::1]:6881"));
    let scoped = v6("[fe80::1%3]:6881");
    let packed = |family| Packed::new(OWN, TableConfig::default(), family, 1);
    for (family, contact, kept) in [
        (Family::V4, v4, true),
        (Family::V4, global, false),
        (Family::V6, v4, false),
        (Family::V6, global, true),
        (Family::V6, scoped, false),
    ] {
        let mut table = packed(family);
        assert_eq!(table.wants(at(1), contact), kept, "{contact:?}");
        assert_eq!(answers(&mut table, at(1), contact), kept, "{contact:?}");
        table.silent(at(2), &contact.addr);
        table.restore(at(2), contact);
        assert_eq!(table.asked_us(at(3), &contact), kept);
        assert_eq!((table.len(), has(&table, contact)), (usize::from(kept), kept));
        table.remove(&contact.addr);
        assert!(table.is_empty());
    }
}

#[test]
fn a_bad_node_gives_way_to_the_reserve_heard_of_last() {
    let mut table = full();
    for (n, when) in [(20, 10), (21, 30), (22, 20)] {
        assert!(!answers(&mut table, at(when), node(0, n)));
    }
    assert_eq!(table.counts(at(30)).reserves, 3);
    table.silent(at(31), &node(0, 0).addr);
    assert!(has(&table, node(0, 0)), "once is no reason");
    table.silent(at(32), &node(0, 0).addr);
    assert!(!has(&table, node(0, 0)) && has(&table, node(0, 21)));
    assert_eq!((table.len(), table.counts(at(32)).reserves), (K, 2));
}

#[test]
fn a_bad_node_that_nobody_replaces_stays_but_is_told_to_nobody() {
    let mut table = full();
    let bad = node(0, 3);
    for _ in 0..2 {
        table.silent(at(20), &bad.addr);
    }
    assert!(has(&table, bad) && table.counts(at(20)).bad == 1);
    for quality in [Quality::Good, Quality::Usable] {
        let mut found = heapless::Vec::<_, 8>::new();
        table.closest(at(20), bad.id, quality, &mut found);
        assert!(found.len() == K - 1 && !found.contains(&bad), "{quality:?}");
    }
    assert!(table.wants(at(20), node(0, 30)));
    assert!(answers(&mut table, at(21), node(0, 30)));
    assert!(!has(&table, bad), "the first that comes takes the place");
    for _ in 0..2 {
        table.silent(at(22), &node(0, 4).addr);
    }
    assert!(answers(&mut table, at(23), node(0, 4)));
    assert_eq!(table.counts(at(23)).good, K, "one that answers is good again");
}

#[test]
fn a_bad_node_that_asks_us_is_to_answer_before_it_counts_and_no_later_for_that() {
    let mut table = full();
    let back = node(0, 3);
    assert!(table.asked_us(at(20), &back));
    for _ in 0..2 {
        table.silent(at(30), &back.addr);
    }
    let heard = |table: &Packed| entries(table).iter().find(|e| e.contact == back).unwrap().heard;
    for when in [40, 400, 1_400] {
        assert!(!table.asked_us(at(when), &back) && table.wants(at(when), back), "{when}");
        assert_eq!((heard(&table), table.counts(at(40)).bad), (at(20), 1));
    }
    assert!(answers(&mut table, at(1_401), back));
    assert!(table.asked_us(at(1_402), &back) && heard(&table) == at(1_402));
}

#[test]
fn who_gets_the_place_when_two_claim_an_id_an_address_or_a_network() {
    let old = node(0, 1);
    let remade = Contact { id: id(0, 77), ..old };
    let moved = Contact { addr: addr(50, 1, 6881), ..old };
    let neighbour = Contact { id: id(0, 78), addr: addr(1, 2, 6881) };
    let other_port = Contact { id: id(0, 79), addr: addr(1, 1, 6882) };
    // Newcomer, diversity, silences of the old one, who is in the table after the newcomer answered
    // when the old one has not been heard of for an hour.
    let cases = [
        ("made anew", remade, true, 0, [false, true]),
        ("moved, the old one answers", moved, true, 0, [true, false]),
        ("moved, the old one is silent", moved, true, 1, [false, true]),
        ("same /24", neighbour, true, 0, [true, false]),
        ("same /24, the old one is silent", neighbour, true, 1, [false, true]),
        ("same /24 allowed", neighbour, false, 0, [true, true]),
        ("same host", other_port, true, 0, [true, false]),
        ("same host allowed", other_port, false, 0, [true, true]),
    ];
    for (name, newcomer, diversity, silences, expected) in cases {
        let mut table = table(4, TableConfig { diversity, ..TableConfig::default() });
        answers(&mut table, at(0), old);
        for _ in 0..silences {
            table.silent(at(1), &old.addr);
        }
        answers(&mut table, at(3_600), newcomer);
        assert_eq!([has(&table, old), has(&table, newcomer)], expected, "{name}");
    }
}

#[test]
fn every_rival_has_to_give_way_not_only_the_first() {
    let mut table = table(4, TableConfig::default());
    let (quiet, lively) = (node(0, 1), node(0, 2));
    answers(&mut table, at(0), quiet);
    answers(&mut table, at(0), lively);
    table.silent(at(1), &quiet.addr);
    let both = Contact { id: quiet.id, addr: addr(2, 9, 6881) };
    assert!(!table.wants(at(2), both));
    assert!(!answers(&mut table, at(2), both));
    assert!(has(&table, quiet) && has(&table, lively), "nobody is dropped in vain");
    table.silent(at(3), &lively.addr);
    assert!(table.wants(at(4), both) && answers(&mut table, at(4), both));
    assert_eq!(table.len(), 1);
}

#[test]
fn whoever_is_in_reserve_holds_an_id_or_network_as_long_as_it_is_good() {
    let claim = Contact { id: id(1, 60), addr: addr(20, 2, 6881) };
    for (now, expected) in [(900, false), (910, true)] {
        let mut table = table(4, TableConfig::default());
        for n in (0..K as u8).chain([20]) {
            answers(&mut table, at(10), node(0, n));
        }
        assert_eq!(table.counts(at(10)).reserves, 1);
        assert_eq!(table.wants(at(now), claim), expected, "at second {now}");
        assert_eq!(answers(&mut table, at(now), claim), expected, "at second {now}");
    }
}

#[test]
fn one_from_the_reserve_is_asked_at_once_if_nothing_was_heard_of_it_for_long() {
    let mut table = full();
    answers(&mut table, at(10), node(0, 20));
    for n in 0..K as u8 {
        answers(&mut table, at(800), node(0, n));
    }
    let mut random = ChaCha8Rng::seed_from_u64(1);
    assert_eq!(table.upkeep(at(920), &mut random), None);
    assert_eq!(table.deadline(), Some(at(1_700)));
    for _ in 0..2 {
        table.silent(at(1_000), &node(0, 0).addr);
    }
    assert_eq!(table.deadline(), Some(at(1_005)));
    assert_eq!(table.upkeep(at(1_005), &mut random), Some(Upkeep::Ping(node(0, 20))));
}

#[test]
fn a_question_of_one_restored_proves_nothing() {
    let mut table = table(4, TableConfig::default());
    table.restore(at(1), node(0, 1));
    assert!(!table.asked_us(at(2), &node(0, 1)));
    assert_eq!((entries(&table)[0].heard, table.counts(at(2)).good), (Instant::EPOCH, 0));
}

#[test]
fn around_a_new_id_there_are_no_more_buckets_than_needed() {
    let mut table = two_hundred();
    let buckets = table.counts(at(1)).buckets;
    table.rebase(at(2), id(0, 5));
    let counts = table.counts(at(2));
    assert!(counts.buckets < buckets / 2, "{counts:?}");
    assert!(table.len() >= K);
}

#[test]
fn wants_whoever_could_be_kept() {
    let mut table = full();
    let newcomer = node(0, 30);
    assert!(table.wants(at(10), newcomer), "there is room in reserve");
    for n in 20..20 + RESERVES_MAX as u8 {
        answers(&mut table, at(10), node(0, n));
    }
    assert!(!table.wants(at(10), newcomer), "no place, none in reserve");
    assert!(table.wants(at(10) + 15 * MINUTE, newcomer), "the reserves have gone stale");
    assert!(!table.wants(at(10), Contact { id: OWN, ..newcomer }), "our own id");
    assert!(!table.wants(at(10), node(0, 3)), "known");
    let claim = Contact { id: id(0, 90), ..node(0, 3) };
    assert!(!table.wants(at(10), claim), "a claim, and the known one answers");
    let exempt = Contact { addr: SocketAddr::from(([10, 0, 0, 1], 6881)), ..newcomer };
    assert!(!table.wants(at(10), exempt), "all there are verified");
    table.answered(at(10), node(0, 3), RTT, Proof::Unverified);
    assert!(table.wants(at(10), exempt) && !table.wants(at(10), newcomer));
}

#[test]
fn proof_is_preferred_and_the_proven_to_the_remembered() {
    for prefer_verified in [true, false] {
        let mut table = table(1, TableConfig { prefer_verified, ..TableConfig::default() });
        for n in 0..K as u8 {
            table.answered(at(1), node(0, n), RTT, Proof::Unverified);
        }
        assert_eq!(answers(&mut table, at(2), node(0, 40)), prefer_verified);
        assert_eq!(table.counts(at(2)).reserves, 1, "whoever lost the place is kept in reserve");
    }
    let mut table = table(1, TableConfig { prefer_verified: false, ..TableConfig::default() });
    for n in 0..K as u8 {
        table.restore(at(0), node(0, n));
    }
    assert_eq!(table.counts(at(0)).questionable, K);
    assert!(answers(&mut table, at(1), node(0, 40)));
    assert_eq!((table.len(), table.counts(at(1)).good), (K, 1));
}

#[test]
fn of_those_that_may_be_displaced_the_one_unheard_for_longest_is() {
    let mut table = table(1, TableConfig::default());
    for n in 0..K as u8 {
        let heard = at(10 + u64::from(n * 3 % 8));
        table.answered(heard, node(0, n), RTT, Proof::Unverified);
    }
    for (newcomer, displaced) in [(40, 0), (41, 3), (42, 6)] {
        assert!(answers(&mut table, at(30), node(0, newcomer)));
        assert!(!has(&table, node(0, displaced)), "{displaced} gives way to {newcomer}");
    }
}

#[test]
fn one_that_is_protected_in_reserve_is_not_driven_out() {
    let mut table = full();
    (0..K as u8).for_each(|n| table.protect(&node(0, n).addr, true));
    let dear = node(0, 20);
    answers(&mut table, at(10), dear);
    table.protect(&dear.addr, true);
    for n in 30..40 {
        answers(&mut table, at(u64::from(n)), node(0, n));
    }
    assert!(!has(&table, dear), "all places are taken by others like it");
    table.remove(&node(0, 0).addr);
    assert!(has(&table, dear));
}

#[test]
fn what_is_restored_does_not_drive_out_the_reserves() {
    let mut table = full();
    for n in 20..20 + RESERVES_MAX as u8 {
        answers(&mut table, at(10), node(0, n));
    }
    table.restore(at(11), node(0, 50));
    for n in 0..RESERVES_MAX as u8 {
        for _ in 0..2 {
            table.silent(at(12), &node(0, n).addr);
        }
    }
    assert_eq!(table.counts(at(12)).good, K);
}

#[test]
fn a_protected_node_leaves_only_when_told_to() {
    let mut table = full();
    let dear = node(0, 2);
    table.protect(&dear.addr, true);
    answers(&mut table, at(10), node(0, 20));
    for _ in 0..9 {
        table.silent(at(11), &dear.addr);
    }
    let remade = Contact { id: id(0, 88), ..dear };
    assert!(!answers(&mut table, at(12), remade));
    assert!(has(&table, dear));
    // One in reserve is given a place.
    assert!(!has(&table, node(0, 20)));
    table.protect(&node(0, 20).addr, true);
    assert!(has(&table, node(0, 20)) && has(&table, dear));
    table.remove(&dear.addr);
    assert!(!has(&table, dear));
}

#[test]
fn ids_that_differ_late_are_still_told_apart() {
    let mut table = table(4, TableConfig::default());
    let twin = |last: u8| {
        let mut contact = node(0, 200 + last);
        contact.id = id(0, 1);
        contact.id.0[19] = last;
        contact
    };
    for last in [3, 1, 6, 0, 4] {
        answers(&mut table, at(1), twin(last));
    }
    let mut found = heapless::Vec::<_, 3>::new();
    table.closest(at(1), twin(1).id, Quality::Good, &mut found);
    assert_eq!(found.as_slice(), [twin(1), twin(0), twin(3)]);
}

#[test]
fn buckets_split_on_our_side_only_and_no_further_than_there_is_room() {
    for (buckets_max, expected) in [(1, K), (2, 2 * K), (5, 5 * K), (40, 6 * K)] {
        let mut table = table(buckets_max, TableConfig::default());
        for shared in 0..6 {
            for n in 0..20 {
                answers(&mut table, at(1), node(shared, shared as u8 * 20 + n));
            }
        }
        assert_eq!(table.len(), expected, "with room for {buckets_max} buckets");
        assert!(table.counts(at(1)).buckets <= buckets_max);
    }
    let mut none = table(0, TableConfig::default());
    assert!(!answers(&mut none, at(1), node(0, 1)) && none.is_empty());
    none.rebase(at(1), id(0, 1));
    assert_eq!(none.deadline(), None);
}

// Upkeep.

/// Serves upkeep until `end`; each question is answered after a round trip if `alive` says so,
/// and found silent after two seconds otherwise. Returns the questions and the wake-ups.
fn serve(
    table: &mut Packed,
    end: Instant,
    alive: impl Fn(Contact) -> bool,
) -> (Vec<(Instant, Contact)>, usize) {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let (mut asked, mut wakes) = (Vec::new(), 0);
    while let Some(now) = table.deadline().filter(|deadline| *deadline < end) {
        wakes += 1;
        let Some(question) = table.upkeep(now, &mut random) else { continue };
        let (Upkeep::Ping(contact) | Upkeep::FindNode { via: contact, .. }) = question;
        asked.push((now, contact));
        if alive(contact) {
            table.answered(now + RTT, contact, RTT, Proof::Verified);
        } else {
            table.silent(now + Duration::from_secs(2), &contact.addr);
        }
    }
    (asked, wakes)
}

fn two_hundred() -> Packed {
    let mut table = table(40, TableConfig::default());
    for n in 0..200u8 {
        answers(&mut table, at(1), node(usize::from(n / 8), n));
    }
    assert_eq!(table.len(), 200);
    table
}

#[test]
fn a_full_table_at_rest_asks_everybody_in_turn_and_wakes_for_nothing_else() {
    let mut table = two_hundred();
    let hour = at(3_600);
    let (asked, wakes) = serve(&mut table, hour, |_| true);
    assert!(asked.windows(2).all(|w| w[1].0.since(w[0].0) >= Duration::from_secs(5)));
    let everybody: BTreeSet<_> = asked.iter().map(|(_, contact)| contact.addr).collect();
    assert_eq!(everybody.len(), 200);
    // 45 minutes are left after the first 15: a question each 5 seconds at most.
    assert!(asked.len() <= 540 && wakes <= asked.len() + 20, "{} {wakes}", asked.len());
    assert_eq!(table.counts(hour).bad, 0);
    assert!(table.counts(hour).good >= 160, "{:?}", table.counts(hour));
}

#[test]
fn nobody_is_asked_again_while_the_question_is_open() {
    let mut table = table(1, TableConfig::default());
    answers(&mut table, at(0), node(0, 1));
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut times = Vec::new();
    for second in 0..1_000 {
        if table.upkeep(at(second), &mut random).is_some() {
            times.push(second);
        }
    }
    assert_eq!(times.first(), Some(&900));
    assert!(times.windows(2).all(|w| w[1] - w[0] >= 15), "{times:?}");
}

#[test]
fn after_an_outage_everybody_is_asked_again_though_seldom() {
    for protected in [false, true] {
        let mut table = full();
        if protected {
            (0..8).for_each(|n| table.protect(&node(0, n).addr, true));
        }
        let day = at(86_400);
        let (asked, wakes) = serve(&mut table, day, |_| false);
        assert_eq!(table.counts(day).bad, K);
        // Twice at first, then once in a quarter of an hour each, and hardly a wake-up besides.
        assert!(asked.len() <= K * (2 + 96) && wakes <= asked.len() + 200, "{}", asked.len());
        let (_, _) = serve(&mut table, day + 20 * MINUTE, |_| true);
        assert_eq!(table.counts(day + 20 * MINUTE).good, K);
        assert!(table.deadline().is_some());
    }
}

#[test]
fn a_bucket_with_room_waits_while_nobody_is_there_to_ask() {
    let mut table = table(4, TableConfig::default());
    for n in 0..9 {
        answers(&mut table, at(0), node(0, n));
    }
    assert_eq!(table.counts(at(0)).buckets, 2, "one of them empty");
    let (asked, wakes) = serve(&mut table, at(86_400), |_| false);
    assert!(asked.len() <= 9 * (2 + 97) && wakes <= asked.len() + 200, "{} {wakes}", asked.len());
}

#[test]
fn a_bucket_with_room_is_looked_after_though_all_its_nodes_are_lively() {
    let mut table = table(4, TableConfig::default());
    let known = node(0, 1);
    answers(&mut table, at(600), known);
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut asked = Vec::new();
    for minute in 10..60 {
        if minute == 20 {
            // The bucket has changed, which is as good as a refresh.
            answers(&mut table, at(60 * minute), node(0, 2));
        }
        table.asked_us(at(60 * minute), &known);
        table.asked_us(at(60 * minute), &node(0, 2));
        if let Some(Upkeep::FindNode { .. }) = table.upkeep(at(60 * minute), &mut random) {
            asked.push(minute);
        }
    }
    assert_eq!(asked, [35, 50]);
}

#[test]
fn the_restored_and_the_silent_are_asked_soon() {
    let mut table = full();
    assert_eq!(table.deadline(), Some(at(900)));
    table.silent(at(30), &node(0, 5).addr);
    assert_eq!(table.deadline(), Some(at(45)));
    // It asks us, and yet has not answered.
    assert!(table.asked_us(at(40), &node(0, 5)));
    let mut random = ChaCha8Rng::seed_from_u64(1);
    assert_eq!(table.upkeep(at(45), &mut random), None);
    assert_eq!(table.deadline(), Some(at(55)));
    let mut fresh = self::table(4, TableConfig::default());
    fresh.restore(at(100), node(0, 1));
    assert_eq!(fresh.deadline(), Some(at(105)));
}

#[test]
fn a_bucket_with_room_is_looked_after_by_targets_of_its_own() {
    let mut table = table(40, TableConfig::default());
    for n in 0..105u8 {
        answers(&mut table, at(1), node(usize::from(n / 5), n));
    }
    let last = table.counts(at(1)).buckets - 1;
    let of = |id: Id| shared_bits(id, OWN).min(last);
    let mut sizes = vec![0; last + 1];
    entries(&table).iter().for_each(|entry| sizes[of(entry.contact.id)] += 1);
    let thin: BTreeSet<_> = (0..=last).filter(|bucket| sizes[*bucket] < K).collect();
    assert!(thin.len() > 16);
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut seen = BTreeSet::new();
    while let Some(now) = table.deadline().filter(|now| *now < at(7_200)) {
        match table.upkeep(now, &mut random) {
            Some(Upkeep::FindNode { via, target }) => {
                seen.insert(of(target));
                answers(&mut table, now, via);
            }
            Some(Upkeep::Ping(contact)) => drop(answers(&mut table, now, contact)),
            None => {}
        }
    }
    assert_eq!(seen, thin);
}

#[test]
fn upkeep_can_be_turned_off() {
    let mut table = table(4, TableConfig { upkeep: false, ..TableConfig::default() });
    answers(&mut table, at(0), node(0, 1));
    assert_eq!(table.deadline(), None);
    assert_eq!(table.upkeep(at(9_000), &mut ChaCha8Rng::seed_from_u64(1)), None);
}

#[test]
fn at_the_end_of_time_it_rests() {
    let mut table = full();
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let asked = (0..20).filter(|_| table.upkeep(Instant::NEVER, &mut random).is_some()).count();
    assert_eq!(asked, 0);
}

/// The good before the doubtful where that is asked for, and of those chosen the nearest first.
fn closest_are_told<const N: usize>(table: &Packed, now: Instant, target: Id) {
    let distance = |entry: &Entry| entry.contact.id.distance(target);
    for quality in [Quality::Usable, Quality::Good] {
        let comes_last =
            |entry: &Entry| quality == Quality::Good && now.since(entry.heard) >= 15 * MINUTE;
        let mut expected = entries(table);
        expected.sort_by_key(|entry| (comes_last(entry), distance(entry)));
        expected.truncate(N);
        expected.sort_by_key(distance);
        let expected: Vec<_> = expected.iter().map(|entry| entry.contact).collect();
        let mut found = heapless::Vec::<_, N>::new();
        table.closest(now, target, quality, &mut found);
        assert_eq!(found.as_slice(), expected, "{quality:?} to {target:?}");
    }
}

#[test]
fn the_closest_are_told_nearest_first() {
    let mut table = table(6, TableConfig::default());
    for n in 0..60 {
        // Every third answered long ago.
        answers(&mut table, at(if n % 3 == 0 { 1 } else { 2_000 }), node(usize::from(n % 7), n));
    }
    let doubtful = table.len() - table.counts(at(2_001)).good;
    assert!(table.len() > 40 && doubtful > 10, "{doubtful} of {}", table.len());
    for seed in 0..64 {
        let target = id(seed % 9, 1_000 + seed as u64);
        closest_are_told::<8>(&table, at(2_001), target);
        closest_are_told::<40>(&table, at(2_001), target);
    }
}
