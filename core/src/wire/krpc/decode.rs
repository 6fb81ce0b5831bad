//! From a datagram to a message.

use core::fmt;
use core::net::SocketAddr;

use crate::contact::Family;
use crate::id::{Id, InfoHash};
use crate::limits::TRANSACTION_MAX;
use crate::wire::bencode::{self, Kind, Reader};
use crate::wire::compact::{Contacts, read_peer};
use crate::wire::krpc::Want;

/// A message, pointing into the datagram that it came in.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    /// `t`: 0 to [`TRANSACTION_MAX`] bytes.
    pub transaction: &'a [u8],
    /// `v`: whatever the sender calls itself.
    pub version: Option<&'a [u8]>,
    /// `ro`: the sender does not answer (BEP 43).
    pub read_only: bool,
    /// `ip`: our address as the sender sees it (BEP 42).
    pub external: Option<SocketAddr>,
    /// What it says.
    pub body: Body<'a>,
}

/// What a message says.
#[derive(Clone, Debug)]
pub enum Body<'a> {
    /// `y` = `q`
    Query(Query<'a>),
    /// `y` = `r`
    Response(Response<'a>),
    /// `y` = `e`
    Error(ErrorReply<'a>),
}

/// Why a datagram is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// It does not begin as one: another protocol's.
    NotKrpc,
    /// It is not well-formed bencoding.
    Bencode(bencode::Error),
    /// `t` is missing, no string, or longer than [`TRANSACTION_MAX`].
    Transaction,
    /// `y` is missing or none of `q`, `r`, `e`.
    Kind,
    /// `r` is missing or no dictionary.
    Response,
    /// `e` is missing or no list of a number and a string.
    Error,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::NotKrpc => f.write_str("not a dictionary"),
            DecodeError::Bencode(error) => error.fmt(f),
            DecodeError::Transaction => f.write_str("`t` is missing or too long"),
            DecodeError::Kind => f.write_str("`y` is none of q, r, e"),
            DecodeError::Response => f.write_str("`r` is no dictionary"),
            DecodeError::Error => f.write_str("`e` is not [number, string]"),
        }
    }
}

impl core::error::Error for DecodeError {}

impl From<bencode::Error> for DecodeError {
    fn from(error: bencode::Error) -> Self {
        DecodeError::Bencode(error)
    }
}

/// Reads a message.
///
/// # Errors
///
/// [`DecodeError`] says what it lacks to be one.
///
/// ```
/// use tinybt_core::wire::krpc::{self, Body};
///
/// let datagram = b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe";
/// let message = krpc::decode(datagram)?;
/// assert_eq!(message.transaction, b"aa");
/// let Body::Query(query) = message.body else { panic!() };
/// assert_eq!(query.method, b"ping");
/// assert_eq!(query.id()?.0, *b"abcdefghij0123456789");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn decode(datagram: &[u8]) -> Result<Message<'_>, DecodeError> {
    if datagram.first() != Some(&b'd') {
        return Err(DecodeError::NotKrpc);
    }
    let mut reader = Reader::new(datagram);
    reader.enter_dictionary()?;
    let mut top = Top::default();
    while let Some(key) = reader.key()? {
        // The first of two equal keys counts.
        match key {
            b"a" if top.arguments.is_none() => top.arguments = Some(Fields::read(&mut reader)?),
            b"r" if top.response.is_none() => top.response = Some(Fields::read(&mut reader)?),
            b"e" if top.error.is_none() => top.error = Some(reader.raw()?),
            b"q" if top.method.is_none() => top.method = string(&mut reader)?,
            b"t" if top.transaction.is_none() => top.transaction = string(&mut reader)?,
            b"v" if top.version.is_none() => top.version = string(&mut reader)?,
            b"y" if top.kind.is_none() => top.kind = string(&mut reader)?,
            b"ip" if top.external.is_none() => top.external = string(&mut reader)?,
            b"ro" => top.read_only |= truth(reader.raw()?),
            _ => reader.skip()?,
        }
    }
    top.message()
}

#[derive(Default)]
struct Top<'a> {
    arguments: Option<Fields<'a>>,
    response: Option<Fields<'a>>,
    error: Option<&'a [u8]>,
    method: Option<&'a [u8]>,
    transaction: Option<&'a [u8]>,
    version: Option<&'a [u8]>,
    kind: Option<&'a [u8]>,
    external: Option<&'a [u8]>,
    read_only: bool,
}

