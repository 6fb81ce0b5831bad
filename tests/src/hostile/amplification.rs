//! What a node sends for what it was sent: somebody who writes another's address on his questions has
//! that other one flooded with the answers, so they must not be much longer than the questions.
//!
//! Measured from outside: bytes that leave towards the source of a question, for the shortest and the
//! longest question of every method, with everything stored that could be told.

use std::net::SocketAddr;
use std::time::Duration;

use chacha20::ChaCha8Rng;
use rand_core::SeedableRng;
use tinybt_core::dht::item::{SecretKey, Signer, immutable_target, mutable_target, sign};
use tinybt_core::dht::{Config, Dual, Heap, Node};
use tinybt_core::limits::VALUE_MAX;
use tinybt_core::wire::krpc::{self, Answer, Body, Envelope, Question};
use tinybt_core::{Buffer, Contact, Family, Id, Instant, Machine, Step, buffer};

use super::Table;
use crate::nodes::{id, small};

type Both = Dual<Heap, ChaCha8Rng>;

/// What one question led to.
#[derive(Clone, Debug)]
pub struct Ratio {
    /// The method.
    pub method: &'static str,
    /// What is asked for, over which family.
    pub case: String,
    /// Bytes of the question.
    pub asked: usize,
    /// Bytes of the reply.
    pub reply: usize,
    /// Bytes of all that went to the source, such as a question whether it is there.
    pub all: usize,
    /// Whether it is one of the few items that go out whole to strangers.
    pub whole: bool,
}

impl Ratio {
    /// Bytes of the reply for each of the question.
    pub fn reply_ratio(&self) -> f64 {
        self.reply as f64 / self.asked as f64
    }

    /// The same with all that went to the source.
    pub fn all_ratio(&self) -> f64 {
        self.all as f64 / self.asked as f64
    }
}

const SWARM: [u8; 20] = *b"mnopqrstuvwxyz123456";
const ASKER: [u8; 20] = *b"abcdefghij0123456789";

/// A machine of both families whose tables are full, with a swarm and items of all lengths.
pub struct Target {
    dual: Both,
    now: Instant,
    out: Buffer,
    strangers: u32,
    /// Targets of items: a short one, a signed one of the length of BEP 46, the longest, a signed one.
    items: [Id; 4],
    /// Somebody in the table of each family.
    known: [Contact; 2],
}

fn stranger(family: Family, number: u32) -> SocketAddr {
    match family {
        Family::V4 => (std::net::Ipv4Addr::from_bits(0x5000_0000 + number * 257), 6881).into(),
        Family::V6 => {
            let bits = 0x2a01_0000_0000_0000u128 << 64 | u128::from(number) << 64 | 7;
            (std::net::Ipv6Addr::from_bits(bits), 6881).into()
        }
    }
}

/// A question as its bytes, with what is wanted beside the sender's id.
pub fn query(sender: &[u8; 20], method: &str, rest: &[u8], transaction: &str) -> Vec<u8> {
    let tail =
        format!("e1:q{}:{method}1:t{}:{transaction}1:y1:qe", method.len(), transaction.len());
    [b"d1:ad2:id20:", &sender[..], rest, tail.as_bytes()].concat()
}

