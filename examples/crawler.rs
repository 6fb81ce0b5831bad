//! A crawler: a node with a policy of its own, which goes through the key space and counts who is
//! there.
//!
//! ```text
//! cargo run -p tinybt-examples --example crawler
//! cargo run -p tinybt-examples --example crawler <node addr:port> [<bits>]
//! ```
//!
//! Without arguments it counts a network of 200 nodes in virtual time, all of them or it fails. With
//! them it counts one slice in `2^bits` (4,096 if nothing is said) of the network that the node is in,
//! and tells what the whole may be.
#![allow(clippy::print_stdout)]

use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::rc::Rc;
use std::time::Duration;

use chacha20::ChaCha8Rng;
use chacha20::rand_core::SeedableRng;
use tinybt_core::dht::{AskId, Busy, Config, Event, Heap, Node, Question};
use tinybt_core::wire::krpc::{Body, Response};
use tinybt_core::{Contact, Family, Id, Instant};
use tinybt_examples::random;
use tinybt_std::Driver;
use tinybt_tests::{net::Link, nodes};

/// Questions that wait for an answer: who asks faster than it hears loses the answers.
const IN_FLIGHT: usize = 64;

type Crawling = Node<Heap, ChaCha8Rng>;

/// Whom to ask: about the nodes around its own id first, then about those across its first bit, its
/// second and so on, until it knows nobody there. That is all that it knows.
type Errand = (Contact, u32);

/// The policy. It knows no socket and no clock: those are of whatever drives the node.
struct Crawl {
    /// The slice: ids that share so many bits with this one.
    point: Id,
    bits: u32,
    /// Everybody of the slice that was ever told of.
    heard: HashSet<SocketAddr>,
    answered: HashSet<SocketAddr>,
    waiting: VecDeque<Errand>,
    open: HashMap<AskId, Errand>,
    entering: bool,
}

impl Crawl {
    /// Lets the node look for the slice. Where that lookup ends the crawl begins.
    fn begin(node: &mut Crawling, now: Instant, point: Id, bits: u32) -> Result<Self, Busy> {
        node.find_node(now, point)?;
        let (heard, answered) = (HashSet::new(), HashSet::new());
        let (waiting, open) = (VecDeque::new(), HashMap::new());
        Ok(Self { point, bits, heard, answered, waiting, open, entering: true })
    }

    fn is_done(&self) -> bool {
        !self.entering && self.open.is_empty() && self.waiting.is_empty()
    }

    /// Hears an event while what belongs to it can be read from the node, and asks on.
    fn hear(&mut self, node: &mut Crawling, event: Event) {
        match event {
            Event::Finished { lookup, .. } => {
                node.closest(lookup).for_each(|contact| self.meet(contact));
                self.entering = false;
            }
            Event::Answered { ask, .. } => {
                if let Some(errand) = self.open.remove(&ask)
                    && let Some(Body::Response(answer)) = node.answer(ask).map(|said| said.body)
                {
                    self.read(errand, &answer);
                }
            }
            // It does not say, but it is there.
            Event::Refused { ask, .. } => {
                self.answered.extend(self.open.remove(&ask).map(|(whom, _)| whom.addr));
            }
            // The node has asked twice.
            Event::Silent { ask } => drop(self.open.remove(&ask)),
            _ => {}
        }
        while self.open.len() < IN_FLIGHT
            && let Some((whom, round)) = self.waiting.pop_front()
        {
            let target = across(whom.id, self.bits, round);
            // An address that cannot be asked is nobody's.
            if let Ok(ask) = node.ask(whom.addr, &Question::FindNode { target, want: None }) {
                self.open.insert(ask, (whom, round));
            }
        }
    }

    fn read(&mut self, (whom, round): Errand, answer: &Response<'_>) {
        if self.answered.insert(whom.addr) && self.answered.len().is_multiple_of(50) {
            println!("{} answered, {} were told of", self.answered.len(), self.heard.len());
        }
        let mut knows_somebody = round == 0;
        for contact in answer.nodes() {
            self.meet(contact);
            let shared = contact.id.distance(whom.id).leading_zeros();
            knows_somebody |= shared + 1 == self.bits + round;
        }
        if knows_somebody {
            self.waiting.push_back((whom, round + 1));
        }
    }

    /// Hears of somebody, who will be asked if they are of the slice and new.
    fn meet(&mut self, whom: Contact) {
        let inside = whom.id.distance(self.point).leading_zeros() >= self.bits;
        if inside && self.heard.insert(whom.addr) {
            self.waiting.push_back((whom, 0));
        }
    }
}

/// The id itself, or across its first bit behind those of the slice, across its second …
fn across(id: Id, bits: u32, round: u32) -> Id {
    let Some(round) = round.checked_sub(1) else { return id };
    let mut bytes = id.0;
    let bit = bits + round;
    if let Some(byte) = bytes.get_mut(bit as usize / 8) {
        *byte ^= 0x80 >> (bit % 8);
    }
    Id(bytes)
}

/// The node that crawls: one that asks, and does nothing of its own accord.
fn crawler(begin: SocketAddr, random: ChaCha8Rng) -> Crawling {
    let mut config = Config::endpoint(Family::V4);
    // Who is gone in a minute should not be kept in the tables of others (BEP 43).
    config.read_only = true;
    // One row more than questions: that of the event being told is given free after it.
    let mut node = Node::new(config, Heap { asks: IN_FLIGHT + 1, ..Heap::default() }, random);
    node.add_source(begin);
    node
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    match args.next() {
        None => simulated(200),
        Some(begin) => real(begin.parse()?, args.next().map_or(Ok(12), |bits| bits.parse())?),
    }
}

/// Counts a network that there is in this process only.
fn simulated(count: usize) -> Result<(), Box<dyn Error>> {
    let mut network = nodes::network(1, count, Link::default());
    let here = nodes::addr(count);
    network.add(here, crawler(nodes::addr(0), ChaCha8Rng::seed_from_u64(1)));
    let crawl = network.command(here, |node, now| Crawl::begin(node, now, Id::default(), 0))?;
    let crawl = Rc::new(RefCell::new(crawl));
    let listener = crawl.clone();
    network.watch(move |_, addr, node, event| {
        if addr == here {
            listener.borrow_mut().hear(node, *event);
        }
    });
    let a_day = network.now() + Duration::from_secs(86_400);
    network.run_while(a_day, |_| !crawl.borrow().is_done());
    let answered = crawl.borrow().answered.len();
    println!("{answered} of {count} nodes counted");
    if answered == count { Ok(()) } else { Err("some were missed".into()) }
}

/// Counts a slice of a network that there is.
fn real(begin: SocketAddr, bits: u32) -> Result<(), Box<dyn Error>> {
    let bits = bits.min(32);
    let mut random = ChaCha8Rng::from_rng(&mut random()?);
    let point = Id::random(&mut random);
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let mut driver = Driver::new(crawler(begin, random), vec![socket])?;
    let now = driver.now();
    let mut crawl = Crawl::begin(driver.machine(), now, point, bits)?;
    while !crawl.is_done() {
        driver.turn(|node, _, event| crawl.hear(node, event))?;
    }
    let count = crawl.answered.len() as u64;
    println!("{count} nodes counted in one of {} slices: {} in all", 1u64 << bits, count << bits);
    if count > 0 { Ok(()) } else { Err("nobody answered".into()) }
}
