//! What metadata has shown of the cluster, and when to request it again. Must not know brokers' connections or partitions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::event::Retrying;
use super::group::refuses_member;
use super::pause::Pause;
use crate::backoff::RetryPolicy;
use crate::error::{Error, Result};
use crate::protocol::Metadata;

/// How old metadata may be while a broker is late with a fetch. Until the controller notices (`broker.session.timeout.ms`, 9 s) it may
/// have to be requested several times.
const METADATA_AGE_MAX_LATE: Duration = Duration::from_secs(1);

/// The cluster, as metadata has shown it last.
pub(super) struct Topology {
    /// `None` also from brokers that have none.
    cluster_id: Option<Arc<str>>,
    age_max: Duration,
    retry: RetryPolicy,
    requested_at: Instant,
    due_at: Instant,
    /// Count of metadata responses.
    serial: u64,
    /// Topics that metadata has shown, with all their partitions.
    topics_seen: BTreeSet<Arc<str>>,
    /// Topics that metadata refuses, or whose partitions have no leader.
    topics_failing: BTreeMap<Arc<str>, Pause>,
    pub(super) pause: Pause,
}

impl Topology {
    pub(super) fn new(age_max: Duration, retry: RetryPolicy) -> Self {
        let now = Instant::now();
        Self {
            cluster_id: None,
            age_max,
            retry,
            requested_at: now,
            due_at: now,
            serial: 0,
            topics_seen: BTreeSet::new(),
            topics_failing: BTreeMap::new(),
            pause: Pause::new(retry),
        }
    }

    /// Empty from brokers that have none.
    pub(super) fn cluster_id(&self) -> Arc<str> {
        self.cluster_id.clone().unwrap_or_default()
    }

    pub(super) fn serial(&self) -> u64 {
        self.serial
    }

    /// Metadata is requested now; next when it is too old.
    pub(super) fn begin_request(&mut self, now: Instant) {
        self.requested_at = now;
        self.due_at = now + self.age_max;
    }

    /// Metadata may be outdated.
    pub(super) fn request_soon(&mut self, now: Instant) {
        self.due_at = now;
    }

    /// When metadata is to be requested: before it is too old, and soon while a broker is late, since others may lead its partitions.
    pub(super) fn due_at(&self, is_broker_late: bool) -> Instant {
        if is_broker_late { self.due_at.min(self.requested_at + METADATA_AGE_MAX_LATE) } else { self.due_at }
    }

    /// Metadata has come.
    pub(super) fn succeeded(&mut self, metadata: &Metadata) {
        self.pause.succeeded();
        self.serial += 1;
        if let Some(cluster_id) = &metadata.cluster_id
            && self.cluster_id.as_deref() != Some(cluster_id)
        {
            self.cluster_id = Some(Arc::from(cluster_id.as_str()));
        }
    }

    /// No broker has sent metadata.
    pub(super) fn failed(&mut self, error: Error, now: Instant) -> Result<Retrying> {
        self.request_soon(now);
        self.pause.failed(error, now)
    }

    pub(super) fn has_seen(&self, topic: &str) -> bool {
        self.topics_seen.contains(topic)
    }

    pub(super) fn note_seen(&mut self, topic: &Arc<str>) {
        self.topics_seen.insert(Arc::clone(topic));
    }

    /// All partitions of the topic have leaders.
    pub(super) fn topic_succeeded(&mut self, topic: &str) {
        self.topics_failing.remove(topic);
    }

    /// Metadata refuses a topic, or shows partitions without leaders: it is requested again after a pause of the topic's own, long before
    /// it is too old. `None` while that pause lasts.
    pub(super) fn topic_failed(&mut self, topic: &Arc<str>, error: Error, now: Instant) -> Option<Result<Retrying>> {
        let retry = self.retry;
        let pause = self.topics_failing.entry(Arc::clone(topic)).or_insert_with(|| Pause::new(retry));
        let is_misplaced = matches!(error, Error::Topic { code, .. } if refuses_member(code));
        let failed =
            pause.is_over(now).then(|| if is_misplaced { pause.again(error, now) } else { pause.failed(error, now) });
        self.due_at = pause.until().map_or(self.due_at, |again| again.min(self.due_at));
        failed
    }

    #[cfg(test)]
    pub(super) fn set_times(&mut self, requested_at: Instant, due_at: Instant) {
        (self.requested_at, self.due_at) = (requested_at, due_at);
    }
}
