//! What the nodes of an emulated world hold beside peers: items, new, old and forged (BEP 44), and
//! the filters of a swarm (BEP 33).

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};

use tinybt_core::Instant;
use tinybt_core::dht::bloom::Bloom;
use tinybt_core::dht::item::{Item, Mutable, SecretKey, Signature, Signer, sign};
use tinybt_core::dht::{Event, Outcome};
use tinybt_core::wire::krpc::{self, Answer, Body, Envelope, Filters, Values};
use tinybt_core::{Family, limits::DATAGRAM_MAX};

use crate::net::mix;
use crate::nodes::TestNode;
use crate::world::{Made, Play};

/// A signed item that owns what it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The public key.
    pub key: [u8; 32],
    /// The salt.
    pub salt: Vec<u8>,
    /// How new it is.
    pub seq: i64,
    /// The value, bencoded.
    pub value: Vec<u8>,
    /// The signature.
    pub signature: Signature,
}

impl Signed {
    /// Signs a value.
    pub fn new(key: &SecretKey, salt: &[u8], seq: i64, value: &[u8]) -> Self {
        let signature = sign(key, salt, seq, value).expect("a good item");
        let (salt, value) = (salt.to_vec(), value.to_vec());
        Self { key: key.key(), salt, seq, value, signature }
    }

    /// As it goes into a put.
    pub fn item(&self) -> Item<'_> {
        Item::Mutable(Mutable {
            key: &self.key,
            salt: &self.salt,
            seq: self.seq,
            value: &self.value,
            signature: &self.signature,
        })
    }
}

/// A value that says its number, as long as values may be.
pub fn value(seq: i64) -> Vec<u8> {
    let text = format!("{seq:0>900}");
    format!("{}:{text}", text.len()).into_bytes()
}

/// What a node does with items.
#[derive(Clone, Debug, Default)]
pub struct Shelf {
    /// What it holds, and tells.
    pub holds: Option<Signed>,
    /// It refuses to store, with this code.
    pub refuses: Option<i64>,
}

/// Items are looked for or stored.
pub struct Items<'a> {
    made: &'a Made<'a>,
    /// What nodes hold, by number.
    pub shelves: HashMap<usize, Shelf>,
    /// Immutable values that nodes tell, whatever they are asked for.
    pub immutable: HashMap<usize, Vec<u8>>,
    /// What the searcher told, in order: when, and which number and value.
    pub told: Vec<(Instant, i64, Vec<u8>)>,
    /// Nodes that stored, and what they were to compare with.
    pub stored: HashMap<usize, Option<i64>>,
    /// How it ended.
    pub ended: Option<(Instant, Outcome)>,
    /// Nodes that were told to store.
    pub asked: HashSet<usize>,
}

impl<'a> Items<'a> {
    /// Nobody holds anything.
    pub fn new(made: &'a Made<'a>) -> Self {
        Self {
            made,
            shelves: HashMap::new(),
            immutable: HashMap::new(),
            told: Vec::new(),
            stored: HashMap::new(),
            ended: None,
            asked: HashSet::new(),
        }
    }

    fn error(query: &krpc::Message<'_>, code: i64) -> Vec<u8> {
        let envelope = Envelope {
            transaction: query.transaction,
            version: None,
            read_only: false,
            external: None,
        };
        let mut bytes = vec![0; DATAGRAM_MAX];
        let len = krpc::encode_error(&mut bytes, &envelope, code, b"no").expect("it fits");
        bytes.truncate(len);
        bytes
    }
}

