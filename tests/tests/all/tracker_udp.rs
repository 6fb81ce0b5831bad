//! The client of UDP trackers: the time lines of BEP 15 as they stand there, in virtual time, and
//! what its text asks for.

use std::net::SocketAddr;
use std::time::Duration;

use chacha20::ChaCha8Rng;
use proptest::prelude::*;
use rand_core::SeedableRng;
use tinybt_core::limits::{SCRAPE_MAX, URL_DATA_MAX};
use tinybt_core::tracker::udp::{
    Event, Inline, Patience, RequestId, ServerId, TrackerError, UdpTrackers,
};
use tinybt_core::wire::udp_tracker::{Request, Response, UrlData, decode_request, encode_response};
use tinybt_core::{Buffer, Ignored, InfoHash, Instant, Machine, Step, buffer};
use tinybt_tests::fuzz_laws::ops;
use tinybt_tests::laws::check;
use tinybt_tests::nodes::addr;
use tinybt_tests::tracker_subjects::{
    SHORT, TestTrackers, TrackerSubject, announce, answer, trackers,
};

/// A client of one server, and what it sends and tells.
struct Line {
    machine: TestTrackers,
    server: ServerId,
    now: Instant,
    sent: Vec<Vec<u8>>,
    told: Vec<Event>,
    peers: Vec<SocketAddr>,
    words: String,
    buffer: Buffer,
}

const START: Instant = Instant::from_secs(500);

impl Line {
    fn new() -> Self {
        let (machine, servers) = trackers(1, 16);
        Self {
            machine,
            server: servers[0],
            now: START,
            sent: Vec::new(),
            told: Vec::new(),
            peers: Vec::new(),
            words: String::new(),
            buffer: buffer(),
        }
    }

    fn drain(&mut self) {
        loop {
            match self.machine.step(self.now, &mut self.buffer) {
                Step::Send(sent) => {
                    assert_eq!(sent.to, addr(0));
                    self.sent.push(self.buffer[..sent.len].to_vec());
                }
                Step::Event(event) => {
                    assert_eq!(self.machine.server(event.request()), Some(self.server));
                    self.peers.extend(self.machine.peers(event.request()));
                    self.words
                        .push_str(&String::from_utf8_lossy(self.machine.words(event.request())));
                    self.told.push(event);
                }
                Step::Wait(_) => return,
            }
        }
    }

    fn until(&mut self, at: Instant) {
        self.drain();
        while let Some(deadline) = self.machine.poll_timeout().filter(|deadline| *deadline <= at) {
            self.now = deadline;
            self.drain();
        }
        self.now = at;
    }

    /// Delivers a datagram of the server's.
    fn hear(&mut self, datagram: &[u8]) -> Result<(), Ignored> {
        let taken = self.machine.handle_datagram(self.now, addr(0), datagram);
        self.drain();
        taken
    }

    fn announce(&mut self, patience: Patience) -> RequestId {
        let request = self.machine.announce(self.server, announce(1), patience).unwrap();
        self.drain();
        request
    }

    /// What was sent last is answered as it should be.
    fn answer_last(&mut self) {
        let last = self.sent.last().unwrap().clone();
        self.hear(&answer(&last, 0)).unwrap();
    }
}

fn kind(datagram: &[u8]) -> &'static str {
    match decode_request(datagram) {
        Some((_, Request::Connect)) => "connect",
        Some((_, Request::Announce { .. })) => "announce",
        Some((_, Request::Scrape { .. })) => "scrape",
        None => "nonsense",
    }
}

/// Plays a time line: `!` the application asks, `>` this is sent, `<` the newest question of this
/// kind is answered, `=` this is told. Everything that is sent must stand in it.
fn play(script: &str) {
    let mut line = Line::new();
    let mut open: Vec<Vec<u8>> = Vec::new();
    for text in script.lines().filter(|text| !text.trim().is_empty()) {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [at, way, what] = words[..] else { panic!("{text}") };
        let at = START + Duration::from_secs_f64(at.parse().unwrap());
        if at > line.now {
            line.until(Instant::from_micros(at.as_micros() - 1));
            assert!(
                line.sent.is_empty(),
                "before {text}: {:?}",
                line.sent.iter().map(|s| kind(s)).collect::<Vec<_>>()
            );
            line.until(at);
        }
        match (way, what) {
            ("!", "announce") => drop(line.announce(Patience::BEP_15)),
            ("!", "scrape") => {
                line.machine.scrape(line.server, &[InfoHash([9; 20])], Patience::BEP_15).unwrap();
                line.drain();
            }
            (">", _) => {
                assert!(!line.sent.is_empty(), "nothing is sent at {text}");
                let sent = line.sent.remove(0);
                assert_eq!(kind(&sent), what, "{text}");
                open.push(sent);
            }
            ("<", _) => {
                let which = open.iter().rposition(|sent| kind(sent) == what).expect(text);
                let sent = open.remove(which);
                line.hear(&answer(&sent, 0)).expect(text);
            }
            ("=", _) => {
                assert!(!line.told.is_empty(), "nothing is told at {text}");
                let told = format!("{:?}", line.told.remove(0)).to_lowercase();
                assert!(told.starts_with(what), "{text}: {told}");
            }
            _ => panic!("{text}"),
        }
    }
    assert!(line.sent.is_empty() && line.told.is_empty(), "{:?}", line.told);
}

