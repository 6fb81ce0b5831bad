//! Where an example looks for peers: at the addresses in its arguments, or in a private network on
//! this machine's loopback, which ends with the process.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;

use tinybt_core::dht::{Config, Port};
use tinybt_core::tracker::server::{Registry, RegistryLimits, UdpServer};
use tinybt_core::{Announce, Family, InfoHash, Instant, PeerId};
use tinybt_std::{Dht, Driver};

use crate::{PingPong, random};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const SWARM: &str = "2b66980093bc11806fab50cb3cb41835b95a0362";

/// Whom to ask, and for what.
pub struct Place {
    /// The swarm whose peers are wanted.
    pub info_hash: InfoHash,
    /// Nodes of the DHT to begin with.
    pub bootstrap: Vec<SocketAddr>,
    /// UDP trackers.
    pub trackers: Vec<SocketAddr>,
    /// Somebody who speaks the protocol that is not ours.
    pub stranger: Option<SocketAddr>,
    /// Where to open a socket.
    pub bind: SocketAddr,
    nodes: Vec<Dht>,
}

impl Place {
    /// `[<info-hash> <node addr:port> [<tracker addr:port>…]]`; without them, a private network.
    ///
    /// # Errors
    ///
    /// What is wrong with the arguments, or with this machine's loopback.
    pub fn from_args() -> Result<Self, Box<dyn Error>> {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let [info_hash, bootstrap, trackers @ ..] = &args[..] else {
            return if args.is_empty() {
                Self::private()
            } else {
                Err("expected <info-hash> <node addr:port> [<tracker addr:port>…]".into())
            };
        };
        Ok(Self {
            info_hash: info_hash.parse()?,
            bootstrap: vec![bootstrap.parse()?],
            trackers: trackers.iter().map(|addr| addr.parse()).collect::<Result<_, _>>()?,
            stranger: None,
            bind: (Ipv4Addr::UNSPECIFIED, 0).into(),
            nodes: Vec::new(),
        })
    }

    /// How the node is to be.
    pub fn config(&self) -> Config {
        if self.nodes.is_empty() { Config::new(Family::V4) } else { Config::private(Family::V4) }
    }

    /// Twelve nodes and two trackers. Each knows another peer of the swarm, so that one sees who was
    /// asked: 127.0.0.1:6001 the DHT, :7001 the first tracker, :7002 the second.
    ///
    /// # Errors
    ///
    /// What is wrong with this machine's loopback.
    pub fn private() -> Result<Self, Box<dyn Error>> {
        let info_hash = SWARM.parse()?;
        let mut nodes: Vec<Dht> = Vec::new();
        for _ in 0..12 {
            let first = nodes.first().and_then(|node| node.local_addrs().first());
            let builder = Dht::builder().bind(LOOPBACK).private();
            let node = builder.bootstrap(first.map(SocketAddr::to_string)).start()?;
            nodes.push(node);
        }
        let first = nodes.first().and_then(|node| node.local_addrs().first().copied());
        let place = Self {
            info_hash,
            bootstrap: first.into_iter().collect(),
            trackers: vec![tracker(info_hash, 7001)?, tracker(info_hash, 7002)?],
            stranger: Some(stranger()?),
            bind: LOOPBACK,
            nodes,
        };
        place.announce(info_hash, 6001)?;
        Ok(place)
    }

    /// Announces a peer of a swarm in the private network's DHT.
    ///
    /// # Errors
    ///
    /// That there is no such network, or that nobody in it stored the peer.
    pub fn announce(&self, info_hash: InfoHash, port: u16) -> Result<(), Box<dyn Error>> {
        let last = self.nodes.last().ok_or("no private network")?;
        let mut announce = last.announce(info_hash, Port::Number(port))?;
        match announce.finish()?.iter().any(|finished| finished.outcome.stored > 0) {
            true => Ok(()),
            false => Err("nobody stored the announce".into()),
        }
    }
}

/// A tracker that knows one peer of the swarm.
fn tracker(info_hash: InfoHash, port: u16) -> Result<SocketAddr, Box<dyn Error>> {
    let mut random = random()?;
    let announce = Announce::new(info_hash, PeerId::random(&mut random), 0, port);
    let server = UdpServer::new(Registry::new(RegistryLimits::default()), random);
    let socket = UdpSocket::bind(LOOPBACK)?;
    let addr = socket.local_addr()?;
    let mut driver = Driver::new(server, vec![socket])?;
    let now = driver.now();
    driver.machine().registry.announce(now, addr.ip(), &announce);
    thread::spawn(move || while driver.turn(|_, _, event| match event {}).is_ok() {});
    Ok(addr)
}

/// Somebody who answers pings.
fn stranger() -> Result<SocketAddr, Box<dyn Error>> {
    let socket = UdpSocket::bind(LOOPBACK)?;
    let addr = socket.local_addr()?;
    let mut answering = PingPong::new(None);
    thread::spawn(move || {
        let mut buffer = [0; 100];
        while let Ok((len, from)) = socket.recv_from(&mut buffer) {
            let heard = buffer.get(..len).unwrap_or_default();
            if let Some(reply) = answering.hear(Instant::EPOCH, from, heard) {
                let _ = socket.send_to(reply.as_bytes(), from);
            }
        }
    });
    Ok(addr)
}
