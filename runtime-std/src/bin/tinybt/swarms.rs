//! `tinybt scrape --dht`: how many are in a swarm, by the nodes that keep it (BEP 33).

use std::time::Instant;

use serde_json::json;
use tinybt_std::core::InfoHash;
use tinybt_std::core::dht::SwarmSize;
use tinybt_std::core::dht::bloom::Estimate;
use tinybt_std::{Dht, Finished};

use crate::args::{Format, Scrape};
use crate::exit::{Failure, Found, interrupted};
use crate::input;
use crate::lookup::{Run, verdict};
use crate::options;
use crate::output::{Output, family_name, plural};

pub(crate) fn run(args: &Scrape) -> Result<Found, Failure> {
    let output = Output::new(Format { json: args.json, plain: false });
    let mut hashes = Vec::new();
    for text in &args.torrents {
        let torrent = input::torrent(text)?;
        if torrent.private {
            return Err(Failure::Usage(format!(
                "{text}: a private torrent is not to be asked for in the DHT (BEP 27)"
            )));
        }
        hashes.extend(torrent.info_hashes);
    }
    let dht = options::join(&args.join, &[])?;
    let mut all = Vec::new();
    // One after the other: a person wants an answer, and nobody a burst of questions.
    for hash in hashes {
        if interrupted() {
            break;
        }
        all.extend(scrape(&dht, args, hash, &output)?);
    }
    output.finish();
    let found = all.iter().any(|one| one.swarm.is_some_and(|swarm| is_known(&swarm)));
    let verdict = verdict(&dht, &all, found);
    dht.stop()?;
    verdict
}

fn scrape(
    dht: &Dht,
    args: &Scrape,
    hash: InfoHash,
    output: &Output,
) -> Result<Vec<Finished>, Failure> {
    let mut search = dht.scrape(hash)?;
    let run = Run { dht, begun: Instant::now(), timeout: args.timeout, what: "peers" };
    run.follow(&mut search, output, |_, _, _| Ok(()))?;
    for one in search.finished() {
        let Some(swarm) = one.swarm else { continue };
        print(output, hash, one, &swarm)?;
    }
    Ok(search.finished().to_vec())
}

fn is_known(swarm: &SwarmSize) -> bool {
    swarm.filters > 0 || swarm.legacy > 0
}

fn print(
    output: &Output,
    hash: InfoHash,
    one: &Finished,
    swarm: &SwarmSize,
) -> Result<(), Failure> {
    let family = family_name(one.family);
    let round = |number: f64| (number * 10.0).round() / 10.0;
    output.json(&json!({
        "info_hash": hash.to_string(),
        "family": family,
        "seeds": round(swarm.seeds.count),
        "seeds_error": round(swarm.seeds.error),
        "downloaders": round(swarm.downloaders.count),
        "downloaders_error": round(swarm.downloaders.error),
        "filters": swarm.filters,
        "legacy": swarm.legacy,
        "seeds_median": round(swarm.seeds_median),
        "downloaders_median": round(swarm.downloaders_median),
        "refused": swarm.refused,
        "dropped": swarm.dropped,
    }))?;
    if !is_known(swarm) {
        output.say(&format!("{hash}  nobody is known  {family}"))?;
        return Ok(());
    }
    output.say(&format!(
        "{hash}  {} and {}  {family}, by {}",
        about(&swarm.seeds, "seed"),
        about(&swarm.downloaders, "downloader"),
        plural(usize::from(swarm.filters) + usize::from(swarm.legacy), "node")
    ))?;
    let is_odd = |union: f64, median: f64| swarm.filters > 2 && union > 10.0 * median + 20.0;
    if is_odd(swarm.seeds.count, swarm.seeds_median)
        || is_odd(swarm.downloaders.count, swarm.downloaders_median)
    {
        output.say(&format!(
            "  (somebody may lie: half of the nodes know of no more than {:.0} and {:.0})",
            swarm.seeds_median, swarm.downloaders_median
        ))?;
    }
    Ok(())
}

/// A number with what it may be off by, twice the standard error.
fn about(estimate: &Estimate, what: &str) -> String {
    let count = plural(estimate.count.round() as usize, what);
    let off = (2.0 * estimate.error).round();
    if off < 1.0 { count } else { format!("{count} (± {off})") }
}
