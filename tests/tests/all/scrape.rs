//! Scrapes (BEP 33) and samples (BEP 51) as a node serves them: datagrams in, datagrams out.

use std::net::SocketAddr;
use std::time::Duration;

use chacha20::ChaCha8Rng;
use rand_core::SeedableRng;
use tinybt_core::dht::bloom::Bloom;
use tinybt_core::dht::store::{PEER_TTL, PeerMapLimits};
use tinybt_core::dht::{Config, Dual, Heap, Node};
use tinybt_core::limits::{FILTERED_MAX, REPLY_MAX};
use tinybt_core::wire::krpc::{self, Body, Message, Response};
use tinybt_core::{Family, Instant, Machine, Step, buffer};
use tinybt_tests::nodes::{TestNode, addr, fill, id, node, small};
use tinybt_tests::subjects::addr6;

const HASH: &str = "9:info_hash20:mnopqrstuvwxyz123456";
const TARGET: &str = "6:target20:mnopqrstuvwxyz123456";

fn at(secs: u64) -> Instant {
    Instant::from_secs(secs)
}

/// Past the time at which [`fill`] made nodes answer.
const NOW: u64 = 86_410;

fn query(method: &str, rest: &str) -> Vec<u8> {
    let len = method.len();
    format!("d1:ad2:id20:abcdefghij0123456789{rest}e1:q{len}:{method}1:t2:aa1:y1:qe").into_bytes()
}

fn config() -> Config {
    let mut config = Config::private(Family::V4);
    config.id = Some(tinybt_core::Id(*b"0123456789abcdefghij"));
    config.version = None;
    config.upkeep.verify = false;
    config.upkeep.bootstrap = false;
    config
}

/// What a machine sends when a datagram comes in.
fn exchange<M: Machine>(node: &mut M, now: Instant, from: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut out = buffer();
    node.handle_datagram(now, from, bytes).unwrap();
    loop {
        match node.step(now, &mut out) {
            Step::Send(sent) if sent.to == from => return out[..sent.len].to_vec(),
            Step::Wait(_) => panic!("no answer to {:?}", bytes.escape_ascii().to_string()),
            _ => {}
        }
    }
}

fn response(reply: &[u8]) -> Response<'_> {
    match krpc::decode(reply) {
        Ok(Message { body: Body::Response(response), .. }) => response,
        _ => panic!("{}", reply.escape_ascii()),
    }
}

/// Announces a peer to a swarm, with a token asked for first.
fn announce(node: &mut TestNode, now: Instant, from: SocketAddr, hash: [u8; 20], seed: bool) {
    let hash = [b"9:info_hash20:", &hash[..]].concat();
    let make = |method: &str, rest: &[u8]| {
        let head = [b"d1:ad2:id20:abcdefghij0123456789", &hash[..], rest].concat();
        [head, format!("e1:q{}:{method}1:t2:aa1:y1:qe", method.len()).into_bytes()].concat()
    };
    let reply = exchange(node, now, from, &make("get_peers", b""));
    let token = response(&reply).token().unwrap();
    let seed = if seed { &b"4:seedi1e"[..] } else { b"" };
    let rest = [b"4:porti6881e", seed, b"5:token8:", token].concat();
    let reply = exchange(node, now, from, &make("announce_peer", &rest));
    assert!(response(&reply).id().is_some());
}

const SWARM: [u8; 20] = *b"mnopqrstuvwxyz123456";

fn values(reply: &[u8]) -> Vec<SocketAddr> {
    response(reply).values().collect()
}

