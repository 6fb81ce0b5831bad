//! The checker of the eight laws that `tinybt_core::machine` states, for any machine.
//!
//! A machine is made three times from one seed: one is tried, one is given the very same (Replay),
//! one is spared the datagrams that the first ignored (Deafness). Whatever they do is compared.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::time::Duration;

use tinybt_core::{Buffer, Instant, Machine, Step, buffer};

/// One input.
#[derive(Clone, Debug)]
pub enum Op {
    /// A datagram arrives.
    Datagram(SocketAddr, Vec<u8>),
    /// An answer arrives to one of the datagrams sent, in one of the subject's ways.
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

    /// The most datagrams that one input may lead to.
    const ROWS: usize;

    /// A machine, always the same.
    fn make(&self) -> Self::Machine;

    /// Gives a command; returns a name for it if it was accepted.
    fn command(&self, machine: &mut Self::Machine, now: Instant, which: u8) -> Option<String>;

    /// The command that an event ends.
    fn ends(&self, event: &<Self::Machine as Machine>::Event) -> Option<String>;

    /// The addresses that its sockets are bound to; none if it does not tell them apart.
    fn locals(&self) -> Vec<SocketAddr> {
        Vec::new()
    }

    /// An answer to a datagram that the machine sent.
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

#[derive(Debug, PartialEq)]
enum Seen<E> {
    Sent(Way, Vec<u8>),
    Told(E),
}

struct Drained<E> {
    seen: Vec<Seen<E>>,
    deadline: Option<Instant>,
}

fn drain<M: Machine>(
    machine: &mut M,
    now: Instant,
    buffer: &mut Buffer,
    rows: usize,
) -> Result<Drained<M::Event>, Broken> {
    let (mut seen, mut sent) = (Vec::new(), 0);
    loop {
        match machine.step(now, buffer) {
            Step::Send(transmit) => {
                sent += 1;
                if sent > rows {
                    return broken("Measure", format!("more than {rows} datagrams in one drain"));
                }
                let way = (transmit.from, transmit.to);
                seen.push(Seen::Sent(way, buffer[..transmit.len].to_vec()));
            }
            Step::Event(event) => {
                if seen.len() > 100_000 {
                    return broken("Measure", "events without end");
                }
                seen.push(Seen::Told(event));
            }
            Step::Wait(deadline) => {
                if deadline.is_some_and(|at| at <= now) {
                    return broken("Progress", format!("waits for {deadline:?} at {now:?}"));
                }
                return Ok(Drained { seen, deadline });
            }
        }
    }
}

/// Tries a subject with a list of inputs.
///
/// # Errors
///
/// The law that was broken. Composure breaks by panic.
pub fn check<S: Subject>(subject: &S, ops: &[Op]) -> Result<(), Broken> {
    let mut trial = Trial::new(subject)?;
    for op in ops {
        trial.apply(op)?;
    }
    trial.mortality()
}

struct Trial<'a, S: Subject> {
    subject: &'a S,
    tried: S::Machine,
    replayed: S::Machine,
    deaf: S::Machine,
    now: Instant,
    deadline: Option<Instant>,
    buffer: Buffer,
    sent: Vec<(Way, Vec<u8>)>,
    locals: Vec<SocketAddr>,
    /// Commands accepted, and how often each ended.
    commands: BTreeMap<String, u32>,
}

impl<'a, S: Subject> Trial<'a, S> {
    fn new(subject: &'a S) -> Result<Self, Broken> {
        let mut trial = Self {
            subject,
            tried: subject.make(),
            replayed: subject.make(),
            deaf: subject.make(),
            now: Instant::from_secs(1_000),
            deadline: None,
            buffer: buffer(),
            sent: Vec::new(),
            locals: subject.locals(),
            commands: BTreeMap::new(),
        };
        trial.settle()?;
        Ok(trial)
    }

