//! `tinybt size`: how large the network is.

use std::time::Instant;

use serde_json::json;
use tinybt_std::core::dht::NetworkSize;
use tinybt_std::core::{Family, Id};

use crate::args::{Format, Size};
use crate::exit::{Failure, Found, interrupted};
use crate::lookup::{Run, verdict};
use crate::options;
use crate::output::{Output, family_name};

pub(crate) fn run(args: &Size) -> Result<Found, Failure> {
    let output = Output::new(Format { json: args.json, plain: false });
    let dht = options::join(&args.join, &[])?;
    let begun = Instant::now();
    let run = Run { dht: &dht, begun, timeout: args.timeout, what: "peers" };
    let mut finished = Vec::new();
    for _ in 0..args.lookups {
        if interrupted() || begun.elapsed() >= args.timeout {
            break;
        }
        let mut target = Id::default();
        getrandom::fill(&mut target.0)
            .map_err(|error| Failure::Network(format!("no random numbers: {error}")))?;
        let mut search = dht.find_node(target)?;
        run.follow(&mut search, &output, |_, _, _| Ok(()))?;
        finished.extend_from_slice(search.finished());
    }
    output.finish();
    let network = dht.overview()?.network;
    for (family, size) in [(Family::V4, network.v4), (Family::V6, network.v6)] {
        if let Some(size) = size {
            print(&output, family, &size)?;
        }
    }
    let found = network.v4.is_some() || network.v6.is_some();
    let verdict = verdict(&dht, &finished, found);
    dht.stop()?;
    verdict
}

fn print(output: &Output, family: Family, size: &NetworkSize) -> Result<(), Failure> {
    let NetworkSize { nodes, low, high, lookups } = size;
    let family = family_name(family);
    output.json(&json!({
        "family": family,
        "nodes": nodes,
        "low": low,
        "high": high,
        "lookups": lookups,
    }))?;
    output.say(&format!(
        "{family}: about {} nodes; {} to {} with 95 % certainty, by {lookups} lookups",
        grouped(*nodes),
        grouped(*low),
        grouped(*high)
    ))?;
    Ok(())
}

/// With a comma after each three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")]
        {
            assert_eq!(super::grouped(number), text);
        }
    }
}
