//! The state file: what both nodes want to remember, written whole or not at all.
//!
//! A bencoded dictionary with a string for each family, `4` and `6`, whose inside is the core's.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use tinybt_core::Family;
use tinybt_core::wire::bencode::{Reader, Writer};

/// Saved states by family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// IPv4's.
    pub v4: Option<Vec<u8>>,
    /// IPv6's.
    pub v6: Option<Vec<u8>>,
}

impl State {
    /// The state of a family.
    pub fn of(&self, family: Family) -> Option<&[u8]> {
        match family {
            Family::V4 => self.v4.as_deref(),
            Family::V6 => self.v6.as_deref(),
        }
    }

    /// Reads a file. One that does not exist is an empty state; `None` says that what it holds is
    /// not a state.
    ///
    /// # Errors
    ///
    /// What the operating system says about reading it.
    pub fn load(path: &Path) -> io::Result<Option<State>> {
        match fs::read(path) {
            Ok(bytes) => Ok(State::parse(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Some(State::default())),
            Err(error) => Err(error),
        }
    }

    /// Replaces a file: whoever reads it sees the old or the new one, also after a crash.
    ///
    /// # Errors
    ///
    /// What the operating system says about writing it.
    pub fn store(&self, path: &Path) -> io::Result<()> {
        replace(path, &self.bytes())
    }

    fn bytes(&self) -> Vec<u8> {
        let len = |part: &Option<Vec<u8>>| part.as_ref().map_or(0, |part| part.len() + 16);
        let mut bytes = vec![0; 16 + len(&self.v4) + len(&self.v6)];
        let mut writer = Writer::new(&mut bytes);
        writer.dictionary();
        for (key, part) in [(b"4", &self.v4), (b"6", &self.v6)] {
            if let Some(part) = part {
                writer.string(key);
                writer.string(part);
            }
        }
        writer.end();
        let written = writer.written().unwrap_or(0);
        bytes.truncate(written);
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<State> {
        let mut state = State::default();
        let mut reader = Reader::new(bytes);
        reader.enter_dictionary().ok()?;
        while let Some(key) = reader.key().ok()? {
            match key {
                b"4" => state.v4 = Some(reader.string().ok()?.to_vec()),
                b"6" => state.v6 = Some(reader.string().ok()?.to_vec()),
                _ => reader.skip().ok()?,
            }
        }
        Some(state)
    }
}

/// Replaces a file, whole or not at all.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(name);
    let written = File::create(&new).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let done = written.and_then(|()| fs::rename(&new, path));
    if done.is_err() {
        let _ = fs::remove_file(&new);
    }
    done
}
