//! What is printed, and where: results on standard output, progress on standard error if that is
//! a terminal.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use tinybt_std::core::{Family, InfoHash};

use crate::args::Format;

/// Prints results as they come.
pub(crate) struct Output {
    format: Format,
    line: ProgressBar,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        let target = if io::stderr().is_terminal() {
            ProgressDrawTarget::stderr_with_hz(10)
        } else {
            ProgressDrawTarget::hidden()
        };
        let line = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} [{elapsed}]") {
            line.set_style(style);
        }
        Self { format, line }
    }

    /// Shows how far it is.
    pub(crate) fn progress(&self, text: String) {
        self.line.set_message(harmless(&text));
        self.line.tick();
    }

    /// Prints a peer, and who named it.
    pub(crate) fn peer(&self, peer: SocketAddr, source: &str, at: Duration) -> io::Result<()> {
        if self.format.json {
            let at = at.as_secs_f64();
            return self.json(&json!({"peer": peer.to_string(), "source": source, "at": at}));
        }
        let peer = peer.to_string();
        self.print(&if self.format.plain {
            format!("peer {peer}")
        } else {
            format!("{peer:<22} {source}")
        })
    }

    /// Prints an info-hash.
    pub(crate) fn hash(&self, info_hash: InfoHash) -> io::Result<()> {
        let hash = info_hash.to_string();
        if self.format.json { self.json(&json!({"info_hash": hash})) } else { self.print(&hash) }
    }

    /// Prints an object, where JSON is wanted.
    pub(crate) fn json(&self, object: &Value) -> io::Result<()> {
        if self.format.json { self.write(&escaped(&object.to_string())) } else { Ok(()) }
    }

    /// Prints a line for a person; programs are spared it.
    pub(crate) fn say(&self, text: &str) -> io::Result<()> {
        if self.format.json || self.format.plain { Ok(()) } else { self.print(text) }
    }

    /// Prints what went wrong, where it goes on all the same.
    pub(crate) fn error(&self, text: &str) -> io::Result<()> {
        self.json(&json!({"error": text}))?;
        self.say(text)
    }

    /// Ends the progress.
    pub(crate) fn finish(&self) {
        self.line.finish_and_clear();
    }

    fn print(&self, text: &str) -> io::Result<()> {
        self.write(&harmless(text))
    }

    fn write(&self, line: &str) -> io::Result<()> {
        self.line.suspend(|| {
            let mut out = io::stdout().lock();
            writeln!(out, "{line}")?;
            out.flush()
        })
    }
}

/// What strangers say, without what a terminal would take for a command, or a reader for a line of
/// ours. Empty lines of our own at the front stay.
pub(crate) fn harmless(text: &str) -> String {
    let own = text.len() - text.trim_start_matches('\n').len();
    let (lines, rest) = text.split_at(own);
    let shown = rest.chars().map(|c| if misleads(c) { char::REPLACEMENT_CHARACTER } else { c });
    lines.chars().chain(shown).collect()
}

/// JSON in which the same is written as escapes: programs are to have every character, and such ones
/// stand nowhere but in strings.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match misleads(c) {
            // All of them are of the basic plane.
            true => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => text.push(c),
        }
    }
    text
}

/// Whether a character is none that is seen, but changes what is seen of others: a control, or what
/// turns the direction of the text around or has no width.
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
        || matches!(c, '\u{61c}' | '\u{feff}')
}

/// An address family in JSON, and for people.
pub(crate) fn family_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "ipv4",
        Family::V6 => "ipv6",
    }
}

/// A time as people write it.
pub(crate) fn human(time: Duration) -> String {
    if time < Duration::from_millis(10) {
        format!("{:.1} ms", time.as_secs_f64() * 1e3)
    } else if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else if time < Duration::from_secs(120) {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} min", (time.as_secs() + 30) / 60)
    }
}

/// A number of things as people write it.
pub(crate) fn plural(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{escaped, harmless};

    #[test]
    fn what_strangers_say_moves_nothing_on_the_terminal() {
        for (said, shown) in [
            ("plain, ümläut, 名前", "plain, ümläut, 名前"),
            ("\x1b[2Jgone", "\u{fffd}[2Jgone"),
            ("two\nlines", "two\u{fffd}lines"),
            ("\n\nours", "\n\nours"),
            ("exe.\u{202e}gpj", "exe.\u{fffd}gpj"),
            ("a\u{200b}b\u{2028}c\u{2066}d\u{feff}", "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}"),
        ] {
            assert_eq!(harmless(said), shown);
        }
    }

    #[test]
    fn programs_are_told_every_character() {
        let said = json!({"value": "\u{202e}gpj\u{200d}\u{61c}\u{9b}\u{7f}\x1b[2J\n名前 \\ \""});
        let line = escaped(&said.to_string());
        assert_eq!(harmless(&line), line);
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), said);
    }
}