    fn apply(&mut self, op: &Op) -> Result<(), Broken> {
        match op {
            Op::Datagram(from, bytes) => {
                // To any of its addresses, now and then one of the other family.
                let locals = self.locals.iter();
                let locals: Vec<_> =
                    locals.filter(|local| local.is_ipv6() == from.is_ipv6()).collect();
                let any = bytes.len() % (locals.len() + 1);
                let local = locals.get(any).copied().or(self.locals.first()).copied();
                self.datagram((local, *from), bytes)?;
            }
            Op::Answer(which, kind) => {
                if self.sent.is_empty() {
                    return Ok(());
                }
                let (way, bytes) = self.sent[which % self.sent.len()].clone();
                let answer = self.subject.answer(&bytes, *kind);
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
                let again = self.subject.command(&mut self.replayed, self.now, *which);
                let deaf = self.subject.command(&mut self.deaf, self.now, *which);
                if named != again {
                    return broken("Replay", format!("{named:?} and {again:?}"));
                }
                if named != deaf {
                    return broken("Deafness", format!("{named:?} and {deaf:?}"));
                }
                let twice = |name: &String| self.commands.insert(name.clone(), 0).is_some();
                if let Some(name) = named.filter(twice) {
                    return broken("Mortality", format!("{name} names two commands"));
                }
                self.settle()?;
            }
        }
        Ok(())
    }

    fn datagram(&mut self, (local, from): Way, bytes: &[u8]) -> Result<(), Broken> {
        let now = self.now;
        let hand = |machine: &mut S::Machine| match local {
            Some(local) => machine.handle_datagram_at(now, local, from, bytes),
            None => machine.handle_datagram(now, from, bytes),
        };
        let taken = hand(&mut self.tried);
        let again = hand(&mut self.replayed);
        if taken != again {
            return broken("Replay", format!("{taken:?} and {again:?}"));
        }
        if taken.is_ok() {
            let deaf = hand(&mut self.deaf);
            if deaf != taken {
                return broken("Deafness", format!("{taken:?} and {deaf:?}"));
            }
        }
        self.settle().map(drop)
    }

    /// Drains all three and compares. Returns whether anything was done.
    fn settle(&mut self) -> Result<bool, Broken> {
        let (now, rows) = (self.now, S::ROWS);
        let tried = drain(&mut self.tried, now, &mut self.buffer, rows)?;
        let replayed = drain(&mut self.replayed, now, &mut self.buffer, rows)?;
        let deaf = drain(&mut self.deaf, now, &mut self.buffer, rows)?;
        if tried.seen != replayed.seen || tried.deadline != replayed.deadline {
            return broken("Replay", format!("{:?} and {:?}", tried.seen, replayed.seen));
        }
        if tried.seen != deaf.seen || tried.deadline != deaf.deadline {
            return broken(
                "Deafness",
                format!(
                    "{:?}, {:?} and {:?}, {:?}",
                    tried.seen, tried.deadline, deaf.seen, deaf.deadline
                ),
            );
        }
        self.deadline = tried.deadline;
        let done = !tried.seen.is_empty();
        for seen in tried.seen {
            match seen {
                Seen::Sent(way, bytes) => {
                    if self.sent.len() >= 64 {
                        self.sent.remove(0);
                    }
                    self.sent.push((way, bytes));
                }
                Seen::Told(event) => {
                    let Some(name) = self.subject.ends(&event) else { continue };
                    match self.commands.get_mut(&name) {
                        None => return broken("Mortality", format!("{name} was never begun")),
                        Some(count) if *count > 0 => {
                            return broken("Mortality", format!("{name} ends twice"));
                        }
                        Some(count) => *count += 1,
                    }
                }
            }
        }
        self.patience()?;
        Ok(done)
    }

    fn patience(&mut self) -> Result<(), Broken> {
        let until = self.deadline.unwrap_or(self.now + Duration::from_secs(3_600));
        let (from, to) = (self.now.as_micros(), until.as_micros());
        for at in [from, from + (to - from) / 2, to.saturating_sub(1).max(from)] {
            let at = Instant::from_micros(at);
            for machine in [&mut self.tried, &mut self.replayed, &mut self.deaf] {
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

    fn mortality(&mut self) -> Result<(), Broken> {
        for _ in 0..5_000 {
            if self.commands.values().all(|count| *count == 1) {
                return Ok(());
            }
            if self.deadline.is_none() {
                break;
            }
            self.punctuality()?;
        }
        let left: Vec<_> = self.commands.iter().filter(|(_, count)| **count == 0).collect();
        if left.is_empty() { Ok(()) } else { broken("Mortality", format!("{left:?} never end")) }
    }
}
