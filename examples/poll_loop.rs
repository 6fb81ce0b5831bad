//! One UDP socket for the DHT, two UDP trackers and a protocol of one's own, in a poll loop written
//! by hand: the standard library and nothing else. What is asked, and what is done with the answers,
//! is in `src/client.rs`.
//!
//! ```text
//! cargo run -p tinybt-examples --example poll_loop
//! cargo run -p tinybt-examples --example poll_loop <info-hash> <node addr:port> [<tracker addr:port>…]
//! ```
//!
//! Without arguments it looks for peers in a private network on this machine's loopback.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::net::UdpSocket;
use std::time::Duration;

use tinybt_core::{Ignored, Instant, Machine, Step, buffer};
use tinybt_examples::{Client, PingPong, Place};

fn main() -> Result<(), Box<dyn Error>> {
    let place = Place::from_args()?;
    let socket = UdpSocket::bind(place.bind)?;
    let port = socket.local_addr()?.port();

    // The one clock. A machine's instants count from wherever one likes.
    let started = std::time::Instant::now();
    let now = || Instant::EPOCH + started.elapsed();

    let mut client = Client::new(now(), &place, port)?;
    let mut foreign = PingPong::new(place.stranger);
    let mut outbox = buffer();
    // As large as datagrams get: of one that does not fit, the rest is lost without a word.
    let mut inbox = vec![0; 65_536];
    loop {
        // 1. Everything that is due, until the machines say how long they can wait.
        let present = now();
        let deadline = loop {
            match client.machines.step(present, &mut outbox) {
                // What cannot be sent is as good as lost on the way: it will be repeated.
                Step::Send(datagram) => {
                    let _ = socket.send_to(&outbox[..datagram.len], datagram.to);
                }
                Step::Event(event) => client.hear(event),
                Step::Wait(deadline) => break deadline,
            }
        };
        if let Some((to, line)) = foreign.say(present) {
            let _ = socket.send_to(line.as_bytes(), to);
        }
        if client.is_done() && foreign.is_done() {
            break;
        }

        // 2. Wait for a datagram, but not beyond the earlier of the two deadlines.
        let earlier = [deadline, foreign.deadline()].into_iter().flatten().min();
        // To wait for no time at all is an error here, and a millisecond late is soon enough.
        let wait = earlier.map(|at| at.since(now()).max(Duration::from_millis(1)));
        socket.set_read_timeout(wait)?;
        // An error is the end of the time, or news of an earlier datagram that reached nobody.
        let Ok((len, from)) = socket.recv_from(&mut inbox) else { continue };

        // 3. Whose is it? What is foreign to the DHT and then to the trackers is not ours.
        let datagram = &inbox[..len];
        if client.machines.handle_datagram(now(), from, datagram) == Err(Ignored::Foreign)
            && let Some(reply) = foreign.hear(now(), from, datagram)
        {
            let _ = socket.send_to(reply.as_bytes(), from);
        }
    }
    println!("{} pongs", foreign.pongs);
    if client.found == 0 { Err("found nobody".into()) } else { Ok(()) }
}
