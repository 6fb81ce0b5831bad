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
    let [high, low] = peer.port().to_be_bytes();
    match peer {
        SocketAddr::V4(peer) => {
            let [a, b, c, d] = peer.ip().octets();
            *bytes.first_chunk_mut()? = [a, b, c, d, high, low];
            Some(6)
        }
        SocketAddr::V6(peer) => {
            let (ip, port) = bytes.first_chunk_mut::<18>()?.split_first_chunk_mut()?;
            *ip = peer.ip().octets();
            port.copy_from_slice(&[high, low]);
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

/// Peers packed one behind the other, all of one family. A list whose length is no multiple is none
/// at all: nobody can tell where it went wrong. Peers with port 0 are passed over.
#[derive(Clone, Debug)]
pub struct Peers<'a> {
    chunks: core::slice::ChunksExact<'a, u8>,
}

impl<'a> Peers<'a> {
    /// The peers in `packed`.
    pub fn new(family: Family, packed: &'a [u8]) -> Self {
        Self { chunks: whole_chunks(packed, family.peer_len()) }
    }
}

impl Iterator for Peers<'_> {
    type Item = SocketAddr;

    #[inline]
    fn next(&mut self) -> Option<SocketAddr> {
        self.chunks.by_ref().filter_map(read_peer).find(|peer| peer.port() != 0)
    }
}

/// Nodes packed one behind the other, all of one family; otherwise as [`Peers`].
#[derive(Clone, Debug)]
pub struct Contacts<'a> {
    chunks: core::slice::ChunksExact<'a, u8>,
}

impl<'a> Contacts<'a> {
    /// The nodes in `packed`.
    pub fn new(family: Family, packed: &'a [u8]) -> Self {
        Self { chunks: whole_chunks(packed, family.contact_len()) }
    }
}

fn whole_chunks(packed: &[u8], len: usize) -> core::slice::ChunksExact<'_, u8> {
    let whole = packed.len().is_multiple_of(len);
    if whole { packed } else { &[] }.chunks_exact(len)
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
