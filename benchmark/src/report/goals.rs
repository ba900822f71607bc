//! The goals, and what was measured.

use crate::peers::Peer;
use crate::results::{Results, SetResult, Spread};
use crate::sets::{self, DataSet};

/// Rates against the fastest peer with the same tables, and against the one with narrow tables.
const RATE_SAME_TABLES: Wanted = AtLeast(1.5);
const RATE_NARROW: Wanted = AtLeast(1.2);
/// CPU of a row against the same peers.
const CPU: Wanted = AtMost(1.0);

/// One line of the table.
pub struct Goal {
    pub what: &'static str,
    pub wanted: String,
    /// The figure; `None` if it was not measured.
    pub measured: Option<String>,
    pub verdict: Verdict,
}

/// What the figure says about the goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Reached,
    NotReached,
    /// Wherever it was measured, but it was not measured with all data sets.
    ReachedIn {
        measured: usize,
        of: usize,
    },
    NotMeasured,
}

/// One data set against the peers: the service's figure as a multiple of theirs.
pub struct Comparison {
    pub title: String,
    /// Rate and CPU of a row, against the fastest peer with the same tables; rate and CPU against narrow tables.
    pub figures: [Option<Compared>; 4],
}

/// A multiple, and whether the goal for it is reached.
pub struct Compared {
    pub figure: String,
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
        let verdict = match measured {
            None => Verdict::NotMeasured,
            Some(figure) if self.is_reached(figure) => Verdict::Reached,
            Some(_) => Verdict::NotReached,
        };
        let measured = measured.map(|figure| format!("{}{unit}", self.two_digits(figure)));
        Goal { what, wanted: self.text(unit), measured, verdict }
    }

    /// A goal for several data sets: the one that is furthest from it counts.
    fn goal_in_all(self, what: &'static str, unit: &str, figures: &[(&str, Option<f64>)]) -> Goal {
        let measured: Vec<(&str, f64)> = figures.iter().filter_map(|&(name, figure)| Some((name, figure?))).collect();
        let worst =
            measured.iter().copied().min_by(|(_, one), (_, other)| self.merit(*one).total_cmp(&self.merit(*other)));
        let verdict = match worst {
            None => Verdict::NotMeasured,
            Some((_, figure)) if !self.is_reached(figure) => Verdict::NotReached,
            Some(_) if measured.len() == figures.len() => Verdict::Reached,
            Some(_) => Verdict::ReachedIn { measured: measured.len(), of: figures.len() },
        };
        let measured = worst.map(|(name, figure)| format!("{}{unit} ({name})", self.two_digits(figure)));
        Goal { what, wanted: self.text(unit), measured, verdict }
    }

    fn text(self, unit: &str) -> String {
        match self {
            AtLeast(bound) => format!("≥ {bound}{unit}"),
            AtMost(bound) => format!("≤ {bound}{unit}"),
        }
    }

    fn is_reached(self, figure: f64) -> bool {
        match self {
            AtLeast(bound) => figure >= bound,
            AtMost(bound) => figure <= bound,
        }
    }

    /// The greater, the better.
    fn merit(self, figure: f64) -> f64 {
        match self {
            AtLeast(_) => figure,
            AtMost(_) => -figure,
        }
    }

    /// Not rounded in favour of the goal, so that a figure that misses it does not look as if it reached it.
    fn two_digits(self, figure: f64) -> String {
        let rounded = match self {
            AtLeast(bound) if figure < bound => (figure * 100.0).floor() / 100.0,
            AtMost(bound) if figure > bound => (figure * 100.0).ceil() / 100.0,
            _ => figure,
        };
        format!("{rounded:.2}")
    }

    fn compared(self, figure: Option<f64>) -> Option<Compared> {
        let figure = figure?;
        Some(Compared { figure: self.two_digits(figure), is_reached: self.is_reached(figure) })
    }
}

