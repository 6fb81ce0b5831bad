//! The same node and tracker client, and next to nothing else: no network inside, no text. Not to be
//! run, since its network card is one that nobody has; its size is what the library adds to a
//! firmware.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::net::{Ipv4Addr, SocketAddr};
use core::panic::PanicInfo;

use cortex_m_rt::entry;
use metal_world::machines;
use tinybt_core::dht::{Event, Port};
use tinybt_core::tracker::udp::Patience;
use tinybt_core::{Announce, Either, InfoHash, Instant, Machine, PeerId, Step, buffer};

#[entry]
fn main() -> ! {
    let mut machines = machines();
    let mut buffer = buffer();
    let (node, trackers) = &mut machines;
    let info_hash = black_box(InfoHash([0x5a; 20]));
    node.add_source(card::address());
    let lookups = [
        node.announce(card::now(), info_hash, Port::Number(6881)),
        node.get_peers(card::now(), info_hash),
    ];
    black_box(&lookups);
    if let Ok(tracker) = trackers.add(card::address(), b"/announce") {
        let announce = Announce::new(info_hash, PeerId([1; 20]), 1, 6881);
        black_box(trackers.announce(tracker, announce, Patience::BEP_15).is_ok());
    }
    loop {
        match machines.step(card::now(), &mut buffer) {
            Step::Send(sent) => card::send(sent.to, &buffer[..sent.len]),
            Step::Event(Either::First(Event::Peer { peer, .. })) => card::tell(peer),
            Step::Event(Either::First(_)) => {}
            Step::Event(Either::Second(event)) => {
                machines.1.peers(event.request()).for_each(card::tell);
            }
            Step::Wait(until) => {
                if let Some((from, len)) = card::wait(until, &mut buffer) {
                    let _ = machines.handle_datagram(card::now(), from, &buffer[..len]);
                }
            }
        }
    }
}

/// A network card of which the compiler knows nothing.
mod card {
    use super::*;

    #[inline(never)]
    pub(super) fn now() -> Instant {
        black_box(Instant::EPOCH)
    }

    #[inline(never)]
    pub(super) fn address() -> SocketAddr {
        black_box(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)))
    }

    #[inline(never)]
    pub(super) fn send(to: SocketAddr, datagram: &[u8]) {
        black_box((to, datagram));
    }

    #[inline(never)]
    pub(super) fn tell(peer: SocketAddr) {
        black_box(peer);
    }

    #[inline(never)]
    pub(super) fn wait(until: Option<Instant>, buffer: &mut [u8]) -> Option<(SocketAddr, usize)> {
        black_box((until, buffer));
        black_box(None)
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}
