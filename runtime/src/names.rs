//! Names of nodes to begin with: looked up where it may block, and again as long as they are not
//! found. A host that starts without a network finds its way when there is one.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use crate::host::Host;

/// Before a name is looked up a second time; then twice as long, and so on.
const RETRY: Duration = Duration::from_secs(15);
/// The longest that becomes of that.
const RETRY_MAX: Duration = Duration::from_secs(600);

/// What became of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// Where it leads.
    Found(Vec<SocketAddr>),
    /// Nowhere, at the first time; it is tried again.
    NotFound,
    /// Still nowhere.
    StillNot,
}

/// Names that are looked up, round by round.
pub(crate) struct Names<T> {
    missing: Vec<String>,
    is_first: bool,
    tell: T,
}

impl<T: FnMut(&str, Named) -> bool> Names<T> {
    /// `tell` says whether anybody wants to know.
    pub(crate) fn new(names: Vec<String>, tell: T) -> Self {
        Self { missing: names, is_first: true, tell }
    }

    /// Looks all up that are missing. Whether there is to be another round.
    fn round(&mut self, mut look_up: impl FnMut(&str) -> Vec<SocketAddr>) -> bool {
        let mut is_over = false;
        self.missing.retain(|name| {
            if is_over {
                return true;
            }
            let addrs = look_up(name);
            let is_missing = addrs.is_empty();
            let named = match is_missing {
                false => Named::Found(addrs),
                true if self.is_first => Named::NotFound,
                true => Named::StillNot,
            };
            is_over = !(self.tell)(name, named);
            is_missing
        });
        self.is_first = false;
        !is_over && !self.missing.is_empty()
    }
}

/// Looks names up, now and again, until all are found or nobody wants to know any more.
///
/// # Errors
///
/// Why the host cannot.
pub(crate) fn look_up<T>(host: Arc<dyn Host>, names: Names<T>) -> io::Result<()>
where
    T: FnMut(&str, Named) -> bool + Send + 'static,
{
    begin_round(host, names, Duration::ZERO, RETRY)
}

fn begin_round<T>(
    host: Arc<dyn Host>,
    mut names: Names<T>,
    after: Duration,
    wait: Duration,
) -> io::Result<()>
where
    T: FnMut(&str, Named) -> bool + Send + 'static,
{
    let next = host.clone();
    host.run(
        after,
        Box::new(move || {
            if names.round(addresses) {
                // Without a place for it they are not found, as they were told.
                let _ = begin_round(next, names, wait, wait.saturating_mul(2).min(RETRY_MAX));
            }
        }),
    )
}

/// As the operating system looks names up.
fn addresses(name: &str) -> Vec<SocketAddr> {
    name.to_socket_addrs().map(Iterator::collect).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_until_it_is_found_or_nobody_cares() {
        let here: SocketAddr = ([127, 0, 0, 1], 1).into();
        let names = ["a:1", "b:1", "c:1"].map(str::to_owned).to_vec();
        let (mut round, mut told) = (0, Vec::new());
        let mut look_up = |name: &str| {
            round += usize::from(name == "b:1");
            // One is there, one comes at the third time, one never.
            if name == "a:1" || name == "b:1" && round == 3 { vec![here] } else { Vec::new() }
        };
        let mut names = Names::new(names, |name: &str, named| {
            told.push((name.to_owned(), named));
            told.len() < 8
        });
        while names.round(&mut look_up) {}
        let told: Vec<_> = told.iter().map(|(name, named)| (&**name, named.clone())).collect();
        let found = || Named::Found(vec![here]);
        assert_eq!(
            told,
            [
                ("a:1", found()),
                ("b:1", Named::NotFound),
                ("c:1", Named::NotFound),
                ("b:1", Named::StillNot),
                ("c:1", Named::StillNot),
                ("b:1", found()),
                ("c:1", Named::StillNot),
                ("c:1", Named::StillNot),
            ]
        );
    }
}
