//! The state file: what all nodes want to remember, written whole or not at all.
//!
//! A bencoded dictionary. `4` and `6` are strings, for the first node of each family; `homes` is a
//! dictionary with a string for each of the others, by its local address. The inside of a string is
//! the core's.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tinybt_core::Family;
use tinybt_core::dht::HomeId;
use tinybt_core::wire::bencode::{Reader, Writer};

/// Saved states of nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// IPv4's, of the first node where there are several.
    pub v4: Option<Vec<u8>>,
    /// IPv6's.
    pub v6: Option<Vec<u8>>,
    /// Those of the others, by local address as text, which orders them as the file wants them.
    pub homes: BTreeMap<String, Vec<u8>>,
}

impl State {
    /// The state of the first node of a family.
    pub fn of(&self, family: Family) -> Option<&[u8]> {
        match family {
            Family::V4 => self.v4.as_deref(),
            Family::V6 => self.v6.as_deref(),
        }
    }

    /// Keeps what a node wants to remember, if it is anything.
    pub(crate) fn keep(&mut self, home: HomeId, local: Option<SocketAddr>, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match (home.number(), home.family(), local) {
            (0, Family::V4, _) => self.v4 = Some(bytes),
            (0, Family::V6, _) => self.v6 = Some(bytes),
            (_, _, Some(local)) => drop(self.homes.insert(local.to_string(), bytes)),
            (_, _, None) => {}
        }
    }

    /// Which state each of these addresses begins with: that of the same address, else of the same
    /// host, since ports and the order of addresses change from run to run; else that of the first
    /// node of the family. Each is given once.
    pub(crate) fn share_out(&self, addrs: &[SocketAddr]) -> Vec<Option<&[u8]>> {
        let parse = |(local, bytes): (&String, _)| Some((local.parse::<SocketAddr>().ok()?, bytes));
        let mut left: Vec<(SocketAddr, &Vec<u8>)> = self.homes.iter().filter_map(parse).collect();
        let mut shares = vec![None; addrs.len()];
        let same = |a: SocketAddr, b: SocketAddr| a == b;
        let same_host = |a: SocketAddr, b: SocketAddr| a.ip() == b.ip();
        for is_same in [same as fn(_, _) -> bool, same_host] {
            for (addr, share) in addrs.iter().zip(&mut shares) {
                let known = left.iter().position(|(known, _)| is_same(*known, *addr));
                if let Some(known) = known.filter(|_| share.is_none()) {
                    *share = Some(&left.swap_remove(known).1[..]);
                }
            }
        }
        for family in [Family::V4, Family::V6] {
            let mut shares = addrs.iter().zip(&mut shares);
            let first = shares.find(|(addr, share)| Family::of(addr) == family && share.is_none());
            if let Some((_, share)) = first {
                *share = self.of(family);
            }
        }
        shares
    }

    /// What nodes of families left that have no address now: it is kept for when they have one.
    pub(crate) fn of_absent(mut self, addrs: &[SocketAddr]) -> State {
        self.homes.clear();
        for addr in addrs {
            match Family::of(addr) {
                Family::V4 => self.v4 = None,
                Family::V6 => self.v6 = None,
            }
        }
        self
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

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let len = |part: &Option<Vec<u8>>| part.as_ref().map_or(0, |part| part.len() + 16);
        let homes = self.homes.iter().map(|(local, part)| local.len() + part.len() + 32);
        let mut bytes = vec![0; 32 + len(&self.v4) + len(&self.v6) + homes.sum::<usize>()];
        let mut writer = Writer::new(&mut bytes);
        writer.dictionary();
        for (key, part) in [(b"4", &self.v4), (b"6", &self.v6)] {
            if let Some(part) = part {
                writer.string(key);
                writer.string(part);
            }
        }
        if !self.homes.is_empty() {
            writer.string(b"homes");
            writer.dictionary();
            for (local, part) in &self.homes {
                writer.string(local.as_bytes());
                writer.string(part);
            }
            writer.end();
        }
        writer.end();
        let written = writer.written().unwrap_or(0);
        bytes.truncate(written);
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<State> {
        let (mut state, mut is_of_others) = (State::default(), false);
        let mut reader = Reader::new(bytes);
        reader.enter_dictionary().ok()?;
        while let Some(key) = reader.key().ok()? {
            match key {
                b"4" => state.v4 = Some(reader.string().ok()?.to_vec()),
                b"6" => state.v6 = Some(reader.string().ok()?.to_vec()),
                b"homes" => {
                    reader.enter_dictionary().ok()?;
                    while let Some(local) = reader.key().ok()? {
                        let local = String::from_utf8_lossy(local).into_owned();
                        state.homes.insert(local, reader.string().ok()?.to_vec());
                    }
                }
                _ => {
                    is_of_others = true;
                    reader.skip().ok()?;
                }
            }
        }
        // A dictionary in which nothing is known is of something else, and not to be written over.
        (!is_of_others || state != State::default()).then_some(state)
    }
}

/// Whether a file could be replaced, as far as can be seen without doing it.
pub(crate) fn check(path: &Path) -> io::Result<()> {
    let (new, _) = beside(path)?;
    fs::remove_file(&new)
}

/// A new file beside another, which nobody else has the name of.
fn beside(path: &Path) -> io::Result<(PathBuf, File)> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:016x}.new", u64::from_ne_bytes(random)));
    let new = path.with_file_name(name);
    let file = File::create_new(&new)?;
    Ok((new, file))
}

/// Replaces a file, whole or not at all.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (new, mut file) = beside(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    drop(file);
    let done = written.and_then(|()| fs::rename(&new, path));
    if done.is_err() {
        let _ = fs::remove_file(&new);
    }
    done
}
