//! The checker of the eight laws that `tinybt_core::machine` states, for any machine.
//!
//! A machine is made twice from one seed: one is tried, its twin is spared the datagrams that the
//! first ignored (Deafness). Whatever they do is compared, step by step. If they differ, all is
//! tried again with a twin that is spared nothing (Replay). A fuzzer, for which how many inputs it
//! tries counts for more than what is seen of each, looks at most of them in [passing](glance).

use std::collections::VecDeque;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::time::Duration;

use tinybt_core::{Buffer, Instant, Machine, Step, buffer};

/// One input.
#[derive(Clone, Debug)]
pub enum Op {
    /// A datagram arrives.
    Datagram(SocketAddr, Vec<u8>),
    /// A question arrives, one of the subject's.
    Query(SocketAddr, u8),
    /// An answer arrives to one of the datagrams sent, in one of the subject's ways: now and then
    /// from somebody else.
    Answer(usize, u8),
    /// Time passes.
    Advance(Duration),
    /// Time passes up to the deadline.
    Deadline,
    /// The clock is set back.
    Back(Duration),
    /// A command of the application.
    Command(u8),
}

/// What there is to check, and how to speak to it.
pub trait Subject {
    /// The machine.
    type Machine: Machine<Event: Debug + PartialEq>;

    /// What names a command: no two of one machine have the same.
    type Name: Debug + PartialEq;

    /// The most datagrams that one input may lead to.
    const ROWS: usize;

    /// A machine, always the same.
    fn make(&self) -> Self::Machine;

    /// Gives a command; returns a name for it if it was accepted.
    fn command(&self, machine: &mut Self::Machine, now: Instant, which: u8) -> Option<Self::Name>;

    /// The command that an event ends.
    fn ends(&self, event: &<Self::Machine as Machine>::Event) -> Option<Self::Name>;

    /// The addresses that its sockets are bound to; none if it does not tell them apart.
    fn locals(&self) -> Vec<SocketAddr> {
        Vec::new()
    }

    /// A question to the machine, if it is asked any.
    fn query(&self, _way: u8) -> Option<Vec<u8>> {
        None
    }

    /// An answer to a datagram that the machine sent, or what follows on an answer.
    fn answer(&self, sent: &[u8], way: u8) -> Vec<u8>;
}

/// A law that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub law: &'static str,
    /// How.
    pub how: String,
}

fn broken<T>(law: &'static str, how: impl Into<String>) -> Result<T, Broken> {
    Err(Broken { law, how: how.into() })
}

/// From which of its addresses, and where to.
type Way = (Option<SocketAddr>, SocketAddr);

/// Tries a subject with a list of inputs.
///
/// # Errors
///
/// The law that was broken. Composure breaks by panic.
pub fn check<S: Subject>(subject: &S, ops: &[Op]) -> Result<(), Broken> {
    let spared = Trial::run(subject, ops, "Deafness");
    match &spared {
        Err(Broken { law: "Deafness", .. }) => Trial::run(subject, ops, "Replay").and(spared),
        _ => spared,
    }
}

/// The same for a fraction of the time: without a twin, so that Replay and Deafness are not looked
/// at, at one instant before a deadline after something was done, and in strides to the end of the
/// last command, by a driver that is late.
///
/// # Errors
///
/// The law that was broken. Composure breaks by panic.
pub fn glance<S: Subject>(subject: &S, ops: &[Op]) -> Result<(), Broken> {
    let mut trial = Trial::new(subject, None, "Replay");
    trial.play(ops)?;
    trial.mortality(|trial, round| {
        let Some(at) = trial.deadline else { return Ok(()) };
        // Each stride is twice as long as the one before, up to some minutes.
        let stride = Duration::from_secs(1 << round.min(9));
        trial.now = at.max(trial.now + stride);
        trial.settle().map(drop)
    })
}

/// Datagrams that may be answered: the last that were sent.
const SENT_MAX: usize = 64;

struct Trial<'a, S: Subject> {
    subject: &'a S,
    tried: S::Machine,
    twin: Option<S::Machine>,
    /// The law that is broken where the two differ.
    law: &'static str,
    now: Instant,
    deadline: Option<Instant>,
    buffer: Buffer,
    other: Buffer,
    sent: VecDeque<(Way, Vec<u8>)>,
    locals: Vec<SocketAddr>,
    /// Commands accepted, and how often each ended.
    commands: Vec<(S::Name, u32)>,
}

