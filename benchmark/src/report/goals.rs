//! The goals, and what was measured.

use crate::peers::Peer;
use crate::results::{Results, Spread};
use crate::sets;

/// One line of the table.
pub struct Goal {
    pub what: &'static str,
    pub wanted: String,
    /// The figure; `None` if it was not measured.
    pub measured: Option<String>,
    pub is_reached: bool,
}

/// What a figure is wanted to be.
#[derive(Clone, Copy)]
enum Wanted {
    AtLeast(f64),
    AtMost(f64),
}

use Wanted::{AtLeast, AtMost};

impl Wanted {
    fn goal(self, what: &'static str, unit: &str, measured: Option<f64>) -> Goal {
        let (sign, bound) = match self {
            AtLeast(bound) => ("≥", bound),
            AtMost(bound) => ("≤", bound),
        };
        let is_reached = measured.is_some_and(|figure| match self {
            AtLeast(bound) => figure >= bound,
            AtMost(bound) => figure <= bound,
        });
        let measured = measured.map(|figure| format!("{figure:.2}{unit}"));
        Goal { what, wanted: format!("{sign} {bound}{unit}"), measured, is_reached }
    }
}

/// All of them.
pub fn all(results: &Results) -> Vec<Goal> {
    let ratio = |set: &str, to| results.set(set).and_then(|set| set.ratio(to));
    let latency = |percent| results.latency.iter().find(|latency| latency.rate == 100)?.percentile(percent);
    let idle = results.idle.iter().map(|idle| idle.cpu_percent).max_by(f64::total_cmp);
    vec![
        AtLeast(1.5).goal("sequential ids, against rdkafka tuned", "×", ratio(sets::MAIN, Peer::Tuned)),
        AtLeast(3.5).goal("sequential ids, against rdkafka plain", "×", ratio(sets::MAIN, Peer::Plain)),
        AtLeast(0.8).goal("sequential ids, against SQLite alone", "×", ratio(sets::MAIN, Peer::Limit)),
        AtLeast(2.0).goal("random ids, against rdkafka plain", "×", ratio(sets::RANDOM, Peer::Plain)),
        AtMost(64.0).goal("peak memory, in every data set", " MiB", rss_mib(results)),
        AtMost(4.0).goal("CPU per million sequential events", " s", cpu_seconds(results)),
        AtMost(3.0).goal("latency at 100 events/s, median", " ms", latency(50.0)),
        AtMost(20.0).goal("latency at 100 events/s, 99 %", " ms", latency(99.0)),
        AtMost(60.0).goal("start to first stored row, beyond the broker's answers", " ms", start_ms(results)),
        AtMost(0.5).goal("idle, of one core", " %", idle),
        AtLeast(0.7).goal("last step of the long topic against the first, sequential", "×", endurance(results, 0)),
        AtLeast(0.5).goal("last step of the long topic against the first, random", "×", endurance(results, 1)),
    ]
}

/// The most that the service had anywhere.
fn rss_mib(results: &Results) -> Option<f64> {
    let services = results.sets.iter().filter_map(|set| set.peer(Peer::Service)?.rss_mib());
    services.max_by(f64::total_cmp)
}

fn cpu_seconds(results: &Results) -> Option<f64> {
    let set = results.set(sets::MAIN)?;
    let per_million = 1e6 / set.events as f64;
    Some(set.peer(Peer::Service)?.spread(|usage| usage.cpu_seconds * per_million)?.median)
}

fn start_ms(results: &Results) -> Option<f64> {
    let start = results.start.as_ref()?;
    Some(Spread::of(start.service_ms.clone())?.median - Spread::of(start.broker_ms.clone())?.median)
}

fn endurance(results: &Results, kind: usize) -> Option<f64> {
    let rates = &results.long.get(kind)?.rates;
    Some(rates.last()? / rates.first()?)
}