#[test]
fn a_scrape_to_the_byte() {
    let mut node = node(1, config());
    let asker: SocketAddr = "192.0.2.9:6881".parse().unwrap();
    let scrape = query("get_peers", &format!("{HASH}6:scrapei1e"));
    let before = exchange(&mut node, at(1), asker, &scrape);
    assert!(response(&before).seeds().is_none(), "no filters of a swarm that is not known");
    let seed: SocketAddr = "192.0.2.1:6881".parse().unwrap();
    let downloader: SocketAddr = "192.0.2.2:6881".parse().unwrap();
    announce(&mut node, at(1), seed, SWARM, true);
    announce(&mut node, at(1), downloader, SWARM, false);
    let reply = exchange(&mut node, at(1), asker, &scrape);
    let filter = |peer: SocketAddr| {
        let mut bloom = Bloom::new();
        bloom.insert(peer.ip());
        bloom.bytes().to_vec()
    };
    let token = response(&reply).token().unwrap();
    let expected = [
        b"d2:ip6:\xc0\x00\x02\x09\x1a\xe11:rd4:BFpe256:",
        &filter(downloader)[..],
        b"4:BFsd256:",
        &filter(seed),
        b"2:id20:0123456789abcdefghij5:nodes0:5:token8:",
        token,
        b"6:valuesl",
    ]
    .concat();
    assert_eq!(
        reply[..expected.len()].escape_ascii().to_string(),
        expected.escape_ascii().to_string()
    );
    assert!(reply.ends_with(b"ee1:t2:aa1:y1:re"));
    assert_eq!(values(&reply).len(), 2);
    assert_eq!(node.stats().scrapes, 1);

    // Who is announced anew as a seed is one.
    announce(&mut node, at(2), downloader, SWARM, true);
    let reply = exchange(&mut node, at(2), asker, &scrape);
    assert_eq!(response(&reply).downloaders(), Some(Bloom::new().bytes()));
    assert_eq!(Bloom::from_bytes(response(&reply).seeds().unwrap()).estimate().count.round(), 2.0);
    let plain = exchange(&mut node, at(2), asker, &query("get_peers", HASH));
    assert!(response(&plain).seeds().is_none(), "not asked for");
    let no = exchange(&mut node, at(2), asker, &query("get_peers", &format!("{HASH}6:scrapei0e")));
    assert!(response(&no).seeds().is_none());
    let expired = exchange(&mut node, at(2) + PEER_TTL, asker, &scrape);
    assert!(response(&expired).seeds().is_none());
}

#[test]
fn seeds_are_not_told_to_seeds() {
    let mut node = node(1, config());
    for index in 0..20 {
        announce(&mut node, at(1), addr(index), SWARM, index % 4 != 0);
    }
    let reply =
        exchange(&mut node, at(1), addr(99), &query("get_peers", &format!("{HASH}6:noseedi1e")));
    let mut told = values(&reply);
    told.sort();
    assert_eq!(told, [0, 4, 8, 12, 16].map(addr));
    let reply = exchange(&mut node, at(1), addr(99), &query("get_peers", HASH));
    assert_eq!(values(&reply).len(), 20);
}

/// Every combination of what may be asked, however large the question and whoever asks.
#[test]
fn a_reply_stays_within_its_bounds_and_is_always_given() {
    for amplification in [0, 3, 5, 6, 7, 8, 20] {
        let mut config = Config::new(Family::V4);
        config.answers = None;
        config.questions = None;
        config.destinations_per_minute = None;
        config.address_check = tinybt_core::dht::AddressCheck::Off;
        config.amplification = amplification;
        let mut full = node(1, config);
        fill(&mut full);
        for index in 0..90 {
            announce(&mut full, at(NOW), addr(30_000 + index), SWARM, index % 2 == 0);
        }
        for index in 0..90u8 {
            announce(&mut full, at(NOW), addr(40_000 + usize::from(index)), [index; 20], false);
        }
        for (method, place) in [("get_peers", HASH), ("sample_infohashes", TARGET)] {
            for scrape in ["", "6:scrapei1e"] {
                for want in ["", "4:wantl2:n4e", "4:wantl2:n6e", "4:wantl2:n42:n6e"] {
                    let ask = query(method, &format!("{place}{scrape}{want}"));
                    let reply = exchange(&mut full, at(NOW), addr(50_000), &ask);
                    let ratio = match method {
                        "get_peers" => amplification,
                        _ => amplification.div_ceil(2),
                    };
                    let most = match usize::from(ratio) {
                        0 => REPLY_MAX,
                        ratio => REPLY_MAX.min(ratio * ask.len()),
                    };
                    assert!(reply.len() <= most, "{} > {most}: {method} {want}", reply.len());
                    let response = response(&reply);
                    let fits = most >= 160 + 532;
                    if method == "get_peers" {
                        assert_eq!(response.seeds().is_some(), !scrape.is_empty() && fits);
                        assert!(response.token().is_some());
                        assert!(most < REPLY_MAX || !values(&reply).is_empty());
                    } else {
                        let samples = response.samples().unwrap();
                        assert_eq!(samples.stored, 91);
                        let count = samples.info_hashes().count();
                        assert!(most < 600 || count >= 9, "{count} of {most}");
                    }
                    if want != "4:wantl2:n6e" && most == REPLY_MAX {
                        assert_eq!(response.nodes().count(), 8);
                    }
                }
            }
        }
    }
}

