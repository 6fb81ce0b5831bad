//! How a lookup went, as a file: one JSON object for each question.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use serde_json::json;
use tinybt_std::Finished;

use crate::exit::Failure;

/// Writes the traces of all families.
pub(crate) fn write(path: &Path, finished: &[Finished]) -> Result<(), Failure> {
    let fail = |error| Failure::Usage(format!("cannot write {}: {error}", path.display()));
    let mut file = BufWriter::new(File::create(path).map_err(fail)?);
    for hop in finished.iter().flat_map(|finished| &finished.trace) {
        let outcome = match hop.rtt {
            None => "silent",
            Some(_) if hop.refused.is_some() => "refused",
            Some(_) => "answered",
        };
        let line = json!({
            "node": hop.addr.to_string(),
            "id": hop.id.map(|id| id.to_string()),
            "at": hop.at.as_secs_f64(),
            "rtt": hop.rtt.map(|rtt| rtt.as_secs_f64()),
            "shared_bits": hop.shared,
            "question": if hop.announce { "announce" } else { "search" },
            "repeat": hop.repeat,
            "outcome": outcome,
            "error": hop.refused,
            "peers": hop.peers,
            "nodes": hop.nodes,
        });
        writeln!(file, "{line}").map_err(fail)?;
    }
    file.flush().map_err(fail)
}
