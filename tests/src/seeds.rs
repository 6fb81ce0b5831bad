//! Where a fuzzer begins: inputs for each target, made from the vectors that the tests hold.
//!
//! Vectors are string literals of the tests. What looks like a message is one; the machines get it
//! as a datagram between answers, deadlines and commands. Files are named by their content, so what
//! is written again is the same file.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use tinybt_core::announce::Counts;
use tinybt_core::wire::udp_tracker::{
    Hashes, Request, Response, Scraped, UrlData, encode_request, encode_response,
};
use tinybt_core::{InfoHash, limits::DATAGRAM_MAX};

use crate::fuzz_laws::{self, Look};
use crate::tracker_subjects::announce;
use crate::{fuzz_network, fuzz_trackers};

/// A target: its name and its body.
pub type Target = (&'static str, fn(&[u8]));

/// Every target, the quickest first.
pub const TARGETS: [Target; 14] = [
    ("metainfo", crate::fuzz_trackers::metainfo),
    ("krpc", crate::fuzz_wire::krpc),
    ("udp_tracker", crate::fuzz_wire::udp_tracker),
    ("http_answer", crate::fuzz_trackers::http_answer),
    ("bencode", crate::fuzz_wire::bencode),
    ("magnet", crate::fuzz_trackers::magnet),
    ("tiers", crate::fuzz_trackers::tiers),
    ("tracker_laws", |data| fuzz_trackers::tracker_laws(data, Look::at(data))),
    ("node_laws", |data| fuzz_laws::node(data, Look::at(data))),
    ("crawl_laws", |data| fuzz_laws::crawler(data, Look::at(data))),
    ("dual_laws", |data| fuzz_laws::dual(data, Look::at(data))),
    ("homes_laws", |data| fuzz_laws::homes(data, Look::at(data))),
    ("finder_laws", |data| fuzz_trackers::finder_laws(data, Look::at(data))),
    ("network_laws", |data| fuzz_network::network(data, fuzz_network::look(data))),
];

/// A target that looks at most of its inputs in passing: its name and its body.
pub type Looking = (&'static str, fn(&[u8], Look));

/// Those of the targets, for whoever has the time to look closely.
pub const LOOKING: [Looking; 7] = [
    ("tracker_laws", fuzz_trackers::tracker_laws),
    ("node_laws", fuzz_laws::node),
    ("crawl_laws", fuzz_laws::crawler),
    ("dual_laws", fuzz_laws::dual),
    ("homes_laws", fuzz_laws::homes),
    ("finder_laws", fuzz_trackers::finder_laws),
    ("network_laws", fuzz_network::network),
];

/// The longest seed: a vector that is longer is one of many like it.
const SEED_MAX: usize = 700;

/// Inputs for every target, from the sources of the tests in `tests`.
///
/// # Errors
///
/// If the sources cannot be read.
pub fn seeds(tests: &Path) -> io::Result<BTreeSet<(&'static str, Vec<u8>)>> {
    let vectors = |files: &[&str]| -> io::Result<Vec<Vec<u8>>> {
        let mut all = Vec::new();
        for file in files {
            all.extend(literals(&fs::read_to_string(tests.join(file))?));
        }
        all.retain(|vector| (3..SEED_MAX).contains(&vector.len()));
        Ok(all)
    };
    let messages = vectors(&["wire_krpc_vectors.rs", "wire_krpc_malformed.rs"])?;
    let messages: Vec<_> = messages.into_iter().filter(|bytes| bytes[0] == b'd').collect();
    let requests = tracker_requests();
    let mut seeds = BTreeSet::new();
    let mut add = |target, all: Vec<Vec<u8>>| seeds.extend(all.into_iter().map(|s| (target, s)));
    let bencoded = |bytes: &Vec<u8>| b"idl0123456789".contains(&bytes[0]);
    add("krpc", messages.clone());
    let bencode = vectors(&["wire_bencode.rs", "metainfo.rs"])?;
    add("bencode", bencode.into_iter().filter(bencoded).collect());
    let torrents = vectors(&["metainfo.rs"])?.into_iter().filter(bencoded);
    add("metainfo", torrents.map(|info| [b"d4:info", &info[..], b"e"].concat()).collect());
    let answers = vectors(&["tracker_http.rs"])?;
    add("http_answer", answers.into_iter().filter(bencoded).collect());
    let links = vectors(&["magnet.rs", "tracker_http.rs"])?.into_iter();
    let links = links.filter(|link| link.contains(&b':') || link[0] == b'/');
    add("magnet", links.map(|link| braces(&link)).collect());
    add("udp_tracker", requests.clone());
    add("tiers", (0..8).map(|first| vec![first, 0, 17, 34, 5, 3, 99, 200, 7]).collect());
    add("tracker_laws", requests.iter().map(|request| script(request, 0, &[])).collect());
    for (which, message) in messages.iter().enumerate() {
        let which = which as u8;
        // A few of each for the machines, which take their time.
        if which.is_multiple_of(4) {
            add("node_laws", vec![script(message, which, &[which / 4 % 16])]);
        }
        if which.is_multiple_of(16) {
            let first = script(message, which, &[which]);
            add("crawl_laws", vec![first]);
            add("dual_laws", vec![script(message, which, &[])]);
            add("homes_laws", vec![script(message, which, &[])]);
            add("finder_laws", vec![script(message, which, &[])]);
        }
    }
    add("network_laws", troubles(&messages));
    Ok(seeds)
}

/// The name of a file with this content.
pub fn name(seed: &[u8]) -> String {
    let hash = seed.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// String literals of a source file, unescaped.
fn literals(source: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let lines = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    let text = lines.collect::<Vec<_>>().join("\n");
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            // A character, which may be a quotation mark.
            b'\'' if bytes.peek() == Some(&b'"') => drop(bytes.next()),
            b'"' => {
                let mut literal = Vec::new();
                while let Some(byte) = bytes.next().filter(|byte| *byte != b'"') {
                    if byte != b'\\' {
                        literal.push(byte);
                        continue;
                    }
                    match bytes.next() {
                        Some(b'n') => literal.push(b'\n'),
                        Some(b'r') => literal.push(b'\r'),
                        Some(b't') => literal.push(b'\t'),
                        Some(b'0') => literal.push(0),
                        Some(b'x') => {
                            let digits = [bytes.next(), bytes.next()].into_iter().flatten();
                            let digits = digits.filter_map(|digit| char::from(digit).to_digit(16));
                            literal.push(digits.fold(0, |sum, digit| sum * 16 + digit) as u8);
                        }
                        Some(b'\n') => {
                            while bytes.peek().is_some_and(u8::is_ascii_whitespace) {
                                bytes.next();
                            }
                        }
                        Some(other) => literal.push(other),
                        None => {}
                    }
                }
                found.push(literal);
            }
            _ => {}
        }
    }
    found
}

/// A format string, with an info-hash in place of what is put in there.
fn braces(text: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    let hash = "c12fe1c06bba254a9dc9f519b335aa7c1367a88a";
    let v2 = "caf1e1c30e81cb361b9ee167c4aa64228a7fa4fa9f6105232b28ad099f3a302e";
    text.replace("{V1}", hash).replace("{V2}", v2).into_bytes()
}

/// Every message of BEP 15, with what follows it (BEP 41).
fn tracker_requests() -> Vec<Vec<u8>> {
    let hashes = [InfoHash([0xaa; 20]), InfoHash([0xbb; 20])];
    let (peers, counts) =
        ([10, 0, 0, 1, 0, 80], [Counts { seeders: 1, leechers: 3, completed: Some(2) }]);
    let mut buffer = [0; DATAGRAM_MAX];
    let mut all = Vec::new();
    for url in [&b""[..], b"/announce?key=1"] {
        let url = UrlData::Plain(url);
        for request in [
            Request::Connect,
            Request::Announce { connection: 1, announce: announce(7), url },
            Request::Scrape { connection: 1, hashes: Hashes::Values(&hashes) },
        ] {
            let len = encode_request(&mut buffer, 9, &request).unwrap_or(0);
            all.push(buffer[..len].to_vec());
        }
    }
    for response in [
        Response::Connect { connection: 5 },
        Response::Announce { interval: 60, leechers: 1, seeders: 2, packed: [&peers, &[]] },
        Response::Scrape(Scraped::Values(&counts)),
        Response::Error { message: b"no" },
    ] {
        let len = encode_response(&mut buffer, 9, &response).unwrap_or(0);
        all.push(buffer[..len].to_vec());
    }
    all
}

/// Inputs for the checker of the laws: a command, answers to what it asks, the vector, deadlines.
fn script(vector: &[u8], which: u8, switches: &[u8]) -> Vec<u8> {
    let mut bytes = switches.to_vec();
    bytes.extend([7, which, 2, 0, which, 2, 1, which.wrapping_add(40)]);
    bytes.extend([0, which % 21, vector.len().div_ceil(4) as u8]);
    bytes.extend(vector);
    bytes.resize(bytes.len().next_multiple_of(4), b'e');
    bytes.extend([6, 4, 0, 9, 39, 192, 7, which.wrapping_add(3), 6, 3, 2, which, 6, 5, 0, 1, 0, 0]);
    bytes
}

/// Networks in trouble: each fault alone around commands, with the vectors as forged datagrams.
fn troubles(messages: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let faults: [&[u8]; 14] = [
        &[3, 60],
        &[4, 250],
        &[5, 255],
        &[6, 0b0101_0101],
        &[7 + 16, 0, 7 + 16, 1],
        &[8, 1, 8 + 16, 2],
        &[9, 0, 10, 9 + 16, 1, 5],
        &[10, 0, 10, 2, 10, 3],
        &[12, 1, 2, 0, 0, 0, 12, 1, 2, 1, 128, 1],
        &[13, 0, 13, 1],
        &[14, 1, 9, 0, 14, 2, 8, 5],
        &[2, 255, 2, 255],
        &[0, 200, 1, 100],
        &[14, 0, 7, 2, 14, 1, 7, 9],
    ];
    let mut all = Vec::new();
    for (which, fault) in faults.iter().enumerate() {
        let which = which as u8;
        let mut bytes = vec![32 + which % 10 + 16 * (which % 2)];
        bytes.extend([14, which, 3, which, 14, which + 1, which, 1]);
        bytes.extend(*fault);
        bytes.extend([14, which + 2, which + 3, which, 1, 90, 2, 60]);
        all.push(bytes);
    }
    for message in messages.iter().step_by(16).filter(|message| message.len() < 200) {
        let mut bytes = vec![3, 14, 0, 0, 1, 11, 1, 0, message.len() as u8];
        bytes.extend(message);
        bytes.extend([1, 50]);
        all.push(bytes);
    }
    all
}
