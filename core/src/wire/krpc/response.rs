//! Responses, and what their members say.

use core::net::SocketAddr;

use crate::contact::Family;
use crate::id::{Id, InfoHash};
use crate::wire::bencode::Reader;
use crate::wire::compact::{Contacts, read_peer};
use crate::wire::krpc::fields::{Fields, as_id, as_string};

/// A response. Its members are read when they are asked for.
#[derive(Clone, Debug)]
pub struct Response<'a> {
    /// `r`, the whole dictionary as it stands.
    pub raw: &'a [u8],
    pub(super) fields: Fields<'a>,
}

impl<'a> Response<'a> {
    /// `id`: who answers; `None` if it is missing or not 20 bytes.
    #[inline]
    pub fn id(&self) -> Option<Id> {
        as_id(self.fields.get(self.fields.id), "id").ok()
    }

    /// `nodes`: IPv4 nodes.
    #[inline]
    pub fn nodes(&self) -> Contacts<'a> {
        contacts(Family::V4, self.fields.get(self.fields.nodes))
    }

    /// `nodes6`: IPv6 nodes (BEP 32).
    #[inline]
    pub fn nodes6(&self) -> Contacts<'a> {
        contacts(Family::V6, self.fields.get(self.fields.nodes6))
    }

    /// `values`: peers, of either family. Strings of another length are passed over, and so are
    /// peers with port 0.
    #[inline]
    pub fn values(&self) -> Values<'a> {
        let mut reader = Reader::new(self.fields.get(self.fields.values).unwrap_or_default());
        if reader.enter_list().is_err() {
            reader = Reader::new(&[]);
        }
        Values { reader }
    }

    /// `token`: to be given back with an announce.
    #[inline]
    pub fn token(&self) -> Option<&'a [u8]> {
        self.fields.get(self.fields.token).and_then(as_string)
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
        self.fields.find(name)
    }
}

fn contacts<'a>(family: Family, raw: Option<&'a [u8]>) -> Contacts<'a> {
    Contacts::new(family, raw.and_then(as_string).unwrap_or_default())
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
    /// Within the list; at the end of nothing if there is none.
    reader: Reader<'a>,
}

impl Iterator for Values<'_> {
    type Item = SocketAddr;

    #[inline]
    fn next(&mut self) -> Option<SocketAddr> {
        loop {
            let peer = match self.reader.string_of::<6>(b"6:") {
                Some(peer) => read_peer(peer),
                None => self.other()?,
            };
            if let Some(peer) = peer.filter(|peer| peer.port() != 0) {
                return Some(peer);
            }
        }
    }
}

impl Values<'_> {
    /// What an item other than an IPv4 peer is; `None` at the end.
    fn other(&mut self) -> Option<Option<SocketAddr>> {
        // Nothing is behind the end of the list, so it stays the end.
        let item = self.reader.more().ok()?.then(|| self.reader.raw().ok())??;
        Some(as_string(item).and_then(read_peer))
    }
}
