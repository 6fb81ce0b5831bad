//! The crawler among thousands of nodes in virtual time: what it finds, whom it spares, how it ends.

use std::collections::BTreeSet;
use std::time::Duration;

use chacha20::ChaCha8Rng;
use proptest::prelude::*;
use rand_core::{Rng, SeedableRng};
use tinybt_core::dht::crawl::known::{Entry, Kind, Known, REST, Sample};
use tinybt_core::dht::crawl::plan::{Errand, Plan, Said};
use tinybt_core::dht::crawl::seen::Seen;
use tinybt_core::dht::crawl::{CrawlConfig, CrawlEnd, Crawler, Event, Prefix, Progress};
use tinybt_core::dht::{Node, RestoreError};
use tinybt_core::{Contact, Family, Id, Machine, Step, buffer};
use tinybt_tests::crawl_world::{Crawl, Manner, START, World, crawler, hash};
use tinybt_tests::nodes::{addr, id};

const DAY: Duration = Duration::from_secs(86_400);

fn ended(crawl: &Crawl) -> Option<(CrawlEnd, Progress)> {
    crawl.events.iter().find_map(|(_, event)| match event {
        Event::Ended { end, progress } => Some((*end, *progress)),
        _ => None,
    })
}

fn rounds(crawl: &Crawl) -> Vec<Progress> {
    let all = crawl.events.iter().filter_map(|(_, event)| match event {
        Event::Round { progress, .. } => Some(*progress),
        _ => None,
    });
    all.collect()
}

fn run(world: World, config: CrawlConfig, rate: Option<u32>) -> Crawl {
    let mut crawl = Crawl::new(world, crawler(config, rate));
    assert!(crawl.run(DAY, |crawl| ended(crawl).is_some()), "it does not end");
    assert_eq!(crawl.violations.len(), 0, "asked too soon");
    assert_eq!(crawl.told_again, 0);
    crawl
}

#[test]
fn five_thousand_nodes_tell_a_hundred_thousand_hashes() {
    let mut config = CrawlConfig::default();
    config.rounds = Some(4);
    let crawl = run(World::default(), config, Some(200));
    let rounds = rounds(&crawl);
    let (_, asked) = crawl.asked(Manner::Honest);
    let per_round = crawl.sent as f64 / asked as f64 / rounds.len() as f64;
    eprintln!("{:.4} found, {asked} nodes, {per_round:.3} a node and round", crawl.share());
    assert!(crawl.share() >= 0.99, "{} {rounds:?}", crawl.share());
    assert!(asked >= 4_995, "{asked}");
    assert!(per_round <= 1.3, "{per_round}");
    assert!(crawl.rate_max <= 220, "{} in a second", crawl.rate_max);
    assert!(rounds.iter().all(|round| (round.covered - 1.0).abs() < 1e-6));
}

#[test]
fn it_ends_by_itself_when_little_is_left() {
    let world = World { nodes: 500, hashes: 5_000, ..World::default() };
    let crawl = run(world, CrawlConfig::default(), None);
    let (end, progress) = ended(&crawl).expect("it ended");
    assert_eq!(end, CrawlEnd::Complete);
    assert_eq!(progress.hashes, crawl.found.len() as u64);
    assert!(crawl.share() > 0.995, "{}", crawl.share());
    assert!(progress.round < 20, "{progress:?}");
}

/// Nodes of these manners, asked over a network that loses datagrams.
fn rough(manners: &[(Manner, u64)], loss: u32) -> Crawl {
    let manners = manners.to_vec();
    let world = World { nodes: 1_000, hashes: 10_000, loss, manners, ..World::default() };
    let mut config = CrawlConfig::default();
    config.rounds = Some(5);
    let crawl = run(world, config, None);
    let (honest, asked) = crawl.asked(Manner::Honest);
    let share = crawl.share();
    eprintln!(
        "{:?}: {share:.4} found, {asked} of {honest}, {} sent",
        manners_of(&crawl),
        crawl.sent
    );
    assert!(asked * 100 >= honest * 99, "{asked} of {honest}");
    assert!(share >= 0.98, "{share}");
    crawl
}

fn manners_of(crawl: &Crawl) -> Vec<(Manner, (usize, usize))> {
    use Manner::{Crowd, Dead, Endless, Inventor, Plain, Refuses, Shifty};
    let all = [Crowd, Dead, Endless, Inventor, Plain, Refuses, Shifty];
    let all = all.into_iter().map(|manner| (manner, crawl.asked(manner)));
    all.filter(|(_, (count, _))| *count > 0).collect()
}

