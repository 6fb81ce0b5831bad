//! The simulator itself: what a network does to datagrams, clocks and hosts, and that populations of
//! real nodes are what they are said to be.

use std::net::SocketAddr;
use std::time::Duration;

use chacha20::ChaCha8Rng;
use rand_core::SeedableRng;
use tinybt_core::dht::{Config, Event, Question};
use tinybt_core::{Family, Instant};
use tinybt_tests::counting;
use tinybt_tests::net::{
    Delay, Lag, Leap, Line, Link, Loss, Nat, NatBox, Network, Part, Route, Way,
};
use tinybt_tests::nodes::{TestNode, addr, id, network, node};
use tinybt_tests::population::{Churn, Population, Settings, Spread, Truth};

fn at(secs: u64) -> Instant {
    Instant::from_secs(secs)
}

fn random() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(1)
}

/// Whom a box of each kind lets in, after the host behind it has sent to 9.9.9.9:9 once.
#[test]
fn each_kind_of_nat_lets_in_whom_it_should() {
    let host: SocketAddr = "5.5.5.5:6881".parse().unwrap();
    let asked: SocketAddr = "9.9.9.9:9".parse().unwrap();
    let other_port: SocketAddr = "9.9.9.9:10".parse().unwrap();
    let stranger: SocketAddr = "8.8.8.8:8".parse().unwrap();
    for (kind, asked_first, from_other_port, from_stranger, later) in [
        (Nat::Open, true, true, true, true),
        (Nat::FullCone, true, true, true, false),
        (Nat::Restricted, true, true, false, false),
        (Nat::PortRestricted, true, false, false, false),
        (Nat::Symmetric, true, false, false, false),
    ] {
        let mut nat = NatBox::new(kind, NatBox::TIMEOUT);
        let mut random = random();
        let mut passes = |now, way, from, to| {
            let mut route = Route { from, to };
            nat.pass(now, way, &mut route, 100, &mut random).map(|_| route)
        };
        let unasked = passes(at(1), Way::In, asked, host);
        assert_eq!(unasked.is_some(), kind == Nat::Open, "{kind:?} before anything went out");
        let out = passes(at(2), Way::Out, host, asked).unwrap();
        assert_eq!(out.from.ip(), host.ip());
        assert_eq!(out.from.port() == host.port(), kind != Nat::Symmetric, "{kind:?}");
        let back = out.from;
        let mut lets = |from, now| passes(now, Way::In, from, back).map(|route| route.to);
        assert_eq!(lets(asked, at(3)) == Some(host), asked_first, "{kind:?}");
        assert_eq!(lets(other_port, at(3)) == Some(host), from_other_port, "{kind:?}");
        assert_eq!(lets(stranger, at(3)) == Some(host), from_stranger, "{kind:?}");
        // What comes in keeps no mapping alive.
        assert!(lets(asked, at(2 + 119)) == Some(host), "{kind:?}");
        assert_eq!(lets(asked, at(2 + 120)) == Some(host), later, "{kind:?}");
    }
}

#[test]
fn a_symmetric_nat_gives_each_receiver_a_port_and_takes_them_back() {
    let mut nat = NatBox::new(Nat::Symmetric, Duration::from_secs(30));
    let mut random = random();
    let mut ports = std::collections::BTreeSet::new();
    for index in 0..1_000 {
        let mut route = Route { from: addr(5_000), to: addr(index) };
        let now = at(10 + index as u64 / 10);
        assert!(nat.pass(now, Way::Out, &mut route, 9, &mut random).is_some());
        ports.insert(route.from.port());
        let mut again = Route { from: addr(5_000), to: addr(index) };
        nat.pass(now, Way::Out, &mut again, 9, &mut random);
        assert_eq!(again, route, "the same port as long as the mapping lives");
    }
    assert_eq!(ports.len(), 1_000);
    assert!(nat.len() <= 600, "{} are remembered", nat.len());
}

