//! The emulated world of the kit on real sockets: one process that answers for every address of
//! 127.0.0.0/8 at one port, from the address that was asked, after the delay of the pair.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io::{BufRead, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chacha20::ChaCha8Rng;
use nix::libc::{in_addr, in_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, sendmsg, setsockopt,
    sockopt,
};
use rand_core::{Rng, SeedableRng};
use serde_json::json;
use tinybt_core::wire::krpc::{self, Answer, Body, Envelope, Message, Values};
use tinybt_core::{Contact, Family, Id, InfoHash};
use tinybt_tests::net::{Delay, mix, uniform};
use tinybt_tests::world::{Made, World};

use crate::Result;

/// What is under way, and what each searcher has sent and received.
#[derive(Default)]
struct Shared {
    due: BinaryHeap<Reverse<(Instant, u64)>>,
    flying: HashMap<u64, Reply>,
    serial: u64,
    traffic: HashMap<SocketAddrV4, (u32, u32)>,
}

struct Reply {
    from: Ipv4Addr,
    to: SocketAddrV4,
    bytes: Vec<u8>,
}

type Post = Arc<(Mutex<Shared>, Condvar)>;

/// Says where to begin and what to look for, then answers until its input ends.
pub fn run(seed: u64, port: u16, nodes: usize, kind: &str) -> Result<()> {
    let usual = World { nodes, ..World::default() };
    let delay = Delay::Constant(Duration::ZERO);
    let world = match kind {
        "quick" => World { dead: 0, stale: 0, loss: 0, delay, ..usual },
        "harder" => World { nodes, ..World::harder() },
        _ => usual,
    };
    let quick = kind == "quick";
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
    setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    setsockopt(&socket, sockopt::RcvBuf, &(4 << 20))?;
    let port = socket.local_addr()?.port();
    let post = Post::default();
    let sending = (socket.try_clone()?, post.clone());
    std::thread::spawn(move || send(&sending.0, &sending.1));
    let (tell, told) = std::sync::mpsc::channel();
    let receiving = post.clone();
    std::thread::spawn(move || {
        let made = Made::new(&world, seed);
        let (first, done) = if quick { (0.0, 0.0) } else { made.floor(&made.bootstrap()) };
        let begin = made.bootstrap().into_iter().map(|node| addr(node, port).to_string());
        let _ = tell.send(json!({
            "target": InfoHash(made.target.0).to_string(), "bootstrap": begin.collect::<Vec<_>>(),
            "floor_first": first, "floor_done": done, "living": made.living(),
            "peers": world.peers,
        }));
        let mut random = ChaCha8Rng::seed_from_u64(mix(seed, &[8]));
        let emulated = Emulated { made, world: &world, port };
        let _ = receive(&socket, &receiving, &emulated, &mut random);
    });
    println!("{}", told.recv()?);
    for line in std::io::stdin().lock().lines() {
        let asked = line?.parse()?;
        let shared = post.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (sent, received) = shared.traffic.get(&asked).copied().unwrap_or_default();
        println!("{}", json!({"sent": sent, "received": received}));
    }
    Ok(())
}

/// Each in a network of its own.
fn addr(index: usize, port: u16) -> SocketAddr {
    let index = index + 256;
    SocketAddr::from(([127, (index >> 8) as u8, index as u8, 7], port))
}

/// Which of these addresses it is.
fn index(ip: Ipv4Addr) -> Option<usize> {
    let [_, high, low, _] = ip.octets().map(usize::from);
    (high << 8 | low).checked_sub(256)
}

struct Emulated<'a> {
    made: Made<'a>,
    world: &'a World,
    port: u16,
}

