//! `tinybt scrape`: how many are in a swarm, by its trackers.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::json;
use tinybt_std::core::InfoHash;
use tinybt_std::core::announce::Counts;
use tinybt_std::core::tracker::udp::Patience;

use crate::args::{Format, Scrape};
use crate::exit::{Failure, Found, interrupted};
use crate::input;
use crate::options;
use crate::output::{Output, plural};
use crate::swarms;

/// A tracker, and what it is asked for.
type Asked = (String, Vec<InfoHash>);

pub(crate) fn run(args: &Scrape) -> Result<Found, Failure> {
    if args.dht {
        return swarms::run(args);
    }
    let asked = whom_to_ask(args)?;
    let finder = options::sockets(&args.join.bind)?
        .http(options::http(&args.http)?)
        .without_dht()
        .finder()?;
    let output = Output::new(Format { json: args.json, plain: false });
    // All at once: one that is dead keeps nobody waiting, and Ctrl-C is heard.
    let (tell, told) = channel();
    let mut open = asked.len();
    for (url, hashes) in asked {
        let (finder, tell) = (finder.clone(), tell.clone());
        std::thread::spawn(move || {
            let counts = finder.scrape(&url, &hashes, Patience::BRIEF);
            let _ = tell.send((url, hashes, counts));
        });
    }
    let (mut found, mut failures) = (false, Vec::new());
    while open > 0 && !interrupted() {
        output.progress(format!("waiting for {}", plural(open, "tracker")));
        match told.recv_timeout(Duration::from_millis(100)) {
            Ok((url, hashes, Ok(counts))) => {
                open -= 1;
                found |= !counts.is_empty();
                print(&output, &url, &hashes, &counts)?;
            }
            Ok((url, _, Err(error))) => {
                open -= 1;
                output.json(&json!({"tracker": url, "error": error.to_string()}))?;
                output.say(&error.to_string())?;
                failures.push(error.to_string());
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    output.finish();
    match (found || interrupted(), failures.is_empty()) {
        (true, _) if found => Ok(Found::Something),
        (true, _) | (false, true) => Ok(Found::Nothing),
        (false, false) => Err(Failure::Network(failures.join("; "))),
    }
}

/// Each tracker once, with everything it is asked for.
fn whom_to_ask(args: &Scrape) -> Result<Vec<Asked>, Failure> {
    let mut asked: Vec<Asked> = Vec::new();
    for text in &args.torrents {
        let torrent = input::torrent(text)?;
        if torrent.private && !args.tracker.is_empty() {
            return Err(Failure::Usage(
                "--tracker: a private torrent's own trackers alone may know of it (BEP 27)"
                    .to_owned(),
            ));
        }
        for url in args.tracker.iter().map(String::as_str).chain(torrent.trackers()) {
            match asked.iter_mut().find(|(other, _)| other == url) {
                Some((_, hashes)) => hashes.extend(&torrent.info_hashes),
                None => asked.push((url.to_owned(), torrent.info_hashes.clone())),
            }
        }
    }
    if asked.is_empty() {
        return Err(Failure::Usage(
            "nobody to ask: name a tracker with --tracker, or a link or file that names some"
                .to_owned(),
        ));
    }
    for (_, hashes) in &mut asked {
        hashes.sort_unstable();
        hashes.dedup();
    }
    Ok(asked)
}

fn print(
    output: &Output,
    url: &str,
    hashes: &[InfoHash],
    counts: &[(InfoHash, Counts)],
) -> Result<(), Failure> {
    for (hash, counts) in counts {
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
    Ok(())
}
