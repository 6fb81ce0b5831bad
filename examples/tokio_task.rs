//! The same as `poll_loop` as a tokio task: commands come in by a channel, peers go out by one for
//! each command, and what is foreign on the socket goes to the task of the protocol it belongs to.
//!
//! ```text
//! cargo run -p tinybt-examples --example tokio_task
//! cargo run -p tinybt-examples --example tokio_task <info-hash> <node addr:port> [<tracker addr:port>…]
//! ```
//!
//! Without arguments it looks for peers in a private network on this machine's loopback.
#![allow(clippy::print_stdout)]

use std::collections::HashMap;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chacha20::ChaCha12Rng;
use tinybt_core::dht::{self, Dual, LookupId, Node};
use tinybt_core::tracker::udp::{self, Patience, RequestId, ServerId, UdpTrackers};
use tinybt_core::{Announce, Either, Happening, Ignored, Instant, Machine, PeerId, Step, buffer};
use tinybt_examples::{PingPong, Place, random};
use tokio::net::UdpSocket;
use tokio::sync::mpsc::{Receiver, Sender, UnboundedSender, channel, unbounded_channel};
use tokio::time::sleep;

/// The command: look for the peers of a swarm, as this peer of it. Each comes by the channel, with
/// the tracker that named it or without; it closes when everybody has answered or never will.
/// Whoever drops the other end wants no more.
#[derive(Clone)]
struct Find(Announce, UnboundedSender<(SocketAddr, Option<SocketAddr>)>);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let place = Place::from_args()?;
    let socket = Arc::new(UdpSocket::bind(place.bind).await?);
    let port = socket.local_addr()?.port();
    let (commands, receiver) = channel(16);
    let (foreign, datagrams) = channel(16);
    let task = tokio::spawn(Client::new(&place)?.run(socket.clone(), receiver, foreign));
    let pongs = tokio::spawn(ping_pong(socket, datagrams, PingPong::new(place.stranger)));

    let announce = Announce::new(place.info_hash, PeerId::random(&mut random()?), 0, port);
    let (sender, mut peers) = unbounded_channel();
    commands.send(Find(announce, sender)).await?;
    let mut found = 0;
    while let Some((peer, tracker)) = peers.recv().await {
        let source = tracker.map_or("the DHT".into(), |addr| format!("the tracker {addr}"));
        println!("peer {peer}, named by {source}");
        found += 1;
    }
    println!("{} pongs", pongs.await?);
    // The task ends when there is nobody to send commands, and goodbye is said.
    drop(commands);
    task.await?;
    if found == 0 { Err("found nobody".into()) } else { Ok(()) }
}

/// The task's state: the machines, and who waits for what.
struct Client {
    machines: (Dual<dht::Heap, ChaCha12Rng>, UdpTrackers<udp::Heap, ChaCha12Rng>),
    servers: Vec<ServerId>,
    lookups: HashMap<LookupId, Find>,
    requests: HashMap<RequestId, Find>,
}

impl Client {
    fn new(place: &Place) -> Result<Self, Box<dyn Error>> {
        // With a second socket there would be a second node, for IPv6.
        let node = Node::new(place.config(), dht::Heap::default(), random()?);
        let mut dht = Dual::new(Some(node), None);
        for addr in &place.bootstrap {
            dht.add_source(*addr);
        }
        let mut trackers = UdpTrackers::new(udp::Heap::default(), random()?);
        let servers = place.trackers.iter().map(|addr| trackers.add(*addr, b"/announce"));
        let servers = servers.collect::<Result<_, _>>()?;
        let machines = (dht, trackers);
        Ok(Self { machines, servers, lookups: HashMap::new(), requests: HashMap::new() })
    }

