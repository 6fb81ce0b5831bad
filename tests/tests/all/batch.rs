//! Several datagrams with one system call: over real sockets of this machine, since it is the calls
//! that are to be seen. What comes together depends on the operating system; what is asserted does
//! not.

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use tinybt_core::{Buffer, Ignored, Instant, Machine, Transmit};
use tinybt_runtime::batch::{BATCH, Inbox, Outbox};
use tinybt_runtime::{Next, Pump};
use tinybt_tests::counting::allocations;

/// Tries before a test gives up on something that the operating system has been told to deliver.
const TRIES: usize = 10_000_000;

fn socket(on: &str) -> Option<(UdpSocket, SocketAddr)> {
    let socket = UdpSocket::bind(on).ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let addr = socket.local_addr().unwrap();
    Some((socket, addr))
}

fn v4() -> (UdpSocket, SocketAddr) {
    socket("127.0.0.1:0").expect("there is a loopback")
}

fn post(outbox: &mut Outbox, to: SocketAddr, datagram: &[u8], socket: usize) {
    outbox.place()[..datagram.len()].copy_from_slice(datagram);
    outbox.push(to, datagram.len(), socket);
}

/// The next datagrams of a socket that does not block, with their senders.
fn take(socket: &UdpSocket, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
    socket.set_nonblocking(true).unwrap();
    let local = socket.local_addr().unwrap();
    let mut inbox = Inbox::new([socket]);
    let mut taken = Vec::new();
    for _ in 0..TRIES {
        let _ = inbox.fill(socket, &local);
        while let Some((from, datagram)) = inbox.pop() {
            taken.push((from, datagram.to_vec()));
        }
        if taken.len() >= count {
            break;
        }
    }
    taken
}

#[test]
fn datagrams_arrive_whole_and_in_order_over_both_families() {
    let families = [Some(v4()), socket("[::1]:0")];
    let pairs: Vec<_> = families
        .into_iter()
        .flatten()
        .map(|(from, from_addr)| {
            (from, from_addr, socket(&format!("{}:0", host(from_addr))).unwrap())
        })
        .collect();
    let mut outbox = Outbox::new(pairs.iter().map(|(from, ..)| from));
    let datagram = |index: usize| vec![index as u8; index * 37 % 1_400];
    for index in 0..3 * BATCH {
        for (number, (.., (_, to))) in pairs.iter().enumerate() {
            post(&mut outbox, *to, &datagram(index), number);
            if outbox.is_full() {
                outbox.send(|number| pairs.get(number).map(|(from, ..)| from));
            }
        }
    }
    outbox.send(|number| pairs.get(number).map(|(from, ..)| from));
    for (_, from, (to, _)) in &pairs {
        let taken = take(to, 3 * BATCH);
        let sent: Vec<_> = (0..3 * BATCH).map(|index| (*from, datagram(index))).collect();
        assert!(taken == sent, "{} came", taken.len());
    }
}

fn host(addr: SocketAddr) -> String {
    if addr.is_ipv4() { "127.0.0.1".to_owned() } else { "[::1]".to_owned() }
}

#[test]
fn one_that_cannot_be_sent_takes_no_other_with_it() {
    let ((from, _), (to, at)) = (v4(), v4());
    let mut outbox = Outbox::new([&from]);
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let elsewhere = "[2001:db8::1]:6881".parse().unwrap();
    for (to, datagram) in
        [(nowhere, b"1"), (at, b"2"), (elsewhere, b"3"), (nowhere, b"4"), (at, b"5")]
    {
        post(&mut outbox, to, datagram, 0);
    }
    // A socket that there is not.
    post(&mut outbox, at, b"6", 7);
    post(&mut outbox, at, b"7", 0);
    outbox.send(|number| (number == 0).then_some(&from));
    let taken: Vec<_> = take(&to, 3).into_iter().map(|(_, datagram)| datagram).collect();
    assert_eq!(taken, [b"2", b"5", b"7"]);
}

#[test]
fn the_longest_datagrams_are_not_cut() {
    let ((from, _), (to, at)) = (v4(), v4());
    let datagrams = [vec![1; 60_000], vec![2; 3], vec![3; 65_507], vec![]];
    for datagram in &datagrams {
        from.send_to(datagram, at).unwrap();
    }
    let taken: Vec<_> = take(&to, 4).into_iter().map(|(_, datagram)| datagram).collect();
    assert!(taken == datagrams);
}

/// Repeats what it hears, tells of what begins with `e` and ignores what begins with `x`.
#[derive(Default)]
struct Parrot {
    heard: usize,
    said: VecDeque<(SocketAddr, u8)>,
    news: VecDeque<u8>,
    /// When it heard something last.
    at: Instant,
}

