//! `tinybt announce`: tells the closest nodes that we are a peer.

use std::time::Instant;

use serde_json::json;

use crate::args::Announce;
use crate::exit::{Failure, Found};
use crate::input::Torrent;
use crate::options;
use crate::output::{Output, human};
use crate::peers::{Run, verdict};
use crate::trace;

pub(crate) fn run(args: &Announce) -> Result<Found, Failure> {
    let torrent = Torrent::parse(&args.torrent)?;
    let dht = options::join(&args.join, &torrent.nodes)?;
    let output = Output::new(args.format);
    let begun = Instant::now();
    let mut search = dht.announce(torrent.info_hash, args.port)?;
    let run = Run { dht: &dht, begun, timeout: args.timeout, what: "other peers" };
    run.follow(&mut search, &output, |peer, output, at| output.peer(peer, "dht", at))?;
    output.finish();
    let finished = search.finished();
    if let Some(path) = &args.trace {
        trace::write(path, finished)?;
    }
    let stored: u32 = finished.iter().map(|f| u32::from(f.outcome.stored)).sum();
    output.json(&json!({
        "info_hash": torrent.info_hash.to_string(),
        "stored": stored,
        "took": begun.elapsed().as_secs_f64(),
    }))?;
    output.say(&format!(
        "{stored} nodes hold the announce of {}, after {}",
        torrent.info_hash,
        human(begun.elapsed())
    ))?;
    let verdict = verdict(&dht, finished, stored > 0);
    dht.stop()?;
    verdict
}
