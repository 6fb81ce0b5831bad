//! Names of nodes to begin with: looked up on a thread of their own, and again as long as they are
//! not found. A host that starts without a network finds its way when there is one.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

/// Before a name is looked up a second time; then twice as long, and so on.
pub(crate) const RETRY: Duration = Duration::from_secs(15);
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

/// Looks names up until all are found or `tell` says that nobody wants to know any more.
pub(crate) fn resolve(
    mut names: Vec<String>,
    mut wait: Duration,
    mut look_up: impl FnMut(&str) -> Vec<SocketAddr>,
    mut tell: impl FnMut(&str, Named) -> bool,
) {
    let mut is_first = true;
    loop {
        let mut is_over = false;
        names.retain(|name| {
            if is_over {
                return true;
            }
            let addrs = look_up(name);
            let is_missing = addrs.is_empty();
            let named = match is_missing {
                false => Named::Found(addrs),
                true if is_first => Named::NotFound,
                true => Named::StillNot,
            };
            is_over = !tell(name, named);
            is_missing
        });
        if is_over || names.is_empty() {
            return;
        }
        is_first = false;
        std::thread::sleep(wait);
        wait = wait.saturating_mul(2).min(RETRY_MAX);
    }
}

/// As the operating system looks names up.
pub(crate) fn look_up(name: &str) -> Vec<SocketAddr> {
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
        let look_up = |name: &str| {
            round += usize::from(name == "b:1");
            // One is there, one comes at the third time, one never.
            if name == "a:1" || name == "b:1" && round == 3 { vec![here] } else { Vec::new() }
        };
        resolve(names, Duration::ZERO, look_up, |name, named| {
            told.push((name.to_owned(), named));
            told.len() < 8
        });
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
