//! `tinybt follow`: tells which torrent a key names, whenever that changes (BEP 46).

use std::time::{Duration, Instant};

use serde_json::json;

use crate::args::{Follow, Format};
use crate::exit::{Failure, Found, interrupted};
use crate::options;
use crate::output::Output;
use crate::value;

pub(crate) fn run(args: &Follow) -> Result<Found, Failure> {
    let output = Output::new(Format { json: args.json, plain: false });
    let dht = options::join(&args.join, &[])?;
    let begun = Instant::now();
    let mut follow = dht.follow(&args.link, args.interval);
    let mut found = Found::Nothing;
    while !interrupted() {
        output.progress(format!("following {}", args.link));
        match follow.next_within(Duration::from_millis(100)) {
            Some(Ok(change)) => {
                found = Found::Something;
                output.json(&json!({
                    "info_hash": change.info_hash.to_string(),
                    "seq": change.seq,
                    "bencoded": value::hex(change.item.value()),
                    "at": begun.elapsed().as_secs_f64(),
                }))?;
                let (info_hash, seq) = (change.info_hash, change.seq);
                output.say(&format!("{info_hash} (version {seq})"))?;
            }
            Some(Err(error)) => output.error(&error.to_string())?,
            None => {}
        }
        if args.once && (found == Found::Something || begun.elapsed() >= args.timeout) {
            break;
        }
    }
    output.finish();
    let unresolved = options::unresolved(&dht);
    let is_alone = dht.overview()?.homes.iter().all(|(_, _, stats)| stats.answers_in == 0);
    dht.stop()?;
    if found == Found::Nothing && is_alone && !interrupted() {
        return Err(Failure::Network(format!(
            "no node of the DHT answered{unresolved}: check the network, or name others with \
             --bootstrap"
        )));
    }
    Ok(found)
}
