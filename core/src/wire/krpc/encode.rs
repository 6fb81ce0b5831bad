//! From a message to a datagram.

use core::net::SocketAddr;

use crate::contact::{Contact, Family};
use crate::id::{Id, InfoHash};
use crate::wire::bencode::{NoRoom, Reader, Writer};
use crate::wire::compact::{write_contact, write_peer};
use crate::wire::krpc::Want;

/// What stands around the body of every message.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// `t`
    pub transaction: &'a [u8],
    /// `v`
    pub version: Option<[u8; 4]>,
    /// `ro`, in queries (BEP 43).
    pub read_only: bool,
    /// `ip`, in answers: the address of whoever is answered (BEP 42).
    pub external: Option<SocketAddr>,
}

impl Envelope<'_> {
    /// `ip`, which sorts before everything but `a` and `e`.
    #[inline]
    fn head(&self, writer: &mut Writer<'_>) {
        if let Some(external) = self.external {
            let mut bytes = [0; 18];
            if let Some(ip) = write_peer(&external, &mut bytes).and_then(|len| bytes.get(..len)) {
                writer.raw(b"2:ip");
                writer.string(ip);
            }
        }
    }

    /// `t`, `v` and `y`, which sort behind everything else.
    #[inline]
    fn tail(&self, writer: &mut Writer<'_>, kind: &[u8; 7]) {
        writer.raw(b"1:t");
        writer.string(self.transaction);
        if let Some([a, b, c, d]) = self.version {
            writer.raw(&[b'1', b':', b'v', b'4', b':', a, b, c, d]);
        }
        writer.raw(kind);
    }

    /// How many bytes the tail takes.
    fn tail_len(&self) -> usize {
        // Three for the key, three for the longest length of a transaction, seven for the kind.
        3 + 3 + self.transaction.len() + 9 + 7
    }
}

const QUERY: &[u8; 7] = b"1:y1:qe";
const RESPONSE: &[u8; 7] = b"1:y1:re";
const ERROR: &[u8; 7] = b"1:y1:ee";

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Question<'a> {
    /// Are you there? (BEP 5)
    Ping,
    /// Which nodes are closest to this? (BEP 5)
    FindNode {
        /// The point in the key space.
        target: Id,
        /// The families wanted, where not the one asked over (BEP 32).
        want: Option<Want>,
    },
    /// Which peers of this swarm do you know, and which nodes closest to it? (BEP 5)
    GetPeers {
        /// The swarm.
        info_hash: InfoHash,
        /// The families wanted, where not the one asked over (BEP 32).
        want: Option<Want>,
        /// Only peers that lack something (BEP 33).
        no_seed: bool,
        /// Bloom filters of the swarm as well (BEP 33).
        scrape: bool,
    },
    /// I am a peer of this swarm. (BEP 5)
    AnnouncePeer {
        /// The swarm.
        info_hash: InfoHash,
        /// Where I listen.
        port: u16,
        /// Take the port that this comes from instead.
        implied_port: bool,
        /// What you gave me when I asked for peers.
        token: &'a [u8],
        /// I have everything (BEP 33).
        seed: bool,
    },
    /// Some of the info-hashes that you store? (BEP 51)
    SampleInfohashes {
        /// Nodes closest to this as well.
        target: Id,
        /// The families wanted, where not the one asked over (BEP 32).
        want: Option<Want>,
    },
    /// What do you store here? (BEP 44)
    Get {
        /// Where.
        target: Id,
        /// Only if it is newer than this.
        seq: Option<i64>,
        /// The families wanted, where not the one asked over (BEP 32).
        want: Option<Want>,
    },
    /// Store this under its hash. (BEP 44)
    PutImmutable {
        /// Its hash; some nodes want to be told.
        target: Id,
        /// What you gave me when I asked for it.
        token: &'a [u8],
        /// The value, bencoded.
        value: &'a [u8],
    },
    /// Store this under my key. (BEP 44)
    PutMutable {
        /// The hash of key and salt; some nodes want to be told.
        target: Id,
        /// What you gave me when I asked for it.
        token: &'a [u8],
        /// The value, bencoded.
        value: &'a [u8],
        /// My public key.
        key: &'a [u8; 32],
        /// Over salt, `seq` and value.
        signature: &'a [u8; 64],
        /// How new it is.
        seq: i64,
        /// Which of my values this is; empty for the one.
        salt: &'a [u8],
        /// Only if this is what you have.
        cas: Option<i64>,
    },
    /// Anything else.
    Method {
        /// The method.
        name: &'a [u8],
        /// A bencoded dictionary with sorted keys; `id` is added where it is missing.
        arguments: &'a [u8],
    },
}

