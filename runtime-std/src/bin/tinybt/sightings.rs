//! Following a search of all sources: what it finds is printed as it comes, and summed up.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tinybt_std::core::dht::End;
use tinybt_std::core::finder::{Source, TrackerState, Wanted};
use tinybt_std::core::torrent::Torrent;
use tinybt_std::{Finder, Peer, Sighting, Swarm, Tracker};

use crate::args::{Join, Sources};
use crate::exit::{Failure, Found, interrupted};
use crate::options;
use crate::output::{Output, human, plural};

/// A search, and what it found so far.
pub(crate) struct Sightings<'a> {
    pub(crate) output: &'a Output,
    pub(crate) finder: Finder,
    pub(crate) swarm: Swarm,
    pub(crate) begun: Instant,
    pub(crate) first: Option<Duration>,
    /// Who named each peer.
    pub(crate) named: HashMap<SocketAddr, Vec<Source>>,
    /// What was printed of each tracker last.
    printed: HashMap<u16, Value>,
    /// Print what becomes of trackers as it happens.
    live: bool,
    trackers: Vec<String>,
}

/// A torrent with the trackers that were named on the command line.
pub(crate) fn with_trackers(mut torrent: Torrent, sources: &Sources) -> Result<Torrent, Failure> {
    if torrent.private && !sources.tracker.is_empty() {
        return Err(Failure::Usage(
            "--tracker: a private torrent is announced to its own trackers alone (BEP 27)"
                .to_owned(),
        ));
    }
    torrent.tiers.extend(sources.tracker.iter().map(|url| vec![url.clone()]));
    Ok(torrent)
}

/// Opens the sockets and begins the search.
pub(crate) fn begin<'a>(
    mut wanted: Wanted,
    sources: &Sources,
    join: &Join,
    output: &'a Output,
    live: bool,
) -> Result<Sightings<'a>, Failure> {
    let torrent = &wanted.torrent;
    let dht = wanted.dht && !torrent.private;
    if !dht && (!wanted.trackers || torrent.trackers().next().is_none()) {
        return Err(Failure::Usage(
            "nobody to ask: the torrent names no tracker; name one with --tracker, or ask the DHT"
                .to_owned(),
        ));
    }
    let nodes = if dht { &torrent.nodes[..] } else { &[] };
    let mut builder = options::builder(join, nodes)?.http(options::http(&sources.http)?);
    if !dht {
        builder = builder.without_dht();
    }
    let finder = builder.finder()?;
    if let Some(presence) = wanted.announce.as_mut().filter(|presence| presence.port == 0) {
        // The DHT sees where we ask from; trackers are told what the socket was bound to.
        presence.port = finder.dht().local_addrs().first().map_or(0, SocketAddr::port);
    }
    let begun = Instant::now();
    let trackers = distinct(wanted.torrent.trackers());
    let swarm = finder.find(wanted)?;
    Ok(Sightings {
        output,
        finder,
        swarm,
        begun,
        first: None,
        named: HashMap::new(),
        printed: HashMap::new(),
        live,
        trackers,
    })
}

/// The trackers in the order of their numbers.
fn distinct<'a>(urls: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for url in urls.map(str::trim).filter(|url| !url.is_empty()) {
        if !found.iter().any(|other| other == url) {
            found.push(url.to_owned());
        }
    }
    found
}

