//! Lookups among a population, held against the truth.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use rand_core::Rng;
use tinybt_core::dht::{End, Event, LookupId, Outcome, Port};
use tinybt_core::limits::K;
use tinybt_core::{Id, InfoHash, Instant};

use super::{Member, Numbered, Population, SimNode};
use crate::nodes::addr;

/// Announces of each swarm.
const PEERS: usize = 3;
/// The time between two beginnings.
const SPACING: Duration = Duration::from_millis(100);

/// The median and the 90th percentile.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Percentiles(pub f64, pub f64);

impl Percentiles {
    /// Of these values; zeros if there are none.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| values.get((values.len() as f64 * share) as usize).copied();
        Self(at(0.5).unwrap_or(0.0), at(0.9).unwrap_or(0.0))
    }
}

/// What lookups found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Lookups begun, without announces.
    pub lookups: usize,
    /// Of these, how many ended because the closest had answered.
    pub complete: usize,
    /// The truly closest that were there when a lookup began, eight a lookup, and how many of them
    /// answered it. Whoever is behind eight that did is not missed: somebody behind a NAT who lets
    /// the one that looks in may be among these, and nobody else could know.
    pub closest: usize,
    /// See above.
    pub closest_answered: usize,
    /// Peers that had been announced, and how many of them were found.
    pub peers_announced: usize,
    /// See above.
    pub peers_found: usize,
    /// Milliseconds to the first peer.
    pub first: Percentiles,
    /// Milliseconds to the end.
    pub done: Percentiles,
    /// Datagrams of a lookup: questions, and answers to them.
    pub packets: Percentiles,
    /// Announces, and how many of them seven nodes stored at least.
    pub announces: usize,
    /// See above.
    pub announces_stored: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = |part: usize, of: usize| part as f64 / of.max(1) as f64;
        writeln!(f, "lookups              {:>10}   complete {}", self.lookups, self.complete)?;
        let closest = per(self.closest_answered * K, self.closest);
        writeln!(f, "of the 8 closest     {closest:>10.3}   answered")?;
        let found = 100.0 * per(self.peers_found, self.peers_announced);
        writeln!(f, "peers found          {found:>9.2}%   of {}", self.peers_announced)?;
        writeln!(f, "                     {:>10}   {:>10}", "median", "90 %")?;
        let mut line = |name: &str, value: Percentiles| {
            writeln!(f, "{name:<20} {:>10.1}   {:>10.1}", value.0, value.1)
        };
        line("first peer, ms", self.first)?;
        line("done, ms", self.done)?;
        line("packets", self.packets)?;
        let stored = 100.0 * per(self.announces_stored, self.announces);
        writeln!(f, "announces stored     {stored:>9.2}%   by 7 nodes at least")
    }
}

/// What one lookup came to.
struct Probe {
    began: Instant,
    first: Option<Instant>,
    peers: HashSet<SocketAddr>,
    end: Option<(Outcome, Vec<Id>)>,
}

type Probes = Rc<RefCell<HashMap<(SocketAddr, LookupId), Probe>>>;

pub(super) fn run(population: &mut Population, count: usize) -> Report {
    let probes = Probes::default();
    let seen = probes.clone();
    population.network.watch(move |now, host, node, event| note(&seen, now, host, node, event));

    let swarms: Vec<InfoHash> = (0..count)
        .map(|_| {
            let mut hash = [0; 20];
            population.random.fill_bytes(&mut hash);
            InfoHash(hash)
        })
        .collect();
    let mut announced = vec![HashSet::new(); count];
    let mut announces = Vec::new();
    for round in 0..PEERS {
        for (swarm, peers) in swarms.iter().zip(&mut announced) {
            population.run_for(SPACING);
            let port = 1_000 + round as u16;
            let key = begin(
                population,
                &probes,
                |_| true,
                |node, now| node.announce(now, *swarm, Port::Number(port)).ok(),
            );
            if let Some(key) = key {
                peers.insert((key, SocketAddr::new(key.0.ip(), port)));
                announces.push(key);
            }
        }
    }
    population.run_for(Duration::from_secs(30));

    let mut looked = Vec::new();
    for swarm in &swarms {
        population.run_for(SPACING);
        let closest = population.truth().closest(swarm.as_id(), K + 1);
        let key =
            begin(population, &probes, |_| true, |node, now| node.get_peers(now, *swarm).ok());
        looked.push((key, swarm.as_id(), closest));
    }
    population.run_for(Duration::from_secs(30));
    population.network.watch(|_, _, _, _| {});
    tally(&probes.borrow(), &announces, &announced, &looked)
}

