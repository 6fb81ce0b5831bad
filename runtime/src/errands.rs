//! What the finder wants done that blocks: names resolved, URLs fetched. Done by the host, so many
//! at a time.

use std::collections::VecDeque;
use std::net::{SocketAddr, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tinybt_core::finder::{Errand, ErrandId};

use crate::engine::Command;
use crate::host::Host;
use crate::mailbox::Sender;

/// Errands that are run at once; more wait.
const WORKERS_MAX: usize = 32;

/// Runs errands, and brings back what came of them.
pub(crate) struct Errands {
    host: Arc<dyn Host>,
    worker: Worker,
    queue: Arc<Mutex<Queue>>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<(ErrandId, Errand)>,
    workers: usize,
}

#[derive(Clone)]
struct Worker {
    /// Uncounted: an errand keeps nothing alive.
    commands: Sender<Command>,
    #[cfg(feature = "http")]
    fetcher: crate::fetch::Fetcher,
}

impl Errands {
    pub(crate) fn new(
        host: Arc<dyn Host>,
        commands: Sender<Command>,
        #[cfg(feature = "http")] fetcher: crate::fetch::Fetcher,
    ) -> Self {
        let worker = Worker {
            commands,
            #[cfg(feature = "http")]
            fetcher,
        };
        Self { host, worker, queue: Arc::default() }
    }

    /// Takes one back that was not begun; returns whether it was not.
    pub(crate) fn withdraw(&self, id: ErrandId) -> bool {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let before = queue.waiting.len();
        queue.waiting.retain(|(other, _)| *other != id);
        queue.waiting.len() < before
    }

    pub(crate) fn run(&self, id: ErrandId, errand: Errand) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let is_goodbye = matches!(errand, Errand::Fetch { is_goodbye: true, .. });
        // Goodbyes are for people who are about to go: before all others, and not behind those who
        // wait for the dead.
        let most = if is_goodbye { 2 * WORKERS_MAX } else { WORKERS_MAX };
        match is_goodbye {
            true => queue.waiting.push_front((id, errand)),
            false => queue.waiting.push_back((id, errand)),
        }
        if queue.workers >= most {
            return;
        }
        let (worker, shared) = (self.worker.clone(), self.queue.clone());
        let work = Box::new(move || work(&worker, &shared));
        if self.host.run(Duration::ZERO, work).is_ok() {
            queue.workers += 1;
        }
        // Without a place it waits for one that is at work, or for the finder to give it up.
    }
}

impl Drop for Errands {
    fn drop(&mut self) {
        // Nobody is to be told that we have come when we are gone.
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.waiting.clear();
    }
}

fn work(worker: &Worker, queue: &Mutex<Queue>) {
    loop {
        let next = {
            let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            let next = queue.waiting.pop_front();
            queue.workers -= usize::from(next.is_none());
            next
        };
        let Some((id, errand)) = next else { return };
        // A fault in there is no reason to be one worker less for ever; the finder gives it up.
        let _ = catch_unwind(AssertUnwindSafe(|| worker.run(id, errand)));
    }
}

impl Worker {
    fn run(&self, id: ErrandId, errand: Errand) {
        let job: crate::desk::Job = match errand {
            Errand::Resolve { host, port } => {
                let found = resolve(&host, port);
                Box::new(move |finder, _, now| {
                    finder.resolved(now, id, found.as_deref().map_err(Clone::clone));
                })
            }
            Errand::Fetch { url, family, .. } => {
                let body = self.fetch(&url, family);
                Box::new(move |finder, _, now| {
                    finder.fetched(now, id, body.as_deref().map_err(Clone::clone));
                })
            }
        };
        // Nobody may be there any more.
        let _ = self.commands.send(Command::Finder(job));
    }

    #[cfg(feature = "http")]
    fn fetch(&self, url: &str, family: tinybt_core::Family) -> Result<Vec<u8>, String> {
        let fetched = self.fetcher.get(url, Some(family)).map_err(|error| error.to_string())?;
        // Some trackers refuse in bencode with a status of errors; a page is no tracker's.
        if fetched.status >= 300 && fetched.body.first() != Some(&b'd') {
            return Err(format!("not a tracker: HTTP status {}", fetched.status));
        }
        Ok(fetched.body)
    }

    #[cfg(not(feature = "http"))]
    #[expect(clippy::unused_self)]
    fn fetch(&self, _: &str, _: tinybt_core::Family) -> Result<Vec<u8>, String> {
        Err("this build of tinybt asks no HTTP trackers: enable the feature `http`".to_owned())
    }
}

fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let found = (host, port).to_socket_addrs();
    let found = found.map_err(|error| format!("cannot find the address of {host}: {error}"))?;
    Ok(found.collect())
}
