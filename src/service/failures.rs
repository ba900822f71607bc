//! Logs failures that the Kafka client retries. Must not retry anything.

use std::time::{Duration, Instant};

use kafka::{Error, ErrorCode, Retrying};
use log::Level;

use crate::runtime::error_chain::ErrorChain;
use crate::runtime::millis::millis;
use crate::settings::advice;

/// How long a cluster may take to create its topic `__consumer_offsets`, for its first consumer group. Until then no
/// broker is the coordinator.
const OFFSETS_TOPIC_CREATION: Duration = Duration::from_secs(10);

/// Recent failures.
#[derive(Debug, Default)]
pub(super) struct Failures {
    coordinator: Option<CoordinatorAbsence>,
}

/// A time in which no coordinator was available.
#[derive(Clone, Copy, Debug)]
struct CoordinatorAbsence {
    since: Instant,
    last: Instant,
    /// If the next failure comes later than this after the last one, it begins another absence.
    gap_max: Duration,
}

impl Failures {
    pub(super) fn log(&mut self, Retrying { error, attempt, wait }: &Retrying) {
        let level = self.level(error, *wait, Instant::now());
        let advice = advice(error).map(|advice| format!("; {advice}")).unwrap_or_default();
        log::log!(
            level, attempt = *attempt, wait_ms = millis(*wait); "{}{advice}; trying again", ErrorChain(error)
        );
    }

    /// WARN, except for the error that every new cluster returns in its first seconds.
    fn level(&mut self, error: &Error, wait: Duration, now: Instant) -> Level {
        if !matches!(error, Error::Broker { code: ErrorCode::COORDINATOR_NOT_AVAILABLE, .. }) {
            return Level::Warn;
        }
        let known = self.coordinator.filter(|absence| now.duration_since(absence.last) <= absence.gap_max);
        let since = known.map_or(now, |absence| absence.since);
        self.coordinator = Some(CoordinatorAbsence { since, last: now, gap_max: wait + OFFSETS_TOPIC_CREATION });
        if now.duration_since(since) < OFFSETS_TOPIC_CREATION { Level::Info } else { Level::Warn }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn refusal(code: ErrorCode) -> Error {
        let address = kafka::Address { host: "broker".to_owned(), port: 9092 };
        Error::Broker { address, request: "FindCoordinator", code, subject: "group 'g'".to_owned() }
    }

    #[test]
    fn a_new_cluster_without_a_coordinator_is_a_warning_only_if_it_lasts() {
        let mut failures = Failures::default();
        let begun = Instant::now();
        let mut level = |code, seconds| failures.level(&refusal(code), SECOND, begun + SECOND * seconds);
        let absent = ErrorCode::COORDINATOR_NOT_AVAILABLE;
        assert_eq!([0, 1, 5, 9].map(|seconds| level(absent, seconds)), [Level::Info; 4]);
        assert_eq!(level(ErrorCode::NOT_COORDINATOR, 9), Level::Warn);
        assert_eq!([10, 15, 20].map(|seconds| level(absent, seconds)), [Level::Warn; 3]);
        // Much later it is another absence.
        assert_eq!([600, 609, 610].map(|seconds| level(absent, seconds)), [Level::Info, Level::Info, Level::Warn]);
    }

    #[test]
    fn a_long_backoff_does_not_end_an_absence() {
        let mut failures = Failures::default();
        let begun = Instant::now();
        let absent = refusal(ErrorCode::COORDINATOR_NOT_AVAILABLE);
        assert_eq!(failures.level(&absent, SECOND * 30, begun), Level::Info);
        assert_eq!(failures.level(&absent, SECOND * 30, begun + SECOND * 35), Level::Warn);
    }
}