#[test]
fn no_token_where_no_more_can_be_counted() {
    let limits = PeerMapLimits { swarms: 9, peers_per_swarm: 7_000, peers: 8_000 };
    let heap = Heap { peers_stored: limits, ..small() };
    let mut node: TestNode = Node::new(config(), heap, ChaCha8Rng::seed_from_u64(1));
    let ask = query("get_peers", HASH);
    for index in 0..FILTERED_MAX {
        announce(&mut node, at(1), addr(index), SWARM, true);
    }
    let stranger = addr(FILTERED_MAX);
    let reply = exchange(&mut node, at(1), stranger, &ask);
    assert!(response(&reply).token().is_none(), "full");
    assert!(!values(&reply).is_empty(), "and yet it is an answer");
    let reply = exchange(&mut node, at(1), addr(3), &ask);
    assert!(response(&reply).token().is_some(), "it is one of them");
    let other = query("get_peers", &HASH.replace("123456", "abcdef"));
    assert!(response(&exchange(&mut node, at(1), stranger, &other)).token().is_some());
    let later = at(1) + PEER_TTL;
    assert!(response(&exchange(&mut node, later, stranger, &ask)).token().is_some());
}

#[test]
fn a_sample_to_the_byte() {
    let mut node = node(1, config());
    let from: SocketAddr = "192.0.2.9:6881".parse().unwrap();
    let ask = query("sample_infohashes", TARGET);
    let sample = |num: usize, samples: &str| {
        let mut bytes = b"d2:ip6:\xc0\x00\x02\x09\x1a\xe1".to_vec();
        bytes.extend_from_slice(
            format!(
                "1:rd2:id20:0123456789abcdefghij8:intervali2700e5:nodes0:3:numi{num}e\
                 7:samples{}:{samples}e1:t2:aa1:y1:re",
                samples.len()
            )
            .as_bytes(),
        );
        bytes.escape_ascii().to_string()
    };
    let reply = exchange(&mut node, at(1), from, &ask);
    assert_eq!(reply.escape_ascii().to_string(), sample(0, ""), "present even if empty");
    announce(&mut node, at(1), addr(1), SWARM, false);
    let reply = exchange(&mut node, at(9), from, &ask);
    assert_eq!(reply.escape_ascii().to_string(), sample(1, "mnopqrstuvwxyz123456"));
    let reply = exchange(&mut node, at(1) + PEER_TTL, from, &ask);
    assert_eq!(reply.escape_ascii().to_string(), sample(0, ""), "expired");
    assert_eq!(node.stats().samples, 3);
    let mut out = buffer();
    node.handle_datagram(at(3_000), from, &query("sample_infohashes", "")).unwrap();
    let Step::Send(sent) = node.step(at(3_000), &mut out) else { panic!("an error") };
    let error = b"1:eli203e22:target is not 20 bytese";
    assert!(out[..sent.len].windows(error.len()).any(|w| w == error));
}

fn sampled(node: &mut TestNode, now: Instant) -> (i64, Vec<u8>) {
    let reply = exchange(node, now, addr(7), &query("sample_infohashes", TARGET));
    let samples = response(&reply).samples().unwrap();
    let hashes = samples.info_hashes().flat_map(|hash| hash.0).collect();
    (samples.interval, hashes)
}

#[test]
fn a_sample_is_the_same_for_its_interval_and_then_another() {
    let mut config = config();
    config.sample_interval = Duration::from_secs(600);
    let mut node = node(1, config);
    for index in 0..80u8 {
        announce(&mut node, at(1), addr(usize::from(index)), [index; 20], false);
    }
    let (interval, first) = sampled(&mut node, at(10));
    assert_eq!(interval, 600);
    assert!((30..80).contains(&(first.len() / 20)), "{}", first.len());
    for secs in [11, 100, 609] {
        announce(&mut node, at(secs), addr(0), [200 + (secs % 7) as u8; 20], false);
        assert_eq!(sampled(&mut node, at(secs)), (610 - secs as i64, first.clone()));
    }
    let almost = at(609) + Duration::from_millis(999);
    assert_eq!(sampled(&mut node, almost), (1, first.clone()), "rounded up: then there is another");
    let (interval, second) = sampled(&mut node, at(610));
    assert_eq!(interval, 600);
    assert_ne!(second, first);
    assert_eq!(second.len(), first.len());
}

