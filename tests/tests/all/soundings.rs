//! The first lookup of a life asks a few nodes far from its target for their own neighbours: whom, and
//! whom not.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use tinybt_core::dht::{Config, Event, LookupId, Port};
use tinybt_core::limits::DENSITY_LOOKUPS;
use tinybt_core::wire::krpc::{self, Answer, Body, Envelope};
use tinybt_core::{Contact, Family, Id, InfoHash, Instant, Machine, Step, buffer};
use tinybt_tests::nodes::{TestNode, addr, node};

const TARGET: Id = Id([0; 20]);
const RTT: Duration = Duration::from_millis(50);

/// Whoever answers, at once, with the same nodes whatever he is asked.
#[derive(Default)]
struct Net {
    /// Who is at an address, and what he tells; nobody else answers.
    there: HashMap<SocketAddr, (Id, Vec<Contact>)>,
    /// Who was asked for the nodes closest to his own id.
    sounded: Vec<SocketAddr>,
    /// Who answers that question later than others do, and how much.
    late: HashMap<SocketAddr, Duration>,
    /// Whom the node announced itself to.
    told: Vec<(Instant, SocketAddr)>,
    /// Answers under way, the next one first.
    flying: Vec<(Instant, SocketAddr, Vec<u8>)>,
}

impl Net {
    fn new(source: &[Contact]) -> Self {
        let mut net = Self::default();
        net.put(Contact { id: far(200, 0), addr: addr(0) }, source);
        net
    }

    fn put(&mut self, who: Contact, told: &[Contact]) {
        self.there.insert(who.addr, (who.id, told.to_vec()));
    }

    /// Drives a node until its lookup has ended; `None` if it does not within an hour.
    fn run(&mut self, node: &mut TestNode, now: Instant, lookup: LookupId) -> Option<Instant> {
        self.run_until(node, now, now + Duration::from_secs(3_600), lookup)
    }

    /// The same for another while.
    fn run_until(
        &mut self,
        node: &mut TestNode,
        mut now: Instant,
        until: Instant,
        lookup: LookupId,
    ) -> Option<Instant> {
        let mut out = buffer();
        while now < until {
            let deadline = loop {
                match node.step(now, &mut out) {
                    Step::Event(Event::Finished { lookup: ended, .. }) if ended == lookup => {
                        return Some(now);
                    }
                    Step::Event(_) => {}
                    Step::Send(transmit) => {
                        self.ask(now, transmit.to, &out[..transmit.len]);
                    }
                    Step::Wait(deadline) => break deadline,
                }
            };
            let arrival = self.flying.first().map(|(at, ..)| *at);
            let next = [deadline, arrival].into_iter().flatten().min().unwrap_or(until);
            now = next.max(now).min(until);
            if arrival.is_some_and(|at| at <= now) {
                let (_, from, bytes) = self.flying.remove(0);
                let _ = node.handle_datagram(now, from, &bytes);
            }
        }
        None
    }

    fn ask(&mut self, now: Instant, to: SocketAddr, query: &[u8]) {
        let sounded = self.sounded.len();
        let Some(reply) = self.reply(to, query) else { return };
        let late = self.late.get(&to).filter(|_| self.sounded.len() > sounded);
        self.flying.push((now + RTT + late.copied().unwrap_or_default(), to, reply));
        self.flying.sort_by_key(|(at, ..)| *at);
        let query = krpc::decode(query).expect("what we send is well-formed").body;
        if matches!(query, Body::Query(query) if query.method == b"announce_peer") {
            self.told.push((now, to));
        }
    }

    fn reply(&mut self, to: SocketAddr, query: &[u8]) -> Option<Vec<u8>> {
        let message = krpc::decode(query).expect("what we send is well-formed");
        let Body::Query(asked) = &message.body else { return None };
        if asked.method == b"find_node" && asked.target() != Ok(TARGET) {
            self.sounded.push(to);
        }
        let (id, told) = self.there.get(&to)?;
        let answer =
            Answer { id: *id, nodes: Some(told), token: Some(b"token"), ..Answer::default() };
        let envelope = Envelope { transaction: message.transaction, ..Envelope::default() };
        let mut bytes = vec![0; 1_500];
        let len = krpc::encode_response(&mut bytes, &envelope, &answer).expect("it fits");
        bytes.truncate(len);
        Some(bytes)
    }
}

/// An id in the half of the key space in which the target is not; `tail` tells it from others that
/// begin alike.
fn far(head: u8, tail: u8) -> Id {
    let mut id = Id([0; 20]);
    (id.0[0], id.0[1], id.0[19]) = (0x80 | head, head, tail);
    id
}

/// Twelve that sit closer together than anybody would by chance.
fn crowd() -> Vec<Contact> {
    let near = |index: u8| {
        let mut id = Id([0; 20]);
        (id.0[4], id.0[19]) = (1, index);
        Contact { id, addr: addr(400 + usize::from(index) * 300) }
    };
    (0..12).map(near).collect()
}

