//! What a peer tells a tracker of itself (BEP 3), whatever way it is sent.

use core::net::IpAddr;

use rand_core::Rng;

use crate::id::InfoHash;

/// Twenty bytes that a peer calls itself by, chosen anew for each run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub [u8; 20]);

impl PeerId {
    /// A random one that begins with the name of this library (BEP 20).
    pub fn random(random: &mut impl Rng) -> Self {
        let mut bytes = *b"-tB0100-............";
        if let Some(tail) = bytes.last_chunk_mut::<12>() {
            random.fill_bytes(tail);
        }
        Self(bytes)
    }
}

impl core::fmt::Debug for PeerId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "PeerId({})", self.0.escape_ascii())
    }
}

/// Why an announce is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Happening {
    /// Nothing happened: the interval is over, or peers are wanted.
    #[default]
    None,
    /// The download is complete. Not sent by those who had everything from the start.
    Completed,
    /// The peer has come.
    Started,
    /// The peer goes.
    Stopped,
    /// The peer is a partial seed and wants no more (BEP 21). BEP 15 has no number for it: over
    /// UDP it is sent as [`Happening::None`].
    Paused,
}

/// An announce: every parameter that a tracker takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announce {
    /// The swarm.
    pub info_hash: InfoHash,
    /// Who announces.
    pub peer_id: PeerId,
    /// Bytes downloaded so far.
    pub downloaded: u64,
    /// Bytes still to be downloaded; 0 makes a seed. Whoever does not know says [`u64::MAX`] or
    /// any number but 0.
    pub left: u64,
    /// Bytes uploaded so far.
    pub uploaded: u64,
    /// Why it is made.
    pub event: Happening,
    /// The address to be told to others in place of the one that the tracker sees. Most trackers
    /// heed it only from local networks; over UDP it is an IPv4 address or nothing.
    pub ip: Option<IpAddr>,
    /// Random, the same in every announce of a run: tells the tracker that announces from two
    /// addresses are one peer's (BEP 7).
    pub key: u32,
    /// How many peers are wanted; `None` leaves it to the tracker.
    pub num_want: Option<u32>,
    /// The port that the peer listens on.
    pub port: u16,
}

impl Announce {
    /// An announce of somebody who has nothing yet, listens on `port`, and leaves the rest open.
    pub fn new(info_hash: InfoHash, peer_id: PeerId, key: u32, port: u16) -> Self {
        Self {
            info_hash,
            peer_id,
            downloaded: 0,
            left: u64::MAX >> 1,
            uploaded: 0,
            event: Happening::None,
            ip: None,
            key,
            num_want: None,
            port,
        }
    }
}

/// How many of which kind are in a swarm, as a tracker counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Counts {
    /// Peers that have everything (`complete`).
    pub seeders: u32,
    /// Peers that have not (`incomplete`).
    pub leechers: u32,
    /// How often it was downloaded (`downloaded`), where it is told.
    pub completed: Option<u32>,
}
