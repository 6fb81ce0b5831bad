//! Searchers: one lookup of a node that knows nothing but where to begin.

use std::collections::HashSet;
use std::net::{SocketAddr, SocketAddrV4};
use std::time::Instant;

use serde_json::json;
use tinybt_core::InfoHash;

use crate::Result;

/// What a lookup came to, in milliseconds since the node was made.
pub struct Found {
    begun: Instant,
    peers: usize,
    known: HashSet<SocketAddr>,
    first: Option<f64>,
    most: Option<f64>,
}

impl Found {
    /// Begins, where there are so many peers.
    pub fn begin(peers: usize) -> Self {
        let known = HashSet::new();
        Self { begun: Instant::now(), peers, known, first: None, most: None }
    }

    pub fn peer(&mut self, addr: SocketAddr) {
        let now = self.elapsed();
        self.known.insert(addr);
        self.first.get_or_insert(now);
        if self.known.len() * 10 >= self.peers * 9 {
            self.most.get_or_insert(now);
        }
    }

    pub fn elapsed(&self) -> f64 {
        self.begun.elapsed().as_secs_f64() * 1e3
    }

    pub fn tell(&self, done: f64) {
        println!(
            "{}",
            json!({
                "first": self.first, "most": self.most, "done": done, "peers": self.known.len(),
            })
        );
    }
}

pub fn tinybt(addr: SocketAddr, bootstrap: &[String], target: &str, peers: usize) -> Result<()> {
    let mut found = Found::begin(peers);
    let dht = tinybt_std::Dht::builder().bind(addr).bootstrap(bootstrap).start()?;
    let mut search = dht.get_peers(target.parse::<InfoHash>()?)?;
    for peer in &mut search {
        found.peer(peer);
    }
    search.finish()?;
    found.tell(found.elapsed());
    // Whoever started it has counted what it sent by the time that it is ended.
    std::io::read_to_string(std::io::stdin())?;
    Ok(())
}

#[allow(deprecated, reason = "what is to come in its place is for async programs")]
pub fn mainline(
    addr: SocketAddrV4,
    bootstrap: &[String],
    target: &str,
    peers: usize,
) -> Result<()> {
    let mut found = Found::begin(peers);
    let mut builder = mainline::Dht::builder();
    let builder = builder.bootstrap(bootstrap).bind_address(*addr.ip()).port(addr.port());
    let dht = builder.build()?;
    for peer in dht.get_peers(target.parse()?).flatten() {
        found.peer(peer.into());
    }
    found.tell(found.elapsed());
    std::io::read_to_string(std::io::stdin())?;
    Ok(())
}
