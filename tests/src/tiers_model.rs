//! What must hold of the order in which trackers are asked, however they answer.

use std::time::Duration;

use chacha20::ChaCha8Rng;
use rand_core::SeedableRng;
use tinybt_core::list::Bounded;
use tinybt_core::tracker::tiers::{Again, Pace, Policy, Tiers};
use tinybt_core::{Happening, Instant};

/// What a tracker has heard.
#[derive(Default)]
struct Heard {
    events: Vec<Happening>,
    asked: bool,
    /// Not before, unless something happened.
    min: Instant,
    never: bool,
}

/// Plays any answers to `count` trackers, and checks every promise after each.
///
/// # Panics
///
/// When one is broken.
pub fn check(policy: Policy, count: usize, script: &[u8]) {
    let pace = Pace::default();
    let mut random = ChaCha8Rng::seed_from_u64(count as u64);
    let mut tiers = Tiers::new(Bounded::new(count), policy, pace);
    for number in 0..count {
        assert!(tiers.add(number as u16, (number / 2) as u16, &mut random));
    }
    assert!(!tiers.add(99, 0, &mut random));
    let mut heard: Vec<Heard> = (0..count).map(|_| Heard::default()).collect();
    let mut now = Instant::from_secs(1_000);
    let (mut stopped, mut completed) = (false, false);
    for &byte in script {
        while let Some((number, event)) = tiers.poll(now) {
            let tracker = &mut heard[usize::from(number)];
            assert!(!tracker.asked, "asked while it is asked");
            assert!(!tracker.never, "asked though it wants never to be");
            tracker.asked = true;
            match event {
                Happening::Started => assert!(!stopped),
                Happening::Completed => assert!(completed && !stopped),
                Happening::Stopped => assert!(stopped),
                Happening::None | Happening::Paused => {
                    assert!(!stopped);
                    assert!(now >= tracker.min, "asked before its interval");
                }
            }
            tracker.events.push(event);
        }
        let asked = || tiers.order().filter(|number| heard[usize::from(*number)].asked);
        let count = asked().count();
        if policy == Policy::InTurn && !stopped {
            assert!(count <= 1, "in turn means one at a time");
        }
        let one = asked().nth(usize::from(byte >> 4) % count.max(1));
        match (byte % 12, one) {
            (0..=3, Some(number)) => {
                let tracker = &mut heard[usize::from(number)];
                tracker.asked = false;
                let interval = Duration::from_secs(u64::from(byte) * 7);
                tiers.succeeded(now, number, Some(interval), None);
                tracker.min = now + interval.max(pace.interval_min);
                succeeded(tracker);
            }
            (4..=6, Some(number)) => {
                let tracker = &mut heard[usize::from(number)];
                tracker.asked = false;
                tracker.events.pop();
                tiers.failed(now, number, Again::Backoff);
                tracker.min = now + pace.backoff;
            }
            (7, Some(number)) => {
                let tracker = &mut heard[usize::from(number)];
                tracker.asked = false;
                tracker.events.pop();
                tracker.never = true;
                tiers.failed(now, number, Again::Never);
            }
            (8, _) => {
                completed = true;
                tiers.complete(now);
            }
            (9, _) if byte > 200 => {
                stopped = true;
                tiers.stop();
            }
            (10, _) => now = now + Duration::from_secs(u64::from(byte)),
            _ => {
                if let Some(deadline) = tiers.deadline() {
                    now = now.max(deadline);
                }
            }
        }
    }
    tiers.stop();
    for _ in 0..10 * count {
        if tiers.is_over() {
            break;
        }
        while let Some((number, event)) = tiers.poll(now) {
            assert_eq!(event, Happening::Stopped);
            let tracker = &mut heard[usize::from(number)];
            tracker.asked = true;
            tracker.events.push(event);
        }
        for (number, tracker) in (0..).zip(&mut heard).filter(|(_, tracker)| tracker.asked) {
            tracker.asked = false;
            tiers.succeeded(now, number, None, None);
            succeeded(tracker);
        }
    }
    assert!(tiers.is_over());
    assert_eq!(tiers.poll(now), None);
    assert_eq!(tiers.deadline(), None);
}

/// What a tracker has heard is in order.
fn succeeded(tracker: &Heard) {
    let place = |wanted| tracker.events.iter().position(|event| *event == wanted);
    let count = |wanted| tracker.events.iter().filter(|event| **event == wanted).count();
    assert_eq!(place(Happening::Started), Some(0), "started comes first: {:?}", tracker.events);
    assert_eq!(count(Happening::Started), 1);
    assert!(count(Happening::Stopped) <= 1);
    if let Some(stopped) = place(Happening::Stopped) {
        assert_eq!(stopped + 1, tracker.events.len(), "stopped comes last");
    }
}