fn receive(
    socket: &UdpSocket,
    post: &Post,
    emulated: &Emulated<'_>,
    random: &mut ChaCha8Rng,
) -> Result<()> {
    let mut bytes = [0; 2_048];
    let mut control = nix::cmsg_space!(in_pktinfo);
    loop {
        let mut buffers = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::empty();
        let message =
            recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut buffers, Some(&mut control), flags)?;
        let now = Instant::now();
        let asked = message.cmsgs()?.find_map(|one| match one {
            ControlMessageOwned::Ipv4PacketInfo(info) => Some(info.ipi_addr),
            _ => None,
        });
        let (Some(asked), Some(from)) = (asked, message.address) else { continue };
        let (asked, from) = (Ipv4Addr::from(u32::from_be(asked.s_addr)), SocketAddrV4::from(from));
        let len = message.bytes;
        let mut shared = post.0.lock().unwrap_or_else(PoisonError::into_inner);
        shared.traffic.entry(from).or_default().0 += 1;
        drop(shared);
        let mut lost = || random.next_u32() % 1_000 < emulated.world.loss;
        let living = index(asked).filter(|node| emulated.made.is_alive(*node));
        let (Some(node), false) = (living, lost()) else { continue };
        let Some(bytes) = emulated.reply(node, from, &bytes[..len]) else { continue };
        if lost() {
            continue;
        }
        let jitter = 1.0 + 0.1 * uniform(random);
        let at = now + emulated.made.rtt(node).mul_f64(jitter);
        let mut shared = post.0.lock().unwrap_or_else(PoisonError::into_inner);
        shared.serial += 1;
        let serial = shared.serial;
        shared.flying.insert(serial, Reply { from: asked, to: from, bytes });
        shared.due.push(Reverse((at, serial)));
        post.1.notify_one();
    }
}

fn send(socket: &UdpSocket, post: &Post) {
    let mut shared = post.0.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let next = shared.due.peek().map(|Reverse((at, _))| *at);
        let wait =
            next.map_or(Duration::from_secs(1), |at| at.saturating_duration_since(Instant::now()));
        if next.is_none() || !wait.is_zero() {
            let woken = post.1.wait_timeout(shared, wait);
            shared = woken.unwrap_or_else(PoisonError::into_inner).0;
            continue;
        }
        let Some(Reverse((_, serial))) = shared.due.pop() else { continue };
        let Some(reply) = shared.flying.remove(&serial) else { continue };
        shared.traffic.entry(reply.to).or_default().1 += 1;
        let info = in_pktinfo {
            ipi_ifindex: 0,
            ipi_spec_dst: in_addr { s_addr: u32::from(reply.from).to_be() },
            ipi_addr: in_addr { s_addr: 0 },
        };
        let _ = sendmsg(
            socket.as_raw_fd(),
            &[IoSlice::new(&reply.bytes)],
            &[ControlMessage::Ipv4PacketInfo(&info)],
            MsgFlags::empty(),
            Some(&SockaddrIn::from(reply.to)),
        );
    }
}

impl Emulated<'_> {
    fn reply(&self, node: usize, from: SocketAddrV4, query: &[u8]) -> Option<Vec<u8>> {
        let message = krpc::decode(query).ok()?;
        let Body::Query(asked) = &message.body else { return None };
        let packed = self.made.holds(node);
        let token = (node as u32).to_be_bytes();
        let near = |target: Id| {
            let known = self.made.tells(node, target).into_iter();
            let contact = |node| Contact { id: self.made.id(node), addr: addr(node, self.port) };
            known.map(contact).collect::<Vec<_>>()
        };
        let mut answer = Answer { id: self.made.id(node), ..Answer::default() };
        let nodes;
        match asked.method {
            b"find_node" => {
                nodes = near(asked.target().ok()?);
                answer.nodes = Some(&nodes);
            }
            b"get_peers" => {
                let info_hash = asked.info_hash().ok()?;
                nodes = near(Id(info_hash.0));
                answer.nodes = Some(&nodes);
                answer.token = Some(&token);
                if !packed.is_empty() && info_hash.0 == self.made.target.0 {
                    answer.values = Some(Values { family: Family::V4, packed: [&packed, &[]] });
                }
            }
            b"ping" | b"announce_peer" => {}
            _ => return None,
        }
        Some(encode(&message, from, &answer))
    }
}

fn encode(query: &Message<'_>, from: SocketAddrV4, answer: &Answer<'_>) -> Vec<u8> {
    let envelope = Envelope {
        transaction: query.transaction,
        version: None,
        read_only: false,
        external: Some(from.into()),
    };
    let mut bytes = vec![0; 2_048];
    let len = krpc::encode_response(&mut bytes, &envelope, answer).unwrap_or(0);
    bytes.truncate(len);
    bytes
}
