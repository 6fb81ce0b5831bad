//! The eight laws: every machine keeps them, and the checker sees when one does not.

use std::net::SocketAddr;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use tinybt_core::dht::Config;
use tinybt_core::dht::crawl::{CrawlConfig, Prefix};
use tinybt_core::{Buffer, Family, Ignored, Instant, Machine, Transmit};
use tinybt_tests::laws::{Broken, Op, Subject, check, glance};
use tinybt_tests::nodes::{addr, small, tiny};
use tinybt_tests::subjects::{CrawlSubject, DualSubject, HomesSubject, NodeSubject, addr6};

fn query(way: u8, method: &str, rest: &str) -> Vec<u8> {
    let id = String::from_utf8(vec![b'a' + way % 20; 20]).unwrap();
    let len = method.len();
    format!("d1:ad2:id20:{id}{rest}e1:q{len}:{method}1:t2:xx1:y1:qe").into_bytes()
}

fn from() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        6 => (0..12usize).prop_map(addr),
        2 => (0..6u16).prop_map(addr6),
        1 => Just("0.0.0.0:0".parse().unwrap()),
    ]
}

fn datagram() -> impl Strategy<Value = Vec<u8>> {
    let target = "6:target20:mnopqrstuvwxyz123456";
    let hash = "9:info_hash20:mnopqrstuvwxyz123456";
    prop_oneof![
        1 => vec(any::<u8>(), 0..80),
        2 => any::<u8>().prop_map(|way| query(way, "ping", "")),
        2 => any::<u8>().prop_map(move |way| query(way, "find_node", target)),
        2 => any::<u8>().prop_map(move |way| query(way, "get_peers", hash)),
        1 => any::<u8>().prop_map(move |way| query(way, "get_peers", &format!("{hash}6:noseedi1e6:scrapei1e"))),
        1 => any::<u8>().prop_map(move |way| query(way, "sample_infohashes", target)),
        1 => any::<u8>().prop_map(move |way| query(way, "announce_peer", &format!("{hash}4:porti7e5:token8:12345678"))),
        1 => any::<u8>().prop_map(move |way| query(way, "get", &format!("3:seqi{way}e{target}"))),
        1 => any::<u8>().prop_map(|way| query(way, "put", &format!("5:token8:123456781:vi{way}e"))),
        1 => any::<u8>().prop_map(move |way| query(way, "vote", target)),
        1 => any::<u8>().prop_map(|way| query(way, "vote", "")),
        1 => any::<u8>().prop_map(|way| query(way, "find_node", "6:target3:abc")),
        1 => Just(b"d1:rd2:id20:aaaaaaaaaaaaaaaaaaaae1:t4:zzzz1:y1:re".to_vec()),
        1 => Just(b"d1:eli201e1:xe1:t4:zzzz1:y1:ee".to_vec()),
    ]
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let time = prop_oneof![
        3 => 0..2_000_000u64,
        1 => 0..2_000_000_000u64,
    ];
    let back = 0..2_000_000_000u64;
    vec(
        prop_oneof![
            1 => (from(), any::<u8>()).prop_map(|(from, way)| Op::Query(from, way)),
            3 => (from(), datagram()).prop_map(|(from, bytes)| Op::Datagram(from, bytes)),
            6 => (any::<usize>(), any::<u8>()).prop_map(|(which, way)| Op::Answer(which, way)),
            2 => time.prop_map(|micros| Op::Advance(Duration::from_micros(micros))),
            4 => Just(Op::Deadline),
            1 => back.prop_map(|micros| Op::Back(Duration::from_micros(micros))),
            2 => any::<u8>().prop_map(Op::Command),
        ],
        0..60,
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_node_keeps_the_laws(ops in ops()) {
        let subject = NodeSubject { config: Config::new(Family::V4), storage: small() };
        prop_assert_eq!(check(&subject, &ops), Ok(()));
    }

    #[test]
    fn a_node_with_every_switch_turned_keeps_the_laws(
        ops in ops(),
        read_only: bool,
        foreign: bool,
        enforce: bool,
        tight: bool,
        paths: u8,
    ) {
        let mut config = if tight { Config::new(Family::V4) } else { Config::private(Family::V4) };
        config.read_only = read_only;
        config.foreign_methods = foreign;
        if enforce {
            config.address_check = tinybt_core::dht::AddressCheck::Enforce;
        }
        config.paths = paths;
        if tight {
            config.questions = Some(tinybt_core::dht::Rate { per_second: 2, burst: 3 });
            config.answers = Some(tinybt_core::dht::Rate { per_second: 1, burst: 2 });
            config.destinations_per_minute = Some(4);
        }
        prop_assert_eq!(check(&NodeSubject { config, storage: small() }, &ops), Ok(()));
    }

    #[test]
    fn a_pair_keeps_the_laws(ops in ops()) {
        prop_assert_eq!(check(&DualSubject { storage: small() }, &ops), Ok(()));
    }

    #[test]
    fn several_addresses_keep_the_laws(ops in ops()) {
        prop_assert_eq!(check(&HomesSubject { storage: small(), few: false }, &ops), Ok(()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_crawler_keeps_the_laws(
        ops in ops(),
        bits in 0..3u8,
        forever: bool,
        tight: bool,
        in_flight in 1..8usize,
    ) {
        let mut config = CrawlConfig::default();
        config.slice = Prefix::around(tinybt_core::Id::default(), bits);
        config.in_flight = in_flight;
        config.nodes = if tight { 3 } else { 100 };
        config.hashes = if tight { 2 } else { 100 };
        config.forever = forever;
        // Fewer questions than the crawl would ask, and those of the application among them.
        let storage = if tight { tiny() } else { small() };
        prop_assert_eq!(check(&CrawlSubject { config, storage }, &ops), Ok(()));
    }
}

/// A machine that repeats what it is told a second later, and can be broken in one way.
struct Toy {
    fault: &'static str,
    due: Vec<(Instant, u8)>,
    told: Option<u8>,
    deaf: u8,
    clock: u8,
}

impl Machine for Toy {
    type Event = u8;

    fn handle_datagram(
        &mut self,
        now: Instant,
        _: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), Ignored> {
        if bytes.len() != 1 {
            self.deaf += 1;
            return Err(Ignored::Malformed);
        }
        self.due.push((now + Duration::from_secs(1), bytes[0]));
        Ok(())
    }

    fn poll_transmit(&mut self, now: Instant, buffer: &mut Buffer) -> Option<Transmit> {
        let early =
            if self.fault == "Patience" { Duration::from_millis(300) } else { Duration::ZERO };
        let index = self.due.iter().position(|(at, _)| *at <= now + early)?;
        if self.fault == "Punctuality" && self.due[index].0 <= now {
            return None;
        }
        let byte =
            if self.fault == "Measure" { self.due[index].1 } else { self.due.remove(index).1 };
        buffer[0] = byte;
        buffer[1] = match self.fault {
            "Deafness" => self.deaf,
            "Replay" => self.clock,
            _ => 0,
        };
        if byte == 9 && self.fault != "Mortality" {
            self.told = Some(byte);
        }
        Some(Transmit::new(addr(1), 2))
    }

    fn poll_event(&mut self) -> Option<u8> {
        self.told.take()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let next = self.due.iter().map(|(at, _)| *at).min()?;
        match self.fault {
            "Progress" => Some(Instant::EPOCH),
            // A deadline that does not move.
            "Punctuality" => Some(next.max(Instant::from_secs(5_000))),
            _ => Some(next),
        }
    }
}

struct ToySubject(&'static str, std::cell::Cell<u8>);

impl Subject for ToySubject {
    type Machine = Toy;
    type Name = &'static str;
    const ROWS: usize = 70;

    fn make(&self) -> Toy {
        self.1.set(self.1.get() + 1);
        Toy { fault: self.0, due: Vec::new(), told: None, deaf: 0, clock: self.1.get() }
    }

    fn command(&self, toy: &mut Toy, now: Instant, _: u8) -> Option<&'static str> {
        toy.due.push((now + Duration::from_secs(2), 9));
        Some("nine")
    }

    fn ends(&self, event: &u8) -> Option<&'static str> {
        (*event == 9).then_some("nine")
    }

    fn answer(&self, _: &[u8], _: u8) -> Vec<u8> {
        Vec::new()
    }
}

#[test]
fn the_checker_sees_each_law_broken() {
    let ops = [
        Op::Datagram(addr(1), vec![1]),
        Op::Datagram(addr(1), vec![1, 2]),
        Op::Advance(Duration::from_millis(500)),
        // There is something to wait for when something has been done.
        Op::Datagram(addr(1), vec![3]),
        Op::Deadline,
        Op::Deadline,
        Op::Command(0),
        Op::Deadline,
        Op::Advance(Duration::from_secs(5)),
    ];
    assert_eq!(check(&ToySubject("", Default::default()), &ops), Ok(()));
    assert_eq!(glance(&ToySubject("", Default::default()), &ops), Ok(()));
    for law in ["Measure", "Progress", "Patience", "Deafness", "Replay", "Mortality"] {
        let found = check(&ToySubject(law, Default::default()), &ops);
        assert!(
            matches!(&found, Err(Broken { law: found, .. }) if *found == law),
            "{law}: {found:?}"
        );
    }
    for law in ["Measure", "Progress", "Patience", "Mortality"] {
        let found = glance(&ToySubject(law, Default::default()), &ops);
        assert!(matches!(&found, Err(Broken { law: found, .. }) if *found == law), "{found:?}");
    }
    let found =
        check(&ToySubject("Punctuality", Default::default()), &[ops[0].clone(), Op::Deadline]);
    // A wait is always for later, so a deadline that does not move shows as a lack of progress.
    assert!(matches!(&found, Err(Broken { law: "Punctuality" | "Progress", .. })), "{found:?}");
}
