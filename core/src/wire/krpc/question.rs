//! Queries on their way out.

use crate::id::{Id, InfoHash};
use crate::wire::bencode::Writer;
use crate::wire::krpc::Want;
use crate::wire::krpc::envelope::{EncodeError, Envelope, QUERY, bencoded, with_id};

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Question<'a> {
    /// Are you there? (BEP 5)
    Ping,
    /// Which nodes are closest to this? (BEP 5)
    FindNode {
        /// The point in the key space.
        target: Id,
        /// The families wanted, where not the one asked over (BEP 32).
        want: Option<Want>,
    },
    /// Which peers of this swarm do you know, and which nodes closest to it? (BEP 5)
    GetPeers {
        /// The swarm.
        info_hash: InfoHash,
        /// The families wanted, where not the one asked over (BEP 32).
        want: Option<Want>,
        /// Only peers that lack something (BEP 33).
        no_seed: bool,
        /// Bloom filters of the swarm as well (BEP 33).
        scrape: bool,
    },
    /// I am a peer of this swarm. (BEP 5)
    AnnouncePeer {
        /// The swarm.
        info_hash: InfoHash,
        /// Where I listen.
        port: u16,
        /// Take the port that this comes from instead.
        implied_port: bool,
        /// What you gave me when I asked for peers.
        token: &'a [u8],
        /// I have everything (BEP 33).
        seed: bool,
    },
    /// Some of the info-hashes that you store? (BEP 51)
    SampleInfohashes {
        /// Nodes closest to this as well.
        target: Id,
        /// The families wanted, where not the one asked over (BEP 32).
        want: Option<Want>,
    },
    /// What do you store here? (BEP 44)
    Get {
        /// Where.
        target: Id,
        /// Only if it is newer than this.
        seq: Option<i64>,
        /// The families wanted, where not the one asked over (BEP 32).
        want: Option<Want>,
    },
    /// Store this under its hash. (BEP 44)
    PutImmutable {
        /// Its hash; some nodes want to be told.
        target: Id,
        /// What you gave me when I asked for it.
        token: &'a [u8],
        /// The value, bencoded.
        value: &'a [u8],
    },
    /// Store this under my key. (BEP 44)
    PutMutable {
        /// The hash of key and salt; some nodes want to be told.
        target: Id,
        /// What you gave me when I asked for it.
        token: &'a [u8],
        /// The value, bencoded.
        value: &'a [u8],
        /// My public key.
        key: &'a [u8; 32],
        /// Over salt, `seq` and value.
        signature: &'a [u8; 64],
        /// How new it is.
        seq: i64,
        /// Which of my values this is; empty for the one.
        salt: &'a [u8],
        /// Only if this is what you have.
        cas: Option<i64>,
    },
    /// Anything else.
    Method {
        /// The method.
        name: &'a [u8],
        /// A bencoded dictionary with sorted keys; `id` is added where it is missing.
        arguments: &'a [u8],
    },
}

/// Writes a query of the node `id`; returns its length.
///
/// # Errors
///
/// [`EncodeError`] if the buffer is too short, or what was given as bencoding is not.
///
/// ```
/// use tinybt_core::Id;
/// use tinybt_core::wire::krpc::{Envelope, Question, encode_query};
///
/// let mut buffer = [0; 100];
/// let envelope = Envelope { transaction: b"aa", ..Envelope::default() };
/// let id = Id(*b"abcdefghij0123456789");
/// let len = encode_query(&mut buffer, &envelope, id, &Question::Ping)?;
/// assert_eq!(&buffer[..len], b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe");
/// # Ok::<(), tinybt_core::wire::krpc::EncodeError>(())
/// ```
#[inline]
pub fn encode_query(
    buffer: &mut [u8],
    envelope: &Envelope<'_>,
    id: Id,
    question: &Question<'_>,
) -> Result<usize, EncodeError> {
    let mut writer = Writer::new(buffer);
    let w = &mut writer;
    w.array(b"d1:a");
    match question {
        Question::Ping => {
            w.array(b"d2:id20:");
            w.array(&id.0);
            w.array(b"e");
            envelope.head(w);
            w.array(b"1:q4:ping");
        }
        question => {
            let method = arguments(w, id, question)?;
            envelope.head(w);
            w.array(b"1:q");
            w.string(method);
        }
    }
    if envelope.read_only {
        w.array(b"2:roi1e");
    }
    envelope.tail(w, QUERY);
    Ok(w.written()?)
}

/// Writes the arguments; returns the name of the method.
fn arguments<'a>(
    w: &mut Writer<'_>,
    id: Id,
    question: &Question<'a>,
) -> Result<&'a [u8], EncodeError> {
    if let Question::Method { name, arguments } = question {
        with_id(w, id, arguments)?;
        return Ok(name);
    }
    w.array(b"d");
    if let Question::PutMutable { cas: Some(cas), .. } = question {
        w.array(b"3:cas");
        w.integer(*cas);
    }
    w.array(b"2:id20:");
    w.array(&id.0);
    let method: &'static [u8] = match question {
        Question::Ping | Question::Method { .. } => b"ping",
        Question::FindNode { target, want } => {
            target_and_want(w, target, want);
            b"find_node"
        }
        Question::GetPeers { info_hash, want, no_seed, scrape } => {
            w.array(b"9:info_hash20:");
            w.array(&info_hash.0);
            if *no_seed {
                w.array(b"6:noseedi1e");
            }
            if *scrape {
                w.array(b"6:scrapei1e");
            }
            wanted(w, want);
            b"get_peers"
        }
        Question::AnnouncePeer { info_hash, port, implied_port, token, seed } => {
            w.array(b"12:implied_port");
            w.integer(i64::from(*implied_port));
            w.array(b"9:info_hash20:");
            w.array(&info_hash.0);
            w.array(b"4:port");
            w.integer(i64::from(*port));
            if *seed {
                w.array(b"4:seedi1e");
            }
            w.array(b"5:token");
            w.string(token);
            b"announce_peer"
        }
        Question::SampleInfohashes { target, want } => {
            target_and_want(w, target, want);
            b"sample_infohashes"
        }
        Question::Get { target, seq, want } => {
            if let Some(seq) = seq {
                w.array(b"3:seq");
                w.integer(*seq);
            }
            target_and_want(w, target, want);
            b"get"
        }
        Question::PutImmutable { target, token, value } => {
            w.array(b"6:target20:");
            w.array(&target.0);
            w.array(b"5:token");
            w.string(token);
            w.array(b"1:v");
            bencoded(w, value)?;
            b"put"
        }
        Question::PutMutable { target, token, value, key, signature, seq, salt, cas: _ } => {
            w.array(b"1:k32:");
            w.array(key);
            if !salt.is_empty() {
                w.array(b"4:salt");
                w.string(salt);
            }
            w.array(b"3:seq");
            w.integer(*seq);
            w.array(b"3:sig64:");
            w.array(signature);
            w.array(b"6:target20:");
            w.array(&target.0);
            w.array(b"5:token");
            w.string(token);
            w.array(b"1:v");
            bencoded(w, value)?;
            b"put"
        }
    };
    w.end();
    Ok(method)
}

fn target_and_want(w: &mut Writer<'_>, target: &Id, want: &Option<Want>) {
    w.array(b"6:target20:");
    w.array(&target.0);
    wanted(w, want);
}

fn wanted(w: &mut Writer<'_>, want: &Option<Want>) {
    let Some(want) = want else { return };
    w.array(b"4:wantl");
    if want.v4 {
        w.array(b"2:n4");
    }
    if want.v6 {
        w.array(b"2:n6");
    }
    w.end();
}
