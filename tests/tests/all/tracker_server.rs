//! The small tracker: who is told of whom, who is forgotten, and who is not answered.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use chacha20::ChaCha8Rng;
use rand_core::SeedableRng;
use tinybt_core::announce::Counts;
use tinybt_core::limits::DATAGRAM_MAX;
use tinybt_core::tracker::http::{read_announced, read_scraped};
use tinybt_core::tracker::server::{Registry, RegistryLimits, UdpServer, respond};
use tinybt_core::tracker::udp::{Event, Patience};
use tinybt_core::wire::compact::Peers;
use tinybt_core::wire::udp_tracker::{Request, Response, UrlData, decode_response, encode_request};
use tinybt_core::{
    Announce, Family, Happening, Ignored, InfoHash, Instant, Machine, PeerId, Step, buffer,
};
use tinybt_tests::tracker_subjects::{announce, trackers};

const START: Instant = Instant::from_secs(1_000);

fn peer(index: u8) -> Announce {
    let mut announce = Announce::new(InfoHash([1; 20]), PeerId([index; 20]), 0, 6881);
    announce.left = u64::from(index % 2);
    announce.num_want = None;
    announce
}

fn ip(index: u8) -> IpAddr {
    [20, 0, 0, index].into()
}

fn registry() -> Registry {
    Registry::new(RegistryLimits { swarms: 3, peers_per_swarm: 100, ..RegistryLimits::default() })
}

fn told(registry: &mut Registry, index: u8, want: u32) -> Vec<SocketAddr> {
    let swarm = InfoHash([1; 20]);
    let listed = registry.peers(START, &swarm, Family::V4, &PeerId([index; 20]), Some(want), 7);
    listed.peers(Family::V4).collect()
}

#[test]
fn everybody_is_told_of_the_others_and_not_of_itself() {
    let mut registry = registry();
    for index in 1..=60 {
        assert!(registry.announce(START, ip(index), &peer(index)));
    }
    for index in 1..=60 {
        let told = told(&mut registry, index, 200);
        assert_eq!(told.len(), 59);
        assert!(!told.contains(&SocketAddr::new(ip(index), 6881)));
    }
    assert_eq!(told(&mut registry, 1, 50).len(), 50);
    assert_eq!(told(&mut registry, 1, 0).len(), 0);
    // A stranger is told of all.
    assert_eq!(told(&mut registry, 99, 200).len(), 60);
    let counts = registry.counts(START, &InfoHash([1; 20]));
    assert_eq!(counts, Counts { seeders: 30, leechers: 30, completed: Some(0) });
}

#[test]
fn each_gets_its_share_of_being_told() {
    let mut registry = registry();
    for index in 1..=20 {
        registry.announce(START, ip(index), &peer(index));
    }
    let mut seen = std::collections::HashMap::new();
    for random in 0..190 {
        let listed = registry.peers(
            START,
            &InfoHash([1; 20]),
            Family::V4,
            &PeerId([1; 20]),
            Some(2),
            random,
        );
        listed.peers(Family::V4).for_each(|peer| *seen.entry(peer).or_insert(0) += 1);
    }
    assert_eq!(seen.len(), 19);
    assert!(seen.values().all(|count| *count == 20), "{seen:?}");
}

#[test]
fn stopped_completed_moved_and_expired() {
    let mut registry = registry();
    let swarm = InfoHash([1; 20]);
    let mut one = peer(1);
    registry.announce(START, ip(1), &one);
    one.event = Happening::Completed;
    one.left = 0;
    registry.announce(START, ip(1), &one);
    let count = |registry: &mut Registry, at| {
        let counts = registry.counts(at, &swarm);
        (counts.seeders, counts.leechers, counts.completed)
    };
    assert_eq!(count(&mut registry, START), (1, 0, Some(1)));
    // The same peer at another port is not a second one.
    one.port = 7_000;
    one.event = Happening::None;
    registry.announce(START, ip(1), &one);
    assert_eq!(told(&mut registry, 9, 10), ["20.0.0.1:7000".parse().unwrap()]);
    // At the address of another it takes that one's place.
    let mut two = Announce { event: Happening::None, port: 7_000, ..peer(2) };
    registry.announce(START, ip(3), &two);
    two.peer_id = one.peer_id;
    registry.announce(START, ip(3), &two);
    assert_eq!(told(&mut registry, 9, 10), ["20.0.0.3:7000".parse().unwrap()]);
    registry.announce(START, ip(1), &one);
    one.event = Happening::Stopped;
    registry.announce(START, ip(1), &one);
    registry.announce(START, ip(1), &one);
    assert_eq!(count(&mut registry, START), (0, 0, Some(1)));
    registry.announce(START, ip(2), &peer(2));
    let later = START + Duration::from_secs(3_599);
    assert_eq!(count(&mut registry, later), (1, 0, Some(1)));
    assert_eq!(count(&mut registry, later + Duration::from_secs(1)), (0, 0, Some(1)));
}