#[test]
fn the_dead_and_the_lost_cost_little() {
    let crawl = rough(&[(Manner::Dead, 200)], 20);
    let (_, progress) = ended(&crawl).expect("it ended");
    assert!(progress.silent >= 200, "{progress:?}");
    // The dead are asked twice in the first round; they are forgotten after half an hour.
    assert!(crawl.sent <= 5 * 1_000 * 13 / 10, "{}", crawl.sent);
}

#[test]
fn who_knows_no_samples_is_asked_for_nodes_once() {
    let crawl = rough(&[(Manner::Refuses, 150), (Manner::Plain, 150)], 0);
    let (_, progress) = ended(&crawl).expect("it ended");
    let (refuses, _) = crawl.asked(Manner::Refuses);
    assert_eq!(progress.refused, refuses as u64, "each once");
    let (plain, _) = crawl.asked(Manner::Plain);
    let without = progress.answered - progress.sampled;
    assert_eq!(without, (refuses + plain) as u64, "each once");
}

#[test]
fn liars_neither_hide_anybody_nor_keep_it_from_its_end() {
    for manner in [Manner::Inventor, Manner::Crowd, Manner::Endless, Manner::Shifty] {
        let crawl = rough(&[(manner, 50)], 0);
        // Each of fifty may cost as much as a network is allowed to: some for each node of it, eight
        // invented ones for each answer, each asked twice; not more.
        assert!(crawl.sent <= 5 * 1_000 + 50 * 64 * 5 + 50 * 8 * 2 * 5, "{}", crawl.sent);
    }
}

#[test]
fn a_crawl_with_little_room_stays_within_it_and_ends() {
    let mut config = CrawlConfig::default();
    config.nodes = 100;
    config.hashes = 50;
    config.in_flight = 3;
    config.rounds = Some(2);
    let world = World { nodes: 500, hashes: 1_000, ..World::default() };
    let mut crawl = Crawl::new(world, crawler(config, None));
    assert!(crawl.run(DAY, |crawl| {
        assert!(crawl.crawler.known().len() <= 100);
        assert!(crawl.crawler.progress(crawl.now).in_flight <= 3);
        ended(crawl).is_some()
    }));
    assert_eq!(crawl.violations, []);
    assert!(!crawl.found.is_empty());
}

#[test]
fn a_slice_is_crawled_and_nothing_else() {
    let slice = Prefix::around(id(5, 17), 3);
    let mut config = CrawlConfig::default();
    config.slice = slice;
    config.rounds = Some(1);
    let world = World { nodes: 2_000, hashes: 1_000, ..World::default() };
    let crawl = run(world, config, None);
    let inside: Vec<usize> = (0..2_000).filter(|at| slice.contains(id(5, *at))).collect();
    assert!(inside.len() > 100);
    let asked = inside.iter().filter(|at| crawl.was_asked(**at)).count();
    assert_eq!(asked, inside.len());
    // Beyond these the way there, and no more.
    assert!(crawl.sent as usize <= inside.len() + 80, "{} for {}", crawl.sent, inside.len());
}

#[test]
fn intervals_bind_after_a_restart_and_nothing_is_asked_twice() {
    let world = World { nodes: 300, hashes: 20_000, interval: 3_600, ..World::default() };
    let mut crawl = Crawl::new(world, crawler(CrawlConfig::default(), Some(50)));
    // In the middle of the first round.
    assert!(!crawl.run(Duration::from_secs(4), |_| false));
    let before = crawl.crawler.progress(crawl.now);
    assert!(before.asked > 100 && before.covered < 1.0, "{before:?}");
    let saved = crawl.crawler.save(crawl.now);
    let mut config = CrawlConfig::default();
    config.rounds = Some(2);
    let mut again = crawler(config, Some(50));
    assert_eq!(again.restore(crawl.now, &saved), Ok(before.nodes));
    crawl.replace(again);
    assert!(crawl.run(DAY, |crawl| ended(crawl).is_some()));
    assert_eq!(crawl.violations, []);
    let rounds = rounds(&crawl);
    let rounds: Vec<u32> = rounds.iter().map(|progress| progress.round).collect();
    assert_eq!(rounds, [1, 2], "the first is gone on with");
    let in_first = crawl.events.iter().find_map(|(_, event)| match event {
        Event::Round { progress, .. } => Some(progress.asked),
        _ => None,
    });
    // Those under way when it ended are asked again; the rest was remembered.
    assert!(in_first.is_some_and(|asked| asked + before.answered <= 300 + 10), "{in_first:?}");
}

