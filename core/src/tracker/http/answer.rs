//! What the body of an answer says, and the same for a server to say.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use bt_bencode::{ByteString, Value};

use crate::announce::Counts;
use crate::contact::Family;
use crate::id::InfoHash;
use crate::limits::{BODY_MAX, HTTP_PEERS_MAX};
use crate::wire::bencode::Reader;
use crate::wire::compact::{Peers, write_peer};

/// What a tracker answers an announce with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    /// Time until the next announce is welcome (`interval`).
    pub interval: Option<Duration>,
    /// Time before which none is (`min interval`).
    pub min_interval: Option<Duration>,
    /// Who is in the swarm, where it is told (`complete`, `incomplete`, `downloaded`).
    pub counts: Option<Counts>,
    /// Peers of both families, at most [`HTTP_PEERS_MAX`]. Those named by host name are left out.
    pub peers: Vec<SocketAddr>,
    /// To be given back in the next announce (`tracker id`).
    pub tracker_id: Option<Vec<u8>>,
    /// Our address as the tracker sees it (BEP 24).
    pub external_ip: Option<IpAddr>,
    /// Something to tell the user, though all went well.
    pub warning: Option<String>,
}

/// A refusal in the tracker's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// `failure reason`
    pub reason: String,
    /// When to come back (BEP 31).
    pub retry: Option<Retry>,
}

/// When a tracker that refused may be asked again (BEP 31).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// After so long.
    After(Duration),
    /// Not at all: it is no tracker, or does not want to be this swarm's.
    Never,
}

/// Why a body is not an answer to go on with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnswerError {
    /// The tracker refuses.
    Refused(Refusal),
    /// The body is longer than [`BODY_MAX`].
    TooLong(usize),
    /// It is no bencoded dictionary, or nests too deep; it begins with this.
    NotBencoded(String),
    /// A key is missing, or its value is of the wrong kind or length.
    Key(&'static str),
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AnswerError::Refused(refusal) => {
                write!(f, "refused: {}", refusal.reason)?;
                match refusal.retry {
                    Some(Retry::Never) => f.write_str(" (never to be asked again)"),
                    Some(Retry::After(time)) => write!(f, " (again in {} s)", time.as_secs()),
                    None => Ok(()),
                }
            }
            AnswerError::TooLong(len) => {
                write!(f, "the answer has {len} bytes, more than {BODY_MAX} are not read")
            }
            AnswerError::NotBencoded(head) => {
                write!(f, "not a tracker: the answer is no bencoded dictionary but {head:?} …")
            }
            AnswerError::Key(key) => {
                write!(f, "the answer's {key:?} is missing or of the wrong kind or length")
            }
        }
    }
}

impl core::error::Error for AnswerError {}

/// Reads the body of an answer to an announce.
///
/// Bytes behind the dictionary are passed over. An answer without `peers` has none, as long as it
/// has an `interval`.
///
/// # Errors
///
/// [`AnswerError`] has the tracker's words if it refused, or says what is wrong with the body.
pub fn read_announced(body: &[u8]) -> Result<Announced, AnswerError> {
    let fields = Fields::read(body)?;
    let counts = |seeders: Option<u32>, leechers: Option<u32>| {
        let counted = seeders.is_some() || leechers.is_some();
        counted.then(|| Counts {
            seeders: seeders.unwrap_or(0),
            leechers: leechers.unwrap_or(0),
            completed: fields.number("downloaded"),
        })
    };
    let mut peers = Vec::new();
    let interval = fields.seconds("interval");
    match fields.0.get(&b"peers"[..]) {
        None if interval.is_none() && !fields.0.contains_key(&b"peers6"[..]) => {
            return Err(AnswerError::Key("interval"));
        }
        None => {}
        Some(Value::ByteStr(packed)) => unpack(Family::V4, packed, "peers", &mut peers)?,
        Some(Value::List(list)) => {
            let room = HTTP_PEERS_MAX.saturating_sub(peers.len());
            peers.extend(list.iter().filter_map(peer_of).take(room));
        }
        Some(_) => return Err(AnswerError::Key("peers")),
    }
    match fields.0.get(&b"peers6"[..]) {
        None => {}
        Some(Value::ByteStr(packed)) => unpack(Family::V6, packed, "peers6", &mut peers)?,
        Some(_) => return Err(AnswerError::Key("peers6")),
    }
    Ok(Announced {
        interval,
        min_interval: fields.seconds("min interval"),
        counts: counts(fields.number("complete"), fields.number("incomplete")),
        peers,
        tracker_id: fields.bytes("tracker id").map(<[u8]>::to_vec),
        external_ip: fields.bytes("external ip").and_then(ip_of),
        warning: fields.text("warning message"),
    })
}

