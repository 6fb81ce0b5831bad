//! As much of an HTTP server as a small tracker needs: one GET a connection, read and answered
//! within a time and a size, on a bounded number of threads.
//!
//! A library was tried first: it reads the body of a request to its end before it goes on, so that
//! one client that announces a body and sends none stops the tracker for everybody.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// For a whole connection.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a request's head: 74 escaped info-hashes and some more.
const HEAD_MAX: usize = 16 * 1_024;
/// Connections at once; more are closed unread.
const CONNECTIONS_MAX: usize = 64;

/// What to answer to whom about which target; `None` where nobody is there to say.
pub(crate) type Answer = dyn Fn(IpAddr, &str) -> Option<Vec<u8>> + Send + Sync;

/// Answers every GET, until it is told to stop and somebody comes once more: see [`wake`].
pub(crate) fn serve(listener: &TcpListener, stop: &AtomicBool, answer: &Arc<Answer>) {
    let open = Arc::new(AtomicUsize::new(0));
    while let Ok((stream, from)) = listener.accept() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        if open.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS_MAX {
            open.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let (open, answer) = (open.clone(), answer.clone());
        std::thread::spawn(move || {
            // What goes wrong with one client is that client's.
            let _ = converse(stream, from, &*answer);
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// Ends the waiting of a server that was told to stop. False if it cannot be reached.
pub(crate) fn wake(mut addr: SocketAddr) -> bool {
    if addr.ip().is_unspecified() {
        addr.set_ip(match addr {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    TcpStream::connect_timeout(&addr, Duration::from_secs(1)).is_ok()
}

fn converse(mut stream: TcpStream, from: SocketAddr, answer: &Answer) -> io::Result<()> {
    stream.set_write_timeout(Some(TIMEOUT))?;
    let head = read_head(&mut stream)?;
    let mut words = head.lines().next().unwrap_or_default().split(' ');
    let (status, body) = match (words.next(), words.next()) {
        (Some("GET"), Some(target)) => ("200 OK", answer(from.ip(), target).unwrap_or_default()),
        _ => ("400 Bad Request", b"expected GET".to_vec()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    )?;
    stream.write_all(&body)
}

/// Everything up to the empty line.
fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let begun = Instant::now();
    let mut head = Vec::new();
    let mut bytes = [0; 2_048];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let left = TIMEOUT.saturating_sub(begun.elapsed());
        if head.len() > HEAD_MAX || left.is_zero() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut bytes)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            len => head.extend_from_slice(bytes.get(..len).unwrap_or_default()),
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
