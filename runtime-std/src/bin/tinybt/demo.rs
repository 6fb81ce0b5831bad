//! `tinybt demo`: a private network on this machine with nodes and trackers, some peers announced
//! in it, and then what `tinybt peers` does.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use tinybt_std::core::InfoHash;
use tinybt_std::core::dht::Port;
use tinybt_std::core::finder::{Presence, Wanted};
use tinybt_std::core::torrent::Torrent;
use tinybt_std::{Dht, Finder};

use crate::args::{Demo, Join, Peers, Sources};
use crate::exit::{Failure, Found};
use crate::output::Output;
use crate::peers;
use crate::testnet::Network;
use crate::tracker::{self, Server};

/// Peers that the DHT is told of.
const DHT_PEERS: u16 = 12;
/// Peers that each tracker is told of; one of them is in the DHT as well.
const TRACKER_PEERS: u16 = 4;

pub(crate) fn run(args: &Demo) -> Result<Found, Failure> {
    let output = Output::new(args.format);
    let count = usize::from(args.nodes);
    output.say(&format!(
        "Starting a private network of {count} nodes and 2 trackers on loopback …"
    ))?;
    let mut network = Network::start(count, &output)?;
    let info_hash = InfoHash(*b"a torrent to look up");
    let mut announces = Vec::new();
    for index in 0..DHT_PEERS {
        let node = network.nodes.get(usize::from(index) * count / usize::from(DHT_PEERS));
        let Some(node) = node else { continue };
        announces.push(node.announce(info_hash, Port::Number(50_000 + index))?);
    }
    for search in &mut announces {
        search.finish()?;
    }
    drop(announces);
    let trackers = Trackers::start(args.rough)?;
    let told = trackers.announce(info_hash)?;
    output.finish();
    output.say(&format!(
        "{DHT_PEERS} peers announced themselves in the DHT, {told} to trackers. Now, as if from \
         outside:"
    ))?;
    let entry = network.entry(count / 2).to_string();
    if args.rough {
        let died = network.bury_a_fifth(count / 2)?;
        output.say(&format!(
            "But first {died} nodes die; of the trackers one is dead, and one invents peers \
             (240.0.0.0/8)."
        ))?;
    }
    let link = trackers.magnet(info_hash);
    output.say(&format!("\n$ tinybt peers '{link}' --bootstrap {entry}"))?;
    let join =
        Join { bootstrap: vec![entry], bind: vec![([127, 0, 0, 1], 0).into()], ..Join::default() };
    peers::run(&Peers {
        torrent: link,
        sources: Sources::default(),
        join,
        format: args.format,
        timeout: Duration::from_secs(30),
        trace: args.trace.clone(),
    })
}

/// The trackers of the demo.
struct Trackers {
    urls: Vec<String>,
    honest: usize,
    _servers: Vec<Server>,
    /// A socket that nobody reads.
    _dead: Option<UdpSocket>,
}

impl Trackers {
    fn start(rough: bool) -> Result<Self, Failure> {
        let fail = |error| Failure::Network(format!("cannot start a tracker: {error}"));
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let interval = Duration::from_secs(1_800);
        let (mut urls, mut servers) = (Vec::new(), Vec::new());
        let (udp, _) = tracker::both(loopback).map_err(fail)?;
        urls.push(format!("udp://{}/announce", udp.local_addr()?));
        servers.push(Server::start(vec![udp], Vec::new(), interval).map_err(fail)?);
        let (_, http) = tracker::both(loopback).map_err(fail)?;
        urls.push(format!("http://{}/announce", http.local_addr()?));
        servers.push(Server::start(Vec::new(), vec![http], interval).map_err(fail)?);
        let honest = urls.len();
        let mut dead = None;
        if rough {
            let socket = UdpSocket::bind(loopback)?;
            urls.insert(0, format!("udp://{}/announce", socket.local_addr()?));
            dead = Some(socket);
            let (_, http) = tracker::both(loopback).map_err(fail)?;
            urls.insert(1, format!("http://{}/announce", http.local_addr()?));
            servers.push(Server::lying(http).map_err(fail)?);
        }
        Ok(Self { urls, honest, _servers: servers, _dead: dead })
    }

    /// Announces some peers to each of the honest ones; returns how many.
    fn announce(&self, info_hash: InfoHash) -> Result<u16, Failure> {
        let finder: Finder = Dht::builder()
            .bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .without_dht()
            .finder()?;
        let honest = self.urls.iter().rev().take(self.honest).rev();
        let mut told = 0;
        for (url, first) in honest.zip([51_000, 52_000]) {
            let ports = std::iter::once(50_000).chain(first + 1..first + TRACKER_PEERS);
            for port in ports {
                let tiers = vec![vec![url.clone()]];
                let torrent = Torrent { tiers, ..Torrent::new(info_hash) };
                let wanted = Wanted::announce(torrent, Presence::new(port));
                let mut swarm = finder.find(Wanted { keep: false, dht: false, ..wanted })?;
                while swarm.next().is_some() {}
                told += 1;
            }
        }
        Ok(told)
    }

    fn magnet(&self, info_hash: InfoHash) -> String {
        let mut link = format!("magnet:?xt=urn:btih:{info_hash}&dn=demo");
        for url in &self.urls {
            link += &format!("&tr={}", tinybt_std::core::escape::Escaped(url.as_bytes()));
        }
        link
    }
}
