//! A datagram comes in: who says it, and what it ends or lets begin.

use core::net::SocketAddr;

use rand_core::CryptoRng;

use super::rows::{Ask, Inbox, Link, Stage, Verdict};
use super::{CONNECTION_TTL, Request, Server, Storage, UdpTrackers};
use crate::machine::Ignored;
use crate::rows::Handle;
use crate::time::Instant;
use crate::wire::udp_tracker::{DecodeError, Response, decode_response};

impl<S: Storage, R: CryptoRng> UdpTrackers<S, R> {
    pub(super) fn receive(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Ignored> {
        let (transaction, response) = match decode_response(datagram) {
            Ok((transaction, response)) => (transaction, Some(response)),
            Err(DecodeError::Short { transaction }) => (transaction, None),
            Err(DecodeError::Foreign) => return Err(Ignored::Foreign),
        };
        // A late answer counts, even while a new connection id is asked for to repeat the request.
        let open = |request: &Request<S::Hashes>| {
            let waits = matches!(request.stage, Stage::Sent(_) | Stage::Connecting(_));
            request.transaction == transaction && request.is_sent && waits
        };
        if let Some(request) = self.find(open) {
            return self.answered(request, from, datagram, response);
        }
        let asking = |(handle, server): (Handle, &Server<S::Url>)| {
            let ours =
                matches!(server.link, Link::Asking { transaction: t, .. } if t == transaction);
            ours.then_some(handle)
        };
        let server = self.servers.iter().find_map(asking).ok_or(Ignored::Unasked)?;
        self.connected(now, server, from, datagram, response)
    }

    fn answered(
        &mut self,
        handle: Handle,
        from: SocketAddr,
        datagram: &[u8],
        response: Option<Response<'_>>,
    ) -> Result<(), Ignored> {
        let request = self.requests.get_mut(handle).ok_or(Ignored::Unasked)?;
        let server = self.servers.get_mut(request.server).ok_or(Ignored::Unasked)?;
        if server.addr != from {
            return Err(Ignored::WrongSource);
        }
        let verdict = match (&request.ask, response) {
            (Ask::Announce(_), Some(Response::Announce { .. }))
            | (Ask::Scrape(_), Some(Response::Scrape(_))) => Verdict::Answered,
            (_, Some(Response::Error { .. })) => Verdict::Refused,
            _ => Verdict::Garbled,
        };
        if !self.inbox.take(handle, datagram) {
            return Err(Ignored::Full);
        }
        if verdict != Verdict::Answered && matches!(server.link, Link::Open { .. }) {
            // It may be the connection id that it does not like: the next request has a fresh one.
            server.link = Link::None;
        }
        request.stage = Stage::Over(verdict);
        self.untold = true;
        Ok(())
    }

    fn connected(
        &mut self,
        now: Instant,
        handle: Handle,
        from: SocketAddr,
        datagram: &[u8],
        response: Option<Response<'_>>,
    ) -> Result<(), Ignored> {
        let server = self.servers.get_mut(handle).ok_or(Ignored::Unasked)?;
        if server.addr != from {
            return Err(Ignored::WrongSource);
        }
        let waiting = |request: &Request<S::Hashes>| {
            request.server == handle && matches!(request.stage, Stage::Connecting(_))
        };
        match response {
            Some(Response::Connect { connection }) => {
                server.link = Link::Open { connection, until: now + CONNECTION_TTL };
                let requests = self.requests.iter_mut().map(|(_, request)| request);
                for request in requests.filter(|request| waiting(request)) {
                    request.stage = Stage::Ready;
                }
            }
            Some(Response::Error { .. }) => {
                let first = self.requests.iter().find(|(_, request)| waiting(request));
                // The words can be read of one request; all of them end.
                if let Some((first, _)) = first
                    && !self.inbox.take(first, datagram)
                {
                    return Err(Ignored::Full);
                }
                server.link = Link::None;
                let requests = self.requests.iter_mut().map(|(_, request)| request);
                for request in requests.filter(|request| waiting(request)) {
                    request.stage = Stage::Over(Verdict::Refused);
                    self.untold = true;
                }
            }
            _ => return Err(Ignored::Malformed),
        }
        Ok(())
    }
}

impl Inbox {
    /// Keeps an answer, if there is room: one at a time waits to be told.
    fn take(&mut self, request: Handle, datagram: &[u8]) -> bool {
        if self.request.is_some() {
            return false;
        }
        self.datagram.clear();
        // What is longer than any datagram of ours is cut: peers beyond it are more than enough.
        let len = datagram.len().min(self.datagram.capacity());
        let kept = self.datagram.extend_from_slice(datagram.get(..len).unwrap_or_default());
        self.request = Some(request);
        kept.is_ok()
    }

    pub(super) fn release(&mut self, request: Handle) {
        if self.request == Some(request) {
            self.request = None;
        }
    }
}