impl Play for Items<'_> {
    fn reply(&mut self, node: usize, query: &[u8]) -> Vec<u8> {
        let message = krpc::decode(query).expect("our own queries are well-formed");
        let Body::Query(asked) = &message.body else { panic!("a searcher only asks") };
        let nodes = self.made.contacts(node, asked);
        let token = (node as u32).to_be_bytes();
        let shelf = self.shelves.get(&node).cloned().unwrap_or_default();
        let mut answer = Answer::default();
        match asked.method {
            b"get" => {
                answer.nodes = Some(&nodes);
                answer.token = Some(&token);
                if let Some(value) = self.immutable.get(&node) {
                    answer.item.get_or_insert_default().value = Some(value);
                }
                if let Some(held) = &shelf.holds {
                    let item = answer.item.get_or_insert_default();
                    item.sequence = Some(held.seq);
                    if asked.sequence().is_none_or(|seq| held.seq > seq) {
                        item.value = Some(&held.value);
                        item.key = Some(&held.key);
                        item.signature = Some(&held.signature);
                    }
                }
                self.made.encode(node, &message, &answer)
            }
            b"put" => {
                assert_eq!(asked.token(), Ok(&token[..]));
                self.asked.insert(node);
                if let Some(code) = shelf.refuses {
                    return Self::error(&message, code);
                }
                self.stored.insert(node, asked.compare_and_swap());
                self.made.encode(node, &message, &answer)
            }
            b"find_node" => {
                answer.nodes = Some(&nodes);
                self.made.encode(node, &message, &answer)
            }
            _ => self.made.encode(node, &message, &answer),
        }
    }

    fn hear(&mut self, now: Instant, searcher: &mut TestNode, event: Event) -> bool {
        match event {
            Event::Item { lookup } => {
                let item = searcher.item(lookup).expect("it was told of");
                self.told.push((now, item.seq().unwrap_or(-1), item.value().to_vec()));
                false
            }
            Event::Finished { outcome, .. } => {
                self.ended = Some((now, outcome));
                true
            }
            _ => false,
        }
    }
}

/// A swarm is counted: of its peers each of the closest nodes knows a part.
pub struct Swarm<'a> {
    made: &'a Made<'a>,
    seeds: u32,
    downloaders: u32,
    /// Every so many a node knows no filters, and tells peers alone.
    legacy: usize,
    /// Filters of these nodes are full.
    pub liars: HashSet<usize>,
    /// With this.
    pub filled: u8,
    /// What the searcher counted, and what the traffic of it was.
    pub counted: Option<tinybt_core::dht::SwarmSize>,
}

impl<'a> Swarm<'a> {
    /// With so many seeds and downloaders; every `legacy`th of the nodes knows no filters.
    pub fn new(made: &'a Made<'a>, seeds: u32, downloaders: u32, legacy: usize) -> Self {
        Self {
            made,
            seeds,
            downloaders,
            legacy,
            liars: HashSet::new(),
            filled: 0xff,
            counted: None,
        }
    }

    fn known(&self, node: usize, count: u32, offset: u32) -> impl Iterator<Item = Ipv4Addr> {
        let node = node as u64;
        (0..count)
            .map(move |peer| peer + offset)
            .filter(move |peer| mix(9, &[node, u64::from(*peer)]) % 10 < 6)
            .map(|peer| Ipv4Addr::from(0x5000_0000 + peer))
    }
}

impl Play for Swarm<'_> {
    fn reply(&mut self, node: usize, query: &[u8]) -> Vec<u8> {
        let message = krpc::decode(query).expect("our own queries are well-formed");
        let Body::Query(asked) = &message.body else { panic!("a searcher only asks") };
        let nodes = self.made.contacts(node, asked);
        let mut answer = Answer { nodes: Some(&nodes), ..Answer::default() };
        let place = self.made.truth.iter().position(|close| *close == node);
        let (mut seeds, mut downloaders, mut packed) = (Bloom::new(), Bloom::new(), Vec::new());
        if let Some(place) = place.filter(|_| asked.scrape()) {
            let (yes, no) = (self.known(node, self.seeds, 0), self.seeds);
            yes.for_each(|ip| seeds.insert(IpAddr::V4(ip)));
            self.known(node, self.downloaders, no)
                .for_each(|ip| downloaders.insert(IpAddr::V4(ip)));
            if self.liars.contains(&node) {
                seeds = Bloom::from_bytes(&[self.filled; 256]);
            }
            if self.legacy > 0 && place % self.legacy == 0 {
                let all = self.known(node, self.seeds + self.downloaders, 0).take(60);
                for ip in all {
                    packed.extend_from_slice(&ip.octets());
                    packed.extend_from_slice(&[0x1a, 0xe1]);
                }
                answer.values = Some(Values { family: Family::V4, packed: [&packed, &[]] });
            } else {
                let (seeds, downloaders) = (seeds.bytes(), downloaders.bytes());
                answer.filters = Some(Filters { seeds, downloaders });
            }
        }
        self.made.encode(node, &message, &answer)
    }

    fn hear(&mut self, _: Instant, searcher: &mut TestNode, event: Event) -> bool {
        let Event::Finished { lookup, .. } = event else { return false };
        self.counted = searcher.swarm_size(lookup);
        true
    }
}