/// All of them.
pub fn all(results: &Results) -> Vec<Goal> {
    let mut goals = Vec::from(in_all_sets(results));
    goals.extend(random(results));
    goals.extend(sequential(results));
    goals.extend(memory(results));
    goals.extend(latency(results));
    let idle = results.idle.iter().map(|idle| idle.cpu_percent).max_by(f64::total_cmp);
    let binary = results.binary_bytes.map(|bytes| bytes as f64 / f64::from(1 << 20));
    goals.extend([
        AtMost(60.0).goal("start to first stored row, beyond the broker's answers", " ms", start_ms(results)),
        AtMost(0.5).goal("idle, of one core", " %", idle),
        AtMost(6.0).goal("size of the static binary", " MiB", binary),
    ]);
    goals
}

/// Each data set that was measured, against the peers.
pub fn comparisons(results: &Results) -> Vec<Comparison> {
    let comparison = |set: &SetResult| Comparison {
        title: set.title.clone(),
        figures: [
            RATE_SAME_TABLES.compared(rate_same_tables(set)),
            CPU.compared(cpu_same_tables(set)),
            RATE_NARROW.compared(set.ratio(Peer::Narrow)),
            CPU.compared(set.cpu_ratio(Peer::Narrow)),
        ],
    };
    results.sets.iter().map(comparison).collect()
}

/// What [`comparisons`] are wanted to be, for the heads of the columns.
pub fn wanted_of_comparisons() -> [String; 4] {
    [RATE_SAME_TABLES, CPU, RATE_NARROW, CPU].map(|wanted| wanted.text("×"))
}

fn in_all_sets(results: &Results) -> [Goal; 4] {
    let all = |figure: fn(&SetResult) -> Option<f64>| of_sets(results, |_| true, figure);
    [
        RATE_SAME_TABLES.goal_in_all(
            "rows/s, against the fastest peer with the same tables",
            "×",
            &all(rate_same_tables),
        ),
        CPU.goal_in_all("CPU of a row, against the fastest peer with the same tables", "×", &all(cpu_same_tables)),
        RATE_NARROW.goal_in_all("rows/s, against narrow tables", "×", &all(|set| set.ratio(Peer::Narrow))),
        CPU.goal_in_all("CPU of a row, against narrow tables", "×", &all(|set| set.cpu_ratio(Peer::Narrow))),
    ]
}

fn random(results: &Results) -> [Goal; 3] {
    let set = results.set(sets::RANDOM);
    let ratio = |to| set.and_then(|set| set.ratio(to));
    [
        AtLeast(1.3).goal("random ids, against rdkafka tuned", "×", ratio(Peer::Tuned)),
        AtLeast(2.5).goal("random ids, against rdkafka plain", "×", ratio(Peer::Plain)),
        AtLeast(0.9).goal("random ids, against SQLite alone", "×", set.and_then(rate_limit)),
    ]
}

fn sequential(results: &Results) -> [Goal; 5] {
    let set = results.set(sets::MAIN);
    let cpu = set.and_then(|set| set.cpu_per_million(Peer::Service)).map(|spread| spread.median);
    let long = |kind: usize| {
        let rates = &results.long.get(kind)?.rates;
        Some(rates.last()? / rates.first()?)
    };
    [
        AtLeast(0.85).goal("sequential ids, against SQLite alone", "×", set.and_then(rate_limit)),
        AtMost(2.4).goal("CPU per million sequential events", " s", cpu),
        AtMost(0.45).goal("CPU of decoding a million events", " s", decode_seconds(results)),
        AtLeast(0.85).goal("last step of the long topic against the first, sequential", "×", long(0)),
        AtLeast(0.5).goal("last step of the long topic against the first, random", "×", long(1)),
    ]
}

fn memory(results: &Results) -> [Goal; 2] {
    let rss = |set: &SetResult| set.peer(Peer::Service)?.rss_mib();
    let of = |is_sequential: bool| of_sets(results, |set| set.is_sequential() == is_sequential, rss);
    [
        AtMost(64.0).goal_in_all("peak memory, sequential ids", " MiB", &of(true)),
        AtMost(96.0).goal_in_all("peak memory, random ids", " MiB", &of(false)),
    ]
}

