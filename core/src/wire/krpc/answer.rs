//! Answers on their way out.

use crate::contact::{Contact, Family};
use crate::id::Id;
use crate::wire::bencode::Writer;
use crate::wire::compact::write_contact;
use crate::wire::krpc::envelope::{ERROR, EncodeError, Envelope, RESPONSE, bencoded, with_id};

/// What is answered. Begin from [`Answer::default`], which is the answer to `ping`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answer<'a> {
    /// Who answers.
    pub id: Id,
    /// IPv4 nodes; `Some(&[])` says that none are known.
    pub nodes: Option<&'a [Contact]>,
    /// IPv6 nodes (BEP 32).
    pub nodes6: Option<&'a [Contact]>,
    /// To be given back with an announce.
    pub token: Option<&'a [u8]>,
    /// Peers: as many as fit.
    pub values: Option<Values<'a>>,
    /// Bloom filters of a swarm (BEP 33).
    pub filters: Option<Filters<'a>>,
    /// A sample of the info-hashes stored (BEP 51).
    pub samples: Option<SampleInfo<'a>>,
    /// A stored item (BEP 44).
    pub item: Option<Item<'a>>,
}

/// Peers, packed: 6 bytes each for IPv4, 18 for IPv6; in two runs, so that a ring can be sent from
/// any place on.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    /// The family of all of them.
    pub family: Family,
    /// The peers.
    pub packed: [&'a [u8]; 2],
}

/// Bloom filters of a swarm (BEP 33).
#[derive(Clone, Copy, Debug)]
pub struct Filters<'a> {
    /// `BFsd`
    pub seeds: &'a [u8; 256],
    /// `BFpe`
    pub downloaders: &'a [u8; 256],
}

/// A sample of the info-hashes stored (BEP 51).
#[derive(Clone, Copy, Debug)]
pub struct SampleInfo<'a> {
    /// Seconds until there is another.
    pub interval: i64,
    /// How many are stored.
    pub stored: i64,
    /// The sample, 20 bytes each.
    pub packed: &'a [u8],
}

/// A stored item (BEP 44).
#[derive(Clone, Copy, Debug, Default)]
pub struct Item<'a> {
    /// The value, bencoded; absent where the asker has it already.
    pub value: Option<&'a [u8]>,
    /// The public key of a mutable one.
    pub key: Option<&'a [u8; 32]>,
    /// The signature of a mutable one.
    pub signature: Option<&'a [u8; 64]>,
    /// The sequence number of a mutable one.
    pub sequence: Option<i64>,
}

/// Writes a response; returns its length. `values` are cut so that the whole fits the buffer:
/// give a slice that is as long as the reply may be.
///
/// # Errors
///
/// [`EncodeError`] if the rest does not fit, or the value of an item is not bencoding.
pub fn encode_response(
    buffer: &mut [u8],
    envelope: &Envelope<'_>,
    answer: &Answer<'_>,
) -> Result<usize, EncodeError> {
    let mut writer = Writer::new(buffer);
    let w = &mut writer;
    w.array(b"d");
    envelope.head(w);
    w.array(b"1:rd");
    if let Some(filters) = &answer.filters {
        w.array(b"4:BFpe256:");
        w.array(filters.downloaders);
        w.array(b"4:BFsd256:");
        w.array(filters.seeds);
    }
    w.arrays::<27>(|w| {
        w.array(b"2:id20:");
        w.array(&answer.id.0);
    });
    if let Some(samples) = &answer.samples {
        w.array(b"8:interval");
        w.integer(samples.interval);
    }
    let item = answer.item.unwrap_or_default();
    if let Some(key) = item.key {
        w.array(b"1:k32:");
        w.array(key);
    }
    if let Some(nodes) = answer.nodes {
        w.array(b"5:nodes");
        contacts(w, Family::V4, nodes);
    }
    if let Some(nodes6) = answer.nodes6 {
        w.array(b"6:nodes6");
        contacts(w, Family::V6, nodes6);
    }
    if let Some(samples) = &answer.samples {
        w.array(b"3:num");
        w.integer(samples.stored);
        w.array(b"7:samples");
        w.string(samples.packed);
    }
    if let Some(sequence) = item.sequence {
        w.array(b"3:seq");
        w.integer(sequence);
    }
    if let Some(signature) = item.signature {
        w.array(b"3:sig64:");
        w.array(signature);
    }
    if let Some(token) = answer.token {
        w.array(b"5:token");
        w.string(token);
    }
    if let Some(value) = item.value {
        w.array(b"1:v");
        bencoded(w, value)?;
    }
    if let Some(values) = &answer.values {
        // `values` ends the dictionary: what is behind it has a known length.
        w.array(b"6:valuesl");
        let room = w.room().saturating_sub(2 + envelope.tail_len());
        match values.family {
            Family::V4 => packed(w, values.packed, room, string_v4),
            Family::V6 => packed(w, values.packed, room, string_v6),
        }
        w.end();
    }
    w.end();
    envelope.tail(w, RESPONSE);
    Ok(w.written()?)
}

