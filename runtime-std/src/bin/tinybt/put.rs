//! `tinybt put`: stores an item in the DHT.

use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use tinybt_std::core::dht::item::{SecretKey, Signer, check_value};
use tinybt_std::core::dht::{End, Sought};
use tinybt_std::core::follow::{Link, value_of};
use tinybt_std::core::limits::VALUE_MAX;
use tinybt_std::{Dht, Error, Finished, OwnedItem};

use crate::args::{Format, Put};
use crate::exit::{Failure, Found, interrupted};
use crate::input;
use crate::key;
use crate::lookup::{Run, verdict};
use crate::options;
use crate::output::{Output, family_name, plural};
use crate::value;

/// Between two puts of an item that is kept (BEP 44).
const HOUR: Duration = Duration::from_secs(3_600);

pub(crate) fn run(args: &Put) -> Result<Found, Failure> {
    let value = content(args)?;
    check_value(&value).map_err(Error::Item)?;
    let salt = args.salt.as_deref().unwrap_or_default().as_bytes();
    value::check_name(salt, &[("--seq", args.seq), ("--cas", args.cas)])?;
    let output = Output::new(Format { json: args.json, plain: false });
    let key = args.key.as_deref().map(key::read_or_make).transpose()?;
    let dht = options::join(&args.join, &[])?;
    let run = run_of(args, &dht);
    let item = match &key {
        None => OwnedItem::immutable(value),
        Some((key, is_new)) => {
            if let (true, Some(path)) = (is_new, &args.key) {
                output.say(&format!("made a key: {}", path.display()))?;
            }
            sign(args, key, value, &run, &output)?
        }
    };
    let found = match args.keep {
        true => keep(args, &dht, &item, &output)?,
        false => put(args.cas, &item, &run_of(args, &dht), &output)?,
    };
    output.finish();
    dht.stop()?;
    Ok(found)
}

/// A lookup that has all its time.
fn run_of<'a>(args: &Put, dht: &'a Dht) -> Run<'a> {
    Run { dht, begun: Instant::now(), timeout: args.timeout, what: "versions" }
}

/// The value, bencoded.
fn content(args: &Put) -> Result<Vec<u8>, Failure> {
    let bytes = match (&args.value, &args.file, &args.torrent) {
        (_, _, Some(torrent)) => {
            return Ok(value_of(input::torrent(torrent)?.info_hash()).to_vec());
        }
        (_, Some(path), _) => read(path)
            .map_err(|error| Failure::Usage(format!("cannot read {}: {error}", path.display())))?,
        (text, _, _) => text.clone().unwrap_or_default().into_bytes(),
    };
    Ok(if args.bencoded { bytes } else { value::of(&bytes) })
}

