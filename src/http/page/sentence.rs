//! The state of the service in one sentence. Must not know HTML.

use std::time::Duration;

use crate::observability::Status;
use crate::runtime::readable::{Grouped, Rounded};

/// How good the state is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// Ready and caught up.
    Good,
    /// Ready, and catching up.
    Behind,
    /// Not ready, or not live.
    Bad,
}

/// The state in one sentence.
pub(super) fn state(status: &Status) -> (Level, String) {
    let mut parts = Vec::new();
    if !status.late_stages.is_empty() {
        parts.push(format!("not live, past the deadline: {}", status.late_stages.join(", ")));
    }
    if status.health.is_ready() {
        parts.push("ready".to_owned());
    } else {
        parts.push(format!("not ready: {}", status.health.reasons.join(", ")));
    }
    let progress = progress(status);
    let level = match progress {
        _ if !status.health.is_ready() || !status.late_stages.is_empty() => Level::Bad,
        Progress::StandingBy | Progress::CaughtUp => Level::Good,
        Progress::Unknown | Progress::Behind { .. } => Level::Behind,
    };
    parts.push(
        match status.partitions.len() {
            0 => String::new(),
            1 => "1 partition, ".to_owned(),
            more => format!("{} partitions, ", Grouped(u64::try_from(more).unwrap_or(u64::MAX))),
        } + &progress.text(),
    );
    let sentence = parts.join("; ");
    let mut chars = sentence.chars();
    let sentence = chars.next().into_iter().flat_map(char::to_uppercase).chain(chars).chain(['.']).collect();
    (level, sentence)
}

/// How far the service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// It has no partitions.
    StandingBy,
    /// The end of a partition is not known.
    Unknown,
    CaughtUp,
    /// Records are not stored, the oldest of which has this age.
    Behind {
        lag: u64,
        age: Option<Duration>,
        left: Option<Duration>,
    },
}

fn progress(status: &Status) -> Progress {
    match status.lag_records {
        _ if status.partitions.is_empty() => Progress::StandingBy,
        None => Progress::Unknown,
        Some(0) => Progress::CaughtUp,
        Some(lag) => {
            let age = status.partitions.iter().filter_map(|partition| partition.lag).max();
            Progress::Behind { lag, age, left: status.rates.left }
        }
    }
}

impl Progress {
    fn text(self) -> String {
        match self {
            Self::StandingBy => "no partitions assigned: this member stands by".to_owned(),
            Self::Unknown => "lag not known".to_owned(),
            Self::CaughtUp => "caught up".to_owned(),
            Self::Behind { lag, age, left } => {
                let unit = if lag == 1 { "record" } else { "records" };
                let age = age.map(|age| format!(" of at most {}", Rounded(age))).unwrap_or_default();
                let left = left.map(|left| format!(", about {} left", Rounded(left))).unwrap_or_default();
                format!("catching up, lag {} {unit}{age}{left}", Grouped(lag))
            }
        }
    }
}
