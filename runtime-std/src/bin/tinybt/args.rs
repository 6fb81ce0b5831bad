//! The command line.

mod items;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand, value_parser};
use tinybt_std::core::Id;
use tinybt_std::core::dht::Port;
use tinybt_std::core::tracker::TrackerUrl;

pub(crate) use items::{Follow, Get, Put, Size};

/// Finds BitTorrent peers.
#[derive(Debug, Parser)]
#[command(
    name = "tinybt",
    version,
    after_help = "\
Examples:
  tinybt demo                         a private network on this machine, and a search in it
  tinybt peers 2b66980093bc11806fab50cb3cb41835b95a0362
  tinybt peers 'magnet:?xt=urn:btih:...' --plain | head -5
  tinybt announce debian.torrent --port 6881
  tinybt scrape debian.torrent
  tinybt scrape --dht 2b66980093bc11806fab50cb3cb41835b95a0362
  tinybt put 'Hello World!'           and get it back by the target that is printed
  tinybt put --key my.key --salt news 'Hello again'
  tinybt tracker --bind 127.0.0.1:6969
  tinybt node --bind 0.0.0.0:6881 --state dht.state
  tinybt crawl --slice 12 --state crawl.state

Exit codes: 0 found, 1 nothing found, 2 usage, 3 network."
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Find the peers of a torrent.
    Peers(Peers),
    /// Tell trackers and the DHT that we are a peer of a torrent, until Ctrl-C.
    Announce(Announce),
    /// Ask trackers, or the DHT, how many are in a swarm.
    Scrape(Scrape),
    /// Run a small tracker, over UDP and HTTP, until Ctrl-C.
    Tracker(Tracker),
    /// Find an item that the DHT stores (BEP 44).
    Get(Get),
    /// Store an item in the DHT (BEP 44).
    Put(Put),
    /// Follow a torrent that changes (BEP 46).
    Follow(Follow),
    /// Say how large the network is.
    Size(Size),
    /// Ask a node whether it is there.
    Ping(Ping),
    /// Find the nodes closest to an id, or ask one node for them.
    FindNode(FindNode),
    /// Run a node until Ctrl-C.
    Node(Node),
    /// Run a private network of nodes on this machine until Ctrl-C.
    Testnet(Testnet),
    /// Start a private network, announce some peers, and find them.
    Demo(Demo),
    /// Go through the DHT and print the info-hashes that its nodes store (BEP 51).
    Crawl(Crawl),
    /// Ask a node for some of the info-hashes that it stores (BEP 51).
    Sample(Sample),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man,
}

/// How to take part in the network.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Join {
    /// Nodes to begin with, separated by commas; `name:port` or `address:port` [default: the
    /// public routers].
    #[arg(long, value_name = "ADDR", value_delimiter = ',')]
    pub(crate) bootstrap: Vec<String>,
    /// Address and port of a socket; may be given more than once, for a node at each address of
    /// this host [default: any].
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) bind: Vec<SocketAddr>,
    /// Ask but do not answer (BEP 43).
    #[arg(long)]
    pub(crate) read_only: bool,
    /// Remember nodes in this file from run to run.
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
    /// For a network of one's own: no limits for anybody.
    #[arg(long)]
    pub(crate) private: bool,
    /// Disjoint paths of each lookup: a node that lies leads one of them astray. Two cost half as many
    /// questions again; more hardly help [default: 1].
    #[arg(long, value_name = "N", value_parser = value_parser!(u8).range(1..=4))]
    pub(crate) paths: Option<u8>,
}

/// Whom to ask.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Sources {
    /// Do not ask the DHT.
    #[arg(long)]
    pub(crate) no_dht: bool,
    /// Do not ask trackers.
    #[arg(long, conflicts_with = "tracker")]
    pub(crate) no_trackers: bool,
    /// Ask this tracker as well: `udp://`, `http://` or `https://`; may be given more than once.
    #[arg(long, value_name = "URL", value_parser = tracker)]
    pub(crate) tracker: Vec<String>,
    #[command(flatten)]
    pub(crate) http: Http,
}

/// How HTTP trackers are reached.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Http {
    /// Ask HTTP trackers by this proxy: `http://host:port`. The environment is not looked at.
    #[arg(long, value_name = "URL")]
    pub(crate) proxy: Option<String>,
    /// Trust the certificates in this file (PEM) in place of the usual ones.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

/// What trackers are told of us.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Presence {
    /// Bytes still to be downloaded; 0 makes a seed.
    #[arg(long, value_name = "BYTES", default_value = "9223372036854775807")]
    pub(crate) left: u64,
    /// Bytes downloaded so far.
    #[arg(long, value_name = "BYTES", default_value = "0")]
    pub(crate) downloaded: u64,
    /// Bytes uploaded so far.
    #[arg(long, value_name = "BYTES", default_value = "0")]
    pub(crate) uploaded: u64,
    /// The address to be told to others in place of the one that trackers see.
    #[arg(long, value_name = "ADDR")]
    pub(crate) ip: Option<std::net::IpAddr>,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct Format {
    /// One JSON object a line.
    #[arg(long, conflicts_with = "plain")]
    pub(crate) json: bool,
    /// Only lines `peer ADDR:PORT`, each as soon as it is found.
    #[arg(long)]
    pub(crate) plain: bool,
}

