//! A node that does what it is told to, for the tests with strangers: each line of its input is a
//! command, each answer a line of JSON.
//!
//! ```text
//! peers HASH              {"peers": [ADDR, …]}
//! announce HASH PORT      {"announced": HASH}
//! nodes                   {"nodes": NUMBER}
//! ```

use std::collections::BTreeSet;
use std::io::BufRead;
use std::net::{SocketAddr, SocketAddrV4};
use std::time::Duration;

use futures_util::StreamExt;
use librqbit_dht::Id20;
use serde_json::json;

use crate::Result;
use crate::librqbit::{runtime, start};

/// A node of mainline, which lets others wait for 2 s in each lookup.
#[allow(deprecated, reason = "what is to come in its place is for async programs")]
pub fn mainline(addr: SocketAddrV4, bootstrap: &[String]) -> Result<()> {
    let mut builder = mainline::Dht::builder();
    let builder = builder.bootstrap(bootstrap).server_mode();
    let dht = builder.bind_address(*addr.ip()).port(addr.port()).build()?;
    dht.bootstrapped();
    obey(|words| match words {
        ["peers", hash] => {
            let peers: BTreeSet<_> = dht.get_peers(hash.parse()?).flatten().collect();
            Ok(json!({"peers": peers.iter().map(ToString::to_string).collect::<Vec<_>>()}))
        }
        ["announce", hash, port] => {
            let result = dht.announce_peer(hash.parse()?, Some(port.parse()?));
            Ok(json!({"announced": hash, "error": result.err().map(|error| error.to_string())}))
        }
        ["nodes"] => Ok(json!({"nodes": dht.to_bootstrap().len()})),
        _ => Err("expected: peers | announce | nodes".into()),
    })
}

/// A node of rqbit. It looks for ever, so each command has its time.
pub fn librqbit(addr: SocketAddr, bootstrap: Vec<String>) -> Result<()> {
    const TIME: Duration = Duration::from_secs(3);
    let runtime = runtime()?;
    let dht = runtime.block_on(start(addr, bootstrap))?;
    let looking = dht.clone();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel::<(Id20, Option<u16>)>();
    let (reply, replies) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        runtime.block_on(async move {
            while let Some((hash, port)) = told.recv().await {
                let (mut stream, mut peers) = (looking.get_peers(hash, port), BTreeSet::new());
                let all = async {
                    while let Some(peer) = stream.next().await {
                        peers.insert(peer.to_string());
                    }
                };
                let _ = tokio::time::timeout(TIME, all).await;
                let _ = reply.send(peers);
            }
        });
    });
    obey(|words| match words {
        ["peers", hash] => {
            tell.send((hash.parse()?, None))?;
            Ok(json!({"peers": replies.recv()?}))
        }
        ["announce", hash, port] => {
            tell.send((hash.parse()?, Some(port.parse()?)))?;
            replies.recv()?;
            Ok(json!({"announced": hash}))
        }
        ["nodes"] => Ok(json!({"nodes": dht.stats().routing_table_size})),
        _ => Err("expected: peers | announce | nodes".into()),
    })
}

fn obey(mut command: impl FnMut(&[&str]) -> Result<serde_json::Value>) -> Result<()> {
    println!("{}", json!({"ready": true}));
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match command(&words) {
            Ok(answer) => println!("{answer}"),
            Err(error) => println!("{}", json!({"error": error.to_string()})),
        }
    }
    Ok(())
}