impl<'a> Top<'a> {
    #[inline]
    fn message(self) -> Result<Message<'a>, DecodeError> {
        let transaction = self.transaction.filter(|t| t.len() <= TRANSACTION_MAX);
        let transaction = transaction.ok_or(DecodeError::Transaction)?;
        let body = match self.kind {
            Some(b"q") => Body::Query(Query {
                method: self.method.unwrap_or_default(),
                raw: self.arguments.map_or(b"de", |fields| fields.raw),
                fields: self.arguments.unwrap_or_default(),
            }),
            Some(b"r") => {
                let fields = self.response.filter(|fields| !fields.raw.is_empty());
                let fields = fields.ok_or(DecodeError::Response)?;
                Body::Response(Response { raw: fields.raw, fields })
            }
            Some(b"e") => Body::Error(error_reply(self.error)?),
            _ => return Err(DecodeError::Kind),
        };
        Ok(Message {
            transaction,
            version: self.version,
            read_only: self.read_only,
            external: self.external.and_then(read_peer),
            body,
        })
    }
}

/// The string that comes next; anything else is passed over.
#[inline]
fn string<'a>(reader: &mut Reader<'a>) -> Result<Option<&'a [u8]>, bencode::Error> {
    if reader.kind()? == Kind::String {
        return reader.string().map(Some);
    }
    reader.skip()?;
    Ok(None)
}

/// Whether a value is an integer other than zero.
fn truth(raw: &[u8]) -> bool {
    matches!(Reader::new(raw).integer(), Ok(value) if value != 0)
}

fn error_reply(raw: Option<&[u8]>) -> Result<ErrorReply<'_>, DecodeError> {
    let read = |raw| {
        let mut reader = Reader::new(raw);
        reader.enter_list().ok()?;
        let code = reader.more().ok()?.then(|| reader.integer().ok())??;
        let message = reader.more().ok()?.then(|| reader.string().ok())??;
        Some(ErrorReply { code, message })
    };
    raw.and_then(read).ok_or(DecodeError::Error)
}

/// What is wrong with an argument of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not there.
    Missing(&'static str),
    /// It is of another type, length or range.
    Wrong(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Missing(name) => write!(f, "`{name}` is missing"),
            Fault::Wrong(name) => write!(f, "`{name}` is wrong"),
        }
    }
}

impl core::error::Error for Fault {}

/// The members of `a` or `r` that the BEPs know, each as it stands.
#[derive(Clone, Copy, Debug, Default)]
struct Fields<'a> {
    /// The whole dictionary; empty if it was something else.
    raw: &'a [u8],
    id: Option<&'a [u8]>,
    target: Option<&'a [u8]>,
    info_hash: Option<&'a [u8]>,
    port: Option<&'a [u8]>,
    implied_port: Option<&'a [u8]>,
    token: Option<&'a [u8]>,
    want: Option<&'a [u8]>,
    nodes: Option<&'a [u8]>,
    nodes6: Option<&'a [u8]>,
    values: Option<&'a [u8]>,
    /// Those that most messages do not have are looked for when they are asked for.
    others: bool,
}

impl<'a> Fields<'a> {
    #[inline]
    fn read(reader: &mut Reader<'a>) -> Result<Self, bencode::Error> {
        let mut fields = Fields::default();
        if reader.kind()? != Kind::Dictionary {
            reader.skip()?;
            return Ok(fields);
        }
        let before = *reader;
        reader.enter_dictionary()?;
        while let Some(key) = reader.key()? {
            let field = match key {
                b"id" => &mut fields.id,
                b"target" => &mut fields.target,
                b"info_hash" => &mut fields.info_hash,
                b"port" => &mut fields.port,
                b"implied_port" => &mut fields.implied_port,
                b"token" => &mut fields.token,
                b"want" => &mut fields.want,
                b"nodes" => &mut fields.nodes,
                b"nodes6" => &mut fields.nodes6,
                b"values" => &mut fields.values,
                _ => {
                    fields.others = true;
                    reader.skip()?;
                    continue;
                }
            };
            let raw = reader.raw()?;
            if field.is_none() {
                *field = Some(raw);
            }
        }
        fields.raw = before.until(reader);
        Ok(fields)
    }

    /// Any member, as it stands.
    fn get(&self, name: &[u8]) -> Option<&'a [u8]> {
        let mut reader = Reader::new(self.raw);
        reader.enter_dictionary().ok()?;
        while let Some(key) = reader.key().ok()? {
            let raw = reader.raw().ok()?;
            if key == name {
                return Some(raw);
            }
        }
        None
    }

    fn rare(&self, name: &[u8]) -> Option<&'a [u8]> {
        if self.others { self.get(name) } else { None }
    }

    fn rare_string(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.rare(name).and_then(as_string)
    }

    fn rare_integer(&self, name: &[u8]) -> Option<i64> {
        self.rare(name).and_then(as_integer)
    }

    fn rare_array<const N: usize>(&self, name: &[u8]) -> Option<&'a [u8; N]> {
        self.rare_string(name)?.try_into().ok()
    }
}

#[inline]
fn as_string(raw: &[u8]) -> Option<&[u8]> {
    Reader::new(raw).string().ok()
}

