//! What was measured, in the form that is kept between runs; and the figures that are computed from it.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::machine::Machine;
use crate::measure::Usage;
use crate::options::Options;
use crate::peers::Peer;

/// Everything.
#[derive(Default, Serialize, Deserialize)]
pub struct Results {
    pub machine: Machine,
    /// The one that has measured everything, and those that have measured parts again.
    pub commands: Vec<String>,
    pub quick: bool,
    /// The size of the static service.
    pub binary_bytes: Option<u64>,
    pub sets: Vec<SetResult>,
    pub latency: Vec<Latency>,
    pub start: Option<Start>,
    pub idle: Vec<Idle>,
    pub profile: Option<Profile>,
    pub long: Vec<Long>,
}

/// One data set.
#[derive(Serialize, Deserialize)]
pub struct SetResult {
    pub name: String,
    pub title: String,
    pub events: u64,
    /// Of one event, on average.
    pub event_bytes: usize,
    pub peers: Vec<PeerResult>,
}

/// All runs of one peer with one data set.
#[derive(Serialize, Deserialize)]
pub struct PeerResult {
    pub peer: Peer,
    pub runs: Vec<Usage>,
}

/// Of every event at one rate, in ascending order, in microseconds.
#[derive(Serialize, Deserialize)]
pub struct Latency {
    pub rate: u64,
    pub sorted_us: Vec<u32>,
}

/// From start to the first stored row, and the broker's own share of that, of each start.
#[derive(Default, Serialize, Deserialize)]
pub struct Start {
    pub service_ms: Vec<f64>,
    pub broker_ms: Vec<f64>,
}

#[derive(Serialize, Deserialize)]
pub struct Idle {
    pub protocol: String,
    pub cpu_percent: f64,
    pub wake_ups_per_second: f64,
}

/// Rates over the steps of a long topic.
#[derive(Serialize, Deserialize)]
pub struct Long {
    pub title: String,
    pub step_events: u64,
    pub rates: Vec<f64>,
}

#[derive(Serialize, Deserialize)]
pub struct Profile {
    pub events: u64,
    pub stages: Vec<Stage>,
}

#[derive(Serialize, Deserialize)]
pub struct Stage {
    pub name: String,
    pub cpu_seconds: f64,
    /// More than the CPU's where something is waited for.
    pub wall_seconds: f64,
}

/// The middle of several figures, and how far they lie apart.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Results {
    /// What an earlier run has left, if only a part is to be measured or written again; else nothing yet.
    pub fn load_or_begin(options: &Options) -> Result<Self> {
        let path = path(options);
        if options.report_only || (options.is_partial() && path.exists()) {
            let text = fs::read(&path).map_err(|error| format!("{}: {error}; measure first", path.display()))?;
            let mut results: Self = serde_json::from_slice(&text)
                .map_err(|error| format!("{}: {error}; it is of another version: remove it", path.display()))?;
            if !options.report_only {
                results.machine = Machine::look(options)?;
                results.binary_bytes = Some(binary_bytes(options)?);
                results.commands.push(options.command.clone());
            }
            return Ok(results);
        }
        fs::create_dir_all(&options.work)?;
        let machine = Machine::look(options)?;
        Ok(Self {
            machine,
            commands: vec![options.command.clone()],
            quick: options.quick,
            binary_bytes: Some(binary_bytes(options)?),
            ..Self::default()
        })
    }

    pub fn save(&self, options: &Options) -> Result<()> {
        Ok(fs::write(path(options), serde_json::to_vec(self)?)?)
    }

    /// Adds a data set, in the place of an earlier result.
    pub fn put(&mut self, set: SetResult) {
        match self.sets.iter_mut().find(|old| old.name == set.name) {
            Some(old) => *old = set,
            None => self.sets.push(set),
        }
    }

    pub fn set(&self, name: &str) -> Option<&SetResult> {
        self.sets.iter().find(|set| set.name == name)
    }
}

/// Looks have a file of their own.
fn path(options: &Options) -> PathBuf {
    options.work.join(if options.is_look() { "results-quick.json" } else { "results.json" })
}

