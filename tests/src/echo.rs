//! UDP echoes, and how fast a server answers: what servers are measured against, in one run.
//!
//! An echo is fair to a server that makes the same system calls as it does and answers with as many
//! bytes: so there is one for each way of waiting and receiving. Beside the rate there is the time
//! that a processor spends on an answer, the operating system's part included, which depends less on
//! whatever else the machine does.

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{fs, io, iter};

use mio::{Events, Interest, Poll, Token};
use tinybt_core::Machine;
use tinybt_core::wire::krpc::{self, Envelope, Question};
use tinybt_runtime::batch::{BATCH, Inbox, Outbox};
use tinybt_runtime::{Next, Pump, Socket};

use crate::nodes::id;

const OUTSTANDING: usize = 64;
const ROUND: Duration = Duration::from_millis(150);
const ROUNDS: usize = 21;
/// Datagrams between two looks at what else there is to do, as in tinybt-std.
const TURN: usize = 64;

/// Something that answers, on a thread of its own.
pub struct Target {
    /// Where.
    pub addr: SocketAddr,
    /// Where the operating system tells how long the thread has run.
    task: PathBuf,
}

/// What answering costs.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Answers a second, with 64 questions outstanding.
    pub per_second: f64,
    /// Microseconds of a processor for each; 0 where that is not known.
    pub micros: f64,
}

/// Runs a server on a thread of its own.
pub fn serve(run: impl FnOnce(UdpSocket) + Send + 'static) -> Target {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let task = fs::read_link("/proc/thread-self").unwrap_or_default();
        tell.send(PathBuf::from("/proc").join(task).join("schedstat")).unwrap();
        run(socket);
    });
    Target { addr, task: told.recv().unwrap() }
}

/// What each target spends on answers to the same question: the medians of short rounds that
/// alternate, so that whatever else the machine does hits all.
pub fn compare<const N: usize>(targets: [&Target; N], question: &[u8]) -> [Rate; N] {
    let mut rounds = targets.map(|_| (Vec::new(), Vec::new()));
    for _ in 0..ROUNDS {
        for (target, (rates, costs)) in iter::zip(targets, &mut rounds) {
            let rate = measure(target, question);
            rates.push(rate.per_second);
            costs.push(rate.micros);
        }
    }
    rounds.map(|(rates, costs)| Rate { per_second: median(rates), micros: median(costs) })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// One round. Questions go out and answers come in together where that is possible, so that the
/// server is what is measured and not the one who asks.
fn measure(target: &Target, question: &[u8]) -> Rate {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let local = socket.local_addr().unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let (mut inbox, mut outbox) = (Inbox::new([&socket]), Outbox::new([&socket]));
    for _ in 0..OUTSTANDING {
        socket.send_to(question, target.addr).unwrap();
    }
    let (begun, ran) = (Instant::now(), target.ran());
    let mut count = 0u64;
    while begun.elapsed() < ROUND {
        let mut first = [0; 2_048];
        let mut came = usize::from(socket.recv(&mut first).is_ok());
        socket.set_nonblocking(true).unwrap();
        if inbox.fill(&socket, &local).is_ok() {
            came += iter::from_fn(|| inbox.pop().map(drop)).count();
        }
        socket.set_nonblocking(false).unwrap();
        count += came as u64;
        // One that was lost is asked again.
        for _ in 0..came.max(1) {
            outbox.place()[..question.len()].copy_from_slice(question);
            outbox.push(target.addr, question.len(), 0);
            if outbox.is_full() {
                outbox.send(|_| Some(&socket));
            }
        }
        outbox.send(|_| Some(&socket));
    }
    let (took, ran) = (begun.elapsed().as_secs_f64(), target.ran() - ran);
    Rate { per_second: count as f64 / took, micros: ran * 1e6 / count.max(1) as f64 }
}

impl Target {
    /// Seconds that the thread has run.
    fn ran(&self) -> f64 {
        let told = fs::read_to_string(&self.task).unwrap_or_default();
        let nanos = told.split_whitespace().next().and_then(|nanos| nanos.parse::<f64>().ok());
        nanos.unwrap_or(0.0) / 1e9
    }
}

/// How an echo receives and sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A socket that blocks: two system calls a datagram, and nothing else.
    Blocking,
    /// Waiting with mio until there is something, then one by one until there is nothing.
    OneByOne,
    /// Waiting with mio, then as many as there are with each system call.
    Batched,
}

