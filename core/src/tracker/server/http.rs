//! The small tracker over HTTP: a pure function from the target of a GET to a body.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use super::registry::Registry;
use crate::announce::Happening;
use crate::contact::Family;
use crate::time::Instant;
use crate::tracker::http::{
    Announced, HttpRequest, Refusal, Retry, write_announced, write_refusal, write_scraped,
};

/// Answers a GET: the body, always a bencoded dictionary, to be sent with status 200.
///
/// `random` decides which peers are told of where there are more than are wanted.
pub fn respond(
    registry: &mut Registry,
    now: Instant,
    from: IpAddr,
    target: &str,
    random: u32,
) -> Vec<u8> {
    let refuse =
        |reason: &str, retry| write_refusal(&Refusal { reason: reason.to_string(), retry });
    match HttpRequest::parse(target) {
        // It asks for something that will never be here.
        Err(error) => refuse(&error.to_string(), Some(Retry::Never)),
        Ok(HttpRequest::Scrape(hashes)) => {
            write_scraped(hashes.into_iter().map(|hash| (hash, registry.counts(now, &hash))))
        }
        Ok(HttpRequest::Announce(announce)) => {
            if !registry.announce(now, from, &announce) {
                return refuse("no room for this peer", None);
            }
            let (swarm, own) = (&announce.info_hash, &announce.peer_id);
            let counts = Some(registry.counts(now, swarm));
            let stopped = announce.event == Happening::Stopped;
            let want = if stopped { Some(0) } else { announce.num_want };
            let mut peers: Vec<SocketAddr> = Vec::new();
            for family in [Family::V4, Family::V6] {
                let listed = registry.peers(now, swarm, family, own, want, random);
                peers.extend(listed.peers(family));
            }
            let interval = Some(registry.limits().interval);
            let external_ip = Some(from.to_canonical());
            write_announced(&Announced {
                interval,
                counts,
                peers,
                external_ip,
                ..Announced::default()
            })
        }
    }
}