impl<'a, S: Subject> Trial<'a, S> {
    fn run(subject: &'a S, ops: &[Op], law: &'static str) -> Result<(), Broken> {
        let mut trial = Self::new(subject, Some(subject.make()), law);
        trial.play(ops)?;
        trial.mortality(|trial, _| trial.punctuality())
    }

    fn new(subject: &'a S, twin: Option<S::Machine>, law: &'static str) -> Self {
        Self {
            subject,
            tried: subject.make(),
            twin,
            law,
            now: Instant::from_secs(1_000),
            deadline: None,
            buffer: buffer(),
            other: buffer(),
            sent: VecDeque::new(),
            locals: subject.locals(),
            commands: Vec::new(),
        }
    }

    fn play(&mut self, ops: &[Op]) -> Result<(), Broken> {
        self.settle()?;
        ops.iter().try_for_each(|op| self.apply(op))
    }

    fn apply(&mut self, op: &Op) -> Result<(), Broken> {
        match op {
            Op::Datagram(from, bytes) => {
                let local = self.local(*from, bytes.len());
                self.datagram((local, *from), bytes)?;
            }
            Op::Query(from, way) => {
                let Some(bytes) = self.subject.query(*way) else { return Ok(()) };
                let local = self.local(*from, usize::from(*way));
                self.datagram((local, *from), &bytes)?;
            }
            Op::Answer(which, kind) => {
                if self.sent.is_empty() {
                    return Ok(());
                }
                let (way, bytes) = &self.sent[which % self.sent.len()];
                let answer = self.subject.answer(bytes, *kind);
                // Now and then from whom the next one went to.
                let next = &self.sent[(which % self.sent.len() + 1) % self.sent.len()];
                let way = if which / 32 % 8 == 7 { next.0 } else { *way };
                self.datagram(way, &answer)?;
            }
            Op::Advance(time) => {
                self.now = self.now + *time;
                self.settle()?;
            }
            Op::Deadline => self.punctuality()?,
            Op::Back(time) => {
                let micros = self.now.as_micros().saturating_sub(time.as_micros() as u64);
                self.now = Instant::from_micros(micros);
                self.settle()?;
            }
            Op::Command(which) => {
                let named = self.subject.command(&mut self.tried, self.now, *which);
                if let Some(twin) = &mut self.twin {
                    let again = self.subject.command(twin, self.now, *which);
                    if named != again {
                        return broken(self.law, format!("{named:?} and {again:?}"));
                    }
                }
                if let Some(name) = named {
                    if self.commands.iter().any(|(before, _)| *before == name) {
                        return broken("Mortality", format!("{name:?} names two commands"));
                    }
                    self.commands.push((name, 0));
                }
                self.settle()?;
            }
        }
        Ok(())
    }

    /// Any of its addresses, now and then one of the other family.
    fn local(&self, from: SocketAddr, which: usize) -> Option<SocketAddr> {
        let is_near = |local: &&SocketAddr| local.is_ipv6() == from.is_ipv6();
        let any = which % (self.locals.iter().filter(is_near).count() + 1);
        let local = self.locals.iter().filter(is_near).nth(any);
        local.or(self.locals.first()).copied()
    }

    fn datagram(&mut self, (local, from): Way, bytes: &[u8]) -> Result<(), Broken> {
        let now = self.now;
        let hand = |machine: &mut S::Machine| match local {
            Some(local) => machine.handle_datagram_at(now, local, from, bytes),
            None => machine.handle_datagram(now, from, bytes),
        };
        let taken = hand(&mut self.tried);
        if let Some(twin) = &mut self.twin
            && (taken.is_ok() || self.law == "Replay")
        {
            let again = hand(twin);
            if taken != again {
                return broken(self.law, format!("{taken:?} and {again:?}"));
            }
        }
        self.settle().map(drop)
    }