fn binary_bytes(options: &Options) -> Result<u64> {
    Ok(fs::metadata(&options.service_static)?.len())
}

impl SetResult {
    pub fn peer(&self, peer: Peer) -> Option<&PeerResult> {
        self.peers.iter().find(|result| result.peer == peer)
    }

    /// Rows a second.
    pub fn rate(&self, peer: Peer) -> Option<Spread> {
        let events = self.events as f64;
        self.peer(peer)?.spread(|usage| events / usage.wall_seconds)
    }

    /// CPU seconds of a million rows.
    pub fn cpu_per_million(&self, peer: Peer) -> Option<Spread> {
        let per_million = 1e6 / self.events as f64;
        self.peer(peer)?.spread(|usage| usage.cpu_seconds * per_million)
    }

    /// The service's rate as a multiple of a peer's.
    pub fn ratio(&self, to: Peer) -> Option<f64> {
        Some(self.rate(Peer::Service)?.median / self.rate(to)?.median)
    }

    /// The service's CPU of a row as a multiple of a peer's.
    pub fn cpu_ratio(&self, to: Peer) -> Option<f64> {
        Some(self.cpu_per_million(Peer::Service)?.median / self.cpu_per_million(to)?.median)
    }

    /// The one with the greatest rate, of those that were measured.
    pub fn fastest(&self, of: &[Peer]) -> Option<Peer> {
        let rates = of.iter().filter_map(|&peer| Some((peer, self.rate(peer)?.median)));
        rates.max_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(peer, _)| peer)
    }
}

impl PeerResult {
    pub fn new(peer: Peer) -> Self {
        Self { peer, runs: Vec::new() }
    }

    pub fn spread(&self, figure: impl Fn(&Usage) -> f64) -> Option<Spread> {
        Spread::of(self.runs.iter().map(figure).collect())
    }

    /// `None` where memory says nothing.
    pub fn rss_mib(&self) -> Option<f64> {
        let bytes = self.runs.iter().map(|usage| usage.rss_bytes_max).collect::<Option<Vec<_>>>()?;
        bytes.into_iter().max().map(|bytes| bytes as f64 / f64::from(1 << 20))
    }
}

impl Latency {
    /// The milliseconds that so many percent of all do not exceed (nearest rank).
    pub fn percentile(&self, percent: f64) -> Option<f64> {
        let rank = (percent / 100.0 * self.sorted_us.len() as f64).ceil() as usize;
        self.sorted_us.get(rank.saturating_sub(1)).map(|&microseconds| f64::from(microseconds) / 1e3)
    }
}

impl Spread {
    /// `None` of nothing.
    pub fn of(mut figures: Vec<f64>) -> Option<Self> {
        figures.sort_by(f64::total_cmp);
        let (min, max) = (*figures.first()?, *figures.last()?);
        let middle = figures.len() / 2;
        let median = if figures.len().is_multiple_of(2) {
            f64::midpoint(figures[middle - 1], figures[middle])
        } else {
            figures[middle]
        };
        Some(Self { median, min, max })
    }
}

#[cfg(test)]
mod tests {
    use super::{Latency, Spread};

    #[test]
    fn median_lies_in_the_middle() {
        let check = |figures: &[f64], expected| {
            let spread = Spread::of(figures.to_vec()).map(|spread| (spread.min, spread.median, spread.max));
            assert_eq!(spread, expected);
        };
        check(&[], None);
        check(&[2.0], Some((2.0, 2.0, 2.0)));
        check(&[3.0, 1.0], Some((1.0, 2.0, 3.0)));
        check(&[9.0, 1.0, 2.0], Some((1.0, 2.0, 9.0)));
    }

    #[test]
    fn percentile_is_the_nearest_rank() {
        let latency = Latency { rate: 1, sorted_us: (1..=200).map(|number| number * 1000).collect() };
        let check = |percent, expected| assert_eq!(latency.percentile(percent), Some(expected));
        check(0.0, 1.0);
        check(50.0, 100.0);
        check(99.0, 198.0);
        check(100.0, 200.0);
        assert_eq!(Latency { rate: 1, sorted_us: Vec::new() }.percentile(50.0), None);
    }
}
