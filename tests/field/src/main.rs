//! tinybt beside others: servers that are asked, searchers that look around in an emulated network
//! on real sockets, and the one that measures. `run.py` starts them; each prints JSON, a line an
//! answer, and ends when its standard input does. A searcher begins with the first line that it
//! reads, so that no lookup is measured while another program is still loaded.
//!
//! ```text
//! echo ADDR                              sends back whatever comes
//! serve tinybt|mainline|librqbit ADDR BOOTSTRAP,…
//! node mainline|librqbit ADDR BOOTSTRAP,…   obeys, see `node.rs`
//! measure ROUNDS MILLISECONDS ECHO=ADDR=PID SERVER=ADDR=PID …
//! world SEED PORT NODES usual|harder|quick   all of 127.0.0.0/8 at a port, quick without delays;
//!                                        `ADDR` on standard input asks for its traffic
//! search tinybt|mainline|librqbit ADDR BOOTSTRAP,… TARGET PEERS
//! ```

mod librqbit;
mod measure;
mod node;
mod search;
mod serve;
mod world;

use std::error::Error;

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["echo", addr] => serve::echo(addr.parse()?),
        ["serve", "tinybt", addr, bootstrap] => serve::tinybt(addr.parse()?, &list(bootstrap)),
        ["serve", "mainline", addr, bootstrap] => serve::mainline(addr.parse()?, &list(bootstrap)),
        ["serve", "librqbit", addr, bootstrap] => librqbit::serve(addr.parse()?, list(bootstrap)),
        ["node", "mainline", addr, bootstrap] => node::mainline(addr.parse()?, &list(bootstrap)),
        ["node", "librqbit", addr, bootstrap] => node::librqbit(addr.parse()?, list(bootstrap)),
        ["measure", rounds, millis, servers @ ..] => {
            measure::run(rounds.parse()?, millis.parse()?, servers)
        }
        ["world", seed, port, nodes, kind] => {
            world::run(seed.parse()?, port.parse()?, nodes.parse()?, kind)
        }
        ["search", who, addr, bootstrap, target, peers] => {
            let (bootstrap, peers) = (list(bootstrap), peers.parse()?);
            println!("{}", serde_json::json!({"ready": true}));
            std::io::stdin().read_line(&mut String::new())?;
            match *who {
                "tinybt" => search::tinybt(addr.parse()?, &bootstrap, target, peers),
                "mainline" => search::mainline(addr.parse()?, &bootstrap, target, peers),
                "librqbit" => librqbit::search(addr.parse()?, bootstrap, target, peers),
                _ => Err("nobody of this name".into()),
            }
        }
        _ => Err("expected: echo | serve | measure | world | search, see src/main.rs".into()),
    }
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::to_owned).collect()
}
