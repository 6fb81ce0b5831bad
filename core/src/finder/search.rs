//! One search: what is wanted, and what is known of its sources.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use rand_core::Rng;

use super::ask::NOBODYS_PORT;
use super::event::{Source, TrackerState, TrackerStatus};
use crate::announce::PeerId;
use crate::contact::Family;
use crate::dht::schedule::ANNOUNCE_PERIOD;
use crate::dht::{Announcement, LookupId, Port};
use crate::id::InfoHash;
use crate::list::Bounded;
use crate::time::Instant;
use crate::torrent::Torrent;
use crate::tracker::tiers::{Again, Pace, Policy, Tiers, Tracker};
use crate::tracker::udp::{Patience, ServerId};
use crate::tracker::{Scheme, TrackerUrl};

/// What is wanted of a search. [`Wanted::peers_of`] and [`Wanted::announce`] have the defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Whose peers.
    pub torrent: Torrent,
    /// Ask the DHT. A private torrent never does (BEP 27).
    pub dht: bool,
    /// Ask the trackers.
    pub trackers: bool,
    /// Announce ourselves. `None` only looks: trackers, which know no such question, are told that
    /// we are gone as soon as they have answered.
    pub announce: Option<Presence>,
    /// Go on at the intervals that the trackers set until told to stop, and take turns with other
    /// searches in the DHT. Otherwise each source is asked once, and at once.
    pub keep: bool,
    /// What we call ourselves to trackers; random if none is given.
    pub peer_id: Option<PeerId>,
    /// What makes several announces one peer's; random if none is given.
    pub key: Option<u32>,
    /// How many peers to ask each tracker for; `None` leaves it to them.
    pub num_want: Option<u32>,
    /// How long UDP trackers are waited for.
    pub patience: Patience,
    /// Bounds on what trackers ask of us.
    pub pace: Pace,
    /// Whether all trackers are asked, or one after the other. A private torrent's are asked in
    /// turn whatever it says.
    pub policy: Policy,
    /// Time between two lookups in the DHT, while it is kept; with several local addresses, between
    /// two from the same. Searches take turns: a lookup may come earlier, or a third later.
    pub dht_interval: Duration,
    /// Peers that are told at most.
    pub peers_max: usize,
}

/// Ourselves as a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presence {
    /// The port that the peer listens on.
    pub port: u16,
    /// Tell the DHT that the port is the one that we ask from.
    pub implied_port: bool,
    /// Bytes downloaded so far.
    pub downloaded: u64,
    /// Bytes still to be downloaded: 0 makes a seed.
    pub left: u64,
    /// Bytes uploaded so far.
    pub uploaded: u64,
    /// The address to be told to others in place of the one that trackers see.
    pub ip: Option<IpAddr>,
}

impl Presence {
    /// Listening on `port`, with everything still to be downloaded.
    pub fn new(port: u16) -> Self {
        Self {
            port,
            implied_port: false,
            downloaded: 0,
            left: u64::MAX >> 1,
            uploaded: 0,
            ip: None,
        }
    }

    /// How the DHT is told.
    pub(super) fn announcement(&self) -> Announcement {
        let port = if self.implied_port { Port::Implied } else { Port::Number(self.port) };
        Announcement { port, seed: self.left == 0 }
    }
}

impl Wanted {
    /// The peers of a torrent, from all sources, each asked once.
    pub fn peers_of(torrent: Torrent) -> Self {
        Self {
            torrent,
            dht: true,
            trackers: true,
            announce: None,
            keep: false,
            peer_id: None,
            key: None,
            num_want: Some(200),
            patience: Patience::BRIEF,
            pace: Pace::default(),
            policy: Policy::All,
            dht_interval: ANNOUNCE_PERIOD,
            peers_max: 10_000,
        }
    }

    /// The same, announcing ourselves until told to stop.
    pub fn announce(torrent: Torrent, presence: Presence) -> Self {
        let patience = Patience { repeats: 4, ..Patience::BRIEF };
        Self { announce: Some(presence), keep: true, patience, ..Self::peers_of(torrent) }
    }
}

/// A search under way.
pub(super) struct Search {
    pub(super) wanted: Wanted,
    pub(super) peer_id: PeerId,
    pub(super) key: u32,
    pub(super) dht: DhtStage,
    /// Swarms that a node of the DHT had no room to look up yet.
    pub(super) unasked: Vec<(InfoHash, Family)>,
    pub(super) lookups: Vec<LookupId>,
    /// How often the DHT was asked.
    pub(super) round: u32,
    /// What came of this round.
    pub(super) heard: Heard,
    pub(super) tiers: Tiers<Bounded<Tracker>>,
    pub(super) trackers: Vec<TrackerRow>,
    /// Who named each peer: a bit a source.
    pub(super) peers: BTreeMap<SocketAddr, u64>,
    /// Told to stop: over at this instant at the latest.
    pub(super) stopping: Option<Instant>,
}

/// What the DHT does for a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DhtStage {
    /// Nothing, or no more.
    Off,
    /// To be asked then.
    Due(Instant),
    /// Waits for names of nodes to be resolved.
    Held,
    /// Its turn comes.
    Waiting,
    /// Being asked.
    Asking,
}

/// What came of the lookups of one round.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heard {
    /// Nodes that answered.
    pub(super) answered: u16,
    /// Nodes that stored an announce.
    pub(super) stored: u16,
}

