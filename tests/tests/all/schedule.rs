//! Things to be done again and again: the pace, who goes first, what failures and outages change.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chacha20::ChaCha8Rng;
use proptest::prelude::*;
use rand_core::SeedableRng;
use tinybt_core::Instant;
use tinybt_core::dht::schedule::{ANNOUNCE_PERIOD, Duty, PERIOD_MIN, Pacing, Schedule, Urgency};
use tinybt_core::list::Bounded;

const START: Instant = Instant::from_secs(1_000);
const PACING: Pacing =
    Pacing { at_once: 4, spacing: Duration::from_millis(250), backoff: Duration::from_secs(30) };

fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A schedule, virtual time, and what was begun when.
struct Plan {
    schedule: Schedule<u32, Bounded<Duty<u32>>>,
    random: ChaCha8Rng,
    pacing: Pacing,
    now: Instant,
    /// What is under way, and until when.
    under_way: BTreeMap<u32, Instant>,
    /// How long a duty takes, and how many store it.
    takes: Duration,
    stored: u16,
    begun: Vec<(Instant, u32)>,
}

impl Plan {
    fn new(pacing: Pacing, seed: u64) -> Self {
        Self {
            schedule: Schedule::new(Bounded::new(2_000), pacing),
            random: ChaCha8Rng::seed_from_u64(seed),
            pacing,
            now: START,
            under_way: BTreeMap::new(),
            takes: secs(3),
            stored: 8,
            begun: Vec::new(),
        }
    }

    fn add(&mut self, numbers: std::ops::Range<u32>, urgency: Urgency) {
        for number in numbers {
            assert_eq!(self.schedule.add(self.now, number, ANNOUNCE_PERIOD, urgency), Ok(()));
        }
    }

    /// Begins what is to be begun, and checks what must hold of it.
    fn begin(&mut self) {
        while let Some(number) = self.schedule.poll(self.now, &mut self.random) {
            let spaced = |(at, _): &(Instant, u32)| self.now.since(*at) >= self.pacing.spacing;
            assert!(self.begun.last().is_none_or(spaced), "too close to the one before");
            assert!(
                self.under_way.insert(number, self.now + self.takes).is_none(),
                "twice at once"
            );
            assert!(self.under_way.len() <= self.pacing.at_once, "too many at once");
            assert!(self.schedule.duty(&number).is_some_and(Duty::is_under_way));
            self.begun.push((self.now, number));
        }
        assert_eq!(self.schedule.load(self.now).under_way, self.under_way.len());
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.begin();
            let over = self.under_way.values().min().copied();
            let next = over.into_iter().chain(self.schedule.deadline()).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            assert!(next > self.now, "waits for the past");
            self.now = next;
            let over: Vec<u32> = self
                .under_way
                .iter()
                .filter(|(_, until)| **until <= self.now)
                .map(|(number, _)| *number)
                .collect();
            for number in over {
                self.under_way.remove(&number);
                self.schedule.finished(self.now, &number, self.stored);
            }
        }
        self.now = end;
    }

    /// Beginnings since `start`, by the minute.
    fn minutes(&self, start: Instant) -> Vec<usize> {
        let mut counts = vec![0; (self.now.since(start).as_secs() / 60) as usize];
        for (at, _) in self.begun.iter().filter(|(at, _)| *at >= start) {
            if let Some(count) = counts.get_mut((at.since(start).as_secs() / 60) as usize) {
                *count += 1;
            }
        }
        counts
    }

    /// The longest time between two beginnings of the same since `start`, with the time to the end.
    fn longest(&self, start: Instant) -> Duration {
        let mut last = BTreeMap::new();
        let mut longest = Duration::ZERO;
        let ends = self.schedule.duties().iter().map(|duty| (self.now, duty.what()));
        for (at, number) in self.begun.iter().copied().chain(ends) {
            let before = last.insert(number, at).unwrap_or(START);
            if at >= start {
                longest = longest.max(at.since(before));
            }
        }
        longest
    }

    fn order(&self) -> Vec<u32> {
        self.begun.iter().map(|(_, number)| *number).collect()
    }

    fn times(&self, number: u32) -> Vec<u64> {
        let of = self.begun.iter().filter(|(_, other)| *other == number);
        of.map(|(at, _)| at.since(START).as_secs()).collect()
    }
}

