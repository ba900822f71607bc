//! Consumer groups: their members and committed offsets.

use std::collections::BTreeSet;

use super::topic::TopicPartition;

/// The offset that a group has committed for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The next offset to read.
    pub offset: i64,
    /// The leader epoch of the last record that was read, if the committer knew it.
    pub leader_epoch: Option<i32>,
    /// The committer's free text; empty from Kafka's tools.
    pub metadata: String,
}

/// A consumer group as its coordinator describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupDescription {
    /// `Stable`, `Empty`, `PreparingRebalance`, …, as Kafka's tools show it; `Dead` for a group that does not exist.
    pub state: String,
    /// Its members, in no particular order.
    pub members: Vec<MemberDescription>,
}

/// A member of a consumer group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberDescription {
    /// The member id.
    pub id: String,
    /// `group.instance.id` of a static member
    /// ([KIP-345](https://cwiki.apache.org/confluence/display/KAFKA/KIP-345%3A+Introduce+static+membership+protocol+to+reduce+consumer+rebalances)).
    pub instance_id: Option<String>,
    /// `client.id`.
    pub client_id: String,
    /// The address that it connects from, as the broker shows it: `/10.0.0.7`.
    pub host: String,
    /// The partitions that are assigned to it; empty while the group rebalances.
    pub partitions: BTreeSet<TopicPartition>,
}

/// The member of a group that sends a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) id: String,
    /// `group.instance.id` of a static member, which outlives the process
    /// ([KIP-345](https://cwiki.apache.org/confluence/display/KAFKA/KIP-345%3A+Introduce+static+membership+protocol+to+reduce+consumer+rebalances)).
    pub(crate) instance_id: Option<String>,
    /// The generation of a classic group, or the member epoch
    /// ([KIP-848](https://cwiki.apache.org/confluence/display/KAFKA/KIP-848%3A+The+Next+Generation+of+the+Consumer+Rebalance+Protocol)).
    /// The coordinator fences requests of an older one.
    pub(crate) epoch: i32,
}
