//! Homes of one machine of which some have replies to send, some something else to do and some nothing:
//! driven step by step, and by the polls that a step stands for.

use std::net::SocketAddr;
use std::time::Duration;

use chacha20::ChaCha8Rng;
use rand_core::SeedableRng;
use tinybt_core::dht::{Config, Dual, Event, Heap, Node, Port, Question};
use tinybt_core::wire::krpc::{self, Body};
use tinybt_core::{Buffer, Family, InfoHash, Instant, Machine, Step, buffer};
use tinybt_tests::nodes::{addr, small};
use tinybt_tests::subjects::addr6;

type Homes = Dual<Heap, ChaCha8Rng>;

const NOW: Instant = Instant::from_secs(1_000);
const HASH: InfoHash = InfoHash([0x5a; 20]);
const HOMES: usize = 5;

fn local(home: usize) -> SocketAddr {
    [addr(900), addr(901), addr(902), addr6(900), addr6(901)][home]
}

/// The `n`th of those who ask a home.
fn asker(home: usize, n: usize) -> SocketAddr {
    let index = 1_000 + home * 100 + n;
    if local(home).is_ipv4() { addr(index) } else { addr6(index as u16) }
}

/// Nobody asks anything but what they are told to.
fn homes() -> Homes {
    let mut dual = Dual::new(None, None);
    for home in 0..HOMES {
        let mut config = Config::endpoint(Family::of(&local(home)));
        (config.answers, config.foreign_methods) = (None, true);
        let node = Node::new(config, small(), ChaCha8Rng::seed_from_u64(home as u64));
        dual.add(NOW, local(home), node).unwrap();
    }
    assert_eq!(drain(&mut dual, NOW, Way::Step), (vec![], None));
    dual
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Step,
    Polls,
}

#[derive(Clone, Debug, PartialEq)]
enum Done {
    Sent { from: SocketAddr, to: SocketAddr, bytes: Vec<u8> },
    Told(Event),
}

impl Done {
    /// Where the home is that did it.
    fn local(&self) -> SocketAddr {
        let home = match self {
            Done::Sent { from, .. } => return *from,
            Done::Told(Event::Finished { lookup, .. }) => lookup.home(),
            Done::Told(Event::Silent { ask }) => ask.home(),
            Done::Told(event) => panic!("{event:?}"),
        };
        let first = if home.family() == Family::V4 { 0 } else { 3 };
        local(first + usize::from(home.number()))
    }
}

fn step(machine: &mut Homes, now: Instant, way: Way, out: &mut Buffer) -> Step<Event> {
    match way {
        Way::Step => return machine.step(now, out),
        Way::Polls => {}
    }
    if let Some(event) = machine.poll_event() {
        return Step::Event(event);
    }
    match machine.poll_transmit(now, out) {
        Some(sent) => Step::Send(sent),
        None => machine.poll_event().map_or(Step::Wait(machine.poll_timeout()), Step::Event),
    }
}

/// What is to be done now, and when to come again.
fn drain(machine: &mut Homes, now: Instant, way: Way) -> (Vec<Done>, Option<Instant>) {
    let (mut done, mut out) = (Vec::new(), buffer());
    loop {
        match step(machine, now, way, &mut out) {
            Step::Event(event) => done.push(Done::Told(event)),
            Step::Wait(deadline) => return (done, deadline),
            Step::Send(sent) => done.push(Done::Sent {
                from: sent.from.expect("it names its home"),
                to: sent.to,
                bytes: out[..sent.len].to_vec(),
            }),
        }
    }
}

/// Whoever only looks asks a home, as the `n`th; what makes no more work than a reply.
fn ask(machine: &mut Homes, now: Instant, home: usize, n: usize) {
    let (method, more) = [
        ("4:ping", ""),
        ("9:find_node", "6:target20:mnopqrstuvwxyz123456"),
        ("9:get_peers", "9:info_hash20:mnopqrstuvwxyz123456"),
    ][n % 3];
    let id = "20:abcdefghij0123456789";
    let query = format!("d1:ad2:id{id}{more}e1:q{method}2:roi1e1:t2:{home}{n}1:y1:qe");
    let taken = machine.handle_datagram_at(now, local(home), asker(home, n), query.as_bytes());
    assert_eq!(taken, Ok(()));
}