#[test]
fn normal_announce() {
    // An announce follows its connection id at once, where the BEP lets a second pass.
    play("0 ! announce\n0 > connect\n1 < connect\n1 > announce\n3 < announce\n3 = announced");
}

#[test]
fn connect_times_out() {
    play(
        "0 ! announce\n0 > connect\n15 > connect\n45 > connect\n105 > connect\n225 > connect\n\
         465 > connect\n945 > connect\n1905 > connect\n3825 > connect\n7665 = silent",
    );
}

#[test]
fn announce_times_out_and_its_connection_id_expires() {
    play(
        "0 ! announce\n0 > connect\n2 < connect\n2 > announce\n17 > announce\n47 > announce\n\
         107 > connect\n227 > connect\n230 < connect\n230 > announce\n470 > connect\n\
         480 < connect\n480 > announce\n500 < announce\n500 = announced",
    );
}

#[test]
fn several_requests_share_a_connection_id() {
    play(
        "0 ! announce\n0 > connect\n1 < connect\n1 > announce\n3 < announce\n3 = announced\n\
         4 ! announce\n4 > announce\n5 < announce\n5 = announced\n\
         60 ! announce\n60 > announce\n61 < announce\n61 = announced\n\
         62 ! announce\n62 ! scrape\n62 ! scrape\n62 ! announce\n62 > connect\n63 < connect\n\
         63 > announce\n63 > scrape\n63 > scrape\n63 > announce\n\
         65 < announce\n65 = announced\n66 < announce\n66 = announced\n\
         67 < scrape\n67 = scraped\n68 < scrape\n68 = scraped",
    );
}

#[test]
fn a_late_answer_to_the_first_of_several_counts() {
    // The third datagram has the transaction of the first.
    let mut line = Line::new();
    line.announce(Patience::BEP_15);
    line.answer_last();
    let first = line.sent.last().unwrap().clone();
    line.until(line.now + Duration::from_secs(40));
    assert_eq!(line.sent.len(), 3);
    line.hear(&answer(&first, 0)).unwrap();
    assert!(matches!(line.told[..], [Event::Announced { .. }]));
}

#[test]
fn an_error_ends_its_request_with_the_servers_words_and_no_resend() {
    let mut line = Line::new();
    line.announce(Patience::BEP_15);
    line.answer_last();
    let sent = line.sent.pop().unwrap();
    line.sent.clear();
    line.hear(&answer(&sent, 9)).unwrap();
    assert!(matches!(line.told[..], [Event::Refused { .. }]));
    assert_eq!(line.words, "no");
    line.until(line.now + Duration::from_secs(9_000));
    assert!(line.sent.is_empty() && line.told.len() == 1);
}

#[test]
fn an_error_to_the_connect_request_ends_all_that_wait() {
    let mut line = Line::new();
    line.announce(Patience::BEP_15);
    line.announce(Patience::BEP_15);
    let sent = line.sent.pop().unwrap();
    line.hear(&answer(&sent, 9)).unwrap();
    assert!(matches!(line.told[..], [Event::Refused { .. }, Event::Refused { .. }]));
    assert_eq!(line.words, "no");
    assert!(line.machine.is_empty());
}

#[test]
fn a_late_error_does_not_stop_a_connect_request_that_others_wait_for() {
    let mut line = Line::new();
    line.announce(Patience::BEP_15);
    line.answer_last();
    let announce = line.sent.pop().unwrap();
    // Its connection id has expired: a second request asks for another.
    line.until(line.now + Duration::from_secs(61));
    line.sent.clear();
    line.announce(Patience::BEP_15);
    assert_eq!(kind(line.sent.last().unwrap()), "connect");
    line.hear(&answer(&announce, 9)).unwrap();
    line.answer_last();
    line.answer_last();
    assert!(matches!(line.told[..], [Event::Refused { .. }, Event::Announced { .. }]));
}