#[test]
fn nodes_behind_every_nat_ask_and_are_answered() {
    for nat in Nat::ALL {
        let mut network: Network<TestNode> = Network::new(1, Link::default());
        for index in 0..3 {
            network.add(addr(index), node(index as u64, Config::endpoint(Family::V4)));
        }
        network.set_nat(addr(0), nat);
        let ask = |network: &mut Network<TestNode>, from, to| {
            network.events.clear();
            network.command(addr(from), |node, _| node.ask(addr(to), &Question::Ping)).unwrap();
            network.run_for(Duration::from_secs(10));
            network.events.iter().any(|(_, _, event)| matches!(event, Event::Answered { .. }))
        };
        assert!(ask(&mut network, 0, 1), "{nat:?}");
        let stranger = ask(&mut network, 2, 0);
        assert_eq!(stranger, matches!(nat, Nat::Open | Nat::FullCone), "{nat:?}");
        let friend = ask(&mut network, 1, 0);
        // Behind a symmetric one it is known by another port.
        assert_eq!(friend, nat != Nat::Symmetric, "{nat:?}");
        network.run_for(Duration::from_secs(150));
        assert_eq!(ask(&mut network, 1, 0), nat == Nat::Open, "{nat:?}, forgotten");
    }
}

#[test]
fn parts_compose() {
    let mut network: Network<TestNode> = Network::new(1, Link::default());
    for index in 0..2 {
        network.add(addr(index), node(index as u64, Config::endpoint(Family::V4)));
    }
    let rtt = |network: &mut Network<TestNode>| {
        network.events.clear();
        network.command(addr(0), |node, _| node.ask(addr(1), &Question::Ping)).unwrap();
        network.run_for(Duration::from_secs(20));
        network.events.iter().find_map(|(_, _, event)| match event {
            Event::Answered { rtt, .. } => Some(*rtt),
            _ => None,
        })
    };
    let millis = Duration::from_millis;
    assert_eq!(rtt(&mut network), Some(millis(40)));
    let lag = Lag { constant: millis(100), jitter: Duration::ZERO };
    network.set_parts(addr(0), vec![Box::new(lag)]);
    assert_eq!(rtt(&mut network), Some(millis(240)));
    let nat = NatBox::new(Nat::Symmetric, NatBox::TIMEOUT);
    network.set_parts(addr(0), vec![Box::new(lag), Box::new(nat.clone()), Box::new(lag)]);
    assert_eq!(rtt(&mut network), Some(millis(440)), "there and back, with a NAT between");
    network.set_parts(addr(0), vec![Box::new(nat), Box::new(Loss(1_000))]);
    assert_eq!(rtt(&mut network), None);
    network.set_parts(addr(0), vec![Box::new(Line::new(1_000, millis(500)))]);
    let slow = rtt(&mut network).unwrap();
    assert!(slow > millis(200) && slow < millis(400), "{slow:?}");
    network.set_parts(addr(0), Vec::new());
    assert_eq!(rtt(&mut network), Some(millis(40)));
}

#[test]
fn a_line_holds_up_what_comes_too_fast() {
    let mut line = Line::new(1_000, Duration::from_secs(1));
    let mut route = Route { from: addr(0), to: addr(1) };
    let mut pass = || line.pass(at(5), Way::Out, &mut route, 472, &mut random());
    let half = Duration::from_millis(500);
    assert_eq!((pass(), pass(), pass()), (Some(half), Some(2 * half), Some(3 * half)));
    assert_eq!(pass(), None, "the queue is full");
}

#[test]
fn hosts_live_with_clocks_that_leap() {
    let mut network = network(3, 60, Link::default());
    let day = Duration::from_secs(86_400);
    let finds = |network: &mut Network<TestNode>, asker| {
        network.events.clear();
        network.command(addr(asker), |node, now| node.find_node(now, id(9, 9))).unwrap();
        network.run_for(Duration::from_secs(30));
        network.events.iter().any(|(_, host, event)| {
            *host == addr(asker)
                && matches!(event, Event::Finished { outcome, .. } if outcome.answered >= 8)
        })
    };
    for leap in [Leap::Ahead(day), Leap::Back(day), Leap::Ahead(3 * day), Leap::Back(2 * day)] {
        for index in 0..20 {
            network.leap(addr(index), leap);
        }
        assert!(finds(&mut network, 7), "whose clock leaps: {leap:?}");
        assert!(finds(&mut network, 37), "whose clock does not: {leap:?}");
    }
}

