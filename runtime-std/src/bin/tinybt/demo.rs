//! `tinybt demo`: a private network on this machine, some peers announced in it, and then what
//! `tinybt peers` does.

use std::time::Duration;

use tinybt_std::core::InfoHash;
use tinybt_std::core::dht::Port;

use crate::args::{Demo, Join, Peers};
use crate::exit::{Failure, Found};
use crate::output::Output;
use crate::peers;
use crate::testnet::Network;

/// How many peers are announced.
const PEERS: u16 = 12;

pub(crate) fn run(args: &Demo) -> Result<Found, Failure> {
    let output = Output::new(args.format);
    let count = usize::from(args.nodes);
    output.say(&format!("Starting a private network of {count} nodes on loopback …"))?;
    let network = Network::start(count, &output)?;
    let info_hash = InfoHash(*b"a torrent to look up");
    let mut announces = Vec::new();
    for index in 0..PEERS {
        let node = network.nodes.get(usize::from(index) * count / usize::from(PEERS));
        let Some(node) = node else { continue };
        announces.push(node.announce(info_hash, Port::Number(50_000 + index))?);
    }
    for search in &mut announces {
        search.finish()?;
    }
    output.finish();
    output.say(&format!("{PEERS} peers announced themselves. Now, as if from outside:"))?;
    let entry = network.entry(count / 2).to_string();
    output.say(&format!("\n$ tinybt peers {info_hash} --bootstrap {entry}"))?;
    let join =
        Join { bootstrap: vec![entry], bind: vec![([127, 0, 0, 1], 0).into()], ..Join::default() };
    let format = args.format;
    let trace = args.trace.clone();
    let timeout = Duration::from_secs(30);
    peers::run(&Peers { torrent: info_hash.to_string(), join, format, timeout, trace })
}