/// Not more than is needed to see that it is too much.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = 2 * VALUE_MAX as u64;
    if path.as_os_str() == "-" {
        io::stdin().lock().take(most).read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(path)?.take(most).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// The next version of an item: one more than the newest, unless the user knows better. A value
/// that it has already is put again as it is.
fn sign(
    args: &Put,
    key: &SecretKey,
    value: Vec<u8>,
    run: &Run<'_>,
    output: &Output,
) -> Result<OwnedItem, Failure> {
    let salt = args.salt.clone().unwrap_or_default().into_bytes();
    let mut seq = args.seq.or(args.cas.map(|cas| cas.saturating_add(1)));
    if seq.is_none() {
        let mut search = run.dht.get(&Sought::of_key(&key.key(), &salt))?;
        let mut newest: Option<OwnedItem> = None;
        run.follow(&mut search, output, |item, _, _| {
            newest = Some(item);
            Ok(())
        })?;
        let finished = search.finished();
        if finished.is_empty() || finished.iter().any(|one| one.outcome.end == End::Cancelled) {
            return Err(Failure::Network(
                "nothing was stored: there was no time to see which version there is; give it \
                 more with --timeout, or choose a number with --seq"
                    .to_owned(),
            ));
        }
        if let Some(item) = newest.take_if(|item| item.value() == value) {
            return Ok(item);
        }
        let last = newest.and_then(|item| item.seq()).unwrap_or(0);
        seq = last.checked_add(1);
    }
    let seq = seq.ok_or_else(|| {
        Failure::Usage("the item has the last number there is: choose another --salt".to_owned())
    })?;
    OwnedItem::sign(key, &salt, seq, value).map_err(|error| Error::Sign(error).into())
}

fn put(
    cas: Option<i64>,
    item: &OwnedItem,
    run: &Run<'_>,
    output: &Output,
) -> Result<Found, Failure> {
    let mut search = run.dht.put(item, cas)?;
    let mut newer = None;
    run.follow(&mut search, output, |item, _, _| {
        newer = Some(item);
        Ok(())
    })?;
    let finished = search.finished();
    for one in finished {
        print(output, item, one)?;
    }
    let stored: usize = finished.iter().map(|one| usize::from(one.outcome.stored)).sum();
    say(output, item, finished, stored)?;
    if let Some(newer) = newer {
        let stored = match stored {
            0 => "nothing was stored".to_owned(),
            _ => format!("stored by {} only", plural(stored, "node")),
        };
        return Err(Failure::Usage(format!(
            "{stored}: there is version {} already, {:?}; without --seq and --cas the \
             next number is taken",
            newer.seq().unwrap_or_default(),
            value::show(newer.value())
        )));
    }
    verdict(run.dht, finished, stored > 0)
}

fn print(output: &Output, item: &OwnedItem, finished: &Finished) -> io::Result<()> {
    let refused: Vec<_> = finished
        .refusals()
        .map(|(node, code)| json!({"node": node.to_string(), "code": code}))
        .collect();
    output.json(&json!({
        "family": family_name(finished.family),
        "target": item.target().to_string(),
        "key": item.key().map(|key| key.to_string()),
        "salt": item.key().map(|_| value::hex(item.salt())),
        "seq": item.seq(),
        "stored": finished.outcome.stored,
        "refused": refused,
        "outdated": finished.outcome.end == End::Outdated,
    }))
}

fn say(
    output: &Output,
    item: &OwnedItem,
    finished: &[Finished],
    stored: usize,
) -> Result<(), Failure> {
    output.say(&format!("target  {}", item.target()))?;
    if let Some(key) = item.key() {
        output.say(&format!("key     {key}"))?;
        output.say(&format!("version {}", item.seq().unwrap_or_default()))?;
        if item.torrent().is_some()
            && let Ok(link) = Link::new(key.0, item.salt())
        {
            output.say(&format!("link    {link}"))?;
        }
    }
    output.say(&format!("stored by {}", plural(stored, "node")))?;
    for (node, code) in finished.iter().flat_map(Finished::refusals) {
        output.say(&format!("{node} refused: {}", why(code)))?;
    }
    Ok(())
}

/// What the errors of a put mean (BEP 5, BEP 44).
fn why(code: u16) -> String {
    let words = match code {
        202 => "it has no room",
        203 => "token or value are not to its liking",
        204 => "it stores no items",
        205 => "the value is too long",
        206 => "the signature is wrong",
        207 => "the salt is too long",
        301 => "it holds another version than the one to be replaced",
        302 => "it holds a newer version",
        _ => "for reasons of its own",
    };
    format!("{words} (error {code})")
}

/// Puts it now and every hour, until there is a newer one.
fn keep(args: &Put, dht: &Dht, item: &OwnedItem, output: &Output) -> Result<Found, Failure> {
    let mut found = Found::Nothing;
    // What is kept is then the version that was put.
    let mut cas = args.cas;
    while !interrupted() {
        match put(cas, item, &run_of(args, dht), output) {
            Ok(Found::Something) => (found, cas) = (Found::Something, None),
            Ok(Found::Nothing) if interrupted() => break,
            Ok(Found::Nothing) if cas.is_some() => return Ok(Found::Nothing),
            Ok(Found::Nothing) => {}
            Err(Failure::Network(text)) => output.error(&text)?,
            Err(failure) => return Err(failure),
        }
        let begun = Instant::now();
        while !interrupted() && begun.elapsed() < HOUR {
            output.progress("put again every hour, until Ctrl-C".to_owned());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    Ok(found)
}