/// The contacts of one family, as one string; those of the other are passed over.
#[inline]
fn contacts(w: &mut Writer<'_>, family: Family, contacts: &[Contact]) {
    let of_family = |contact: &&Contact| Family::of(&contact.addr) == family;
    let len = family.contact_len();
    let packed_len = contacts.iter().filter(of_family).count().saturating_mul(len);
    w.length(packed_len);
    let Some(packed) = w.reserve(packed_len) else { return };
    for (contact, place) in contacts.iter().filter(of_family).zip(packed.chunks_exact_mut(len)) {
        write_contact(contact, place);
    }
}

/// Packed peers as a list of strings, as many as fit into `room`.
#[inline(always)]
fn packed<const PEER: usize, const STRING: usize>(
    w: &mut Writer<'_>,
    runs: [&[u8]; 2],
    room: usize,
    string: impl Fn(&[u8; PEER]) -> [u8; STRING],
) {
    let mut most = room / STRING;
    for run in runs {
        let (peers, _) = run.as_chunks::<PEER>();
        let peers = peers.get(..most).unwrap_or(peers);
        most = most.saturating_sub(peers.len());
        let Some(place) = w.reserve(peers.len().saturating_mul(STRING)) else { return };
        let (places, _) = place.as_chunks_mut::<STRING>();
        for (place, peer) in places.iter_mut().zip(peers) {
            *place = string(peer);
        }
    }
}

/// As a number, since one store of eight bytes is faster than three of two, four and two.
#[inline(always)]
fn string_v4(&[a, b, c, d, high, low]: &[u8; 6]) -> [u8; 8] {
    let head = u64::from(u16::from_le_bytes(*b"6:"));
    let ip = u64::from(u32::from_le_bytes([a, b, c, d]));
    let port = u64::from(u16::from_le_bytes([high, low]));
    (head | ip << 16 | port << 48).to_le_bytes()
}

#[inline(always)]
fn string_v6(peer: &[u8; 18]) -> [u8; 21] {
    let mut string = [0; 21];
    if let Some((head, body)) = string.split_first_chunk_mut() {
        *head = *b"18:";
        body.copy_from_slice(peer);
    }
    string
}

/// Writes a response whose dictionary is the application's: sorted keys; `id` is added where it is
/// missing.
///
/// # Errors
///
/// [`EncodeError`] if it does not fit, or is not such a dictionary.
pub fn encode_response_raw(
    buffer: &mut [u8],
    envelope: &Envelope<'_>,
    dictionary: &[u8],
    id: Id,
) -> Result<usize, EncodeError> {
    let mut writer = Writer::new(buffer);
    let w = &mut writer;
    w.array(b"d");
    envelope.head(w);
    w.array(b"1:r");
    with_id(w, id, dictionary)?;
    envelope.tail(w, RESPONSE);
    Ok(w.written()?)
}

/// Writes an error as an answer.
///
/// # Errors
///
/// [`EncodeError::NoRoom`] if it does not fit.
pub fn encode_error(
    buffer: &mut [u8],
    envelope: &Envelope<'_>,
    code: i64,
    message: &[u8],
) -> Result<usize, EncodeError> {
    let mut writer = Writer::new(buffer);
    let w = &mut writer;
    w.array(b"d1:el");
    w.integer(code);
    w.string(message);
    w.end();
    envelope.head(w);
    envelope.tail(w, ERROR);
    Ok(w.written()?)
}
