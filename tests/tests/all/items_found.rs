//! Items are found and stored, swarms counted and the network measured, in the emulated world of
//! 10,000 nodes: a fifth of them dead, 15 % of the contacts stale, 2 % loss.

use std::time::Duration;

use tinybt_core::Instant;
use tinybt_core::dht::item::{Item, SecretKey, immutable_target, mutable_target};
use tinybt_core::dht::{Config, End, Event, PutError, Sought};
use tinybt_core::{Family, Id, InfoHash};
use tinybt_tests::item_world::{Items, Shelf, Signed, Swarm, value};
use tinybt_tests::net::{Delay, Link, Network, mix};
use tinybt_tests::nodes::{TestNode, addr, id, node};
use tinybt_tests::world::{Made, Play, World};

const START: Instant = Instant::from_secs(1_000);
const SALT: &[u8] = b"news";

fn key() -> SecretKey {
    SecretKey::from_seed([42; 32])
}

fn public() -> [u8; 32] {
    use tinybt_core::dht::item::Signer;
    key().key()
}

fn searcher(made: &Made<'_>, seed: u64) -> TestNode {
    let mut node = node(mix(seed, &[1]), Config::new(Family::V4));
    for source in made.bootstrap() {
        node.add_source(addr(source));
    }
    node
}

/// The newest at three of the closest, an older one at two, forged ones at two.
fn shelves(items: &mut Items<'_>, truth: &[usize]) {
    let signed = |seq| Signed::new(&key(), SALT, seq, &value(seq));
    let (newest, older) = (signed(7), signed(5));
    let forged = Signed { seq: 9, value: value(9), ..newest.clone() };
    let anothers = Signed::new(&SecretKey::from_seed([1; 32]), SALT, 11, &value(11));
    let unsalted = Signed { salt: SALT.to_vec(), ..Signed::new(&key(), b"", 13, &value(13)) };
    let holds = [&older, &forged, &newest, &anothers, &older, &newest, &unsalted, &newest];
    for (node, held) in truth.iter().zip(holds) {
        items.shelves.insert(*node, Shelf { holds: Some(held.clone()), refuses: None });
    }
}

#[test]
fn the_newest_value_is_known_when_the_lookup_ends_and_no_other_is_believed() {
    let world = World::default();
    let (mut found, mut first, mut best, mut done) = (0, Vec::new(), Vec::new(), Vec::new());
    let (mut forged, runs) = (0, 100);
    for seed in 0..runs {
        let made = Made::around(&world, seed, mutable_target(&public(), SALT));
        let mut node = searcher(&made, seed);
        let mut items = Items::new(&made);
        shelves(&mut items, &made.truth);
        node.get(START, &Sought::of_key(&public(), SALT)).unwrap();
        made.drive(&mut node, START, &mut items);
        let (ended, outcome) = items.ended.unwrap();
        assert_eq!(outcome.end, End::Complete);
        assert!(items.told.is_sorted_by_key(|(_, seq, _)| *seq), "rolled back: {:?}", seed);
        forged += items.told.iter().filter(|(_, seq, v)| *seq > 7 || *v != value(*seq)).count();
        let at = |seq| items.told.iter().find(|told| told.1 >= seq).map(|told| told.0);
        found += u32::from(at(7).is_some());
        first.extend(at(0).map(|at| at.since(START).as_millis()));
        best.extend(at(7).map(|at| at.since(START).as_millis()));
        done.push(ended.since(START).as_millis());
    }
    let median = |mut values: Vec<u128>| {
        values.sort_unstable();
        values[values.len() / 2]
    };
    let figures = format!(
        "newest known in {found} of {runs}, forged told {forged}; medians: first {} ms, newest {} \
         ms, done {} ms",
        median(first),
        median(best),
        median(done)
    );
    assert_eq!(forged, 0, "{figures}");
    assert!(u64::from(found) >= runs - 1, "{figures}");
}

