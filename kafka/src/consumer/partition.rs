//! What the consumer knows of one partition: how far its start has come, its position, and its records on hand.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::pause::Pause;
use super::token::StartToken;
use super::validation::Suspicion;
use crate::backoff::RetryPolicy;
use crate::record_batch::PartitionReader;
use crate::types::{CommittedOffset, TopicId};

/// How long a replica that the leader named is used before the leader is asked again; Kafka's own consumer
/// takes its metadata's age for it.
const PREFERRED_REPLICA_AGE_MAX: Duration = Duration::from_mins(5);

/// How long records come from the leader after a replica failed: it goes on naming one that has died until the controller
/// notices (`broker.session.timeout.ms`, 9 s), and answers with a name instead of records.
const LEADER_ONLY: Duration = Duration::from_secs(30);

/// How far the way from "there is such a partition" to "its records come" has been gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Known from metadata; what the group committed and what the log holds is still to be asked.
    New,
    /// The user has been told and chooses where to start.
    Assigned,
    /// The user has chosen; the group offset is being committed to claim it.
    Claiming,
    /// Claimed; the leader is being asked whether it has what was read before the position.
    Validating,
    /// Records come.
    Reading,
    /// The leader refused the position; what the log holds is still to be asked.
    OutOfRange,
    /// Another member will get it; the user is finishing with it.
    Revoked,
}

/// Whom to fetch from
/// ([KIP-392](https://cwiki.apache.org/confluence/display/KAFKA/KIP-392%3A+Allow+consumers+to+fetch+from+closest+replica)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// The leader, which may name another replica instead of sending records.
    Leader,
    /// A replica that the leader named.
    Replica { id: i32, until: Instant },
    /// The leader, which must send the records itself.
    LeaderOnly { until: Instant },
}

/// Fetched records of one partition.
pub(super) struct Fetched {
    pub(super) reader: PartitionReader,
    /// End of the log when they were fetched.
    pub(super) end_offset: i64,
    /// Keeps count of the responses that are held in memory: see `Broker`.
    pub(super) response: Arc<()>,
}

/// One partition of a topic that we read.
pub(super) struct Partition {
    pub(super) topic_id: Option<TopicId>,
    /// Broker that leads it, if there is one at the moment.
    pub(super) leader: Option<i32>,
    pub(super) leader_epoch: Option<i32>,
    source: Source,
    pub(super) phase: Phase,
    /// The token that a start position is asked for with.
    pub(super) asked: Option<StartToken>,
    /// The token that it was started with and is read under; none before the first, and after somebody else has set its offset. Tells
    /// commits under this one from those under earlier ones, which no longer count.
    pub(super) claim: Option<StartToken>,
    /// What the group had committed when the partition was assigned.
    pub(super) committed_seen: Option<CommittedOffset>,
    /// End of the log when the user was asked where to start.
    pub(super) end_offset: i64,
    /// The start lies beyond that end, and the leader has not said yet whether it has such an offset.
    pub(super) is_beyond_end: bool,
    /// The next offset that the user will see.
    pub(super) position: i64,
    /// Epoch of the leader that wrote the record before it, if known.
    pub(super) position_epoch: Option<i32>,
    /// Whether the leader is asked at all whether its log still has what was read.
    validates: bool,
    /// The leader's log seems to have been truncated, by one answer so far.
    pub(super) suspicion: Option<Suspicion>,
    /// The next offset to fetch: what lies between the two is in `fetched`.
    pub(super) fetch_position: i64,
    /// At most two: one being read, and the one after it.
    pub(super) fetched: VecDeque<Fetched>,
    /// Its next fetch must be for it alone and for one batch only: one with others was too large, or cut its batch off.
    pub(super) alone: bool,
    pub(super) pause: Pause,
}

impl Partition {
    pub(super) fn new(retry: RetryPolicy, validates: bool) -> Self {
        Self {
            topic_id: None,
            leader: None,
            leader_epoch: None,
            source: Source::Leader,
            phase: Phase::New,
            asked: None,
            claim: None,
            committed_seen: None,
            end_offset: 0,
            is_beyond_end: false,
            position: 0,
            position_epoch: None,
            validates,
            suspicion: None,
            fetch_position: 0,
            fetched: VecDeque::new(),
            alone: false,
            pause: Pause::new(retry),
        }
    }

    /// Takes note of its leader. A new one need not be spared for what the old one did. That one of an earlier epoch is not stale
    /// news has been made sure of before.
    pub(super) fn led_by(&mut self, leader: Option<i32>, epoch: Option<i32>) {
        if leader.is_some() && (self.leader, self.leader_epoch) != (leader, epoch) {
            self.pause.cut_short();
        }
        self.leader = leader;
        let is_another = self.leader_epoch != epoch;
        self.leader_epoch = epoch;
        if is_another && self.is_claimed() {
            self.read_when_valid();
        }
    }

    /// Whether what was read of it may be committed: it has been claimed, and nobody else has set its offset since.
    pub(super) fn may_be_committed(&self) -> bool {
        self.claim.is_some() && !matches!(self.phase, Phase::New | Phase::Claiming)
    }

    /// Whether it is ours to read.
    pub(super) fn is_claimed(&self) -> bool {
        matches!(self.phase, Phase::Validating | Phase::Reading)
    }

    /// Reads from the position, once the leader has confirmed, where that can be asked, that its log still has what was read before.
    /// Whatever has been fetched came from the leader of another epoch, and may be gone with it.
    pub(super) fn read_when_valid(&mut self) {
        self.drop_fetched();
        self.suspicion = None;
        let can_be_asked = self.validates && self.position_epoch.is_some() && self.leader_epoch.is_some();
        self.phase = if can_be_asked { Phase::Validating } else { Phase::Reading };
    }

    /// The broker to fetch from.
    pub(super) fn source(&self, now: Instant) -> Option<i32> {
        match self.source {
            Source::Replica { id, until } if now < until => Some(id),
            _ => self.leader,
        }
    }

    /// Whether the leader may name a replica instead of sending records.
    pub(super) fn may_be_redirected(&self, now: Instant) -> bool {
        !matches!(self.source, Source::LeaderOnly { until } if now < until)
    }

    /// Follows the leader's advice where to fetch.
    pub(super) fn prefer(&mut self, replica: i32, now: Instant) {
        self.source = Source::Replica { id: replica, until: now + PREFERRED_REPLICA_AGE_MAX };
    }

    /// Fetches from the leader, which shall not name a replica for a while.
    pub(super) fn stay_with_leader(&mut self, now: Instant) {
        self.source = Source::LeaderOnly { until: now + LEADER_ONLY };
    }

    /// A fetch of it failed. Turns to the leader if it was sent to a replica, and tells whether it was.
    pub(super) fn leave_replica(&mut self, now: Instant) -> bool {
        let at_replica = matches!(self.source, Source::Replica { .. });
        if at_replica {
            self.stay_with_leader(now);
        }
        at_replica
    }

    /// Turns to the leader if it was sent to a replica that is no longer there.
    pub(super) fn leave_replica_unless(&mut self, now: Instant, is_there: impl Fn(i32) -> bool) {
        if matches!(self.source, Source::Replica { id, .. } if !is_there(id)) {
            self.stay_with_leader(now);
        }
    }

    /// Goes to another position: whatever has been fetched is of no use.
    pub(super) fn seek(&mut self, offset: i64, epoch: Option<i32>) {
        self.position = offset;
        self.position_epoch = epoch;
        self.is_beyond_end = offset > self.end_offset;
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
