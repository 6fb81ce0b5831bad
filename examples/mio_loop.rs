//! The same as `poll_loop` with `mio`, for whoever waits for more than one thing: one UDP socket for
//! the DHT, two UDP trackers and a protocol of one's own. What is asked, and what is done with the
//! answers, is in `src/client.rs`.
//!
//! ```text
//! cargo run -p tinybt-examples --example mio_loop
//! cargo run -p tinybt-examples --example mio_loop <info-hash> <node addr:port> [<tracker addr:port>…]
//! ```
//!
//! Without arguments it looks for peers in a private network on this machine's loopback.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::io::ErrorKind;

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use tinybt_core::{Buffer, Ignored, Instant, Machine, Step, buffer};
use tinybt_examples::{Client, PingPong, Place};

fn main() -> Result<(), Box<dyn Error>> {
    let place = Place::from_args()?;
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(8);
    let mut socket = UdpSocket::bind(place.bind)?;
    poll.registry().register(&mut socket, Token(0), Interest::READABLE)?;
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
        let deadline = drain(&mut client, present, &socket, &mut outbox);
        if let Some((to, line)) = foreign.say(present) {
            let _ = socket.send_to(line.as_bytes(), to);
        }
        if client.is_done() && foreign.is_done() {
            break;
        }

        // 2. Wait for whatever is registered, but not beyond the earlier of the two deadlines.
        let earlier = [deadline, foreign.deadline()].into_iter().flatten().min();
        match poll.poll(&mut events, earlier.map(|at| at.since(now()))) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        // Events of other sockets and of a `mio::Waker`, by which other threads send commands,
        // would be looked at here.

        // 3. The poll tells of what is new: read until nothing is left, or it tells no more.
        loop {
            let (len, from) = match socket.recv_from(&mut inbox) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                // News of an earlier datagram that reached nobody.
                Err(_) => continue,
            };
            // Whose is it? What is foreign to the DHT and then to the trackers is not ours.
            let (present, datagram) = (now(), &inbox[..len]);
            match client.machines.handle_datagram(present, from, datagram) {
                // Answered at once: a node has places for a few answers, not for a hundred.
                Ok(()) => drop(drain(&mut client, present, &socket, &mut outbox)),
                Err(Ignored::Foreign) => {
                    if let Some(reply) = foreign.hear(present, from, datagram) {
                        let _ = socket.send_to(reply.as_bytes(), from);
                    }
                }
                // Nothing that anybody else could make sense of.
                Err(_) => {}
            }
        }
    }
    println!("{} pongs", foreign.pongs);
    if client.found == 0 { Err("found nobody".into()) } else { Ok(()) }
}

/// Sends and tells everything that is due. Returns when the machines want to be stepped again.
fn drain(
    client: &mut Client,
    now: Instant,
    socket: &UdpSocket,
    outbox: &mut Buffer,
) -> Option<Instant> {
    loop {
        match client.machines.step(now, outbox) {
            // What cannot be sent is as good as lost on the way: it will be repeated.
            Step::Send(datagram) => {
                let _ = socket.send_to(&outbox[..datagram.len], datagram.to);
            }
            Step::Event(event) => client.hear(event),
            Step::Wait(deadline) => return deadline,
        }
    }
}
