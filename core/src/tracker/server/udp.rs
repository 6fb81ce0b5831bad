//! The small tracker over UDP (BEP 15).
//!
//! A connection id is a keyed hash of the sender's address and the minute: nothing is kept of
//! whoever only connects, and nobody can make one for an address that is not theirs. It is good for
//! at least two minutes. A request without a good one is ignored, as the BEP says.

use alloc::vec::Vec;
use core::convert::Infallible;
use core::net::{IpAddr, SocketAddr};

use rand_core::CryptoRng;
use siphasher::sip::SipHasher24;

use super::registry::Registry;
use crate::announce::{Counts, Happening};
use crate::contact::Family;
use crate::limits::{DATAGRAM_MAX, SCRAPE_MAX};
use crate::machine::{Buffer, Ignored, Machine, Transmit};
use crate::time::Instant;
use crate::wire::udp_tracker::{
    Hashes, Request, Response, Scraped, decode_request, encode_response,
};

/// Requests that wait for their answer to be sent: a driver sends each at once.
const REPLIES_MAX: usize = 8;

/// A tracker over UDP, both families. Implements [`Machine`]; has no events.
#[derive(Debug)]
pub struct UdpServer<R> {
    /// Who is in which swarm.
    pub registry: Registry,
    random: R,
    secret: [u8; 16],
    replies: heapless::Vec<Reply, REPLIES_MAX>,
}

#[derive(Debug)]
struct Reply {
    to: SocketAddr,
    /// What was asked, taken in already.
    request: heapless::Vec<u8, DATAGRAM_MAX, u16>,
    /// There was no room for the peer.
    refused: bool,
}

impl<R: CryptoRng> UdpServer<R> {
    const PERIOD_MICROS: u64 = 60_000_000;

    /// Around a registry.
    pub fn new(registry: Registry, mut random: R) -> Self {
        let mut secret = [0; 16];
        random.fill_bytes(&mut secret);
        Self { registry, random, secret, replies: heapless::Vec::new() }
    }

    fn connection(&self, ip: IpAddr, period: u64) -> u64 {
        let ip = match ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let mut bytes = [0; 24];
        if let Some((head, tail)) = bytes.split_first_chunk_mut::<16>() {
            *head = ip.octets();
            tail.copy_from_slice(&period.to_be_bytes());
        }
        SipHasher24::new_with_key(&self.secret).hash(&bytes)
    }

    fn proves(&self, now: Instant, ip: IpAddr, connection: u64) -> bool {
        let period = now.as_micros() / Self::PERIOD_MICROS;
        // Two whole minutes at least, wherever in its minute it was made.
        (0..=2).any(|back| self.connection(ip, period.wrapping_sub(back)) == connection)
    }
}

impl<R: CryptoRng> Machine for UdpServer<R> {
    type Event = Infallible;

    fn handle_datagram(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Result<(), Ignored> {
        let (_, request) = decode_request(datagram).ok_or(Ignored::Foreign)?;
        let proven = match &request {
            Request::Connect => true,
            Request::Announce { connection, .. } | Request::Scrape { connection, .. } => {
                self.proves(now, from.ip(), *connection)
            }
        };
        if !proven {
            return Err(Ignored::Unproven);
        }
        if self.replies.is_full() {
            return Err(Ignored::Full);
        }
        let len = datagram.len().min(DATAGRAM_MAX);
        let copy = heapless::Vec::from_slice(datagram.get(..len).unwrap_or_default());
        let mut refused = false;
        if let Request::Announce { announce, .. } = &request {
            refused = !self.registry.announce(now, from.ip(), announce);
        }
        let reply = Reply { to: from, request: copy.unwrap_or_default(), refused };
        self.replies.push(reply).map_err(|_| Ignored::Full)
    }

    fn poll_transmit(&mut self, now: Instant, buffer: &mut Buffer) -> Option<Transmit> {
        let reply = self.replies.pop()?;
        let (transaction, request) = decode_request(&reply.request)?;
        let family = Family::of(&reply.to);
        let counts: Vec<Counts>;
        let response = match request {
            Request::Connect => {
                let period = now.as_micros() / Self::PERIOD_MICROS;
                Response::Connect { connection: self.connection(reply.to.ip(), period) }
            }
            Request::Announce { .. } if reply.refused => {
                Response::Error { message: b"no room for this peer" }
            }
            Request::Announce { announce, .. } => {
                let told = self.registry.counts(now, &announce.info_hash);
                let interval = self.registry.limits().interval.as_secs() as u32;
                let room = ((DATAGRAM_MAX - 20) / family.peer_len()) as u32;
                // Whoever goes needs nobody.
                let want = match announce.event {
                    Happening::Stopped => Some(0),
                    _ => Some(announce.num_want.unwrap_or(self.registry.limits().peers_told)),
                };
                let want = want.map(|want| want.min(room));
                let random = self.random.next_u32();
                let (swarm, own) = (&announce.info_hash, &announce.peer_id);
                let listed = self.registry.peers(now, swarm, family, own, want, random);
                Response::Announce {
                    interval,
                    leechers: told.leechers,
                    seeders: told.seeders,
                    packed: listed.runs,
                }
            }
            Request::Scrape { hashes, .. } => {
                counts = self.scraped(now, hashes);
                Response::Scrape(Scraped::Values(&counts))
            }
        };
        let len = encode_response(buffer, transaction, &response)?;
        Some(Transmit::new(reply.to, len))
    }

    fn poll_event(&mut self) -> Option<Infallible> {
        None
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}

impl<R: CryptoRng> UdpServer<R> {
    fn scraped(&mut self, now: Instant, hashes: Hashes<'_>) -> Vec<Counts> {
        hashes.iter().take(SCRAPE_MAX).map(|hash| self.registry.counts(now, &hash)).collect()
    }
}
