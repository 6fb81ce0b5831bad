//! A whole lookup in a program that has nothing: no std, no allocator, no libc, no start files.
//!
//! A node looks for peers among a few others in this very program, then it does what the firmware of
//! `tests/metal` does; the exit status says whether all was found. `.ci/no_std` links it with
//! `-nostartfiles -nodefaultlibs -nostdlib -static`, looks for undefined symbols, and runs it.
#![no_std]
#![no_main]

mod platform;

use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;

use metal_world::{Counter, Found, Small};
use tinybt_core::dht::{Config, Event, Node, Port};
use tinybt_core::{Buffer, Family, Id, InfoHash, Instant, Machine, Step, buffer};

const NODES: usize = 12;

fn addr(index: usize) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(10, 0, 0, index as u8 + 1), 6881))
}

fn node(index: usize) -> Node<Small, Counter> {
    let mut config = Config::private(Family::V4);
    let mut id = [index as u8; 20];
    id[0] = (index * 21) as u8;
    config.id = Some(Id(id));
    let mut node = Node::new(config, Small, Counter(index as u64));
    if index > 0 {
        node.add_source(addr(0));
    }
    node
}

/// Drives every node until nobody has anything to say, delivering each datagram at once.
fn exchange(
    nodes: &mut [Node<Small, Counter>; NODES],
    now: Instant,
    out: &mut Buffer,
    mut tell: impl FnMut(usize, Event),
) {
    let mut busy = true;
    while busy {
        busy = false;
        for index in 0..NODES {
            loop {
                match nodes[index].step(now, out) {
                    Step::Send(transmit) => {
                        busy = true;
                        let to = (0..NODES).find(|index| addr(*index) == transmit.to);
                        if let Some(to) = to {
                            let _ =
                                nodes[to].handle_datagram(now, addr(index), &out[..transmit.len]);
                        }
                    }
                    Step::Event(event) => tell(index, event),
                    Step::Wait(_) => break,
                }
            }
        }
    }
}

/// 0 if the peer that one node announced was found by another.
fn run() -> i32 {
    let mut nodes: [Node<Small, Counter>; NODES] = core::array::from_fn(node);
    let mut out = buffer();
    let mut now = Instant::from_secs(1);
    for _ in 0..60 {
        exchange(&mut nodes, now, &mut out, |_, _| {});
        now = now + Duration::from_secs(5);
    }
    let info_hash = InfoHash([0x5a; 20]);
    if nodes[3].announce(now, info_hash, Port::Number(4_242)).is_err() {
        return 2;
    }
    let mut stored = 0;
    exchange(&mut nodes, now, &mut out, |_, event| {
        if let Event::Finished { outcome, .. } = event {
            stored = outcome.stored;
        }
    });
    if nodes[9].get_peers(now, info_hash).is_err() {
        return 3;
    }
    let mut found = false;
    exchange(&mut nodes, now, &mut out, |index, event| {
        found |= index == 9
            && matches!(event, Event::Peer { peer, .. } if peer == SocketAddr::new(addr(3).ip(), 4_242));
    });
    match (stored, found, metal_world::run(&mut Nowhere)) {
        (0, ..) => 4,
        (_, false, _) => 5,
        (_, _, Ok(Found::ALL)) => 0,
        _ => 6,
    }
}

/// Where the lines of a program without a console go.
struct Nowhere;

impl core::fmt::Write for Nowhere {
    fn write_str(&mut self, _: &str) -> core::fmt::Result {
        Ok(())
    }
}
