//! `tinybt get`: finds an item of the DHT.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tinybt_std::core::Id;
use tinybt_std::core::dht::Sought;
use tinybt_std::core::dht::item::PublicKey;
use tinybt_std::core::follow::Link;
use tinybt_std::{Finished, OwnedItem};

use crate::args::{Format, Get};
use crate::exit::{Failure, Found};
use crate::lookup::{Run, verdict};
use crate::options;
use crate::output::{Output, human, plural};
use crate::value;

pub(crate) fn run(args: &Get) -> Result<Found, Failure> {
    let (target, salt) = wanted(args)?;
    value::check_name(&salt, &[("--newer-than", args.newer_than)])?;
    let output = Output::new(Format { json: args.json, plain: args.raw });
    let dht = options::join(&args.join, &[])?;
    let sought = Sought { target, salt: &salt, newer_than: args.newer_than };
    let mut search = dht.get(&sought)?;
    let run = Run { dht: &dht, begun: Instant::now(), timeout: args.timeout, what: "versions" };
    let mut newest = None;
    run.follow(&mut search, &output, |item, output, at| {
        print(output, &item, at)?;
        newest = Some(item);
        Ok(())
    })?;
    output.finish();
    let finished = search.finished();
    if let Some(item) = newest.as_ref().filter(|_| args.raw) {
        let bytes = value::string(item.value()).unwrap_or(item.value());
        let mut out = io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush())?;
    }
    summary(&output, finished)?;
    let verdict = verdict(&dht, finished, newest.is_some());
    dht.stop()?;
    verdict
}

/// Where it is kept, and its salt.
fn wanted(args: &Get) -> Result<(Id, Vec<u8>), Failure> {
    let salt = args.salt.clone().unwrap_or_default().into_bytes();
    if let Ok(target) = args.item.parse::<Id>() {
        return Ok((target, salt));
    }
    if let Ok(PublicKey(key)) = args.item.parse() {
        return Ok((Sought::of_key(&key, &salt).target, salt));
    }
    let link: Link = args.item.parse().map_err(|error| {
        Failure::Usage(format!(
            "{:?} is no target (40 hexadecimal digits), no public key (64) and no link: {error}",
            args.item
        ))
    })?;
    if args.salt.is_some() && !link.salt().is_empty() {
        return Err(Failure::Usage("--salt: the link has a salt already".to_owned()));
    }
    let salt = if args.salt.is_some() { salt } else { link.salt().to_vec() };
    Ok((Sought::of_key(&link.key.0, &salt).target, salt))
}

fn print(output: &Output, item: &OwnedItem, at: Duration) -> io::Result<()> {
    output.json(&as_json(item, Some(at)))?;
    let version = item.seq().map(|seq| format!(" (version {seq})")).unwrap_or_default();
    output.say(&format!("{}{version}", value::show(item.value())))
}

/// An item, all of it.
pub(crate) fn as_json(item: &OwnedItem, at: Option<Duration>) -> Value {
    let is_mutable = item.key().is_some();
    json!({
        "target": item.target().to_string(),
        "key": item.key().map(|key| key.to_string()),
        "salt": is_mutable.then(|| value::hex(item.salt())),
        "seq": item.seq(),
        "value": value::text(item.value()),
        "bencoded": value::hex(item.value()),
        "signature": item.signature().map(|signature| value::hex(signature)),
        "at": at.map(|at| at.as_secs_f64()),
    })
}

fn summary(output: &Output, finished: &[Finished]) -> io::Result<()> {
    let (mut newest, mut older, mut invalid, mut asked, mut answered) = (0, 0, 0, 0, 0);
    for one in finished {
        let copies = one.copies.unwrap_or_default();
        newest += usize::from(copies.newest);
        older += usize::from(copies.older);
        invalid += usize::from(copies.invalid);
        asked += usize::from(one.outcome.asked);
        answered += usize::from(one.outcome.answered);
    }
    output.json(&json!({"summary": {
        "newest": newest,
        "older": older,
        "invalid": invalid,
        "asked": asked,
        "answered": answered,
    }}))?;
    let took = finished.iter().map(|one| one.outcome.took).max().unwrap_or_default();
    let mut text = format!(
        "\nheld by {}; {} asked, {answered} answered, {}",
        plural(newest, "node"),
        plural(asked, "node"),
        human(took)
    );
    if older > 0 {
        text +=
            &format!("; {} an older version", if older == 1 { "one holds" } else { "some hold" });
    }
    if invalid > 0 {
        text += &format!("; {} told something forged", plural(invalid, "node"));
    }
    output.say(&text)
}