impl Target {
    /// Behaves as it is told to.
    pub fn new(config: impl Fn(Family) -> Config) -> Self {
        let now = Instant::from_secs(86_400);
        let node = |family: Family| {
            let mut config = config(family);
            config.id = Some(id(1, 0));
            config.upkeep.bootstrap = false;
            config.upkeep.refresh = false;
            let heap = Heap { replies: 32, ..small() };
            let random = ChaCha8Rng::seed_from_u64(family as u64);
            let mut node: Node<Heap, ChaCha8Rng> = Node::new(config, heap, random);
            let (mut out, mut known) = (buffer(), None);
            for number in 0..400 {
                let now = Instant::from_secs(80_000 + u64::from(number) * 10);
                let addr = stranger(family, number);
                node.add_node(addr);
                while let Step::Send(sent) = node.step(now, &mut out) {
                    let contact = Contact { id: id(3, number as usize), addr: sent.to };
                    let reply = answer(&out[..sent.len], &contact);
                    let _ = node.handle_datagram(now, sent.to, &reply);
                    known = Some(contact);
                }
            }
            (node, known.expect("somebody is known"))
        };
        let ((v4, known4), (v6, known6)) = (node(Family::V4), node(Family::V6));
        let mut target = Self {
            dual: Dual::new(Some(v4), Some(v6)),
            now,
            out: buffer(),
            strangers: 1_000,
            items: Default::default(),
            known: [known4, known6],
        };
        target.stock();
        target
    }

    /// Puts peers and items in, as anybody may.
    fn stock(&mut self) {
        let string = |len: usize| format!("{len}:{}", "x".repeat(len)).into_bytes();
        let (short, longest) = (string(30), string(VALUE_MAX - 4));
        let key = SecretKey::from_seed([7; 32]);
        let signed = [(string(28), 1), (string(VALUE_MAX - 4), 2)];
        let targets = [
            immutable_target(&short),
            mutable_target(&key.key(), b"1"),
            immutable_target(&longest),
            mutable_target(&key.key(), b"2"),
        ];
        self.items = targets;
        for family in [Family::V4, Family::V6] {
            for _ in 0..90 {
                let from = self.next_stranger(family);
                let token = self.token(from, "get_peers", b"9:info_hash20:", &SWARM);
                let rest = [b"9:info_hash20:", &SWARM[..], b"4:porti6881e", &token].concat();
                self.exchange(from, &query(&ASKER, "announce_peer", &rest, "aa"));
            }
            for hash in 0..60u8 {
                let (from, hash) = (self.next_stranger(family), [hash; 20]);
                let token = self.token(from, "get_peers", b"9:info_hash20:", &hash);
                let rest = [b"9:info_hash20:", &hash[..], b"4:porti6881e", &token].concat();
                self.exchange(from, &query(&ASKER, "announce_peer", &rest, "aa"));
            }
            for (value, target) in [(&short, targets[0]), (&longest, targets[2])] {
                let from = self.next_stranger(family);
                let token = self.token(from, "get", b"6:target20:", &target.0);
                let put = Question::PutImmutable { target, token: &token[9..], value };
                self.ask(from, &put);
            }
            for ((value, salt), target) in signed.iter().zip([targets[1], targets[3]]) {
                let from = self.next_stranger(family);
                let token = self.token(from, "get", b"6:target20:", &target.0);
                let (salt, seq) = (salt.to_string().into_bytes(), 1);
                let signature = &sign(&key, &salt, seq, value).expect("a good item");
                let (key, salt, token) = (&key.key(), &salt[..], &token[9..]);
                let cas = None;
                let put =
                    Question::PutMutable { target, token, value, key, signature, seq, salt, cas };
                self.ask(from, &put);
            }
        }
    }

    fn next_stranger(&mut self, family: Family) -> SocketAddr {
        self.strangers += 1;
        stranger(family, self.strangers)
    }

    fn ask(&mut self, from: SocketAddr, question: &Question<'_>) {
        let mut bytes = vec![0; 1_500];
        let envelope = Envelope { transaction: b"aa", ..Envelope::default() };
        let len = krpc::encode_query(&mut bytes, &envelope, Id(ASKER), question).expect("it fits");
        self.exchange(from, &bytes[..len]);
    }

    /// `5:token8:` and the token that an address is given.
    fn token(&mut self, from: SocketAddr, method: &str, name: &[u8], hash: &[u8; 20]) -> Vec<u8> {
        let ask = query(&ASKER, method, &[name, hash].concat(), "aa");
        let (reply, _) = self.exchange(from, &ask);
        let Ok(message) = krpc::decode(&reply) else { return Vec::new() };
        let Body::Response(response) = message.body else { return Vec::new() };
        [b"5:token8:", response.token().unwrap_or_default()].concat()
    }