fn as_integer(raw: &[u8]) -> Option<i64> {
    Reader::new(raw).integer().ok()
}

#[inline]
fn as_id(raw: Option<&[u8]>, name: &'static str) -> Result<Id, Fault> {
    let string = as_string(raw.ok_or(Fault::Missing(name))?).ok_or(Fault::Wrong(name))?;
    string.try_into().map(Id).map_err(|_| Fault::Wrong(name))
}

/// A query. Its arguments are read when they are asked for.
#[derive(Clone, Debug)]
pub struct Query<'a> {
    /// `q`; empty if it is missing or no string.
    pub method: &'a [u8],
    /// `a`, the whole dictionary as it stands; empty if it was something else.
    pub raw: &'a [u8],
    fields: Fields<'a>,
}

impl<'a> Query<'a> {
    /// `id`: who asks.
    ///
    /// # Errors
    ///
    /// [`Fault`] if it is missing or not 20 bytes.
    #[inline]
    pub fn id(&self) -> Result<Id, Fault> {
        as_id(self.fields.id, "id")
    }

    /// `target` of `find_node` and others.
    ///
    /// # Errors
    ///
    /// [`Fault`] if it is missing or not 20 bytes.
    #[inline]
    pub fn target(&self) -> Result<Id, Fault> {
        as_id(self.fields.target, "target")
    }

    /// `info_hash` of `get_peers` and `announce_peer`.
    ///
    /// # Errors
    ///
    /// [`Fault`] if it is missing or not 20 bytes.
    #[inline]
    pub fn info_hash(&self) -> Result<InfoHash, Fault> {
        as_id(self.fields.info_hash, "info_hash").map(|id| InfoHash(id.0))
    }

    /// `port` of `announce_peer`: 1 to 65535.
    ///
    /// # Errors
    ///
    /// [`Fault`] if it is missing, no integer or out of range.
    pub fn port(&self) -> Result<u16, Fault> {
        let port = as_integer(self.fields.port.ok_or(Fault::Missing("port"))?);
        let port = port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0);
        port.ok_or(Fault::Wrong("port"))
    }

    /// `implied_port`: the port that counts is the one the query came from.
    pub fn implied_port(&self) -> bool {
        self.fields.implied_port.is_some_and(truth)
    }

    /// `token` of `announce_peer` and `put`.
    ///
    /// # Errors
    ///
    /// [`Fault`] if it is missing or no string.
    pub fn token(&self) -> Result<&'a [u8], Fault> {
        let raw = self.fields.token.ok_or(Fault::Missing("token"))?;
        as_string(raw).ok_or(Fault::Wrong("token"))
    }

    /// `want`: the families that nodes are wanted of; none if it says nothing (BEP 32).
    pub fn want(&self) -> Want {
        let mut want = Want::default();
        let Some(mut reader) = self.fields.want.map(Reader::new) else { return want };
        if reader.enter_list().is_err() {
            return want;
        }
        while reader.more().unwrap_or(false) {
            match reader.raw().ok().and_then(as_string) {
                Some(b"n4") => want.v4 = true,
                Some(b"n6") => want.v6 = true,
                _ => {}
            }
        }
        want
    }

    /// `seed`: the announcing peer has everything (BEP 33).
    pub fn seed(&self) -> bool {
        self.fields.rare(b"seed").is_some_and(truth)
    }

    /// `noseed`: peers that have everything are not wanted (BEP 33).
    pub fn no_seed(&self) -> bool {
        self.fields.rare(b"noseed").is_some_and(truth)
    }

    /// `scrape`: bloom filters of the swarm are wanted (BEP 33).
    pub fn scrape(&self) -> bool {
        self.fields.rare(b"scrape").is_some_and(truth)
    }

    /// `v` of `put`: the value, bencoded as it stands (BEP 44).
    pub fn value(&self) -> Option<&'a [u8]> {
        self.fields.rare(b"v")
    }

    /// `k` of `put`: the public key (BEP 44).
    pub fn key(&self) -> Option<&'a [u8; 32]> {
        self.fields.rare_array(b"k")
    }

    /// `sig` of `put`: the signature (BEP 44).
    pub fn signature(&self) -> Option<&'a [u8; 64]> {
        self.fields.rare_array(b"sig")
    }

    /// `salt` of `put` (BEP 44).
    pub fn salt(&self) -> Option<&'a [u8]> {
        self.fields.rare_string(b"salt")
    }

    /// `seq` of `get` and `put` (BEP 44).
    pub fn sequence(&self) -> Option<i64> {
        self.fields.rare_integer(b"seq")
    }

    /// `cas` of `put`: the sequence number that is to be replaced (BEP 44).
    pub fn compare_and_swap(&self) -> Option<i64> {
        self.fields.rare_integer(b"cas")
    }

    /// Any argument, bencoded as it stands.
    pub fn argument(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.fields.get(name)
    }
}

