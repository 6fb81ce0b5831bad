//! What a person names a torrent by: an info-hash, a magnet link, a `.torrent` file; and a node.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;

use tinybt_std::core::torrent::Torrent;

use crate::exit::Failure;

/// Makes out what torrent is meant.
pub(crate) fn torrent(text: &str) -> Result<Torrent, Failure> {
    let is_link = text.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("magnet:"));
    if is_link {
        return Torrent::from_magnet(text).map_err(|error| Failure::Usage(error.to_string()));
    }
    if text.ends_with(".torrent") || Path::new(text).is_file() {
        let bytes = std::fs::read(text)
            .map_err(|error| Failure::Usage(format!("cannot read {text}: {error}")))?;
        return Torrent::from_metainfo(&bytes)
            .map_err(|error| Failure::Usage(format!("{text} is not a .torrent file: {error}")));
    }
    text.parse().map_err(|error| {
        Failure::Usage(format!(
            "{text:?} is no info-hash ({error}), no magnet link (`magnet:?xt=urn:btih:…`), and no \
             file of that name exists"
        ))
    })
}

/// The address of one node, resolved if it is a name.
pub(crate) fn address(text: &str) -> Result<SocketAddr, Failure> {
    if let Ok(addr) = text.parse() {
        return Ok(addr);
    }
    if text.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
        return Err(Failure::Usage(format!(
            "{text:?} is no address: expected `address:port`, `[address]:port` or `name:port`"
        )));
    }
    let addrs = text.to_socket_addrs();
    let addrs = addrs
        .map_err(|error| Failure::Network(format!("cannot find the address of {text}: {error}")))?;
    let mut addrs: Vec<SocketAddr> = addrs.collect();
    addrs.sort_by_key(SocketAddr::is_ipv6);
    addrs.first().copied().ok_or_else(|| Failure::Network(format!("{text} has no address")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "c12fe1c06bba254a9dc9f519b335aa7c1367a88a";

    #[test]
    fn every_way_to_name_a_torrent() {
        let v2 = "a".repeat(64);
        for (text, expected) in [
            (HEX.to_owned(), Some(HEX)),
            (HEX.to_uppercase(), Some(HEX)),
            ("YEX6DQDLXISUVHOJ6UM3GNNKPQJWPKEK".to_owned(), Some(HEX)),
            (format!("MAGNET:?dn=x&xt.1=urn:btih:{HEX}"), Some(HEX)),
            (v2.clone(), Some(&v2[..40])),
            ("magnet:?dn=nothing".to_owned(), None),
            (HEX[1..].to_owned(), None),
            ("no-such-file.torrent".to_owned(), None),
            (String::new(), None),
        ] {
            let found = torrent(&text).ok().map(|torrent| torrent.info_hash().to_string());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
