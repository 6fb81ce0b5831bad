//! What keeps items: bounds, expiry, who gives way, and the rules of BEP 44 against a naive model.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use proptest::prelude::*;
use tinybt_core::dht::item::{Item, ItemError, Mutable, Signature, immutable_target};
use tinybt_core::dht::items::{
    Change, ITEM_TTL, ItemCounts, ItemMap, ItemMapLimits, ItemRing, ItemStore, Stored, weigh,
};
use tinybt_core::limits::{HOST_ITEMS_MAX, VALUE_MAX};
use tinybt_core::{Id, Instant};

fn at(secs: u64) -> Instant {
    Instant::from_secs(secs)
}

fn string(len: usize, seed: u32) -> Vec<u8> {
    let text: Vec<u8> = seed.to_be_bytes().into_iter().cycle().take(len).collect();
    [format!("{len}:").as_bytes(), &text].concat()
}

/// The `n`th network of the internet.
fn from(n: u32) -> IpAddr {
    IpAddr::from([20 + (n >> 16) as u8, (n >> 8) as u8, n as u8, 9])
}

const OWN: Id = Id([0; 20]);

fn keep(
    store: &mut impl ItemStore,
    now: Instant,
    value: &[u8],
    by: IpAddr,
) -> Result<(), ItemError> {
    store.put(now, immutable_target(value), &Item::Immutable(value), by, OWN)
}

/// Every item whose value was put, by naive means.
fn told(store: &mut impl ItemStore, now: Instant, values: &[Vec<u8>]) -> Vec<usize> {
    let is_there = |value: &Vec<u8>| {
        let stored = store.get(now, immutable_target(value));
        assert!(stored.is_none_or(|stored| stored.value == value && stored.signed.is_none()));
        stored.is_some()
    };
    let there: Vec<bool> = values.iter().map(is_there).collect();
    (0..values.len()).filter(|index| there[*index]).collect()
}

fn keeps_and_forgets(mut store: impl ItemStore) {
    let values: Vec<_> = (0..3).map(|n| string(20, n)).collect();
    assert!(store.keeps());
    keep(&mut store, at(0), &values[0], from(1)).unwrap();
    keep(&mut store, at(60), &values[1], from(1)).unwrap();
    assert_eq!(told(&mut store, at(60), &values), [0, 1]);
    assert_eq!(store.counts(), ItemCounts { items: 2, bytes: 46 });
    let end = at(0) + ITEM_TTL;
    assert_eq!(told(&mut store, Instant::from_micros(end.as_micros() - 1), &values), [0, 1]);
    assert_eq!(told(&mut store, end, &values), [1], "two hours, and no longer");
    keep(&mut store, end, &values[1], from(2)).unwrap();
    assert_eq!(store.counts(), ItemCounts { items: 1, bytes: 23 }, "what expired is swept");
    assert_eq!(told(&mut store, at(60) + ITEM_TTL, &values), [1], "put again, kept for longer");
    assert_eq!(told(&mut store, end + ITEM_TTL, &values), [0usize; 0]);
}

#[test]
fn stores_keep_for_two_hours() {
    keeps_and_forgets(ItemRing::<4>::new());
    keeps_and_forgets(ItemMap::new(ItemMapLimits { items: 4, bytes: 1_000 }));
}

#[test]
fn without_room_nothing_is_kept_and_nothing_is_left() {
    let mut none = ItemRing::<0>::new();
    assert!(!none.keeps());
    assert_eq!(keep(&mut none, at(1), b"0:", from(1)), Err(ItemError::Full));
    assert_eq!(none.get(at(1), immutable_target(b"0:")), None);
    assert!(size_of::<ItemRing<0>>() <= 32, "{}", size_of::<ItemRing<0>>());
    assert!(size_of::<ItemRing<10>>() <= 12_000 + 32, "{}", size_of::<ItemRing<10>>());
    let mut none = ItemMap::new(ItemMapLimits { items: 0, bytes: 100 });
    assert!(!none.keeps());
    assert_eq!(keep(&mut none, at(1), b"0:", from(1)), Err(ItemError::Full));
    assert_eq!(none.counts(), ItemCounts::default());
}

/// Values by how close to us they are kept, closest first.
fn by_distance(count: u32) -> Vec<Vec<u8>> {
    let mut values: Vec<_> = (0..count).map(|n| string(20, n)).collect();
    values.sort_by_key(|value| immutable_target(value).distance(OWN));
    values
}

fn farthest_and_least_put_give_way(mut store: impl ItemStore) {
    let values = by_distance(6);
    for index in [1, 2, 4, 3] {
        keep(&mut store, at(index as u64), &values[index], from(index as u32)).unwrap();
    }
    assert_eq!(keep(&mut store, at(9), &values[5], from(5)), Err(ItemError::Full), "too far");
    assert_eq!(told(&mut store, at(9), &values), [1, 2, 3, 4], "and nobody had to go");
    // Another network cares for the farthest; the same one again would not count.
    keep(&mut store, at(9), &values[4], from(77)).unwrap();
    keep(&mut store, at(9), &values[3], from(3)).unwrap();
    keep(&mut store, at(9), &values[0], from(0)).unwrap();
    assert_eq!(told(&mut store, at(9), &values), [0, 1, 2, 4]);
}

