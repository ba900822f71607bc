//! What the consumer knows of one partition: how far its start has come, its position, and its records on hand.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::pause::Pause;
use crate::backoff::RetryPolicy;
use crate::record_batch::PartitionReader;
use crate::types::{CommittedOffset, TopicId};

/// How long a replica that the leader named is used before the leader is asked again; Kafka's own consumer
/// takes its metadata's age for it.
const PREFERRED_REPLICA_AGE_MAX: Duration = Duration::from_mins(5);

/// How far the way from "there is such a partition" to "its records come" has been gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Known from metadata; what the group committed and what the log holds is still to be asked.
    New,
    /// The user has been told and chooses where to start.
    Assigned,
    /// The user has chosen; the group offset is being committed to claim it.
    Claiming,
    /// Records come.
    Reading,
    /// The leader refused the position; what the log holds is still to be asked.
    OutOfRange,
}

/// Fetched records of one partition.
pub(super) struct Fetched {
    pub(super) reader: PartitionReader,
    /// End of the log when they were fetched.
    pub(super) end_offset: i64,
    /// Keeps count of the responses that are held in memory: see `Broker`.
    pub(super) _response: Arc<()>,
}

/// One partition of a topic that we read.
pub(super) struct Partition {
    pub(super) topic_id: Option<TopicId>,
    /// Broker that leads it, if there is one at the moment.
    pub(super) leader: Option<i32>,
    pub(super) leader_epoch: Option<i32>,
    /// A follower that the leader sent us to, and until when (KIP-392).
    preferred_replica: Option<(i32, Instant)>,
    pub(super) phase: Phase,
    /// What the group had committed when the partition was assigned.
    pub(super) committed_seen: Option<CommittedOffset>,
    /// The next offset that the user will see.
    pub(super) position: i64,
    /// The next offset to fetch: what lies between the two is in `fetched`.
    pub(super) fetch_position: i64,
    /// At most two: one being read, and the one after it.
    pub(super) fetched: VecDeque<Fetched>,
    /// Its next fetch must be for it alone and for one batch only: one with others was too large, or cut its batch off.
    pub(super) alone: bool,
    pub(super) pause: Pause,
}

impl Partition {
    pub(super) fn new(retry: RetryPolicy) -> Self {
        Self {
            topic_id: None,
            leader: None,
            leader_epoch: None,
            preferred_replica: None,
            phase: Phase::New,
            committed_seen: None,
            position: 0,
            fetch_position: 0,
            fetched: VecDeque::new(),
            alone: false,
            pause: Pause::new(retry),
        }
    }

    /// The broker to fetch from.
    pub(super) fn source(&self, now: Instant) -> Option<i32> {
        match self.preferred_replica {
            Some((replica, until)) if now < until => Some(replica),
            _ => self.leader,
        }
    }

    /// Follows the leader's advice where to fetch.
    pub(super) fn prefer(&mut self, replica: i32, now: Instant) {
        self.preferred_replica = Some((replica, now + PREFERRED_REPLICA_AGE_MAX));
    }

    /// Fetches from the leader again; tells whether that is a change.
    pub(super) fn back_to_leader(&mut self) -> bool {
        self.preferred_replica.take().is_some()
    }

    /// Goes to another position: whatever has been fetched is of no use.
    pub(super) fn seek(&mut self, offset: i64) {
        self.position = offset;
        self.drop_fetched();
    }

    /// Fetches again from where the user is.
    pub(super) fn drop_fetched(&mut self) {
        self.fetched.clear();
        self.fetch_position = self.position;
    }

    /// Whether the next fetch from `broker` may ask for it.
    pub(super) fn wants_fetch(&self, broker: i32, now: Instant) -> bool {
        self.phase == Phase::Reading
            && self.source(now) == Some(broker)
            && self.pause.is_over(now)
            && self.fetched.len() < 2
    }
}
