//! A crawl's state as bytes, for the next start: whom it knows and how long they must be spared.
//!
//! A bencoded dictionary: `at`, how many rounds are over; `dht`, what [`Node::save`] writes; `f`, 4 or
//! 6, the address family; `n`, a row for each node; `v`, the version of this layout. A row is a
//! compact contact (BEP 5, BEP 32), then big-endian: seconds that it must be spared (4 bytes), what
//! kind it is (1), info-hashes it stores (4), of these unseen (4), taken (4), visits in vain (1).
//!
//! An interval binds after a restart: how long the program was away is not known here, so it begins
//! anew with what was left. Where the sweep was need not be written: whoever was asked has to be
//! spared, so a round that begins again goes over what was covered without a question. What is
//! restored is rubbish until it answers.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use rand_core::CryptoRng;

use crate::contact::{Contact, Family, is_contactable};
use crate::dht::crawl::Crawler;
use crate::dht::crawl::known::{Entry, Kind, REST};
use crate::dht::node::{Node, RestoreError, SAVE_MAX};
use crate::dht::storage::Storage;
use crate::limits::{CRAWL_NODE_HASHES_MAX, CRAWL_STORED_MAX};
use crate::time::Instant;
use crate::wire::bencode::{Reader, Writer};
use crate::wire::compact;

/// The version of this layout.
const LAYOUT: i64 = 1;
/// Bytes of a row behind the contact.
const ROW: usize = 4 + 1 + 4 + 4 + 4 + 1;

impl<S: Storage, R: CryptoRng> Crawler<S, R> {
    /// The crawl's state: 44 or 56 bytes for each node that it knows, and some thousands.
    pub fn save(&self, now: Instant) -> Vec<u8> {
        let mut node = [0; SAVE_MAX];
        let len = self.node.save(&mut node);
        let family = self.node.config().family;
        let row_len = family.contact_len() + ROW;
        let heard = |entry: &Entry| entry.kind != Kind::Silent || entry.due > now;
        let rows = || self.plan.known.iter().filter(|(_, entry)| heard(entry));
        let count = rows().count();
        let mut bytes = vec![0; SAVE_MAX + 128 + count * row_len];
        let mut writer = Writer::new(&mut bytes);
        writer.raw(b"d2:at");
        writer.integer(i64::from(self.rounds_over()));
        writer.raw(b"3:dht");
        writer.string(node.get(..len).unwrap_or_default());
        writer.raw(b"1:f");
        writer.integer(if family == Family::V4 { 4 } else { 6 });
        writer.raw(b"1:n");
        writer.length(count * row_len);
        for (addr, entry) in rows() {
            let Some(place) = writer.reserve(row_len) else { break };
            let Some((contact, row)) = place.split_at_mut_checked(family.contact_len()) else {
                break;
            };
            compact::write_contact(&Contact { id: entry.id, addr: *addr }, contact);
            write_row(now, entry, row);
        }
        writer.raw(b"1:v");
        writer.integer(LAYOUT);
        writer.end();
        let written = writer.written().unwrap_or(0);
        bytes.truncate(written);
        bytes
    }

    /// Takes in what [`Crawler::save`] wrote, as far as there is room and it makes sense. Returns how
    /// many nodes. To be called before the first step.
    ///
    /// # Errors
    ///
    /// [`RestoreError`] says why nothing was taken in.
    pub fn restore(&mut self, now: Instant, bytes: &[u8]) -> Result<usize, RestoreError> {
        let saved = Saved::read(bytes).ok_or(RestoreError::Malformed)?;
        if saved.layout != LAYOUT {
            return Err(RestoreError::Version);
        }
        let family = self.node.config().family;
        if saved.family != if family == Family::V4 { 4 } else { 6 } {
            return Err(RestoreError::Family);
        }
        // Nodes to begin with; without them the sources are asked.
        let _ = Node::restore(&mut self.node, now, saved.dht);
        self.rounds_before = u32::try_from(saved.round).unwrap_or(0);
        self.plan.set_round(self.rounds_before);
        let row_len = family.contact_len() + ROW;
        let mut count = 0;
        for row in saved.nodes.chunks_exact(row_len) {
            let Some((contact, row)) = row.split_at_checked(family.contact_len()) else { break };
            let Some(contact) = compact::Contacts::new(family, contact).next() else { continue };
            let Some(entry) = read_row(now, contact, row) else { continue };
            if is_contactable(contact.addr, contact.addr.ip()) {
                count += usize::from(self.plan.known.insert(contact.addr, entry));
            }
        }
        Ok(count)
    }
}

fn write_row(now: Instant, entry: &Entry, row: &mut [u8]) {
    let wait = entry.due.since(now);
    // Rounded up: nobody is asked a moment too soon.
    let wait = wait.as_secs() as u32 + u32::from(wait.subsec_nanos() > 0);
    let kind = match entry.kind {
        Kind::Heard => 0,
        Kind::Sampled => 1,
        Kind::Plain => 2,
        Kind::Silent => 3,
    };
    let [stored, unseen, taken] = [entry.stored, entry.unseen, entry.taken].map(u32::to_be_bytes);
    let all = wait.to_be_bytes().into_iter().chain([kind]);
    let all = all.chain(stored).chain(unseen).chain(taken).chain([entry.barren]);
    for (place, byte) in row.iter_mut().zip(all) {
        *place = byte;
    }
}

fn read_row(now: Instant, contact: Contact, row: &[u8]) -> Option<Entry> {
    let (wait, row) = row.split_first_chunk::<4>()?;
    let (kind, row) = row.split_first()?;
    let (stored, row) = row.split_first_chunk::<4>()?;
    let (unseen, row) = row.split_first_chunk::<4>()?;
    let (taken, row) = row.split_first_chunk::<4>()?;
    let kind = match kind {
        0 => Kind::Heard,
        1 => Kind::Sampled,
        2 => Kind::Plain,
        3 => Kind::Silent,
        _ => return None,
    };
    let wait = Duration::from_secs(u64::from(u32::from_be_bytes(*wait))).min(REST);
    let stored = u32::from_be_bytes(*stored).min(CRAWL_STORED_MAX);
    Some(Entry {
        id: contact.id,
        kind,
        due: now + wait,
        stored,
        unseen: u32::from_be_bytes(*unseen).min(stored),
        taken: u32::from_be_bytes(*taken).min(CRAWL_NODE_HASHES_MAX),
        barren: row.first().copied().unwrap_or(0),
    })
}

struct Saved<'a> {
    round: i64,
    dht: &'a [u8],
    family: i64,
    nodes: &'a [u8],
    layout: i64,
}

impl<'a> Saved<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let (mut round, mut dht, mut family, mut nodes, mut layout) = (0, None, None, None, None);
        reader.enter_dictionary().ok()?;
        while let Some(key) = reader.key().ok()? {
            match key {
                b"at" => round = reader.integer().ok()?,
                b"dht" => dht = Some(reader.string().ok()?),
                b"f" => family = Some(reader.integer().ok()?),
                b"n" => nodes = Some(reader.string().ok()?),
                b"v" => layout = Some(reader.integer().ok()?),
                _ => reader.skip().ok()?,
            }
        }
        Some(Self { round, dht: dht?, family: family?, nodes: nodes?, layout: layout? })
    }
}
