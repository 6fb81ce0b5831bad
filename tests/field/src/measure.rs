//! How fast servers answer, and with how much of a processor: 64 questions outstanding with each in
//! turn, in short rounds, so that whatever else the machine does hits all of them.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use serde_json::json;
use tinybt_core::wire::krpc::{self, Body, Envelope, Question};
use tinybt_core::{Id, InfoHash};

use crate::Result;
use crate::serve::target;

const OUTSTANDING: usize = 64;
const PEERS: u8 = 50;

struct Server<'a> {
    name: &'a str,
    addr: SocketAddr,
    pid: u32,
    /// A swarm of 50 peers: next to its id, since some keep no other.
    swarm: InfoHash,
    stored: usize,
    runs: Vec<Run>,
    /// Of an echo that sends as many bytes.
    echoes: Vec<Run>,
}

/// What a round came to.
#[derive(Clone, Copy)]
struct Run {
    /// Answers a second.
    rate: f64,
    /// Microseconds of the processor for each answer.
    cost: f64,
    /// Bytes of an answer.
    len: usize,
}

/// The first is the echo. Each round of a server is followed by one of the echo, with as many
/// bytes.
pub fn run(rounds: usize, millis: u64, servers: &[&str]) -> Result<()> {
    let time = Duration::from_millis(millis);
    let mut servers = servers.iter().map(|text| server(text)).collect::<Result<Vec<_>>>()?;
    let (echo, servers) = servers.split_first_mut().ok_or("nobody to measure")?;
    for server in servers.iter_mut() {
        fill(server).map_err(|error| format!("{}: {error}", server.name))?;
    }
    for kind in ["ping", "find_node", "get_peers, none", "get_peers, 50"] {
        for _ in 0..rounds {
            for server in servers.iter_mut() {
                let query = encode(id(1), &question(kind, server));
                let run = round(server, &query, time)?;
                server.runs.push(run);
                server.echoes.push(round(echo, &wanting(&query, run.len), time)?);
            }
            let query = encode(id(1), &Question::Ping);
            let run = round(echo, &wanting(&query, query.len()), time)?;
            echo.runs.push(run);
        }
        for server in std::iter::once(&mut *echo).chain(servers.iter_mut()) {
            println!(
                "{}",
                json!({
                    "kind": kind, "server": server.name, "stored": server.stored,
                    "rate": median(&server.runs, |run| run.rate),
                    "cost": median(&server.runs, |run| run.cost),
                    "bytes": median(&server.runs, |run| run.len as f64),
                    "echo_rate": median(&server.echoes, |run| run.rate),
                    "echo_cost": median(&server.echoes, |run| run.cost),
                })
            );
            server.runs.clear();
            server.echoes.clear();
        }
    }
    Ok(())
}

/// Tells an echo how many bytes it is to send, in the last two.
fn wanting(query: &[u8], len: usize) -> Vec<u8> {
    let mut bytes = query.to_vec();
    bytes.truncate(query.len() - 2);
    bytes.extend_from_slice(&(len as u16).to_be_bytes());
    bytes
}

fn server(text: &str) -> Result<Server<'_>> {
    let parts: Vec<&str> = text.split('=').collect();
    let [name, addr, pid] = parts[..] else { return Err("expected NAME=ADDR=PID".into()) };
    let (addr, pid) = (addr.parse()?, pid.parse()?);
    let (runs, echoes, swarm) = (Vec::new(), Vec::new(), InfoHash([0; 20]));
    Ok(Server { name, addr, pid, swarm, stored: 0, runs, echoes })
}

fn question<'a>(kind: &str, server: &Server<'_>) -> Question<'a> {
    match kind {
        "ping" => Question::Ping,
        "find_node" => Question::FindNode { target: target(90), want: None },
        "get_peers, 50" => peers_of(server.swarm),
        _ => peers_of(InfoHash(target(91).0)),
    }
}

fn peers_of<'a>(info_hash: InfoHash) -> Question<'a> {
    Question::GetPeers { info_hash, want: None, no_seed: false, scrape: false }
}