/// Which home a reply came from, and to which of those who asked it; the receiver of anything else.
fn reply(done: &Done) -> Option<Result<(usize, usize), (usize, SocketAddr)>> {
    let Done::Sent { from, to, bytes } = done else { return None };
    let home = (0..HOMES).find(|home| local(*home) == *from).expect("it is one of ours");
    let message = krpc::decode(bytes).expect("it is well-formed");
    if matches!(message.body, Body::Query(_)) {
        return Some(Err((home, *to)));
    }
    let n = (0..10).find(|n| message.transaction == format!("{home}{n}").as_bytes());
    assert_eq!(n.map(|n| asker(home, n)), Some(*to), "an answer for somebody else");
    Some(n.map(|n| (home, n)).ok_or((home, *to)))
}

/// How many ask each home.
fn counts() -> impl Iterator<Item = [usize; HOMES]> {
    (0..3_usize.pow(5)).map(|number| [1, 3, 9, 27, 81].map(|place| number / place % 3))
}

/// What is under way beside the replies.
struct Pending {
    begin: fn(&mut Homes),
    /// Questions that go out: from which home, whom to.
    sends: &'static [(usize, usize)],
    events: usize,
    /// Replies beside those to whoever asks: home and number.
    replies: &'static [(usize, usize)],
}

const PENDING: [Pending; 6] = [
    Pending { begin: |_| {}, sends: &[], events: 0, replies: &[] },
    Pending { begin: question, sends: &[(1, 5)], events: 0, replies: &[] },
    Pending { begin: in_flight, sends: &[], events: 0, replies: &[] },
    Pending { begin: lookup, sends: &[(2, 6)], events: 0, replies: &[] },
    Pending { begin: foreign, sends: &[], events: 1, replies: &[(4, 9)] },
    Pending {
        begin: |machine| [question, lookup, foreign].iter().for_each(|begin| begin(machine)),
        sends: &[(1, 5), (2, 6)],
        events: 1,
        replies: &[(4, 9)],
    },
];

fn question(machine: &mut Homes) {
    let home = machine.home(local(1)).unwrap().id();
    machine.ask_from(home, addr(5), &Question::Ping).unwrap();
}

fn in_flight(machine: &mut Homes) {
    question(machine);
    assert_eq!(drain(machine, NOW, Way::Step).0.len(), 1);
}

fn lookup(machine: &mut Homes) {
    let home = machine.home(local(2)).unwrap().id();
    machine.node_of_mut(home).unwrap().add_source(addr(6));
    machine.announce_from(home, NOW, HASH, Port::Implied).unwrap();
}

fn foreign(machine: &mut Homes) {
    let vote = b"d1:ad2:id20:abcdefghij0123456789e1:q4:vote2:roi1e1:t2:491:y1:qe";
    machine.handle_datagram_at(NOW, local(4), asker(4, 9), vote).unwrap();
}

#[test]
fn each_reply_goes_out_once_from_where_it_was_asked_whatever_else_is_under_way() {
    for (row, pending) in PENDING.iter().enumerate() {
        let mut alone = homes();
        (pending.begin)(&mut alone);
        let (_, due) = drain(&mut alone, NOW, Way::Polls);
        for (counts, way) in counts().flat_map(|counts| [(counts, Way::Step), (counts, Way::Polls)])
        {
            let which = format!("row {row}, {counts:?}, {way:?}");
            let mut machine = homes();
            (pending.begin)(&mut machine);
            let all = (0..HOMES).flat_map(|home| (0..counts[home]).map(move |n| (home, n)));
            all.clone().for_each(|(home, n)| ask(&mut machine, NOW, home, n));
            let (done, then) = drain(&mut machine, NOW, way);

            let sent: Vec<_> = done.iter().filter_map(reply).collect();
            let mut replies: Vec<_> = sent.iter().filter_map(|sent| sent.ok()).collect();
            let mut others: Vec<_> = sent.iter().filter_map(|sent| sent.err()).collect();
            replies.sort();
            others.sort();
            let mut expected: Vec<_> = all.chain(pending.replies.iter().copied()).collect();
            expected.sort();
            assert_eq!(replies, expected, "{which}");
            let questions = pending.sends.iter().map(|(home, to)| (*home, addr(*to)));
            assert_eq!(others, questions.collect::<Vec<_>>(), "{which}");
            assert_eq!(done.len() - sent.len(), pending.events, "{which}");
            assert_eq!(then, due, "{which}");
        }
    }
}

