//! What a query is answered with: a pure function of the question.
//!
//! It looks at no table, no store and no time, so it says *what* to answer with ("the nodes closest
//! to this") and leaves the finding to the moment when the reply is written (BEP 5, 32, 33, 51).

use core::net::SocketAddr;

use crate::contact::Family;
use crate::dht::item::{Item, Mutable};
use crate::dht::node::ReplyKind;
use crate::id::InfoHash;
use crate::wire::krpc::{Fault, Query, Want};

/// What to do about a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict<'a> {
    /// Answer with this.
    Reply(ReplyKind),
    /// Store this peer if the token is good.
    Announce { info_hash: InfoHash, peer: SocketAddr, token: &'a [u8], seed: bool },
    /// Store this item if the token is good (BEP 44).
    Put { item: Item<'a>, cas: Option<i64>, token: &'a [u8] },
    /// A method that is the application's to answer; if it does not, answer with this.
    Foreign(ReplyKind),
}

/// Judges a query that came from `from` to a node of `family`, which `scrapes` if its store can tell
/// what BEP 33 and BEP 51 ask for.
pub(crate) fn judge<'a>(
    query: &Query<'a>,
    from: SocketAddr,
    family: Family,
    scrapes: bool,
) -> Verdict<'a> {
    let verdict = try_judge(query, from, family, scrapes);
    verdict.unwrap_or_else(|fault| Verdict::Reply(fault_reply(fault)))
}

/// Judges a query about items, `get` or `put`, to a node that keeps some.
pub(crate) fn judge_item<'a>(query: &Query<'a>, family: Family) -> Verdict<'a> {
    let verdict = if query.method == b"get" { get(query, family) } else { put(query) };
    verdict.unwrap_or_else(|fault| Verdict::Reply(item_fault_reply(fault)))
}

/// Bytes of a reply per byte of its question for who has proven nothing: `amplification` where
/// peers are asked for, which take room, half of it elsewhere. 0: no limit.
pub(crate) fn ratio(verdict: &Verdict<'_>, amplification: u8) -> usize {
    match verdict {
        Verdict::Reply(ReplyKind::Peers { .. }) => usize::from(amplification),
        _ => usize::from(amplification.div_ceil(2)),
    }
}

fn try_judge<'a>(
    query: &Query<'a>,
    from: SocketAddr,
    family: Family,
    scrapes: bool,
) -> Result<Verdict<'a>, Fault> {
    query.id()?;
    let want = || wanted(query, family);
    Ok(match query.method {
        b"ping" => Verdict::Reply(ReplyKind::Id),
        b"find_node" => Verdict::Reply(ReplyKind::Nodes { target: query.target()?, want: want() }),
        b"get_peers" => Verdict::Reply(ReplyKind::Peers {
            info_hash: query.info_hash()?,
            want: want(),
            no_seed: scrapes && query.no_seed(),
            scrape: scrapes && query.scrape(),
        }),
        b"announce_peer" => {
            let port = if query.implied_port() { from.port() } else { query.port()? };
            Verdict::Announce {
                info_hash: query.info_hash()?,
                peer: SocketAddr::new(from.ip(), port),
                token: query.token()?,
                seed: query.seed(),
            }
        }
        b"sample_infohashes" if scrapes => {
            Verdict::Reply(ReplyKind::Samples { target: query.target()?, want: want() })
        }
        // Nodes for an answer would look like success.
        b"put" => Verdict::Foreign(ReplyKind::Error { code: 204, text: "method unknown" }),
        b"" => Verdict::Reply(ReplyKind::Error { code: 203, text: "no method" }),
        // Forwards compatibility: whatever names a place in the key space is led there.
        _ => Verdict::Foreign(match (query.target(), query.info_hash()) {
            (Ok(target), _) => ReplyKind::Nodes { target, want: want() },
            (_, Ok(info_hash)) => ReplyKind::Nodes { target: info_hash.as_id(), want: want() },
            _ => ReplyKind::Error { code: 204, text: "method unknown" },
        }),
    })
}

fn get<'a>(query: &Query<'a>, family: Family) -> Result<Verdict<'a>, Fault> {
    query.id()?;
    let (target, want) = (query.target()?, wanted(query, family));
    Ok(Verdict::Reply(ReplyKind::Item { target, want, seq: query.sequence() }))
}

/// A `target` beside what is to be stored says nothing that the rest does not.
fn put<'a>(query: &Query<'a>) -> Result<Verdict<'a>, Fault> {
    query.id()?;
    let token = query.token()?;
    let value = query.value().ok_or(Fault::Missing("v"))?;
    if query.argument(b"k").is_none() {
        return Ok(Verdict::Put { item: Item::Immutable(value), cas: None, token });
    }
    // What is there and cannot be read must not count as absent.
    let is_there = |name: &[u8]| query.argument(name).is_some();
    let salt = match query.salt() {
        None if is_there(b"salt") => return Err(Fault::Wrong("salt")),
        salt => salt.unwrap_or_default(),
    };
    let cas = match query.compare_and_swap() {
        None if is_there(b"cas") => return Err(Fault::Wrong("cas")),
        cas => cas,
    };
    let item = Mutable {
        key: query.key().ok_or(Fault::Wrong("k"))?,
        salt,
        seq: query.sequence().ok_or(Fault::Wrong("seq"))?,
        value,
        signature: query.signature().ok_or(Fault::Wrong("sig"))?,
    };
    Ok(Verdict::Put { item: Item::Mutable(item), cas, token })
}

/// The families that the asker wants nodes of: its own unless it says otherwise (BEP 32).
fn wanted(query: &Query<'_>, family: Family) -> Want {
    let want = query.want();
    if want.v4 || want.v6 {
        want
    } else {
        Want { v4: family == Family::V4, v6: family == Family::V6 }
    }
}

fn fault_reply(fault: Fault) -> ReplyKind {
    let text = match fault {
        Fault::Missing("id") | Fault::Wrong("id") => "id is not 20 bytes",
        Fault::Missing("target") | Fault::Wrong("target") => "target is not 20 bytes",
        Fault::Missing("info_hash") | Fault::Wrong("info_hash") => "info_hash is not 20 bytes",
        Fault::Missing("port") | Fault::Wrong("port") => "port is not 1 to 65535",
        Fault::Missing("token") | Fault::Wrong("token") => "token is no string",
        Fault::Missing(_) => "an argument is missing",
        Fault::Wrong(_) => "an argument is wrong",
    };
    ReplyKind::Error { code: 203, text }
}

fn item_fault_reply(fault: Fault) -> ReplyKind {
    let text = match fault {
        Fault::Missing("v") => "v is missing",
        Fault::Wrong("k") => "k is not 32 bytes",
        Fault::Wrong("salt") => "salt is no string",
        Fault::Wrong("seq") => "seq is no integer",
        Fault::Wrong("sig") => "sig is not 64 bytes",
        Fault::Wrong("cas") => "cas is no integer",
        other => return fault_reply(other),
    };
    ReplyKind::Error { code: 203, text }
}
