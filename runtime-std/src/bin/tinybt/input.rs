//! What a person names a torrent by: an info-hash, a magnet link (BEP 9), a `.torrent` file
//! (BEP 3, BEP 52).

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;

use sha2::Digest;
use tinybt_std::core::InfoHash;
use tinybt_std::core::wire::bencode::{Kind, Reader};

use crate::exit::Failure;

/// A torrent, as far as finding its peers is concerned.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Torrent {
    pub(crate) info_hash: InfoHash,
    pub(crate) name: Option<String>,
    /// Peers that the link names itself (`x.pe`).
    pub(crate) peers: Vec<SocketAddr>,
    /// Nodes of the DHT that the file names (BEP 5).
    pub(crate) nodes: Vec<String>,
}

impl Torrent {
    fn bare(info_hash: InfoHash) -> Self {
        Self { info_hash, name: None, peers: Vec::new(), nodes: Vec::new() }
    }

    /// Makes out what is meant.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        if text.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("magnet:")) {
            return magnet(text);
        }
        if text.ends_with(".torrent") || Path::new(text).is_file() {
            let bytes = std::fs::read(text)
                .map_err(|error| Failure::Usage(format!("cannot read {text}: {error}")))?;
            return torrent(&bytes).ok_or_else(|| {
                Failure::Usage(format!(
                    "{text} is not a .torrent file: expected a bencoded dictionary with `info`"
                ))
            });
        }
        text.parse().map(Torrent::bare).map_err(|error| {
            Failure::Usage(format!(
                "{text:?} is no info-hash ({error}), no magnet link (`magnet:?xt=urn:btih:…`), and \
                 no file of that name exists"
            ))
        })
    }
}

fn magnet(link: &str) -> Result<Torrent, Failure> {
    let query = link.split_once('?').map_or("", |(_, query)| query);
    let (mut v1, mut v2) = (None, None);
    let mut torrent = Torrent::bare(InfoHash::default());
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        // Several of a kind are numbered: `xt.1`, `xt.2`.
        match key.split('.').next().unwrap_or_default() {
            "xt" => {
                let lower = value.to_ascii_lowercase();
                let (place, hash) = if lower.starts_with("urn:btih:") {
                    (&mut v1, value.get(9..).unwrap_or_default())
                } else if lower.starts_with("urn:btmh:1220") {
                    (&mut v2, value.get(13..).unwrap_or_default())
                } else {
                    continue;
                };
                let hash = hash.parse().map_err(|error| {
                    Failure::Usage(format!("the magnet link's hash {hash:?} is wrong: {error}"))
                })?;
                *place = Some(hash);
            }
            "dn" => torrent.name = Some(value.into_owned()),
            "x" if key == "x.pe" => torrent.peers.extend(value.parse::<SocketAddr>()),
            _ => {}
        }
    }
    torrent.info_hash = v1.or(v2).ok_or_else(|| {
        Failure::Usage(
            "the magnet link names no torrent: expected `xt=urn:btih:` and an info-hash, or \
             `xt=urn:btmh:1220` and 64 digits"
                .to_owned(),
        )
    })?;
    Ok(torrent)
}

fn torrent(bytes: &[u8]) -> Option<Torrent> {
    let mut reader = Reader::new(bytes);
    reader.enter_dictionary().ok()?;
    let (mut info, mut nodes) = (None, Vec::new());
    while let Some(key) = reader.key().ok()? {
        let value = reader.raw().ok()?;
        match key {
            b"info" => info = Some(value),
            b"nodes" => nodes = nodes_of(value).unwrap_or_default(),
            _ => {}
        }
    }
    let info = info?;
    let mut reader = Reader::new(info);
    reader.enter_dictionary().ok()?;
    let (mut name, mut has_pieces) = (None, false);
    while let Some(key) = reader.key().ok()? {
        let value = reader.raw().ok()?;
        match key {
            b"name" => name = Reader::new(value).string().ok(),
            b"pieces" => has_pieces = true,
            _ => {}
        }
    }
    // The hash is over the bytes as they stand. A torrent without `pieces` is v2 alone.
    let info_hash = if has_pieces {
        InfoHash(sha1_smol::Sha1::from(info).digest().bytes())
    } else {
        let hash: [u8; 32] = sha2::Sha256::digest(info).into();
        InfoHash(*hash.first_chunk()?)
    };
    let name = name.map(|name| String::from_utf8_lossy(name).into_owned());
    Some(Torrent { info_hash, name, peers: Vec::new(), nodes })
}

