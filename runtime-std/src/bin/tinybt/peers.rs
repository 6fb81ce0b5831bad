//! `tinybt peers`: the peers of a torrent, as they are found.

use std::time::{Duration, Instant};

use serde_json::json;
use tinybt_std::core::dht::End;
use tinybt_std::{Dht, Finished, Found as Next, Search};

use crate::args::{Format, Peers};
use crate::exit::{Failure, Found, interrupted};
use crate::input::Torrent;
use crate::options;
use crate::output::{Output, human};
use crate::trace;

pub(crate) fn run(args: &Peers) -> Result<Found, Failure> {
    let torrent = Torrent::parse(&args.torrent)?;
    let dht = options::join(&args.join, &torrent.nodes)?;
    let result = search(&dht, &torrent, args);
    let stopped = dht.stop();
    let found = result?;
    stopped?;
    Ok(found)
}

fn search(dht: &Dht, torrent: &Torrent, args: &Peers) -> Result<Found, Failure> {
    let output = Output::new(args.format);
    let begun = Instant::now();
    let mut seen = std::collections::HashSet::new();
    for peer in torrent.peers.iter().filter(|peer| seen.insert(**peer)).copied().collect::<Vec<_>>()
    {
        output.peer(peer, "link", begun.elapsed())?;
    }
    let named = seen.len();
    let mut search = dht.get_peers(torrent.info_hash)?;
    let run = Run { dht, begun, timeout: args.timeout, what: "peers" };
    let first = run.follow(&mut search, &output, |peer, output, at| {
        if seen.insert(peer) { output.peer(peer, "dht", at) } else { Ok(()) }
    })?;
    output.finish();
    let finished = search.finished();
    if let Some(path) = &args.trace {
        trace::write(path, finished)?;
    }
    summary(&output, torrent, seen.len(), first, begun.elapsed(), finished, args.format)?;
    verdict(dht, finished, seen.len() > named || named > 0)
}

/// A search that is followed to its end, its timeout or Ctrl-C.
pub(crate) struct Run<'a> {
    pub(crate) dht: &'a Dht,
    pub(crate) begun: Instant,
    pub(crate) timeout: Duration,
    pub(crate) what: &'a str,
}

impl Run<'_> {
    /// Hands out each peer. Returns when the first came.
    pub(crate) fn follow(
        &self,
        search: &mut Search,
        output: &Output,
        mut each: impl FnMut(std::net::SocketAddr, &Output, Duration) -> std::io::Result<()>,
    ) -> Result<Option<Duration>, Failure> {
        let (mut first, mut count) = (None, 0u32);
        let mut ends = self.timeout;
        loop {
            let left = ends.saturating_sub(self.begun.elapsed());
            match search.next_within(left.min(Duration::from_millis(100))) {
                Next::Peer(peer) => {
                    first = first.or(Some(self.begun.elapsed()));
                    count += 1;
                    each(peer, output, self.begun.elapsed())?;
                }
                Next::End => return Ok(first),
                Next::Nothing => {}
            }
            if left.is_zero() && ends > self.timeout {
                return Ok(first);
            }
            if (interrupted() || left.is_zero()) && ends == self.timeout {
                // Cancelled, it still says how far it came.
                search.cancel();
                ends = self.begun.elapsed().max(self.timeout) + Duration::from_millis(300);
            }
            let overview = self.dht.overview()?;
            let of = [overview.v4, overview.v6].into_iter().flatten();
            let (asked, answered) = of.fold((0, 0), |(asked, answered), (_, stats)| {
                (asked + stats.questions_out, answered + stats.answers_in)
            });
            output
                .progress(format!("{count} {}, {asked} questions, {answered} answers", self.what));
        }
    }
}

fn summary(
    output: &Output,
    torrent: &Torrent,
    peers: usize,
    first: Option<Duration>,
    took: Duration,
    finished: &[Finished],
    format: Format,
) -> Result<(), Failure> {
    let asked: u32 = finished.iter().map(|f| u32::from(f.outcome.asked)).sum();
    let answered: u32 = finished.iter().map(|f| u32::from(f.outcome.answered)).sum();
    if format.json {
        output.json(&json!({
            "info_hash": torrent.info_hash.to_string(),
            "name": torrent.name,
            "peers": peers,
            "nodes_asked": asked,
            "nodes_answered": answered,
            "first": first.map(|time| time.as_secs_f64()),
            "took": took.as_secs_f64(),
        }))?;
        return Ok(());
    }
    let name = torrent.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    let first = first.map(|time| format!(", the first after {}", human(time))).unwrap_or_default();
    let s = if peers == 1 { "" } else { "s" };
    output.say(&format!(
        "{peers} peer{s} of {}{name}; {asked} nodes asked, {answered} answered{first}, all after {}",
        torrent.info_hash,
        human(took)
    ))?;
    Ok(())
}

/// Whether something was found, or why nothing could be.
pub(crate) fn verdict(dht: &Dht, finished: &[Finished], found: bool) -> Result<Found, Failure> {
    if found {
        return Ok(Found::Something);
    }
    let alone = |finished: &Finished| {
        matches!(finished.outcome.end, End::Unanswered | End::Nobody)
            || finished.outcome.answered == 0
    };
    if !interrupted() && finished.iter().all(alone) {
        return Err(Failure::Network(format!(
            "no node of the DHT answered{}: check the network, or name others with --bootstrap",
            options::unresolved(dht)
        )));
    }
    Ok(Found::Nothing)
}