    /// The first reply to a datagram, and the bytes of all that goes to its source at once.
    pub fn exchange(&mut self, from: SocketAddr, bytes: &[u8]) -> (Vec<u8>, usize) {
        let _ = self.dual.handle_datagram(self.now, from, bytes);
        let (mut reply, mut all) = (Vec::new(), 0);
        loop {
            match self.dual.step(self.now, &mut self.out) {
                Step::Send(sent) if sent.to == from => {
                    all += sent.len;
                    if reply.is_empty() && !self.out[..sent.len].ends_with(b"1:y1:qe") {
                        reply = self.out[..sent.len].to_vec();
                    }
                }
                Step::Send(_) | Step::Event(_) => {}
                Step::Wait(_) => return (reply, all),
            }
        }
    }

    /// Every method, asked for as much as it can tell, as short and as long as a question may be; by
    /// strangers, and in the name of somebody who is in the routing table.
    pub fn ratios(&mut self) -> Vec<Ratio> {
        let hash = [b"9:info_hash20:", &SWARM[..]].concat();
        let target = [b"6:target20:", &SWARM[..]].concat();
        let both = b"4:wantl2:n42:n6e";
        let with = |one: &[u8], other: &[u8]| [one, other].concat();
        let token = b"5:token8:aaaaaaaa";
        let item = |which: usize| with(b"6:target20:", &self.items[which].0);
        let cases: Vec<(&str, &str, Vec<u8>)> = vec![
            ("ping", "", Vec::new()),
            ("find_node", "", target.clone()),
            ("find_node", "both families", with(&target, both)),
            ("get_peers", "a full swarm", hash.clone()),
            ("get_peers", "both families", with(&hash, both)),
            ("get_peers", "filters", with(&hash, b"6:scrapei1e")),
            ("get_peers", "unknown swarm", with(b"9:info_hash20:", &[0xcc; 20])),
            ("announce_peer", "bad token", [&hash[..], b"4:porti1e", token].concat()),
            ("announce_peer", "no token", hash.clone()),
            ("sample_infohashes", "", target.clone()),
            ("sample_infohashes", "both families", with(&target, both)),
            ("get", "nothing", target.clone()),
            ("get", "short", item(0)),
            ("get", "signed, short", item(1)),
            ("get", "longest", item(2)),
            ("get", "signed, longest", item(3)),
            ("get", "signed, longest, bad token", with(&item(3), token)),
            ("put", "bad token", [&b"1:v1:x"[..], token].concat()),
            ("vote", "a target", target.clone()),
            ("vote", "nothing", Vec::new()),
            ("", "no method", Vec::new()),
        ];
        let pad = [&b"3:zzz1000:"[..], &[b'z'; 1_000]].concat();
        let mut ratios = Vec::new();
        for family in [Family::V4, Family::V6] {
            for (method, case, rest) in &cases {
                let names = if family == Family::V4 { "IPv4" } else { "IPv6" };
                let known = self.known[family as usize];
                let longest = [&rest[..], &pad].concat();
                let t32 = "t".repeat(32);
                for (how, from, sender, rest, transaction) in [
                    ("", self.next_stranger(family), ASKER, rest, ""),
                    (", longest question", self.next_stranger(family), ASKER, &longest, &t32[..]),
                    (", as a node we know", known.addr, known.id.0, rest, ""),
                ] {
                    let bytes = query(&sender, method, rest, transaction);
                    self.now = self.now + Duration::from_secs(20);
                    // The few that go out whole in a second go to others first.
                    let others = if *method == "get" { 40 } else { 0 };
                    for number in 0..others {
                        let other = self.next_stranger(family);
                        let (reply, all) = self.exchange(other, &bytes);
                        if number == 0 && reply.len() > 4 * bytes.len() {
                            let case = format!("{names} {case}{how}, one of a few a second");
                            ratios.push(Ratio {
                                method,
                                case,
                                asked: bytes.len(),
                                reply: reply.len(),
                                all,
                                whole: true,
                            });
                        }
                    }
                    let (reply, all) = self.exchange(from, &bytes);
                    let case = format!("{names} {case}{how}");
                    let (asked, reply) = (bytes.len(), reply.len());
                    ratios.push(Ratio { method, case, asked, reply, all, whole: false });
                }
            }
        }
        ratios
    }
}

