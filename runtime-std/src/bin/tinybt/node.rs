//! `tinybt node`: serves until Ctrl-C.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tinybt_std::core::Ignored;
use tinybt_std::core::dht::{Stats, Status};

use crate::args::{Format, Node};
use crate::exit::{Failure, Found, interrupted};
use crate::options;
use crate::output::Output;

pub(crate) fn run(args: &Node) -> Result<Found, Failure> {
    let dht = options::join(&args.join, &[])?;
    let output = Output::new(Format { json: args.stats_json, plain: false });
    for addr in dht.local_addrs() {
        output.json(&json!({"listening": addr.to_string()}))?;
        output.say(&format!("listening on {addr}"))?;
    }
    let begun = Instant::now();
    let mut next = Duration::ZERO;
    while !interrupted() {
        let elapsed = begun.elapsed();
        if elapsed >= next {
            next = elapsed + args.interval;
            let overview = dht.overview()?;
            let mut line = Vec::new();
            for (addr, status, stats) in &overview.homes {
                let family = if addr.is_ipv4() { "ipv4" } else { "ipv6" };
                output.json(&as_json(family, *addr, status, stats))?;
                let of_family = overview.homes.iter();
                let of_family = of_family.filter(|(other, ..)| other.is_ipv4() == addr.is_ipv4());
                line.push(match of_family.count() {
                    1 => as_text(family, status, stats),
                    _ => as_text(&addr.to_string(), status, stats),
                });
            }
            output.progress(line.join(" | "));
        }
        std::thread::sleep(Duration::from_millis(100).min(args.interval));
    }
    output.finish();
    dht.stop()?;
    output.say("stopped")?;
    io::stdout().flush()?;
    Ok(Found::Something)
}

fn as_text(name: &str, status: &Status, stats: &Stats) -> String {
    format!(
        "{name} {:?}: {} nodes, {} peers of {} torrents, {} queries answered",
        status.health,
        status.nodes_good + status.nodes_questionable,
        status.peers,
        status.swarms,
        stats.queries_in.iter().sum::<u64>(),
    )
}

fn as_json(family: &str, addr: SocketAddr, status: &Status, stats: &Stats) -> Value {
    let [ping, find_node, get_peers, announce_peer, others] = stats.queries_in;
    let ignored: serde_json::Map<String, Value> = Ignored::ALL
        .iter()
        .map(|reason| (format!("{reason:?}"), stats.ignored(*reason).into()))
        .collect();
    json!({
        "family": family,
        "address": addr.to_string(),
        "id": status.id.to_string(),
        "health": format!("{:?}", status.health),
        "nodes": {
            "good": status.nodes_good,
            "questionable": status.nodes_questionable,
            "bad": status.nodes_bad,
        },
        "buckets": status.buckets,
        "lookups": status.lookups,
        "in_flight": status.in_flight,
        "stored": {"torrents": status.swarms, "peers": status.peers, "items": status.items},
        "external": status.external.map(|addr| addr.to_string()),
        "external_votes": [status.external_votes.0, status.external_votes.1],
        "reachable": status.reachable,
        "rtt": {"median": status.rtt.0.as_secs_f64(), "p90": status.rtt.1.as_secs_f64()},
        "datagrams": {"in": stats.datagrams_in, "out": stats.datagrams_out},
        "bytes": {"in": stats.bytes_in, "out": stats.bytes_out},
        "queries": {
            "ping": ping,
            "find_node": find_node,
            "get_peers": get_peers,
            "announce_peer": announce_peer,
            "others": others,
        },
        "announces_stored": stats.stored,
        "items_stored": stats.items_stored,
        "items_told": stats.items_told,
        "scrapes": stats.scrapes,
        "samples": stats.samples,
        "network": status.network.map(|size| [size.low, size.nodes, size.high]),
        "lookups_begun": stats.lookups,
        "questions": stats.questions_out,
        "answers": stats.answers_in,
        "silences": stats.silences,
        "errors": stats.errors_out,
        "ignored": ignored,
    })
}
