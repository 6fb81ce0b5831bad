//! `recvmmsg` and `sendmmsg`, where the platform has them and the feature `batch` is on.
//!
//! The headers that the calls want hold pointers, so they cannot be handed from thread to thread:
//! each thread has its own, made once. There are two for receiving, since the operating system
//! leaves in each header how long the address was, which the next call takes for its room: so a
//! header serves addresses of one length.
//!
//! One thing in nix 0.31 is not right by the letter, and not to be avoided from outside. How many
//! datagrams were sent is known by counting its results, and for each of these nix takes a copy of
//! an address of the header, which sending never writes, and looks at its family (and, of received
//! ones as well, at the byte where a Unix address keeps its length) to see whether a length is to
//! be set in the copy. These are bytes of the heap that nobody has initialised. The copy is a
//! union, of which any bytes are a value; reading a number out of them is what Rust does not
//! allow. It does no harm: who compiles the call cannot know that the bytes, on the heap and
//! behind a thread local, were never written; whatever they are, at most a byte of the copy
//! changes; and we look at no copy but of addresses that the operating system wrote. Headers
//! without addresses (`()`) would be clean, but then nix takes none to send to; of `SockaddrIn`
//! nothing is read, but a socket whose family was misnamed would have the operating system write
//! past it at the second call. rustix sends cleanly, on Linux alone, and does not receive several;
//! socket2 does neither yet.

pub(crate) use imp::{is_for, receive, send};

#[cfg(all(
    feature = "batch",
    any(target_os = "linux", target_os = "android", target_os = "freebsd", target_os = "netbsd")
))]
mod imp {
    use std::cell::RefCell;
    use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
    use std::net::SocketAddr;
    use std::os::fd::AsRawFd;

    use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg};

    use crate::batch::BATCH;
    use crate::socket::Socket;

    type Headers = RefCell<MultiHeaders<SockaddrStorage>>;

    thread_local! {
        static V4: Headers = headers();
        static V6: Headers = headers();
        static OUT: Headers = headers();
    }

    fn headers() -> Headers {
        RefCell::new(MultiHeaders::preallocate(BATCH, None))
    }

    pub(crate) fn is_for<S: Socket>(socket: &S) -> bool {
        socket.descriptor().is_some()
    }

    /// Receives what is there, up to a slot's worth each; says from whom, and how long.
    pub(crate) fn receive<'a, S: Socket>(
        socket: &S,
        local: &SocketAddr,
        slots: impl Iterator<Item = &'a mut [u8]>,
        heads: &mut Vec<(SocketAddr, usize)>,
    ) -> io::Result<()> {
        let descriptor = socket.descriptor().ok_or(ErrorKind::Unsupported)?.as_raw_fd();
        let headers = if local.is_ipv4() { &V4 } else { &V6 };
        headers.with_borrow_mut(|headers| {
            let mut slots = slots;
            let mut places: [[IoSliceMut<'_>; 1]; BATCH] =
                std::array::from_fn(|_| [IoSliceMut::new(slots.next().unwrap_or_default())]);
            let flags = MsgFlags::MSG_DONTWAIT;
            for message in recvmmsg(descriptor, headers, places.iter_mut(), flags, None)? {
                // One that came from nowhere is no datagram of anybody's; port 0 says so.
                let from = message.address.as_ref().and_then(address);
                let from = from.unwrap_or_else(|| SocketAddr::new(local.ip(), 0));
                heads.push((from, message.bytes));
            }
            Ok(())
        })
    }

    /// Sends datagrams, up to [`BATCH`] of them; says how many were.
    pub(crate) fn send<'a, S: Socket>(
        socket: &S,
        datagrams: impl Iterator<Item = (SocketAddr, &'a [u8])>,
    ) -> io::Result<usize> {
        let descriptor = socket.descriptor().ok_or(ErrorKind::Unsupported)?.as_raw_fd();
        OUT.with_borrow_mut(|headers| {
            let mut addresses = [None; BATCH];
            let mut slices = [[IoSlice::new(&[])]; BATCH];
            let mut count = 0;
            for (((to, datagram), address), slice) in datagrams.zip(&mut addresses).zip(&mut slices)
            {
                *address = Some(SockaddrStorage::from(to));
                *slice = [IoSlice::new(datagram)];
                count += 1;
            }
            let (addresses, slices) = (&addresses[..count], &slices[..count]);
            let flags = MsgFlags::MSG_DONTWAIT;
            Ok(sendmmsg(descriptor, headers, slices, addresses, [], flags)?.count())
        })
    }

    fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
        if let Some(v4) = storage.as_sockaddr_in() {
            return Some(std::net::SocketAddrV4::from(*v4).into());
        }
        storage.as_sockaddr_in6().map(|v6| std::net::SocketAddrV6::from(*v6).into())
    }
}

#[cfg(not(all(
    feature = "batch",
    any(target_os = "linux", target_os = "android", target_os = "freebsd", target_os = "netbsd")
)))]
mod imp {
    use std::io::{self, ErrorKind};
    use std::net::SocketAddr;

    use crate::socket::Socket;

    pub(crate) fn is_for<S: Socket>(_: &S) -> bool {
        false
    }

    pub(crate) fn receive<'a, S: Socket>(
        _: &S,
        _: &SocketAddr,
        _: impl Iterator<Item = &'a mut [u8]>,
        _: &mut Vec<(SocketAddr, usize)>,
    ) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    pub(crate) fn send<'a, S: Socket>(
        _: &S,
        _: impl Iterator<Item = (SocketAddr, &'a [u8])>,
    ) -> io::Result<usize> {
        Err(ErrorKind::Unsupported.into())
    }
}
