//! Scripts as data: what comes in and what must go out, a line each, readable beside a BEP.
//!
//! ```text
//! 0.000  <  1.2.3.4:5   d1:ad2:id20:…            a datagram comes in
//! 0.000  >  1.2.3.4:5   d2:ip6:…                 this one, and no other, goes out
//! 5.000  -                                       nothing goes out until then
//! ```
//!
//! Times are seconds since the start. `~` stands for any one byte of what goes out.

use std::net::SocketAddr;
use std::time::Duration;

use tinybt_core::{Instant, Machine, Step, buffer};

/// Plays a script to a machine.
///
/// # Panics
///
/// Where the machine does something else, naming the line.
pub fn play<M: Machine>(machine: &mut M, script: &str) {
    let start = Instant::from_secs(1_000);
    let (mut now, mut sent) = (start, Vec::new());
    drain(machine, now, &mut sent);
    for (number, line) in script.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let mut words = line.split_whitespace();
        let at: f64 = words.next().and_then(|word| word.parse().ok()).expect("a time first");
        let at = start + Duration::from_secs_f64(at);
        while let Some(deadline) = machine.poll_timeout().filter(|deadline| *deadline <= at) {
            now = now.max(deadline);
            drain(machine, now, &mut sent);
        }
        now = at;
        drain(machine, now, &mut sent);
        let way = words.next().expect("a direction second");
        let mut rest = || -> (SocketAddr, Vec<u8>) {
            let addr = words.next().and_then(|word| word.parse().ok()).expect("an address third");
            (addr, words.next().expect("a datagram last").as_bytes().to_vec())
        };
        match way {
            "<" => {
                assert!(sent.is_empty(), "line {number}: unforeseen: {}", show(&sent));
                let (from, bytes) = rest();
                let _ = machine.handle_datagram(now, from, &bytes);
                drain(machine, now, &mut sent);
            }
            ">" => {
                let (to, bytes) = rest();
                assert!(!sent.is_empty(), "line {number}: nothing goes out");
                let (really, got) = sent.remove(0);
                let same = got.len() == bytes.len()
                    && got.iter().zip(&bytes).all(|(got, want)| got == want || *want == b'~');
                assert!(really == to && same, "line {number}: to {really} {}", got.escape_ascii());
            }
            _ => assert!(sent.is_empty(), "line {number}: unforeseen: {}", show(&sent)),
        }
    }
    assert!(sent.is_empty(), "at the end: unforeseen: {}", show(&sent));
}

fn show(sent: &[(SocketAddr, Vec<u8>)]) -> String {
    sent.iter().map(|(to, bytes)| format!("to {to} {} ", bytes.escape_ascii())).collect()
}

fn drain<M: Machine>(machine: &mut M, now: Instant, sent: &mut Vec<(SocketAddr, Vec<u8>)>) {
    let mut out = buffer();
    loop {
        match machine.step(now, &mut out) {
            Step::Send(transmit) => sent.push((transmit.to, out[..transmit.len].to_vec())),
            Step::Event(_) => {}
            Step::Wait(_) => return,
        }
    }
}
