//! The URLs to get.

use alloc::string::String;
use core::fmt::Write;

use crate::announce::{Announce, Happening};
use crate::escape::Escaped;
use crate::id::InfoHash;
use crate::tracker::TrackerUrl;

/// The URL of an announce. A query that the tracker's URL has already is kept.
///
/// Peers are asked for in the compact form (BEP 23), which any tracker is free not to send.
/// `tracker_id` is what the tracker called itself in its last answer.
pub fn announce_url(
    url: &TrackerUrl<'_>,
    announce: &Announce,
    tracker_id: Option<&[u8]>,
) -> String {
    let mut text = with_query(url.base, url.path_and_query());
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "info_hash={}&peer_id={}&port={}&uploaded={}&downloaded={}&left={}&compact=1&no_peer_id=1\
         &supportcrypto=1&key={:08X}",
        Escaped(&announce.info_hash.0),
        Escaped(&announce.peer_id.0),
        announce.port,
        announce.uploaded,
        announce.downloaded,
        announce.left,
        announce.key,
    );
    let event = match announce.event {
        Happening::None => None,
        Happening::Completed => Some("completed"),
        Happening::Started => Some("started"),
        Happening::Stopped => Some("stopped"),
        Happening::Paused => Some("paused"),
    };
    let _ = event.map(|event| write!(text, "&event={event}"));
    let _ = announce.num_want.map(|want| write!(text, "&numwant={want}"));
    let _ = announce.ip.map(|ip| write!(text, "&ip={ip}"));
    let _ = tracker_id.map(|id| write!(text, "&trackerid={}", Escaped(id)));
    text
}

/// The URL of a scrape, derived from the one for announces (BEP 48): `None` where no segment of the
/// path begins with `announce`, which means that the tracker offers none.
pub fn scrape_url(url: &TrackerUrl<'_>, swarms: &[InfoHash]) -> Option<String> {
    let (path, query) = url.path_and_query();
    let (before, after) = path.rsplit_once("/announce")?;
    let mut text = String::from(url.base);
    let _ = write!(text, "{before}/scrape{after}");
    let mut text = with_query(&text, ("", query));
    for (index, swarm) in swarms.iter().enumerate() {
        let and = if index == 0 { "" } else { "&" };
        let _ = write!(text, "{and}info_hash={}", Escaped(&swarm.0));
    }
    Some(text)
}

/// Base, path and query, with room for more keys behind.
fn with_query(base: &str, (path, query): (&str, Option<&str>)) -> String {
    let mut text = String::from(base);
    text.push_str(path);
    text.push('?');
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        text.push_str(query);
        if !query.ends_with('&') {
            text.push('&');
        }
    }
    text
}