/// Reads the body of an answer to a scrape (BEP 48).
///
/// # Errors
///
/// As [`read_announced`].
pub fn read_scraped(body: &[u8]) -> Result<Vec<(InfoHash, Counts)>, AnswerError> {
    let fields = Fields::read(body)?;
    let Some(Value::Dict(files)) = fields.0.get(&b"files"[..]) else {
        return Err(AnswerError::Key("files"));
    };
    let counts = |(hash, value): (&ByteString, &Value)| {
        let hash = InfoHash(hash.as_slice().try_into().ok()?);
        let Value::Dict(fields) = value else { return None };
        let fields = Fields(fields.clone());
        let counts = Counts {
            seeders: fields.number("complete").unwrap_or(0),
            leechers: fields.number("incomplete").unwrap_or(0),
            completed: fields.number("downloaded"),
        };
        Some((hash, counts))
    };
    Ok(files.iter().filter_map(counts).collect())
}

/// A dictionary whose values are asked for by their kind.
struct Fields(BTreeMap<ByteString, Value>);

impl Fields {
    /// Reads a body, after a look at what it would take to read it.
    fn read(body: &[u8]) -> Result<Self, AnswerError> {
        if body.len() > BODY_MAX {
            return Err(AnswerError::TooLong(body.len()));
        }
        let head = || {
            let head = body.get(..body.len().min(40)).unwrap_or_default();
            AnswerError::NotBencoded(String::from_utf8_lossy(head).into_owned())
        };
        // Our reader is the one with a bound on depth. It also tells where the value ends.
        let value = Reader::new(body).raw().map_err(|_| head())?;
        let Ok(Value::Dict(dictionary)) = bt_bencode::from_slice(value) else {
            return Err(head());
        };
        let fields = Self(dictionary);
        match fields.text("failure reason") {
            Some(reason) => {
                let retry = fields.retry();
                Err(AnswerError::Refused(Refusal { reason, retry }))
            }
            None => Ok(fields),
        }
    }

    fn bytes(&self, key: &str) -> Option<&[u8]> {
        Some(self.0.get(key.as_bytes())?.as_byte_str()?.as_slice())
    }

    /// A text for people. What is not UTF-8 is shown as well as it can be.
    fn text(&self, key: &str) -> Option<String> {
        self.bytes(key).map(|text| String::from_utf8_lossy(text).into_owned())
    }

    /// A count. Some trackers say −1 for what they do not know.
    fn number(&self, key: &str) -> Option<u32> {
        let number = self.0.get(key.as_bytes())?.as_u64()?;
        Some(u32::try_from(number).unwrap_or(u32::MAX))
    }

    fn seconds(&self, key: &str) -> Option<Duration> {
        self.number(key).map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// `retry in`: minutes, as a number or as its digits, or `never`.
    fn retry(&self) -> Option<Retry> {
        if let Some(minutes) = self.number("retry in") {
            return Some(Retry::After(Duration::from_secs(60 * u64::from(minutes))));
        }
        match self.bytes("retry in")? {
            b"never" => Some(Retry::Never),
            digits => {
                let minutes: u32 = core::str::from_utf8(digits).ok()?.trim_ascii().parse().ok()?;
                Some(Retry::After(Duration::from_secs(60 * u64::from(minutes))))
            }
        }
    }
}

fn unpack(
    family: Family,
    packed: &[u8],
    key: &'static str,
    peers: &mut Vec<SocketAddr>,
) -> Result<(), AnswerError> {
    if !packed.len().is_multiple_of(family.peer_len()) {
        return Err(AnswerError::Key(key));
    }
    let room = HTTP_PEERS_MAX.saturating_sub(peers.len());
    peers.extend(Peers::new(family, packed).take(room));
    Ok(())
}

/// A peer as a dictionary of `ip`, `port` and `peer id`.
fn peer_of(value: &Value) -> Option<SocketAddr> {
    let Value::Dict(fields) = value else { return None };
    let ip = fields.get(&b"ip"[..])?.as_byte_str()?;
    let ip: IpAddr = core::str::from_utf8(ip.as_slice()).ok()?.parse().ok()?;
    let port = u16::try_from(fields.get(&b"port"[..])?.as_u64()?).ok()?;
    (port != 0).then(|| SocketAddr::new(ip, port))
}

/// `external ip`: 4 or 16 bytes; some send it as text.
fn ip_of(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(v4.into());
    }
    if let Ok(v6) = <[u8; 16]>::try_from(bytes) {
        return Some(v6.into());
    }
    core::str::from_utf8(bytes).ok()?.parse().ok()
}

