//! The loop around a machine: waiting for its sockets, its deadline and a wake-up, and for nothing
//! else. An idle machine costs nothing. Knows no protocol.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};
use tinybt_core::{Instant, Machine};
use tinybt_runtime::{Next, Pump, Socket};

/// Datagrams that are taken in before the caller has its turn.
const BATCH: usize = 64;
const WAKER: Token = Token(usize::MAX);

/// A machine with its sockets. Call [`Driver::turn`] for ever.
pub struct Driver<M> {
    pump: Pump<M, Polled>,
    poll: Poll,
    events: Events,
    waker: Waker,
}

struct Polled(mio::net::UdpSocket);

impl Socket for Polled {
    fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.0.recv_from(buffer)
    }

    fn send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.0.send_to(datagram, to)
    }

    #[cfg(unix)]
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }
}

struct Bell(mio::Waker);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        // It fails only when the poll is gone, and then nobody waits.
        let _ = self.0.wake();
    }
}

impl<M: Machine> Driver<M> {
    /// Around bound sockets. What the machine sends from none of them in particular goes over the
    /// first of the receiver's family.
    ///
    /// # Errors
    ///
    /// What the operating system says about making a poll of them.
    pub fn new(machine: M, sockets: Vec<UdpSocket>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::from(Arc::new(Bell(mio::Waker::new(poll.registry(), WAKER)?)));
        let mut registered = Vec::with_capacity(sockets.len());
        for (index, socket) in sockets.into_iter().enumerate() {
            socket.set_nonblocking(true)?;
            let local = socket.local_addr()?;
            let mut socket = mio::net::UdpSocket::from_std(socket);
            poll.registry().register(&mut socket, Token(index), Interest::READABLE)?;
            registered.push((Polled(socket), local));
        }
        let pump = Pump::new(machine, registered);
        Ok(Self { pump, poll, events: Events::with_capacity(8), waker })
    }

    /// The machine, to be given commands between turns.
    pub fn machine(&mut self) -> &mut M {
        &mut self.pump.machine
    }

    /// Ends the waiting of this driver from another thread.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// The present, counted from when the driver was made.
    pub fn now(&self) -> Instant {
        self.pump.now()
    }

    /// Does what is due, waits for the next thing to happen, and takes in what arrived.
    ///
    /// Events are told while their rows can still be read from the machine. Where there was one to
    /// tell, it does not wait: that may have been what the caller waits for.
    ///
    /// # Errors
    ///
    /// What the operating system says about waiting. Errors of single datagrams end nothing: on
    /// the internet they are no news.
    pub fn turn(&mut self, mut tell: impl FnMut(&mut M, Instant, M::Event)) -> io::Result<()> {
        let mut is_told = false;
        let now = self.now();
        let deadline = self.drain(now, &mut |machine, now, event| {
            is_told = true;
            tell(machine, now, event);
        });
        let timeout = match deadline {
            _ if is_told || self.pump.is_ready() => Some(Duration::ZERO),
            deadline => deadline.map(|at| at.since(now)),
        };
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &self.events {
            self.pump.set_ready(event.token().0);
        }
        let mut taken = 0;
        while taken < BATCH || self.pump.has_more() {
            match self.pump.receive() {
                Some(true) => drop(self.drain(self.pump.present(), &mut tell)),
                Some(false) => {}
                None => break,
            }
            taken += 1;
        }
        Ok(())
    }

    fn drain(
        &mut self,
        now: Instant,
        tell: &mut impl FnMut(&mut M, Instant, M::Event),
    ) -> Option<Instant> {
        loop {
            match self.pump.step(now) {
                Next::Event(event) => tell(&mut self.pump.machine, now, event),
                Next::Wait(deadline) => return deadline,
            }
        }
    }
}
