//! What replies say: a look at the routing table and the store at the moment when one is written.
//!
//! A reply fits into the room that its asker has: whoever has proven nothing gets no more than a
//! multiple of what was asked. What must be there comes first, then nodes, then as many peers or
//! info-hashes as there is room for. Filters (BEP 33) take half of a reply, so where they are asked
//! for there are nodes of one family alone, and fewer peers; where they do not fit there are none.

use core::net::IpAddr;

use heapless::Vec;
use rand_core::CryptoRng;

use crate::contact::{Contact, Family};
use crate::dht::config::Config;
use crate::dht::node::{Node, ReplyRow};
use crate::dht::storage::Storage;
use crate::dht::store::PeerStore;
use crate::dht::table::{Quality, Routing};
use crate::id::{Id, InfoHash};
use crate::limits::{K, SAMPLE_INTERVAL_MAX, SAMPLES_MAX, TRANSACTION_MAX};
use crate::time::Instant;
use crate::wire::krpc::{self, Answer, EncodeError, Envelope, Filters, SampleInfo, Values, Want};

/// What stands around the nodes in a message: ids, token, address, keys.
const FRAME: usize = 160;

/// What of it is a token and peers, which an answer to `find_node` has none of.
const TOKEN_AND_VALUES: usize = 25;

/// What two filters add, keys included.
const FILTERS: usize = 2 * (10 + 256);

/// What interval, number and the key of the samples add.
const SAMPLES_FRAME: usize = 40;

/// Whose `get_peers` is answered, and what it says.
pub(super) struct AskedForPeers {
    pub(super) from: IpAddr,
    pub(super) info_hash: InfoHash,
    pub(super) no_seed: bool,
    pub(super) scrape: bool,
}

impl<S: Storage, R: CryptoRng> Node<S, R> {
    /// The nodes closest to `target` (BEP 5, BEP 32).
    pub(super) fn write_nodes(
        &self,
        now: Instant,
        bytes: &mut [u8],
        target: Id,
        want: Want,
        other: Option<&S::Table>,
    ) -> Result<usize, EncodeError> {
        let mut closest = ClosestNodes::default();
        let envelope = around(&self.config, &self.replies);
        let room = bytes.len() + spare(&envelope, want) + TOKEN_AND_VALUES;
        self.closest_to(now, target, want, room, other, &mut closest);
        let (nodes, nodes6) = closest.by_family(self.config.family, want);
        let answer = Answer { id: self.id, nodes, nodes6, ..Answer::default() };
        krpc::encode_response(bytes, &envelope, &answer)
    }

    /// Peers, a token and nodes (BEP 5); filters for who asks for them (BEP 33).
    pub(super) fn write_peers(
        &mut self,
        now: Instant,
        bytes: &mut [u8],
        asked: &AskedForPeers,
        want: Want,
        other: Option<&S::Table>,
    ) -> Result<usize, EncodeError> {
        let (id, family, info_hash) = (self.id, self.config.family, asked.info_hash);
        let room = bytes.len();
        let scrape = match room.checked_sub(FRAME + FILTERS) {
            Some(_) if S::Peers::SCRAPES && asked.scrape => self.peers.scrape(now, info_hash),
            _ => None,
        };
        self.stats.scrapes += u64::from(scrape.is_some());
        let (want, room) = match scrape {
            None => (want, room),
            Some(_) => (only_one(want, family), room - FILTERS),
        };
        let mut closest = ClosestNodes::default();
        self.closest_to(now, info_hash.as_id(), want, room, other, &mut closest);
        let (nodes, nodes6) = closest.by_family(family, want);
        let token = self.tokens.make(now, asked.from, &info_hash);
        // A fair sample is one that begins elsewhere for everybody.
        let start = u32::from_le_bytes(token.first_chunk().copied().unwrap_or([0; 4]));
        let accepts = self.peers.accepts(now, info_hash, asked.from);
        let most = room / (family.peer_len() + 2);
        let packed = match S::Peers::SCRAPES && asked.no_seed {
            false => self.peers.peers(now, info_hash, family, most, start),
            true => self.peers.downloaders(now, info_hash, family, most, start),
        };
        let empty = packed.runs.iter().all(|run| run.is_empty());
        let values = Values { family, packed: packed.runs };
        let filters = scrape.as_ref().map(|scrape| Filters {
            seeds: scrape.seeds.bytes(),
            downloaders: scrape.downloaders.bytes(),
        });
        let envelope = around(&self.config, &self.replies);
        let answer = Answer {
            id,
            nodes,
            nodes6,
            token: accepts.then_some(&token),
            values: (!empty).then_some(values),
            filters,
            ..Answer::default()
        };
        krpc::encode_response(bytes, &envelope, &answer)
    }

