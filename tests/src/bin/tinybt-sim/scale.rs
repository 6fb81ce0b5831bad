//! Real nodes by the hundred thousand: what lookups find, and what a node costs.
#![allow(clippy::print_stdout)]

use std::time::{Duration, Instant};

use tinybt_tests::counting;
use tinybt_tests::net::{Delay, Link};
use tinybt_tests::population::{Churn, Population, Settings, SimNode};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Nodes, those included that are away
    #[arg(long, default_value_t = 10_000)]
    nodes: usize,
    /// Hours that they live before anything is looked for
    #[arg(long, default_value_t = 0.5)]
    hours: f64,
    /// Nodes come and go, with sessions of this median in minutes; without it they stay
    #[arg(long)]
    churn: Option<f64>,
    /// Of a thousand nodes, how many are behind a NAT of any kind
    #[arg(long, default_value_t = 0)]
    nat: u32,
    /// Of a thousand datagrams, how many are lost, each way
    #[arg(long, default_value_t = 20)]
    loss: u32,
    /// The median round trip in milliseconds; the 95th percentile is four times as long
    #[arg(long, default_value_t = 90)]
    rtt: u64,
    /// Of a thousand nodes, how many sleep for 20 minutes before anything is looked for
    #[arg(long, default_value_t = 0)]
    asleep: u32,
    /// Minutes for which the network is cut in two before anything is looked for
    #[arg(long, default_value_t = 0)]
    parted: u64,
    /// Lookups, after three times as many announces
    #[arg(long, default_value_t = 200)]
    lookups: usize,
    /// Let nodes join by themselves, within this many minutes, in place of planting them
    #[arg(long)]
    join: Option<u64>,
    /// Decides everything
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Fail if lookups are not correct, or a node takes more than it should
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &Args) {
    let begun = Instant::now();
    let before = counting::live();
    let mut population = build(args);
    let built = begun.elapsed();
    let per = |bytes: i64, nodes: usize| bytes as f64 / nodes.max(1) as f64;
    let (here, reachable) = population.here();
    println!("nodes                {here:>10}   of {}, {reachable} reachable", args.nodes);
    println!("built in             {:>9.1}s", built.as_secs_f64());
    let planted = per(counting::live() - before, here);

    let (start, virtually) = (population.network.traffic, population.network.now());
    let lived = Instant::now();
    let hours = args.hours.max(0.0);
    population.run_for(Duration::from_secs_f64(hours * 3_600.0));
    let lived = lived.elapsed();
    let traffic = population.network.traffic;
    let idle = |count: u64| count as f64 / here.max(1) as f64 / hours.max(1e-9);
    // Both ways: what one sends another gets.
    let packets = 2.0 * idle(traffic.sent - start.sent);
    println!("idle                 {packets:>10.1}   datagrams a node and hour, both ways");
    let bytes = 2.0 * idle(traffic.bytes - start.bytes);
    println!("                     {bytes:>10.0}   bytes");
    let (came, went) = population.came_and_went;
    if args.churn.is_some() {
        println!("came, went           {came:>10}   {went:>10}");
    }
    let (here, _) = population.here();
    let memory = per(counting::live() - before, here);
    println!(
        "memory               {memory:>10.0}   bytes a node, of it {} the node itself, {planted:.0} when planted",
        size_of::<SimNode>()
    );
    println!("                     {:>10.0}   bytes of the process a node", per(resident(), here));

    if args.asleep > 0 {
        population.sleep(args.asleep, Duration::from_secs(20 * 60));
        population.run_for(Duration::from_secs(60));
    }
    if args.parted > 0 {
        population.part(Duration::from_secs(60 * args.parted));
        population.run_for(Duration::from_secs(60));
    }
    let report = population.lookups(args.lookups);
    print!("{report}");
    let happened = population.network.traffic;
    let events = (traffic.delivered + traffic.wakeups - start.delivered - start.wakeups) as f64;
    let time = population.network.now().since(virtually).as_secs_f64();
    println!("virtual time         {time:>9.0}s   {} datagrams", happened.sent);
    println!(
        "real time            {:>9.1}s   {:.0} events a second",
        begun.elapsed().as_secs_f64(),
        events / lived.as_secs_f64()
    );

    if args.check {
        let closest = report.closest_answered as f64 / report.closest.max(1) as f64;
        // 7.8 of 8, with 2 % loss.
        assert!(closest >= 0.970, "{closest} of the closest answered");
        let found = report.peers_found as f64 / report.peers_announced.max(1) as f64;
        assert!(found >= 0.999, "{found} of the peers were found");
        assert_eq!(report.complete, args.lookups, "all lookups end");
        assert!(memory <= MEMORY_MAX, "{memory} bytes a node");
    }
}

/// Bytes that an idle node may take among 10,000, the simulator's share included.
const MEMORY_MAX: f64 = 8.0 * 1_024.0;

pub(crate) fn link(rtt: u64, loss: u32) -> Link {
    let median = Duration::from_millis(rtt);
    Link { delay: Delay::LogNormal { median, p95: 4 * median }, loss, ..Link::default() }
}

fn build(args: &Args) -> Population {
    let churn = args.churn.map(|minutes| Churn::of(Duration::from_secs_f64(60.0 * minutes)));
    let settings = Settings {
        nodes: args.nodes,
        seed: args.seed,
        nat: args.nat,
        churn,
        ..Settings::default()
    };
    let link = link(args.rtt, args.loss);
    match args.join {
        Some(minutes) => Population::joining(settings, link, Duration::from_secs(60 * minutes)),
        None => Population::planted(settings, link),
    }
}

/// Bytes of memory that the process has, where the system tells.
fn resident() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<i64>().ok());
    kilobytes.unwrap_or(0) * 1_024
}