#[test]
fn copies_are_counted_by_what_they_hold() {
    let world = World { dead: 0, stale: 0, loss: 0, ..World::default() };
    let made = Made::around(&world, 3, mutable_target(&public(), SALT));
    let mut node = searcher(&made, 3);
    let mut items = Items::new(&made);
    shelves(&mut items, &made.truth);
    let lookup = node.get(START, &Sought::of_key(&public(), SALT)).unwrap();
    struct Until<'a, 'b>(&'a mut Items<'b>);
    impl Play for Until<'_, '_> {
        fn reply(&mut self, node: usize, query: &[u8]) -> Vec<u8> {
            self.0.reply(node, query)
        }
        fn hear(&mut self, now: Instant, node: &mut TestNode, event: Event) -> bool {
            self.0.hear(now, node, event)
        }
    }
    made.drive(&mut node, START, &mut Until(&mut items));
    let copies = node.copies(lookup).unwrap();
    assert_eq!((copies.newest, copies.older, copies.invalid), (3, 2, 3));
}

#[test]
fn the_newer_counts_though_its_value_is_the_lesser() {
    let world = World { dead: 0, stale: 0, loss: 0, ..World::default() };
    for seed in 0..5 {
        let made = Made::around(&world, seed, mutable_target(&public(), SALT));
        let mut node = searcher(&made, seed);
        let mut items = Items::new(&made);
        let older = Signed::new(&key(), SALT, 5, b"1:z");
        let newer = Signed::new(&key(), SALT, 7, b"1:a");
        for (place, closest) in made.truth.iter().take(8).enumerate() {
            let held = if place % 2 == 0 { &older } else { &newer };
            items.shelves.insert(*closest, Shelf { holds: Some(held.clone()), refuses: None });
        }
        node.get(START, &Sought::of_key(&public(), SALT)).unwrap();
        made.drive(&mut node, START, &mut items);
        let last = items.told.last().map(|(_, seq, value)| (*seq, value.clone()));
        assert_eq!(last, Some((7, b"1:a".to_vec())), "{seed}");
    }
}

#[test]
fn a_put_reaches_the_closest_and_says_who_refused() {
    let world = World::default();
    let (mut stored, mut refused, runs) = (0, 0, 40);
    for seed in 0..runs {
        let made = Made::around(&world, seed, mutable_target(&public(), SALT));
        let mut node = searcher(&made, seed);
        let mut items = Items::new(&made);
        let old = Signed::new(&key(), SALT, 4, &value(4));
        // One holds an older one, one refuses.
        items.shelves.insert(made.truth[1], Shelf { holds: Some(old), refuses: None });
        items.shelves.insert(made.truth[2], Shelf { holds: None, refuses: Some(205) });
        let new = Signed::new(&key(), SALT, 5, &value(5));
        let lookup = node.put(START, &new.item(), Some(4)).unwrap();
        made.drive(&mut node, START, &mut items);
        let (_, outcome) = items.ended.unwrap();
        assert_eq!(outcome.end, End::Complete);
        assert!(items.asked.len() <= 10);
        stored += made.truth.iter().filter(|node| items.stored.contains_key(node)).count();
        for (node, cas) in &items.stored {
            // Who holds nothing has nothing to compare.
            assert_eq!(*cas, (*node == made.truth[1]).then_some(4), "{seed}");
        }
        // Told is how far the way there had come.
        let target = mutable_target(&public(), SALT);
        for hop in node.trace(lookup).iter().filter(|hop| hop.id.is_some()) {
            let shared = hop.id.map(|id| id.distance(target).leading_zeros());
            assert_eq!(shared, Some(u32::from(hop.shared)), "{hop:?}");
        }
        let refusals = node.trace(lookup).iter().filter(|hop| hop.refused == Some(205)).count();
        refused += usize::from(refusals == 1 && outcome.refused == 1);
    }
    // Of the eight, one refuses.
    let mean = stored as f64 / runs as f64;
    assert!(mean >= 6.7, "{mean} of seven stored");
    assert!(refused as u64 >= runs - 3, "{refused}");
}

#[test]
fn a_put_that_finds_a_newer_item_ends_and_tells_it() {
    let world = World::default();
    for (held, ours, outdated) in [(7, 5, true), (7, 7, true), (5, 7, false)] {
        let made = Made::around(&world, 1, mutable_target(&public(), SALT));
        let mut node = searcher(&made, 1);
        let mut items = Items::new(&made);
        let theirs = Signed::new(&key(), SALT, held, b"6:theirs");
        for close in &made.truth {
            items.shelves.insert(*close, Shelf { holds: Some(theirs.clone()), refuses: None });
        }
        let new = Signed::new(&key(), SALT, ours, b"4:ours");
        let lookup = node.put(START, &new.item(), None).unwrap();
        made.drive(&mut node, START, &mut items);
        let (_, outcome) = items.ended.unwrap();
        assert_eq!(outcome.end == End::Outdated, outdated, "{held} {ours}");
        assert_eq!(items.stored.is_empty(), outdated);
        let item = node.item(lookup).unwrap();
        assert_eq!(item.seq(), Some(held.max(ours)));
        assert_eq!(items.told.is_empty(), !outdated);
    }
}

