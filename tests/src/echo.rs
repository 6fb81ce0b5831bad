//! A UDP echo, and how fast a server answers: what servers are measured against, in one run.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const OUTSTANDING: usize = 64;
const ROUND: Duration = Duration::from_millis(250);
const ROUNDS: usize = 16;

/// Answers a second of a server and of an echo, to the same question: the medians of short rounds
/// that alternate, so that whatever else the machine does hits both.
pub fn compare(server: SocketAddr, echo: SocketAddr, question: &[u8]) -> (f64, f64) {
    let (mut served, mut echoed) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        echoed.push(rate(echo, question));
        served.push(rate(server, question));
    }
    (median(served), median(echoed))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Answers a second with 64 questions outstanding.
fn rate(server: SocketAddr, query: &[u8]) -> f64 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    for _ in 0..OUTSTANDING {
        socket.send(query).unwrap();
    }
    let begun = Instant::now();
    let mut count = 0u64;
    let mut bytes = [0; 2_048];
    while !count.is_multiple_of(64) || begun.elapsed() < ROUND {
        match socket.recv(&mut bytes) {
            Ok(_) => count += 1,
            Err(_) if begun.elapsed() > ROUND * 4 => break,
            Err(_) => {}
        }
        socket.send(query).unwrap();
    }
    count as f64 / begun.elapsed().as_secs_f64()
}

/// Sends back whatever comes.
pub fn echo(stop: Arc<AtomicBool>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = socket.local_addr().unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    std::thread::spawn(move || {
        let mut bytes = [0; 2_048];
        while !stop.load(Ordering::Relaxed) {
            if let Ok((len, from)) = socket.recv_from(&mut bytes) {
                let _ = socket.send_to(&bytes[..len], from);
            }
        }
    });
    addr
}