    /// Drains both, compares step by step, and looks at what the first does. Returns whether
    /// anything was done.
    fn settle(&mut self) -> Result<bool, Broken> {
        let (now, mut sent, mut told) = (self.now, 0, 0);
        loop {
            let step = self.tried.step(now, &mut self.buffer);
            if let Some(twin) = &mut self.twin {
                let again = twin.step(now, &mut self.other);
                if step != again {
                    return broken(self.law, format!("{step:?} and {again:?} at {now:?}"));
                }
            }
            match step {
                Step::Send(transmit) => {
                    sent += 1;
                    if sent > S::ROWS {
                        let how = format!("more than {} datagrams in one drain", S::ROWS);
                        return broken("Measure", how);
                    }
                    self.note((transmit.from, transmit.to), transmit.len)?;
                }
                Step::Event(event) => {
                    told += 1;
                    if told > 100_000 {
                        return broken("Measure", "events without end");
                    }
                    self.hear(&event)?;
                }
                Step::Wait(deadline) => {
                    if deadline.is_some_and(|at| at <= now) {
                        return broken("Progress", format!("waits for {deadline:?} at {now:?}"));
                    }
                    self.deadline = deadline;
                    break;
                }
            }
        }
        let done = sent + told > 0;
        if done || self.twin.is_some() {
            self.patience()?;
        }
        Ok(done)
    }

    /// Keeps a datagram that was sent: it may be answered.
    fn note(&mut self, way: Way, len: usize) -> Result<(), Broken> {
        let (bytes, again) = (&self.buffer[..len], &self.other[..len]);
        if self.twin.is_some() && bytes != again {
            return broken(self.law, format!("{bytes:?} and {again:?}"));
        }
        let oldest = if self.sent.len() < SENT_MAX { None } else { self.sent.pop_front() };
        let mut kept = oldest.map(|(_, bytes)| bytes).unwrap_or_default();
        kept.clear();
        kept.extend_from_slice(bytes);
        self.sent.push_back((way, kept));
        Ok(())
    }

    /// Counts the ends of commands.
    fn hear(&mut self, event: &<S::Machine as Machine>::Event) -> Result<(), Broken> {
        let Some(name) = self.subject.ends(event) else { return Ok(()) };
        match self.commands.iter_mut().find(|(begun, _)| *begun == name) {
            None => return broken("Mortality", format!("{name:?} was never begun")),
            Some((_, count)) if *count > 0 => {
                return broken("Mortality", format!("{name:?} ends twice"));
            }
            Some((_, count)) => *count += 1,
        }
        Ok(())
    }

    /// Nothing is to be done before the deadline.
    fn patience(&mut self) -> Result<(), Broken> {
        let until = self.deadline.unwrap_or(self.now + Duration::from_secs(3_600));
        let (from, to) = (self.now.as_micros(), until.as_micros());
        let instants = [to.saturating_sub(1).max(from), from + (to - from) / 2, from];
        for at in &instants[..if self.twin.is_some() { 3 } else { 1 }] {
            let at = Instant::from_micros(*at);
            // Both, as looking may be counted: whose turn it is to be asked first.
            for machine in [Some(&mut self.tried), self.twin.as_mut()].into_iter().flatten() {
                match machine.step(at, &mut self.buffer) {
                    Step::Wait(deadline) if deadline == self.deadline => {}
                    step => {
                        let due = self.deadline;
                        return broken("Patience", format!("{step:?} at {at:?}, due {due:?}"));
                    }
                }
            }
        }
        Ok(())
    }

    fn punctuality(&mut self) -> Result<(), Broken> {
        let Some(at) = self.deadline else { return Ok(()) };
        self.now = at;
        let done = self.settle()?;
        if !done && self.deadline == Some(at) {
            return broken("Punctuality", format!("nothing happens at {at:?}"));
        }
        Ok(())
    }

    /// Every command ends, if time passes in rounds.
    fn mortality(
        &mut self,
        mut pass: impl FnMut(&mut Self, u32) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        for round in 0..5_000 {
            if self.commands.iter().all(|(_, count)| *count == 1) {
                return Ok(());
            }
            if self.deadline.is_none() {
                break;
            }
            pass(self, round)?;
        }
        let left: Vec<_> = self.commands.iter().filter(|(_, count)| *count == 0).collect();
        if left.is_empty() { Ok(()) } else { broken("Mortality", format!("{left:?} never end")) }
    }
}
