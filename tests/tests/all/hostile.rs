//! A node among those who mean it harm, and in the hands of the careless: each test was a fault.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tinybt_core::dht::budget::Destinations;
use tinybt_core::dht::found::Found;
use tinybt_core::dht::store::{PeerMap, PeerMapLimits, PeerStore};
use tinybt_core::dht::table::{Proof, Routing, Table};
use tinybt_core::dht::{AddressCheck, Config, Event, Health, Port, Question, Rate};
use tinybt_core::limits::DATAGRAM_MAX;
use tinybt_core::wire::krpc::{self, Body};
use tinybt_core::{Contact, Family, Id, Ignored, InfoHash, Instant, Machine, Step, buffer};
use tinybt_tests::nodes::{TestNode, addr, id, node};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn hours(count: u64) -> Duration {
    Duration::from_secs(3_600 * count)
}

fn sock(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A query that a node sent.
struct Asked {
    transaction: Vec<u8>,
    target: Option<Id>,
}

fn asked(datagram: &[u8]) -> Option<Asked> {
    let message = krpc::decode(datagram).unwrap();
    let Body::Query(query) = &message.body else { return None };
    let target = query.target().ok().or(query.info_hash().ok().map(|hash| hash.as_id()));
    Some(Asked { transaction: message.transaction.to_vec(), target })
}

fn answer(id: Id, asked: &Asked, nodes: &[Contact]) -> Vec<u8> {
    let (nodes, nodes6) = match nodes.first().is_some_and(|contact| contact.addr.is_ipv6()) {
        true => (None, Some(nodes)),
        false => (Some(nodes), None),
    };
    let token = Some(&b"tok"[..]);
    let answer = krpc::Answer { id, nodes, nodes6, token, ..krpc::Answer::default() };
    respond(asked, &answer)
}

fn respond(asked: &Asked, answer: &krpc::Answer<'_>) -> Vec<u8> {
    let mut out = vec![0; 3_000];
    let envelope = krpc::Envelope { transaction: &asked.transaction, ..Default::default() };
    let len = krpc::encode_response(&mut out, &envelope, answer).unwrap();
    out.truncate(len);
    out
}

fn query(extra: &str, method: &str, transaction: &str) -> Vec<u8> {
    format!(
        "d1:ad2:id20:abcdefghij0123456789{extra}e1:q{}:{method}1:t{}:{transaction}1:y1:qe",
        method.len(),
        transaction.len()
    )
    .into_bytes()
}

/// A node in a world that is a closure: who answers what, and after how long.
struct Sim<F> {
    node: TestNode,
    now: Instant,
    world: F,
    way: BTreeMap<(Instant, u64), (SocketAddr, Vec<u8>)>,
    count: u64,
    sent: Vec<SocketAddr>,
    events: Vec<Event>,
}

impl<F: FnMut(SocketAddr, &Asked) -> Option<(u64, Vec<u8>)>> Sim<F> {
    fn new(node: TestNode, world: F) -> Self {
        Self {
            node,
            now: Instant::from_secs(100_000),
            world,
            way: BTreeMap::new(),
            count: 0,
            sent: Vec::new(),
            events: Vec::new(),
        }
    }

    fn drain(&mut self) -> Option<Instant> {
        let mut out = buffer();
        loop {
            match self.node.step(self.now, &mut out) {
                Step::Send(sent) => {
                    self.sent.push(sent.to);
                    let reply = asked(&out[..sent.len]).and_then(|q| (self.world)(sent.to, &q));
                    if let Some((delay, reply)) = reply {
                        self.count += 1;
                        self.way.insert((self.now + ms(delay), self.count), (sent.to, reply));
                    }
                }
                Step::Event(event) => self.events.push(event),
                Step::Wait(deadline) => return deadline,
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let deadline = self.drain();
            let arrival = self.way.keys().next().map(|key| key.0);
            let Some(next) = deadline.into_iter().chain(arrival).min().filter(|at| *at < end)
            else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            while let Some(first) = self.way.first_entry() {
                if first.key().0 > self.now {
                    break;
                }
                let (from, bytes) = first.remove();
                let _ = self.node.handle_datagram(self.now, from, &bytes);
                self.drain();
            }
        }
    }

    fn sent_to(&self, addr: SocketAddr) -> usize {
        self.sent.iter().filter(|to| **to == addr).count()
    }
}

fn named(mut config: Config) -> TestNode {
    config.id = Some(id(1, 0));
    node(1, config)
}

fn crowd(count: usize) -> Vec<Contact> {
    (1..=count).map(|index| Contact { id: id(77, index), addr: addr(index) }).collect()
}

fn nearest(all: &[Contact], target: Option<Id>) -> Vec<Contact> {
    let mut near = all.to_vec();
    if let Some(target) = target {
        near.sort_by_key(|contact| contact.id.distance(target));
    }
    near.truncate(8);
    near
}

#[test]
fn a_state_full_of_the_dead_does_not_keep_us_from_the_living() {
    let mut packed = Vec::new();
    for contact in crowd(39) {
        let SocketAddr::V4(addr) = contact.addr else { panic!() };
        packed.extend(contact.id.0);
        packed.extend(addr.ip().octets());
        packed.extend(addr.port().to_be_bytes());
    }
    let head = [&b"d2:id20:"[..], &id(1, 0).0].concat();
    let state =
        [&head[..], format!("5:nodes{}:", packed.len()).as_bytes(), &packed, b"1:vi1ee"].concat();
    let mut node = named(Config::new(Family::V4));
    assert_eq!(node.restore(Instant::EPOCH, &state), Ok(39));
    let source = sock("99.1.1.1:6881");
    assert!(node.add_source(source));
    let mut sim =
        Sim::new(node, move |to, asked| (to == source).then(|| (30, answer(id(9, 9), asked, &[]))));
    sim.node.get_peers(sim.now, InfoHash([7; 20])).unwrap();
    sim.run(hours(1));
    assert!(sim.sent_to(source) > 0);
}

#[test]
fn an_outage_that_outlives_everybody_we_knew() {
    let source = sock("99.1.1.1:6881");
    let mut node = named(Config::new(Family::V4));
    node.add_source(source);
    let gone = Rc::new(Cell::new(false));
    let (all, away) = (crowd(60), gone.clone());
    let mut sim = Sim::new(node, move |to, asked| {
        if to == source {
            return Some((30, answer(id(9, 9), asked, &all[..8])));
        }
        let me = all.iter().find(|contact| contact.addr == to).filter(|_| !away.get())?;
        Some((30, answer(me.id, asked, &nearest(&all, asked.target))))
    });
    sim.run(Duration::from_secs(1_800));
    gone.set(true);
    sim.now = sim.now + hours(1);
    sim.sent.clear();
    for round in 0..6 {
        sim.node.get_peers(sim.now, InfoHash([round; 20])).unwrap();
        sim.run(hours(1));
    }
    assert!(sim.sent_to(source) > 0);
}

#[test]
fn a_liars_word_makes_nobody_silent() {
    let all = crowd(400);
    let (liar, world) = (all[0], all.clone());
    let victims = Rc::new(RefCell::new(Vec::<SocketAddr>::new()));
    let (chosen, mut count) = (victims.clone(), 0u16);
    let mut sim = Sim::new(named(Config::new(Family::V4)), move |to, asked| {
        let me = world.iter().find(|contact| contact.addr == to)?;
        let mut near = nearest(&world, asked.target);
        if *me == liar && !chosen.borrow().is_empty() {
            near.clear();
            for addr in chosen.borrow().iter().take(8) {
                // An id that nobody has, at the address of somebody who is there.
                count += 1;
                let mut invented = asked.target.unwrap_or_default();
                invented.0[18] ^= (count >> 8) as u8;
                invented.0[19] ^= count as u8;
                near.push(Contact { id: invented, addr: *addr });
            }
        }
        Some((30, answer(me.id, asked, &near)))
    });
    sim.node.add_source(liar.addr);
    for round in 0..10 {
        sim.node.find_node(sim.now, Id([round * 25; 20])).unwrap();
        sim.run(Duration::from_secs(60));
    }
    let silences = |node: &TestNode| {
        let mut seen = Vec::new();
        node.table().for_each(&mut |entry| seen.push((entry.contact, entry.silences)));
        seen
    };
    let mut known = silences(&sim.node);
    assert!(known.len() > 12 && known.iter().all(|(_, silences)| *silences == 0));
    known.sort_by_key(|(contact, _)| std::cmp::Reverse(contact.id.distance(liar.id)));
    let far = known.iter().map(|(contact, _)| contact.addr).filter(|addr| *addr != liar.addr);
    *victims.borrow_mut() = far.take(12).collect();
    for _ in 0..3 {
        sim.node.find_node(sim.now, liar.id).unwrap();
        sim.run(Duration::from_secs(60));
    }
    let blamed = silences(&sim.node).iter().filter(|(_, silences)| *silences > 0).count();
    assert_eq!(blamed, 0);
}

#[test]
fn two_liars_hide_nobody() {
    // Both are near the target, and tell of nodes that do not exist, nearer still.
    let all = crowd(300);
    let target = id(78, 1);
    let near = nearest(&all, Some(target));
    let liars = [near[0].addr, near[1].addr];
    let honest: Vec<Contact> = near[2..].to_vec();
    let (world, mut count) = (all.clone(), 0u32);
    let mut sim = Sim::new(named(Config::new(Family::V4)), move |to, asked| {
        let me = world.iter().find(|contact| contact.addr == to)?;
        if !liars.contains(&to) {
            return Some((30, answer(me.id, asked, &nearest(&world, asked.target))));
        }
        let invented = (0..16).map(|_| {
            count += 1;
            let mut near = asked.target.unwrap_or_default();
            for (byte, xor) in near.0[16..].iter_mut().zip(count.to_be_bytes()) {
                *byte ^= xor;
            }
            let ip = Ipv4Addr::from_bits(0x5000_0000 + count * 256 + 1);
            Contact { id: near, addr: (ip, 53).into() }
        });
        Some((10, answer(me.id, asked, &invented.collect::<Vec<_>>())))
    });
    sim.node.add_source(all[9].addr);
    sim.run(Duration::from_secs(120));
    sim.node.announce(sim.now, InfoHash(target.0), Port::Number(7)).unwrap();
    sim.events.clear();
    sim.sent.clear();
    sim.run(Duration::from_secs(60));
    let reached = honest.iter().filter(|contact| sim.sent_to(contact.addr) > 1).count();
    assert!(reached >= 4, "told {reached} of {}", honest.len());
    assert!(sim.events.iter().any(|event| matches!(event, Event::Finished { .. })));
}

#[test]
fn ever_closer_inventions_end() {
    let mut config = Config::new(Family::V6);
    config.upkeep.bootstrap = false;
    config.upkeep.refresh = false;
    let target = Id([0xaa; 20]);
    let at = move |distance: u64| {
        let mut near = target;
        for (byte, xor) in near.0[4..12].iter_mut().zip(distance.to_be_bytes()) {
            *byte ^= xor;
        }
        near
    };
    let (mut distance, mut network) = (u64::MAX / 2, 0u64);
    let mut ids = HashMap::<SocketAddr, Id>::new();
    let mut sim = Sim::new(node(1, config), move |to, asked| {
        let me = *ids.entry(to).or_insert(at(u64::MAX - 5));
        let mut nodes = Vec::new();
        for _ in 0..8 {
            distance -= 1;
            network += 1;
            let prefix = 0x2a00_1234_5678_0000u128 + u128::from(network as u16);
            let ip = Ipv6Addr::from_bits(prefix << 64 | u128::from(network));
            let contact = Contact { id: at(distance), addr: (ip, 6881).into() };
            ids.insert(contact.addr, contact.id);
            nodes.push(contact);
        }
        Some((20, answer(me, asked, &nodes)))
    });
    sim.node.add_source(sock("[2a00:1234:5678::1]:6881"));
    sim.node.get_peers(sim.now, InfoHash(target.0)).unwrap();
    sim.run(Duration::from_secs(60));
    assert!(sim.events.iter().any(|event| matches!(event, Event::Finished { .. })));
    assert!(sim.sent.len() <= 420, "{}", sim.sent.len());
}

#[test]
fn strangers_lead_us_neither_home_nor_to_crowds() {
    let liar = sock("66.6.6.6:666");
    let bad = [
        "127.0.0.1:53",
        "192.168.1.1:80",
        "239.255.255.250:1900",
        "255.255.255.255:1",
        "0.1.2.3:4",
    ];
    let bad: Vec<Contact> =
        bad.iter().zip(1..).map(|(text, n)| Contact { id: id(4, n), addr: sock(text) }).collect();
    let told = bad.clone();
    let mut sim = Sim::new(node(1, Config::new(Family::V4)), move |to, asked| {
        (to == liar).then(|| (10, answer(id(3, 2), asked, &told)))
    });
    // By upkeep, which gets to know who asks us, and by lookups.
    sim.node.handle_datagram(sim.now, liar, &query("", "ping", "aa")).unwrap();
    sim.run(Duration::from_secs(60));
    sim.node.add_source(liar);
    sim.run(Duration::from_secs(60));
    assert!(sim.sent_to(liar) > 1 && sim.sent.iter().all(|to| *to == liar), "{:?}", sim.sent);

    let liar = sock("[2a00::66]:666");
    let bad =
        ["[::ffff:127.0.0.1]:53", "[::ffff:8.8.8.8]:80", "[ff02::1]:80", "[::]:1", "[fe80::1]:1"];
    let told: Vec<Contact> =
        bad.iter().zip(1..).map(|(text, n)| Contact { id: id(4, n), addr: sock(text) }).collect();
    let mut sim = Sim::new(node(1, Config::new(Family::V6)), move |to, asked| {
        (to == liar).then(|| (10, answer(id(3, 2), asked, &told)))
    });
    sim.node.add_source(liar);
    sim.run(Duration::from_secs(60));
    assert!(sim.sent.iter().all(|to| *to == liar), "{:?}", sim.sent);
}

#[test]
fn peers_at_home_are_not_told_by_strangers() {
    let stranger = sock("66.6.6.6:666");
    let packed = [127, 0, 0, 1, 0, 80, 9, 9, 9, 9, 0, 80, 224, 0, 0, 1, 0, 80];
    let mut config = Config::new(Family::V4);
    config.upkeep.bootstrap = false;
    let mut sim = Sim::new(node(1, config), move |_, asked| {
        let values = Some(krpc::Values { family: Family::V4, packed: [&packed, &[]] });
        let answer = krpc::Answer { id: id(3, 2), values, ..krpc::Answer::default() };
        Some((10, respond(asked, &answer)))
    });
    sim.node.add_source(stranger);
    sim.node.get_peers(sim.now, InfoHash([1; 20])).unwrap();
    sim.run(Duration::from_secs(10));
    let peers = sim.events.iter().filter_map(|event| match event {
        Event::Peer { peer, .. } => Some(*peer),
        _ => None,
    });
    assert_eq!(peers.collect::<Vec<_>>(), [sock("9.9.9.9:80")]);
}

#[test]
fn who_does_not_fit_its_address_is_not_believed_where_that_is_enforced() {
    let mut config = Config::new(Family::V4);
    config.address_check = AddressCheck::Enforce;
    config.upkeep.bootstrap = false;
    let mut sim = Sim::new(node(1, config), move |_, asked| {
        let values = Some(krpc::Values { family: Family::V4, packed: [&[6, 6, 6, 6, 0, 80], &[]] });
        let answer = krpc::Answer { id: id(3, 2), values, ..krpc::Answer::default() };
        Some((10, respond(asked, &answer)))
    });
    sim.node.add_source(sock("66.6.6.6:666"));
    sim.node.get_peers(sim.now, InfoHash([1; 20])).unwrap();
    sim.run(Duration::from_secs(10));
    assert!(!sim.events.iter().any(|event| matches!(event, Event::Peer { .. })));
}

#[test]
fn the_blocked_are_not_asked_however_they_were_known() {
    let mut node = node(1, Config::private(Family::V4));
    let now = Instant::from_secs(100_000);
    node.add_source(addr(1));
    node.add_node(addr(2));
    node.block(now, addr(1), hours(1));
    node.block(now, addr(2), hours(1));
    let mut sim = Sim::new(node, |_, _| None);
    sim.node.get_peers(sim.now, InfoHash([1; 20])).unwrap();
    sim.run(Duration::from_secs(60));
    assert_eq!(sim.sent, []);
}

#[test]
fn one_host_does_not_push_out_a_swarm() {
    let mut store = PeerMap::new(Family::V4, PeerMapLimits::default());
    let hash = InfoHash([1; 20]);
    let now = Instant::from_secs(100);
    for index in 0..400u32 {
        let ip = Ipv4Addr::from_bits(0x0500_0000 + index * 300);
        store.announce(now, hash, (ip, 6881).into(), false);
    }
    for port in 1..=500 {
        store.announce(now + ms(10_000), hash, (Ipv4Addr::new(66, 6, 6, 6), port).into(), false);
    }
    let told = store.peers(now, hash, Family::V4, 1_000, 0);
    let honest = told.runs.iter().flat_map(|run| run.chunks(6)).filter(|peer| peer[0] == 5);
    assert_eq!(honest.count(), 400);
    assert_eq!(store.counts().peers, 416);
}

#[test]
fn the_limit_on_destinations_is_one() {
    for most in [100, 1_000, 2_000] {
        let mut destinations = Destinations::new(Some(most));
        let now = Instant::from_secs(1_000);
        let mut distinct = 0;
        while destinations.has_room(now) && distinct < 100_000 {
            let ip = Ipv4Addr::from_bits(0x0100_0000 + distinct * 7_919);
            destinations.note(now, &(ip, 6881).into());
            distinct += 1;
        }
        assert!((most * 95 / 100..=most * 105 / 100).contains(&distinct), "{distinct} of {most}");
    }
}

#[test]
fn nothing_found_is_lost_that_was_polled() {
    let mut found = Found::new(Family::V4, heapless::Vec::<u8, { 64 * 6 }>::new());
    let (mut told, mut offered) = (HashSet::new(), HashSet::new());
    for answer in 0..20u32 {
        for peer in 0..50u32 {
            let ip = Ipv4Addr::from_bits(0x0100_0000 + answer * 1_000 + peer);
            offered.insert(SocketAddr::new(IpAddr::V4(ip), 6881));
            assert!(found.insert((ip, 6881).into(), ip.into()));
        }
        while let Some(peer) = found.tell() {
            assert!(told.insert(peer), "told twice");
        }
    }
    assert_eq!((offered.len(), told.len(), found.dropped()), (1_000, 1_000, 0));
}

#[test]
fn foreign_methods_keep_the_promises_of_the_others() {
    let mut config = Config::new(Family::V4);
    config.foreign_methods = true;
    config.answers = Some(Rate { per_second: 1, burst: 3 });
    let mut node = node(1, config);
    let (now, from) = (Instant::from_secs(5_000), sock("8.8.4.4:1"));
    // Too long to keep: ignored, and that leaves no trace.
    let long = query(&format!("3:pad1600:{}", "x".repeat(1_600)), "zz", "aa");
    for _ in 0..5 {
        assert_eq!(node.handle_datagram(now, from, &long), Err(Ignored::Malformed));
    }
    let short = query("", "x", "a");
    node.handle_datagram(now, from, &short).unwrap();
    let Some(Event::Asked { question }) = node.poll_event() else { panic!() };
    let value = |len: usize| format!("d1:v{len}:{}e", "y".repeat(len)).into_bytes();
    assert!(node.reply(question, &value(300)).is_err(), "more than four times what was asked");
    node.reply(question, &value(100)).unwrap();
    let mut out = buffer();
    let sent = node.poll_transmit(now, &mut out).unwrap();
    assert!(sent.len > 100 && sent.len <= 4 * short.len());
}

#[test]
fn an_answer_that_cannot_be_sent_is_refused_while_somebody_listens() {
    let mut config = Config::new(Family::V4);
    config.foreign_methods = true;
    let mut node = node(1, config);
    let now = Instant::from_secs(5_000);
    for port in [1, 2] {
        let from = SocketAddr::from(([8, 8, 4, 4], port));
        node.handle_datagram(now, from, &query("", "x", "a")).unwrap();
    }
    let (mut out, mut sent, mut first) = (buffer(), Vec::new(), true);
    loop {
        match node.step(now, &mut out) {
            Step::Event(Event::Asked { question }) => {
                // Keys out of order.
                let taken =
                    node.reply(question, if first { b"d1:zi1e1:ai2ee" } else { b"d1:ai2ee" });
                assert_eq!(taken.is_err(), first);
                first = false;
            }
            Step::Event(_) => {}
            Step::Send(transmit) if out[..transmit.len].ends_with(b"1:y1:qe") => {}
            Step::Send(transmit) => sent.push(out[..transmit.len].ends_with(b"1:y1:re")),
            Step::Wait(_) => break,
        }
    }
    // The first has the node's own answer, an error; the second what was said.
    sent.sort_unstable();
    assert_eq!(sent, [false, true]);
}

#[test]
fn who_was_asked_proves_nothing_by_asking_back() {
    // A NAT lets in whom we have contacted.
    let mut sim = Sim::new(node(1, Config::new(Family::V4)), |_, _| None);
    sim.node.add_source(addr(1));
    sim.run(ms(1));
    assert_eq!(sim.sent, [addr(1)]);
    sim.node.handle_datagram(sim.now, addr(1), &query("", "ping", "aa")).unwrap();
    assert!(!sim.node.status(sim.now).reachable);
    sim.node.handle_datagram(sim.now, addr(2), &query("", "ping", "aa")).unwrap();
    assert!(sim.node.status(sim.now).reachable);
}

#[test]
fn timeouts_the_wrong_way_round_are_only_short() {
    for (min, max) in [(100, 50), (5_000, 50), (0, 0)] {
        let mut config = Config::private(Family::V4);
        (config.timeout_min, config.timeout_max) = (ms(min), ms(max));
        let mut node = node(1, config);
        node.add_source(addr(1));
        let mut out = buffer();
        assert!(node.poll_transmit(Instant::from_secs(5), &mut out).is_some());
    }
}

#[test]
fn a_short_patience_forgets_no_newcomer() {
    let mut config = Config::private(Family::V4);
    config.timeout_max = ms(400);
    config.upkeep.bootstrap = false;
    let mut sim = Sim::new(node(1, config), |to, asked| {
        (to == addr(2)).then(|| (10, answer(id(3, 2), asked, &[])))
    });
    sim.node.add_node(addr(1));
    sim.run(Duration::from_secs(10));
    sim.node.add_node(addr(2));
    sim.run(Duration::from_secs(60));
    assert!(sim.sent_to(addr(2)) > 0);
}

#[test]
fn without_bootstrap_upkeep_finds_the_way_back() {
    let mut config = Config::new(Family::V4);
    config.upkeep.bootstrap = false;
    let up = Rc::new(Cell::new(true));
    let answers = up.clone();
    let mut sim = Sim::new(named(config), move |to, asked| {
        let index = (1..30).find(|index| addr(*index) == to)?;
        answers.get().then(|| (20, answer(id(3, index), asked, &[])))
    });
    for index in 1..20 {
        sim.node.add_node(addr(index));
        sim.run(Duration::from_secs(5));
    }
    up.set(false);
    sim.run(hours(2));
    assert_eq!(sim.node.status(sim.now).health, Health::Offline);
    up.set(true);
    sim.run(hours(24));
    assert_eq!(sim.node.status(sim.now).health, Health::Online);
}

#[test]
fn neighbours_at_home_are_no_crowd() {
    let lists = heapless::Vec::<tinybt_core::dht::table::Bucket, 16>::new();
    let mut table = Table::new(Id([7; 20]), Default::default(), lists);
    let now = Instant::from_secs(60);
    for index in 1..=5 {
        let contact = Contact { id: id(1, index), addr: sock(&format!("192.168.1.{index}:6881")) };
        assert!(table.answered(now, contact, ms(5), Proof::Verified));
    }
}

#[test]
fn a_put_is_not_acknowledged_by_who_stores_nothing() {
    let mut node = node(1, Config::new(Family::V4));
    let now = Instant::from_secs(5_000);
    let put = query("6:target20:mnopqrstuvwxyz1234565:token1:x1:vi1e", "put", "aa");
    node.handle_datagram(now, sock("8.8.4.4:1"), &put).unwrap();
    let mut out = buffer();
    let sent = node.poll_transmit(now, &mut out).unwrap();
    assert!(out[..sent.len].ends_with(b"1:y1:ee"), "{}", out[..sent.len].escape_ascii());
}

#[test]
fn an_answer_too_long_to_keep_is_none() {
    let mut sim = Sim::new(node(1, Config::private(Family::V4)), |to, asked| {
        let many = [[9, 9, 9, 9, 1, 1]; 300].concat();
        let values = Some(krpc::Values { family: Family::V4, packed: [&many, &[]] });
        let answer = krpc::Answer { id: id(3, 2), values, ..krpc::Answer::default() };
        (to == addr(1)).then(|| (10, respond(asked, &answer)))
    });
    sim.node.ask(addr(1), &Question::Ping).unwrap();
    sim.run(Duration::from_secs(30));
    assert!(matches!(sim.events[..], [Event::Silent { .. }]), "{:?}", sim.events);
}

#[test]
fn ipv4_in_ipv6_clothes_is_nobody_of_either_family() {
    // As a socket that takes both families names whoever comes over IPv4.
    let clothed = sock("[::ffff:192.0.2.7]:6881");
    for family in [Family::V4, Family::V6] {
        let mut node = node(1, Config::new(family));
        let ping = query("", "ping", "aa");
        let taken = node.handle_datagram(Instant::EPOCH, clothed, &ping);
        assert_eq!(taken, Err(Ignored::Foreign));
        assert!(!node.add_source(clothed) && !node.add_node(clothed));
        assert!(node.ask(clothed, &Question::Ping).is_err());
    }
}

#[test]
fn what_is_too_long_to_keep_is_no_answer_and_the_longest_is() {
    let mut node = node(1, Config::new(Family::V4));
    let (now, to, mut out) = (Instant::from_secs(5_000), addr(5), buffer());
    let mut answered = 0;
    for refused in [false, true] {
        let ask = node.ask(to, &Question::Ping).unwrap();
        let transaction = loop {
            match node.step(now, &mut out) {
                Step::Send(sent) if sent.to == to => {
                    break krpc::decode(&out[..sent.len]).unwrap().transaction.to_vec();
                }
                Step::Wait(_) => panic!("it is not asked"),
                _ => {}
            }
        };
        let padded = |pad: usize| {
            let (id, pad) = ("i".repeat(20), format!("{pad}:{}", "x".repeat(pad)));
            let mut bytes = match refused {
                true => format!("d1:eli201e{pad}e1:t{}:", transaction.len()),
                false => format!("d1:rd2:id20:{id}1:x{pad}e1:t{}:", transaction.len()),
            }
            .into_bytes();
            bytes.extend_from_slice(&transaction);
            bytes.extend_from_slice(if refused { b"1:y1:ee" } else { b"1:y1:re" });
            bytes
        };
        let answer = |len: usize| padded(1_000 + len - padded(1_000).len());
        let longer = answer(DATAGRAM_MAX + 1);
        assert_eq!(node.handle_datagram(now, to, &longer), Err(Ignored::Malformed), "{refused}");
        assert_eq!(node.handle_datagram(now, to, &answer(DATAGRAM_MAX)), Ok(()), "{refused}");
        answered += 1;
        assert_eq!(node.stats().answers_in, answered);
        let ended = loop {
            match node.poll_event().expect("its end") {
                Event::Answered { ask: ended, .. } if ended == ask => break false,
                Event::Refused { ask: ended, .. } if ended == ask => break true,
                _ => {}
            }
        };
        assert_eq!(ended, refused);
    }
}

#[test]
fn of_those_told_of_the_blocked_alone_is_not_asked() {
    let mut node = node(1, Config::private(Family::V4));
    let (now, mut out, mut asked) = (Instant::from_secs(5_000), buffer(), Vec::new());
    assert!((1..4).all(|index| node.add_node(addr(index))));
    node.block(now, addr(2), hours(1));
    let mut at = now;
    while at < now + ms(60_000) {
        match node.step(at, &mut out) {
            Step::Send(sent) => asked.push(sent.to),
            Step::Wait(deadline) => at = deadline.unwrap_or(now + hours(1)),
            Step::Event(_) => {}
        }
    }
    assert!(asked.contains(&addr(1)) && asked.contains(&addr(3)), "{asked:?}");
    assert!(!asked.contains(&addr(2)));
}