    async fn run(
        mut self,
        socket: Arc<UdpSocket>,
        mut commands: Receiver<Find>,
        foreign: Sender<(SocketAddr, Vec<u8>)>,
    ) {
        let started = tokio::time::Instant::now();
        let now = || Instant::EPOCH + started.elapsed();
        let (mut outbox, mut inbox) = (buffer(), vec![0; 65_536]);
        let mut open = true;
        loop {
            let present = now();
            let deadline = loop {
                match self.machines.step(present, &mut outbox) {
                    // What cannot be sent is as good as lost on the way: it will be repeated.
                    Step::Send(datagram) => {
                        let _ = socket.send_to(&outbox[..datagram.len], datagram.to).await;
                    }
                    Step::Event(event) => self.hear(present, event),
                    Step::Wait(deadline) => break deadline,
                }
            };
            if !open && self.machines.1.is_empty() {
                return;
            }
            // Nothing is lost by the branches that are dropped: none has taken anything by then, and
            // the machines are touched by the one that won alone.
            tokio::select! {
                received = socket.recv_from(&mut inbox) => {
                    // An error is news of an earlier datagram that reached nobody.
                    let Ok((len, from)) = received else { continue };
                    let datagram = &inbox[..len];
                    if self.machines.handle_datagram(now(), from, datagram) == Err(Ignored::Foreign) {
                        // Full or closed: lost, as datagrams are. This task waits for nobody.
                        let _ = foreign.try_send((from, datagram.to_vec()));
                    }
                }
                () = sleep(deadline.map_or(Duration::MAX, |at| at.since(now()))) => {}
                command = commands.recv(), if open => match command {
                    Some(find) => self.find(now(), &find),
                    None => open = false,
                },
            }
        }
    }

    fn find(&mut self, now: Instant, find: &Find) {
        // Whom there is no room to ask is not asked.
        if let Ok(lookups) = self.machines.0.get_peers(now, find.0.info_hash) {
            self.lookups.extend(lookups.iter().map(|lookup| (lookup, find.clone())));
        }
        let come = Announce { event: Happening::Started, ..find.0 };
        for server in &self.servers {
            if let Ok(request) = self.machines.1.announce(*server, come, Patience::BRIEF) {
                self.requests.insert(request, find.clone());
            }
        }
    }

    /// Hears an event. What belongs to it can be read from its machine until the next step.
    fn hear(&mut self, now: Instant, event: Either<dht::Event, udp::Event>) {
        let (dht, trackers) = &mut self.machines;
        match event {
            Either::First(dht::Event::Peer { lookup, peer }) => {
                let find = self.lookups.get(&lookup);
                if find.is_some_and(|find| find.1.send((peer, None)).is_err()) {
                    dht.cancel(now, lookup);
                }
            }
            Either::First(dht::Event::Finished { lookup, .. }) => {
                drop(self.lookups.remove(&lookup))
            }
            Either::First(_) => {}
            Either::Second(event) => {
                let request = event.request();
                // Of the goodbyes below nobody waits to hear.
                let Some(find) = self.requests.remove(&request) else { return };
                let Some(server) = trackers.server(request) else { return };
                for peer in trackers.peers(request) {
                    let _ = find.1.send((peer, trackers.addr(server)));
                }
                if matches!(event, udp::Event::Announced { .. }) {
                    // Nobody should be sent to us, who are no peer.
                    let goodbye = Announce { event: Happening::Stopped, ..find.0 };
                    let _ = trackers.announce(server, goodbye, Patience::BRIEF);
                }
            }
        }
    }
}

/// The other protocol: a task of its own, which sends by the same socket.
async fn ping_pong(
    socket: Arc<UdpSocket>,
    mut datagrams: Receiver<(SocketAddr, Vec<u8>)>,
    mut protocol: PingPong,
) -> u32 {
    let started = tokio::time::Instant::now();
    let now = || Instant::EPOCH + started.elapsed();
    while let Some(at) = protocol.deadline() {
        if let Some((to, line)) = protocol.say(now()) {
            let _ = socket.send_to(line.as_bytes(), to).await;
        }
        tokio::select! {
            () = sleep(at.since(now())) => {}
            Some((from, datagram)) = datagrams.recv() => {
                if let Some(reply) = protocol.hear(now(), from, &datagram) {
                    let _ = socket.send_to(reply.as_bytes(), from).await;
                }
            }
        }
    }
    protocol.pongs
}