#[test]
fn the_farthest_of_those_that_fewest_put_gives_way() {
    farthest_and_least_put_give_way(ItemRing::<4>::new());
    farthest_and_least_put_give_way(ItemMap::new(ItemMapLimits { items: 4, bytes: 1_000 }));
    // Bytes are a bound as items are.
    farthest_and_least_put_give_way(ItemMap::new(ItemMapLimits { items: 40, bytes: 4 * 23 + 22 }));
}

#[test]
fn what_would_not_fit_pushes_nobody_out() {
    let mut store = ItemMap::new(ItemMapLimits { items: 10, bytes: 100 });
    let values = by_distance(4);
    for (index, value) in values.iter().enumerate() {
        keep(&mut store, at(1), value, from(index as u32)).unwrap();
    }
    for seed in 0..50 {
        let long = string(200, seed);
        assert_eq!(keep(&mut store, at(1), &long, from(9)), Err(ItemError::Full));
    }
    assert_eq!(told(&mut store, at(1), &values), [0, 1, 2, 3]);
}

#[test]
fn one_network_pushes_out_nobody_but_itself() {
    let mut store = ItemMap::new(ItemMapLimits::default());
    let values: Vec<_> = (0..600).map(|n| string(20, n)).collect();
    for (index, value) in values.iter().take(100).enumerate() {
        keep(&mut store, at(1), value, from(index as u32)).unwrap();
    }
    // All of 200 addresses of one /24, and it touches those of others as well.
    for (index, value) in values.iter().enumerate().skip(100) {
        let host = IpAddr::from([99, 9, 9, index as u8]);
        keep(&mut store, at(index as u64), value, host).unwrap();
        keep(&mut store, at(index as u64), &values[index % 100], host).unwrap();
    }
    let there = told(&mut store, at(700), &values);
    assert_eq!(there[..100], (0..100).collect::<Vec<_>>());
    assert_eq!(there[100..], (600 - HOST_ITEMS_MAX..600).collect::<Vec<_>>(), "its newest");
    // On a local network all are neighbours.
    for value in &values {
        let _ = keep(&mut store, at(700), value, IpAddr::from([10, 0, 0, 1]));
    }
    assert_eq!(store.counts().items, 500);
}

/// A newer value that somebody else brings first does not make the item his, to be thrown out when he
/// has put enough of his own.
#[test]
fn an_item_belongs_to_whoever_put_it_first() {
    let mut store = ItemMap::new(ItemMapLimits::default());
    let key = [5; 32];
    for (seq, by) in [(1, from(1)), (2, from(2))] {
        let value = string(10, seq);
        let seq = i64::from(seq);
        let item = Mutable { key: &key, salt: b"", seq, value: &value, signature: &[0; 64] };
        store.put(at(1), item.target(), &Item::Mutable(item), by, OWN).unwrap();
    }
    for n in 0..2 * HOST_ITEMS_MAX as u32 {
        keep(&mut store, at(2), &string(20, n), from(2)).unwrap();
    }
    assert_eq!(store.counts().items, 1 + HOST_ITEMS_MAX);
    let target = tinybt_core::dht::item::mutable_target(&key, b"");
    assert_eq!(store.get(at(3), target).unwrap().signed.unwrap().seq, 2);
}

fn is_bounded(mut store: impl ItemStore, most: ItemCounts) {
    for n in 0..20_000u32 {
        let value = string(20 + (n % 970) as usize, n);
        let _ = keep(&mut store, at(u64::from(n)), &value, from(n % 5_000));
        let counts = store.counts();
        assert!(counts.items <= most.items && counts.bytes <= most.bytes, "{counts:?}");
    }
    assert!(store.counts().items * 10 >= most.items * 9, "{:?}", store.counts());
}

#[test]
fn a_flood_finds_its_bounds() {
    is_bounded(ItemRing::<16>::new(), ItemCounts { items: 16, bytes: 16 * VALUE_MAX });
    let limits = ItemMapLimits { items: 60, bytes: 30_000 };
    is_bounded(ItemMap::new(limits), ItemCounts { items: 60, bytes: 30_000 });
}

#[test]
fn to_ask_and_to_put_again_allocates_nothing() {
    let mut store = ItemMap::new(ItemMapLimits::default());
    let values: Vec<_> = (0..100).map(|n| string(500, n)).collect();
    for (n, value) in values.iter().enumerate() {
        keep(&mut store, at(1), value, from(n as u32)).unwrap();
    }
    let ((), allocations) = tinybt_tests::counting::allocations(|| {
        for value in &values {
            keep(&mut store, at(2), value, from(200)).unwrap();
            assert!(store.get(at(3), immutable_target(value)).is_some());
        }
    });
    assert_eq!(allocations, 0);
}

