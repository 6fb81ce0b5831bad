//! A flood of datagrams of all kinds at a node that looks for peers meanwhile: queries of every
//! method from spoofed sources, announces with good tokens and stolen ones, answers replayed, answers
//! to guessed transactions from those who were asked, and whatever cannot be read.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use chacha20::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use tinybt_core::dht::Config;
use tinybt_core::wire::krpc::{self, Body};
use tinybt_core::{Buffer, Family, InfoHash, Instant, Machine, buffer};

use super::Table;
use super::stage::{Drive, Heard, Noise, Stage, Villains};
use crate::counting;
use crate::net::mix;
use crate::nodes::{TestNode, id, node};
use crate::world::World;

/// What cannot be read, or must not be: each was taken for something by somebody.
pub const MALFORMED: &[&[u8]] = &[
    b"",
    b"d",
    b"d1:",
    b"i-0e",
    b"i05e",
    b"i+5e",
    b"ie",
    b"05:aaaaa",
    b"-1:",
    b"99999999999999999999:",
    b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:q",
    b"d1:ad2:id19:abcdefghij012345678e1:q4:ping1:t2:aa1:y1:qe",
    b"d1:ad2:id0:e1:q4:ping1:t2:aa1:y1:qe",
    b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234564:porti-1e5:token8:aaaaaaaae1:q13:announce_peer1:t2:aa1:y1:qe",
    b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234564:porti70000e5:token8:aaaaaaaae1:q13:announce_peer1:t2:aa1:y1:qe",
    b"d1:ad2:id20:abcdefghij01234567899:info_hash3:abce1:q9:get_peers1:t2:aa1:y1:qe",
    b"d1:rle1:t4:aaaa1:y1:re",
    b"d1:rd2:id20:abcdefghij01234567895:nodes27:aaaaaaaaaaaaaaaaaaaaaaaaaaae1:t4:aaaa1:y1:re",
    b"d1:rd2:id20:abcdefghij01234567896:valuesi1ee1:t4:aaaa1:y1:re",
    b"d1:eli201e1:xe1:t4:aaaa1:y1:ee",
    b"d1:e1:x1:t4:aaaa1:y1:ee",
    b"d1:q4:ping1:t40:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1:y1:qe",
    b"d1:y1:q1:y1:q1:y1:qe",
    b"\x00\x00\x04\x17\x27\x10\x19\x80\x00\x00\x00\x00\x12\x34\x56\x78",
    b"\x41\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    b"GET / HTTP/1.1\r\n\r\n",
];

/// A source of everything.
pub struct Flood {
    random: ChaCha8Rng,
    every: Duration,
    bytes: Vec<u8>,
    depth: Vec<u8>,
    /// Who was asked lately, and the answers overheard.
    asked: VecDeque<SocketAddr>,
    overheard: VecDeque<(SocketAddr, Vec<u8>)>,
    /// A token that somebody was given: for whom and what.
    token: Option<(SocketAddr, [u8; 20], Vec<u8>)>,
    out: Buffer,
    /// What became of it.
    pub tally: Tally,
}

/// What became of a flood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Datagrams thrown.
    pub thrown: u64,
    /// Datagrams that the node sent meanwhile, to anybody.
    pub sent: u64,
    /// Answers that were not asked for and were taken.
    pub forged: u64,
    /// Announces that were stored, by whom they may be.
    pub stored: u64,
    /// Announces with somebody else's token that were stored.
    pub stolen: u64,
    /// Bytes of memory more than before the flood: now, and at the most.
    pub live: i64,
    /// At the most.
    pub peak: i64,
    /// After how many datagrams it was the most for the first time.
    pub peak_at: u64,
    /// Allocations.
    pub allocations: u64,
}

const KINDS: u32 = 12;

impl Flood {
    /// One datagram after each pause.
    pub fn new(seed: u64, every: Duration) -> Self {
        Self {
            random: ChaCha8Rng::seed_from_u64(seed),
            every,
            bytes: Vec::with_capacity(2_000),
            depth: [&[b'l'; 700][..], &[b'e'; 700]].concat(),
            asked: VecDeque::with_capacity(64),
            overheard: VecDeque::with_capacity(64),
            token: None,
            out: buffer(),
            tally: Tally::default(),
        }
    }

    fn source(&mut self) -> SocketAddr {
        let bits = 0x1000_0000 | self.random.next_u32() >> 3;
        (Ipv4Addr::from_bits(bits), 1 + self.random.next_u32() as u16 % 65_000).into()
    }

    fn query(&mut self, method: &str, rest: &[u8]) {
        let mut sender = [0; 20];
        self.random.fill_bytes(&mut sender);
        self.bytes.clear();
        self.bytes.extend_from_slice(b"d1:ad2:id20:");
        self.bytes.extend_from_slice(&sender);
        self.bytes.extend_from_slice(rest);
        self.bytes.extend_from_slice(b"e1:q");
        self.bytes.extend_from_slice(format!("{}:{method}1:t2:aa1:y1:qe", method.len()).as_bytes());
    }