/// A state of so many rounds: so many nodes, all of which are spared for an hour.
fn state(rounds: u32, count: u32) -> Vec<u8> {
    let mut bytes = format!("d2:ati{rounds}e3:dht2:de1:fi4e1:n{}:", count * 44).into_bytes();
    for n in 0..count {
        bytes.extend_from_slice(&id(5, n as usize).0);
        bytes.extend_from_slice(&(0x0b00_0000 + n * 16).to_be_bytes());
        bytes.extend_from_slice(&6_881u16.to_be_bytes());
        bytes.extend_from_slice(&3_600u32.to_be_bytes());
        bytes.push(1);
        [100u32, 50, 50].iter().for_each(|n| bytes.extend_from_slice(&n.to_be_bytes()));
        bytes.push(0);
    }
    bytes.extend_from_slice(b"1:vi1ee");
    bytes
}

#[test]
fn rounds_of_an_earlier_run_are_not_counted() {
    let mut config = CrawlConfig::default();
    config.rounds = Some(3);
    let mut again = crawler(config, Some(100));
    assert_eq!(again.restore(START, &state(5, 100)), Ok(100));
    let world = World { nodes: 50, hashes: 10, ..World::default() };
    let mut crawl = Crawl::new(world, crawler(CrawlConfig::default(), None));
    crawl.replace(again);
    assert!(crawl.run(10 * DAY, |crawl| ended(crawl).is_some()));
    let rounds: Vec<u32> = rounds(&crawl).iter().map(|progress| progress.round).collect();
    assert!(rounds.starts_with(&[6]), "{rounds:?}");
    let end = ended(&crawl).map(|(end, _)| end);
    assert!(end != Some(CrawlEnd::Rounds) || rounds == [6, 7, 8], "{end:?} after {rounds:?}");
}

#[test]
fn a_round_in_which_nobody_is_due_is_gone_through_in_short_steps() {
    let mut crawl = crawler(CrawlConfig::default(), Some(100));
    assert_eq!(crawl.restore(START, &state(1, 20_000)), Ok(20_000));
    let (mut now, mut steps, mut covered) = (START, 0, 0.0);
    let mut out = buffer();
    let is_over = loop {
        match crawl.step(now, &mut out) {
            Step::Event(Event::Round { .. }) => break true,
            Step::Wait(Some(at)) if at > now => now = at,
            Step::Wait(_) => break false,
            _ => {}
        }
        steps += 1;
        // A step is 1,024 parts at most, each of which holds a few of the nodes.
        let progress = crawl.progress(now);
        assert!(progress.covered - covered < 0.3, "{covered} to {}", progress.covered);
        covered = progress.covered;
    };
    assert!(is_over && now.since(START) < Duration::from_secs(1) && steps > 4, "{steps}");
}

#[test]
fn nobody_who_answers_is_told_apart_from_nobody_of_the_slice() {
    // A slice so small that nobody lives there.
    let world = World { nodes: 50, hashes: 10, ..World::default() };
    let mut config = CrawlConfig::default();
    config.slice = Prefix::around(Id([0x2b; 20]), 32);
    config.rounds = Some(1);
    let crawl = run(world, config, None);
    let (_, progress) = ended(&crawl).expect("it ended");
    assert!(progress.met > 0 && progress.vain == 0, "{progress:?}");
    assert_eq!(progress.hashes, 0);

    // Nobody at all: it looks again, ever less often.
    let world = World { nodes: 50, hashes: 10, ..World::default() };
    let mut crawl = Crawl::new(world, crawler(CrawlConfig::default(), None));
    crawl.is_cut = true;
    crawl.run(Duration::from_secs(30), |_| false);
    let progress = crawl.crawler.progress(crawl.now);
    assert!(progress.vain >= 3 && progress.met == 0, "{progress:?}");
    crawl.run(Duration::from_secs(3_600), |_| false);
    let vain = crawl.crawler.progress(crawl.now).vain;
    assert!((90..=125).contains(&vain), "{vain} times in an hour");
    crawl.is_cut = false;
    assert!(crawl.run(DAY, |crawl| ended(crawl).is_some()));
    assert_eq!(crawl.crawler.progress(crawl.now).vain, 0);
}

