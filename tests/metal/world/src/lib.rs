//! A network inside of an image: what a program without an operating system, without an allocator
//! and without a network card shows a node and a tracker client, and what these find in it.
//!
//! Time is a number that goes from deadline to deadline. The firmware, the WebAssembly module and
//! the program without libc of `tests/no_std` run the same [`run`], and differ in where its lines
//! go and how they tell that all was found.
#![no_std]
#![forbid(unsafe_code)]

mod network;
mod random;

use core::fmt::{self, Write};

use tinybt_core::dht::{self, Config, Node, Port};
use tinybt_core::tracker::udp::{Inline, Patience, UdpTrackers};
use tinybt_core::{Announce, Buffer, Either, Family, Instant, Machine, PeerId, Step, buffer};

use network::{Network, OURS, SWARMS, TRACKED, TRACKER, neighbour};
pub use random::Counter;

tinybt_core::storage! {
    /// A node of two lookups.
    pub struct Small {
        lookups: 2,
        in_flight: 24,
        asks: 1,
        questions: 1,
        replies: 4,
        buckets: 8,
        peers_per_lookup: 64,
        hops: 0,
        peers_stored: 64,
        items: 0,
        shunned: 16,
        sources: 16,
        census: false,
    }
}

/// The client of one tracker.
pub type OneTracker = Inline<1, 16, 1, 1>;

/// Two protocols on one socket.
pub type Machines = (Node<Small, Counter>, UdpTrackers<OneTracker, Counter>);

/// The machines that a firmware has. Not inlined: the caller would keep room on its stack for what
/// is copied while they are made.
#[inline(never)]
pub fn machines() -> Machines {
    let node = Node::new(Config::new(Family::V4), Small, Counter(1));
    (node, UdpTrackers::new(Inline, Counter(2)))
}

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Peers of the first swarm.
    pub first: u32,
    /// Peers of the second, by a lookup that went on at the same time.
    pub second: u32,
    /// Neighbours that confirmed our announce.
    pub stored: u8,
    /// Peers of the first swarm afterwards.
    pub again: u32,
    /// Whether we are among these.
    pub ourselves: bool,
    /// Peers that the tracker told of.
    pub tracked: u32,
}

impl Found {
    /// What there is to be found.
    pub const ALL: Found = Found {
        first: SWARMS[0].peers as u32,
        second: SWARMS[1].peers as u32,
        stored: 8,
        again: SWARMS[0].peers as u32 + 1,
        ourselves: true,
        tracked: TRACKED as u32,
    };
}

/// Looks for the peers of two swarms at once, announces us in one of them and to a tracker, and
/// looks again, to find us there. Writes what it sees.
///
/// # Errors
///
/// [`fmt::Error`] if it cannot be written, or there was no room for a lookup.
pub fn run(log: &mut dyn Write) -> Result<Found, fmt::Error> {
    let [first, second] = SWARMS.map(|swarm| swarm.info_hash);
    // Nothing that is large is moved: each move would be room for two on the stack.
    let mut machines = machines();
    let mut network = Network::new();
    let mut image = Image {
        machines: &mut machines,
        network: &mut network,
        now: Instant::from_secs(1),
        buffer: buffer(),
    };
    let (node, trackers) = &mut *image.machines;
    node.add_source(neighbour(0));
    let announced = node.announce(image.now, first, Port::Number(OURS.port())).map_err(no_room)?;
    let other = node.get_peers(image.now, second).map_err(no_room)?;
    let tracker = trackers.add(TRACKER, b"/announce").map_err(no_room)?;
    let announce = Announce::new(first, PeerId(*b"-tB0100-on bare meta"), 1, OURS.port());
    trackers.announce(tracker, announce, Patience::BEP_15).map_err(no_room)?;

    let mut found = Found::default();
    let mut under_way = 4;
    while under_way > 0 {
        let Some(event) = image.event() else { break };
        let now = image.now;
        match event {
            Either::First(dht::Event::Peer { lookup, peer }) => {
                if lookup == announced {
                    found.first += 1;
                } else if lookup == other {
                    found.second += 1;
                } else {
                    found.again += 1;
                    found.ourselves |= peer == OURS;
                }
                let swarm = if lookup == other { second } else { first };
                writeln!(log, "{now:?} peer {peer} of {swarm}")?;
            }
            Either::First(dht::Event::Finished { lookup, outcome }) => {
                under_way -= 1;
                let dht::Outcome { peers, asked, answered, stored, .. } = outcome;
                writeln!(
                    log,
                    "{now:?} lookup over: {peers} peers, {answered} of {asked} answered"
                )?;
                if lookup == announced {
                    found.stored = stored;
                    writeln!(log, "{now:?} announce confirmed by {stored}")?;
                    image.machines.0.get_peers(now, first).map_err(no_room)?;
                }
            }
            Either::First(dht::Event::External { addr, id, .. }) => {
                writeln!(log, "{now:?} we are {id} at {addr}")?;
            }
            Either::First(_) => writeln!(log, "{now:?} the network answers")?,
            Either::Second(event) => {
                under_way -= 1;
                for peer in image.machines.1.peers(event.request()) {
                    found.tracked += 1;
                    writeln!(log, "{now:?} peer {peer} of {first}, says the tracker")?;
                }
            }
        }
    }
    let Network { sent, answered, .. } = *image.network;
    writeln!(log, "{sent} datagrams out, {answered} in")?;
    Ok(found)
}

fn no_room<E>(_: E) -> fmt::Error {
    fmt::Error
}

/// Everything: the machines, their network, and the time.
struct Image<'a> {
    machines: &'a mut Machines,
    network: &'a mut Network,
    now: Instant,
    buffer: Buffer,
}

impl Image<'_> {
    /// When there is nothing more to wait for.
    const END: Instant = Instant::from_secs(60);

    /// Lets time pass until there is something to tell; `None` at the end of all time.
    fn event(&mut self) -> Option<<Machines as Machine>::Event> {
        loop {
            match self.machines.step(self.now, &mut self.buffer) {
                Step::Event(event) => return Some(event),
                Step::Send(sent) => {
                    let datagram = self.buffer.get(..sent.len)?;
                    self.network.send(self.now, sent.to, datagram);
                }
                Step::Wait(until) => {
                    let deadlines = [until, self.network.next()];
                    let next = deadlines.into_iter().flatten().min()?;
                    if next > Self::END {
                        return None;
                    }
                    self.now = self.now.max(next);
                    self.arrive();
                }
            }
        }
    }

    /// An answer that is here by now is handed in.
    fn arrive(&mut self) {
        if let Some((from, len)) = self.network.receive(self.now, &mut self.buffer) {
            let datagram = self.buffer.get(..len).unwrap_or_default();
            let _ = self.machines.handle_datagram(self.now, from, datagram);
        }
    }
}
