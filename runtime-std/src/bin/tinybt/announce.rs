//! `tinybt announce`: tells trackers and the closest nodes that we are a peer, again and again.

use serde_json::json;
use tinybt_std::core::dht::Port;
use tinybt_std::core::finder::{Presence, TrackerState, Wanted};

use crate::args::Announce;
use crate::exit::{Failure, Found};
use crate::input;
use crate::output::{Output, human, plural};
use crate::sightings::{self, with_trackers};
use crate::trace;

pub(crate) fn run(args: &Announce) -> Result<Found, Failure> {
    let torrent = with_trackers(input::torrent(&args.torrent)?, &args.sources)?;
    let info_hash = torrent.info_hash();
    let wanted = Wanted {
        dht: !args.sources.no_dht,
        trackers: !args.sources.no_trackers,
        keep: !args.once,
        ..Wanted::announce(torrent, presence(args))
    };
    let output = Output::new(args.format);
    let mut sightings = sightings::begin(wanted, &args.sources, &args.join, &output, true)?;
    sightings.follow(args.once.then_some(args.timeout))?;
    output.finish();
    if let Some(path) = &args.trace.file {
        trace::write(path, sightings.swarm.lookups())?;
    }
    let stored = sightings.stored();
    let working = sightings.swarm.trackers().iter();
    let working = working.filter(|row| row.status.state == TrackerState::Working).count();
    let took = sightings.begun.elapsed();
    output.json(&json!({
        "info_hash": info_hash.to_string(),
        "stored": stored,
        "trackers": working,
        "took": took.as_secs_f64(),
    }))?;
    output.say(&format!(
        "{} of the DHT and {} know of {info_hash}, after {}",
        plural(stored as usize, "node"),
        plural(working, "tracker"),
        human(took)
    ))?;
    let verdict = sightings.verdict(stored > 0 || working > 0);
    sightings.finder.dht().stop()?;
    verdict
}

fn presence(args: &Announce) -> Presence {
    let (port, implied_port) = match args.port {
        Port::Number(port) => (port, false),
        Port::Implied => (0, true),
    };
    Presence {
        port,
        implied_port,
        downloaded: args.presence.downloaded,
        left: args.presence.left,
        uploaded: args.presence.uploaded,
        ip: args.presence.ip,
    }
}
