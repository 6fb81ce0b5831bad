//! The machines of this workspace as subjects of the laws.

use std::net::SocketAddr;

use tinybt_core::dht::crawl::{self, CrawlConfig, CrawlEnd, Crawler};
use tinybt_core::dht::item::Item;
use tinybt_core::dht::{AskId, Config, Dual, Event, Heap, LookupId, Node, Port, Question, Sought};
use tinybt_core::limits::DATAGRAM_MAX;
use tinybt_core::wire::krpc::{self, Answer, Body, Envelope, Filters, SampleInfo, Values, Want};
use tinybt_core::{Contact, Family, Id, InfoHash, Instant, Machine};

use crate::laws::Subject;
use crate::nodes::addr;
use crate::population::{Dice, SimNode};

/// A node that begins at two addresses.
#[derive(Clone, Debug)]
pub struct NodeSubject {
    /// How it behaves.
    pub config: Config,
    /// What it has room for, as all subjects.
    pub storage: Heap,
}

/// Both families as one machine.
#[derive(Clone, Debug)]
pub struct DualSubject {
    pub storage: Heap,
}

/// Three addresses of one family and two of the other.
#[derive(Clone, Debug)]
pub struct HomesSubject {
    pub storage: Heap,
    /// Two of one and one of the other.
    pub few: bool,
}

/// A crawler whose node the application uses as well.
#[derive(Clone, Debug)]
pub struct CrawlSubject {
    /// How it behaves.
    pub config: CrawlConfig,
    pub storage: Heap,
}

fn make(config: Config, storage: Heap, seed: u64) -> SimNode {
    let mut node = Node::new(config, storage, Dice::new(seed));
    match node.config().family {
        Family::V4 => [0, 1].map(|index| node.add_source(addr(index))),
        Family::V6 => [0, 1].map(|index| node.add_source(addr6(index))),
    };
    node
}

/// The `index`th IPv6 address.
pub fn addr6(index: u16) -> SocketAddr {
    SocketAddr::from(([0x2001, index + 1, 0, 0, 0, 0, 0, 7], 6881))
}

/// The value of an item.
const VALUE: &[u8] = b"12:Hello World!";

fn info_hash(which: u8) -> InfoHash {
    InfoHash([which.wrapping_mul(37); 20])
}

/// What names a command of these machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// A lookup, or an announce or a put after it.
    Lookup(LookupId),
    /// A single question.
    Ask(AskId),
    /// The end of a crawl.
    Stop,
}

fn ends(event: &Event) -> Option<Name> {
    match event {
        Event::Finished { lookup, .. } => Some(Name::Lookup(*lookup)),
        Event::Answered { ask, .. } | Event::Refused { ask, .. } | Event::Silent { ask } => {
            Some(Name::Ask(*ask))
        }
        _ => None,
    }
}

/// A question: right in most ways, as far as that can be without a token.
pub fn query(way: u8) -> Vec<u8> {
    ask(way, b"token678")
}

fn ask(way: u8, token: &[u8]) -> Vec<u8> {
    let (info_hash, target) = (info_hash(way / 64), info_hash(way / 64).as_id());
    let want = (way & 32 != 0).then_some(Want { v4: way & 16 != 0, v6: way & 8 != 0 });
    let (odd, item) = (way & 8 != 0, Item::Immutable(VALUE));
    let question = match way % 9 {
        0 => Question::Ping,
        1 => Question::FindNode { target, want },
        2 => Question::GetPeers { info_hash, want, no_seed: odd, scrape: way & 16 != 0 },
        3 => {
            let port = u16::from(way / 4);
            Question::AnnouncePeer {
                info_hash,
                port,
                implied_port: odd,
                token,
                seed: way & 16 != 0,
            }
        }
        4 => Question::SampleInfohashes { target, want },
        5 => Question::Get { target: item.target(), seq: odd.then_some(7), want },
        6 => {
            let value = if odd { VALUE } else { b"5:other" };
            Question::PutImmutable { target: item.target(), token, value }
        }
        7 => Question::Method { name: b"vote", arguments: b"d1:xi1ee" },
        _ => Question::FindNode { target: Id([way; 20]), want },
    };
    let envelope = Envelope {
        transaction: &[way, 2],
        version: None,
        read_only: way.is_multiple_of(31),
        external: None,
    };
    let mut bytes = vec![0; DATAGRAM_MAX];
    let id = Id([way.wrapping_mul(29); 20]);
    let len = krpc::encode_query(&mut bytes, &envelope, id, &question).expect("it fits");
    bytes.truncate(len);
    bytes
}