#[test]
fn what_came_in_a_burst_is_spread_out_by_its_second_round() {
    for count in [1, 2, 3, 5, 20, 200, 500] {
        let mut plan = Plan::new(PACING, 1);
        plan.add(0..count, Urgency::New);
        plan.run_for(secs(3_600));
        let even = plan.now;
        plan.run_for(secs(20 * 3_600));
        let minutes = plan.minutes(even);
        let mean = minutes.iter().sum::<usize>() as f64 / minutes.len() as f64;
        let most = minutes.iter().copied().max().unwrap() as f64;
        assert!(most <= 1.25 * mean + 1.0, "{count}: {most} of {mean} a minute");
        let longest = plan.longest(START);
        assert!(longest <= secs(20 * 60), "{count}: {longest:?}");
        let share = f64::from(count) / 15.0;
        assert!(mean <= share && mean >= share / 1.125, "{count}: {mean} in place of {share}");
        assert_eq!(plan.schedule.load(plan.now).late, 0);
    }
}

#[test]
fn clients_that_begin_together_do_not_stay_together() {
    let times = |seed| {
        let mut plan = Plan::new(PACING, seed);
        plan.add(0..1, Urgency::New);
        plan.run_for(secs(24 * 3_600));
        plan.times(0)
    };
    let (one, other) = (times(1), times(2));
    assert!((80..=96).contains(&one.len()), "{}", one.len());
    let apart = one.iter().zip(&other).filter(|(one, other)| one.abs_diff(**other) > 30).count();
    assert!(apart > one.len() / 2, "{one:?} and {other:?}");
}

#[test]
fn who_is_waited_for_goes_first() {
    let mut plan = Plan::new(Pacing { at_once: 1, ..PACING }, 1);
    plan.add(0..3, Urgency::New);
    plan.add(3..5, Urgency::Asked);
    plan.run_for(secs(30));
    assert_eq!(plan.order(), [3, 4, 0, 1, 2]);
    // One of those that were done is asked for, and something new comes.
    plan.add(5..6, Urgency::New);
    plan.schedule.hurry(plan.now, &1);
    plan.run_for(secs(10));
    assert_eq!(plan.order()[5..], [1, 5]);
    // Not while it is being done, nor something that is not there.
    plan.schedule.hurry(plan.now, &99);
    assert_eq!(plan.schedule.duty(&99), None);
}

#[test]
fn one_place_is_kept_free_for_who_is_waited_for() {
    let mut plan = Plan::new(PACING, 1);
    plan.add(0..600, Urgency::New);
    plan.run_for(secs(1_200));
    // Of those that are only due again, three are under way.
    plan.takes = secs(600);
    plan.run_for(secs(60));
    assert_eq!(plan.under_way.len(), 3);
    plan.add(700..701, Urgency::New);
    plan.run_for(secs(1));
    assert_eq!(plan.order().last(), Some(&700));
}

#[test]
fn who_is_waited_for_starves_nobody() {
    let mut plan = Plan::new(Pacing { at_once: 1, ..PACING }, 1);
    plan.add(0..20, Urgency::New);
    plan.run_for(secs(600));
    let before = plan.begun.len();
    plan.add(100..1_100, Urgency::New);
    plan.run_for(secs(2_400));
    let again: BTreeSet<u32> = plan.order()[before..].iter().copied().filter(|n| *n < 20).collect();
    assert_eq!(again.len(), 20, "all of the old ones had a turn");
    let order = plan.order();
    let news = order[before..].iter().filter(|number| **number >= 100).count();
    assert!(news * 4 >= (order.len() - before) * 3 - 20, "{news} of {}", order.len() - before);
}

