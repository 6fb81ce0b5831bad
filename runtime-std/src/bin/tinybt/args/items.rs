//! The command line of what is about items (BEP 44, BEP 46) and about the network as a whole.

use std::path::PathBuf;
use std::time::Duration;

use tinybt_std::core::follow::Link;

use super::{Join, seconds};

#[derive(Debug, clap::Args)]
pub(crate) struct Get {
    /// What to find: a target (40 hexadecimal digits), a public key (64), or a link
    /// `magnet:?xs=urn:btpk:...`.
    pub(crate) item: String,
    /// Which of the key's items.
    #[arg(long, value_name = "TEXT")]
    pub(crate) salt: Option<String>,
    /// Only if its sequence number is above this one.
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) newer_than: Option<i64>,
    /// Write the value alone, and of the newest version: the bytes of a string, else the bencoding.
    #[arg(long, conflicts_with = "json")]
    pub(crate) raw: bool,
    #[command(flatten)]
    pub(crate) join: Join,
    /// One JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
    /// Give up after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("content").required(true).args(["value", "file", "torrent"]))]
pub(crate) struct Put {
    /// The value: a text.
    pub(crate) value: Option<String>,
    /// The value is in this file; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// The value is bencoded already.
    #[arg(long, conflicts_with = "torrent")]
    pub(crate) bencoded: bool,
    /// The value names a torrent, for those who follow the key (BEP 46): an info-hash, a magnet link,
    /// or a .torrent file.
    #[arg(long, requires = "key")]
    pub(crate) torrent: Option<String>,
    /// Store it under the key in this file, which is made if there is none; a value can then be
    /// replaced. Without a key it is stored under its hash.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Which of the key's items.
    #[arg(long, value_name = "TEXT", requires = "key")]
    pub(crate) salt: Option<String>,
    /// The sequence number [default: the one after the newest that is found].
    #[arg(long, value_name = "N", allow_hyphen_values = true, requires = "key")]
    pub(crate) seq: Option<i64>,
    /// Only in place of the version with this sequence number.
    #[arg(long, value_name = "N", allow_hyphen_values = true, requires = "key")]
    pub(crate) cas: Option<i64>,
    /// Store it again every hour, until Ctrl-C.
    #[arg(long)]
    pub(crate) keep: bool,
    #[command(flatten)]
    pub(crate) join: Join,
    /// One JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
    /// Give up after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Follow {
    /// What to follow: `magnet:?xs=urn:btpk:...`, with the salt in `s` if there is one.
    pub(crate) link: Link,
    /// End with what it is now.
    #[arg(long)]
    pub(crate) once: bool,
    /// Seconds between two looks.
    #[arg(long, value_name = "SECONDS", default_value = "900", value_parser = seconds)]
    pub(crate) interval: Duration,
    #[command(flatten)]
    pub(crate) join: Join,
    /// One JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
    /// With --once, give up after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Size {
    /// How many lookups to judge by: 16 tell it to a fifth, 64 to a tenth.
    #[arg(long, value_name = "N", default_value = "16", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) lookups: u8,
    #[command(flatten)]
    pub(crate) join: Join,
    /// One JSON object a line.
    #[arg(long)]
    pub(crate) json: bool,
    /// Give up after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = seconds)]
    pub(crate) timeout: Duration,
}
