//! The DHT of rqbit, on a tokio of one thread: as a server and as a searcher.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use librqbit_dht::{Dht, DhtBuilder, DhtConfig, Id20};

use crate::Result;
use crate::search::Found;
use crate::serve::{target, until_the_end};

/// A node, which goes on as long as somebody runs the runtime.
pub async fn start(addr: SocketAddr, bootstrap: Vec<String>) -> Result<Dht> {
    let config = DhtConfig {
        bootstrap_addrs: Some(bootstrap),
        listen_addr: Some(addr),
        ..DhtConfig::default()
    };
    Ok(DhtBuilder::with_config(config).await?)
}

/// One thread.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

pub fn serve(addr: SocketAddr, bootstrap: Vec<String>) -> Result<()> {
    let runtime = runtime()?;
    let dht = runtime.block_on(start(addr, bootstrap))?;
    let other = dht.clone();
    std::thread::spawn(move || {
        runtime.block_on(async {
            for seed in 0..16 {
                // It looks for ever: until the stream is dropped.
                let Ok(id) = target(seed).to_string().parse::<Id20>() else { continue };
                let mut stream = other.get_peers(id, None);
                let _ = tokio::time::timeout(Duration::from_millis(300), stream.next()).await;
            }
            std::future::pending::<()>().await;
        });
    });
    until_the_end(|| Ok(dht.stats().routing_table_size))
}

/// It does not tell when it is done: that is when it has had no question in flight for a second.
pub fn search(addr: SocketAddr, bootstrap: Vec<String>, target: &str, peers: usize) -> Result<()> {
    let runtime = runtime()?;
    runtime.block_on(async {
        let mut found = Found::begin(peers);
        let dht = start(addr, bootstrap).await?;
        let mut stream = dht.get_peers(target.parse::<Id20>()?, None);
        let mut busy = found.elapsed();
        while found.elapsed() < 40_000.0 {
            let next = tokio::time::timeout(Duration::from_millis(50), stream.next()).await;
            if let Ok(Some(peer)) = next {
                found.peer(peer);
            }
            if dht.stats().outstanding_requests > 0 {
                busy = found.elapsed();
            } else if found.elapsed() - busy > 1_000.0 {
                break;
            }
        }
        found.tell(busy);
        std::io::read_to_string(std::io::stdin())?;
        Ok(())
    })
}