impl Machine for Parrot {
    type Event = u8;

    fn handle_datagram(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Ignored> {
        assert!(now >= self.at, "time goes on");
        self.at = now;
        self.heard += 1;
        match datagram {
            [b'x', ..] => return Err(Ignored::Foreign),
            [b'e', word, ..] => self.news.push_back(*word),
            [b't', words @ ..] => self.said.extend(words.iter().map(|word| (from, *word))),
            [word, ..] => self.said.push_back((from, *word)),
            [] => {}
        }
        Ok(())
    }

    fn poll_transmit(&mut self, now: Instant, buffer: &mut Buffer) -> Option<Transmit> {
        assert!(now >= self.at, "time goes on");
        let (to, word) = self.said.pop_front()?;
        buffer[0] = word;
        Some(Transmit::new(to, 1))
    }

    fn poll_event(&mut self) -> Option<u8> {
        self.news.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}

fn parrot() -> (Pump<Parrot, UdpSocket>, SocketAddr) {
    let (socket, addr) = v4();
    socket.set_nonblocking(true).unwrap();
    (Pump::new(Parrot::default(), vec![(socket, addr)]), addr)
}

/// Lets it hear, and steps it as a driver does, until it has heard so many or has something to tell.
fn listen(pump: &mut Pump<Parrot, UdpSocket>, heard: usize) -> Option<u8> {
    for _ in 0..TRIES {
        if pump.machine.heard >= heard {
            break;
        }
        pump.set_ready(0);
        if pump.receive() == Some(true)
            && let Next::Event(event) = pump.step(pump.present())
        {
            return Some(event);
        }
    }
    None
}

fn word(socket: &UdpSocket) -> u8 {
    let mut bytes = [0; 9];
    assert_eq!(socket.recv(&mut bytes).expect("an answer"), 1);
    bytes[0]
}

#[test]
fn answers_wait_neither_for_who_is_ignored_nor_for_who_is_told() {
    let ((asker, _), (mut pump, addr)) = (v4(), parrot());
    let ask = |words: &[&[u8]]| words.iter().for_each(|word| drop(asker.send_to(word, addr)));
    // Nothing but the one that is ignored comes after the last that is answered.
    ask(&[b"a", b"b", b"x"]);
    assert_eq!(listen(&mut pump, 3), None);
    assert_eq!([word(&asker), word(&asker)], *b"ab");
    // Whoever is told may take his time; others are answered before.
    ask(&[b"c", b"e1", b"d", b"x", b"e2", b"f"]);
    assert_eq!(listen(&mut pump, 9), Some(b'1'));
    assert_eq!(word(&asker), b'c');
    assert_eq!(listen(&mut pump, 9), Some(b'2'));
    assert_eq!(word(&asker), b'd');
    assert_eq!(listen(&mut pump, 9), None);
    assert_eq!(word(&asker), b'f');
    assert!(!pump.has_more());
}

#[test]
fn whoever_has_more_to_say_is_asked_again_before_the_end() {
    let ((asker, _), (mut pump, addr)) = (v4(), parrot());
    let ask = |words: &[&[u8]]| words.iter().for_each(|word| drop(asker.send_to(word, addr)));
    ask(&[b"tabc", b"x"]);
    assert_eq!(listen(&mut pump, 2), None);
    assert_eq!([word(&asker), word(&asker), word(&asker)], *b"abc");
    ask(&[b"tabc", b"e1", b"x"]);
    assert_eq!(listen(&mut pump, 5), Some(b'1'));
    assert_eq!(listen(&mut pump, 5), None);
    assert_eq!([word(&asker), word(&asker), word(&asker)], *b"abc");
}

#[test]
fn every_answer_goes_out_when_more_come_than_are_taken_together() {
    let ((asker, _), (mut pump, addr)) = (v4(), parrot());
    let words: Vec<u8> = (0..5 * BATCH as u8 / 2).collect();
    for word in &words {
        asker.send_to(&[*word | 0x80], addr).unwrap();
    }
    assert_eq!(listen(&mut pump, words.len()), None);
    assert!(words.iter().all(|expected| word(&asker) == *expected | 0x80));
}

#[test]
fn a_batch_allocates_nothing() {
    let ((asker, _), (mut pump, addr)) = (v4(), parrot());
    let mut round = |heard: usize| {
        for _ in 0..BATCH {
            asker.send_to(b"a", addr).unwrap();
        }
        let (told, count) = allocations(|| listen(&mut pump, heard));
        assert_eq!(told, None);
        assert!((0..BATCH).all(|_| word(&asker) == b'a'));
        count
    };
    // The headers of a thread are made when it first needs them, as is the parrot's memory.
    round(BATCH);
    assert_eq!(round(2 * BATCH), 0);
}