/// Announces 50 peers, each from an address of its own.
fn fill(server: &mut Server<'_>) -> Result<()> {
    let first = at(1, server.addr)?;
    let pong = ask(&first, 1, &Question::Ping)?;
    let Body::Response(response) = krpc::decode(&pong).map_err(|_| "no answer")?.body else {
        return Err("a ping refused".into());
    };
    let mut near = response.id().ok_or("no id")?;
    near.0[19] ^= 1;
    server.swarm = InfoHash(near.0);
    for host in 1..=PEERS {
        // Some bind a token to the port as well.
        let socket = at(host, server.addr)?;
        let answer = ask(&socket, host, &peers_of(server.swarm))?;
        let message = krpc::decode(&answer)
            .map_err(|error| format!("{error:?} in {}", answer.escape_ascii()))?;
        let Body::Response(response) = message.body else { continue };
        let Some(token) = response.token() else { continue };
        let announce = Question::AnnouncePeer {
            info_hash: server.swarm,
            port: 4_000,
            implied_port: true,
            token,
            seed: false,
        };
        ask(&socket, host, &announce)?;
    }
    let answer = ask(&first, 1, &peers_of(server.swarm))?;
    if let Ok(krpc::Message { body: Body::Response(response), .. }) = krpc::decode(&answer) {
        server.stored = response.values().count();
    }
    Ok(())
}

fn id(host: u8) -> Id {
    tinybt_tests::nodes::id(78, host.into())
}

fn encode(id: Id, question: &Question<'_>) -> Vec<u8> {
    // To be no node in their tables.
    let envelope =
        Envelope { transaction: b"abcd", version: None, read_only: true, external: None };
    let mut bytes = vec![0; 1_472];
    let len = krpc::encode_query(&mut bytes, &envelope, id, question).unwrap_or(0);
    bytes.truncate(len);
    bytes
}

/// A socket at an address of its own.
fn at(host: u8, server: SocketAddr) -> Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 9, host), 0))?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    socket.connect(server)?;
    Ok(socket)
}

/// The answer to a question. What the server asks in turn is passed over.
fn ask(socket: &UdpSocket, host: u8, question: &Question<'_>) -> Result<Vec<u8>> {
    socket.send(&encode(id(host), question))?;
    let mut bytes = vec![0; 65_536];
    loop {
        let len = socket.recv(&mut bytes)?;
        if !bytes[..len].ends_with(b"1:y1:qe") {
            bytes.truncate(len);
            return Ok(bytes);
        }
    }
}

fn round(server: &Server<'_>, query: &[u8], time: Duration) -> Result<Run> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(server.addr)?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    let spent = processor(server.pid)?;
    for _ in 0..OUTSTANDING {
        socket.send(query)?;
    }
    let begun = Instant::now();
    let (mut count, mut answer, mut bytes) = (0u64, 0, [0; 65_536]);
    while begun.elapsed() < time {
        // In batches, so that the clock costs nothing.
        for _ in 0..OUTSTANDING {
            match socket.recv(&mut bytes) {
                Ok(len) if server.name == "echo" || bytes[..len].ends_with(b"1:y1:re") => {
                    count += 1;
                    answer = len;
                }
                Ok(_) | Err(_) => {}
            }
            socket.send(query)?;
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let cost = (processor(server.pid)? - spent) * 1e6 / count as f64;
    Ok(Run { rate: count as f64 / seconds, cost, len: answer })
}

/// Seconds of a processor, of the system and of the user, that all threads of a process have had.
fn processor(pid: u32) -> Result<f64> {
    let mut nanoseconds = 0.0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        // Threads may end.
        let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else { continue };
        nanoseconds += text.split(' ').next().unwrap_or("0").parse::<f64>()?;
    }
    Ok(nanoseconds / 1e9)
}

fn median(runs: &[Run], figure: impl Fn(&Run) -> f64) -> f64 {
    let mut values: Vec<f64> = runs.iter().map(figure).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
