//! `tinybt tracker`: a small tracker in memory, over UDP and HTTP.
//!
//! The registry lives on the thread of the driver, which serves UDP; a thread for each HTTP socket
//! passes its requests on to it.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::task::Waker;
use std::thread::JoinHandle;
use std::time::Duration;

use chacha20::ChaCha12Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use serde_json::json;
use tinybt_std::Driver;
use tinybt_std::core::announce::Counts;
use tinybt_std::core::tracker::http::{Announced, write_announced};
use tinybt_std::core::tracker::server::{Registry, RegistryLimits, UdpServer, respond};

use crate::args::{Format, Tracker};
use crate::exit::{Failure, Found, interrupted};
use crate::http;
use crate::options;
use crate::output::Output;

/// How long the program waits before it looks whether it is to end.
const TICK: Duration = Duration::from_millis(100);

/// A request over HTTP, for the thread that has the registry.
struct Request {
    from: IpAddr,
    target: String,
    answer: Sender<Vec<u8>>,
}

/// A tracker that runs. It ends when this is dropped.
pub(crate) struct Server {
    stop: Arc<AtomicBool>,
    udp: Option<(Waker, JoinHandle<()>)>,
    http: Vec<(SocketAddr, JoinHandle<()>)>,
}

impl Server {
    /// Serves UDP and HTTP on these sockets, at most one for UDP of each family.
    pub(crate) fn start(
        udp: Vec<UdpSocket>,
        http: Vec<TcpListener>,
        interval: Duration,
    ) -> io::Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|_| io::Error::other("no random numbers"))?;
        let registry = Registry::new(RegistryLimits { interval, ..RegistryLimits::default() });
        let machine = UdpServer::new(registry, ChaCha12Rng::from_seed(seed));
        let mut driver = Driver::new(machine, udp)?;
        let (waker, stop) = (driver.waker(), Arc::new(AtomicBool::new(false)));
        let (requests, inbox) = channel::<Request>();
        let mut served = Vec::new();
        for listener in http {
            let (requests, waker) = (requests.clone(), waker.clone());
            let addr = listener.local_addr()?;
            let thread = serve_http(listener, &stop, move |from, target| {
                let (answer, answered) = channel();
                let target = target.to_owned();
                requests.send(Request { from, target, answer }).ok()?;
                waker.wake_by_ref();
                answered.recv().ok()
            });
            served.push((addr, thread));
        }
        let ends = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut random = ChaCha12Rng::from_seed(seed);
            while !ends.load(Ordering::Relaxed) && driver.turn(|_, _, event| match event {}).is_ok()
            {
                while let Ok(Request { from, target, answer }) = inbox.try_recv() {
                    let now = driver.now();
                    let registry = &mut driver.machine().registry;
                    let _ = answer.send(respond(registry, now, from, &target, random.next_u32()));
                }
            }
        });
        Ok(Self { stop, udp: Some((waker, thread)), http: served })
    }
}

impl Server {
    /// Serves HTTP and lies: whatever it is asked, it invents peers and a crowd of seeders, and
    /// wants to be asked all the time.
    pub(crate) fn lying(http: TcpListener) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let peers = (0..200u8).map(|host| SocketAddr::from(([240, 0, 0, host], 6881)));
        let lie = write_announced(&Announced {
            interval: Some(Duration::ZERO),
            counts: Some(Counts { seeders: u32::MAX, leechers: u32::MAX, completed: None }),
            peers: peers.collect(),
            ..Announced::default()
        });
        let addr = http.local_addr()?;
        let thread = serve_http(http, &stop, move |_, _| Some(lie.clone()));
        Ok(Self { stop, udp: None, http: vec![(addr, thread)] })
    }
}

fn serve_http(
    listener: TcpListener,
    stop: &Arc<AtomicBool>,
    answer: impl Fn(IpAddr, &str) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> JoinHandle<()> {
    let stop = stop.clone();
    std::thread::spawn(move || {
        http::serve(&listener, &stop, &(Arc::new(answer) as Arc<http::Answer>))
    })
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some((waker, thread)) = self.udp.take() {
            waker.wake_by_ref();
            let _ = thread.join();
        }
        for (addr, thread) in self.http.drain(..) {
            // One that cannot be woken ends with the program.
            if http::wake(addr) {
                let _ = thread.join();
            }
        }
    }
}

/// A socket for UDP and one for HTTP with the same port.
pub(crate) fn both(addr: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let mut tries = 0;
    loop {
        let tcp = options::listen(addr)?;
        let chosen = SocketAddr::new(addr.ip(), tcp.local_addr()?.port());
        match options::open(chosen) {
            Ok(udp) => return Ok((udp, tcp)),
            // A free port for one may be taken for the other.
            Err(error) if addr.port() != 0 || tries >= 20 => return Err(error),
            Err(_) => tries += 1,
        }
    }
}

pub(crate) fn run(args: &Tracker) -> Result<Found, Failure> {
    let (mut udp, mut http, mut addrs) = (Vec::new(), Vec::new(), Vec::new());
    for (index, addr) in args.bind.iter().enumerate() {
        if args.bind.iter().take(index).any(|other| other.is_ipv4() == addr.is_ipv4()) {
            return Err(Failure::Usage(format!(
                "--bind {addr}: expected at most one IPv4 and one IPv6 address"
            )));
        }
        let (datagrams, connections) = both(*addr)
            .map_err(|error| Failure::Network(format!("cannot open sockets at {addr}: {error}")))?;
        addrs.push(datagrams.local_addr()?);
        udp.push(datagrams);
        http.push(connections);
    }
    let server = Server::start(udp, http, args.interval)
        .map_err(|error| Failure::Network(format!("cannot serve: {error}")))?;
    let output = Output::new(Format { json: args.json, plain: false });
    for addr in addrs {
        output.json(&json!({"listening": addr.to_string()}))?;
        output.say(&format!("udp://{addr}/announce and http://{addr}/announce"))?;
    }
    output.say("Ctrl-C ends it.")?;
    while !interrupted() {
        std::thread::sleep(TICK);
    }
    drop(server);
    Ok(Found::Something)
}
