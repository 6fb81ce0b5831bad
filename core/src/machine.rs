//! The contract between a protocol and whoever drives it.
//!
//! A [`Machine`] is driven by datagrams and instants, and is asked for datagrams, events and a
//! deadline. It owns no socket, clock, thread or log. The driver's loop is:
//!
//! 1. [`step`](Machine::step) until it says [`Step::Wait`], sending and reporting what it yields;
//! 2. wait for a datagram, for the deadline, or for a command of the application;
//! 3. hand a datagram to [`handle_datagram`](Machine::handle_datagram); then again from 1.
//!
//! From 1 after each datagram, and not after all that wait in a socket: there are rows for a few
//! replies, and who asks when they are taken is [`Ignored::Full`] and not answered.
//!
//! There is no outbound queue: a datagram is computed from rows of state at the moment it is
//! asked for, into the caller's buffer, so nothing grows and nothing goes stale.
//!
//! # Several protocols on one socket
//!
//! Two machines are one as a pair, `(Node, UdpTrackers)`, and three as `((A, B), C)`: a datagram is
//! offered to each in turn as long as it is [`Ignored::Foreign`], and what is foreign to all is
//! another protocol's. Messages of the DHT begin with `d`; answers of UDP trackers with three zero
//! bytes and a fourth below 4. What begins so is never `Foreign`, so a protocol that may look like
//! it has to be asked first. µTP, for one, begins with neither.
//!
//! # Several addresses
//!
//! A machine may have several local addresses of one family, where it matters over which of them a
//! datagram came and goes: to a node of the DHT each is a node of its own (BEP 45). The driver then
//! hands datagrams to [`handle_datagram_at`](Machine::handle_datagram_at), which names the socket by
//! the address that it is bound to, and sends from the socket that [`Transmit::from`] names. Whoever
//! has one socket of each family needs neither.
//!
//! # The eight laws
//!
//! Every machine keeps them, from any bytes and any order of instants; the kit has one checker.
//!
//! 1. **Measure.** After one input a drain sends at most one datagram a row, then waits.
//! 2. **Progress.** When `step(now)` says `Wait(Some(t))`, then `t > now`.
//! 3. **Patience.** Stepping at any instant before `t` does nothing and says the same `t`.
//! 4. **Punctuality.** Stepping at `t` does something, or moves `t`.
//! 5. **Deafness.** A datagram that was [`Ignored`] leaves every later observation as it was
//!    (counters apart).
//! 6. **Replay.** Same seed, same inputs: same outputs, to the byte.
//! 7. **Composure.** No input and no order of instants panics or grows memory.
//! 8. **Mortality.** In silence every accepted command ends in exactly one terminal event.

use core::fmt;
use core::net::SocketAddr;

use crate::limits::DATAGRAM_MAX;
use crate::time::Instant;

/// Where a machine writes the datagram it is asked for.
pub type Buffer = [u8; DATAGRAM_MAX];

/// A fresh, zeroed [`Buffer`].
pub const fn buffer() -> Buffer {
    [0; DATAGRAM_MAX]
}

/// A pure protocol state machine. See the [module](self) for the loop and the laws.
pub trait Machine {
    /// What the application is told: small owned facts.
    type Event;

    /// Takes in a datagram that arrived at `now` from `from`.
    ///
    /// # Errors
    ///
    /// [`Ignored`] says why the datagram changed nothing. It never means that the loop should
    /// stop. [`Ignored::Foreign`] invites the caller to offer the datagram to another protocol
    /// on the same socket.
    fn handle_datagram(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Ignored>;

    /// The same for one of several sockets: `local` is the address that it is bound to. A machine
    /// to which all are alike does not look at it.
    ///
    /// # Errors
    ///
    /// As [`Machine::handle_datagram`].
    fn handle_datagram_at(
        &mut self,
        now: Instant,
        local: SocketAddr,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Ignored> {
        let _ = local;
        self.handle_datagram(now, from, datagram)
    }

    /// Writes the next datagram that is due at `now`, if one is.
    fn poll_transmit(&mut self, now: Instant, buffer: &mut Buffer) -> Option<Transmit>;

    /// The next thing to tell the application, if there is one.
    fn poll_event(&mut self) -> Option<Self::Event>;

    /// When the machine wants to be stepped again if nothing else happens.
    ///
    /// Exact only after a drain: while a datagram or an event is still to be polled it may be in
    /// the past.
    fn poll_timeout(&self) -> Option<Instant>;

    /// One step of a drain: the next event, else the next datagram, else how long to wait.
    fn step(&mut self, now: Instant, buffer: &mut Buffer) -> Step<Self::Event> {
        step(self, now, buffer)
    }
}

/// [`Machine::step`], for those who do better at times.
pub(crate) fn step<M: Machine + ?Sized>(
    machine: &mut M,
    now: Instant,
    buffer: &mut Buffer,
) -> Step<M::Event> {
    if let Some(event) = machine.poll_event() {
        return Step::Event(event);
    }
    if let Some(transmit) = machine.poll_transmit(now, buffer) {
        return Step::Send(transmit);
    }
    // Time passing can itself make an event: poll_transmit is the door it comes in by.
    match machine.poll_event() {
        Some(event) => Step::Event(event),
        None => Step::Wait(machine.poll_timeout()),
    }
}

/// A datagram that stands in the first `len` bytes of the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where to send it.
    pub to: SocketAddr,
    /// How many bytes of the buffer it has.
    pub len: usize,
    /// The socket to send it from, by the address that it is bound to. `None`: any that reaches the
    /// receiver, and always the same.
    pub from: Option<SocketAddr>,
}

impl Transmit {
    /// From any socket.
    pub const fn new(to: SocketAddr, len: usize) -> Self {
        Self { to, len, from: None }
    }
}

/// What [`Machine::step`] found to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<E> {
    /// Send this, then step again.
    Send(Transmit),
    /// Tell the application, then step again.
    Event(E),
    /// Nothing to do before this instant (`None`: before the next datagram or command).
    Wait(Option<Instant>),
}