#[test]
fn a_failure_is_tried_again_soon_and_then_less_and_less() {
    let mut plan = Plan::new(PACING, 1);
    (plan.stored, plan.takes) = (0, secs(1));
    plan.add(0..1, Urgency::New);
    plan.run_for(secs(3_600));
    let times = plan.times(0);
    let gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps, [31, 61, 121, 241, 481, 901, 901]);
    let duty = *plan.schedule.duty(&0).unwrap();
    assert_eq!((duty.failures(), duty.done(), duty.stored()), (8, None, 0));
    plan.stored = 5;
    plan.run_for(secs(1_000));
    let duty = *plan.schedule.duty(&0).unwrap();
    assert_eq!((duty.failures(), duty.stored(), duty.round()), (0, 5, 9));
    let due = duty.due().unwrap();
    assert_eq!(due, duty.begun().unwrap() + ANNOUNCE_PERIOD);
    assert_eq!(duty.done(), duty.begun().map(|at| at + secs(1)));
}

#[test]
fn many_failures_keep_a_pace_as_well() {
    let mut plan = Plan::new(PACING, 1);
    plan.add(0..200, Urgency::New);
    plan.run_for(secs(3_600));
    plan.stored = 0;
    let start = plan.now;
    plan.run_for(secs(3_600));
    let most = plan.minutes(start).into_iter().max().unwrap();
    assert!(most <= 2 * 200 / 15 + 2, "{most} in a minute");
}

#[test]
fn what_found_no_room_is_tried_again_and_counts_for_nothing() {
    let mut plan = Plan::new(PACING, 1);
    plan.add(0..1, Urgency::New);
    assert_eq!(plan.schedule.poll(START, &mut plan.random), Some(0));
    plan.schedule.postpone(START, &0);
    assert_eq!(plan.schedule.poll(START, &mut plan.random), None);
    let duty = plan.schedule.duty(&0).unwrap();
    assert_eq!((duty.failures(), duty.round(), duty.due()), (0, 0, Some(START + secs(5))));
    assert_eq!(plan.schedule.deadline(), Some(START + secs(5)));
    plan.run_for(secs(5));
    assert_eq!(plan.times(0), [5]);
}

#[test]
fn an_outage_is_probed_and_has_no_burst_behind_it() {
    let mut plan = Plan::new(PACING, 1);
    plan.add(0..200, Urgency::New);
    plan.run_for(secs(3_600));
    plan.schedule.set_away(plan.now, true);
    (plan.stored, plan.takes) = (0, secs(20));
    let away = plan.now;
    plan.run_for(secs(3 * 3_600));
    let probes = plan.minutes(away);
    assert!(probes[1..].iter().all(|count| *count <= 2), "{probes:?}");
    assert!(probes[1..].iter().sum::<usize>() >= 2 * 170);
    plan.schedule.set_away(plan.now, false);
    (plan.stored, plan.takes) = (8, secs(3));
    let back = plan.now;
    plan.run_for(secs(900));
    let all: BTreeSet<u32> =
        plan.begun.iter().filter(|(at, _)| *at >= back).map(|(_, number)| *number).collect();
    assert_eq!(all.len(), 200, "all within a period");
    let minutes = plan.minutes(back);
    assert!(minutes.iter().all(|count| *count <= 2 * 200 / 15 + 2), "{minutes:?}");
    // Whoever waits alone is tried again as soon as it is back.
    let mut plan = Plan::new(PACING, 1);
    plan.add(0..1, Urgency::New);
    plan.schedule.set_away(plan.now, true);
    plan.stored = 0;
    plan.run_for(secs(2_000));
    plan.schedule.set_away(plan.now, false);
    let before = plan.begun.len();
    plan.run_for(secs(1));
    assert_eq!(plan.begun.len(), before + 1);
}

#[test]
fn more_than_the_pace_allows_is_said_and_shared_fairly() {
    let mut plan = Plan::new(PACING, 1);
    plan.takes = secs(10);
    plan.add(0..1_000, Urgency::New);
    plan.run_for(secs(2 * 3_600));
    let first = plan.begun.len();
    plan.run_for(secs(4 * 3_600));
    let mut counts = BTreeMap::new();
    plan.begun[first..].iter().for_each(|(_, number)| *counts.entry(*number).or_insert(0) += 1);
    assert_eq!(counts.len(), 1_000);
    let (least, most) = (counts.values().min().unwrap(), counts.values().max().unwrap());
    assert!(most - least <= 1, "{least} to {most}");
    // Three at once for ten seconds each: a round takes 56 minutes, of which 20 are no delay.
    let load = plan.schedule.load(plan.now);
    assert_eq!((load.duties, load.under_way), (1_000, 3));
    assert!(load.late > 400, "{load:?}");
    assert!(load.behind > secs(34 * 60) && load.behind < secs(37 * 60), "{load:?}");
}

