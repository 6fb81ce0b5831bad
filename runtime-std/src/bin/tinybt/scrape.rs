//! `tinybt scrape`: how many are in a swarm, by its trackers.

use serde_json::json;
use tinybt_std::core::InfoHash;
use tinybt_std::core::tracker::udp::Patience;

use crate::args::{Format, Scrape};
use crate::exit::{Failure, Found, interrupted};
use crate::input;
use crate::options;
use crate::output::{Output, plural};

pub(crate) fn run(args: &Scrape) -> Result<Found, Failure> {
    let mut asked: Vec<(String, Vec<InfoHash>)> = Vec::new();
    let mut ask = |url: &str, hashes: &[InfoHash]| {
        let known = asked.iter_mut().find(|(other, _)| other == url);
        match known {
            Some((_, all)) => all.extend(hashes),
            None => asked.push((url.to_owned(), hashes.to_vec())),
        }
    };
    for text in &args.torrents {
        let torrent = input::torrent(text)?;
        for url in args.tracker.iter().map(String::as_str).chain(torrent.trackers()) {
            ask(url, &torrent.info_hashes);
        }
    }
    if asked.is_empty() {
        return Err(Failure::Usage(
            "nobody to ask: name a tracker with --tracker, or a link or file that names some"
                .to_owned(),
        ));
    }
    let finder =
        options::sockets(&args.bind)?.http(options::http(&args.http)?).without_dht().finder()?;
    let output = Output::new(Format { json: args.json, plain: false });
    let (mut found, mut failures) = (false, Vec::new());
    for (url, hashes) in asked {
        if interrupted() {
            break;
        }
        output.progress(format!("asking {url}"));
        let mut hashes = hashes;
        hashes.sort_unstable();
        hashes.dedup();
        let counts = match finder.scrape(&url, &hashes, Patience::BRIEF) {
            Ok(counts) => counts,
            Err(error) => {
                output.json(&json!({"tracker": url, "error": error.to_string()}))?;
                output.say(&error.to_string())?;
                failures.push(error.to_string());
                continue;
            }
        };
        for (hash, counts) in &counts {
            found = true;
            output.json(&json!({
                "info_hash": hash.to_string(),
                "tracker": url,
                "seeders": counts.seeders,
                "leechers": counts.leechers,
                "completed": counts.completed,
            }))?;
            let completed =
                counts.completed.map(|count| format!(", {count} completed")).unwrap_or_default();
            output.say(&format!(
                "{hash}  {}, {}{completed}  {url}",
                plural(counts.seeders as usize, "seeder"),
                plural(counts.leechers as usize, "leecher"),
            ))?;
        }
        let missing = hashes.len() - counts.len();
        if missing > 0 {
            output.json(&json!({"tracker": url, "unanswered": missing}))?;
            output.say(&format!("{url}: nothing about {missing} of them"))?;
        }
    }
    output.finish();
    match (found, failures.is_empty()) {
        (true, _) => Ok(Found::Something),
        (false, true) => Ok(Found::Nothing),
        (false, false) => Err(Failure::Network(failures.join("; "))),
    }
}