    /// Info-hashes of stored swarms, and nodes (BEP 51).
    pub(super) fn write_samples(
        &mut self,
        now: Instant,
        bytes: &mut [u8],
        target: Id,
        want: Want,
        other: Option<&S::Table>,
    ) -> Result<usize, EncodeError> {
        if !S::Peers::SCRAPES {
            // Never asked for.
            return Err(EncodeError::NoRoom);
        }
        let envelope = around(&self.config, &self.replies);
        let room = bytes.len().saturating_sub(SAMPLES_FRAME) + spare(&envelope, want);
        let family = self.config.family;
        let mut closest = ClosestNodes::default();
        // Where there is not room for all, each has half.
        let half = FRAME + room.saturating_sub(FRAME) / 2;
        self.closest_to(now, target, want, half, other, &mut closest);
        let (nodes, nodes6) = closest.by_family(family, want);
        let most = (room.saturating_sub(FRAME + closest.len(family)) / 20).min(SAMPLES_MAX);
        let interval = self.config.sample_interval;
        let random = self.random.next_u64();
        let sample = self.peers.sample(now, most, interval.min(SAMPLE_INTERVAL_MAX), random);
        self.stats.samples += 1;
        let samples = Some(SampleInfo {
            interval: sample.left.as_millis().div_ceil(1_000) as i64,
            stored: sample.stored as i64,
            packed: sample.packed,
        });
        let answer = Answer { id: self.id, nodes, nodes6, samples, ..Answer::default() };
        krpc::encode_response(bytes, &envelope, &answer)
    }

    /// The closest nodes of the families that are wanted, as many as fit into `room`.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn closest_to(
        &self,
        now: Instant,
        target: Id,
        want: Want,
        room: usize,
        other: Option<&S::Table>,
        closest: &mut ClosestNodes,
    ) {
        let family = self.config.family;
        let mut room = room.saturating_sub(FRAME);
        let wants = |family| if family == Family::V4 { want.v4 } else { want.v6 };
        if wants(family) {
            let own = &mut closest.own;
            self.table.closest(now, target, Quality::Good, own);
            own.truncate(room / family.contact_len());
            room = room.saturating_sub(own.len() * family.contact_len());
        }
        if let Some(other) = other.filter(|_| wants(family.other())) {
            let others = &mut closest.others;
            other.closest(now, target, Quality::Good, others);
            others.truncate(room / family.other().contact_len());
        }
    }
}

/// Nodes for a reply: of our family and of the other.
#[derive(Default)]
pub(super) struct ClosestNodes {
    own: Vec<Contact, K>,
    others: Vec<Contact, K>,
}

impl ClosestNodes {
    /// Bytes of all of them.
    fn len(&self, family: Family) -> usize {
        self.own.len() * family.contact_len() + self.others.len() * family.other().contact_len()
    }

    /// `nodes` and `nodes6`, each present if it was wanted (BEP 32).
    pub(super) fn by_family(
        &self,
        family: Family,
        want: Want,
    ) -> (Option<&[Contact]>, Option<&[Contact]>) {
        let (own, others) = (&*self.own, &*self.others);
        let (v4, v6) = if family == Family::V4 { (own, others) } else { (others, own) };
        (want.v4.then_some(v4), want.v6.then_some(v6))
    }
}

/// What stands around the reply that is being written: the last of those that wait.
#[inline(never)]
pub(super) fn around<'a>(config: &Config, replies: &'a [ReplyRow]) -> Envelope<'a> {
    let Some(reply) = replies.last() else { return Envelope::default() };
    Envelope {
        transaction: &reply.transaction,
        version: config.version,
        read_only: false,
        external: Some(reply.to),
    }
}

/// How much shorter than [`FRAME`] it is around this answer: a short transaction, an address of four
/// bytes, nodes of one family.
pub(super) fn spare(envelope: &Envelope<'_>, want: Want) -> usize {
    let is_v4 = envelope.external.is_some_and(|addr| addr.is_ipv4());
    let short = usize::from(is_v4) + usize::from(!(want.v4 && want.v6));
    TRANSACTION_MAX.saturating_sub(envelope.transaction.len()) + 12 * short
}

/// Nodes of one family: our own where both are wanted.
fn only_one(want: Want, family: Family) -> Want {
    match want {
        Want { v4: true, v6: true } => Want { v4: family == Family::V4, v6: family == Family::V6 },
        one => one,
    }
}
