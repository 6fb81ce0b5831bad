//! A protocol that shares a socket with tinybt, as µTP would: a line of text each way.

use std::net::SocketAddr;
use std::time::Duration;

use tinybt_core::Instant;

/// Says `ping 1` to somebody until it hears `pong 1`, then `ping 2`, and so on; answers whoever says
/// the same to it.
#[derive(Debug)]
pub struct PingPong {
    peer: Option<SocketAddr>,
    /// How many were answered.
    pub pongs: u32,
    /// The next ping is due then.
    due: Instant,
    silence: u32,
}

impl PingPong {
    const ROUNDS: u32 = 3;
    const SILENCE_MAX: u32 = 20;
    const REPEAT: Duration = Duration::from_millis(250);

    /// With somebody to talk to, or only to answer.
    pub fn new(peer: Option<SocketAddr>) -> Self {
        Self { peer, pongs: 0, due: Instant::EPOCH, silence: 0 }
    }

    /// Whether all was said, or nobody answers.
    pub fn is_done(&self) -> bool {
        self.peer.is_none() || self.pongs == Self::ROUNDS || self.silence > Self::SILENCE_MAX
    }

    /// When it wants to say something again.
    pub fn deadline(&self) -> Option<Instant> {
        (!self.is_done()).then_some(self.due)
    }

    /// What it says now, if it is time.
    pub fn say(&mut self, now: Instant) -> Option<(SocketAddr, String)> {
        let peer = self.peer.filter(|_| !self.is_done() && self.due <= now)?;
        self.due = now + Self::REPEAT;
        self.silence += 1;
        Some((peer, format!("ping {}", self.pongs + 1)))
    }

    /// Takes in a datagram; returns what to answer.
    pub fn hear(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Option<String> {
        let text = std::str::from_utf8(datagram).ok()?;
        if let Some(number) = text.strip_prefix("ping ") {
            return Some(format!("pong {number}"));
        }
        let number: u32 = text.strip_prefix("pong ")?.parse().ok()?;
        if Some(from) == self.peer && number == self.pongs + 1 {
            (self.pongs, self.silence, self.due) = (number, 0, now);
        }
        None
    }
}