/// Why a datagram changed nothing. No fault of the caller's, and no reason to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ignored {
    /// Not this machine's protocol or address family: offer it to the next machine.
    Foreign,
    /// This machine's protocol, but not a message: the bencoding or a field is wrong.
    Malformed,
    /// An answer to a question that is not open, or no longer.
    Unasked,
    /// An answer to an open question, from an address that was not asked.
    WrongSource,
    /// A source that is left alone for now.
    Blocked,
    /// A question from a source that has asked more than its share.
    OverLimit,
    /// A question while this node is read-only (BEP 43).
    ReadOnly,
    /// A question while all rows for answers are taken.
    Full,
    /// A question whose sender has not shown that its address is its own (BEP 15).
    Unproven,
}

impl Ignored {
    /// Every reason, in the order of [`Ignored::index`].
    pub const ALL: [Ignored; 9] = [
        Ignored::Foreign,
        Ignored::Malformed,
        Ignored::Unasked,
        Ignored::WrongSource,
        Ignored::Blocked,
        Ignored::OverLimit,
        Ignored::ReadOnly,
        Ignored::Full,
        Ignored::Unproven,
    ];

    /// The position of this reason in [`Ignored::ALL`], for counters.
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ignored::Foreign => "not this protocol",
            Ignored::Malformed => "not a well-formed message",
            Ignored::Unasked => "answers no open question",
            Ignored::WrongSource => "answers from an address that was not asked",
            Ignored::Blocked => "comes from a source that is left alone",
            Ignored::OverLimit => "comes from a source that asks too much",
            Ignored::ReadOnly => "asks a read-only node",
            Ignored::Full => "found no room for an answer",
            Ignored::Unproven => "comes from a source that has not shown that it is there",
        })
    }
}

impl core::error::Error for Ignored {}

/// An event of one of two machines on one socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Either<A, B> {
    /// The first machine's.
    First(A),
    /// The second machine's.
    Second(B),
}

/// Two protocols, one socket: a datagram that is [`Ignored::Foreign`] to the first is offered to
/// the second.
impl<A: Machine, B: Machine> Machine for (A, B) {
    type Event = Either<A::Event, B::Event>;

    fn handle_datagram(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Ignored> {
        match self.0.handle_datagram(now, from, datagram) {
            Err(Ignored::Foreign) => self.1.handle_datagram(now, from, datagram),
            done => done,
        }
    }

    fn handle_datagram_at(
        &mut self,
        now: Instant,
        local: SocketAddr,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Ignored> {
        match self.0.handle_datagram_at(now, local, from, datagram) {
            Err(Ignored::Foreign) => self.1.handle_datagram_at(now, local, from, datagram),
            done => done,
        }
    }

    fn poll_transmit(&mut self, now: Instant, buffer: &mut Buffer) -> Option<Transmit> {
        match self.0.poll_transmit(now, buffer) {
            None => self.1.poll_transmit(now, buffer),
            some => some,
        }
    }

    fn poll_event(&mut self) -> Option<Self::Event> {
        match self.0.poll_event() {
            Some(event) => Some(Either::First(event)),
            None => self.1.poll_event().map(Either::Second),
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        earliest(self.0.poll_timeout(), self.1.poll_timeout())
    }
}

/// The earlier of two deadlines, where `None` is never.
pub(crate) fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, None) => a,
        (None, b) => b,
    }
}