/// Two requests, the second `after` the first, and what is told of each within `time`.
fn two(first: Patience, after: u64, second: Patience, time: u64) -> Line {
    let mut line = Line::new();
    line.announce(first);
    line.until(line.now + Duration::from_millis(after));
    line.announce(second);
    line.until(line.now + Duration::from_millis(time));
    line
}

#[test]
fn who_joins_a_connect_request_keeps_its_own_patience() {
    let brief = Patience::BRIEF;
    // The first is nearly out of patience when the second comes, which has all of its own.
    let line = two(brief, 10_400, brief, 10_300);
    assert_eq!(line.told.len(), 1);
    let line = two(brief, 10_400, brief, 10_600);
    assert_eq!(line.told.len(), 2);
    // Somebody patient keeps nobody waiting.
    assert_eq!(two(Patience::BEP_15, 1_000, brief, 10_600).told.len(), 1);
    // A withdrawn one leaves nothing behind.
    let mut line = Line::new();
    let gone = line.announce(Patience::BEP_15);
    line.until(line.now + Duration::from_secs(200));
    line.machine.withdraw(gone);
    let before = line.sent.len();
    line.announce(brief);
    line.until(line.now + Duration::from_secs(2));
    assert!(line.sent.len() > before);
}

#[test]
fn an_answer_counts_while_a_new_connection_id_is_asked_for() {
    let mut line = Line::new();
    line.announce(Patience::BEP_15);
    line.answer_last();
    let announce = line.sent.last().unwrap().clone();
    line.until(line.now + Duration::from_secs(110));
    assert_eq!(kind(line.sent.last().unwrap()), "connect");
    line.hear(&answer(&announce, 0)).unwrap();
    assert!(matches!(line.told[..], [Event::Announced { .. }]));
}

#[test]
fn eight_bytes_of_action_0_refuse_an_announce() {
    let mut line = Line::new();
    line.announce(Patience::BEP_15);
    line.answer_last();
    let (transaction, _) = decode_request(line.sent.last().unwrap()).unwrap();
    let mut bytes = vec![0; 4];
    bytes.extend(transaction.to_be_bytes());
    line.hear(&bytes).unwrap();
    assert!(matches!(line.told[..], [Event::Garbled { .. }]));
}

#[test]
fn only_the_server_answers_and_only_what_is_open() {
    let mut line = Line::new();
    line.announce(Patience::BEP_15);
    let connect = line.sent.pop().unwrap();
    let good = answer(&connect, 1);
    let from =
        |line: &mut Line, from, bytes: &[u8]| line.machine.handle_datagram(line.now, from, bytes);
    assert_eq!(from(&mut line, addr(1), &good), Err(Ignored::WrongSource));
    let mut elsewhere = addr(0);
    elsewhere.set_port(1);
    assert_eq!(from(&mut line, elsewhere, &good), Err(Ignored::WrongSource));
    let mut other = good.clone();
    other[7] ^= 1;
    assert_eq!(from(&mut line, addr(0), &other), Err(Ignored::Unasked));
    assert_eq!(from(&mut line, addr(0), &good[..15]), Err(Ignored::Malformed));
    assert_eq!(from(&mut line, addr(0), &good[..7]), Err(Ignored::Foreign));
    assert_eq!(from(&mut line, addr(0), b"d1:ad2:id20:"), Err(Ignored::Foreign));
    assert_eq!(from(&mut line, addr(0), &good), Ok(()));
    assert_eq!(from(&mut line, addr(0), &good), Err(Ignored::Unasked));
    line.drain();
    let sent = line.sent.pop().unwrap();
    let (_, Request::Announce { connection, .. }) = decode_request(&sent).unwrap() else {
        panic!("no announce")
    };
    assert_eq!(connection, 1);
    assert_eq!(from(&mut line, addr(1), &answer(&sent, 0)), Err(Ignored::WrongSource));
    // A transaction of zero, as torrust sends it with an error, names nobody.
    let mut zero = answer(&sent, 9);
    zero[4..8].fill(0);
    assert_eq!(from(&mut line, addr(0), &zero), Err(Ignored::Unasked));
    assert_eq!(from(&mut line, addr(0), &answer(&sent, 0)), Ok(()));
}

