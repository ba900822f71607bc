//! Stores what the consumer knows in its [`Statistics`](crate::Statistics), for other threads. Must not decide anything.

use std::time::{Duration, Instant};

use super::Consumer;
use super::partition::Partition;
use super::pause::Pause;

/// How often the state of all partitions is stored at most: a topic may have thousands.
pub(super) const INTERVAL: Duration = Duration::from_millis(100);

impl Consumer {
    /// Stores the state of the membership and of the partitions, if some time has passed since the last time.
    pub(super) fn publish_when_due(&mut self, now: Instant) {
        if self.published_at.is_some_and(|at| now.saturating_duration_since(at) < INTERVAL) {
            return;
        }
        self.published_at = Some(now);
        let statistics = &self.config.connection.statistics;
        statistics.set_membership(self.membership.state());
        let is_read = |partition: &Partition| partition.is_reading() && partition.leadership.leader().is_some();
        statistics.set_partitions(self.partitions.iter().map(|(at, partition)| (at, is_read(partition))));
        statistics.set_failing_attempts(self.failing_attempts(now));
    }

    fn failing_attempts(&self, now: Instant) -> u32 {
        let partitions = self.partitions.values().map(|partition: &Partition| &partition.pause);
        let parts = [&self.commits.pause, &self.partitions.pause, &self.topology.pause];
        let attempts = partitions.chain(parts).map(Pause::attempts);
        attempts.chain([self.fetcher.failing_attempts(&self.partitions, now)]).max().unwrap_or_default()
    }
}