/// An answer to a query: right in most ways, wrong in some. To an answer that brought a token, what
/// it was wanted for.
pub fn answer(sent: &[u8], way: u8) -> Vec<u8> {
    let Ok(message) = krpc::decode(sent) else { return vec![way] };
    let query = match &message.body {
        Body::Query(query) => query,
        Body::Response(response) => return ask(way, response.token().unwrap_or_default()),
        Body::Error(_) => return vec![way],
    };
    let family = if way & 0x40 == 0 { Family::V4 } else { Family::V6 };
    // Now and then whoever was named answers by his name, and names eight who begin alike.
    let is_named = way % 11 == 10;
    let id = |index: usize| {
        let mut id = Id([way.wrapping_add(index as u8 * u8::from(!is_named)).wrapping_mul(53); 20]);
        id.0[19] = id.0[19].wrapping_add(index as u8);
        id
    };
    let contacts: Vec<Contact> = (0..if is_named { 8 } else { usize::from(way % 9) })
        .map(|index| Contact {
            id: id(index),
            addr: match family {
                Family::V4 => addr(usize::from(way) + index * 3),
                Family::V6 => addr6(u16::from(way) + index as u16),
            },
        })
        .collect();
    let envelope = Envelope {
        transaction: message.transaction,
        version: Some(*b"XX01"),
        read_only: way.is_multiple_of(31),
        external: Some(addr(77)),
    };
    let mut bytes = vec![0; DATAGRAM_MAX];
    if way % 13 == 12 {
        let len = krpc::encode_error(&mut bytes, &envelope, 203, b"no").expect("it fits");
        bytes.truncate(len);
        return bytes;
    }
    let (nodes, nodes6) = match family {
        Family::V4 => (Some(&contacts[..]), None),
        Family::V6 => (None, Some(&contacts[..])),
    };
    let sample = [[way; 20], [way / 2; 20], [1; 20]].concat();
    let samples = SampleInfo {
        interval: i64::from(way) * 200 - 400,
        stored: i64::from(way) - 3,
        packed: &sample[..usize::from(way % 4) * 20],
    };
    let is_sampled = query.method == b"sample_infohashes" && !way.is_multiple_of(5);
    let item = krpc::Item {
        value: way.is_multiple_of(4).then_some(if way < 128 { VALUE } else { b"5:other" }),
        key: (way % 7 == 1).then_some(&[7; 32]),
        signature: (way % 7 == 1).then_some(&[7; 64]),
        sequence: way.is_multiple_of(5).then_some(i64::from(way)),
    };
    let filters = Filters { seeds: &[way; 256], downloaders: &[way / 2; 256] };
    let packed = [way, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, way, 1, 2, 3, 4, 5];
    let answer = Answer {
        id: query.target().ok().filter(|_| is_named).unwrap_or(Id([way / 4; 20])),
        nodes,
        nodes6,
        token: (!way.is_multiple_of(3)).then_some(&packed[..4]),
        values: (query.method == b"get_peers").then_some(Values { family, packed: [&packed, &[]] }),
        samples: is_sampled.then_some(samples),
        item: (query.method == b"get" && !way.is_multiple_of(3)).then_some(item),
        filters: (query.scrape() && way.is_multiple_of(2)).then_some(filters),
    };
    let len = krpc::encode_response(&mut bytes, &envelope, &answer).expect("it fits");
    bytes.truncate(len);
    bytes
}

impl Subject for NodeSubject {
    type Machine = SimNode;
    type Name = Name;
    const ROWS: usize = 64 + 8 + 2;

    fn make(&self) -> SimNode {
        make(self.config.clone(), self.storage, 7)
    }

    fn command(&self, node: &mut SimNode, now: Instant, which: u8) -> Option<Name> {
        let hash = info_hash(which);
        match which % 11 {
            8 => node.scrape(now, hash).ok().map(Name::Lookup),
            9 => {
                let sought = Sought { newer_than: Some(7), ..Sought::at(hash.as_id()) };
                node.get(now, &sought).ok().map(Name::Lookup)
            }
            10 => node.put(now, &Item::Immutable(VALUE), None).ok().map(Name::Lookup),
            0 | 1 => node.get_peers(now, hash).ok().map(Name::Lookup),
            2 => node.find_node(now, hash.as_id()).ok().map(Name::Lookup),
            3 => node.announce(now, hash, Port::Implied).ok().map(Name::Lookup),
            4 => node.ask(addr(5), &Question::Ping).ok().map(Name::Ask),
            5 => {
                let question = Question::Method { name: b"vote", arguments: b"d1:xi1ee" };
                node.ask(addr(6), &question).ok().map(Name::Ask)
            }
            6 => {
                node.add_node(addr(usize::from(which)));
                None
            }
            _ => {
                node.block(now, addr(usize::from(which)), std::time::Duration::from_secs(9));
                None
            }
        }
    }

    fn ends(&self, event: &Event) -> Option<Name> {
        ends(event)
    }

    fn query(&self, way: u8) -> Option<Vec<u8>> {
        Some(query(way))
    }

    fn answer(&self, sent: &[u8], way: u8) -> Vec<u8> {
        answer(sent, way)
    }
}

impl Subject for DualSubject {
    type Machine = Dual<Heap, Dice>;
    type Name = Name;
    const ROWS: usize = 2 * (64 + 8 + 2);