#[test]
fn the_rate_is_that_of_the_round_while_it_rests() {
    let world = World { nodes: 300, hashes: 20_000, interval: 3_600, ..World::default() };
    let mut crawl = Crawl::new(world, crawler(CrawlConfig::default(), Some(50)));
    assert!(crawl.run(DAY, |crawl| !rounds(crawl).is_empty()));
    let rate = rounds(&crawl)[0].rate;
    // Less than the pause to the next.
    crawl.run(Duration::from_secs(50), |_| false);
    let later = crawl.crawler.progress(crawl.now).rate;
    assert!((later - rate).abs() < 0.1 * rate, "{rate} and {later}");
    assert!((30.0..=55.0).contains(&rate), "{rate}");
}

#[test]
fn a_state_that_is_rubbish_is_refused_or_passed_over() {
    let world = World { nodes: 50, hashes: 10, ..World::default() };
    let mut crawl = Crawl::new(world, crawler(CrawlConfig::default(), None));
    crawl.run(Duration::from_secs(5), |_| false);
    let saved = crawl.crawler.save(crawl.now);
    let fresh = || crawler(CrawlConfig::default(), None);
    for len in 0..saved.len() {
        assert_eq!(fresh().restore(START, &saved[..len]), Err(RestoreError::Malformed), "{len}");
    }
    for at in 0..saved.len() {
        let mut bytes = saved.clone();
        bytes[at] ^= 0x5a;
        let mut crawler = fresh();
        let _ = crawler.restore(START, &bytes);
        assert!(crawler.known().iter().all(|(_, entry)| entry.due.since(START) <= REST));
    }
    let v2 = saved.iter().rev().skip(3).rev().chain(b"i2ee").copied().collect::<Vec<u8>>();
    assert_eq!(&saved[saved.len() - 4..], b"i1ee");
    let v2 = [&v2[..saved.len() - 4], b"i2ee"].concat();
    assert_eq!(fresh().restore(START, &v2), Err(RestoreError::Version));
    let node = CrawlConfig::node(Family::V6, None);
    let random = |seed| ChaCha8Rng::seed_from_u64(seed);
    let node = Node::new(node, CrawlConfig::default().storage(), random(1));
    let mut v6 = Crawler::new(CrawlConfig::default(), node, random(2));
    assert_eq!(v6.restore(START, &saved), Err(RestoreError::Family));
}

#[test]
fn an_outage_blames_nobody() {
    let world = World { nodes: 400, hashes: 2_000, ..World::default() };
    let mut config = CrawlConfig::default();
    config.rounds = Some(1);
    let mut crawl = Crawl::new(world, crawler(config, Some(50)));
    crawl.run(Duration::from_secs(4), |_| false);
    crawl.is_cut = true;
    let before = crawl.sent;
    crawl.run(Duration::from_secs(600), |_| false);
    assert!(ended(&crawl).is_none());
    assert!(crawl.sent - before < 1_200, "{} into the dark", crawl.sent - before);
    crawl.is_cut = false;
    assert!(crawl.run(Duration::from_secs(120), |crawl| ended(crawl).is_some()));
    let (_, progress) = ended(&crawl).expect("it ended");
    let (_, asked) = crawl.asked(Manner::Honest);
    assert_eq!(asked, 400, "{progress:?}");
    let silent = crawl.crawler.known().iter().filter(|(_, entry)| entry.kind == Kind::Silent);
    assert_eq!(silent.count(), 0);
}

#[test]
fn told_to_stop_it_says_so_once_and_asks_nobody() {
    let world = World { nodes: 300, hashes: 100, ..World::default() };
    let mut crawl = Crawl::new(world, crawler(CrawlConfig::default(), Some(50)));
    crawl.run(Duration::from_secs(2), |_| false);
    let now = crawl.now;
    assert!(crawl.crawler.stop(now) && !crawl.crawler.stop(now));
    let sent = crawl.sent;
    crawl.run(DAY, |_| false);
    assert_eq!(crawl.sent, sent);
    assert!(matches!(ended(&crawl), Some((CrawlEnd::Stopped, _))));
    let ends = crawl.events.iter().filter(|(_, event)| matches!(event, Event::Ended { .. }));
    assert_eq!(ends.count(), 1);
}