/// Writes a query of the node `id`; returns its length.
///
/// # Errors
///
/// [`NoRoom`] if the buffer is too short, or the arguments of a [`Question::Method`] are no
/// dictionary.
pub fn encode_query(
    buffer: &mut [u8],
    envelope: &Envelope<'_>,
    id: Id,
    question: &Question<'_>,
) -> Result<usize, NoRoom> {
    let w = &mut Writer::new(buffer);
    w.raw(b"d1:a");
    let method = arguments(w, id, question)?;
    envelope.head(w);
    w.raw(b"1:q");
    w.string(method);
    if envelope.read_only {
        w.raw(b"2:roi1e");
    }
    envelope.tail(w, QUERY);
    w.written()
}

/// Writes the arguments; returns the name of the method.
#[inline]
fn arguments<'a>(w: &mut Writer<'_>, id: Id, question: &Question<'a>) -> Result<&'a [u8], NoRoom> {
    if let Question::Method { name, arguments } = question {
        with_id(w, id, arguments)?;
        return Ok(name);
    }
    w.raw(b"d");
    if let Question::PutMutable { cas: Some(cas), .. } = question {
        w.raw(b"3:cas");
        w.integer(*cas);
    }
    w.raw(b"2:id20:");
    w.raw(&id.0);
    let method: &'static [u8] = match question {
        Question::Ping | Question::Method { .. } => b"ping",
        Question::FindNode { target, want } => {
            target_and_want(w, target, want);
            b"find_node"
        }
        Question::GetPeers { info_hash, want, no_seed, scrape } => {
            w.raw(b"9:info_hash20:");
            w.raw(&info_hash.0);
            if *no_seed {
                w.raw(b"6:noseedi1e");
            }
            if *scrape {
                w.raw(b"6:scrapei1e");
            }
            wanted(w, want);
            b"get_peers"
        }
        Question::AnnouncePeer { info_hash, port, implied_port, token, seed } => {
            w.raw(b"12:implied_port");
            w.integer(i64::from(*implied_port));
            w.raw(b"9:info_hash20:");
            w.raw(&info_hash.0);
            w.raw(b"4:port");
            w.integer(i64::from(*port));
            if *seed {
                w.raw(b"4:seedi1e");
            }
            w.raw(b"5:token");
            w.string(token);
            b"announce_peer"
        }
        Question::SampleInfohashes { target, want } => {
            target_and_want(w, target, want);
            b"sample_infohashes"
        }
        Question::Get { target, seq, want } => {
            if let Some(seq) = seq {
                w.raw(b"3:seq");
                w.integer(*seq);
            }
            target_and_want(w, target, want);
            b"get"
        }
        Question::PutImmutable { target, token, value } => {
            w.raw(b"6:target20:");
            w.raw(&target.0);
            w.raw(b"5:token");
            w.string(token);
            w.raw(b"1:v");
            w.raw(value);
            b"put"
        }
        Question::PutMutable { target, token, value, key, signature, seq, salt, cas: _ } => {
            w.raw(b"1:k32:");
            w.raw(*key);
            if !salt.is_empty() {
                w.raw(b"4:salt");
                w.string(salt);
            }
            w.raw(b"3:seq");
            w.integer(*seq);
            w.raw(b"3:sig64:");
            w.raw(*signature);
            w.raw(b"6:target20:");
            w.raw(&target.0);
            w.raw(b"5:token");
            w.string(token);
            w.raw(b"1:v");
            w.raw(value);
            b"put"
        }
    };
    w.end();
    Ok(method)
}

fn target_and_want(w: &mut Writer<'_>, target: &Id, want: &Option<Want>) {
    w.raw(b"6:target20:");
    w.raw(&target.0);
    wanted(w, want);
}

fn wanted(w: &mut Writer<'_>, want: &Option<Want>) {
    let Some(want) = want else { return };
    w.raw(b"4:wantl");
    if want.v4 {
        w.raw(b"2:n4");
    }
    if want.v6 {
        w.raw(b"2:n6");
    }
    w.end();
}

