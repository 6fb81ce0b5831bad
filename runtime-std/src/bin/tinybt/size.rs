//! `tinybt size`: how large the network is.

use std::time::Instant;

use serde_json::json;
use tinybt_std::core::dht::NetworkSize;
use tinybt_std::core::{Family, Id};

use crate::args::{Format, Size};
use crate::exit::{Failure, Found, interrupted};
use crate::lookup::{Run, verdict};
use crate::options;
use crate::output::Output;

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
    let mut found = false;
    for family in [Family::V4, Family::V6] {
        let network = dht.overview()?.network;
        if let Some(size) = if family == Family::V4 { network.v4 } else { network.v6 } {
            found = true;
            print(&output, family, &size)?;
        }
    }
    let verdict = verdict(&dht, &finished, found);
    dht.stop()?;
    verdict
}

fn print(output: &Output, family: Family, size: &NetworkSize) -> Result<(), Failure> {
    let NetworkSize { nodes, low, high, lookups } = size;
    let family = if family == Family::V4 { "ipv4" } else { "ipv6" };
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
