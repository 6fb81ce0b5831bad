//! How the program ends: exit codes, failures, and Ctrl-C.

use std::fmt;
use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use tinybt_std::Error;

use crate::output::harmless;

pub(crate) const FOUND: u8 = 0;
pub(crate) const NOTHING: u8 = 1;
pub(crate) const USAGE: u8 = 2;
pub(crate) const NETWORK: u8 = 3;

/// Whether there was something to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Something,
    Nothing,
}

/// Why there is no result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What was asked for makes no sense; the text says what was expected.
    Usage(String),
    /// The network, or this host's part in it.
    Network(String),
    /// Nobody reads what is written.
    Pipe,
}

impl Failure {
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Failure::Usage(text) => {
                eprintln!("tinybt: {}", harmless(text));
                ExitCode::from(USAGE)
            }
            Failure::Network(text) => {
                eprintln!("tinybt: {}", harmless(text));
                ExitCode::from(NETWORK)
            }
            Failure::Pipe => ExitCode::from(FOUND),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(text) | Failure::Network(text) => f.write_str(text),
            Failure::Pipe => f.write_str("nobody reads the output"),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::StateFormat { .. }
            | Error::Arguments
            | Error::Http(_)
            | Error::Item(_)
            | Error::Sign(_) => Failure::Usage(error.to_string()),
            error => Failure::Network(error.to_string()),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Failure::Pipe
        } else {
            Failure::Usage(format!("cannot write the output: {error}"))
        }
    }
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C and termination ask for an orderly end; a second time they force it.
pub(crate) fn watch_for_interrupts() -> Result<(), Failure> {
    ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })
    .map_err(|error| Failure::Usage(format!("cannot watch for Ctrl-C: {error}")))
}

/// Whether somebody wants an end.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}