#[test]
fn bounds_hold_and_the_oldest_swarm_gives_way() {
    let mut registry = registry();
    for swarm in 0..10 {
        let mut announce = peer(1);
        announce.info_hash = InfoHash([swarm; 20]);
        let at = START + Duration::from_secs(u64::from(swarm));
        assert!(registry.announce(at, ip(1), &announce));
        assert!(registry.swarms() <= 3);
    }
    let counts = |registry: &mut Registry, swarm| registry.counts(START, &InfoHash([swarm; 20]));
    assert_eq!(counts(&mut registry, 9).leechers, 1);
    assert_eq!(counts(&mut registry, 6).leechers, 0);
    for index in 0..200 {
        let mut announce = peer(index);
        announce.info_hash = InfoHash([9; 20]);
        assert_eq!(registry.announce(START, ip(index), &announce), index < 100);
    }
}

#[test]
fn an_address_is_believed_from_local_networks_alone() {
    let mut registry = registry();
    let mut announce = peer(1);
    announce.ip = Some([9, 9, 9, 9].into());
    registry.announce(START, ip(1), &announce);
    assert_eq!(told(&mut registry, 7, 9), ["20.0.0.1:6881".parse().unwrap()]);
    announce.peer_id = PeerId([2; 20]);
    registry.announce(START, [192, 168, 0, 1].into(), &announce);
    assert!(told(&mut registry, 7, 9).contains(&"9.9.9.9:6881".parse().unwrap()));
    announce.port = 0;
    assert!(!registry.announce(START, ip(1), &announce));
}

fn server() -> UdpServer<ChaCha8Rng> {
    UdpServer::new(registry(), ChaCha8Rng::seed_from_u64(4))
}

fn ask(
    server: &mut UdpServer<ChaCha8Rng>,
    now: Instant,
    from: SocketAddr,
    request: &Request<'_>,
) -> Result<Vec<u8>, Ignored> {
    let mut buffer = buffer();
    let len = encode_request(&mut buffer, 5, request).unwrap();
    let datagram = buffer[..len].to_vec();
    server.handle_datagram(now, from, &datagram)?;
    let Step::Send(sent) = server.step(now, &mut buffer) else { panic!("no answer") };
    assert_eq!(sent.to, from);
    Ok(buffer[..sent.len].to_vec())
}