impl Sightings<'_> {
    /// Hands on what comes until the search is over, `timeout` has passed, or somebody wants an
    /// end; then ends it.
    pub(crate) fn follow(&mut self, timeout: Option<Duration>) -> Result<(), Failure> {
        let mut stopping = false;
        loop {
            match self.swarm.next_within(Duration::from_millis(100)) {
                Sighting::Peer(peer) => self.peer(peer)?,
                Sighting::Again(peer) => self.named.entry(peer.addr).or_default().push(peer.source),
                Sighting::Tracker(number) => self.tracker(number)?,
                Sighting::Looked if self.live => self.looked()?,
                Sighting::Looked | Sighting::Nothing => {}
                Sighting::End => return Ok(()),
            }
            let late = timeout.is_some_and(|timeout| self.begun.elapsed() >= timeout);
            if (late || interrupted()) && !stopping {
                stopping = true;
                self.swarm.stop()?;
            }
            self.progress();
        }
    }

    fn peer(&mut self, peer: Peer) -> Result<(), Failure> {
        let at = self.begun.elapsed();
        self.first = self.first.or(Some(at));
        self.named.entry(peer.addr).or_default().push(peer.source);
        let source = self.name(peer.source);
        Ok(self.output.peer(peer.addr, &source, at)?)
    }

    fn name(&self, source: Source) -> String {
        match source {
            Source::Torrent => "link".to_owned(),
            Source::Dht => "dht".to_owned(),
            Source::Tracker(number) => {
                self.trackers.get(usize::from(number)).cloned().unwrap_or_default()
            }
        }
    }

    fn tracker(&mut self, number: u16) -> Result<(), Failure> {
        let Some(tracker) = self.swarm.trackers().get(usize::from(number)) else { return Ok(()) };
        let settled = matches!(tracker.status.state, TrackerState::Working | TrackerState::Failed);
        if !self.live || !settled {
            return Ok(());
        }
        let object = as_json(tracker);
        if self.printed.get(&number) != Some(&object) {
            self.output.json(&object)?;
            self.output.say(&as_text(tracker))?;
            self.printed.insert(number, object);
        }
        Ok(())
    }

    fn looked(&self) -> Result<(), Failure> {
        let stored = self.stored();
        self.output.json(&json!({"dht": "announced", "stored": stored}))?;
        Ok(self.output.say(&format!("dht: {stored} nodes hold the announce"))?)
    }

    /// Nodes of the DHT that hold our announce.
    pub(crate) fn stored(&self) -> u32 {
        self.swarm.lookups().iter().map(|f| u32::from(f.outcome.stored)).sum()
    }

    fn progress(&self) {
        let waiting = self.swarm.trackers().iter();
        let waiting = waiting.filter(|tracker| tracker.status.state == TrackerState::Asking);
        let waiting: Vec<&str> = waiting.map(|tracker| &*tracker.status.url).collect();
        let mut line = format!("{} peers", self.named.len());
        if let Ok(overview) = self.finder.dht().overview() {
            let of = overview.homes.iter();
            let (asked, answered) = of.fold((0, 0), |(asked, answered), (_, _, stats)| {
                (asked + stats.questions_out, answered + stats.answers_in)
            });
            line += &format!(", dht: {asked} questions, {answered} answers");
        }
        match waiting[..] {
            [] => {}
            [one] => line += &format!(", waiting for {one}"),
            _ => line += &format!(", waiting for {} trackers", waiting.len()),
        }
        self.output.progress(line);
    }

    /// What became of each tracker, unless it was told as it happened.
    pub(crate) fn sum_up_trackers(&self) -> Result<(), Failure> {
        for tracker in self.swarm.trackers().iter().filter(|_| !self.live) {
            if tracker.status.url.is_empty() {
                continue;
            }
            self.output.json(&as_json(tracker))?;
            self.output.say(&as_text(tracker))?;
        }
        Ok(())
    }

    /// How many of the peers each source named, most first.
    pub(crate) fn by_source(&self) -> Vec<(String, usize)> {
        let mut counts: HashMap<Source, usize> = HashMap::new();
        for source in self.named.values().flatten() {
            *counts.entry(*source).or_default() += 1;
        }
        let mut counts: Vec<_> =
            counts.into_iter().map(|(source, count)| (self.name(source), count)).collect();
        counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        counts
    }

    /// Nodes of the DHT asked, and those that answered.
    pub(crate) fn nodes(&self) -> (u32, u32) {
        self.swarm.lookups().iter().fold((0, 0), |(asked, answered), finished| {
            let outcome = finished.outcome;
            (asked + u32::from(outcome.asked), answered + u32::from(outcome.answered))
        })
    }

    /// How many networks of the DHT named each of the peers that it named.
    pub(crate) fn networks(&self) -> BTreeMap<SocketAddr, u8> {
        let mut networks = BTreeMap::new();
        for (peer, count) in self.swarm.lookups().iter().flat_map(|finished| &finished.named) {
            let most: &mut u8 = networks.entry(*peer).or_default();
            *most = (*most).max(*count);
        }
        networks
    }

    /// Whether something was found, or why nothing could be.
    pub(crate) fn verdict(&self, found: bool) -> Result<Found, Failure> {
        if found {
            return Ok(Found::Something);
        }
        let lookups = self.swarm.lookups();
        let alone = |end| matches!(end, End::Unanswered | End::Nobody);
        let no_dht = lookups.iter().all(|f| alone(f.outcome.end) || f.outcome.answered == 0);
        let works = |tracker: &&Tracker| tracker.status.state == TrackerState::Working;
        let no_tracker = !self.swarm.trackers().iter().any(|tracker| works(&tracker));
        if interrupted() || !no_dht || !no_tracker {
            return Ok(Found::Nothing);
        }
        let mut reasons = Vec::new();
        if !lookups.is_empty() {
            let unresolved = options::unresolved(self.finder.dht());
            reasons.push(format!("no node of the DHT answered{unresolved}"));
        }
        let known = self.swarm.trackers().iter().filter(|tracker| !tracker.status.url.is_empty());
        for tracker in known {
            let unasked = match tracker.status.state {
                TrackerState::Waiting => "not asked yet",
                _ => "no answer yet",
            };
            let error = tracker.status.error.as_deref().unwrap_or(unasked);
            reasons.push(format!("{}: {error}", tracker.status.url));
        }
        if reasons.is_empty() {
            reasons.push("there was no time for an answer".to_owned());
        }
        Err(Failure::Network(format!(
            "{}; check the network, or name others with --bootstrap or --tracker",
            reasons.join("; ")
        )))
    }
}