#[test]
fn peers_counts_and_interval_are_told() {
    let mut line = Line::new();
    line.announce(Patience::BEP_15);
    line.answer_last();
    let (transaction, _) = decode_request(line.sent.last().unwrap()).unwrap();
    let packed = [1, 2, 3, 4, 0, 80, 5, 6, 7, 8, 0x1a, 0xe1, 9, 9, 9];
    let response =
        Response::Announce { interval: 1_800, leechers: 7, seeders: 8, packed: [&packed, &[]] };
    let mut bytes = [0; 100];
    let len = encode_response(&mut bytes, transaction, &response).unwrap();
    line.hear(&bytes[..len]).unwrap();
    let [Event::Announced { interval, counts, .. }] = line.told[..] else { panic!() };
    assert_eq!((interval.as_secs(), counts.seeders, counts.leechers), (1_800, 8, 7));
    let expected: [SocketAddr; 2] = [([1, 2, 3, 4], 80).into(), ([5, 6, 7, 8], 6881).into()];
    assert_eq!(line.peers, expected);
}

#[test]
fn the_url_goes_along_in_runs_of_255() {
    let url: Vec<u8> = (0..URL_DATA_MAX).map(|index| b'a' + (index % 26) as u8).collect();
    let (mut machine, _) = trackers(1, 1);
    assert_eq!(machine.add(addr(2), &[0; URL_DATA_MAX + 1]), Err(TrackerError::Url));
    for len in [0, 1, 255, 256, 600, URL_DATA_MAX] {
        let (_, mut line) = ((), Line::new());
        line.machine.remove(line.server);
        line.server = line.machine.add(addr(0), &url[..len]).unwrap();
        line.announce(SHORT);
        line.answer_last();
        let sent = line.sent.pop().unwrap();
        let Some((_, Request::Announce { url: read, .. })) = decode_request(&sent) else {
            panic!()
        };
        assert_eq!(read.runs().collect::<Vec<_>>().concat(), &url[..len]);
        assert_eq!(sent.len(), 98 + len + 2 * len.div_ceil(255));
    }
}

#[test]
fn seventy_four_swarms_in_one_scrape() {
    let mut line = Line::new();
    let hashes: Vec<InfoHash> = (0..75).map(|index| InfoHash([index; 20])).collect();
    let ask =
        |line: &mut Line, count: usize| line.machine.scrape(line.server, &hashes[..count], SHORT);
    assert_eq!(ask(&mut line, 75), Err(TrackerError::Swarms));
    assert_eq!(ask(&mut line, 0), Err(TrackerError::Swarms));
    let request = ask(&mut line, SCRAPE_MAX).unwrap();
    line.drain();
    line.answer_last();
    assert_eq!(line.sent.last().unwrap().len(), 16 + 74 * 20);
    let sent = line.sent.last().unwrap().clone();
    // A server that answers 70 of them.
    line.machine.handle_datagram(line.now, addr(0), &answer(&sent, 70)).unwrap();
    assert_eq!(line.machine.poll_event(), Some(Event::Scraped { request }));
    let told: Vec<_> = line.machine.scraped(request).collect();
    assert_eq!(told.len(), 70);
    assert_eq!((told[69].0, told[69].1.seeders), (hashes[69], 1));
    assert_eq!(line.machine.poll_event(), None);
    assert!(line.machine.is_empty());
}

#[test]
fn full_is_an_answer() {
    let (mut machine, servers) = trackers(1, 1);
    assert_eq!(machine.add(addr(1), b""), Err(TrackerError::Busy));
    let request = machine.announce(servers[0], announce(1), SHORT).unwrap();
    assert_eq!(machine.announce(servers[0], announce(2), SHORT), Err(TrackerError::Busy));
    machine.withdraw(request);
    let request = machine.announce(servers[0], announce(2), SHORT).unwrap();
    assert_eq!(machine.server(request).and_then(|server| machine.addr(server)), Some(addr(0)));
    machine.remove(servers[0]);
    assert!(machine.is_empty());
    assert_eq!((machine.server(request), machine.addr(servers[0])), (None, None));
    assert_eq!(machine.announce(servers[0], announce(2), SHORT), Err(TrackerError::Unknown));
    assert_eq!(machine.add(SocketAddr::from(([1, 2, 3, 4], 0)), b""), Err(TrackerError::Address));
}