#[test]
fn a_family_that_is_down_brings_nothing() {
    let mut network = network(4, 20, Link::default());
    network.set_down(Family::V6, true);
    let before = network.traffic.delivered;
    network.run_for(Duration::from_secs(1_800));
    let between = network.traffic.delivered;
    assert!(between > before);
    network.set_down(Family::V4, true);
    network.run_for(Duration::from_secs(1_800));
    assert_eq!(network.traffic.delivered, between);
    network.set_down(Family::V4, false);
    network.run_for(Duration::from_secs(1_800));
    let back = network.events.iter().filter(|(_, _, event)| matches!(event, Event::Online { .. }));
    assert!(back.count() >= 20, "they find back");
}

#[test]
fn no_deadline_is_left_behind() {
    let mut network = network(5, 200, Link::default());
    network.run_for(Duration::from_secs(3_600));
    assert!(network.pending() <= 200 + 100, "{} wait", network.pending());
    for index in 0..100 {
        assert!(network.remove(addr(index)).is_some());
    }
    network.run_for(Duration::from_secs(60));
    assert!(network.pending() <= 100 + 100, "{} wait", network.pending());
}

#[test]
fn spans_of_time_have_their_median() {
    let median = Duration::from_secs(600);
    for spread in [
        Spread::LogNormal { median, sigma: 1.0 },
        Spread::Weibull { median, shape: 0.5 },
        Spread::Weibull { median, shape: 1.0 },
    ] {
        let mut random = random();
        let below = (0..10_000).filter(|_| spread.draw(&mut random) < median).count();
        assert!(
            (4_800..5_200).contains(&below),
            "{below} of 10,000 below the median of {spread:?}"
        );
    }
}

#[test]
fn the_closest_are_those_of_a_sort() {
    let all: Vec<_> = (0..500).map(|index| (id(1, index), index as u32)).collect();
    let truth = Truth::new(all.iter().copied());
    for round in 0..50 {
        let target = id(2, round);
        let mut sorted = all.clone();
        sorted.sort_by_key(|(id, _)| id.distance(target));
        assert_eq!(truth.closest(target, 8), sorted[..8]);
        let parts = truth.by_prefix(target, 8);
        assert_eq!(parts.iter().map(|part| part.len()).sum::<usize>(), 500);
        for (bit, part) in parts[..parts.len() - 1].iter().enumerate() {
            let apart = |node: &(tinybt_core::Id, u32)| node.0.distance(target).leading_zeros();
            assert!(part.iter().all(|node| apart(node) == bit as u32));
        }
    }
}

/// Planted nodes are such as have been here for long: what they cost and find does not change when
/// they live on.
#[test]
fn planted_nodes_are_in_the_state_they_would_come_to() {
    let settings = Settings { nodes: 1_500, ..Settings::default() };
    let mut population = Population::planted(settings, Link::default());
    let state = |population: &Population| {
        let now = population.network.now();
        let status = (0..1_500).map(|i| population.network.machine(addr(i)).status(now));
        let counts = status.map(|s| (s.nodes_good, s.nodes_good + s.nodes_questionable));
        counts.fold((0, 0), |sum, next| (sum.0 + next.0, sum.1 + next.1))
    };
    let planted = state(&population);
    assert_eq!(planted.0, planted.1, "all are good");
    population.run_for(Duration::from_secs(1_800));
    let later = state(&population);
    assert!(later.1 >= planted.1 && later.1 * 100 <= planted.1 * 110, "{planted:?}, {later:?}");
    assert!(later.0 * 100 >= later.1 * 90, "{later:?} are good");
}

#[test]
fn a_population_of_ten_thousand_finds_what_is_there() {
    let before = counting::live();
    let settings = Settings { nodes: 10_000, ..Settings::default() };
    let mut population = Population::planted(settings, Link { loss: 20, ..Link::default() });
    let memory = (counting::live() - before) / 10_000;
    population.run_for(Duration::from_secs(30));
    let report = population.lookups(50);
    assert_eq!((report.lookups, report.complete), (50, 50));
    assert_eq!(report.peers_found, report.peers_announced, "{report}");
    assert!(report.closest_answered * 1_000 >= report.closest * 970, "{report}");
    assert!(report.announces_stored * 100 >= report.announces * 98, "{report}");
    assert!(memory <= MEMORY_MAX, "{memory} bytes a node");
}

