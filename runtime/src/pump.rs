//! Sockets, a clock and a machine: everything of a driver but the waiting. Knows no protocol.
//!
//! The only file of the runtimes that reads a clock.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use tinybt_core::contact::is_mapped;
use tinybt_core::{Buffer, Family, Instant, Machine, Step, buffer};

/// A UDP socket that does not block.
pub trait Socket {
    /// Receives a datagram.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WouldBlock`] if there is none.
    fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)>;

    /// Sends a datagram.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    fn send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<usize>;
}

impl Socket for UdpSocket {
    fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        UdpSocket::recv_from(self, buffer)
    }

    fn send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<usize> {
        UdpSocket::send_to(self, datagram, to)
    }
}

/// Times that a socket may be told to be readable and give nothing, before it is said to be
/// [vain](Pump::is_vain).
const VAIN: u8 = 3;

/// When a machine begins. Not at zero, so that what was long before the start has a place.
pub(crate) const START: Instant = Instant::from_secs(86_400);

/// A machine with its sockets. A loop [steps](Pump::step) it until it says [`Next::Wait`], lets it
/// [receive](Pump::receive) one datagram, and steps it again; when there is none it waits, and says
/// which sockets [are ready](Pump::set_ready).
pub struct Pump<M, S> {
    /// The machine, to be given commands between steps.
    pub machine: M,
    sockets: Vec<Row<S>>,
    /// Whose turn it was last.
    turn: usize,
    started: std::time::Instant,
    outbox: Buffer,
    inbox: Box<[u8; 65_536]>,
}

struct Row<S> {
    socket: S,
    /// What it is bound to.
    local: SocketAddr,
    /// Something may be left to read.
    is_ready: bool,
    /// Times in a row that nothing was, though it was said to be.
    vain: u8,
}

/// What a step came to.
#[derive(Debug)]
pub enum Next<E> {
    /// The machine tells this; its rows can be read until the next step.
    Event(E),
    /// Nothing before this instant, a datagram or a command.
    Wait(Option<Instant>),
}

impl<M: Machine, S: Socket> Pump<M, S> {
    /// Around sockets that do not block, each with the address that it is bound to. What the machine
    /// sends from none of them in particular goes over the first of the receiver's family.
    pub fn new(machine: M, sockets: Vec<(S, SocketAddr)>) -> Self {
        let row = |(socket, local)| Row { socket, local, is_ready: true, vain: 0 };
        let sockets = sockets.into_iter().map(row).collect();
        Self {
            machine,
            sockets,
            turn: 0,
            started: std::time::Instant::now(),
            outbox: buffer(),
            inbox: Box::new([0; 65_536]),
        }
    }

    /// The present, counted from when this was made.
    pub fn now(&self) -> Instant {
        START + self.started.elapsed()
    }

    /// An instant on the operating system's clock; none if that cannot tell of it.
    pub fn on_the_clock(&self, at: Instant) -> Option<std::time::Instant> {
        self.started.checked_add(at.since(START))
    }

    /// How many sockets there are.
    pub fn count(&self) -> usize {
        self.sockets.len()
    }

    /// A socket.
    pub fn socket(&self, index: usize) -> Option<&S> {
        self.sockets.get(index).map(|row| &row.socket)
    }

    /// Says that a socket may have something to read.
    pub fn set_ready(&mut self, index: usize) {
        if let Some(row) = self.sockets.get_mut(index) {
            row.is_ready = true;
        }
    }

    /// Whether any socket may have something to read.
    pub fn is_ready(&self) -> bool {
        self.sockets.iter().any(|row| row.is_ready)
    }

    /// Whether a socket is told to be ready and never has anything: an error that stays, or somebody
    /// else who reads. To wait for it would be to spin.
    pub fn is_vain(&self, index: usize) -> bool {
        self.sockets.get(index).is_some_and(|row| row.vain >= VAIN)
    }

    /// Sends what is due, until there is something to tell or nothing to do.
    pub fn step(&mut self, now: Instant) -> Next<M::Event> {
        loop {
            match self.machine.step(now, &mut self.outbox) {
                Step::Send(transmit) => {
                    let family = Family::of(&transmit.to);
                    let datagram = self.outbox.get(..transmit.len).unwrap_or_default();
                    let is_meant = |row: &&Row<S>| match transmit.from {
                        Some(local) => row.local == local,
                        None => Family::of(&row.local) == family,
                    };
                    if let Some(row) = self.sockets.iter().find(is_meant) {
                        // What cannot be sent is as good as lost on the way: the machine repeats.
                        let _ = row.socket.send_to(datagram, transmit.to);
                    }
                }
                Step::Event(event) => return Next::Event(event),
                Step::Wait(deadline) => return Next::Wait(deadline),
            }
        }
    }

    /// Takes in a datagram of the next socket that has one. `None` if there is nothing more for now,
    /// else whether the machine heeded it and is to be stepped.
    pub fn receive(&mut self) -> Option<bool> {
        for _ in 0..self.sockets.len() {
            self.turn = (self.turn + 1) % self.sockets.len();
            let row = self.sockets.get_mut(self.turn).filter(|row| row.is_ready);
            let Some(row) = row else { continue };
            match row.socket.recv_from(&mut self.inbox[..]) {
                Ok((len, from)) => {
                    row.vain = 0;
                    // What is mapped came over IPv4 to a socket for both: no machine can answer it.
                    if Family::of(&from) != Family::of(&row.local) || is_mapped(&from) {
                        return Some(false);
                    }
                    let (local, now) = (row.local, self.now());
                    let datagram = self.inbox.get(..len).unwrap_or_default();
                    let taken = self.machine.handle_datagram_at(now, local, from, datagram);
                    return Some(taken.is_ok());
                }
                // Somebody's port is closed: an ICMP message of an earlier datagram.
                Err(error) if is_of_another(error.kind()) => return Some(false),
                // Nothing that asking again at once would mend.
                Err(_) => {
                    row.is_ready = false;
                    row.vain = row.vain.saturating_add(1);
                }
            }
        }
        None
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
pub fn stopwatch() -> impl Fn() -> Duration {
    let begun = std::time::Instant::now();
    move || begun.elapsed()
}