#[test]
fn a_put_in_place_of_what_is_no_longer_the_newest_stores_nothing() {
    // One of the closest has not heard of version 5; it would take version 9 in place of 4, and
    // version 5 would be lost.
    let world = World::default();
    for (cas, outdated) in [(Some(4), true), (Some(5), false), (None, false)] {
        let made = Made::around(&world, 1, mutable_target(&public(), SALT));
        let mut node = searcher(&made, 1);
        let mut items = Items::new(&made);
        for (place, close) in made.truth.iter().enumerate() {
            let seq = if place == 2 { 4 } else { 5 };
            let held = Some(Signed::new(&key(), SALT, seq, &value(seq)));
            items.shelves.insert(*close, Shelf { holds: held, refuses: None });
        }
        let new = Signed::new(&key(), SALT, 9, &value(9));
        let lookup = node.put(START, &new.item(), cas).unwrap();
        made.drive(&mut node, START, &mut items);
        let (_, outcome) = items.ended.unwrap();
        assert_eq!(outcome.end == End::Outdated, outdated, "{cas:?}");
        assert_eq!(items.stored.is_empty(), outdated, "{cas:?}");
        let seq = node.item(lookup).unwrap().seq();
        assert_eq!(seq, Some(if outdated { 5 } else { 9 }), "{cas:?}");
    }
}

#[test]
fn an_immutable_item_is_what_hashes_to_the_target() {
    // All of the closest answer.
    let world = World { dead: 0, stale: 0, loss: 0, ..World::default() };
    let bytes = value(0);
    let made = Made::around(&world, 2, immutable_target(&bytes));
    let mut node = searcher(&made, 2);
    node.put(START, &Item::Immutable(&bytes), None).unwrap();
    let mut items = Items::new(&made);
    made.drive(&mut node, START, &mut items);
    let (ended, outcome) = items.ended.unwrap();
    assert!(outcome.stored >= 7, "{outcome:?}");

    // Half of the closest tell something else.
    for (other, copies) in [(value(1), 4), (b"0:".to_vec(), 4), (bytes.clone(), 8)] {
        let mut searcher = searcher(&made, 3);
        let lookup = searcher.get(START, &Sought::at(made.target)).unwrap();
        let mut items = Items::new(&made);
        for (place, close) in made.truth.iter().enumerate() {
            let held = if place % 2 == 0 { &other } else { &bytes };
            items.immutable.insert(*close, held.clone());
        }
        made.drive(&mut searcher, START, &mut items);
        let told: Vec<_> = items.told.iter().map(|(_, seq, value)| (*seq, value)).collect();
        assert_eq!(told, [(-1, &bytes)], "once, and nothing forged");
        let known = searcher.copies(lookup).unwrap();
        assert!(known.newest + 1 >= copies && known.newest <= copies, "{known:?}");
        assert_eq!(known.older, 0);
        assert!(known.invalid <= 8 - copies && known.invalid + 1 >= 8 - copies, "{known:?}");
    }
    assert_eq!(node.get(ended, &Sought { salt: &[0; 65], ..Sought::at(made.target) }), {
        Err(PutError::Item(tinybt_core::dht::item::ItemError::SaltTooBig))
    });
}

