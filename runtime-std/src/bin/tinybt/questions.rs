//! `tinybt ping` and `tinybt find-node`.

use std::time::Instant;

use serde_json::json;
use tinybt_std::core::Contact;
use tinybt_std::{Dht, Error};

use crate::args::{FindNode, Format, Ping};
use crate::exit::{Failure, Found};
use crate::input::address;
use crate::lookup::{Run, verdict};
use crate::options::{self, sockets};
use crate::output::{Output, human};
use crate::trace;

/// A DHT that only asks what it is told to.
pub(crate) fn endpoint(bind: &[std::net::SocketAddr]) -> Result<Dht, Failure> {
    let endpoint = |config: &mut tinybt_std::core::dht::Config| {
        *config = tinybt_std::core::dht::Config::endpoint(config.family);
        config.read_only = true;
    };
    Ok(sockets(bind)?.configure(endpoint).start()?)
}

pub(crate) fn ping(args: &Ping) -> Result<Found, Failure> {
    let output = Output::new(Format { json: args.json, plain: false });
    let addr = address(&args.addr)?;
    let pong = match endpoint(&args.bind)?.ping(addr) {
        Ok(pong) => pong,
        Err(error @ (Error::Silent(_) | Error::Refused { .. })) => {
            output.json(&json!({"node": addr.to_string(), "error": error.to_string()}))?;
            output.say(&error.to_string())?;
            return Ok(Found::Nothing);
        }
        Err(error) => return Err(error.into()),
    };
    let version = pong.version.as_deref().map(|version| version.escape_ascii().to_string());
    output.json(&json!({
        "node": addr.to_string(),
        "id": pong.id.to_string(),
        "rtt": pong.rtt.as_secs_f64(),
        "version": version,
        "external": pong.external.map(|addr| addr.to_string()),
    }))?;
    let version = version.map(|version| format!(", version {version}")).unwrap_or_default();
    let external = pong.external.map(|addr| format!(", sees us at {addr}")).unwrap_or_default();
    let rtt = human(pong.rtt);
    output.say(&format!("{addr} is {} after {rtt}{version}{external}", pong.id))?;
    Ok(Found::Something)
}

pub(crate) fn find_node(args: &FindNode) -> Result<Found, Failure> {
    let output = Output::new(Format { json: args.json, plain: false });
    if let Some(at) = &args.at {
        let nodes = endpoint(&args.join.bind)?.ask_nodes(address(at)?, args.id)?;
        return print(&output, args, &nodes);
    }
    let dht = options::join(&args.join, &[])?;
    let mut search = dht.find_node(args.id)?;
    let run = Run { dht: &dht, begun: Instant::now(), timeout: args.timeout, what: "peers" };
    run.follow(&mut search, &output, |_, _, _| Ok(()))?;
    output.finish();
    let finished = search.finished();
    if let Some(path) = &args.trace.file {
        trace::write(path, finished)?;
    }
    let nodes: Vec<Contact> = finished.iter().flat_map(|f| f.closest.clone()).collect();
    print(&output, args, &nodes)?;
    let verdict = verdict(&dht, finished, !nodes.is_empty());
    dht.stop()?;
    verdict
}

fn print(output: &Output, args: &FindNode, nodes: &[Contact]) -> Result<Found, Failure> {
    for node in nodes {
        let shared = node.id.distance(args.id).leading_zeros();
        output.json(&json!({
            "id": node.id.to_string(),
            "node": node.addr.to_string(),
            "shared_bits": shared,
        }))?;
        output.say(&format!("{} {} ({shared} bits shared)", node.id, node.addr))?;
    }
    Ok(if nodes.is_empty() { Found::Nothing } else { Found::Something })
}