#[test]
fn who_is_asked_without_end_keeps_nobody_waiting() {
    for (begin, way) in [
        ((|_| {}) as fn(&mut Homes), Way::Step),
        (|_| {}, Way::Polls),
        (in_flight, Way::Step),
        (question, Way::Step),
    ] {
        let mut machine = homes();
        begin(&mut machine);
        let mut out = buffer();
        for busy in [[0, 1], [1, 3], [4, 0], [2, 3]] {
            (0..HOMES).for_each(|home| ask(&mut machine, NOW, home, 0));
            let (mut waiting, mut more) = (Vec::from_iter(0..HOMES), 0);
            // One for each home, and the question that one of them has beside.
            for _ in 0..=HOMES {
                let Step::Send(sent) = step(&mut machine, NOW, way, &mut out) else {
                    panic!("there is always something to send")
                };
                let from = sent.from;
                waiting.retain(|home| Some(local(*home)) != from);
                for home in busy.into_iter().filter(|home| Some(local(*home)) == from) {
                    more += 1;
                    ask(&mut machine, NOW, home, 1 + more);
                }
            }
            assert_eq!(waiting, [], "{busy:?}, {way:?}");
            drain(&mut machine, NOW, way);
        }
    }
}

/// What homes do of their own accord while nobody answers them, home by home, and how many others they
/// answered: all of them are asked all the time, and whenever there is something else to do.
fn busy(every: Option<Duration>, way: Way) -> (Vec<(SocketAddr, Instant, Done)>, usize, usize) {
    let mut machine = homes();
    question(&mut machine);
    lookup(&mut machine);
    let v6 = machine.home(local(4)).unwrap().id();
    machine.node_of_mut(v6).unwrap().add_source(addr6(6));
    machine.announce_from(v6, NOW, HASH, Port::Implied).unwrap();
    let (mut log, mut asked, mut answered) = (Vec::new(), 0, 0);
    let (mut now, mut due, mut next) = (NOW, None, NOW);
    while now < NOW + Duration::from_secs(30) {
        if every.is_some() {
            for home in 0..HOMES {
                ask(&mut machine, now, home, 0);
                asked += 1;
            }
        }
        if due.is_some_and(|due| now < due) {
            assert_eq!(machine.poll_timeout(), due);
        }
        let (done, then) = drain(&mut machine, now, way);
        for done in done {
            match reply(&done) {
                Some(Ok(_)) => answered += 1,
                _ => log.push((done.local(), now, done)),
            }
        }
        due = then;
        next = every.map_or(Instant::NEVER, |every| if next <= now { now + every } else { next });
        now = due.map_or(next, |due| due.min(next)).min(NOW + Duration::from_secs(30));
    }
    // Homes take turns.
    log.sort_by_key(|(local, ..)| *local);
    (log, asked, answered)
}

#[test]
fn whatever_is_due_is_done_to_the_microsecond_while_all_homes_reply() {
    let (alone, ..) = busy(None, Way::Polls);
    let ends = alone.iter().filter(|(.., done)| matches!(done, Done::Told(_)));
    assert_eq!(ends.count(), 3);
    for way in [Way::Step, Way::Polls] {
        for millis in [3, 50, 3_000] {
            let (log, asked, answered) = busy(Some(Duration::from_millis(millis)), way);
            assert_eq!(log, alone, "every {millis} ms, {way:?}");
            assert_eq!(answered, asked);
        }
    }
}