/// A response. Its members are read when they are asked for.
#[derive(Clone, Debug)]
pub struct Response<'a> {
    /// `r`, the whole dictionary as it stands.
    pub raw: &'a [u8],
    fields: Fields<'a>,
}

impl<'a> Response<'a> {
    /// `id`: who answers; `None` if it is missing or not 20 bytes.
    #[inline]
    pub fn id(&self) -> Option<Id> {
        as_id(self.fields.id, "id").ok()
    }

    /// `nodes`: IPv4 nodes.
    #[inline]
    pub fn nodes(&self) -> Contacts<'a> {
        contacts(Family::V4, self.fields.nodes)
    }

    /// `nodes6`: IPv6 nodes (BEP 32).
    #[inline]
    pub fn nodes6(&self) -> Contacts<'a> {
        contacts(Family::V6, self.fields.nodes6)
    }

    /// `values`: peers, of either family. Strings of another length are passed over, and so are
    /// peers with port 0.
    #[inline]
    pub fn values(&self) -> Values<'a> {
        Values { reader: self.fields.values.and_then(list) }
    }

    /// `token`: to be given back with an announce.
    #[inline]
    pub fn token(&self) -> Option<&'a [u8]> {
        self.fields.token.and_then(as_string)
    }

    /// `BFsd`: the filter of peers that have everything (BEP 33).
    pub fn seeds(&self) -> Option<&'a [u8; 256]> {
        self.fields.rare_array(b"BFsd")
    }

    /// `BFpe`: the filter of the other peers (BEP 33).
    pub fn downloaders(&self) -> Option<&'a [u8; 256]> {
        self.fields.rare_array(b"BFpe")
    }

    /// `v`: a stored value, bencoded as it stands (BEP 44).
    pub fn value(&self) -> Option<&'a [u8]> {
        self.fields.rare(b"v")
    }

    /// `k`: the public key of a stored value (BEP 44).
    pub fn key(&self) -> Option<&'a [u8; 32]> {
        self.fields.rare_array(b"k")
    }

    /// `sig`: the signature of a stored value (BEP 44).
    pub fn signature(&self) -> Option<&'a [u8; 64]> {
        self.fields.rare_array(b"sig")
    }

    /// `seq`: the sequence number of a stored value (BEP 44).
    pub fn sequence(&self) -> Option<i64> {
        self.fields.rare_integer(b"seq")
    }

    /// `interval`, `num` and `samples` (BEP 51).
    pub fn samples(&self) -> Option<Samples<'a>> {
        let packed = self.fields.rare_string(b"samples")?;
        let packed = if packed.len() % 20 == 0 { packed } else { &[] };
        Some(Samples {
            interval: self.fields.rare_integer(b"interval").unwrap_or(0),
            stored: self.fields.rare_integer(b"num").unwrap_or(0),
            packed,
        })
    }

    /// Any member, bencoded as it stands.
    pub fn member(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.fields.get(name)
    }
}

fn contacts<'a>(family: Family, raw: Option<&'a [u8]>) -> Contacts<'a> {
    Contacts::new(family, raw.and_then(as_string).unwrap_or_default())
}

fn list(raw: &[u8]) -> Option<Reader<'_>> {
    let mut reader = Reader::new(raw);
    reader.enter_list().ok()?;
    Some(reader)
}

/// A sample of the info-hashes that a node stores (BEP 51).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Samples<'a> {
    /// Seconds until it will give another sample.
    pub interval: i64,
    /// How many info-hashes it stores.
    pub stored: i64,
    packed: &'a [u8],
}

impl<'a> Samples<'a> {
    /// The info-hashes of the sample.
    pub fn info_hashes(&self) -> impl Iterator<Item = InfoHash> + 'a {
        let chunks = self.packed.chunks_exact(20);
        chunks.filter_map(|chunk| chunk.try_into().ok().map(InfoHash))
    }
}

/// The peers of a response.
#[derive(Clone, Debug)]
pub struct Values<'a> {
    reader: Option<Reader<'a>>,
}

impl Iterator for Values<'_> {
    type Item = SocketAddr;

    #[inline]
    fn next(&mut self) -> Option<SocketAddr> {
        let reader = self.reader.as_mut()?;
        while reader.more().ok()? {
            let Some(value) = string(reader).ok()? else { continue };
            match read_peer(value) {
                Some(peer) if peer.port() != 0 => return Some(peer),
                _ => {}
            }
        }
        self.reader = None;
        None
    }
}

/// An error as an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorReply<'a> {
    /// 201 to 204 in BEP 5, more in BEP 44.
    pub code: i64,
    /// What the node says about it, in no particular encoding.
    pub message: &'a [u8],
}