/// How lookups went.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Trace {
    /// Write how the lookup went to a file: one JSON object for each question.
    #[arg(long = "trace", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Peers {
    /// An info-hash (40 or 64 hexadecimal digits, or 32 of base32), a magnet link, or a .torrent
    /// file.
    pub(crate) torrent: String,
    #[command(flatten)]
    pub(crate) sources: Sources,
    #[command(flatten)]
    pub(crate) join: Join,
    #[command(flatten)]
    pub(crate) format: Format,
    /// Give up after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) trace: Trace,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Announce {
    /// An info-hash, a magnet link, or a .torrent file.
    pub(crate) torrent: String,
    /// The port that the peer listens on; `implied` is the one this program sends from.
    #[arg(long, value_name = "N|implied", value_parser = port)]
    pub(crate) port: Port,
    /// End once everybody was told once, and stay in the swarm until it forgets.
    #[arg(long)]
    pub(crate) once: bool,
    #[command(flatten)]
    pub(crate) presence: Presence,
    #[command(flatten)]
    pub(crate) sources: Sources,
    #[command(flatten)]
    pub(crate) join: Join,
    #[command(flatten)]
    pub(crate) format: Format,
    /// With --once, give up after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) trace: Trace,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Scrape {
    /// Info-hashes, magnet links or .torrent files; the trackers that they name are asked.
    #[arg(required = true)]
    pub(crate) torrents: Vec<String>,
    /// Ask this tracker for all of them; may be given more than once.
    #[arg(long, value_name = "URL", value_parser = tracker)]
    pub(crate) tracker: Vec<String>,
    #[command(flatten)]
    pub(crate) http: Http,
    /// Ask the DHT, and no trackers (BEP 33).
    #[arg(long, conflicts_with = "tracker")]
    pub(crate) dht: bool,
    #[command(flatten)]
    pub(crate) join: Join,
    /// One JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
    /// With --dht, give up after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Tracker {
    /// Addresses and ports to serve, each over UDP and over HTTP; at most one of each family.
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:6969")]
    pub(crate) bind: Vec<SocketAddr>,
    /// Seconds between two announces of a peer.
    #[arg(long, value_name = "SECONDS", default_value = "1800", value_parser = seconds)]
    pub(crate) interval: Duration,
    /// One JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Ping {
    /// The node: `address:port` or `name:port`.
    pub(crate) addr: String,
    /// One JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
    /// Address and port of the socket [default: any].
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) bind: Vec<SocketAddr>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct FindNode {
    /// 40 hexadecimal digits.
    pub(crate) id: Id,
    /// Ask only this node, once.
    #[arg(long, value_name = "ADDR")]
    pub(crate) at: Option<String>,
    #[command(flatten)]
    pub(crate) join: Join,
    /// One JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
    /// Give up after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) trace: Trace,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Node {
    #[command(flatten)]
    pub(crate) join: Join,
    /// Print a JSON object of all counters every second.
    #[arg(long)]
    pub(crate) stats_json: bool,
    /// Seconds between two status lines.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub(crate) interval: Duration,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Testnet {
    /// How many nodes.
    #[arg(long, value_name = "N", default_value = "200", value_parser = clap::value_parser!(u16).range(2..=5_000))]
    pub(crate) nodes: u16,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// How many nodes.
    #[arg(long, value_name = "N", default_value = "200", value_parser = clap::value_parser!(u16).range(20..=5_000))]
    pub(crate) nodes: u16,
    /// Make it hard: a fifth of the nodes die before the search, one tracker is dead, one lies.
    #[arg(long)]
    pub(crate) rough: bool,
    #[command(flatten)]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) trace: Trace,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Crawl {
    /// Nodes to begin with, separated by commas; `name:port` or `address:port` [default: the
    /// public routers].
    #[arg(long, value_name = "ADDR", value_delimiter = ',')]
    pub(crate) bootstrap: Vec<String>,
    /// Address and port of the socket; its family is that of the DHT to be crawled.
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:0")]
    pub(crate) bind: SocketAddr,
    /// Go on where the crawl was that wrote this file; write it every ten minutes and in the end.
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
    /// Crawl one in 2^BITS of the key space.
    #[arg(long, value_name = "BITS", default_value = "0", value_parser = clap::value_parser!(u8).range(0..=32))]
    pub(crate) slice: u8,
    /// Where the slice is: 40 hexadecimal digits [default: anywhere].
    #[arg(long, value_name = "ID", requires = "slice")]
    pub(crate) around: Option<Id>,
    /// Questions per second.
    #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) rate: u32,
    /// End after so many rounds [default: when little is left to be told].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: Option<u32>,
    /// End after this many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: Option<Duration>,
    /// One JSON object a line.
    #[arg(long, conflicts_with = "plain")]
    pub(crate) json: bool,
    /// Only info-hashes, each as soon as it is found.
    #[arg(long)]
    pub(crate) plain: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Sample {
    /// The node: `address:port` or `name:port`.
    pub(crate) addr: String,
    /// One JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
    /// Address and port of the socket [default: any].
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) bind: Vec<SocketAddr>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|time| !time.is_zero() && time.as_secs() < 10_000_000)
        .ok_or_else(|| "expected a number of seconds above 0".to_owned())
}

fn tracker(text: &str) -> Result<String, String> {
    TrackerUrl::parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn port(text: &str) -> Result<Port, String> {
    match text.parse() {
        Ok(0) => Err("expected a port from 1 to 65535, or `implied`".to_owned()),
        Ok(port) => Ok(Port::Number(port)),
        Err(_) if text == "implied" => Ok(Port::Implied),
        Err(_) => Err("expected a port from 1 to 65535, or `implied`".to_owned()),
    }
}