/// `nodes`: a list of pairs of host and port.
fn nodes_of(raw: &[u8]) -> Option<Vec<String>> {
    let mut nodes = Vec::new();
    let mut reader = Reader::new(raw);
    reader.enter_list().ok()?;
    while reader.more().ok()? {
        if reader.kind().ok()? != Kind::List {
            reader.skip().ok()?;
            continue;
        }
        let mut pair = Reader::new(reader.raw().ok()?);
        pair.enter_list().ok()?;
        let host = String::from_utf8_lossy(pair.string().ok()?).into_owned();
        let port = u16::try_from(pair.integer().ok()?).ok()?;
        nodes.push(if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        });
    }
    Some(nodes)
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

    fn hash(text: &str) -> Option<String> {
        Torrent::parse(text).ok().map(|torrent| torrent.info_hash.to_string())
    }

    #[test]
    fn every_way_to_name_a_torrent() {
        let v2 = "a".repeat(64);
        for (text, expected) in [
            (HEX.to_owned(), Some(HEX)),
            (HEX.to_uppercase(), Some(HEX)),
            ("YEX6DQDLXISUVHOJ6UM3GNNKPQJWPKEK".to_owned(), Some(HEX)),
            (format!("magnet:?xt=urn:btih:{HEX}&dn=name"), Some(HEX)),
            (format!("MAGNET:?dn=x&xt.1=urn:btih:{HEX}"), Some(HEX)),
            ("magnet:?xt=urn:btih:YEX6DQDLXISUVHOJ6UM3GNNKPQJWPKEK".to_owned(), Some(HEX)),
            (format!("magnet:?xt=urn:btmh:1220{v2}&xt=urn:btih:{HEX}"), Some(HEX)),
            (v2.clone(), Some(&v2[..40])),
            (format!("magnet:?xt=urn:btmh:1220{v2}"), Some(&v2[..40])),
            ("magnet:?dn=nothing".to_owned(), None),
            ("magnet:?xt=urn:btih:123".to_owned(), None),
            (HEX[1..].to_owned(), None),
            ("no-such-file.torrent".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(hash(&text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_link_names_peers() {
        let link = format!("magnet:?xt=urn:btih:{HEX}&x.pe=10.0.0.1%3A80&x.pe=[::1]:81&x.pe=bad");
        let peers = Torrent::parse(&link).unwrap().peers;
        assert_eq!(peers, ["10.0.0.1:80".parse().unwrap(), "[::1]:81".parse().unwrap()]);
    }

    #[test]
    fn a_file_is_hashed_as_it_stands() {
        let info = b"d4:name1:x12:piece lengthi1e6:pieces0:e";
        let mut file = b"d4:info".to_vec();
        file.extend_from_slice(info);
        file.extend_from_slice(b"5:nodesll9:127.0.0.1i6881eel2:::i1eeee");
        let torrent = torrent(&file).unwrap();
        assert_eq!(torrent.info_hash.0, sha1_smol::Sha1::from(info).digest().bytes());
        assert_eq!(torrent.name.as_deref(), Some("x"));
        assert_eq!(torrent.nodes, ["127.0.0.1:6881", "[::]:1"]);
        assert_eq!(super::torrent(b"i1e"), None);
        assert_eq!(super::torrent(b"d4:infoi1ee"), None);
    }
}