#[test]
fn a_crawl_that_is_held_asks_nobody_and_forgets_nobody() {
    let world = World { nodes: 300, hashes: 1_000, ..World::default() };
    let mut config = CrawlConfig::default();
    config.rounds = Some(2);
    let mut crawl = Crawl::new(world, crawler(config, Some(50)));
    for _ in 0..10 {
        crawl.run(Duration::from_secs(1), |_| false);
        crawl.crawler.hold(true);
        // Answers that were under way, and questions that waited for the budget.
        crawl.run(Duration::from_secs(30), |_| false);
        let sent = crawl.sent;
        crawl.run(Duration::from_secs(3_600), |_| false);
        assert_eq!(crawl.sent, sent, "it asks");
        crawl.crawler.hold(false);
    }
    assert!(crawl.run(DAY, |crawl| ended(crawl).is_some()));
    assert_eq!(crawl.violations, []);
    assert_eq!(crawl.asked(Manner::Honest), (300, 300));
    assert!(crawl.share() > 0.99, "{}", crawl.share());
}

// The leaves, by tables.

#[test]
fn when_a_node_may_be_asked_again() {
    let sample = |interval, stored, told, new| Sample {
        interval: Duration::from_secs(interval),
        stored,
        told,
        new,
    };
    // Visits, and after the last: unseen, seconds to be spared.
    for (visits, unseen, spared) in [
        (&[sample(60, 10, 10, 10)][..], 0, 21_600),
        (&[sample(60, 100, 20, 20)], 80, 60),
        (&[sample(0, 100, 20, 20)], 80, 0),
        (&[sample(99_999, 100, 20, 20)], 80, 21_600),
        (&[sample(60, 100, 20, 20), sample(60, 100, 20, 16)], 64, 60),
        (&[sample(60, 100, 20, 20), sample(60, 120, 20, 16)], 83, 60),
        (&[sample(60, 100, 20, 0), sample(60, 100, 20, 0)], 0, 21_600),
        (&[sample(60, 100, 20, 0), sample(60, 100, 20, 1)], 64, 60),
        (&[sample(60, 20, 20, 20), sample(60, 19, 19, 0)], 0, 21_600),
        (&[sample(60, 0, 30, 30)], 0, 21_600),
        (&[sample(60, u32::MAX, 0, 0)], 1 << 24, 60),
        (&[sample(60, u32::MAX, 19_999, 1), sample(60, u32::MAX, 1, 1)], 0, 21_600),
    ] {
        let mut entry = Entry::heard(id(1, 1));
        for visit in visits {
            entry.sampled(START, *visit);
        }
        let is = (entry.unseen, entry.due.since(START).as_secs());
        assert_eq!(is, (unseen, spared), "{visits:?}");
    }
    let mut entry = Entry::heard(id(1, 1));
    entry.sampled(START, sample(7_200, 100, 20, 20));
    entry.silent(START);
    assert_eq!(entry.due.since(START).as_secs(), 7_200, "silence does not end an interval");
}

