//! Servers. Each tells how many nodes are in its table, over and over, until its input ends.

use std::io::Read;
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use serde_json::json;
use tinybt_core::Id;
use tinybt_core::dht::Config;

use crate::Result;

/// One system call in, one out: as many bytes as the last two that came say.
pub fn echo(addr: SocketAddr) -> Result<()> {
    let socket = UdpSocket::bind(addr)?;
    std::thread::spawn(move || {
        let mut bytes = [0; 65_536];
        while let Ok((len, from)) = socket.recv_from(&mut bytes) {
            let wanted = bytes[..len].last_chunk().map_or(0, |last| u16::from_be_bytes(*last));
            let _ = socket.send_to(&bytes[..wanted.into()], from);
        }
    });
    until_the_end(|| Ok(0))
}

pub fn tinybt(addr: SocketAddr, bootstrap: &[String]) -> Result<()> {
    let config = |config: &mut Config| {
        *config = Config::private(config.family);
        // To have a table as large as others in as little time.
        config.upkeep.refresh_spacing = Duration::from_millis(50);
    };
    let builder = tinybt_std::Dht::builder().bind(addr).bootstrap(bootstrap);
    let dht = builder.configure(config).start()?;
    for seed in 0..16 {
        dht.find_node(target(seed))?.finish()?;
    }
    until_the_end(|| {
        let overview = dht.overview()?;
        Ok(overview.v4.map_or(0, |(status, _)| status.nodes_good + status.nodes_questionable))
    })
}

#[allow(deprecated, reason = "what is to come in its place is for async programs")]
pub fn mainline(addr: SocketAddrV4, bootstrap: &[String]) -> Result<()> {
    let mut builder = mainline::Dht::builder();
    let builder = builder.bootstrap(bootstrap).server_mode();
    let dht = builder.bind_address(*addr.ip()).port(addr.port()).build()?;
    dht.bootstrapped();
    for seed in 0..16 {
        dht.find_node(target(seed).to_string().parse()?);
    }
    until_the_end(|| Ok(dht.to_bootstrap().len()))
}

/// What all servers look for, so that they get to know nodes.
pub fn target(seed: u64) -> Id {
    tinybt_tests::nodes::id(77, seed as usize)
}

/// Says how many nodes are known, five times a second.
pub fn until_the_end(mut nodes: impl FnMut() -> Result<usize>) -> Result<()> {
    let (end, ended) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        drop(end);
    });
    let mut told = None;
    while ended.recv_timeout(Duration::from_millis(200)) == Err(RecvTimeoutError::Timeout) {
        let now = nodes()?;
        if told != Some(now) {
            println!("{}", json!({"nodes": now}));
            told = Some(now);
        }
    }
    Ok(())
}
