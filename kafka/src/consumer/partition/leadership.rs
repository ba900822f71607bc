//! Which broker leads a partition, and which replica its records are fetched from
//! ([KIP-392](https://cwiki.apache.org/confluence/display/KAFKA/KIP-392%3A+Allow+consumers+to+fetch+from+closest+replica)).
//! Must not know what is fetched.

use std::time::{Duration, Instant};

/// How long a replica that the leader named is used before the next fetch from the leader; in Kafka's own consumer it is
/// `metadata.max.age.ms`, 5 minutes by default.
const PREFERRED_REPLICA_AGE_MAX: Duration = Duration::from_mins(5);

/// How long the leader must send records itself after a replica failed: until the controller notices that a replica is down
/// (`broker.session.timeout.ms`, 9 s), the leader goes on naming it instead of sending records.
const LEADER_ONLY: Duration = Duration::from_secs(30);

/// The leader of a partition, and the replica to fetch from.
#[derive(Clone, Debug, Default)]
pub(in crate::consumer) struct Leadership {
    /// Broker that leads it, if there is one at the moment.
    leader: Option<i32>,
    epoch: Option<i32>,
    replica: FetchReplica,
}

/// The replica to fetch from.
#[derive(Clone, Copy, Debug, Default)]
enum FetchReplica {
    /// The leader, which may name another replica instead of sending records.
    #[default]
    Leader,
    /// A replica that the leader named.
    Preferred { id: i32, until: Instant },
    /// The leader, which must send the records itself.
    LeaderOnly { until: Instant },
}

impl Leadership {
    pub(super) fn set(&mut self, leader: Option<i32>, epoch: Option<i32>) {
        (self.leader, self.epoch) = (leader, epoch);
    }

    pub(super) fn is_by(&self, leader: Option<i32>, epoch: Option<i32>) -> bool {
        (self.leader, self.epoch) == (leader, epoch)
    }

    pub(in crate::consumer) fn epoch(&self) -> Option<i32> {
        self.epoch
    }

    pub(in crate::consumer) fn leader(&self) -> Option<i32> {
        self.leader
    }

    pub(in crate::consumer) fn clear_leader(&mut self) {
        self.leader = None;
    }

    /// The broker to fetch from.
    pub(in crate::consumer) fn fetch_broker(&self, now: Instant) -> Option<i32> {
        match self.replica {
            FetchReplica::Preferred { id, until } if now < until => Some(id),
            _ => self.leader,
        }
    }

    /// Whether the leader may name a replica instead of sending records.
    pub(in crate::consumer) fn may_be_redirected(&self, now: Instant) -> bool {
        !matches!(self.replica, FetchReplica::LeaderOnly { until } if now < until)
    }

    /// Fetches from a replica that the leader has named.
    pub(in crate::consumer) fn prefer_replica(&mut self, replica: i32, now: Instant) {
        self.replica = FetchReplica::Preferred { id: replica, until: now + PREFERRED_REPLICA_AGE_MAX };
    }

    /// Fetches from the leader, which must not name a replica for a while.
    pub(in crate::consumer) fn stay_with_leader(&mut self, now: Instant) {
        self.replica = FetchReplica::LeaderOnly { until: now + LEADER_ONLY };
    }

    /// Turns from a replica to the leader after a fetch has failed. True if it was a replica.
    pub(in crate::consumer) fn leave_replica(&mut self, now: Instant) -> bool {
        let at_replica = matches!(self.replica, FetchReplica::Preferred { .. });
        if at_replica {
            self.stay_with_leader(now);
        }
        at_replica
    }

    /// Turns to the leader if the replica is no longer in the cluster.
    pub(in crate::consumer) fn leave_replica_unless(&mut self, now: Instant, exists: impl Fn(i32) -> bool) {
        if matches!(self.replica, FetchReplica::Preferred { id, .. } if !exists(id)) {
            self.stay_with_leader(now);
        }
    }
}