/// A tracker of a search.
pub(super) struct TrackerRow {
    pub(super) status: TrackerStatus,
    pub(super) route: Route,
    /// Which announce the requests that are under way belong to.
    pub(super) round: u16,
    /// Requests of it that are not over.
    pub(super) open: u16,
    /// It is the last: what comes of it changes nothing that people want to know.
    pub(super) is_goodbye: bool,
    /// One of its requests was answered.
    pub(super) is_answered: bool,
    /// Over which families the tracker knows us: IPv4, IPv6.
    pub(super) knows: [bool; 2],
    /// What those said that are.
    pub(super) gathered: Gathered,
    pub(super) tracker_id: Option<Vec<u8>>,
}

/// Why the requests of one announce failed, as far as they did: there is one for each family and
/// swarm.
#[derive(Clone, Debug, Default)]
pub(super) struct Gathered {
    pub(super) again: Again,
    pub(super) error: Option<String>,
    pub(super) error_is_v4: bool,
}

/// The way to a tracker.
#[derive(Clone, Debug)]
pub(super) enum Route {
    /// By HTTP.
    Http,
    /// By UDP, the host being still to be resolved.
    Unresolved,
    /// By UDP, one server a family.
    Servers(Vec<ServerId>),
}

impl Search {
    /// From what is wanted.
    pub(super) fn new(mut wanted: Wanted, now: Instant, random: &mut impl Rng) -> Self {
        if wanted.torrent.private {
            wanted.dht = false;
            wanted.policy = Policy::InTurn;
        }
        let rows: usize = wanted.torrent.tiers.iter().map(Vec::len).sum();
        let rows = rows.min(usize::from(u16::MAX));
        let mut tiers = Tiers::new(Bounded::new(rows), wanted.policy, wanted.pace);
        let mut trackers: Vec<TrackerRow> = Vec::new();
        for (tier, urls) in wanted.torrent.tiers.iter().enumerate().filter(|_| wanted.trackers) {
            for url in urls.iter().map(|url| url.trim()) {
                let known = trackers.iter().any(|row| row.status.url == url);
                if url.is_empty() || known || trackers.len() >= rows {
                    continue;
                }
                let number = trackers.len() as u16;
                let (row, usable) = TrackerRow::new(url);
                trackers.push(row);
                if usable {
                    tiers.add(number, tier.min(usize::from(u16::MAX)) as u16, random);
                }
            }
        }
        Self {
            peer_id: wanted.peer_id.unwrap_or_else(|| PeerId::random(random)),
            key: wanted.key.unwrap_or_else(|| random.next_u32()),
            dht: match (wanted.dht, wanted.keep) {
                (false, _) => DhtStage::Off,
                (true, true) => DhtStage::Waiting,
                (true, false) => DhtStage::Due(now),
            },
            unasked: Vec::new(),
            lookups: Vec::new(),
            round: 0,
            heard: Heard::default(),
            tiers,
            trackers,
            peers: BTreeMap::new(),
            stopping: None,
            wanted,
        }
    }

    /// The swarms to ask for.
    pub(super) fn swarms(&self) -> Vec<InfoHash> {
        self.wanted.torrent.info_hashes.clone()
    }

    /// Takes note of who named a peer. Returns whether it is a new one, `None` if this source had
    /// named it before, or there is no room.
    pub(super) fn note(&mut self, peer: SocketAddr, source: Source) -> Option<bool> {
        let bit = match source {
            Source::Torrent => 0,
            Source::Dht => 1,
            // Beyond the 62nd tracker they are told apart no more.
            Source::Tracker(number) => 2 + u32::from(number).min(61),
        };
        // Some trackers name everybody, whoever asks included.
        if self.wanted.announce.is_none() && peer.port() == NOBODYS_PORT {
            return None;
        }
        let full = self.peers.len() >= self.wanted.peers_max;
        if full && !self.peers.contains_key(&peer) {
            return None;
        }
        let sources = self.peers.entry(peer).or_insert(0);
        let is_new = *sources == 0;
        if *sources & 1 << bit != 0 {
            return None;
        }
        *sources |= 1 << bit;
        if let Source::Tracker(number) = source
            && let Some(row) = self.trackers.get_mut(usize::from(number))
        {
            row.status.peers += 1;
        }
        Some(is_new)
    }

    /// Whether nothing is left but to tell trackers that we go.
    pub(super) fn is_leaving(&self) -> bool {
        let dht = matches!(self.dht, DhtStage::Off) && self.lookups.is_empty();
        let asking = self.trackers.iter().any(|row| row.open > 0 && !row.is_goodbye);
        !self.wanted.keep && dht && !asking && self.tiers.is_leaving()
    }

    /// Whether nothing more will come.
    pub(super) fn is_over(&self) -> bool {
        let dht = matches!(self.dht, DhtStage::Off) && self.lookups.is_empty();
        let asking = self.trackers.iter().any(|row| row.open > 0);
        let kept = self.wanted.keep && self.stopping.is_none();
        !kept && dht && !asking && self.tiers.is_over()
    }
}

impl TrackerRow {
    /// A tracker by its URL, and whether that is one that can be asked.
    fn new(url: &str) -> (Self, bool) {
        let mut row = Self {
            status: TrackerStatus { url: url.to_string(), ..TrackerStatus::default() },
            route: Route::Unresolved,
            round: 0,
            open: 0,
            is_goodbye: false,
            is_answered: false,
            knows: [false; 2],
            gathered: Gathered::default(),
            tracker_id: None,
        };
        let error = match TrackerUrl::parse(url) {
            Ok(TrackerUrl { scheme: Scheme::Udp, .. }) => return (row, true),
            Ok(_) => {
                row.route = Route::Http;
                return (row, true);
            }
            Err(error) => error.to_string(),
        };
        row.status.state = TrackerState::Failed;
        row.status.error = Some(error);
        (row, false)
    }
}