/// Somebody begins a lookup.
fn begin(
    population: &mut Population,
    probes: &Probes,
    wanted: impl Fn(&Member) -> bool,
    command: impl FnOnce(&mut SimNode, Instant) -> Option<LookupId>,
) -> Option<(SocketAddr, LookupId)> {
    let host = addr(population.somebody(wanted)?);
    let began = population.network.now();
    // What it tells while it drains is noted as well.
    let lookup = population.network.command(host, |node, now| {
        let lookup = command(node, now)?;
        let probe = Probe { began, first: None, peers: HashSet::new(), end: None };
        probes.borrow_mut().insert((host, lookup), probe);
        Some(lookup)
    })?;
    Some((host, lookup))
}

fn note(probes: &Probes, now: Instant, host: SocketAddr, node: &mut SimNode, event: &Event) {
    match event {
        Event::Peer { lookup, peer } => {
            if let Some(probe) = probes.borrow_mut().get_mut(&(host, *lookup)) {
                probe.first = probe.first.or(Some(now));
                probe.peers.insert(*peer);
            }
        }
        Event::Finished { lookup, outcome } => {
            if let Some(probe) = probes.borrow_mut().get_mut(&(host, *lookup)) {
                let closest = node.closest(*lookup).map(|contact| contact.id).collect();
                probe.end = Some((*outcome, closest));
            }
        }
        _ => {}
    }
}

type Key = (SocketAddr, LookupId);
/// A lookup, if it began, its target, and the truth then.
type Looked = (Option<Key>, Id, Vec<Numbered>);

fn tally(
    probes: &HashMap<Key, Probe>,
    announces: &[Key],
    announced: &[HashSet<(Key, SocketAddr)>],
    looked: &[Looked],
) -> Report {
    let mut report = Report::default();
    let (mut first, mut done, mut packets) = (Vec::new(), Vec::new(), Vec::new());
    let stored = |key: &Key| probes.get(key)?.end.as_ref().map(|(outcome, _)| outcome.stored);
    for ((key, target, truth), peers) in looked.iter().zip(announced) {
        let Some((key, probe)) = key.and_then(|key| Some((key, probes.get(&key)?))) else {
            continue;
        };
        report.lookups += 1;
        // Whoever went before it had stored anything is not to be found.
        let peers = peers.iter().filter(|(key, _)| stored(key).is_some_and(|stored| stored > 0));
        for (_, peer) in peers {
            report.peers_announced += 1;
            report.peers_found += usize::from(probe.peers.contains(peer));
        }
        first.extend(probe.first.map(|at| millis(at.since(probe.began))));
        // Whoever went meanwhile left no end.
        let Some((outcome, closest)) = &probe.end else { continue };
        report.complete += usize::from(outcome.end == End::Complete);
        done.push(millis(outcome.took));
        packets.push(f64::from(outcome.sent) + f64::from(outcome.answered));
        let others = truth.iter().filter(|(_, index)| addr(*index as usize) != key.0).take(K);
        let last = closest.get(K - 1).map(|id| id.distance(*target));
        for (id, _) in others {
            let is_behind = last.is_some_and(|last| id.distance(*target) > last);
            report.closest += 1;
            report.closest_answered += usize::from(is_behind || closest.contains(id));
        }
    }
    report.announces = announces.len();
    report.announces_stored =
        announces.iter().filter_map(stored).filter(|nodes| *nodes >= 7).count();
    report.first = Percentiles::of(first);
    report.done = Percentiles::of(done);
    report.packets = Percentiles::of(packets);
    report
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