fn connect(server: &mut UdpServer<ChaCha8Rng>, now: Instant, from: SocketAddr) -> u64 {
    let answer = ask(server, now, from, &Request::Connect).unwrap();
    match decode_response(&answer) {
        Ok((5, Response::Connect { connection })) => connection,
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_who_has_shown_its_address_is_answered() {
    let mut server = server();
    let (one, other) = (SocketAddr::new(ip(1), 1), SocketAddr::new(ip(2), 1));
    let url = UrlData::Plain(b"");
    for seconds in [0, 30, 59] {
        let begun = START + Duration::from_secs(seconds);
        let connection = connect(&mut server, begun, one);
        let request = Request::Announce { connection, announce: peer(1), url };
        assert_eq!(ask(&mut server, begun, other, &request), Err(Ignored::Unproven));
        // Good for two minutes at least, and not for ever.
        let later = begun + Duration::from_secs(120);
        assert!(ask(&mut server, later, one, &request).is_ok());
        let late = begun + Duration::from_secs(181);
        assert_eq!(ask(&mut server, late, one, &request), Err(Ignored::Unproven));
    }
    let guessed = Request::Announce { connection: 0, announce: peer(1), url };
    assert_eq!(ask(&mut server, START, one, &guessed), Err(Ignored::Unproven));
    let other_secret = UdpServer::new(registry(), ChaCha8Rng::seed_from_u64(5));
    assert_ne!(connect(&mut { other_secret }, START, one), connect(&mut server, START, one));
}

#[test]
fn client_and_server_understand_each_other() {
    let mut server = server();
    for index in 2..=9 {
        server.registry.announce(
            START,
            ip(index),
            &Announce { info_hash: InfoHash([1; 20]), ..peer(index) },
        );
    }
    let (mut client, servers) = trackers(1, 4);
    let from = SocketAddr::new(ip(1), 40_000);
    client.announce(servers[0], announce(1), Patience::BEP_15).unwrap();
    client.scrape(servers[0], &[InfoHash([1; 20]), InfoHash([2; 20])], Patience::BEP_15).unwrap();
    let (mut out, mut back) = (buffer(), buffer());
    let mut seen = Vec::new();
    loop {
        match client.step(START, &mut out) {
            Step::Send(sent) => {
                server.handle_datagram(START, from, &out[..sent.len]).unwrap();
                let Step::Send(answer) = server.step(START, &mut back) else { panic!() };
                client.handle_datagram(START, sent.to, &back[..answer.len]).unwrap();
            }
            Step::Event(Event::Announced { request, interval, counts }) => {
                assert_eq!(client.peers(request).count(), 8);
                assert_eq!((interval.as_secs(), counts.seeders, counts.leechers), (1_800, 4, 5));
                seen.push("announced");
            }
            Step::Event(Event::Scraped { request }) => {
                let counts: Vec<u32> =
                    client.scraped(request).map(|(_, counts)| counts.seeders).collect();
                assert_eq!(counts, [4, 0]);
                seen.push("scraped");
            }
            Step::Event(event) => panic!("{event:?}"),
            Step::Wait(_) => break,
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, ["announced", "scraped"]);
}

#[test]
fn over_http_both_families_are_told() {
    let mut registry = registry();
    let target = |id: u8| {
        let id = format!("%{id:02x}").repeat(20);
        format!("/announce?info_hash={}&peer_id={id}&port=80&left=0", "%01".repeat(20))
    };
    let mut ask =
        |from: &str, target: &str| respond(&mut registry, START, from.parse().unwrap(), target, 0);
    assert_eq!(read_announced(&ask("20.0.0.1", &target(1))).unwrap().peers, []);
    let second = read_announced(&ask("2001:db8::1", &target(2))).unwrap();
    assert_eq!(second.peers, ["20.0.0.1:80".parse().unwrap()]);
    assert_eq!(second.external_ip, Some("2001:db8::1".parse().unwrap()));
    let third = read_announced(&ask("20.0.0.3", &target(3))).unwrap();
    assert_eq!(third.peers.len(), 2);
    assert_eq!(third.counts.map(|counts| counts.seeders), Some(3));
    let scraped =
        read_scraped(&ask("20.0.0.3", &format!("/scrape?info_hash={}", "%01".repeat(20)))).unwrap();
    assert_eq!(scraped[0].1.seeders, 3);
    let error = read_announced(&ask("20.0.0.3", "/favicon.ico")).unwrap_err().to_string();
    assert_eq!(error, "refused: expected /announce or /scrape (never to be asked again)");
    let error = read_announced(&ask("20.0.0.3", "/announce?port=1")).unwrap_err().to_string();
    assert!(error.contains("info_hash"), "{error}");
}

#[test]
fn who_takes_one_peers_address_and_anothers_id_replaces_those_two() {
    let mut registry = registry();
    for index in 1..=4 {
        registry.announce(START, ip(index), &peer(index));
    }
    assert!(registry.announce(START, ip(2), &peer(4)));
    let mut left = told(&mut registry, 99, 200);
    left.sort_unstable();
    assert_eq!(left, [1, 2, 3].map(|index| SocketAddr::new(ip(index), 6881)));
}

#[test]
fn an_empty_swarm_gives_way_before_the_oldest_and_only_if_there_is_need() {
    let mut registry = registry();
    let in_swarm = |swarm, event| {
        let mut announce = peer(1);
        (announce.info_hash, announce.event) = (InfoHash([swarm; 20]), event);
        announce
    };
    let at = |secs| START + Duration::from_secs(secs);
    registry.announce(START, ip(1), &in_swarm(1, Happening::Started));
    registry.announce(at(1), ip(1), &in_swarm(2, Happening::Started));
    registry.announce(at(2), ip(1), &in_swarm(2, Happening::Stopped));
    registry.announce(at(3), ip(1), &in_swarm(3, Happening::Started));
    assert_eq!(registry.swarms(), 3, "there was room");
    registry.announce(at(4), ip(1), &in_swarm(4, Happening::Started));
    assert_eq!(registry.swarms(), 3);
    for (swarm, leechers) in [(1, 1), (2, 0), (3, 1), (4, 1)] {
        assert_eq!(registry.counts(at(4), &InfoHash([swarm; 20])).leechers, leechers, "{swarm}");
    }
}

/// The peers of an answer to an announce over UDP.
fn peers_of(answer: &[u8]) -> Vec<SocketAddr> {
    match decode_response(answer) {
        Ok((5, Response::Announce { packed, .. })) => {
            packed.into_iter().flat_map(|run| Peers::new(Family::V4, run)).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_goes_is_told_of_nobody_and_who_wants_many_of_as_many_as_fit() {
    let limits = RegistryLimits { peers_told_max: 10_000, ..RegistryLimits::default() };
    let mut registry = Registry::new(limits);
    for index in 0..400u16 {
        let mut announce = peer(0);
        announce.peer_id.0[..2].copy_from_slice(&index.to_be_bytes());
        announce.port = 1 + index;
        assert!(registry.announce(START, ip(9), &announce));
    }
    let mut server = UdpServer::new(registry, ChaCha8Rng::seed_from_u64(4));
    let from = SocketAddr::new(ip(1), 6881);
    let connection = connect(&mut server, START, from);
    let mut told = |event| {
        let mut announce = peer(1);
        (announce.event, announce.num_want) = (event, Some(5_000));
        let url = UrlData::Plain(b"");
        let request = Request::Announce { connection, announce, url };
        peers_of(&ask(&mut server, START, from, &request).unwrap()).len()
    };
    assert_eq!(told(Happening::Started), (DATAGRAM_MAX - 20) / 6);
    assert_eq!(told(Happening::Stopped), 0);
}
