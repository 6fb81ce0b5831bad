//! Sockets, a clock and a machine: everything of a driver but the waiting. Knows no protocol.
//!
//! The only file of the runtimes that reads a clock.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use tinybt_core::contact::is_mapped;
use tinybt_core::{Family, Instant, Machine, Step, Transmit};

use crate::batch::{Inbox, Outbox};
use crate::socket::Socket;

/// Times that a socket may be told to be readable and give nothing, before it is said to be
/// [vain](Pump::is_vain).
const VAIN: u8 = 3;

/// When a machine begins. Not at zero, so that what was long before the start has a place.
pub(crate) const START: Instant = Instant::from_secs(86_400);

/// A machine with its sockets. A loop [steps](Pump::step) it until it says [`Next::Wait`], lets it
/// [receive](Pump::receive) one datagram, and steps it again; when there is none it waits, and says
/// which sockets [are ready](Pump::set_ready).
///
/// Datagrams that wait in a socket are taken out of it together, and what the machine sends while
/// they are handed to it one by one goes out together, when it has seen the last: see
/// [`batch`](crate::batch). Nothing is left behind where there is an event to tell, or to wait.
pub struct Pump<M, S> {
    /// The machine, to be given commands between steps.
    pub machine: M,
    sockets: Vec<Row<S>>,
    /// Whose turn it was last.
    turn: usize,
    started: std::time::Instant,
    /// When the datagrams at hand came, or the machine was stepped last.
    present: Instant,
    inbox: Inbox,
    outbox: Outbox,
    /// The machine was left after a datagram that it sent, and may have more to do.
    is_left: bool,
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
        let sockets: Vec<Row<S>> = sockets.into_iter().map(row).collect();
        let all = || sockets.iter().map(|row| &row.socket);
        let (inbox, outbox) = (Inbox::new(all()), Outbox::new(all()));
        let started = std::time::Instant::now();
        Self { machine, sockets, turn: 0, started, present: START, inbox, outbox, is_left: false }
    }

    /// The present, counted from when this was made.
    pub fn now(&self) -> Instant {
        START + self.started.elapsed()
    }

    /// When the datagrams at hand came: the present, as far as those need to know who are handed
    /// several at once.
    pub fn present(&self) -> Instant {
        self.present
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
        self.has_more() || self.sockets.iter().any(|row| row.is_ready)
    }

    /// Whether a datagram is at hand that the machine has not seen.
    pub fn has_more(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// Whether a socket is told to be ready and never has anything: an error that stays, or somebody
    /// else who reads. To wait for it would be to spin.
    pub fn is_vain(&self, index: usize) -> bool {
        self.sockets.get(index).is_some_and(|row| row.vain >= VAIN)
    }

    /// Sends what is due, until there is something to tell or nothing to do. While others are at hand,
    /// whoever has replied to a datagram is done with it, nearly always: he is asked when he has seen the
    /// last of them, and until then there is nothing to wait for.
    pub fn step(&mut self, now: Instant) -> Next<M::Event> {
        self.present = self.present.max(now);
        loop {
            match self.machine.step(now, self.outbox.place()) {
                Step::Send(transmit) => {
                    self.post(&transmit);
                    self.is_left = self.has_more();
                    if self.is_left {
                        return Next::Wait(None);
                    }
                }
                Step::Event(event) => {
                    self.send();
                    return Next::Event(event);
                }
                Step::Wait(deadline) => {
                    self.is_left = false;
                    if !self.has_more() {
                        self.send();
                    }
                    return Next::Wait(deadline);
                }
            }
        }
    }

    /// What stands in the outbox's place is to go out over the socket that is meant.
    fn post(&mut self, transmit: &Transmit) {
        let family = Family::of(&transmit.to);
        let is_meant = |row: &Row<S>| match transmit.from {
            Some(local) => row.local == local,
            None => Family::of(&row.local) == family,
        };
        if let Some(index) = self.sockets.iter().position(is_meant) {
            self.outbox.push(transmit.to, transmit.len, index);
            if self.outbox.is_full() {
                self.send();
            }
        }
    }

    /// What cannot be sent is as good as lost on the way: the machine repeats.
    fn send(&mut self) {
        let sockets = &self.sockets;
        self.outbox.send(|index| sockets.get(index).map(|row| &row.socket));
    }

    /// Takes in a datagram: one at hand, else of the next socket that has some. `None` if there is
    /// nothing more for now, else whether the machine is to be stepped: it heeded this one, or was left
    /// before.
    pub fn receive(&mut self) -> Option<bool> {
        if !self.has_more() && !self.refill()? {
            return Some(false);
        }
        let local = self.sockets.get(self.turn)?.local;
        let (from, datagram) = self.inbox.pop()?;
        // What is mapped came over IPv4 to a socket for both: no machine can answer it.
        let is_heeded = Family::of(&from) == Family::of(&local)
            && !is_mapped(&from)
            && self.machine.handle_datagram_at(self.present, local, from, datagram).is_ok();
        if is_heeded || self.has_more() {
            return Some(is_heeded);
        }
        if !self.is_left {
            // Nobody is going to step: what others of the batch were answered must not wait.
            self.send();
        }
        Some(self.is_left)
    }

    /// Takes what there is out of the next socket that has something. `None` if none has, false if
    /// it was word of an earlier datagram.
    fn refill(&mut self) -> Option<bool> {
        for _ in 0..self.sockets.len() {
            self.turn = (self.turn + 1) % self.sockets.len();
            let row = self.sockets.get_mut(self.turn).filter(|row| row.is_ready);
            let Some(row) = row else { continue };
            match self.inbox.fill(&row.socket, &row.local) {
                Ok(may_have_more) => {
                    row.is_ready = may_have_more;
                    row.vain = 0;
                    self.present = self.present.max(self.now());
                    return Some(true);
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
