//! The loop around a machine: sockets, a clock, and waiting. Knows no protocol.
//!
//! The only file of this crate that reads a clock. It waits for a datagram, the machine's deadline
//! or a [`Waker`], and for nothing else: an idle machine costs nothing.

use std::io::{self, ErrorKind};
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};
use tinybt_core::contact::is_mapped;
use tinybt_core::{Buffer, Family, Instant, Machine, Step, buffer};

/// Datagrams that are taken from one socket before the others have their turn.
const BATCH: usize = 64;
const WAKER: Token = Token(usize::MAX);

/// A machine with its sockets. Call [`Driver::turn`] for ever.
pub struct Driver<M> {
    /// The machine, to be given commands between turns.
    pub machine: M,
    sockets: Vec<Socket>,
    poll: Poll,
    events: Events,
    waker: Waker,
    started: std::time::Instant,
    outbox: Buffer,
    inbox: Box<[u8; 65_536]>,
}

struct Socket {
    socket: mio::net::UdpSocket,
    family: Family,
    /// Something may be left to read: the poll tells only of what is new.
    ready: bool,
}

/// Ends the waiting of a [`Driver`] from another thread.
#[derive(Clone, Debug)]
pub struct Waker(Arc<mio::Waker>);

impl Waker {
    /// Lets the driver go on with its next turn.
    pub fn wake(&self) {
        // It fails only when the poll is gone, and then nobody waits.
        let _ = self.0.wake();
    }
}

impl<M: Machine> Driver<M> {
    /// Around bound sockets, at most one of each family that the machine sends to.
    ///
    /// # Errors
    ///
    /// What the operating system says about making a poll of them.
    pub fn new(machine: M, sockets: Vec<UdpSocket>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker(Arc::new(mio::Waker::new(poll.registry(), WAKER)?));
        let mut registered = Vec::with_capacity(sockets.len());
        for (index, socket) in sockets.into_iter().enumerate() {
            socket.set_nonblocking(true)?;
            let family = Family::of(&socket.local_addr()?);
            let mut socket = mio::net::UdpSocket::from_std(socket);
            poll.registry().register(&mut socket, Token(index), Interest::READABLE)?;
            registered.push(Socket { socket, family, ready: true });
        }
        Ok(Self {
            machine,
            sockets: registered,
            poll,
            events: Events::with_capacity(8),
            waker,
            started: std::time::Instant::now(),
            outbox: buffer(),
            inbox: Box::new([0; 65_536]),
        })
    }

    /// Ends the waiting of this driver from another thread.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// The present, counted from when the driver was made.
    pub fn now(&self) -> Instant {
        // Not from zero, so that what was long before the start has a place.
        Instant::from_secs(86_400) + self.started.elapsed()
    }

    /// Does what is due, waits for the next thing to happen, and takes in what arrived.
    ///
    /// Events are told while their rows can still be read from the machine.
    ///
    /// # Errors
    ///
    /// What the operating system says about waiting. Errors of single datagrams end nothing: on
    /// the internet they are no news.
    pub fn turn(&mut self, mut tell: impl FnMut(&mut M, Instant, M::Event)) -> io::Result<()> {
        let now = self.now();
        let deadline = self.drain(now, &mut tell);
        let timeout = match deadline {
            _ if self.sockets.iter().any(|socket| socket.ready) => Some(Duration::ZERO),
            deadline => deadline.map(|at| at.since(self.now())),
        };
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &self.events {
            if let Some(socket) = self.sockets.get_mut(event.token().0) {
                socket.ready = true;
            }
        }
        for index in 0..self.sockets.len() {
            self.receive(index, &mut tell);
        }
        Ok(())
    }

    fn receive(&mut self, index: usize, tell: &mut impl FnMut(&mut M, Instant, M::Event)) {
        for _ in 0..BATCH {
            let Some(socket) = self.sockets.get_mut(index).filter(|socket| socket.ready) else {
                return;
            };
            match socket.socket.recv_from(&mut self.inbox[..]) {
                // What is mapped came over IPv4 to a socket for both: no machine can answer it.
                Ok((len, from)) if Family::of(&from) == socket.family && !is_mapped(&from) => {
                    let now = self.now();
                    let datagram = self.inbox.get(..len).unwrap_or_default();
                    if self.machine.handle_datagram(now, from, datagram).is_ok() {
                        self.drain(now, tell);
                    }
                }
                Ok(_) => {}
                // Somebody's port is closed: an ICMP message of an earlier datagram.
                Err(error) if is_of_another(error.kind()) => {}
                // Nothing more for now, or nothing that asking again at once would mend.
                Err(_) => socket.ready = false,
            }
        }
    }

    fn drain(
        &mut self,
        now: Instant,
        tell: &mut impl FnMut(&mut M, Instant, M::Event),
    ) -> Option<Instant> {
        loop {
            match self.machine.step(now, &mut self.outbox) {
                Step::Send(transmit) => {
                    let family = Family::of(&transmit.to);
                    let datagram = self.outbox.get(..transmit.len).unwrap_or_default();
                    if let Some(socket) = self.sockets.iter().find(|s| s.family == family) {
                        // What cannot be sent is as good as lost on the way: the machine repeats.
                        let _ = socket.socket.send_to(datagram, transmit.to);
                    }
                }
                Step::Event(event) => tell(&mut self.machine, now, event),
                Step::Wait(deadline) => return deadline,
            }
        }
    }
}

/// Whether an error of a receiving socket is about a datagram that was sent before.
fn is_of_another(error: ErrorKind) -> bool {
    matches!(
        error,
        ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::Interrupted
    )
}

/// The time since now, for what is measured elsewhere: this file is the one that reads a clock.
pub(crate) fn stopwatch() -> impl Fn() -> Duration {
    let begun = std::time::Instant::now();
    move || begun.elapsed()
}
