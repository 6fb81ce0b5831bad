//! Trackers on real sockets of loopback that tell what they hear.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use tinybt_core::torrent::Torrent;
use tinybt_core::tracker::http::{Announced, write_announced};
use tinybt_core::wire::udp_tracker::{Request, Response, Scraped, decode_request, encode_response};
use tinybt_core::{Happening, InfoHash};

/// A torrent.
pub const HASH: InfoHash = InfoHash(*b"some torrent of ours");

/// Any port of loopback.
pub fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// The torrent with these trackers, each in a tier of its own.
pub fn torrent(urls: &[&str]) -> Torrent {
    let tiers = urls.iter().map(|url| vec![(*url).to_owned()]).collect();
    Torrent { tiers, ..Torrent::new(HASH) }
}

/// A tracker over UDP that names one peer, and tells what it hears.
pub fn udp_tracker() -> (String, Receiver<Happening>) {
    let socket = UdpSocket::bind(loopback()).unwrap();
    let url = format!("udp://{}/announce", socket.local_addr().unwrap());
    let (tell, told) = channel();
    std::thread::spawn(move || serve(&socket, &tell));
    (url, told)
}

/// Serves as such a tracker until the socket fails.
pub fn serve(socket: &UdpSocket, tell: &Sender<Happening>) {
    let (mut bytes, mut out) = ([0; 2_000], [0; 2_000]);
    loop {
        let Ok((len, from)) = socket.recv_from(&mut bytes) else { return };
        let Some((transaction, request)) = decode_request(&bytes[..len]) else { continue };
        let peer = [10, 0, 0, 1, 0x1a, 0xe1];
        let counts = [Default::default(); 74];
        let response = match request {
            Request::Connect => Response::Connect { connection: 7 },
            Request::Announce { announce, .. } => {
                let _ = tell.send(announce.event);
                let packed = [&peer[..], &[]];
                Response::Announce { interval: 1_800, leechers: 1, seeders: 2, packed }
            }
            Request::Scrape { hashes, .. } => {
                Response::Scrape(Scraped::Values(&counts[..hashes.iter().count()]))
            }
        };
        let len = encode_response(&mut out, transaction, &response).unwrap();
        let _ = socket.send_to(&out[..len], from);
    }
}

/// A tracker over HTTP that names one peer.
pub fn http_tracker() -> (String, Receiver<String>) {
    let listener = TcpListener::bind(loopback()).unwrap();
    let url = format!("http://{}/announce", listener.local_addr().unwrap());
    let (tell, told) = channel();
    let peers = vec!["10.0.0.2:6881".parse().unwrap()];
    let interval = Some(Duration::from_secs(1_800));
    let body = write_announced(&Announced { interval, peers, ..Announced::default() });
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
                head.push(byte[0]);
            }
            let _ = tell.send(String::from_utf8_lossy(&head).into_owned());
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = stream.write_all(&body);
        }
    });
    (url, told)
}
