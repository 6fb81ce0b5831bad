//! NAT boxes (RFC 4787): which address the outside sees, and who is let in.
//!
//! | kind | the outside sees | let in |
//! |---|---|---|
//! | full cone | one port for all | everybody, while the mapping lives |
//! | restricted | one port for all | addresses that were sent to lately |
//! | port-restricted | one port for all | addresses and ports that were sent to lately |
//! | symmetric | a port for each receiver | that receiver |
//!
//! A mapping lives as long as something goes out through it once in a while, as RFC 4787 has it
//! (REQ-5, REQ-6). The one port of the first three kinds is the host's own, which most boxes keep
//! where they can. A box has an IP address of its own.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use chacha20::ChaCha8Rng;
use tinybt_core::Instant;

use super::part::{Part, Route, Way};

/// A kind of box before a host, that lets in less than everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nat {
    /// None: everything comes in.
    Open,
    /// Everything comes in while the host is heard now and then.
    FullCone,
    /// Datagrams from hosts that the host has sent to.
    Restricted,
    /// Datagrams from addresses and ports that the host has sent to.
    PortRestricted,
    /// The same, and each receiver sees another port.
    Symmetric,
}

impl Nat {
    /// Every kind.
    pub const ALL: [Nat; 5] =
        [Nat::Open, Nat::FullCone, Nat::Restricted, Nat::PortRestricted, Nat::Symmetric];
}

/// A box with its mappings.
#[derive(Clone, Debug)]
pub struct NatBox {
    kind: Nat,
    timeout: Duration,
    /// When something went out last: to whom, port 0 where the port does not matter.
    sent: HashMap<SocketAddr, Sent>,
    /// Symmetric: which receiver a port is for, and where the host is.
    ports: HashMap<u16, SocketAddr>,
    inside: Option<SocketAddr>,
    last: Option<Instant>,
    next_port: u16,
    swept: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    at: Instant,
    port: u16,
}

impl NatBox {
    /// Ports given out by a symmetric box begin here.
    const PORT_MIN: u16 = 20_000;
    /// How long most boxes keep a mapping for UDP at least (RFC 4787, REQ-5).
    pub const TIMEOUT: Duration = Duration::from_secs(120);

    /// A box without any mapping, that forgets one after `timeout`.
    pub fn new(kind: Nat, timeout: Duration) -> Self {
        Self {
            kind,
            timeout,
            sent: HashMap::new(),
            ports: HashMap::new(),
            inside: None,
            last: None,
            next_port: Self::PORT_MIN,
            swept: Instant::EPOCH,
        }
    }

    /// How many receivers it remembers.
    pub fn len(&self) -> usize {
        self.sent.len()
    }

    /// Whether it remembers nobody.
    pub fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    fn receiver(&self, to: SocketAddr) -> SocketAddr {
        match self.kind {
            Nat::Restricted => SocketAddr::new(to.ip(), 0),
            _ => to,
        }
    }

    fn lives(&self, now: Instant, at: Instant) -> bool {
        now.since(at) < self.timeout
    }

    fn sweep(&mut self, now: Instant) {
        if now.since(self.swept) < self.timeout {
            return;
        }
        self.swept = now;
        let (timeout, ports) = (self.timeout, &mut self.ports);
        self.sent.retain(|_, sent| {
            let lives = now.since(sent.at) < timeout;
            if !lives {
                ports.remove(&sent.port);
            }
            lives
        });
        self.sent.shrink_to_fit();
        self.ports.shrink_to_fit();
    }

    fn free_port(&mut self) -> u16 {
        // Mappings are far fewer than ports: they are swept.
        while self.ports.contains_key(&self.next_port) {
            self.next_port = self.next_port.wrapping_add(1).max(Self::PORT_MIN);
        }
        let port = self.next_port;
        self.next_port = port.wrapping_add(1).max(Self::PORT_MIN);
        port
    }

    fn out(&mut self, now: Instant, route: &mut Route) {
        self.inside = Some(route.from);
        self.last = Some(now);
        if matches!(self.kind, Nat::Open | Nat::FullCone) {
            return;
        }
        self.sweep(now);
        let to = self.receiver(route.to);
        let known = self.sent.get(&to).filter(|sent| self.lives(now, sent.at)).copied();
        let mut port = known.map_or(0, |sent| sent.port);
        if self.kind == Nat::Symmetric && port == 0 {
            if let Some(old) = self.sent.get(&to) {
                self.ports.remove(&old.port);
            }
            port = self.free_port();
            self.ports.insert(port, to);
        }
        self.sent.insert(to, Sent { at: now, port });
        if self.kind == Nat::Symmetric {
            route.from.set_port(port);
        }
    }

    fn lets_in(&self, now: Instant, route: &mut Route) -> bool {
        let lives = |sent: &Sent| self.lives(now, sent.at);
        match self.kind {
            Nat::Open => true,
            Nat::FullCone => self.last.is_some_and(|last| self.lives(now, last)),
            Nat::Restricted | Nat::PortRestricted => {
                self.inside == Some(route.to)
                    && self.sent.get(&self.receiver(route.from)).is_some_and(lives)
            }
            Nat::Symmetric => {
                let meant = self.ports.get(&route.to.port()) == Some(&route.from)
                    && self.sent.get(&route.from).is_some_and(lives);
                if let Some(inside) = self.inside.filter(|_| meant) {
                    route.to = inside;
                }
                meant
            }
        }
    }
}

impl Part for NatBox {
    fn pass(
        &mut self,
        now: Instant,
        way: Way,
        route: &mut Route,
        _: usize,
        _: &mut ChaCha8Rng,
    ) -> Option<Duration> {
        let passes = match way {
            Way::Out => {
                self.out(now, route);
                true
            }
            Way::In => self.lets_in(now, route),
        };
        passes.then_some(Duration::ZERO)
    }
}
