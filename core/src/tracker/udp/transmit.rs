//! Time passes, and a datagram goes out: requests whose turn it is, within the pace.

use rand_core::CryptoRng;

use super::rows::{Ask, Link, Stage, Verdict};
use super::{Request, Server, Storage, UdpTrackers};
use crate::machine::{Buffer, Transmit};
use crate::rows::Handle;
use crate::time::Instant;
use crate::wire::udp_tracker::{self as wire, Hashes, UrlData, encode_request};

impl<S: Storage, R: CryptoRng> UdpTrackers<S, R> {
    pub(super) fn transmit(&mut self, now: Instant, buffer: &mut Buffer) -> Option<Transmit> {
        self.held = None;
        if !self.budget.has(now) {
            self.held = self.is_due(now).then(|| self.budget.ready_at());
            return None;
        }
        let transmit = self.next_due(now, buffer);
        if transmit.is_some() {
            self.budget.take(now);
        }
        transmit
    }

    fn is_due(&self, now: Instant) -> bool {
        self.find(|request| request.stage.is_due(now)).is_some()
    }

    fn next_due(&mut self, now: Instant, buffer: &mut Buffer) -> Option<Transmit> {
        loop {
            let due = |handle: Handle, request: &mut Request<S::Hashes>| {
                request.stage.is_due(now).then_some(handle)
            };
            let (handle, turn) = self.requests.round(self.turn, due)?;
            self.turn = turn;
            if let Some(transmit) = self.send(now, handle, buffer) {
                return Some(transmit);
            }
        }
    }

    /// A request's turn: it is sent, asks for a connection id, or is over.
    fn send(&mut self, now: Instant, handle: Handle, buffer: &mut Buffer) -> Option<Transmit> {
        let fresh = self.transaction();
        let request = self.requests.get_mut(handle)?;
        if request.stage != Stage::Ready {
            if request.repeats >= request.patience.repeats {
                request.stage = Stage::Over(Verdict::Silent);
                self.untold = true;
                return None;
            }
            request.repeats += 1;
        }
        let server = self.servers.get_mut(request.server)?;
        let until = now + request.patience.after(request.repeats);
        let connection = match &mut server.link {
            Link::Open { connection, until } if *until > now => *connection,
            Link::Asking { last, .. } => {
                request.stage = Stage::Connecting(until);
                // Somebody may have asked for the id a moment ago.
                if now.since(*last) < request.patience.first {
                    return None;
                }
                *last = now;
                return server.connect(buffer);
            }
            link @ (Link::Open { .. } | Link::None) => {
                request.stage = Stage::Connecting(until);
                *link = Link::Asking { transaction: fresh, last: now };
                return server.connect(buffer);
            }
        };
        request.stage = Stage::Sent(until);
        request.is_sent = true;
        let url = UrlData::Plain(&server.url);
        let asked = match &request.ask {
            Ask::Announce(announce) => {
                wire::Request::Announce { connection, announce: *announce, url }
            }
            Ask::Scrape(hashes) => {
                wire::Request::Scrape { connection, hashes: Hashes::Values(hashes) }
            }
        };
        let len = encode_request(buffer, request.transaction, &asked)?;
        Some(Transmit::new(server.addr, len))
    }

    /// A transaction that nobody has.
    pub(super) fn transaction(&mut self) -> u32 {
        loop {
            let new = self.random.next_u32();
            let of_server = |server: &Server<S::Url>| matches!(server.link, Link::Asking { transaction, .. } if transaction == new);
            let taken = self.requests.iter().any(|(_, request)| request.transaction == new)
                || self.servers.iter().any(|(_, server)| of_server(server));
            if !taken {
                return new;
            }
        }
    }
}

impl Stage {
    /// When its patience runs out.
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Stage::Sent(until) | Stage::Connecting(until) => Some(until),
            Stage::Ready | Stage::Over(_) | Stage::Told => None,
        }
    }

    fn is_due(self, now: Instant) -> bool {
        self == Stage::Ready || self.deadline().is_some_and(|until| until <= now)
    }
}

impl<U> Server<U> {
    /// Writes the connect request that is under way.
    fn connect(&self, buffer: &mut Buffer) -> Option<Transmit> {
        let Link::Asking { transaction, .. } = self.link else { return None };
        let len = encode_request(buffer, transaction, &wire::Request::Connect)?;
        Some(Transmit::new(self.addr, len))
    }
}