/// Sends back whatever comes: as many bytes as `len` says, as many as came where that is 0.
pub fn echo(stop: Arc<AtomicBool>, style: Style, len: Arc<AtomicUsize>) -> Target {
    let answer = move |came: usize| match len.load(Ordering::Relaxed) {
        0 => came,
        len => len,
    };
    serve(move |socket| match style {
        Style::Blocking => {
            let mut bytes = [0; 2_048];
            socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            while !stop.load(Ordering::Relaxed) {
                if let Ok((len, from)) = socket.recv_from(&mut bytes) {
                    let _ = socket.send_to(&bytes[..answer(len)], from);
                }
            }
        }
        Style::OneByOne => {
            let mut bytes = [0; 2_048];
            wait_and(&socket, &stop, || {
                for _ in 0..TURN {
                    let Ok((len, from)) = socket.recv_from(&mut bytes) else { return false };
                    let _ = socket.send_to(&bytes[..answer(len)], from);
                }
                true
            });
        }
        Style::Batched => {
            let mut many = Many::new(socket.try_clone().unwrap());
            wait_and(&socket, &stop, || many.turn(&answer));
        }
    })
}

/// An echo that takes as many datagrams as there are with each system call.
struct Many {
    socket: UdpSocket,
    local: SocketAddr,
    inbox: Inbox,
    outbox: Outbox,
}

impl Many {
    fn new(socket: UdpSocket) -> Self {
        let local = socket.local_addr().unwrap();
        let (inbox, outbox) = (Inbox::new([&socket]), Outbox::new([&socket]));
        Self { socket, local, inbox, outbox }
    }

    /// Sends back what came, with as many bytes as `answer` makes of its length. Whether there may
    /// be more.
    fn turn(&mut self, answer: impl Fn(usize) -> usize) -> bool {
        for _ in 0..TURN / BATCH {
            let Ok(may_have_more) = self.inbox.fill(&self.socket, &self.local) else {
                return false;
            };
            while let Some((from, datagram)) = self.inbox.pop() {
                let len = datagram.len();
                self.outbox.place()[..len].copy_from_slice(datagram);
                self.outbox.push(from, answer(len), 0);
            }
            self.outbox.send(|_| Some(&self.socket));
            if !may_have_more {
                return false;
            }
        }
        true
    }
}

/// Waits with mio until a socket is readable, lets it be served, and looks again at once where there
/// may be more.
fn wait_and(socket: &UdpSocket, stop: &AtomicBool, mut serve: impl FnMut() -> bool) {
    let mut waiting = Waiting::new(socket);
    while !stop.load(Ordering::Relaxed) {
        waiting.turn(&mut serve);
    }
}

/// Waiting with mio, as tinybt-std does.
struct Waiting {
    poll: Poll,
    events: Events,
    /// Whose descriptor is watched.
    _watched: mio::net::UdpSocket,
    again: bool,
}

impl Waiting {
    fn new(socket: &UdpSocket) -> Self {
        let poll = Poll::new().unwrap();
        socket.set_nonblocking(true).unwrap();
        let mut watched = mio::net::UdpSocket::from_std(socket.try_clone().unwrap());
        poll.registry().register(&mut watched, Token(0), Interest::READABLE).unwrap();
        Self { poll, events: Events::with_capacity(8), _watched: watched, again: false }
    }

    fn turn(&mut self, serve: &mut impl FnMut() -> bool) {
        let timeout = if self.again { Duration::ZERO } else { Duration::from_millis(100) };
        self.poll.poll(&mut self.events, Some(timeout)).unwrap();
        self.again = serve();
    }
}

/// An echo with its waiting, a turn at a time: what there is in the socket is answered with `len`
/// bytes each.
pub fn echo_by_turns(socket: UdpSocket, len: usize) -> impl FnMut() {
    let mut waiting = Waiting::new(&socket);
    let mut many = Many::new(socket);
    move || waiting.turn(&mut || many.turn(|_| len))
}

/// Drives a machine as tinybt-std does where there is no system call for several datagrams.
pub fn drive_one_by_one<M: Machine>(machine: M, socket: UdpSocket, stop: &AtomicBool) {
    let local = socket.local_addr().unwrap();
    let mut pump = Pump::new(machine, vec![(OneByOne(socket.try_clone().unwrap()), local)]);
    wait_and(&socket, stop, || {
        pump.set_ready(0);
        let now = pump.now();
        while let Next::Event(_) = pump.step(now) {}
        for _ in 0..TURN {
            let Some(is_heeded) = pump.receive() else { return false };
            let now = pump.present();
            while is_heeded && matches!(pump.step(now), Next::Event(_)) {}
        }
        true
    });
}

/// A socket that gives and takes one datagram with each system call.
struct OneByOne(UdpSocket);

impl Socket for OneByOne {
    fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.0.recv_from(buffer)
    }

    fn send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.0.send_to(datagram, to)
    }
}

/// A question as a stranger asks it who has no answers for anybody.
pub fn encode(question: &Question<'_>) -> Vec<u8> {
    let envelope =
        Envelope { transaction: b"abcd", version: None, read_only: true, external: None };
    let mut bytes = vec![0; 1_472];
    let len = krpc::encode_query(&mut bytes, &envelope, id(1, 1), question).expect("it fits");
    bytes.truncate(len);
    bytes
}