    fn hash(&mut self, name: &str) -> Vec<u8> {
        let mut hash = [0; 20];
        self.random.fill_bytes(&mut hash);
        // Some swarms are the same ones again and again.
        if self.random.next_u32().is_multiple_of(2) {
            hash = [hash[0]; 20];
        }
        [format!("{}:{name}20:", name.len()).as_bytes(), &hash].concat()
    }

    /// Prepares one datagram: who it comes from, and of which kind it is.
    fn prepare(&mut self) -> (SocketAddr, Kind) {
        let from = self.source();
        match self.random.next_u32() % KINDS {
            0 => self.query("ping", b""),
            1 => {
                let rest = self.hash("target");
                self.query("find_node", &rest);
            }
            2 => {
                let rest = self.hash("info_hash");
                self.query("get_peers", &rest);
            }
            3 => {
                let rest = self.hash("target");
                self.query("sample_infohashes", &rest);
            }
            4 => {
                let rest = self.hash("target");
                self.query("get", &rest);
            }
            5 => {
                let rest = self.hash("target");
                self.query("vote", &rest);
            }
            6 => {
                // Somebody asks first, and gives the token back next.
                let Some((owner, hash, token)) = self.token.take() else {
                    let rest = self.hash("info_hash");
                    self.query("get_peers", &rest);
                    return (from, Kind::WantsToken);
                };
                let mut rest = b"9:info_hash20:".to_vec();
                rest.extend_from_slice(&hash);
                rest.extend_from_slice(b"4:porti6881e5:token8:");
                rest.extend_from_slice(&token);
                self.query("announce_peer", &rest);
                let is_theft = self.random.next_u32().is_multiple_of(4);
                return if is_theft { (from, Kind::Theft) } else { (owner, Kind::Announce) };
            }
            7 => {
                self.bytes.clear();
                let which = self.random.next_u32() as usize % (MALFORMED.len() + 1);
                let bytes = MALFORMED.get(which).copied().unwrap_or(&self.depth);
                self.bytes.extend_from_slice(bytes);
            }
            8 => {
                // Somebody who was asked, or seems to be, guesses the transaction.
                self.bytes.clear();
                let transaction = self.random.next_u32().to_be_bytes();
                let id = *b"abcdefghij0123456789";
                self.bytes.extend_from_slice(b"d1:rd2:id20:");
                self.bytes.extend_from_slice(&id);
                self.bytes.extend_from_slice(b"5:nodes0:e1:t4:");
                self.bytes.extend_from_slice(&transaction);
                self.bytes.extend_from_slice(b"1:y1:re");
                let asked = self.asked.get(self.random.next_u32() as usize % 64).copied();
                return (asked.unwrap_or(from), Kind::Answer);
            }
            9 => {
                // An answer once more: to the same question from the same place, or from elsewhere.
                self.bytes.clear();
                let which = self.random.next_u32() as usize % 64;
                let Some((who, answer)) = self.overheard.get(which) else {
                    return (from, Kind::Any);
                };
                let who = *who;
                self.bytes.extend_from_slice(answer);
                let is_elsewhere = self.random.next_u32().is_multiple_of(2);
                return (if is_elsewhere { from } else { who }, Kind::Answer);
            }
            10 => {
                // Bits of a good one are turned.
                let rest = self.hash("info_hash");
                self.query("get_peers", &rest);
                for _ in 0..1 + self.random.next_u32() % 4 {
                    let at = self.random.next_u32() as usize % self.bytes.len();
                    self.bytes[at] ^= 1 << (self.random.next_u32() % 8);
                }
            }
            _ => {
                self.bytes.clear();
                let len = self.random.next_u32() as usize % 1_500;
                self.bytes.resize(len, 0);
                let mut bytes = std::mem::take(&mut self.bytes);
                self.random.fill_bytes(&mut bytes);
                self.bytes = bytes;
            }
        }
        (from, Kind::Any)
    }

    /// Throws one datagram.
    pub fn throw(&mut self, now: Instant, node: &mut TestNode) {
        let (from, kind) = self.prepare();
        let stored = node.stats().stored;
        let before = counting::live();
        let (taken, allocations) =
            counting::allocations(|| node.handle_datagram(now, from, &self.bytes));
        self.tally.live += counting::live() - before;
        self.tally.allocations += allocations;
        self.tally.thrown += 1;
        self.tally.forged += u64::from(kind == Kind::Answer && taken.is_ok());
        let stored = node.stats().stored - stored;
        match kind {
            Kind::Theft => self.tally.stolen += stored,
            _ => self.tally.stored += stored,
        }
        if kind == Kind::WantsToken && taken.is_ok() {
            self.take_token(now, node, from);
        }
        if self.tally.live > self.tally.peak {
            (self.tally.peak, self.tally.peak_at) = (self.tally.live, self.tally.thrown);
        }
    }