#[test]
fn what_holders_refuse_is_not_stored_around_them() {
    // Some are slow, and nobody else takes their place: a put is patient.
    let world = World { dead: 0, stale: 0, loss: 0, ..World::default() };
    for (code, cas, end) in
        [(301, Some(3), End::Outdated), (302, None, End::Conflict), (205, None, End::Complete)]
    {
        let made = Made::around(&world, 3, mutable_target(&public(), SALT));
        let mut node = searcher(&made, 3);
        let mut items = Items::new(&made);
        let held = Signed::new(&key(), SALT, 4, b"3:old");
        for close in &made.truth {
            let shelf = Shelf { holds: Some(held.clone()), refuses: Some(code) };
            items.shelves.insert(*close, shelf);
        }
        node.put(START, &Signed::new(&key(), SALT, 9, b"3:new").item(), cas).unwrap();
        made.drive(&mut node, START, &mut items);
        let (_, outcome) = items.ended.unwrap();
        assert_eq!(outcome.end, end, "{code}");
        // Who refuses for another reason gives its place to the next.
        assert_eq!(items.stored.is_empty(), code != 205, "{code}: {:?}", items.stored);
    }
}

#[test]
fn what_a_network_of_ours_stores_a_stranger_finds() {
    let mut network: Network<TestNode> = Network::new(1, Link::default());
    for index in 0..40 {
        let mut node = node(mix(1, &[index as u64]), Config::new(Family::V4));
        if index > 0 {
            node.add_source(addr(0));
        }
        network.add(addr(index), node);
        network.run_for(Duration::from_secs(2));
    }
    network.run_for(Duration::from_secs(600));
    let told = |network: &mut Network<TestNode>, who, command: &dyn Fn(&mut TestNode, Instant)| {
        let from = network.events.len();
        network.command(addr(who), |node, now| command(node, now));
        network.run_for(Duration::from_secs(30));
        let events = network.events[from..].iter().filter(|(_, at, _)| *at == addr(who));
        events.filter(|(.., event)| matches!(event, Event::Item { .. })).count()
    };
    for (round, len) in [100, 600, 996].into_iter().enumerate() {
        let value = format!("{len}:{}", "x".repeat(len)).into_bytes();
        let signed = Signed::new(&key(), &[round as u8], 1, &value);
        for (mutable, item) in [(0, Item::Immutable(&value)), (1, signed.item())] {
            told(&mut network, 5, &|node, now| assert!(node.put(now, &item, None).is_ok()));
            let who = 1_000 + 2 * round + mutable;
            let mut config = Config::new(Family::V4);
            // Nobody has such a one in his table.
            config.read_only = true;
            let mut stranger = node(mix(2, &[who as u64]), config);
            stranger.add_source(addr(0));
            network.add(addr(who), stranger);
            network.run_for(Duration::from_secs(30));
            let salt = if mutable == 1 { &signed.salt[..] } else { &[] };
            let sought = Sought { salt, ..Sought::at(item.target()) };
            let found =
                told(&mut network, who, &|node, now| assert!(node.get(now, &sought).is_ok()));
            assert_eq!(found, 1, "{len} bytes, {mutable}");
        }
    }
}

#[test]
fn one_liar_shows_beside_what_the_others_tell() {
    let world = World::default();
    let made = Made::new(&world, 51);
    for (filled, refused) in [(0xff, 1), (0x7f, 0)] {
        let mut node = searcher(&made, 1);
        let mut swarm = Swarm::new(&made, 12, 0, 0);
        swarm.liars.insert(made.truth[3]);
        swarm.filled = filled;
        node.scrape(START, InfoHash(made.target.0)).unwrap();
        made.drive(&mut node, START, &mut swarm);
        let size = swarm.counted.unwrap();
        assert_eq!(size.refused, refused, "{size:?}");
        assert!(size.seeds_median > 3.0 && size.seeds_median < 13.0, "{size:?}");
        assert_eq!(size.seeds.count > 10.0 * size.seeds_median + 20.0, filled == 0x7f, "{size:?}");
    }
}

#[test]
fn an_outage_in_the_middle_of_a_lookup_is_no_small_network() {
    let (_, mut node) = Random::measure(7, 2_000, 16);
    let before = node.network_size().unwrap();
    let world = World { nodes: 2_000, dead: 990, ..World::default() };
    let made = Made::around(&world, 7, id(5, 5));
    let now = START + Duration::from_secs(10_000);
    node.find_node(now, made.target).unwrap();
    made.drive(&mut node, now, &mut Finder { made: &made, ended: &mut Random(None) });
    let after = node.network_size().unwrap();
    assert!(after.nodes * 4 > before.nodes, "{before:?} {after:?}");
}

