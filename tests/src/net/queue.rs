//! What is going to happen, in order: datagrams on their way, and one deadline a host.
//!
//! A deadline that moves takes its place in the heap along, so none is left behind, and buffers of
//! datagrams are used again: what waits here is as much as there is on the way, and no more.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;

use tinybt_core::Instant;

/// A datagram on its way.
#[derive(Clone, Debug)]
pub(super) struct Datagram {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    /// The host that sent it, if one did.
    pub(super) source: Option<u32>,
    /// It has passed the parts before its receiver: `to` is whom they mean.
    pub(super) is_inside: bool,
    pub(super) bytes: Vec<u8>,
}

/// What happens next.
#[derive(Debug)]
pub(super) enum Next {
    Datagram(Datagram),
    Deadline(u32),
}

/// Datagrams and deadlines.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    order: BinaryHeap<Reverse<(Instant, u64, u32)>>,
    waiting: Vec<Option<Datagram>>,
    free: Vec<u32>,
    buffers: Vec<Vec<u8>>,
    serial: u64,
    timers: Timers,
}

impl Queue {
    /// When the next thing happens.
    pub(super) fn at(&self) -> Option<Instant> {
        let datagram = self.order.peek().map(|Reverse((at, ..))| *at);
        let timer = self.timers.first().map(|(at, _)| at);
        [datagram, timer].into_iter().flatten().min()
    }

    /// Takes the next thing out. Datagrams come before deadlines of the same instant.
    pub(super) fn pop(&mut self) -> Option<(Instant, Next)> {
        let timer = self.timers.first();
        let datagram = self.order.peek().map(|Reverse((at, ..))| *at);
        if let Some((at, host)) = timer.filter(|(at, _)| datagram.is_none_or(|d| *at < d)) {
            self.timers.set(host, None);
            return Some((at, Next::Deadline(host)));
        }
        let Reverse((at, _, place)) = self.order.pop()?;
        self.free.push(place);
        let datagram = self.waiting[place as usize].take()?;
        Some((at, Next::Datagram(datagram)))
    }

    /// A datagram arrives at an instant.
    pub(super) fn push(&mut self, at: Instant, datagram: Datagram) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.waiting.push(None);
            self.waiting.len() as u32 - 1
        });
        self.waiting[place as usize] = Some(datagram);
        self.serial += 1;
        self.order.push(Reverse((at, self.serial, place)));
    }

    /// A buffer with these bytes.
    pub(super) fn buffer(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut buffer = self.buffers.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(bytes);
        buffer
    }

    /// Gives a buffer back.
    pub(super) fn give_back(&mut self, buffer: Vec<u8>) {
        self.buffers.push(buffer);
    }

    /// Sets the deadline of a host, or takes it away.
    pub(super) fn set_timer(&mut self, host: u32, at: Option<Instant>) {
        self.timers.set(host, at);
    }

    /// How many datagrams and deadlines wait.
    pub(super) fn len(&self) -> usize {
        self.order.len() + self.timers.heap.len()
    }
}

/// One deadline a host, in a heap of four children a place that knows where each host's is.
#[derive(Clone, Debug, Default)]
struct Timers {
    heap: Vec<(Instant, u32)>,
    /// By host: its place in the heap.
    places: Vec<u32>,
}

const NOWHERE: u32 = u32::MAX;

impl Timers {
    fn first(&self) -> Option<(Instant, u32)> {
        self.heap.first().copied()
    }

    fn set(&mut self, host: u32, at: Option<Instant>) {
        let index = host as usize;
        if index >= self.places.len() {
            self.places.resize(index + 1, NOWHERE);
        }
        let place = self.places[index];
        match (place, at) {
            (NOWHERE, None) => {}
            (NOWHERE, Some(at)) => {
                self.heap.push((at, host));
                self.up(self.heap.len() - 1);
            }
            (place, None) => {
                let place = place as usize;
                self.places[index] = NOWHERE;
                self.heap.swap_remove(place);
                if place < self.heap.len() {
                    self.settle(place);
                }
            }
            (place, Some(at)) => {
                let place = place as usize;
                if self.heap[place].0 != at {
                    self.heap[place].0 = at;
                    self.settle(place);
                }
            }
        }
    }

    fn settle(&mut self, place: usize) {
        let place = self.up(place);
        self.down(place);
    }

    fn put(&mut self, place: usize, timer: (Instant, u32)) {
        self.heap[place] = timer;
        self.places[timer.1 as usize] = place as u32;
    }

    fn up(&mut self, mut place: usize) -> usize {
        let timer = self.heap[place];
        while place > 0 {
            let parent = (place - 1) / 4;
            if self.heap[parent] <= timer {
                break;
            }
            self.put(place, self.heap[parent]);
            place = parent;
        }
        self.put(place, timer);
        place
    }

    fn down(&mut self, mut place: usize) {
        let timer = self.heap[place];
        loop {
            let children = 4 * place + 1..(4 * place + 5).min(self.heap.len());
            let Some(least) = children.min_by_key(|child| self.heap[*child]) else { break };
            if timer <= self.heap[least] {
                break;
            }
            self.put(place, self.heap[least]);
            place = least;
        }
        self.put(place, timer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::mix;

    #[test]
    fn timers_come_in_order_and_leave_nothing_behind() {
        let mut timers = Timers::default();
        let mut model = std::collections::BTreeMap::new();
        for round in 0..20_000u64 {
            let random = mix(5, &[round]);
            let host = (random % 97) as u32;
            let at = Instant::from_micros(random >> 40);
            match random >> 32 & 3 {
                0 => {
                    timers.set(host, None);
                    model.remove(&host);
                }
                _ => {
                    timers.set(host, Some(at));
                    model.insert(host, at);
                }
            }
            let first = model.iter().map(|(host, at)| (*at, *host)).min();
            assert_eq!(timers.first(), first, "in round {round}");
            assert_eq!(timers.heap.len(), model.len());
        }
    }
}
