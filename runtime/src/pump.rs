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

/// A machine with its sockets. A loop [steps](Pump::step) it until it says [`Next::Wait`], waits as
/// it likes, and lets it [receive](Pump::receive) one datagram; then again.
pub struct Pump<M, S> {
    /// The machine, to be given commands between steps.
    pub machine: M,
    sockets: Vec<(S, Family)>,
    started: std::time::Instant,
    outbox: Buffer,
    inbox: Box<[u8; 65_536]>,
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
    /// Around bound sockets that do not block, at most one of each family that the machine sends
    /// to.
    pub fn new(machine: M, sockets: Vec<(S, Family)>) -> Self {
        Self {
            machine,
            sockets,
            started: std::time::Instant::now(),
            outbox: buffer(),
            inbox: Box::new([0; 65_536]),
        }
    }

    /// The present, counted from when this was made.
    pub fn now(&self) -> Instant {
        // Not from zero, so that what was long before the start has a place.
        Self::START + self.started.elapsed()
    }

    const START: Instant = Instant::from_secs(86_400);

    /// An instant on the operating system's clock; none if that cannot tell of it.
    pub fn on_the_clock(&self, at: Instant) -> Option<std::time::Instant> {
        self.started.checked_add(at.since(Self::START))
    }

    /// The sockets.
    pub fn sockets(&self) -> impl ExactSizeIterator<Item = &S> {
        self.sockets.iter().map(|(socket, _)| socket)
    }

    /// Sends what is due, until there is something to tell or nothing to do.
    pub fn step(&mut self, now: Instant) -> Next<M::Event> {
        loop {
            match self.machine.step(now, &mut self.outbox) {
                Step::Send(transmit) => {
                    let family = Family::of(&transmit.to);
                    let datagram = self.outbox.get(..transmit.len).unwrap_or_default();
                    if let Some((socket, _)) = self.sockets.iter().find(|(_, of)| *of == family) {
                        // What cannot be sent is as good as lost on the way: the machine repeats.
                        let _ = socket.send_to(datagram, transmit.to);
                    }
                }
                Step::Event(event) => return Next::Event(event),
                Step::Wait(deadline) => return Next::Wait(deadline),
            }
        }
    }

    /// Takes in a datagram from one of the sockets. `None` if there is nothing more for now, else
    /// whether the machine heeded it and is to be stepped.
    pub fn receive(&mut self, index: usize) -> Option<bool> {
        let (socket, family) = self.sockets.get(index)?;
        match socket.recv_from(&mut self.inbox[..]) {
            // What is mapped came over IPv4 to a socket for both: no machine can answer it.
            Ok((len, from)) if Family::of(&from) == *family && !is_mapped(&from) => {
                let now = self.now();
                let datagram = self.inbox.get(..len).unwrap_or_default();
                Some(self.machine.handle_datagram(now, from, datagram).is_ok())
            }
            Ok(_) => Some(false),
            // Somebody's port is closed: an ICMP message of an earlier datagram.
            Err(error) if is_of_another(error.kind()) => Some(false),
            // Nothing that asking again at once would mend.
            Err(_) => None,
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
pub fn stopwatch() -> impl Fn() -> Duration {
    let begun = std::time::Instant::now();
    move || begun.elapsed()
}