/// A minute of questions, a thousand a second.
pub enum Minute {
    /// Somebody is pinged by a single source.
    Pings,
    /// A single source asks for the peers of a full swarm.
    Peers,
    /// Everybody asks once for the longest item.
    Items,
}

/// What such a minute costs whom it is said to come from, as bytes in and out.
pub fn past_the_budget(minute: &Minute) -> (u64, u64) {
    let mut target = Target::new(Config::new);
    let bytes = match minute {
        Minute::Pings => query(&ASKER, "ping", b"", ""),
        Minute::Peers => query(&ASKER, "get_peers", &[b"9:info_hash20:", &SWARM[..]].concat(), ""),
        Minute::Items => {
            query(&ASKER, "get", &[b"6:target20:", &target.items[2].0[..]].concat(), "")
        }
    };
    let mut from = target.next_stranger(Family::V4);
    let (mut asked, mut told) = (0, 0);
    for _ in 0..60_000 {
        target.now = target.now + Duration::from_millis(1);
        asked += bytes.len() as u64;
        told += target.exchange(from, &bytes).1 as u64;
        if matches!(minute, Minute::Items) {
            from = target.next_stranger(Family::V4);
        }
    }
    (asked, told)
}

/// Everything as it is, and without a limit on amplification.
pub fn table() -> Table {
    let mut table =
        Table::new(&["method", "asked for", "bytes in", "reply", "ratio", "all", "no limit"]);
    let mut limited = Target::new(Config::new);
    let mut free = Target::new(|family| {
        let mut config = Config::new(family);
        config.amplification = 0;
        config
    });
    let free = free.ratios();
    let same = |one: &Ratio, other: &Ratio| one.method == other.method && one.case == other.case;
    for ratio in limited.ratios() {
        let unlimited = free.iter().find(|other| same(&ratio, other));
        let unlimited = unlimited.map_or(String::new(), |r| format!("{:.2}", r.reply_ratio()));
        table.row(&[
            &ratio.method,
            &ratio.case,
            &ratio.asked,
            &ratio.reply,
            &format!("{:.2}", ratio.reply_ratio()),
            &format!("{:.2}", ratio.all_ratio()),
            &unlimited,
        ]);
    }
    for (method, case, minute) in [
        ("ping", "60,000 in a minute from one source", Minute::Pings),
        ("get_peers", "60,000 in a minute from one source", Minute::Peers),
        ("get", "longest, 60,000 in a minute from as many", Minute::Items),
    ] {
        let (asked, told) = past_the_budget(&minute);
        let ratio = format!("{:.2}", told as f64 / asked as f64);
        table.row(&[&method, &case, &asked, &told, &ratio, &ratio, &""]);
    }
    table
}

fn answer(query: &[u8], contact: &Contact) -> Vec<u8> {
    let Ok(message) = krpc::decode(query) else { return Vec::new() };
    let envelope = Envelope { transaction: message.transaction, ..Envelope::default() };
    let mut bytes = vec![0; 500];
    let answer = Answer { id: contact.id, ..Answer::default() };
    let len = krpc::encode_response(&mut bytes, &envelope, &answer).expect("it fits");
    bytes.truncate(len);
    bytes
}
