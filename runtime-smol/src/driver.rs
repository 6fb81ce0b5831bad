//! The loop around a machine: waiting for its sockets and its deadline, and for nothing else. An
//! idle machine costs nothing. Knows no protocol.

use std::future::poll_fn;
use std::io;
use std::net::UdpSocket;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_io::{Async, Timer};
use tinybt_core::{Instant, Machine};
use tinybt_runtime::{Next, Pump};

use crate::bell::Bell;
use crate::watched::Watched;

/// Datagrams that are taken in before other tasks have their turn.
const BATCH: usize = 64;
/// How long a socket is left alone that is told to be ready and has nothing.
const REST: Duration = Duration::from_millis(100);

/// A machine with its sockets. Await [`Driver::next`] for ever.
pub struct Driver<M> {
    pump: Pump<M, Watched>,
    timer: Timer,
    /// What the timer is set to.
    armed: Option<Instant>,
    /// How long sockets are left alone that are told to be ready and have nothing.
    rest: Option<Instant>,
    bell: Bell,
}

impl<M: Machine> Driver<M> {
    /// Around bound sockets. What the machine sends from none of them in particular goes over the
    /// first of the receiver's family.
    ///
    /// # Errors
    ///
    /// What the operating system says about watching them.
    pub fn new(machine: M, sockets: Vec<UdpSocket>) -> io::Result<Self> {
        let mut watched = Vec::with_capacity(sockets.len());
        for socket in sockets {
            let local = socket.local_addr()?;
            watched.push((Watched(Async::new(socket)?), local));
        }
        let pump = Pump::new(machine, watched);
        Ok(Self { pump, timer: Timer::never(), armed: None, rest: None, bell: Bell::new() })
    }

    /// The machine, to be given commands between events and to be asked for an event's rows.
    pub fn machine(&mut self) -> &mut M {
        &mut self.pump.machine
    }

    /// The present, counted from when the driver was made.
    pub fn now(&self) -> Instant {
        self.pump.now()
    }

    /// Drives the machine until it has something to tell, whose rows can be read from it until the
    /// next call. Dropping the future loses nothing: what was taken in is in the machine.
    ///
    /// A command may make work or move the deadline: call this again after one.
    ///
    /// # Errors
    ///
    /// What the operating system says about waiting. Errors of single datagrams end nothing: on
    /// the internet they are no news.
    pub async fn next(&mut self) -> io::Result<M::Event> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// The same as [`Driver::next`] for those who poll.
    ///
    /// # Errors
    ///
    /// As [`Driver::next`].
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<io::Result<M::Event>> {
        let (mut is_heeded, mut deadline) = (true, None);
        let (mut now, mut taken) = (self.pump.now(), 0);
        loop {
            if is_heeded {
                match self.pump.step(now) {
                    Next::Event(event) => return Poll::Ready(Ok(event)),
                    Next::Wait(at) => deadline = at,
                }
            }
            if taken >= BATCH && !self.pump.has_more() {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            taken += 1;
            (is_heeded, now) = match self.pump.receive() {
                Some(is_heeded) => (is_heeded, self.pump.present()),
                None => {
                    ready!(self.poll_wait(deadline, context))?;
                    (true, self.pump.now())
                }
            };
        }
    }

    fn poll_wait(
        &mut self,
        deadline: Option<Instant>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let now = self.pump.now();
        let (mut until, mut is_over) = (deadline, false);
        let waker = self.bell.wakes(context);
        let context = &mut Context::from_waker(&waker);
        for index in 0..self.pump.count() {
            if self.pump.is_vain(index) {
                // The reactor would tell of it again and again.
                let rest = *self.rest.get_or_insert(now + REST);
                until = Some(until.map_or(rest, |until| until.min(rest)));
                if rest > now {
                    continue;
                }
            } else if let Some(socket) = self.pump.socket(index) {
                let Poll::Ready(readable) = socket.0.poll_readable(context) else { continue };
                readable?;
            }
            self.pump.set_ready(index);
            is_over = true;
        }
        if is_over {
            self.rest = None;
            return Poll::Ready(Ok(()));
        }
        if self.armed != until {
            self.armed = until;
            match until.and_then(|at| self.pump.on_the_clock(at)) {
                Some(at) => self.timer.set_at(at),
                None => self.timer = Timer::never(),
            }
        }
        ready!(Pin::new(&mut self.timer).poll(context));
        self.armed = None;
        Poll::Ready(Ok(()))
    }
}