    fn take_token(&mut self, now: Instant, node: &mut TestNode, from: SocketAddr) {
        let before = counting::live();
        let sent = node.poll_transmit(now, &mut self.out);
        self.tally.live += counting::live() - before;
        let Some(sent) = sent.filter(|sent| sent.to == from) else { return };
        self.tally.sent += 1;
        let Ok(message) = krpc::decode(&self.out[..sent.len]) else { return };
        let Body::Response(response) = &message.body else { return };
        let asked = krpc::decode(&self.bytes).ok();
        let hash = asked.and_then(|message| match message.body {
            Body::Query(query) => query.info_hash().ok(),
            _ => None,
        });
        if let (Some(token), Some(hash)) = (response.token(), hash) {
            self.token = Some((from, hash.0, token.to_vec()));
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Any,
    WantsToken,
    Announce,
    Theft,
    Answer,
}

impl Noise for Flood {
    fn pause(&self) -> Duration {
        self.every
    }

    fn speak(&mut self, now: Instant, searcher: &mut TestNode) {
        self.throw(now, searcher);
    }

    fn sees(&mut self, to: SocketAddr) {
        self.asked.truncate(63);
        self.asked.push_front(to);
    }

    fn overhears(&mut self, from: SocketAddr, answer: &[u8]) {
        self.overheard.truncate(63);
        self.overheard.push_front((from, answer.to_vec()));
    }
}

/// What a flood does to lookups.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Lookups, and of these, such as found nine tenths of the peers.
    pub lookups: usize,
    /// Nine tenths of the peers found.
    pub found: usize,
    /// The same of twenty lookups in peace.
    pub found_in_peace: usize,
    /// Milliseconds to the end, medians: in peace, and during the flood.
    pub peace: f64,
    /// During the flood.
    pub flood: f64,
    /// Questions in flight at the end of a lookup, at the most.
    pub in_flight: usize,
    /// What became of the datagrams.
    pub tally: Tally,
}

/// Lookups of one node for one target after the other, in peace and while it is flooded with this
/// many datagrams.
pub fn figures(world: &World, config: &Config, datagrams: u64, every: Duration) -> Figures {
    let stage = Stage::new(world, Villains::default(), 77);
    let settled = || {
        let mut node = node(7, config.clone());
        for source in stage.bootstrap() {
            node.add_source(source);
        }
        node
    };
    let info_hash = InfoHash(stage.target.0);
    let warm = |drive: &mut Drive<'_>, node: &mut TestNode| {
        for round in 0..8 {
            node.find_node(drive.now, id(mix(1, &[round]), 1)).expect("a row is free");
            drive.search(node);
        }
    };
    let (mut peace, mut during) = (Vec::new(), Vec::new());
    let mut figures = Figures::default();
    let found = |heard: &Heard| {
        heard.outcome.is_some() && heard.true_and_invented().0 * 10 >= stage.true_peers() * 9
    };
    let (mut drive, mut node) = (Drive::new(&stage), settled());
    warm(&mut drive, &mut node);
    for _ in 0..20 {
        node.get_peers(drive.now, info_hash).expect("a row is free");
        let heard = drive.search(&mut node);
        figures.found_in_peace += usize::from(found(&heard));
        peace.push(heard.done);
    }
    let (mut flood, mut node) = (Flood::new(3, every), settled());
    let mut calm = Drive::new(&stage);
    warm(&mut calm, &mut node);
    let mut drive = Drive::with_noise(&stage, &mut flood);
    drive.now = calm.now;
    let end = drive.now + every.saturating_mul(datagrams as u32);
    while drive.now < end {
        node.get_peers(drive.now, info_hash).expect("a row is free");
        let heard = drive.search(&mut node);
        figures.lookups += 1;
        figures.found += usize::from(found(&heard));
        figures.in_flight = figures.in_flight.max(node.status(drive.now).in_flight);
        during.push(heard.done);
    }
    figures.peace = median(peace);
    figures.flood = median(during);
    figures.tally = flood.tally;
    figures
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// With everything on, and without a budget for answers to each source, or a limit on replies.
pub fn table(world: &World, datagrams: u64) -> Table {
    let mut table = Table::new(&[
        "flood",
        "datagrams",
        "lookups",
        "found",
        "of 20 in peace",
        "peace ms",
        "flood ms",
        "forged",
        "stolen",
        "stored",
        "in flight",
        "bytes",
        "at the most",
        "since",
    ]);
    let strict = Config::new(Family::V4);
    let mut open = strict.clone();
    open.answers = None;
    let mut alone = strict.clone();
    alone.upkeep.verify = false;
    let mut free = strict.clone();
    (free.questions, free.destinations_per_minute) = (None, None);
    for (name, config) in [
        ("as it is", strict),
        ("no budget for a source", open),
        ("newcomers are not asked", alone),
        ("no budget for questions", free),
    ] {
        let f = figures(world, &config, datagrams, Duration::from_micros(100));
        let t = f.tally;
        table.row(&[
            &name,
            &t.thrown,
            &f.lookups,
            &f.found,
            &f.found_in_peace,
            &format!("{:.0}", f.peace),
            &format!("{:.0}", f.flood),
            &t.forged,
            &t.stolen,
            &t.stored,
            &f.in_flight,
            &t.live,
            &t.peak,
            &t.peak_at,
        ]);
    }
    table
}