#[test]
fn an_interval_is_six_hours_at_most_and_may_be_none() {
    for (asked, told) in [(0, 0), (21_600, 21_600), (1_000_000, 21_600)] {
        let mut config = config();
        config.sample_interval = Duration::from_secs(asked);
        let mut node = node(1, config);
        for index in 0..80u8 {
            announce(&mut node, at(1), addr(usize::from(index)), [index; 20], false);
        }
        let (interval, first) = sampled(&mut node, at(2));
        assert_eq!(interval, told);
        assert_eq!(sampled(&mut node, at(2)).1 == first, told != 0);
    }
}

#[test]
fn who_asks_for_both_families_and_filters_gets_nodes_of_one() {
    let mut families = [Family::V4, Family::V6].map(|family| {
        let mut config = Config::private(family);
        config.id = Some(id(1, 0));
        config.upkeep.bootstrap = false;
        node(1, config)
    });
    let [v4, v6] = &mut families;
    fill(v4);
    announce(v4, at(NOW), addr(30_000), SWARM, true);
    announce(v6, at(NOW), addr6(3), SWARM, true);
    let [v4, v6] = families;
    let mut dual = Dual::new(Some(v4), Some(v6));
    let both = format!("{HASH}4:wantl2:n42:n6e");
    let reply = exchange(&mut dual, at(NOW), addr(5), &query("get_peers", &both));
    assert!(response(&reply).member(b"nodes6").is_some());
    let scrape = query("get_peers", &format!("{HASH}6:scrapei1e4:wantl2:n42:n6e"));
    let reply = exchange(&mut dual, at(NOW), addr(5), &scrape);
    let here = response(&reply);
    assert!(here.seeds().is_some() && here.member(b"nodes6").is_none());
    assert_eq!(here.nodes().count(), 8);
    // An IPv6 asker is told of peers of its family alone, and counts those.
    let reply = exchange(&mut dual, at(NOW), addr6(9), &scrape);
    let there = response(&reply);
    let seeds = Bloom::from_bytes(there.seeds().unwrap());
    assert!(seeds.contains(addr6(3).ip()) && !seeds.contains(addr(30_000).ip()));
    assert!(there.member(b"nodes").is_none() && there.member(b"nodes6").is_some());
    assert!(reply.len() <= REPLY_MAX);
}

macro_rules! inline_storage {
    ($name:ident $(, $scrapes:literal)?) => {
        tinybt_core::storage! {
            struct $name {
                lookups: 1,
                in_flight: 8,
                asks: 1,
                questions: 1,
                replies: 2,
                buckets: 8,
                peers_per_lookup: 8,
                hops: 0,
                peers_stored: 16,
                $(scrapes: $scrapes,)?
                items: 0,
                shunned: 4,
                sources: 4,
            }
        }
    };
}
inline_storage!(Silent);
inline_storage!(Outspoken, true);

fn inline<S: tinybt_core::dht::Storage>(storage: S) -> (bool, bool) {
    let mut node = Node::new(config(), storage, ChaCha8Rng::seed_from_u64(1));
    let peer = addr(2);
    let reply = exchange(&mut node, at(1), peer, &query("get_peers", HASH));
    let token = response(&reply).token().unwrap().to_vec();
    let mut bytes =
        format!("d1:ad2:id20:abcdefghij0123456789{HASH}4:porti9e5:token8:").into_bytes();
    bytes.extend_from_slice(&token);
    bytes.extend_from_slice(b"e1:q13:announce_peer1:t2:aa1:y1:qe");
    exchange(&mut node, at(1), peer, &bytes);
    let scraped =
        exchange(&mut node, at(1), peer, &query("get_peers", &format!("{HASH}6:scrapei1e")));
    let sampled = exchange(&mut node, at(1), peer, &query("sample_infohashes", TARGET));
    assert!(response(&sampled).member(b"nodes").is_some());
    let filter = response(&scraped).downloaders().map(Bloom::from_bytes);
    assert!(filter.is_none_or(|filter| filter.contains(peer.ip())));
    (filter.is_some(), response(&sampled).samples().is_some())
}

#[test]
fn a_node_without_an_allocator_serves_both_if_it_is_told_to() {
    assert_eq!(inline(Silent), (false, false));
    assert_eq!(inline(Outspoken), (true, true));
}