#[test]
fn requests_are_counted_and_sent_once_the_server_has_shown_that_it_is_there() {
    let mut line = Line::new();
    assert!(line.machine.is_empty());
    let first = line.announce(SHORT);
    let second = line.machine.scrape(line.server, &[InfoHash([1; 20])], SHORT).unwrap();
    assert_eq!((line.machine.len(), line.machine.is_empty()), (2, false));
    assert!(!line.machine.is_sent(first) && !line.machine.is_sent(second));
    line.answer_last();
    assert!(line.machine.is_sent(first) && line.machine.is_sent(second));
    line.answer_last();
    line.drain();
    assert_eq!((line.machine.len(), line.machine.is_empty()), (1, false));
    line.machine.withdraw(first);
    line.machine.withdraw(second);
    assert_eq!((line.machine.len(), line.machine.is_empty()), (0, true));
    assert!(!line.machine.is_sent(first) && !line.machine.is_sent(second));
}

#[test]
fn a_withdrawn_answer_makes_room_for_the_next() {
    let mut line = Line::new();
    let first = line.announce(SHORT);
    line.answer_last();
    let sent = line.sent.pop().unwrap();
    line.machine.handle_datagram(line.now, addr(0), &answer(&sent, 0)).unwrap();
    line.machine.withdraw(first);
    line.announce(SHORT);
    line.answer_last();
    assert!(matches!(line.told[..], [Event::Announced { .. }]));
}

#[test]
fn options_of_bep_41_as_its_examples_have_them() {
    for (options, url) in [
        (&b"\x02\x0c/dir?a=b&c=d"[..], &b"/dir?a=b&c=d"[..]),
        (b"\x02\x0c/dir?a=b&c=d\x01\x01\x00", b"/dir?a=b&c=d"),
        (b"\x02\x00", b""),
        (b"", b""),
        (b"\x00\x02\x01a", b""),
        (b"\x02\x01a\x07\x02xx\x02\x01b", b"ab"),
        (b"\x02\x09short", b""),
        (b"\x02", b""),
    ] {
        assert_eq!(UrlData::Options(options).runs().collect::<Vec<_>>().concat(), url);
    }
}

#[test]
fn a_thousand_servers_at_once() {
    let (mut machine, servers) = trackers(1_000, 1_000);
    let mut now = START;
    for server in &servers {
        machine.announce(*server, announce(1), Patience::BRIEF).unwrap();
    }
    let (mut buffer, mut answered) = (buffer(), 0);
    let mut way = std::collections::VecDeque::new();
    loop {
        match machine.step(now, &mut buffer) {
            Step::Send(sent) => way.push_back((sent.to, buffer[..sent.len].to_vec())),
            Step::Event(Event::Announced { .. }) => answered += 1,
            Step::Event(event) => panic!("{event:?}"),
            Step::Wait(deadline) => {
                assert!(way.len() <= 100, "no more at once than the buffer of a socket holds");
                match (way.pop_front(), deadline) {
                    (Some((to, sent)), _) => {
                        machine.handle_datagram(now, to, &answer(&sent, 0)).unwrap();
                    }
                    (None, Some(deadline)) => now = deadline,
                    (None, None) => break,
                }
            }
        }
    }
    assert_eq!(answered, 1_000);
    assert!(now.since(START) < Duration::from_secs(1));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_laws_hold(bytes in proptest::collection::vec(any::<u8>(), 0..300), quick in any::<bool>()) {
        let patience = if quick { SHORT } else { Patience::BEP_15 };
        prop_assert_eq!(check(&TrackerSubject { patience }, &ops(&bytes)), Ok(()));
    }
}

#[test]
fn rows_inline_are_as_many_as_they_say() {
    let random = ChaCha8Rng::seed_from_u64(3);
    let mut machine = UdpTrackers::new(Inline::<2, 4, 1, 2>, random);
    assert_eq!(machine.add(addr(0), b"/long"), Err(TrackerError::Url));
    let servers = [addr(0), addr(1)].map(|at| machine.add(at, b"/a?b").unwrap());
    assert_eq!(machine.add(addr(2), b""), Err(TrackerError::Busy));
    let hashes = [InfoHash([1; 20]); 3];
    assert_eq!(machine.scrape(servers[0], &hashes, SHORT).err(), Some(TrackerError::Swarms));
    let first = machine.scrape(servers[0], &hashes[..2], SHORT).unwrap();
    assert_eq!(machine.announce(servers[1], announce(1), SHORT).err(), Some(TrackerError::Busy));
    let (mut out, mut told) = (buffer(), Vec::new());
    loop {
        match machine.step(START, &mut out) {
            Step::Send(sent) => {
                let answer = answer(&out[..sent.len], 2);
                assert_eq!(machine.handle_datagram(START, sent.to, &answer), Ok(()));
            }
            Step::Event(event) => told.push(event.request()),
            Step::Wait(_) => break,
        }
    }
    assert_eq!(told, [first]);
}