#[test]
fn a_swarm_is_counted_within_its_error() {
    let world = World::default();
    for (seeds, downloaders, legacy) in [(300, 700, 0), (20, 5, 0), (1_500, 2_500, 0), (30, 40, 2)]
    {
        let (mut within, runs) = (0, 20);
        for seed in 0..runs {
            let made = Made::new(&world, 50 + seed);
            let mut node = searcher(&made, seed);
            let mut swarm = Swarm::new(&made, seeds, downloaders, legacy);
            // One says that everybody is there.
            swarm.liars.insert(made.truth[3]);
            node.scrape(START, InfoHash(made.target.0)).unwrap();
            made.drive(&mut node, START, &mut swarm);
            let size = swarm.counted.unwrap();
            assert!(size.filters >= 2, "{size:?}");
            let near = |estimate: tinybt_core::dht::bloom::Estimate, truth: u32| {
                // Seven nodes know 0.6 of the swarm each: all but a thousandth of it.
                let off = (estimate.count - f64::from(truth)).abs();
                off <= 3.0 * estimate.error + f64::from(truth) * 0.03 + 1.0
            };
            // Whoever tells peers alone has told only 60 of them.
            within += u32::from(near(size.seeds, seeds) && near(size.downloaders, downloaders));
        }
        assert!(within >= 17, "{within} of {runs} for {seeds} and {downloaders}");
    }
}

/// Lookups of random targets, one after the other, by one node.
struct Random(Option<Instant>);

impl Random {
    fn measure(seed: u64, nodes: usize, lookups: usize) -> (usize, TestNode) {
        let world = World { nodes, ..World::default() };
        let (mut now, mut searching, mut living) = (START, None, 0);
        for round in 0..lookups {
            let made = Made::around(&world, seed, id(mix(seed, &[99]), round));
            let node = searching.get_or_insert_with(|| searcher(&made, seed));
            node.find_node(now, made.target).unwrap();
            let mut ended = Random(None);
            made.drive(node, now, &mut Finder { made: &made, ended: &mut ended });
            now = ended.0.unwrap() + Duration::from_secs(1);
            living = made.living();
        }
        (living, searching.unwrap())
    }
}

struct Finder<'a> {
    made: &'a Made<'a>,
    ended: &'a mut Random,
}

impl Play for Finder<'_> {
    fn reply(&mut self, node: usize, query: &[u8]) -> Vec<u8> {
        Items::new(self.made).reply(node, query)
    }

    fn hear(&mut self, now: Instant, _: &mut TestNode, event: Event) -> bool {
        let Event::Finished { .. } = event else { return false };
        self.ended.0 = Some(now);
        true
    }
}

#[test]
fn the_size_of_the_network_lies_in_the_stated_interval() {
    let (mut inside, mut below, runs) = (0, 0, 100);
    let (mut width, mut ratio) = (0.0, 0.0);
    for seed in 0..runs {
        let nodes = [500, 2_000, 8_000, 20_000][seed as usize % 4];
        let (living, node) = Random::measure(seed, nodes, 16);
        let size = node.network_size().unwrap();
        let living = living as u64;
        inside += u32::from((size.low..=size.high).contains(&living));
        assert!((size.low..=size.high).contains(&size.nodes), "{size:?}");
        below += u32::from(size.high < living);
        width += (size.high - size.low) as f64 / size.nodes as f64 / runs as f64;
        ratio += size.nodes as f64 / living as f64 / runs as f64;
        assert!(size.lookups >= 16);
    }
    let text = format!(
        "{inside} of {runs} inside, {below} too small, mean width {width:.2} of the estimate, mean \
         estimate {ratio:.3} of the truth"
    );
    assert!(inside >= 90, "{text}");
    assert!(width < 0.6 && (0.9..1.1).contains(&ratio), "{text}");
}

#[test]
fn a_small_network_is_counted() {
    let delay = Delay::Constant(Duration::from_millis(50));
    let world = World { nodes: 5, dead: 0, stale: 0, loss: 0, delay, ..World::default() };
    let made = Made::around(&world, 1, Id([7; 20]));
    let mut node = searcher(&made, 1);
    node.find_node(START, made.target).unwrap();
    let mut ended = Random(None);
    made.drive(&mut node, START, &mut Finder { made: &made, ended: &mut ended });
    let size = node.network_size().unwrap();
    assert_eq!((size.nodes, size.low, size.high), (5, 5, 5), "{size:?}");
}