/// Few parts at a time.
fn next(plan: &mut Plan, random: &mut ChaCha8Rng) -> Option<Errand> {
    loop {
        let mut parts = 3;
        let errand = plan.next(random, &mut parts);
        if errand.is_some() || parts > 0 {
            return errand;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    /// Whoever lies, however: nobody is asked twice in a round, and all is covered in the end.
    #[test]
    fn a_plan_comes_to_its_end(seed: u64, bits in 0..4u8, in_flight in 1..9usize, room in 1..400usize) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let slice = Prefix::around(id(1, 1), bits);
        let mut plan = Plan::new(slice, room);
        for round in 1..=2 {
            plan.meet(Contact { id: slice.random(&mut random), addr: addr(0) });
            plan.begin(START, round == 1);
            let (mut open, mut asked) = (Vec::new(), BTreeSet::new());
            loop {
                while open.len() < in_flight && let Some(errand) = next(&mut plan, &mut random) {
                    prop_assert!(asked.insert((errand.to, errand.samples)), "twice: {:?}", errand);
                    prop_assert!(plan.known.get(&errand.to).is_some());
                    open.push(errand);
                }
                let Some(last) = open.len().checked_sub(1) else { break };
                let errand = open.swap_remove(random.next_u32() as usize % (last + 1));
                let way = random.next_u32();
                let teller = |random: &mut ChaCha8Rng| {
                    let close = Prefix::around(errand.target, (way >> 8) as u8).random(random);
                    let at = 1 + random.next_u32() as usize % 1_000;
                    Contact { id: if way & 64 == 0 { close } else { Id::random(random) }, addr: addr(at) }
                };
                match way % 8 {
                    0 => plan.silent(START, errand),
                    1 => plan.refused(START, errand),
                    _ => {
                        let told = (way >> 16) as usize % 10;
                        let nodes: Vec<_> = (0..told).map(|_| teller(&mut random)).collect();
                        let id = (way & 32 == 0).then(|| Id::random(&mut random));
                        plan.answered(START, errand, Said { id, nodes: &nodes, sample: None });
                    }
                }
            }
            prop_assert!(plan.is_over());
            prop_assert!((plan.share() - 1.0).abs() < 1e-6, "{}", plan.share());
            prop_assert!(plan.known.len() <= room);
        }
    }
}

#[test]
fn a_slice_has_no_use_for_nodes_of_another_crawl() {
    let mut plan = Plan::new(Prefix::around(Id([0; 20]), 1), 10);
    plan.known
        .insert(addr(1), Entry { kind: Kind::Sampled, unseen: 9, ..Entry::heard(Id([255; 20])) });
    plan.known.insert(addr(2), Entry::heard(Id([1; 20])));
    plan.begin(START, true);
    assert_eq!((plan.waiting(), plan.has_more()), (1, false));
}

#[test]
fn an_address_is_one_node_whatever_its_id() {
    let mut known = Known::new(1_000);
    assert!(known.insert(addr(1), Entry::heard(id(1, 1))));
    assert!(!known.insert(addr(1), Entry::heard(id(1, 2))));
    known.rename(&addr(1), id(1, 3));
    assert_eq!(known.count(Prefix::around(id(1, 1), 160), 9), 0);
    assert_eq!(known.count(Prefix::around(id(1, 3), 160), 9), 1);
    // Sixty-four of a network, but any number at home.
    for port in 1..=200 {
        known.insert(([20, 7, 7, port as u8], port).into(), Entry::heard(id(2, port.into())));
        known.insert(([127, 0, 0, 1], port).into(), Entry::heard(id(3, port.into())));
    }
    assert_eq!(known.len(), 1 + 64 + 200);
    known.get_mut(&addr(1)).expect("it is known").silent(START);
    known.forget_silent(START);
    assert_eq!(known.len(), 265);
    known.forget_silent(START + Duration::from_secs(1_800));
    assert_eq!(known.len(), 264);
}

#[test]
fn one_site_of_ipv6_does_not_fill_a_crawl() {
    let mut known = Known::new(65_536);
    let at = |net: u128, host: u128| {
        let bits = 0x2a01_1234_5678u128 << 80 | net << 64 | host;
        (std::net::Ipv6Addr::from_bits(bits), 6_881).into()
    };
    for net in 0..100 {
        for host in 1..=65 {
            known.insert(at(net, host), Entry::heard(id(net as u64, host as usize)));
        }
        assert_eq!(known.len(), 64 * (net as usize + 1).min(4));
    }
    let other = ("2a02::1".parse::<std::net::Ipv6Addr>().unwrap(), 6_881).into();
    assert!(known.insert(other, Entry::heard(id(1, 1))));
    // Whoever is forgotten leaves room.
    known.get_mut(&at(0, 1)).unwrap().silent(START);
    known.forget_silent(START + Duration::from_secs(1_800));
    assert!(known.insert(at(50, 1), Entry::heard(id(1, 1))));
    assert!(!known.insert(at(51, 1), Entry::heard(id(1, 1))));
}

#[test]
fn whoever_is_told_eight_times_is_one() {
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let told = |addr_of: fn(usize) -> usize| {
        let contact = |n| Contact { id: id(7, n), addr: addr(addr_of(n)) };
        (2..10).map(contact).collect::<Vec<_>>()
    };
    for (nodes, is_halved) in [(told(|_| 2), false), (told(|n| n), true)] {
        let mut plan = Plan::new(Prefix::WHOLE, 100);
        plan.meet(Contact { id: id(7, 1), addr: addr(1) });
        plan.begin(START, true);
        let errand = plan.next(&mut random, &mut 9).expect("one waits");
        plan.answered(START, errand, Said { id: None, nodes: &nodes, sample: None });
        let mut parts = 9;
        assert!(plan.next(&mut random, &mut parts).is_some());
        assert_eq!(parts < 8, is_halved, "looked at {} parts", 9 - parts);
    }
}

#[test]
fn parts_of_the_key_space() {
    let whole = Prefix::WHOLE;
    assert_eq!((whole.first(), whole.last()), (Id([0; 20]), Id([255; 20])));
    let mut part = whole;
    let point = id(4, 4);
    let mut random = ChaCha8Rng::seed_from_u64(4);
    for bits in 1..=160u8 {
        let [lower, upper] = part.halves().expect("it has halves");
        assert_eq!((lower.first(), upper.last()), (part.first(), part.last()));
        assert!(lower.last() < upper.first());
        assert_eq!((lower.parent(), upper.parent()), (Some(part), Some(part)));
        part = if lower.contains(point) { lower } else { upper };
        assert_eq!(part, Prefix::around(point, bits));
        assert!(part.contains(part.random(&mut random)) && part.contains(point));
        assert!(part.first() <= point && point <= part.last());
    }
    assert_eq!(part.halves(), None);
    assert_eq!(Prefix::around(point, 3).share_of(whole), 0.125);
}

#[test]
fn what_was_told_is_known_again_until_there_is_no_room() {
    let mut random = ChaCha8Rng::seed_from_u64(4);
    for (room, new_again) in [(2_000, 0..1), (1_000, 0..1), (100, 900..1_001), (0, 1_000..1_001)] {
        let mut seen = Seen::new(room, &mut random);
        let first = (0..1_000).filter(|index| seen.insert(hash(*index))).count();
        assert_eq!(first, 1_000);
        assert!(seen.len() <= room + room / 2, "{} of {room}", seen.len());
        let again = (0..1_000).filter(|index| seen.insert(hash(*index))).count();
        assert!(new_again.contains(&again), "{again} with room for {room}");
    }
}

#[test]
fn what_was_told_last_is_known_again_though_there_is_no_room() {
    let mut seen = Seen::new(10_000, &mut ChaCha8Rng::seed_from_u64(4));
    let twice = (0..40_000).filter(|n| seen.insert(hash(*n)) && seen.insert(hash(*n))).count();
    assert_eq!(twice, 0, "new twice in a row");
    assert!(seen.len() <= 15_000, "{}", seen.len());
}

#[test]
fn another_source_disturbs_no_crawl_that_knows_somebody() {
    let mut config = CrawlConfig::default();
    config.forever = true;
    let world = World { nodes: 200, hashes: 2_000, interval: 3_600, ..World::default() };
    let mut crawl = Crawl::new(world, crawler(config, Some(50)));
    // In the middle of a round, then between two.
    assert!(!crawl.run(Duration::from_secs(3), |_| false));
    let covered = crawl.crawler.progress(crawl.now).covered;
    assert!(covered > 0.0 && crawl.crawler.add_source(addr(9_000)));
    assert!(crawl.run(DAY, |crawl| !rounds(crawl).is_empty()));
    let asked = rounds(&crawl)[0].asked;
    assert!(asked <= 230, "{asked}: begun again");
    assert!(!crawl.run(Duration::from_secs(1), |_| false));
    let due = crawl.crawler.poll_timeout();
    assert!(crawl.crawler.add_source(addr(9_001)));
    assert_eq!(crawl.crawler.poll_timeout(), due);
    assert!(matches!(crawl.crawler.step(crawl.now, &mut buffer()), Step::Wait(_)));
}

#[test]
fn rounds_that_are_over_are_counted_on_after_a_restart() {
    let world = World { nodes: 60, hashes: 100, ..World::default() };
    let mut config = CrawlConfig::default();
    config.forever = true;
    let mut crawl = Crawl::new(world, crawler(config.clone(), Some(50)));
    assert!(crawl.run(DAY, |crawl| rounds(crawl).len() == 2));
    let saved = crawl.crawler.save(crawl.now);
    let mut again = crawler(config, Some(50));
    assert!(again.restore(crawl.now, &saved).is_ok());
    crawl.replace(again);
    assert!(crawl.run(DAY, |crawl| rounds(crawl).len() == 3));
    assert_eq!(rounds(&crawl)[2].round, 3);
}
