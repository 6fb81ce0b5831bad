//! What an application wants of the machines, and makes of what they tell: the same in every loop.

use std::collections::HashSet;
use std::error::Error;
use std::net::SocketAddr;

use chacha20::ChaCha12Rng;
use chacha20::rand_core::Rng;
use tinybt_core::dht::{self, Node};
use tinybt_core::tracker::udp::{self, Patience, RequestId, UdpTrackers};
use tinybt_core::{Announce, Either, Happening, Instant, PeerId};

use crate::{Place, random};

/// A node of the DHT and a client of UDP trackers. Two machines that share a socket are one machine.
pub type Machines = (Node<dht::Heap, ChaCha12Rng>, UdpTrackers<udp::Heap, ChaCha12Rng>);

/// Looks for the peers of one swarm in the DHT and at every tracker, and prints them.
pub struct Client {
    /// To be driven by the loop.
    pub machines: Machines,
    /// How often somebody was named as a peer.
    pub found: usize,
    /// Whether the lookup in the DHT goes on.
    looks: bool,
    goodbyes: HashSet<RequestId>,
    announce: Announce,
}

impl Client {
    /// Gives the machines their first commands. `port` is the one that the socket has.
    ///
    /// # Errors
    ///
    /// Without randomness, or with more trackers than there is room for.
    pub fn new(now: Instant, place: &Place, port: u16) -> Result<Self, Box<dyn Error>> {
        let mut random = random()?;
        let (id, key) = (PeerId::random(&mut random), random.next_u32());
        let announce = Announce::new(place.info_hash, id, key, port);

        // A command is a call of a method. What it sets off is had from `step`.
        let mut node = Node::new(place.config(), dht::Heap::default(), random);
        for addr in &place.bootstrap {
            node.add_source(*addr);
        }
        node.get_peers(now, place.info_hash)?;

        let mut trackers = UdpTrackers::new(udp::Heap::default(), crate::random()?);
        for addr in &place.trackers {
            let server = trackers.add(*addr, b"/announce")?;
            // Trackers know no question: one says that one has come.
            let come = Announce { event: Happening::Started, ..announce };
            trackers.announce(server, come, Patience::BRIEF)?;
        }
        let goodbyes = HashSet::new();
        Ok(Self { machines: (node, trackers), found: 0, looks: true, announce, goodbyes })
    }

    /// Hears an event. What belongs to it can be read from its machine until the next step.
    pub fn hear(&mut self, event: Either<dht::Event, udp::Event>) {
        match event {
            Either::First(dht::Event::Peer { peer, .. }) => self.tell(peer, "the DHT"),
            Either::First(dht::Event::Finished { outcome, .. }) => {
                println!("{} of {} nodes answered", outcome.answered, outcome.asked);
                self.looks = false;
            }
            Either::First(_) => {}
            Either::Second(event) => self.hear_of_tracker(event),
        }
    }

    fn hear_of_tracker(&mut self, event: udp::Event) {
        let (request, trackers) = (event.request(), &mut self.machines.1);
        let Some(server) = trackers.server(request) else { return };
        if self.goodbyes.remove(&request) {
            return;
        }
        let name =
            trackers.addr(server).map_or(String::new(), |addr| format!("the tracker {addr}"));
        if !matches!(event, udp::Event::Announced { .. }) {
            return println!("{name} does not say: {event:?}");
        }
        // Nobody should be sent to us, who are no peer.
        let peers: Vec<SocketAddr> = trackers.peers(request).collect();
        let goodbye = Announce { event: Happening::Stopped, ..self.announce };
        self.goodbyes.extend(trackers.announce(server, goodbye, Patience::BRIEF));
        peers.into_iter().for_each(|peer| self.tell(peer, &name));
    }

    fn tell(&mut self, peer: SocketAddr, source: &str) {
        println!("peer {peer}, named by {source}");
        self.found += 1;
    }

    /// Whether everybody has answered or never will.
    pub fn is_done(&self) -> bool {
        !self.looks && self.machines.1.is_empty()
    }
}