fn latency(results: &Results) -> [Goal; 4] {
    let at = |rate, percent| results.latency.iter().find(|latency| latency.rate == rate)?.percentile(percent);
    [
        AtMost(1.0).goal("latency at 100 events/s, median", " ms", at(100, 50.0)),
        AtMost(5.0).goal("latency at 100 events/s, 99 %", " ms", at(100, 99.0)),
        AtMost(25.0).goal("latency at 100 events/s, most", " ms", at(100, 100.0)),
        AtMost(10.0).goal("latency at 10,000 events/s, 99 %", " ms", at(10_000, 99.0)),
    ]
}

/// A figure of each data set of a kind, whether it was measured or not.
fn of_sets(
    results: &Results,
    is_wanted: impl Fn(&DataSet) -> bool,
    figure: impl Fn(&SetResult) -> Option<f64>,
) -> Vec<(&'static str, Option<f64>)> {
    // The number of events does not matter here.
    let sets = sets::all(0).into_iter().filter(is_wanted);
    sets.map(|set| (set.name, results.set(set.name).and_then(&figure))).collect()
}

fn rate_same_tables(set: &SetResult) -> Option<f64> {
    set.ratio(set.fastest(&Peer::SAME_TABLES)?)
}

fn cpu_same_tables(set: &SetResult) -> Option<f64> {
    set.cpu_ratio(set.fastest(&Peer::SAME_TABLES)?)
}

/// Against SQLite alone at its best transaction size.
fn rate_limit(set: &SetResult) -> Option<f64> {
    set.ratio(set.fastest(&Peer::LIMITS)?)
}

fn decode_seconds(results: &Results) -> Option<f64> {
    let profile = results.profile.as_ref()?;
    let stage = profile.stages.iter().find(|stage| stage.name == "decode")?;
    Some(stage.cpu_seconds * 1e6 / profile.events as f64)
}

fn start_ms(results: &Results) -> Option<f64> {
    let start = results.start.as_ref()?;
    Some(Spread::of(start.service_ms.clone())?.median - Spread::of(start.broker_ms.clone())?.median)
}

#[cfg(test)]
mod tests {
    use super::{Goal, Verdict, all, comparisons};
    use crate::measure::Usage;
    use crate::peers::Peer;
    use crate::results::{Long, PeerResult, Profile, Results, SetResult, Stage};
    use crate::sets;

    const MIB: u64 = 1 << 20;

    /// A million events, by each peer in so many seconds of wall clock and CPU, with so many MiB.
    fn set(name: &str, peers: &[(Peer, f64, f64, u64)]) -> SetResult {
        let peers = peers.iter().map(|&(peer, wall_seconds, cpu_seconds, mib)| PeerResult {
            peer,
            runs: vec![Usage { wall_seconds, cpu_seconds, rss_bytes_max: Some(mib * MIB), written_bytes: 0 }],
        });
        SetResult {
            name: name.to_owned(),
            title: name.to_owned(),
            events: 1_000_000,
            event_bytes: 300,
            peers: peers.collect(),
        }
    }