#[test]
fn each_has_a_period_of_its_own() {
    let mut plan = Plan::new(PACING, 1);
    let periods = [5 * 60, 15 * 60, 3_600, 3 * 3_600];
    for number in 0..80 {
        let period = secs(periods[number as usize % 4]);
        plan.schedule.add(plan.now, number, period, Urgency::New).unwrap();
    }
    plan.run_for(secs(24 * 3_600));
    for number in 0..80 {
        let period = periods[number as usize % 4];
        let times = plan.times(number);
        let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
        let longest = gaps.max().unwrap();
        assert!(longest <= period * 4 / 3 + 20, "{period}: {longest}");
    }
    // What is shorter than a lookup is not believed; what is there is changed and not added.
    plan.schedule.add(plan.now, 0, Duration::ZERO, Urgency::New).unwrap();
    assert_eq!(plan.schedule.duty(&0).unwrap().period(), PERIOD_MIN);
    assert_eq!(plan.schedule.load(plan.now).duties, 80);
    assert!(!plan.schedule.set_period(&80, secs(60)));
}

#[test]
fn what_is_removed_is_not_done_and_leaves_its_place() {
    let mut plan = Plan::new(Pacing { at_once: 1, ..PACING }, 1);
    plan.add(0..2, Urgency::New);
    plan.run_for(secs(1));
    assert_eq!(plan.order(), [0]);
    assert!(plan.schedule.remove(&0) && !plan.schedule.remove(&0));
    plan.under_way.clear();
    // What is told of it then is of nobody.
    plan.schedule.finished(plan.now, &0, 8);
    plan.run_for(secs(1));
    assert_eq!(plan.order(), [0, 1]);
    plan.run_for(secs(7_200));
    assert_eq!(plan.times(0).len(), 1);
    assert!(plan.schedule.remove(&1));
    assert_eq!(plan.schedule.poll(plan.now, &mut plan.random), None);
    assert_eq!(plan.schedule.deadline(), None);
    // What is left keeps the pace of those that there are.
    let mut plan = Plan::new(PACING, 1);
    plan.add(0..100, Urgency::New);
    plan.run_for(secs(60));
    (1..100).for_each(|number| assert!(plan.schedule.remove(&number)));
    plan.under_way.clear();
    plan.run_for(secs(24 * 3_600));
    let times = plan.times(0);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 900), "{times:?}");
    let mut full = Schedule::new(Bounded::new(1), PACING);
    assert_eq!(full.add(START, 1, ANNOUNCE_PERIOD, Urgency::New), Ok(()));
    assert_eq!(full.add(START, 2, ANNOUNCE_PERIOD, Urgency::New), Err(2));
}

/// What happens to a schedule.
#[derive(Clone, Debug)]
enum Op {
    Add(u32, u16, u8),
    Remove(u32),
    Hurry(u32),
    Finish(u32, u16),
    Postpone(u32),
    Away(bool),
    Pass(u32),
    Deadline,
}

fn op() -> impl Strategy<Value = Op> {
    let number = || 0..12u32;
    prop_oneof![
        3 => (number(), 0..3_000u16, 0..3u8).prop_map(|(n, p, u)| Op::Add(n, p, u)),
        1 => number().prop_map(Op::Remove),
        1 => number().prop_map(Op::Hurry),
        6 => (number(), 0..3u16).prop_map(|(n, stored)| Op::Finish(n, stored)),
        1 => number().prop_map(Op::Postpone),
        1 => any::<bool>().prop_map(Op::Away),
        4 => (0..600_000u32).prop_map(Op::Pass),
        8 => Just(Op::Deadline),
    ]
}