/// Copies a dictionary with `id` put into its sorted place where it is missing.
fn with_id(w: &mut Writer<'_>, id: Id, dictionary: &[u8]) -> Result<(), NoRoom> {
    let mut reader = Reader::new(dictionary);
    let mut write = || {
        reader.enter_dictionary()?;
        w.dictionary();
        let mut done = false;
        while let Some(key) = reader.key()? {
            if !done && key >= &b"id"[..] {
                done = true;
                if key != b"id" {
                    w.raw(b"2:id20:");
                    w.raw(&id.0);
                }
            }
            w.string(key);
            w.raw(reader.raw()?);
        }
        if !done {
            w.raw(b"2:id20:");
            w.raw(&id.0);
        }
        w.end();
        Ok::<(), crate::wire::bencode::Error>(())
    };
    write().map_err(|_| NoRoom)
}

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
/// [`NoRoom`] if the rest does not fit.
pub fn encode_response(
    buffer: &mut [u8],
    envelope: &Envelope<'_>,
    answer: &Answer<'_>,
) -> Result<usize, NoRoom> {
    let w = &mut Writer::new(buffer);
    w.raw(b"d");
    envelope.head(w);
    w.raw(b"1:rd");
    if let Some(filters) = &answer.filters {
        w.raw(b"4:BFpe256:");
        w.raw(filters.downloaders);
        w.raw(b"4:BFsd256:");
        w.raw(filters.seeds);
    }
    w.raw(b"2:id20:");
    w.raw(&answer.id.0);
    if let Some(samples) = &answer.samples {
        w.raw(b"8:interval");
        w.integer(samples.interval);
    }
    let item = answer.item.unwrap_or_default();
    if let Some(key) = item.key {
        w.raw(b"1:k32:");
        w.raw(key);
    }
    if let Some(nodes) = answer.nodes {
        w.raw(b"5:nodes");
        contacts(w, Family::V4, nodes);
    }
    if let Some(nodes6) = answer.nodes6 {
        w.raw(b"6:nodes6");
        contacts(w, Family::V6, nodes6);
    }
    if let Some(samples) = &answer.samples {
        w.raw(b"3:num");
        w.integer(samples.stored);
        w.raw(b"7:samples");
        w.string(samples.packed);
    }
    if let Some(sequence) = item.sequence {
        w.raw(b"3:seq");
        w.integer(sequence);
    }
    if let Some(signature) = item.signature {
        w.raw(b"3:sig64:");
        w.raw(signature);
    }
    if let Some(token) = answer.token {
        w.raw(b"5:token");
        w.string(token);
    }
    if let Some(value) = item.value {
        w.raw(b"1:v");
        w.raw(value);
    }
    if let Some(values) = &answer.values {
        // `values` ends the dictionary: what is behind it has a known length.
        w.raw(b"6:valuesl");
        let room = w.room().saturating_sub(2 + envelope.tail_len());
        match values.family {
            Family::V4 => packed::<6, 8>(w, b"6:", values.packed, room),
            Family::V6 => packed::<18, 21>(w, b"18:", values.packed, room),
        }
        w.end();
    }
    w.end();
    envelope.tail(w, RESPONSE);
    w.written()
}

/// The contacts of one family, as one string; those of the other are passed over.
#[inline]
fn contacts(w: &mut Writer<'_>, family: Family, contacts: &[Contact]) {
    let of_family = |contact: &&Contact| Family::of(&contact.addr) == family;
    let len = family.contact_len();
    w.length(contacts.iter().filter(of_family).count() * len);
    for contact in contacts.iter().filter(of_family) {
        if let Some(place) = w.reserve(len) {
            write_contact(contact, place);
        }
    }
}

/// Packed peers as a list of strings, as many as fit into `room`.
#[inline]
fn packed<const PEER: usize, const STRING: usize>(
    w: &mut Writer<'_>,
    head: &[u8],
    runs: [&[u8]; 2],
    room: usize,
) {
    let mut most = room / STRING;
    for run in runs {
        let (peers, _) = run.as_chunks::<PEER>();
        let peers = peers.get(..most.min(peers.len())).unwrap_or_default();
        most -= peers.len();
        let Some(place) = w.reserve(peers.len() * STRING) else { return };
        let (places, _) = place.as_chunks_mut::<STRING>();
        for (place, peer) in places.iter_mut().zip(peers) {
            let (left, right) = place.split_at_mut(head.len());
            left.copy_from_slice(head);
            right.copy_from_slice(peer);
        }
    }
}

/// Writes a response whose dictionary is the application's: sorted keys; `id` is added where it is
/// missing.
///
/// # Errors
///
/// [`NoRoom`] if it does not fit, or is no dictionary.
pub fn encode_response_raw(
    buffer: &mut [u8],
    envelope: &Envelope<'_>,
    dictionary: &[u8],
    id: Id,
) -> Result<usize, NoRoom> {
    let w = &mut Writer::new(buffer);
    w.raw(b"d");
    envelope.head(w);
    w.raw(b"1:r");
    with_id(w, id, dictionary)?;
    envelope.tail(w, RESPONSE);
    w.written()
}

/// Writes an error as an answer.
///
/// # Errors
///
/// [`NoRoom`] if it does not fit.
pub fn encode_error(
    buffer: &mut [u8],
    envelope: &Envelope<'_>,
    code: i64,
    message: &[u8],
) -> Result<usize, NoRoom> {
    let w = &mut Writer::new(buffer);
    w.raw(b"d1:el");
    w.integer(code);
    w.string(message);
    w.end();
    envelope.head(w);
    envelope.tail(w, ERROR);
    w.written()
}
