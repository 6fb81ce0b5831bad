//! The shunned against a model: a map without bounds, and the rule for who gives way.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use proptest::prelude::*;
use tinybt_core::dht::shunned::{Shun, Shunned};
use tinybt_core::list::Bounded;
use tinybt_core::{Instant, heapless};
use tinybt_tests::counting;

fn addr(n: u8) -> SocketAddr {
    match n % 2 {
        0 => SocketAddr::from(([198, 51, 100, n], 6881)),
        _ => SocketAddr::from(([0x2001, 0xdb8, 0, u16::from(n), 0, 0, 0, 1], 6881)),
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Shun(u8, u16),
    Forgive(u8),
    ForgiveAll,
    Advance(u16),
}

fn ops() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => (0u8..24, any::<u16>()).prop_map(|(n, millis)| Op::Shun(n, millis)),
        3 => (0u8..24).prop_map(Op::Forgive),
        1 => Just(Op::ForgiveAll),
        4 => any::<u16>().prop_map(Op::Advance),
    ]
}

proptest! {
    #[test]
    fn the_one_forgiven_first_gives_way_and_nobody_else(
        ops in prop::collection::vec(ops(), 1..200),
        capacity in 0usize..12,
    ) {
        let mut shunned = Shunned::new(Bounded::<Shun>::new(capacity));
        let mut model = BTreeMap::<SocketAddr, Instant>::new();
        let mut now = Instant::from_secs(1);
        for op in ops {
            match op {
                Op::Shun(n, millis) => {
                    let how_long = Duration::from_millis(millis.into());
                    shunned.shun(now, addr(n), how_long);
                    model.retain(|_, until| *until > now);
                    let known = model.contains_key(&addr(n));
                    if !known && model.len() == capacity {
                        // Which of several equal ones goes does not matter to the rule, but it does
                        // to the model: ask which it was.
                        let first = model.values().min().copied();
                        let gone = model.iter().find(|(at, until)| {
                            Some(**until) == first && (first <= Some(now) || !shunned.is_shunned(now, at))
                        });
                        let gone = gone.map(|(at, _)| *at);
                        prop_assert!(capacity == 0 || gone.is_some(), "another gave way");
                        gone.map(|at| model.remove(&at));
                    }
                    if capacity > 0 {
                        let until = model.entry(addr(n)).or_insert(now);
                        *until = (*until).max(now + how_long);
                    }
                }
                Op::Forgive(n) => {
                    shunned.forgive(&addr(n));
                    model.remove(&addr(n));
                }
                Op::ForgiveAll => {
                    shunned.forgive_all();
                    model.clear();
                }
                Op::Advance(millis) => now = now + Duration::from_millis(millis.into()),
            }
            for n in 0..24 {
                let expected = model.get(&addr(n)).is_some_and(|until| *until > now);
                prop_assert_eq!(shunned.is_shunned(now, &addr(n)), expected, "{:?}", addr(n));
            }
        }
    }
}

#[test]
fn forgiven_at_the_instant_itself_and_never_shortened() {
    let mut shunned = Shunned::new(heapless::Vec::<Shun, 2>::new());
    let second = Instant::from_secs;
    shunned.shun(second(0), addr(1), Duration::from_secs(10));
    shunned.shun(second(1), addr(1), Duration::from_secs(2));
    for (now, expected) in [(0, true), (9, true), (10, false), (11, false)] {
        assert_eq!(shunned.is_shunned(second(now), &addr(1)), expected, "at second {now}");
    }
    let other_port = SocketAddr::new(addr(1).ip(), 1);
    assert!(!shunned.is_shunned(second(0), &other_port), "an address is one with its port");
    shunned.forgive(&other_port);
    shunned.shun(second(9), addr(3), Duration::MAX);
    assert!(shunned.is_shunned(second(9), &addr(1)) && shunned.is_shunned(second(9), &addr(3)));
    shunned.shun(Instant::NEVER, addr(5), Duration::MAX);
    assert!(shunned.is_shunned(second(9), &addr(5)), "at the end of time");
}

#[test]
fn whoever_is_forgiven_takes_no_memory() {
    let before = counting::live();
    let mut shunned = Shunned::new(Bounded::<Shun>::by_need(24));
    for n in 0..24 {
        shunned.shun(Instant::from_secs(1), addr(n), Duration::from_secs(10));
    }
    let busy = counting::live() - before;
    shunned.shun(Instant::from_secs(11), addr(30), Duration::from_secs(10));
    let quiet = counting::live() - before;
    assert!(quiet <= 2 * size_of::<Shun>() as i64 && busy >= 24 * size_of::<Shun>() as i64);
}
