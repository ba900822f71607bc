//! What the plots show.

use super::svg::{self, Bar, Curve, Lines};
use crate::results::Results;
use crate::sets;

/// The percentiles of the latency plot: close together where they are rare.
const PERCENTS: [f64; 11] = [1.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 100.0];

/// File names and pictures of all that was measured.
pub fn all(results: &Results) -> Vec<(&'static str, String)> {
    let plots =
        [("throughput.svg", throughput(results)), ("latency.svg", latency(results)), ("long.svg", long(results))];
    plots.into_iter().filter_map(|(name, plot)| Some((name, plot?))).collect()
}

/// Everybody in the main data set, and the service in all others.
fn throughput(results: &Results) -> Option<String> {
    let mut bars = Vec::new();
    for set in &results.sets {
        let is_main = set.name == sets::MAIN;
        for result in set.peers.iter().filter(|result| is_main || result.peer.is_service()) {
            let label = if is_main { result.peer.title().to_owned() } else { format!("service: {}", set.title) };
            let rate = set.rate(result.peer)?;
            bars.push(Bar {
                label,
                value: rate.median,
                least: rate.min,
                most: rate.max,
                stands_out: result.peer.is_service(),
            });
        }
    }
    (!bars.is_empty()).then(|| svg::bars("Rows a second", &bars))
}

fn latency(results: &Results) -> Option<String> {
    let curve = |latency: &crate::results::Latency| Curve {
        label: format!("{} events/s", super::text::grouped(latency.rate as f64)),
        values: PERCENTS.iter().filter_map(|&percent| latency.percentile(percent)).collect(),
    };
    let curves: Vec<Curve> = results.latency.iter().map(curve).collect();
    (!curves.is_empty()).then(|| {
        svg::lines(&Lines {
            title: "Latency from produce to visible in SQLite, ms",
            below: "percent of all events that are no later",
            ticks: PERCENTS.iter().map(f64::to_string).collect(),
            curves,
        })
    })
}

fn long(results: &Results) -> Option<String> {
    let first = results.long.first()?;
    let upto = |step: usize| super::text::grouped((step as f64 + 1.0) * first.step_events as f64);
    let curves = results.long.iter().map(|long| Curve { label: long.title.clone(), values: long.rates.clone() });
    Some(svg::lines(&Lines {
        title: "Rows a second over each step",
        below: "rows in the database",
        ticks: (0..first.rates.len()).map(upto).collect(),
        curves: curves.collect(),
    }))
}