/// Twelve of a network of a few, all over the key space, each of whom knows the next eight.
fn others() -> Vec<Contact> {
    let other = |index: u8| {
        let mut id = Id([0; 20]);
        (id.0[0], id.0[19]) = (21 * index + 10, index);
        Contact { id, addr: at(10 + usize::from(index)) }
    };
    (0..12).map(other).collect()
}

/// How many of those who were told are of the crowd, and how many are not.
fn shares(net: &Net) -> (usize, usize) {
    let is_of_crowd = |to: &SocketAddr| crowd().iter().any(|member| member.addr == *to);
    let crowd = net.told.iter().filter(|(_, to)| is_of_crowd(to)).count();
    (crowd, net.told.len() - crowd)
}

/// Eight neighbours of somebody, `bits` away, whom nobody sounds: of a network that was asked.
fn neighbours(of: Id, bits: usize) -> Vec<Contact> {
    let neighbour = |index: u8| {
        let mut id = of;
        id.0[bits / 8] ^= 0x80 >> (bits % 8);
        id.0[19] = 100 + index;
        Contact { id, addr: SocketAddr::new(at(1).ip(), 7_000 + u16::from(index)) }
    };
    (0..8).map(neighbour).collect()
}

fn begin() -> (TestNode, Instant) {
    let mut node = node(1, Config::new(Family::V4));
    node.add_source(addr(0));
    (node, Instant::from_secs(1_000))
}

fn look(net: &mut Net) -> (TestNode, Option<Instant>) {
    let (mut node, now) = begin();
    let lookup = node.get_peers(now, InfoHash(TARGET.0)).unwrap();
    let end = net.run(&mut node, now, lookup);
    (node, end)
}

fn at(index: usize) -> SocketAddr {
    addr(20_000 + 300 * index)
}

#[test]
fn two_that_a_place_to_begin_names_are_asked() {
    let three = [1, 2, 3].map(|n| Contact { id: far(n, 0), addr: at(usize::from(n)) });
    let mut net = Net::new(&three);
    for contact in three {
        net.put(contact, &neighbours(contact.id, 12));
    }
    look(&mut net).1.expect("it ends");
    assert_eq!(net.sounded, [at(1), at(2)]);
}

#[test]
fn ids_that_begin_alike_keep_no_lookup() {
    for are_silent in [false, true] {
        let twins = [0, 1].map(|tail| Contact { id: far(7, tail), addr: at(usize::from(tail)) });
        let mut net = Net::new(&[&twins[..], &crowd()[..6]].concat());
        for member in crowd() {
            net.put(member, &crowd()[4..]);
        }
        for twin in twins.iter().filter(|_| !are_silent) {
            net.put(*twin, &neighbours(twin.id, 12));
        }
        let (_, end) = look(&mut net);
        assert!(end.is_some(), "silent: {are_silent}");
    }
}

#[test]
fn one_network_is_asked_once() {
    let host = |port| SocketAddr::from(([99, 9, 9, 9], port));
    let liars = [1, 2].map(|n| Contact { id: far(n, 0), addr: host(1_000 + u16::from(n)) });
    let mut net = Net::new(&liars);
    for liar in liars {
        net.put(liar, &neighbours(liar.id, 0));
    }
    look(&mut net).1.expect("it ends");
    let hosts = net.sounded.iter().filter(|to| to.ip() == host(1).ip());
    assert_eq!(hosts.count(), 1, "{:?}", net.sounded);
}

#[test]
fn who_is_near_the_target_and_places_to_begin_are_not_asked() {
    let mut near = TARGET;
    near.0[1] = 0x40;
    let mut net = Net::new(&[
        Contact { id: near, addr: at(1) },
        Contact { id: far(200, 0), addr: addr(0) },
        Contact { id: far(5, 0), addr: at(2) },
    ]);
    look(&mut net).1.expect("it ends");
    assert_eq!(net.sounded, [at(2)]);
}

#[test]
fn who_is_blocked_is_not_asked_and_nobody_is_when_the_lookup_is_over() {
    for cancels in [false, true] {
        let far = Contact { id: far(5, 0), addr: at(2) };
        let mut net = Net::new(&[far]);
        let (mut node, now) = begin();
        let lookup = node.get_peers(now, InfoHash(TARGET.0)).unwrap();
        let mut out = buffer();
        let Step::Send(transmit) = node.step(now, &mut out) else { panic!("it asks") };
        let reply = net.reply(transmit.to, &out[..transmit.len]).unwrap();
        node.handle_datagram(now + RTT, transmit.to, &reply).unwrap();
        match cancels {
            true => node.cancel(now + RTT, lookup),
            false => node.block(now + RTT, far.addr, Duration::from_secs(60)),
        }
        net.run(&mut node, now + RTT, lookup).expect("it ends");
        let until = now + Duration::from_secs(2);
        while let Step::Send(transmit) = node.step(until, &mut out) {
            net.reply(transmit.to, &out[..transmit.len]);
        }
        assert_eq!(net.sounded, [], "cancels: {cancels}");
    }
}

