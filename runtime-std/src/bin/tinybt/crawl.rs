//! `tinybt crawl`: goes through the DHT and prints the info-hashes that its nodes store.

use std::net::SocketAddr;
use std::task::Poll;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tinybt_std::core::Id;
use tinybt_std::core::dht::crawl::{CrawlEnd, Event, Prefix, Progress};
use tinybt_std::{Crawl as Crawling, CrawlBuilder, Error, PUBLIC_ROUTERS};

use crate::args::{Crawl, Format};
use crate::exit::{Failure, Found, interrupted};
use crate::options;
use crate::output::{Output, human, plural};

/// Between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(100);
/// So many times it looks for the DHT where nobody answers.
const VAIN: u32 = 3;
/// Between two lines of progress in JSON.
const REPORT: Duration = Duration::from_secs(10);

pub(crate) fn run(args: &Crawl) -> Result<Found, Failure> {
    let output = Output::new(Format { json: args.json, plain: args.plain });
    let mut crawl = Crawling::start(builder(args)?)?;
    let begun = Instant::now();
    let (mut reported, mut asked, mut shown) = (begun, begun, Progress::default());
    let (mut is_stopped, mut unresolved) = (false, None);
    let mut ended = None;
    loop {
        match crawl.next_within(LOOK) {
            Poll::Ready(Some(Event::Hash { info_hash })) => output.hash(info_hash)?,
            Poll::Ready(Some(Event::Round { progress, next })) => {
                output.json(&json!({
                    "round": as_json(&progress),
                    "next": next.map(|next| next.as_secs_f64()),
                }))?;
            }
            Poll::Ready(Some(Event::Ended { end, progress })) => ended = Some((end, progress)),
            Poll::Ready(Some(_)) | Poll::Pending => {}
            Poll::Ready(None) => break,
        }
        if asked.elapsed() >= LOOK {
            asked = Instant::now();
            match crawl.progress() {
                Ok(progress) => {
                    let is_alone = progress.vain >= VAIN && is_alone(&progress);
                    if is_alone && unresolved.is_none() {
                        unresolved = crawl.unresolved().ok();
                        crawl.stop();
                    }
                    shown = progress;
                }
                // It is ending, and tells the rest.
                Err(Error::Stopped) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let is_over = args.timeout.is_some_and(|timeout| begun.elapsed() >= timeout);
        if (interrupted() || is_over) && !is_stopped {
            crawl.stop();
            is_stopped = true;
        }
        output.progress(as_text(&shown));
        if reported.elapsed() >= REPORT {
            reported = Instant::now();
            output.json(&json!({"progress": as_json(&shown)}))?;
        }
    }
    output.finish();
    crawl.finish()?;
    let Some((end, progress)) = ended else { return Ok(Found::Nothing) };
    output.json(&json!({"summary": as_json(&progress), "end": reason(end)}))?;
    output.say(&format!(
        "{} found: {} of {} answered, in {}",
        plural(count(progress.hashes), "torrent"),
        progress.answered,
        plural(count(progress.asked), "question"),
        human(begun.elapsed()),
    ))?;
    if is_alone(&progress) && !interrupted() {
        let unresolved = options::names(&unresolved.unwrap_or_default());
        return Err(Failure::Network(format!(
            "no node of the DHT answered{unresolved}: check the network, or name others with \
             --bootstrap"
        )));
    }
    Ok(if progress.hashes > 0 { Found::Something } else { Found::Nothing })
}

/// Whether nobody answered, though somebody was asked or nobody is known.
fn is_alone(progress: &Progress) -> bool {
    let is_tried = progress.nodes == 0 || progress.asked > 0;
    progress.answered == 0 && progress.met == 0 && is_tried
}

fn builder(args: &Crawl) -> Result<CrawlBuilder, Failure> {
    for node in &args.bootstrap {
        options::check(node)?;
        let other =
            node.parse().is_ok_and(|addr: SocketAddr| addr.is_ipv4() != args.bind.is_ipv4());
        if other {
            let what = format!("--bootstrap {node} cannot be reached from --bind {}", args.bind);
            return Err(Failure::Usage(format!("{what}: name an address of the same family")));
        }
    }
    let addr = args.bind;
    let socket = options::open(addr).map_err(|source| Error::Bind { addr, source })?;
    let mut builder = CrawlBuilder::default().socket(socket).rate(Some(args.rate));
    builder = match args.bootstrap.is_empty() {
        true => builder.bootstrap(PUBLIC_ROUTERS),
        false => builder.bootstrap(args.bootstrap.iter().cloned()),
    };
    if let Some(path) = &args.state {
        builder = builder.state(path);
    }
    let point = match args.around {
        Some(point) => point,
        None if args.slice == 0 => Id::default(),
        None => anywhere()?,
    };
    Ok(builder.configure(|config| {
        config.slice = Prefix::around(point, args.slice);
        config.rounds = args.rounds;
    }))
}

fn anywhere() -> Result<Id, Failure> {
    let mut point = Id::default();
    getrandom::fill(&mut point.0).map_err(|_| Error::Random)?;
    Ok(point)
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn reason(end: CrawlEnd) -> &'static str {
    match end {
        CrawlEnd::Complete => "complete",
        CrawlEnd::Rounds => "rounds",
        _ => "stopped",
    }
}

fn as_text(progress: &Progress) -> String {
    format!(
        "round {}, {:.1} % covered: {} hashes, {} nodes, {} asked, {} answered, {:.0} per second",
        progress.round,
        progress.covered * 100.0,
        progress.hashes,
        progress.nodes,
        progress.asked,
        progress.answered,
        progress.rate,
    )
}

fn as_json(progress: &Progress) -> Value {
    json!({
        "round": progress.round,
        "covered": progress.covered,
        "nodes": progress.nodes,
        "met": progress.met,
        "vain": progress.vain,
        "waiting": progress.waiting,
        "in_flight": progress.in_flight,
        "asked": progress.asked,
        "answered": progress.answered,
        "sampled": progress.sampled,
        "refused": progress.refused,
        "silent": progress.silent,
        "hashes": progress.hashes,
        "hashes_in_round": progress.hashes_in_round,
        "rate": progress.rate,
    })
}
