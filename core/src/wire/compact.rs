//! Compact addresses: 6 or 18 bytes for a peer, 26 or 38 for a node (BEP 5, BEP 23, BEP 32).

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::contact::{Contact, Family};
use crate::id::Id;

/// The address in 6 or 18 bytes; `None` for any other length.
#[inline]
pub fn read_peer(bytes: &[u8]) -> Option<SocketAddr> {
    let (ip, port) = bytes.split_last_chunk::<2>()?;
    let port = u16::from_be_bytes(*port);
    if let Ok(ip) = <[u8; 4]>::try_from(ip) {
        return Some(SocketAddr::new(Ipv4Addr::from(ip).into(), port));
    }
    let ip = <[u8; 16]>::try_from(ip).ok()?;
    Some(SocketAddr::new(Ipv6Addr::from(ip).into(), port))
}

/// Writes an address into the first 6 or 18 bytes; returns how many, `None` if they do not fit.
#[inline]
pub fn write_peer(peer: &SocketAddr, bytes: &mut [u8]) -> Option<usize> {
    let port = peer.port().to_be_bytes();
    match peer {
        SocketAddr::V4(peer) => {
            let place = bytes.first_chunk_mut::<6>()?;
            let [a, b, c, d] = peer.ip().octets();
            *place = [a, b, c, d, port[0], port[1]];
            Some(6)
        }
        SocketAddr::V6(peer) => {
            let place = bytes.first_chunk_mut::<18>()?;
            let (ip, rest) = place.split_at_mut(16);
            ip.copy_from_slice(&peer.ip().octets());
            rest.copy_from_slice(&port);
            Some(18)
        }
    }
}

/// Writes a node into the first 26 or 38 bytes; returns how many, `None` if they do not fit.
#[inline]
pub fn write_contact(contact: &Contact, bytes: &mut [u8]) -> Option<usize> {
    let (id, rest) = bytes.split_first_chunk_mut::<20>()?;
    *id = contact.id.0;
    write_peer(&contact.addr, rest).map(|len| 20 + len)
}

/// Nodes packed one behind the other, all of one family. A list whose length is no multiple is
/// none at all: nobody can tell where it went wrong. Nodes with port 0 are passed over.
#[derive(Clone, Debug)]
pub struct Contacts<'a> {
    chunks: core::slice::ChunksExact<'a, u8>,
}

impl<'a> Contacts<'a> {
    /// The nodes in `packed`.
    pub fn new(family: Family, packed: &'a [u8]) -> Self {
        let len = family.contact_len();
        let packed = if packed.len() % len == 0 { packed } else { &[] };
        Self { chunks: packed.chunks_exact(len) }
    }
}

impl Iterator for Contacts<'_> {
    type Item = Contact;

    #[inline]
    fn next(&mut self) -> Option<Contact> {
        loop {
            let (id, addr) = self.chunks.next()?.split_first_chunk::<20>()?;
            let addr = read_peer(addr)?;
            if addr.port() != 0 {
                return Some(Contact { id: Id(*id), addr });
            }
        }
    }
}