/// Bytes of a node among 10,000, with what the simulator keeps of it: planted, and after hours.
const MEMORY_MAX: i64 = 8 * 1_024;
/// Bytes of a bucket of its routing table, when it has all its entries and reserves.
const BUCKET: i64 = 56 + (8 + 4) * 33;

/// It is the routing table that grows, by reserves for its full buckets, until these are full too.
#[test]
fn a_node_that_idles_for_hours_stays_small() {
    let before = counting::live();
    let settings = Settings { nodes: 1_250, ..Settings::default() };
    let mut population = Population::planted(settings, Link { loss: 20, ..Link::default() });
    let memory = |_: &Population| (counting::live() - before) / 1_250;
    population.run_for(Duration::from_secs(2 * 3_600));
    let hours = memory(&population);
    // Among 10,000 it has three buckets more, for as many bits.
    assert!(hours + 3 * BUCKET <= MEMORY_MAX, "{hours} bytes a node");
    population.run_for(Duration::from_secs(3_600));
    assert!(memory(&population) <= hours + 64, "{hours} before, {}", memory(&population));
}

#[test]
fn a_population_that_comes_and_goes_behind_nats_finds_what_is_there() {
    let churn = Churn::of(Duration::from_secs(1_800));
    let (mut found, mut answered) = ((0, 0), (0, 0));
    for seed in 0..4 {
        let settings =
            Settings { nodes: 600, nat: 300, churn: Some(churn), seed, ..Settings::default() };
        let mut population = Population::planted(settings, Link { loss: 20, ..Link::default() });
        population.run_for(Duration::from_secs(1_800));
        let (came, went) = population.came_and_went;
        assert!(came > 100 && went > 100, "{came} came, {went} went");
        population.sleep(100, Duration::from_secs(600));
        population.part(Duration::from_secs(300));
        population.run_for(Duration::from_secs(60));
        let report = population.lookups(30);
        found = (found.0 + report.peers_found, found.1 + report.peers_announced);
        answered = (answered.0 + report.closest_answered, answered.1 + report.closest);
    }
    assert!(found.0 * 100 >= found.1 * 97, "{found:?} peers");
    assert!(answered.0 * 100 >= answered.1 * 94, "{answered:?} of the closest");
}

/// Without upkeep many a living node is left out: nobody tells of those of whom he has not heard for a
/// quarter of an hour if he knows eight others. And not all the round trips are alike.
#[test]
fn who_is_known_to_few_is_waited_for() {
    let mut config = Config::new(Family::V4);
    config.upkeep.refresh = false;
    config.upkeep.verify = false;
    let settings = Settings { nodes: 1_000, config, ..Settings::default() };
    let median = Duration::from_millis(90);
    let delay = Delay::LogNormal { median, p95: 4 * median };
    let mut population = Population::planted(settings, Link { delay, loss: 20, ..Link::default() });
    population.run_for(Duration::from_secs(30));
    let report = population.lookups(100);
    assert!(report.closest_answered * 100 >= report.closest * 97, "{report}");
}

#[test]
fn nodes_that_join_by_themselves_find_each_other() {
    let settings = Settings { nodes: 400, ..Settings::default() };
    let within = Duration::from_secs(300);
    let mut population = Population::joining(settings, Link::default(), within);
    let report = population.lookups(20);
    assert_eq!(report.peers_found, report.peers_announced, "{report}");
    assert!(report.closest_answered * 100 >= report.closest * 98, "{report}");
}

#[test]
fn the_same_seed_is_the_same_story() {
    let story = |seed| {
        let churn = Some(Churn::of(Duration::from_secs(600)));
        let settings = Settings { nodes: 200, nat: 300, churn, seed, ..Settings::default() };
        let mut population = Population::planted(settings, Link { loss: 50, ..Link::default() });
        population.run_for(Duration::from_secs(600));
        let report = population.lookups(5).to_string();
        (population.network.traffic, population.came_and_went, report)
    };
    assert_eq!(story(1), story(1));
    assert_ne!(story(1).0, story(2).0);
}
