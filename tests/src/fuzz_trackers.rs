//! Bodies of the fuzz targets of what trackers and links say.

use tinybt_core::escape::{Escaped, unescape};
use tinybt_core::limits::HTTP_PEERS_MAX;
use tinybt_core::magnet::Magnet;
use tinybt_core::torrent::Torrent;
use tinybt_core::tracker::TrackerUrl;
use tinybt_core::tracker::http::{
    HttpRequest, announce_url, read_announced, read_scraped, scrape_url, write_announced,
};
use tinybt_core::tracker::tiers::Policy;

use crate::fuzz_laws::Look;
use crate::tracker_subjects::{FinderSubject, SHORT, TrackerSubject, announce};

/// A link, and an URL.
pub fn magnet(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(magnet) = Magnet::parse(&text) {
        let name = magnet.name().map(|name| name.to_string());
        let torrent = Torrent::from_magnet(&text).expect("the same");
        assert_eq!(torrent.name, name);
        assert_eq!(torrent.info_hash(), magnet.info_hash());
        assert!(torrent.peers.iter().all(|peer| peer.port() != 0));
    }
    let escaped = Escaped(data).to_string();
    assert_eq!(unescape(&escaped).collect::<Vec<_>>(), data);
    if let Ok(url) = TrackerUrl::parse(&text) {
        let full = announce_url(&url, &announce(3), Some(data));
        let again = TrackerUrl::parse(&full).expect("still a URL");
        assert_eq!((again.host, again.port), (url.host, url.port));
        assert_eq!(full.matches('?').count().min(1), 1);
        if url.target == "/announce" {
            assert_eq!(HttpRequest::parse(again.target), Ok(HttpRequest::Announce(announce(3))));
        }
        let _ = scrape_url(&url, &[announce(3).info_hash]);
    }
    let _ = HttpRequest::parse(&text);
}

/// A `.torrent` file.
pub fn metainfo(data: &[u8]) {
    if let Ok(torrent) = Torrent::from_metainfo(data) {
        assert!((1..=2).contains(&torrent.info_hashes.len()));
    }
}

/// The body of an HTTP tracker's answer.
pub fn http_answer(data: &[u8]) {
    if let Ok(announced) = read_announced(data) {
        assert!(announced.peers.len() <= HTTP_PEERS_MAX);
        let again = read_announced(&write_announced(&announced));
        let Ok(again) = again else { panic!("{announced:?}") };
        assert_eq!(again.counts, announced.counts);
        assert_eq!(again.interval, announced.interval);
        assert_eq!(again.peers.len(), announced.peers.len());
    }
    let _ = read_scraped(data);
}

/// The client of UDP trackers keeps the laws whatever comes.
pub fn tracker_laws(data: &[u8], look: Look) {
    look.keeps(&TrackerSubject { patience: SHORT }, data);
}

/// The order in which trackers are asked keeps its promises whatever happens.
pub fn tiers(data: &[u8]) {
    let Some((first, data)) = data.split_first() else { return };
    let policy = if first & 1 == 0 { Policy::All } else { Policy::InTurn };
    crate::tiers_model::check(policy, usize::from(first % 7) + 1, data);
}

/// The finder keeps the laws whatever comes.
pub fn finder_laws(data: &[u8], look: Look) {
    look.keeps(&FinderSubject, data);
}