/// A tracker for programs.
pub(crate) fn as_json(tracker: &Tracker) -> Value {
    let status = &tracker.status;
    json!({
        "tracker": status.url,
        "state": format!("{:?}", status.state).to_lowercase(),
        "seeders": status.counts.map(|counts| counts.seeders),
        "leechers": status.counts.map(|counts| counts.leechers),
        "peers": status.peers,
        "interval": status.interval.map(|interval| interval.as_secs()),
        "next": tracker.next_in.map(|next| next.as_secs()),
        "error": status.error,
        "warning": status.warning,
        "external": status.external_ip.map(|ip| ip.to_string()),
    })
}

/// A tracker for people.
pub(crate) fn as_text(tracker: &Tracker) -> String {
    let status = &tracker.status;
    let mut parts = vec![match status.state {
        TrackerState::Waiting => "waiting".to_owned(),
        TrackerState::Asking => "no answer yet".to_owned(),
        TrackerState::Working => plural(status.peers as usize, "peer"),
        TrackerState::Failed => "failed".to_owned(),
    }];
    if let Some(counts) = status.counts {
        let (seeders, leechers) = (counts.seeders as usize, counts.leechers as usize);
        parts.push(format!("{}, {}", plural(seeders, "seeder"), plural(leechers, "leecher")));
    }
    parts.extend(status.error.clone());
    parts.extend(status.warning.as_ref().map(|warning| format!("it says: {warning}")));
    if status.state != TrackerState::Asking {
        parts.extend(tracker.next_in.map(|next| format!("asked again in {}", human(next))));
    }
    format!("{}: {}", status.url, parts.join(", "))
}
