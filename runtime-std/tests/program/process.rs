//! `tinybt` as a process, ended by its id.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub(crate) const HASH: &str = "c12fe1c06bba254a9dc9f519b335aa7c1367a88a";

pub(crate) fn tinybt(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tinybt")).args(args).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A process that does not outlive the test.
pub(crate) struct Running {
    child: Child,
    /// There until nobody reads them.
    lines: Option<std::io::Lines<BufReader<std::process::ChildStdout>>>,
}

impl Running {
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tinybt"));
        let mut child = command.args(args).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines: Some(lines) }
    }

    pub(crate) fn line_with(&mut self, word: &str) -> String {
        let lines = self.lines.iter_mut().flatten();
        lines.map_while(Result::ok).find(|line| line.contains(word)).unwrap()
    }

    /// Reads no more of what it says; returns how it ends.
    pub(crate) fn abandon(mut self) -> Option<i32> {
        self.lines = None;
        self.child.wait().unwrap().code()
    }

    /// Ctrl-C; returns how long it took to end and how.
    pub(crate) fn interrupt(mut self) -> (Duration, Option<i32>) {
        let begun = Instant::now();
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        (begun.elapsed(), status.code())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn scratch(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_file(&path);
    path
}

/// Lines of JSON.
pub(crate) fn json(bytes: &[u8]) -> Vec<serde_json::Value> {
    text(bytes).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
