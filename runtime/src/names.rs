//! Names of nodes to begin with: looked up where it may block, and again as long as they are not
//! found. A host that starts without a network finds its way when there is one.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::host::Host;

/// Before names are looked up a second time; then twice as long, and so on.
const RETRY: Duration = Duration::from_secs(15);
/// The longest that becomes of that.
const RETRY_MAX: Duration = Duration::from_secs(120);

/// What became of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) name: String,
    /// Where it leads; nowhere if it was not found.
    pub(crate) addrs: Vec<SocketAddr>,
    /// Whether this is the first that is told of it.
    pub(crate) is_first: bool,
}

/// The names of a DHT. Clones are the same.
#[derive(Clone)]
pub(crate) struct Names(Arc<Inner>);

struct Inner {
    host: Arc<dyn Host>,
    /// Says whether anybody wants to know.
    tell: Box<dyn Fn(Named) -> bool + Send + Sync>,
    look_up: fn(&str) -> Vec<SocketAddr>,
    missing: Mutex<Missing>,
}

#[derive(Default)]
struct Missing {
    names: Vec<String>,
    /// Before they are looked up again, once `is_waiting` is over.
    wait: Duration,
    is_waiting: bool,
}

impl Names {
    /// None yet. `tell` says whether anybody wants to know.
    pub(crate) fn new(
        host: Arc<dyn Host>,
        tell: impl Fn(Named) -> bool + Send + Sync + 'static,
    ) -> Self {
        let (tell, missing) = (Box::new(tell), Mutex::default());
        Self(Arc::new(Inner { host, tell, look_up: addresses, missing }))
    }

    /// Looks names up, now and then again, until they are found or nobody wants to know any more.
    ///
    /// # Errors
    ///
    /// Why the host cannot.
    pub(crate) fn look_up(&self, names: Vec<String>) -> io::Result<()> {
        let inner = self.0.clone();
        let first = move || inner.round(names, true, RETRY);
        self.0.host.run(Duration::ZERO, Box::new(first))
    }
}

impl Inner {
    fn missing(&self) -> MutexGuard<'_, Missing> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks all of them up; what is not found waits for the next round.
    fn round(self: Arc<Self>, mut names: Vec<String>, is_first: bool, wait: Duration) {
        let mut is_over = false;
        names.retain(|name| {
            let addrs = if is_over { Vec::new() } else { (self.look_up)(name) };
            let is_missing = addrs.is_empty();
            is_over |= !(self.tell)(Named { name: name.clone(), addrs, is_first });
            is_missing
        });
        let mut missing = self.missing();
        names.retain(|name| !missing.names.contains(name));
        missing.names.append(&mut names);
        missing.wait = wait.saturating_mul(2).min(RETRY_MAX);
        // However many there are, one round waits for all of them.
        if is_over || missing.names.is_empty() || missing.is_waiting {
            return;
        }
        missing.is_waiting = true;
        drop(missing);
        let again = self.clone();
        let again = move || {
            let mut missing = again.missing();
            missing.is_waiting = false;
            let (names, wait) = (std::mem::take(&mut missing.names), missing.wait);
            drop(missing);
            again.round(names, false, wait);
        };
        // Without a place for it they are not found, as they were told.
        if self.host.run(wait, Box::new(again)).is_err() {
            self.missing().is_waiting = false;
        }
    }
}

/// As the operating system looks names up.
fn addresses(name: &str) -> Vec<SocketAddr> {
    name.to_socket_addrs().map(Iterator::collect).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Work;

    /// Keeps the work, and how long it was to wait.
    #[derive(Default)]
    struct Later(Mutex<Vec<(Duration, Work)>>);

    impl Host for Later {
        fn run(&self, after: Duration, work: Work) -> io::Result<()> {
            self.0.lock().unwrap().push((after, work));
            Ok(())
        }
    }

    impl Later {
        /// Does the next work; returns how long it was to wait.
        fn next(&self) -> Option<u64> {
            let (after, work) = {
                let mut all = self.0.lock().unwrap();
                if all.is_empty() { None } else { Some(all.remove(0)) }
            }?;
            work();
            Some(after.as_secs())
        }
    }

    /// One is there, the others never.
    fn look_up(name: &str) -> Vec<SocketAddr> {
        if name == "a:1" { vec![([127, 0, 0, 1], 1).into()] } else { Vec::new() }
    }

    #[test]
    fn names_are_looked_up_until_they_are_found_or_nobody_cares() {
        let host = Arc::new(Later::default());
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = told.clone();
        let tell = move |named: Named| {
            let mut told = heard.lock().unwrap();
            told.push((named.name, named.addrs.len(), named.is_first));
            told.len() < 9
        };
        let missing = Mutex::default();
        let inner = Inner { host: host.clone(), tell: Box::new(tell), look_up, missing };
        let names = Names(Arc::new(inner));
        names.look_up(["a:1", "b:1"].map(str::to_owned).to_vec()).unwrap();
        assert_eq!(host.next(), Some(0));
        // More of them, one of which is missing already: still one round that waits.
        names.look_up(["b:1", "c:1"].map(str::to_owned).to_vec()).unwrap();
        let after: Vec<u64> = std::iter::from_fn(|| host.next()).collect();
        // Who comes anew is looked up again soon, and with them everybody.
        assert_eq!(after, [15, 0, 30, 30]);
        let told = told.lock().unwrap();
        let told: Vec<_> =
            told.iter().map(|(name, found, is_first)| (&**name, *found, *is_first)).collect();
        assert_eq!(
            told,
            [
                ("a:1", 1, true),
                ("b:1", 0, true),
                ("b:1", 0, false),
                ("b:1", 0, true),
                ("c:1", 0, true),
                ("b:1", 0, false),
                ("c:1", 0, false),
                ("b:1", 0, false),
                ("c:1", 0, false),
            ]
        );
    }
}