    fn find<'g>(goals: &'g [Goal], what: &str) -> (&'g str, &'g str, Verdict) {
        let goal = goals.iter().find(|goal| goal.what == what).unwrap();
        (&goal.wanted, goal.measured.as_deref().unwrap_or("-"), goal.verdict)
    }

    #[test]
    fn nothing_measured_reaches_no_goal() {
        assert!(all(&Results::default()).iter().all(|goal| goal.verdict == Verdict::NotMeasured));
    }

    #[test]
    fn the_fastest_peer_and_the_worst_data_set_count() {
        let peers = |service| {
            [
                (Peer::Service, service, 3.0, 60),
                (Peer::Plain, 9.0, 2.0, 300),
                (Peer::Tuned, 3.0, 4.0, 200),
                (Peer::Narrow, 2.4, 3.0, 200),
            ]
        };
        let names: Vec<&str> = sets::all(0).iter().map(|set| set.name).collect();
        let sets = names[1..].iter().map(|name| set(name, &peers(2.0))).collect();
        let mut results = Results { sets, ..Results::default() };
        let rate = "rows/s, against the fastest peer with the same tables";
        let cpu = "CPU of a row, against the fastest peer with the same tables";
        let goals = all(&results);
        let in_some = Verdict::ReachedIn { measured: names.len() - 1, of: names.len() };
        assert_eq!(find(&goals, rate), ("≥ 1.5×", "1.50× (random)", in_some));
        assert_eq!(find(&goals, cpu).1, "0.75× (random)");
        assert_eq!(find(&goals, "rows/s, against narrow tables"), ("≥ 1.2×", "1.20× (random)", in_some));
        assert_eq!(find(&goals, "CPU of a row, against narrow tables"), ("≤ 1×", "1.00× (random)", in_some));

        results.sets.push(set(names[0], &peers(2.005)));
        let goals = all(&results);
        assert_eq!(find(&goals, rate), ("≥ 1.5×", "1.49× (sequential)", Verdict::NotReached));
        assert_eq!(find(&goals, cpu).2, Verdict::Reached);
        assert_eq!(find(&goals, "random ids, against rdkafka plain").2, Verdict::Reached);
        let cells: Vec<_> = comparisons(&results).pop().unwrap().figures.into_iter().flatten().collect();
        let cells: Vec<_> = cells.iter().map(|cell| (&*cell.figure, cell.is_reached)).collect();
        assert_eq!(cells, [("1.49", false), ("0.75", true), ("1.19", false), ("1.00", true)]);
    }

    #[test]
    fn memory_has_a_goal_for_each_kind_of_ids() {
        let mut results = Results::default();
        for (name, mib) in [("sequential", 60), ("zstd", 65), ("random", 96)] {
            results.put(set(name, &[(Peer::Service, 2.0, 3.0, mib)]));
        }
        let goals = all(&results);
        assert_eq!(find(&goals, "peak memory, sequential ids"), ("≤ 64 MiB", "65.00 MiB (zstd)", Verdict::NotReached));
        assert_eq!(find(&goals, "peak memory, random ids"), ("≤ 96 MiB", "96.00 MiB (random)", Verdict::Reached));
    }

    #[test]
    fn sqlite_alone_counts_at_its_best_size() {
        let mut results = Results::default();
        let peers = [(Peer::Service, 2.0, 2.4, 60), (Peer::Limit5000, 1.9, 1.0, 0), (Peer::Limit20000, 1.6, 1.0, 0)];
        results.put(set("sequential", &peers));
        let goals = all(&results);
        assert_eq!(find(&goals, "sequential ids, against SQLite alone"), ("≥ 0.85×", "0.80×", Verdict::NotReached));
        assert_eq!(find(&goals, "CPU per million sequential events"), ("≤ 2.4 s", "2.40 s", Verdict::Reached));
    }

    #[test]
    fn decoding_counts_per_million_and_long_topics_by_their_ends() {
        let decode = Stage { name: "decode".to_owned(), cpu_seconds: 0.2, wall_seconds: 9.0 };
        let long = |rates: &[f64]| Long { title: String::new(), step_events: 1, rates: rates.to_vec() };
        let results = Results {
            profile: Some(Profile { events: 400_000, stages: vec![decode] }),
            long: vec![long(&[4.0, 1.0, 3.4]), long(&[4.0, 3.0, 1.9])],
            binary_bytes: Some(6 * MIB + 1),
            ..Results::default()
        };
        let goals = all(&results);
        assert_eq!(find(&goals, "CPU of decoding a million events").1, "0.50 s");
        let last = "last step of the long topic against the first";
        assert_eq!(find(&goals, &format!("{last}, sequential")).2, Verdict::Reached);
        assert_eq!(find(&goals, &format!("{last}, random")), ("≥ 0.5×", "0.47×", Verdict::NotReached));
        assert_eq!(find(&goals, "size of the static binary"), ("≤ 6 MiB", "6.01 MiB", Verdict::NotReached));
    }
}
