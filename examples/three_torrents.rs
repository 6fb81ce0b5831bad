//! The peers of several torrents at once on smol, printed as they come: the DHT and the trackers of
//! all of them on one socket and one thread.
//!
//! ```text
//! cargo run -p tinybt-examples --example three_torrents
//! cargo run -p tinybt-examples --example three_torrents <magnet link or info-hash>…
//! ```
//!
//! Without arguments it looks for peers in a private network on this machine's loopback.
#![allow(clippy::print_stdout)]

use std::error::Error;

use smol::LocalExecutor;
use tinybt_examples::Place;
use tinybt_smol::core::InfoHash;
use tinybt_smol::core::finder::{Source, Wanted};
use tinybt_smol::core::torrent::Torrent;
use tinybt_smol::{Dht, Finder, PUBLIC_ROUTERS, Running};

fn main() -> Result<(), Box<dyn Error>> {
    let links: Vec<String> = std::env::args().skip(1).collect();
    // The place ends with the network in it, so it is kept.
    let (torrents, (finder, running), _place) = match links.is_empty() {
        true => private()?,
        false => {
            let torrents: Result<_, _> = links.iter().map(|link| link.parse()).collect();
            (torrents?, Dht::builder().bootstrap(PUBLIC_ROUTERS).finder()?, None)
        }
    };
    let executor = LocalExecutor::new();
    smol::block_on(executor.run(async {
        let running = executor.spawn(running);
        // All begin before anybody is waited for.
        let searches = torrents.into_iter().map(|torrent| executor.spawn(print(&finder, torrent)));
        let mut found = 0;
        for search in searches.collect::<Vec<_>>() {
            found += search.await?;
        }
        // Without a handle it ends, when trackers have been told that nobody listens here.
        drop(finder);
        running.await?;
        if found == 0 { Err("found nobody".into()) } else { Ok(()) }
    }))
}

/// Prints the peers of a torrent as they come, and gives their number.
fn print(
    finder: &Finder,
    torrent: Torrent,
) -> impl Future<Output = Result<usize, Box<dyn Error>>> + use<> {
    let name = torrent.name.clone().unwrap_or_else(|| torrent.info_hash().to_string());
    let swarm = finder.find(Wanted::peers_of(torrent));
    async move {
        let (mut swarm, mut found) = (swarm?, 0);
        while let Some(peer) = swarm.next().await {
            let source = match peer.source {
                Source::Tracker(number) => match swarm.trackers().get(usize::from(number)) {
                    Some(tracker) => tracker.status.url.clone(),
                    None => format!("tracker {number}"),
                },
                Source::Dht => "the DHT".to_owned(),
                Source::Torrent => "the link".to_owned(),
            };
            println!("{name}: {}, named by {source}", peer.addr);
            found += 1;
        }
        println!("{name}: {found} peers");
        Ok(found)
    }
}

/// What to look for, with what, and where.
type Task = (Vec<Torrent>, (Finder, Running), Option<Place>);

/// Three torrents in a private network, whose trackers know peers of the last alone.
fn private() -> Result<Task, Box<dyn Error>> {
    let place = Place::private()?;
    let trackers: String =
        place.trackers.iter().map(|addr| format!("&tr=udp://{addr}/announce")).collect();
    let mut links = vec![format!("magnet:?xt=urn:btih:{}&dn=three{trackers}", place.info_hash)];
    for (name, port) in [("two", 6_002), ("one", 6_003)] {
        let info_hash = InfoHash([port as u8; 20]);
        place.announce(info_hash, port)?;
        links.push(format!("magnet:?xt=urn:btih:{info_hash}&dn={name}"));
    }
    let torrents: Result<_, _> = links.iter().rev().map(|link| link.parse()).collect();
    let entries = place.bootstrap.iter().map(ToString::to_string);
    let builder = Dht::builder().bind(place.bind).private().bootstrap(entries);
    Ok((torrents?, builder.finder()?, Some(place)))
}