/// The body of an answer to an announce, as a server writes it: compact peers (BEP 23, BEP 7).
pub fn write_announced(announced: &Announced) -> Vec<u8> {
    let mut fields = BTreeMap::new();
    let seconds = |time: Duration| time.as_secs().min(u32::MAX.into());
    if let Some(counts) = announced.counts {
        insert(&mut fields, "complete", Value::from(counts.seeders));
        insert(&mut fields, "incomplete", Value::from(counts.leechers));
        if let Some(completed) = counts.completed {
            insert(&mut fields, "downloaded", Value::from(completed));
        }
    }
    if let Some(interval) = announced.interval {
        insert(&mut fields, "interval", Value::from(seconds(interval)));
    }
    if let Some(interval) = announced.min_interval {
        insert(&mut fields, "min interval", Value::from(seconds(interval)));
    }
    if let Some(ip) = announced.external_ip {
        let ip = match ip {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        insert(&mut fields, "external ip", bytes(&ip));
    }
    if let Some(warning) = &announced.warning {
        insert(&mut fields, "warning message", bytes(warning.as_bytes()));
    }
    if let Some(id) = &announced.tracker_id {
        insert(&mut fields, "tracker id", bytes(id));
    }
    insert(&mut fields, "peers", bytes(&pack(Family::V4, &announced.peers)));
    let v6 = pack(Family::V6, &announced.peers);
    if !v6.is_empty() {
        insert(&mut fields, "peers6", bytes(&v6));
    }
    to_bytes(fields)
}

/// The body of an answer to a scrape, as a server writes it.
pub fn write_scraped(swarms: impl IntoIterator<Item = (InfoHash, Counts)>) -> Vec<u8> {
    let mut files = BTreeMap::new();
    for (hash, counts) in swarms {
        let mut fields = BTreeMap::new();
        insert(&mut fields, "complete", Value::from(counts.seeders));
        insert(&mut fields, "incomplete", Value::from(counts.leechers));
        insert(&mut fields, "downloaded", Value::from(counts.completed.unwrap_or(0)));
        files.insert(ByteString::from(&hash.0[..]), Value::Dict(fields));
    }
    let mut fields = BTreeMap::new();
    insert(&mut fields, "files", Value::Dict(files));
    to_bytes(fields)
}

/// The body of a refusal, as a server writes it.
pub fn write_refusal(refusal: &Refusal) -> Vec<u8> {
    let mut fields = BTreeMap::new();
    insert(&mut fields, "failure reason", bytes(refusal.reason.as_bytes()));
    match refusal.retry {
        Some(Retry::Never) => insert(&mut fields, "retry in", bytes(b"never")),
        Some(Retry::After(time)) => {
            insert(&mut fields, "retry in", Value::from(time.as_secs().div_ceil(60)));
        }
        None => {}
    }
    to_bytes(fields)
}

fn insert(fields: &mut BTreeMap<ByteString, Value>, key: &str, value: Value) {
    fields.insert(ByteString::from(key), value);
}

fn bytes(bytes: &[u8]) -> Value {
    Value::ByteStr(ByteString::from(bytes))
}

fn pack(family: Family, peers: &[SocketAddr]) -> Vec<u8> {
    let mut packed = Vec::new();
    for peer in peers.iter().filter(|peer| Family::of(peer) == family) {
        let mut bytes = [0; 18];
        let len = write_peer(peer, &mut bytes).unwrap_or(0);
        packed.extend_from_slice(bytes.get(..len).unwrap_or_default());
    }
    packed
}

fn to_bytes(fields: BTreeMap<ByteString, Value>) -> Vec<u8> {
    // Into memory, of values made above: there is nothing that could fail.
    bt_bencode::to_vec(&Value::Dict(fields)).unwrap_or_default()
}