/// What a naive bookkeeper knows of a duty.
#[derive(Clone, Copy)]
struct Known {
    period: Duration,
    /// Not before, whatever the pace is.
    from: Instant,
    /// When it is late.
    late: Instant,
    failures: u32,
    begun: Instant,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_bookkeeper_agrees(ops in proptest::collection::vec(op(), 1..200), at_once in 1..5usize) {
        let pacing = Pacing { at_once, ..PACING };
        let mut plan = Plan::new(pacing, 1);
        plan.takes = secs(1_000_000);
        let mut known: BTreeMap<u32, Known> = BTreeMap::new();
        let mut away = false;
        for op in ops {
            let now = plan.now;
            match op {
                Op::Add(number, period, urgency) => {
                    let urgency = [Urgency::Again, Urgency::New, Urgency::Asked][usize::from(urgency)];
                    let period = secs(u64::from(period));
                    plan.schedule.add(now, number, period, urgency).unwrap();
                    let period = period.max(PERIOD_MIN);
                    let new = Known { period, from: now, late: now, failures: 0, begun: now };
                    known.entry(number).or_insert(new).period = period;
                }
                Op::Remove(number) => {
                    prop_assert_eq!(plan.schedule.remove(&number), known.remove(&number).is_some());
                    plan.under_way.remove(&number);
                }
                Op::Hurry(number) => {
                    plan.schedule.hurry(now, &number);
                    if let Some(row) = known.get_mut(&number) {
                        (row.from, row.late) = (row.from.min(now), row.late.min(now));
                    }
                }
                Op::Finish(number, stored) => {
                    plan.schedule.finished(now, &number, stored);
                    if plan.under_way.remove(&number).is_some() {
                        let row = known.get_mut(&number).unwrap();
                        if stored == 0 {
                            let wait = secs(30) * 2u32.saturating_pow(row.failures.min(20));
                            row.from = now + wait.min(row.period);
                            row.late = row.from;
                            row.failures += 1;
                        } else {
                            row.failures = 0;
                            row.from = row.begun + row.period / 4;
                            row.late = row.begun + row.period + row.period / 3;
                        }
                    }
                }
                Op::Postpone(number) => {
                    plan.schedule.postpone(now, &number);
                    if plan.under_way.remove(&number).is_some() {
                        let row = known.get_mut(&number).unwrap();
                        (row.from, row.late) = (now + secs(5), now + secs(5));
                    }
                }
                Op::Away(is_away) => {
                    plan.schedule.set_away(now, is_away);
                    if away && !is_away {
                        let failed = known.values_mut().filter(|row| row.failures > 0);
                        failed.for_each(|row| {
                            (row.from, row.late) = (row.from.min(now), row.late.min(now));
                        });
                    }
                    away = is_away;
                }
                Op::Pass(millis) => plan.now = now + Duration::from_millis(u64::from(millis)),
                Op::Deadline => {
                    if let Some(at) = plan.schedule.deadline() {
                        let before = plan.begun.len();
                        // It is not before it, and it is then.
                        plan.now = now.max(Instant::from_micros(at.as_micros() - 1));
                        plan.begin();
                        prop_assert!(plan.now < at || at <= now || plan.begun.len() > before);
                        prop_assert!(plan.now >= at || plan.begun.len() == before);
                        plan.now = now.max(at);
                        plan.begin();
                        prop_assert!(plan.begun.len() > before);
                    }
                }
            }
            plan.begin();
            for duty in plan.schedule.duties() {
                let row = known.get_mut(&duty.what()).unwrap();
                prop_assert_eq!(duty.period(), row.period);
                prop_assert_eq!(duty.is_under_way(), plan.under_way.contains_key(&duty.what()));
                if let Some(begun) = duty.begun().filter(|_| duty.is_under_way()) {
                    prop_assert!(begun >= row.from, "before its time");
                    row.begun = begun;
                }
            }
            prop_assert_eq!(plan.schedule.duties().len(), known.len());
            prop_assert!(plan.schedule.deadline().is_none_or(|at| at > plan.now));
            // Nobody who is waited for is left waiting while there is a place.
            let spaced = plan.begun.last().is_none_or(|(at, _)| plan.now.since(*at) >= secs(30));
            if plan.under_way.is_empty() && spaced {
                let waits = known.values().any(|row| row.late + secs(30) <= plan.now);
                prop_assert!(!waits, "late, and nothing else to do");
            }
        }
    }
}