#[test]
fn for_whom_is_silent_another_is_asked() {
    // Each of those that the source names names one more.
    let contact = |n: u8| Contact { id: far(n, 0), addr: at(usize::from(n)) };
    let mut net = Net::new(&[contact(1), contact(2)]);
    for n in 1..7 {
        net.put(contact(n), &[contact(n + 1), contact(n + 2)]);
    }
    // They answer the lookup, and know nobody: that is no density.
    look(&mut net).1.expect("it ends");
    assert!((3..=5).contains(&net.sounded.len()), "{:?}", net.sounded);
}

#[test]
fn who_knows_how_dense_the_network_is_asks_nobody() {
    let mut net = Net::new(&[1, 2].map(|n| Contact { id: far(n, 0), addr: at(usize::from(n)) }));
    let (mut node, now) = begin();
    let state = [&b"d2:id20:aaaaaaaaaaaaaaaaaaaa5:nodes0:5:reachi70000e1:vi1ee"[..]].concat();
    node.restore(now, &state).expect("it is whole");
    let lookup = node.get_peers(now, InfoHash(TARGET.0)).unwrap();
    net.run(&mut node, now, lookup).expect("it ends");
    assert_eq!(net.sounded, []);
}

#[test]
fn a_crowd_that_answers_first_is_not_the_end_of_the_first_lookup_of_a_life() {
    // Two places to begin: one names two to be sounded and the neighbours of the target, the other a
    // crowd, which knows nobody. Neighbours are as far apart as the two say of their own.
    let far = [1, 2].map(|n| Contact { id: far(n, 0), addr: at(usize::from(n)) });
    let neighbour = |n: u8| {
        let mut id = Id([0; 20]);
        (id.0[1], id.0[19]) = (16 * n, n);
        Contact { id, addr: at(20 + usize::from(n)) }
    };
    let near: Vec<Contact> = (1..8).map(neighbour).collect();
    let late = Duration::from_millis(30);
    for (do_tell, expected) in [(true, (2, 6)), (false, (8, 0))] {
        let mut net = Net::new(&[&far[..], &near[..6]].concat());
        net.put(Contact { id: self::far(201, 0), addr: at(0) }, &crowd()[..8]);
        crowd().iter().for_each(|member| net.put(*member, &[]));
        near.iter().for_each(|contact| net.put(*contact, &near));
        for contact in far.iter().filter(|_| do_tell) {
            net.put(*contact, &neighbours(contact.id, 8));
            net.late.insert(contact.addr, late);
        }
        let (mut node, now) = begin();
        node.add_source(at(0));
        let lookup = node.announce(now, InfoHash(TARGET.0), Port::Implied).unwrap();
        net.run(&mut node, now, lookup).expect("it ends");
        assert_eq!(net.sounded, far.map(|contact| contact.addr));
        assert_eq!(shares(&net), expected, "soundings are answered: {do_tell}");
        // The crowd has answered at the second round trip, who was sounded a little later.
        let first = net.told.iter().map(|(at, _)| *at).min();
        assert!(first >= Some(now + RTT + RTT + late), "{:?}", net.told);
    }
}

#[test]
fn who_waits_for_soundings_goes_on_when_another_lookup_says_how_dense_the_network_is() {
    let others = others();
    let mut net = Net::new(&others[..8]);
    for (index, contact) in others.iter().enumerate() {
        let next: Vec<Contact> = (1..9).map(|step| others[(index + step) % 12]).collect();
        net.put(*contact, &next);
    }
    // A patient node, which has looked for all but one of those by which the density is known.
    let mut config = Config::new(Family::V4);
    config.timeout_min = Duration::from_secs(2);
    config.upkeep.bootstrap = false;
    let mut node = node(1, config);
    node.add_source(addr(0));
    let mut now = Instant::from_secs(1_000);
    for target in 1..DENSITY_LOOKUPS as u8 {
        let lookup = node.get_peers(now, InfoHash([target * 60; 20])).unwrap();
        now = net.run(&mut node, now, lookup).expect("it ends") + Duration::from_secs(5);
    }
    // Of those who are sounded now one answers soon, and it may be a crowd's by what he says.
    crowd().iter().for_each(|member| net.put(*member, &[]));
    net.put(others[0], &crowd()[..8]);
    let late = Duration::from_secs(1);
    let known = net.sounded.len();
    net.late = others.iter().map(|other| (other.addr, late)).collect();
    net.late.remove(&others[6].addr);
    let waiting = node.announce(now, InfoHash(TARGET.0), Port::Implied).unwrap();
    let half = now + late / 2;
    assert_eq!(net.run_until(&mut node, now, half, waiting), None);
    assert!(net.sounded[known..].contains(&others[6].addr) && net.sounded.len() > known + 1);
    assert_eq!(net.told, [], "it waits");
    let other = node.get_peers(half, InfoHash([250; 20])).unwrap();
    let end = net.run_until(&mut node, half, now + late, other).expect("it ends");
    net.run_until(&mut node, end, now + late, waiting).expect("it waits no longer");
    let first = net.told.iter().map(|(at, _)| *at).min();
    assert_eq!(first, Some(end), "it goes on at once");
    assert_eq!(shares(&net), (2, 6), "and knows a crowd");
}
