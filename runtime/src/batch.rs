//! Several datagrams at once: those that wait in a socket, and those that are to go out.
//!
//! With the feature `batch`, where the operating system has `recvmmsg` and `sendmmsg`, up to
//! [`BATCH`] of them cost one system call; elsewhere each costs its own. Nobody waits for a batch to
//! fill: it holds what is there. The order is kept. Allocates when made, and never again.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use tinybt_core::{Buffer, buffer};

use crate::mmsg;
use crate::socket::Socket;

/// Datagrams received or sent at once, at most: half of what a driver takes in before others have
/// their turn.
pub const BATCH: usize = 32;

/// The largest datagram there is.
const SIZE: usize = 65_536;
/// From one datagram to the next. A little more than the size: addresses that are the same but for
/// their highest bits push each other out of the processor's cache.
const STRIDE: usize = SIZE + 128;

/// Datagrams that came, in the order in which they did.
pub struct Inbox {
    /// Pages that no datagram was ever written to take no memory.
    bytes: Box<[u8]>,
    /// From whom, and how long.
    heads: Vec<(SocketAddr, usize)>,
    /// Those before are read.
    read: usize,
    capacity: usize,
}

impl Inbox {
    /// For as many as any of the sockets can receive at once.
    pub fn new<'a, S: Socket + 'a>(sockets: impl IntoIterator<Item = &'a S>) -> Self {
        let capacity = capacity(sockets);
        let bytes = vec![0; capacity * STRIDE].into_boxed_slice();
        Self { bytes, heads: Vec::with_capacity(capacity), read: 0, capacity }
    }

    /// Whether all are read.
    pub fn is_empty(&self) -> bool {
        self.read >= self.heads.len()
    }

    /// Forgets what there was, and receives what waits in the socket that is bound to `local`.
    /// Returns whether there may be more.
    ///
    /// # Errors
    ///
    /// As [`Socket::recv_from`].
    pub fn fill<S: Socket>(&mut self, socket: &S, local: &SocketAddr) -> io::Result<bool> {
        self.read = 0;
        self.heads.clear();
        if self.capacity > 1 {
            let slots = self.bytes.chunks_exact_mut(STRIDE).map(|slot| &mut slot[..SIZE]);
            match mmsg::receive(socket, local, slots, &mut self.heads) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(error),
                // Whatever that was, asking for one tells it better.
                Err(_) => {}
                Ok(()) => return Ok(self.heads.len() == self.capacity),
            }
        }
        let slot = self.bytes.get_mut(..SIZE).unwrap_or_default();
        let (len, from) = socket.recv_from(slot)?;
        self.heads.push((from, len));
        Ok(true)
    }

    /// The next datagram, and whose it is.
    pub fn pop(&mut self) -> Option<(SocketAddr, &[u8])> {
        let (from, len) = *self.heads.get(self.read)?;
        let begin = self.read * STRIDE;
        self.read += 1;
        Some((from, self.bytes.get(begin..begin + len.min(SIZE))?))
    }
}

/// Datagrams that are to go out, in this order.
pub struct Outbox {
    slots: Box<[Buffer]>,
    heads: Vec<Head>,
}

/// Where a datagram goes, how long it is, and over which socket.
struct Head {
    to: SocketAddr,
    len: usize,
    socket: usize,
}

impl Outbox {
    /// For as many as any of the sockets can send at once.
    pub fn new<'a, S: Socket + 'a>(sockets: impl IntoIterator<Item = &'a S>) -> Self {
        let capacity = capacity(sockets);
        let slots = vec![buffer(); capacity].into_boxed_slice();
        Self { slots, heads: Vec::with_capacity(capacity) }
    }

    /// Whether there is no room for another: it is time to send.
    pub fn is_full(&self) -> bool {
        self.heads.len() >= self.slots.len()
    }

    /// Where the next datagram is to be written. A full outbox lends the place of its last.
    pub fn place(&mut self) -> &mut Buffer {
        let index = self.heads.len().min(self.slots.len().saturating_sub(1));
        &mut self.slots[index]
    }

    /// The first `len` bytes of the [place](Outbox::place) are to go out over a socket, by its
    /// number. A full outbox takes nothing.
    pub fn push(&mut self, to: SocketAddr, len: usize, socket: usize) {
        if !self.is_full() {
            self.heads.push(Head { to, len, socket });
        }
    }

    /// Sends all. What cannot be sent is as good as lost on the way.
    pub fn send<'a, S: Socket + 'a>(&mut self, socket: impl Fn(usize) -> Option<&'a S>) {
        let mut done = 0;
        while let Some(head) = self.heads.get(done) {
            let rest = self.heads.get(done..).unwrap_or_default();
            let run = rest.iter().take_while(|other| other.socket == head.socket).count();
            let datagrams = rest.iter().zip(self.slots.iter().skip(done)).take(run);
            let mut datagrams =
                datagrams.map(|(head, slot)| (head.to, &slot[..head.len.min(slot.len())]));
            let Some(over) = socket(head.socket) else {
                done += run;
                continue;
            };
            let sent = if run > 1 { mmsg::send(over, datagrams.clone()).unwrap_or(0) } else { 0 };
            if sent == 0
                && let Some((to, datagram)) = datagrams.next()
            {
                // Alone, or the one that could not be sent with the others.
                let _ = over.send_to(datagram, to);
            }
            done += sent.max(1);
        }
        self.heads.clear();
    }
}

/// How many datagrams one system call is for.
fn capacity<'a, S: Socket + 'a>(sockets: impl IntoIterator<Item = &'a S>) -> usize {
    if sockets.into_iter().any(mmsg::is_for) { BATCH } else { 1 }
}
