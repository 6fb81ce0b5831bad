//! What a lookup costs in networks of every size: a table, and a plot.
#![allow(clippy::print_stdout)]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tinybt_tests::population::{Population, Report, Settings};

use crate::scale::link;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Sizes of networks
    #[arg(long, value_delimiter = ',', default_value = "1000,3000,10000,30000,100000")]
    nodes: Vec<usize>,
    /// Lookups in each, after three times as many announces
    #[arg(long, default_value_t = 200)]
    lookups: usize,
    /// Of a thousand datagrams, how many are lost, each way
    #[arg(long, default_value_t = 20)]
    loss: u32,
    /// The median round trip in milliseconds
    #[arg(long, default_value_t = 90)]
    rtt: u64,
    /// Decides everything
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Draw it into this file
    #[arg(long)]
    svg: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) {
    println!(
        "   nodes  log2  first ms   90 %  done ms   90 %  packets   90 %  of 8  peers  real s"
    );
    let mut rows = Vec::new();
    for nodes in &args.nodes {
        let begun = Instant::now();
        let settings = Settings { nodes: *nodes, seed: args.seed, ..Settings::default() };
        let mut population = Population::planted(settings, link(args.rtt, args.loss));
        population.run_for(Duration::from_secs(30));
        let report = population.lookups(args.lookups);
        let closest = 8.0 * report.closest_answered as f64 / report.closest.max(1) as f64;
        let peers = 100.0 * report.peers_found as f64 / report.peers_announced.max(1) as f64;
        println!(
            "{nodes:>8} {:>5.1} {:>9.0} {:>6.0} {:>8.0} {:>6.0} {:>8.0} {:>6.0} {closest:>5.2} {peers:>5.1}% {:>6.0}",
            (*nodes as f64).log2(),
            report.first.0,
            report.first.1,
            report.done.0,
            report.done.1,
            report.packets.0,
            report.packets.1,
            begun.elapsed().as_secs_f64(),
        );
        rows.push((*nodes, report));
        // After each: the largest may take too long for somebody.
        if let Some(path) = &args.svg {
            std::fs::write(path, draw(&rows)).expect("the plot can be written");
        }
    }
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const MARGIN: f64 = 56.0;

/// One curve: its name, its colour, which value of a report it shows.
type Curve = (&'static str, &'static str, fn(&Report) -> f64);

const CURVES: [Curve; 3] = [
    ("first peer, ms", "#1b7f5c", |report| report.first.0),
    ("done, ms", "#2158a8", |report| report.done.0),
    ("packets × 10", "#b3541e", |report| 10.0 * report.packets.0),
];

/// Medians over the logarithm of the size, each with the line of a cost that grows as log n does,
/// through its first point.
fn draw(rows: &[(usize, Report)]) -> String {
    let Some((first, last)) = rows.first().zip(rows.last()) else { return String::new() };
    let log = |nodes: usize| (nodes.max(2) as f64).log2();
    let (left, right) = (log(first.0) - 0.5, log(last.0) + 0.5);
    let grown = |value: f64, nodes: usize| value * log(nodes) / log(first.0);
    let tops = rows.iter().flat_map(|(nodes, report)| {
        CURVES.iter().map(move |(.., value)| value(report).max(grown(value(&first.1), *nodes)))
    });
    let top = (tops.fold(0.0, f64::max) / 100.0).ceil().max(1.0) * 100.0;
    let x = |log: f64| MARGIN + (log - left) / (right - left) * (WIDTH - 2.0 * MARGIN);
    let y = |value: f64| HEIGHT - MARGIN - value / top * (HEIGHT - 2.0 * MARGIN);

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n\
         <text x=\"{MARGIN}\" y=\"24\" font-size=\"14\">Cost of a lookup by the size of the network: \
         medians; dashed: as log n grows</text>\n"
    );
    for step in 0..=4 {
        let value = top * f64::from(step) / 4.0;
        let _ = writeln!(
            svg,
            "<path d=\"M{MARGIN} {0:.1}H{1}\" stroke=\"#ddd\"/>\
             <text x=\"{2}\" y=\"{3:.1}\" text-anchor=\"end\">{value:.0}</text>",
            y(value),
            WIDTH - MARGIN,
            MARGIN - 6.0,
            y(value) + 4.0
        );
    }
    for (nodes, _) in rows {
        let (at, below) = (x(log(*nodes)), HEIGHT - MARGIN + 18.0);
        let _ = writeln!(
            svg,
            "<text x=\"{at:.1}\" y=\"{below}\" text-anchor=\"middle\">{nodes}</text>"
        );
    }
    for (index, (name, colour, value)) in CURVES.iter().enumerate() {
        let points = |of: &dyn Fn(&(usize, Report)) -> f64| {
            let points = rows.iter().map(|row| format!("{:.1},{:.1}", x(log(row.0)), y(of(row))));
            points.collect::<Vec<_>>().join(" ")
        };
        let measured = points(&|row| value(&row.1));
        let expected = points(&|row| grown(value(&first.1), row.0));
        let (key, line) = (MARGIN + 10.0 + 150.0 * index as f64, HEIGHT - 14.0);
        let _ = writeln!(
            svg,
            "<polyline points=\"{expected}\" fill=\"none\" stroke=\"{colour}\" \
             stroke-dasharray=\"4 4\" opacity=\"0.5\"/>\n\
             <polyline points=\"{measured}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\n\
             <text x=\"{key}\" y=\"{line}\" fill=\"{colour}\">{name}</text>"
        );
    }
    svg + "</svg>\n"
}
