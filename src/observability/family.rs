//! The text format of Prometheus, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>). Must not know what a metric means.
//!
//! `prometheus-client` is not used: it writes `OpenMetrics` only, whose names of counters `promtool check metrics` refuses
//! (<https://github.com/prometheus/client_rust/issues/51>), and it registers series, while those of partitions come and
//! go with each rebalance.

use std::fmt::Write;

use crate::runtime::measures::{Distribution, Unit};

/// The `Content-Type` of the format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One metric: its definition and its present samples, perhaps none.
#[derive(Clone, Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it means, in one sentence without a full stop.
    pub help: &'static str,
    /// What to alert on; empty if nothing.
    pub alert: &'static str,
    /// One for each combination of labels.
    pub samples: Vec<Sample>,
}

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the service restarts.
    Counter,
    /// Any number.
    Gauge,
    /// A distribution.
    Histogram,
}

impl Kind {
    /// The type as the format spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A number with the values of the metric's labels. An empty value is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// One value for each label, in their order.
    pub labels: Vec<String>,
    /// The number.
    pub value: Value,
}

/// A number, exact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A whole number.
    Number(i128),
    /// Microseconds, shown as seconds.
    Microseconds(u128),
    /// The buckets of a histogram.
    Distribution(Distribution),
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number.into())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number.into())
    }
}

impl From<bool> for Value {
    fn from(is: bool) -> Self {
        Self::Number(is.into())
    }
}

impl From<std::time::Duration> for Value {
    fn from(duration: std::time::Duration) -> Self {
        Self::Microseconds(duration.as_micros())
    }
}

impl From<Distribution> for Value {
    fn from(distribution: Distribution) -> Self {
        Self::Distribution(distribution)
    }
}

/// The metrics that are collected.
#[derive(Default)]
pub(super) struct Families(Vec<Family>);

/// What a metric means, and what to alert on.
pub(super) struct About(pub(super) &'static str, pub(super) &'static str);

impl Families {
    pub(super) fn add(
        &mut self,
        (name, kind, labels): (&'static str, Kind, &'static [&'static str]),
        About(help, alert): About,
        samples: Vec<Sample>,
    ) {
        self.0.push(Family { name, kind, labels, help, alert, samples });
    }

    pub(super) fn into_vec(self) -> Vec<Family> {
        self.0
    }
}

/// Writes the metrics. One without samples has no lines.
pub fn encode(families: &[Family]) -> String {
    let mut text = String::new();
    for family in families.iter().filter(|family| !family.samples.is_empty()) {
        let Family { name, kind, help, .. } = family;
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {}", kind.as_str());
        for sample in &family.samples {
            write_sample(&mut text, family, sample);
        }
    }
    text
}

fn write_sample(text: &mut String, Family { name, labels, .. }: &Family, sample: &Sample) {
    let pairs: Vec<(&str, &str)> = labels.iter().copied().zip(sample.labels.iter().map(String::as_str)).collect();
    match &sample.value {
        Value::Number(number) => write_line(text, (name, ""), &pairs, None, &number.to_string()),
        Value::Microseconds(us) => write_line(text, (name, ""), &pairs, None, &seconds(*us)),
        Value::Distribution(Distribution { unit, buckets, count, sum }) => {
            for (bound, count) in buckets {
                let bound = show(*unit, *bound);
                write_line(text, (name, "_bucket"), &pairs, Some(&bound), &count.to_string());
            }
            write_line(text, (name, "_bucket"), &pairs, Some("+Inf"), &count.to_string());
            write_line(text, (name, "_sum"), &pairs, None, &show(*unit, *sum));
            write_line(text, (name, "_count"), &pairs, None, &count.to_string());
        }
    }
}

fn write_line(
    text: &mut String,
    (name, suffix): (&str, &str),
    labels: &[(&str, &str)],
    bound: Option<&str>,
    value: &str,
) {
    text.push_str(name);
    text.push_str(suffix);
    let given = labels.iter().copied().filter(|(_, value)| !value.is_empty());
    for (place, (label, value)) in given.chain(bound.map(|bound| ("le", bound))).enumerate() {
        let begin = if place == 0 { '{' } else { ',' };
        let _ = write!(text, "{begin}{label}=\"{}\"", escape(value));
    }
    if bound.is_some() || labels.iter().any(|(_, value)| !value.is_empty()) {
        text.push('}');
    }
    let _ = writeln!(text, " {value}");
}

/// The format escapes these three only; a label may hold any other character.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn show(unit: Unit, number: u64) -> String {
    match unit {
        Unit::One => number.to_string(),
        Unit::Microseconds => seconds(number.into()),
    }
}

/// Microseconds as seconds, exactly, without zeros at the end.
fn seconds(us: u128) -> String {
    let (whole, rest) = (us / 1_000_000, us % 1_000_000);
    if rest == 0 {
        return whole.to_string();
    }
    format!("{whole}.{rest:06}").trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn family(kind: Kind, labels: &'static [&'static str], samples: Vec<Sample>) -> Family {
        Family { name: "m_total", kind, labels, help: "what it means", alert: "", samples }
    }

    fn sample(labels: &[&str], value: Value) -> Sample {
        Sample { labels: labels.iter().map(|label| (*label).to_owned()).collect(), value }
    }

    #[test]
    fn labels_of_any_content_stay_on_their_line() {
        let hostile = "a\"} 1\nevil{x=\"\\";
        let samples = vec![
            sample(&["t", "1"], 5_u64.into()),
            sample(&["t", ""], Value::Number(-1)),
            sample(&[hostile, "0"], Value::Microseconds(1_500_000)),
        ];
        let expected = "# HELP m_total what it means\n# TYPE m_total counter\nm_total{topic=\"t\",partition=\"1\"} 5\n\
                        m_total{topic=\"t\"} -1\nm_total{topic=\"a\\\"} 1\\nevil{x=\\\"\\\\\",partition=\"0\"} 1.5\n";
        assert_eq!(encode(&[family(Kind::Counter, &["topic", "partition"], samples)]), expected);
        assert_eq!(encode(&[family(Kind::Counter, &[], Vec::new())]), "", "nothing is known");
    }

    #[test]
    fn a_histogram_has_cumulative_buckets_in_seconds() {
        let (unit, buckets) = (Unit::Microseconds, vec![(500, 1), (2_500_000, 3)]);
        let distribution = Distribution { unit, buckets, count: 4, sum: 10_000_001 };
        let text = encode(&[family(Kind::Histogram, &[], vec![sample(&[], distribution.into())])]);
        let lines: Vec<&str> = text.lines().skip(2).collect();
        let expected = [
            "m_total_bucket{le=\"0.0005\"} 1",
            "m_total_bucket{le=\"2.5\"} 3",
            "m_total_bucket{le=\"+Inf\"} 4",
            "m_total_sum 10.000001",
            "m_total_count 4",
        ];
        assert_eq!(lines, expected);
    }
}