#[test]
fn the_two_kinds_do_not_take_each_others_place() {
    // A key and a salt that together are bencoding: the same place for both kinds.
    let text = b"40:0123456789abcdefghijklmnopqrstuvwxyzABCD";
    let (key, salt) = text.split_at(32);
    let key = key.try_into().unwrap();
    let mutable = Item::Mutable(Mutable { key, salt, seq: 1, value: b"0:", signature: &[0; 64] });
    let immutable = Item::Immutable(text);
    assert_eq!(mutable.target(), immutable.target());
    for (first, second) in [(mutable, immutable), (immutable, mutable)] {
        let mut store = ItemRing::<2>::new();
        store.put(at(1), first.target(), &first, from(1), OWN).unwrap();
        let stored = store.get(at(1), first.target());
        assert_eq!(weigh(stored.as_ref(), &first, None), Ok(Change::Refresh));
        assert_eq!(weigh(stored.as_ref(), &second, None), Err(ItemError::Old));
    }
}

/// What the model keeps of a mutable item: number, value, signature, until when.
type Kept = (i64, Vec<u8>, Signature, Instant);

#[derive(Clone, Debug)]
struct Put {
    key: u8,
    seq: i64,
    value: u8,
    signature: u8,
    cas: Option<i64>,
    wait: u64,
}

fn puts() -> impl Strategy<Value = Vec<Put>> {
    let cas = prop_oneof![3 => Just(None), 1 => (0..5i64).prop_map(Some)];
    let one = (0..3u8, 0..5i64, 0..3u8, 0..2u8, cas, 0..5_000u64).prop_map(
        |(key, seq, value, signature, cas, wait)| Put { key, seq, value, signature, cas, wait },
    );
    prop::collection::vec(one, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_rules_are_those_of_a_naive_model(puts in puts()) {
        let mut ring = ItemRing::<3>::new();
        let mut map = ItemMap::new(ItemMapLimits { items: 3, bytes: 1_000 });
        let mut model: BTreeMap<u8, Kept> = BTreeMap::new();
        let mut now = at(1_000);
        for put in puts {
            now = now + Duration::from_secs(put.wait);
            model.retain(|_, (_, _, _, until)| *until > now);
            let (key, value) = ([put.key; 32], string(4, u32::from(put.value)));
            let signature = [put.signature; 64];
            let expected = match model.get(&put.key) {
                None => Ok(Change::New),
                // Put again by somebody who has not heard that it was stored.
                Some((seq, old, by, _))
                    if put.seq == *seq && *old == value && *by == signature =>
                {
                    Ok(Change::Refresh)
                }
                Some((seq, ..)) if put.cas.is_some_and(|cas| cas != *seq) => Err(ItemError::Cas),
                Some((seq, ..)) if put.seq > *seq => Ok(Change::Update),
                Some((seq, old, ..)) if put.seq == *seq && *old == value => Ok(Change::Update),
                Some(_) => Err(ItemError::Old),
            };
            if expected.is_ok() {
                model.insert(put.key, (put.seq, value.clone(), signature, now + ITEM_TTL));
            }
            let item = Item::Mutable(Mutable {
                key: &key, salt: b"", seq: put.seq, value: &value, signature: &signature,
            });
            for store in [&mut ring as &mut dyn ItemStore, &mut map] {
                let target = item.target();
                let change = weigh(store.get(now, target).as_ref(), &item, put.cas);
                prop_assert_eq!(change, expected);
                if change.is_ok() {
                    prop_assert_eq!(store.put(now, target, &item, from(1), OWN), Ok(()));
                }
                for key in 0..3u8 {
                    let target = tinybt_core::dht::item::mutable_target(&[key; 32], b"");
                    let stored = store.get(now, target);
                    let kept = model.get(&key);
                    prop_assert_eq!(stored.is_some(), kept.is_some());
                    if let (Some(stored), Some((seq, value, signature, _))) = (stored, kept) {
                        let signed = stored.signed.unwrap();
                        prop_assert_eq!(stored.value, &value[..]);
                        prop_assert_eq!((signed.seq, signed.signature), (*seq, signature));
                        prop_assert_eq!(signed.key, &[key; 32]);
                    }
                }
                prop_assert!(store.counts().items <= 3);
            }
        }
    }
}

#[test]
fn a_store_of_ones_own_keeps_items_unless_it_says_otherwise() {
    struct Own;
    impl ItemStore for Own {
        fn get(&mut self, _: Instant, _: Id) -> Option<Stored<'_>> {
            None
        }
        fn put(
            &mut self,
            _: Instant,
            _: Id,
            _: &Item<'_>,
            _: IpAddr,
            _: Id,
        ) -> Result<(), ItemError> {
            Ok(())
        }
        fn counts(&self) -> ItemCounts {
            ItemCounts::default()
        }
    }
    assert!(Own.keeps());
}