    fn make(&self) -> Self::Machine {
        let v4 = make(Config::new(Family::V4), self.storage, 8);
        Dual::new(Some(v4), Some(make(Config::new(Family::V6), self.storage, 9)))
    }

    fn command(&self, dual: &mut Self::Machine, now: Instant, which: u8) -> Option<Name> {
        let family = if which & 8 == 0 { Family::V4 } else { Family::V6 };
        let node = dual.node_mut(family)?;
        NodeSubject { config: Config::new(family), storage: self.storage }.command(node, now, which)
    }

    fn ends(&self, event: &<Self::Machine as Machine>::Event) -> Option<Name> {
        ends(event)
    }

    fn query(&self, way: u8) -> Option<Vec<u8>> {
        Some(query(way))
    }

    fn answer(&self, sent: &[u8], way: u8) -> Vec<u8> {
        answer(sent, way)
    }
}

impl Subject for HomesSubject {
    type Machine = Dual<Heap, Dice>;
    type Name = Name;
    const ROWS: usize = 5 * (64 + 8 + 2);

    fn make(&self) -> Self::Machine {
        let mut dual = Dual::new(None, None);
        for (local, seed) in self.locals().into_iter().zip(10..) {
            let mut config = Config::new(Family::of(&local));
            config.foreign_methods = true;
            let mut node = make(config, self.storage, seed);
            if seed % 2 == 0 {
                // Some begin with what others lend them.
                let random = Dice::new(seed);
                node = Node::new(node.config().clone(), self.storage, random);
            }
            let added = dual.add(Instant::from_secs(1_000), local, node);
            assert!(added.is_ok(), "{added:?}");
        }
        dual
    }

    fn command(&self, dual: &mut Self::Machine, now: Instant, which: u8) -> Option<Name> {
        let hash = info_hash(which);
        match which % 8 {
            0 | 1 => {
                let family = if which & 16 == 0 { Family::V4 } else { Family::V6 };
                let turn = usize::from(which / 32);
                let begun = dual.in_turn(family, turn, |node| node.get_peers(now, hash))?;
                begun.ok().map(Name::Lookup)
            }
            2 => {
                let home = dual.homes().nth(usize::from(which / 8) % dual.homes().count())?.id();
                let begun = dual.announce_from(home, now, hash, Port::Implied);
                begun.ok().map(Name::Lookup)
            }
            3 => dual.ask(addr(5), &Question::Ping).ok().map(Name::Ask),
            4 => {
                let home = dual.homes().nth(usize::from(which / 8) % dual.homes().count())?.id();
                let ask = dual.ask_from(home, addr(6), &Question::Ping);
                ask.ok().map(Name::Ask)
            }
            5 => {
                dual.add_node(addr(usize::from(which)));
                dual.add_node(addr6(u16::from(which)));
                None
            }
            6 => {
                dual.add_source(addr(usize::from(which)));
                None
            }
            _ => {
                dual.block(now, addr(usize::from(which)), std::time::Duration::from_secs(9));
                None
            }
        }
    }

    fn ends(&self, event: &<Self::Machine as Machine>::Event) -> Option<Name> {
        ends(event)
    }

    fn locals(&self) -> Vec<SocketAddr> {
        let mut locals = vec![addr(900), addr6(900), addr(901)];
        if !self.few {
            locals.extend([addr6(901), addr(902)]);
        }
        locals
    }

    fn query(&self, way: u8) -> Option<Vec<u8>> {
        Some(query(way))
    }

    fn answer(&self, sent: &[u8], way: u8) -> Vec<u8> {
        answer(sent, way)
    }
}

impl Subject for CrawlSubject {
    type Machine = Crawler<Heap, Dice>;
    type Name = Name;
    const ROWS: usize = 64 + 8 + 2;

    fn make(&self) -> Self::Machine {
        let node = make(Config::new(Family::V4), self.storage, 10);
        Crawler::new(self.config.clone(), node, Dice::new(11))
    }

    fn command(&self, crawler: &mut Self::Machine, now: Instant, which: u8) -> Option<Name> {
        if which.is_multiple_of(9) {
            return crawler.stop(now).then_some(Name::Stop);
        }
        if which.is_multiple_of(7) {
            let saved = crawler.save(now);
            let _ = crawler.restore(now, &saved);
            return None;
        }
        let subject = NodeSubject { config: Config::new(Family::V4), storage: self.storage };
        subject.command(&mut crawler.node, now, which)
    }

    fn ends(&self, event: &crawl::Event) -> Option<Name> {
        match event {
            crawl::Event::Dht(event) => ends(event),
            crawl::Event::Ended { end: CrawlEnd::Stopped, .. } => Some(Name::Stop),
            _ => None,
        }
    }

    fn query(&self, way: u8) -> Option<Vec<u8>> {
        Some(query(way))
    }

    fn answer(&self, sent: &[u8], way: u8) -> Vec<u8> {
        answer(sent, way)
    }
}
