//! `tinybt`: finds BitTorrent peers from a terminal.

mod announce;
mod args;
mod crawl;
mod demo;
mod exit;
mod follow;
mod get;
mod http;
mod input;
mod key;
mod lookup;
mod node;
mod options;
mod output;
mod peers;
mod put;
mod questions;
mod sample;
mod scrape;
mod sightings;
mod size;
mod swarms;
mod testnet;
mod trace;
mod tracker;
mod value;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::args::{Args, Command};
use crate::exit::{Failure, Found};

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { exit::USAGE } else { exit::FOUND });
        }
    };
    if let Err(failure) = exit::watch_for_interrupts() {
        return failure.report();
    }
    match run(args.command) {
        Ok(Found::Something) => ExitCode::from(exit::FOUND),
        Ok(Found::Nothing) => ExitCode::from(exit::NOTHING),
        Err(failure) => failure.report(),
    }
}

fn run(command: Command) -> Result<Found, Failure> {
    match command {
        Command::Peers(args) => peers::run(&args),
        Command::Announce(args) => announce::run(&args),
        Command::Scrape(args) => scrape::run(&args),
        Command::Tracker(args) => tracker::run(&args),
        Command::Get(args) => get::run(&args),
        Command::Put(args) => put::run(&args),
        Command::Follow(args) => follow::run(&args),
        Command::Size(args) => size::run(&args),
        Command::Ping(args) => questions::ping(&args),
        Command::FindNode(args) => questions::find_node(&args),
        Command::Node(args) => node::run(&args),
        Command::Testnet(args) => testnet::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Crawl(args) => crawl::run(&args),
        Command::Sample(args) => sample::run(&args),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "tinybt", &mut text);
            Ok(io::stdout().write_all(&text).map(|()| Found::Something)?)
        }
        Command::Man => {
            clap_mangen::Man::new(Args::command()).render(&mut io::stdout())?;
            Ok(Found::Something)
        }
    }
}
