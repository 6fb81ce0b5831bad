//! `tinybt peers`: the peers of a torrent, as they are found.

use std::collections::BTreeMap;

use serde_json::json;
use tinybt_std::core::finder::{Source, Wanted};

use crate::args::Peers;
use crate::exit::{Failure, Found};
use crate::input;
use crate::output::{Output, human, plural};
use crate::sightings::{self, Sightings, with_trackers};
use crate::trace;

pub(crate) fn run(args: &Peers) -> Result<Found, Failure> {
    let torrent = with_trackers(input::torrent(&args.torrent)?, &args.sources)?;
    let wanted = Wanted {
        dht: !args.sources.no_dht,
        trackers: !args.sources.no_trackers,
        ..Wanted::peers_of(torrent.clone())
    };
    let output = Output::new(args.format);
    let mut sightings = sightings::begin(wanted, &args.sources, &args.join, &output, false)?;
    sightings.follow(Some(args.timeout))?;
    output.finish();
    if let Some(path) = &args.trace.file {
        trace::write(path, sightings.swarm.lookups())?;
    }
    sightings.sum_up_trackers()?;
    sum_up(&sightings, args, &torrent)?;
    let verdict = sightings.verdict(!sightings.named.is_empty());
    sightings.finder.dht().stop()?;
    verdict
}

fn sum_up(
    sightings: &Sightings<'_>,
    args: &Peers,
    torrent: &tinybt_std::core::torrent::Torrent,
) -> Result<(), Failure> {
    let (asked, answered) = sightings.nodes();
    let took = sightings.begun.elapsed();
    let (peers, first) = (sightings.named.len(), sightings.first);
    let sources = sightings.by_source();
    let networks = sightings.networks();
    if args.format.json {
        sightings.output.json(&json!({
            "info_hash": torrent.info_hash().to_string(),
            "name": torrent.name,
            "peers": peers,
            "sources": sources.into_iter().collect::<BTreeMap<_, _>>(),
            "networks": networks.iter().map(|(peer, count)| (peer.to_string(), count))
                .collect::<BTreeMap<_, _>>(),
            "nodes_asked": asked,
            "nodes_answered": answered,
            "first": first.map(|time| time.as_secs_f64()),
            "took": took.as_secs_f64(),
        }))?;
        return Ok(());
    }
    let name = torrent.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    let first = first.map(|time| format!(", the first after {}", human(time))).unwrap_or_default();
    let nodes = match asked {
        0 => String::new(),
        _ => format!("; {asked} nodes asked, {answered} answered"),
    };
    sightings.output.say(&format!(
        "{} of {}{name}{nodes}{first}, all after {}",
        plural(peers, "peer"),
        torrent.info_hash(),
        human(took)
    ))?;
    if sources.len() > 1 {
        let sources: Vec<_> =
            sources.iter().map(|(name, count)| format!("{count} by {name}")).collect();
        sightings.output.say(&format!("named {}", sources.join(", ")))?;
    }
    // In a network of one's own there is but one to name anybody.
    let by_dht_alone = |peer| {
        let sources = sightings.named.get(peer);
        sources.is_some_and(|sources| sources.iter().all(|source| *source == Source::Dht))
    };
    let alone = networks.iter().filter(|(peer, count)| **count == 1 && by_dht_alone(peer)).count();
    if alone > 0 && alone < networks.len() {
        sightings.output.say(&format!(
            "{} named by one network of the DHT alone, which may have invented them",
            plural(alone, "peer")
        ))?;
    }
    Ok(())
}
