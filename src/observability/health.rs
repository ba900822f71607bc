//! Whether the service is ready: able to make progress. (Live is whether its threads make progress: see
//! [`stages`](crate::runtime::stages).) Decides from published numbers only. The reasons are fixed texts, without
//! anything that comes from outside.

use std::time::{Duration, Instant};

use kafka::MembershipState;

use super::metrics::Metrics;

/// How long writes, or responses of brokers, may fail before the service is not ready: longer than a broker's restart.
const FAILING_MAX: Duration = Duration::from_mins(1);

/// Whether the service is ready, and every reason why not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Why it is not ready; it is if there is no reason.
    pub reasons: Vec<String>,
}

impl Health {
    /// Whether there is no reason.
    pub fn is_ready(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// Whether the service is ready now.
pub fn readiness(metrics: &Metrics, is_stopping: bool, now: Instant) -> Health {
    let mut reasons = Vec::new();
    if is_stopping {
        reasons.push("the service is stopping".to_owned());
    }
    if metrics.database().is_none() {
        reasons.push("the database is not open".to_owned());
        return Health { reasons };
    }
    for (attempts, what) in [
        (&metrics.database_attempts, "writes to the database have failed"),
        (&metrics.sync_attempts, "syncs of the database have failed"),
    ] {
        if let Some(time) = attempts.failing_for(now).filter(|time| *time >= FAILING_MAX) {
            reasons.push(format!("{what} for {} s", time.as_secs()));
        }
    }
    match metrics.consumer.since_response(now) {
        None => reasons.push("no broker has responded yet".to_owned()),
        Some(time) if time > FAILING_MAX => {
            reasons.push(format!("no broker has responded for {} s", time.as_secs()));
        }
        Some(_) => {}
    }
    match metrics.consumer.membership() {
        MembershipState::Unneeded | MembershipState::Joined => {}
        MembershipState::Joining => reasons.push("the member has not joined the consumer group".to_owned()),
        MembershipState::Rebalancing => reasons.push("the consumer group is rebalancing".to_owned()),
        MembershipState::Ended => reasons.push("the consumer group was left".to_owned()),
    }
    let partitions = metrics.consumer.partitions();
    let is_read = |partition: &&kafka::PartitionStatistics| partition.is_reading && partition.log_end.is_some();
    let read = partitions.values().filter(is_read).count();
    if read < partitions.len() {
        let unread = partitions.len() - read;
        reasons.push(format!("{unread} of {} assigned partitions cannot be read", partitions.len()));
    }
    Health { reasons }
}
