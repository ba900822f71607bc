//! Judges the brokers' responses by the start rules of the service: who reads a partition, where `run` would start, and what it has
//! not read. Pure; must not send requests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kafka::{
    Assignment, GroupDescription, IsolationLevel, MemberDescription, Metadata, OutOfRange, StartToken, TopicPartition,
    Truncated, Truncation, Watermarks,
};

use crate::commands::inspection::view::{LocalState, PartitionInspection, Reader};
use crate::service::start_rules::{self, CommitMetadata, Policy, StartDecision, StartError, StoredOffset};
use crate::settings::{GroupProtocol, KafkaSettings};

/// Partitions by name.
type Partitions = BTreeMap<TopicPartition, PartitionInspection>;

/// The settings, the database and the metadata by which partitions are judged.
pub(super) struct Judge<'a> {
    pub(super) kafka: &'a KafkaSettings,
    pub(super) policy: Policy,
    pub(super) local: &'a LocalState,
    pub(super) metadata: &'a Metadata,
}

impl Judge<'_> {
    /// The reader of each assigned partition.
    pub(super) fn readers(&self, group: &GroupDescription) -> Vec<(TopicPartition, Reader)> {
        let of_member = |member: &MemberDescription| {
            let reader = if self.is_this_instance(member) { Reader::ThisInstance } else { Reader::Other };
            let reader = reader(member.clone());
            member.partitions.iter().map(|at| (at.clone(), reader.clone())).collect::<Vec<_>>()
        };
        group.members.iter().flat_map(of_member).collect()
    }

    /// Whether a member is the instance of this database. The classic protocol identifies it by its instance id, the consumer
    /// protocol by its member id.
    fn is_this_instance(&self, member: &MemberDescription) -> bool {
        let database_id = self.local.database_id.as_deref();
        match &self.kafka.group_protocol {
            GroupProtocol::None => false,
            GroupProtocol::Classic { instance_id, .. } => {
                let is_named = |ours: &str| match &member.instance_id {
                    Some(theirs) => theirs == ours,
                    // Brokers before 2.4 do not return instance ids, but derive member ids from them.
                    None => member.id.strip_prefix(ours).is_some_and(|rest| rest.starts_with('-')),
                };
                instance_id.as_deref().or(database_id).is_some_and(is_named)
            }
            GroupProtocol::Consumer { .. } => Some(member.id.as_str()) == database_id,
        }
    }

    /// Applies the start rules to each partition that no other member reads.
    pub(super) fn choose_starts(&self, partitions: &mut Partitions) {
        let own = CommitMetadata {
            database_id: self.local.database_id.clone().unwrap_or_default(),
            cluster_id: self.metadata.cluster_id.clone().unwrap_or_default(),
        };
        let known_topics: BTreeSet<&str> = self.local.positions.iter().map(|stored| stored.topic.as_str()).collect();
        for (at, partition) in partitions {
            let Some(watermarks) = partition.watermarks else { continue };
            if matches!(partition.reader, Reader::Other(_)) {
                continue;
            }
            let assignment = self.assignment(at, watermarks, partition);
            let stored = self.local.position(at).map(StoredOffset::of);
            let is_topic_known = known_topics.contains(&*at.topic);
            partition.skipped = start_rules::count_skipped_records(&assignment, self.local.positions.is_empty(), &own);
            partition.start = Some(start_rules::choose(&assignment, stored, is_topic_known, &own, self.policy));
        }
    }

    /// The start positions with a leader epoch, which the consumer validates before it fetches.
    pub(super) fn positions_to_validate(&self, partitions: &Partitions) -> Vec<(TopicPartition, i64, i32)> {
        if !self.kafka.validate_leader_epochs {
            return Vec::new();
        }
        let position = |(at, partition): (&TopicPartition, &PartitionInspection)| match &partition.start {
            Some(Ok(choice)) => Some((at.clone(), choice.offset(), choice.leader_epoch()?)),
            _ => None,
        };
        partitions.iter().filter_map(position).collect()
    }

    /// Replaces the start of each partition whose log was truncated, or does not have the start offset, by the decision on the loss.
    pub(super) fn confirm_starts(
        &self,
        partitions: &mut Partitions,
        truncations: &BTreeMap<TopicPartition, Truncated>,
    ) {
        for (at, partition) in partitions {
            let (Some(Ok(choice)), Some(watermarks)) = (&partition.start, partition.watermarks) else { continue };
            let assignment = self.assignment(at, watermarks, partition);
            if let Some(start) = self.decide_on_loss(choice, &assignment, watermarks, truncations.get(at)) {
                partition.start = Some(start);
            }
        }
    }

    /// The decision of the start rules on a start offset that the log does not have; `None` if the log has it.
    fn decide_on_loss(
        &self,
        choice: &StartDecision,
        assignment: &Assignment,
        watermarks: Watermarks,
        truncated: Option<&Truncated>,
    ) -> Option<Result<StartDecision, StartError>> {
        let position = choice.offset();
        let (partition, topic_id) = (assignment.partition.clone(), assignment.topic_id);
        if let (Some(truncated), Some(position_epoch)) = (truncated, choice.leader_epoch()) {
            let Truncated { divergence_offset, divergence_epoch } = *truncated;
            let truncation = Truncation {
                token: assignment.token,
                partition,
                topic_id,
                position,
                position_epoch,
                divergence_offset,
                divergence_epoch,
            };
            return Some(start_rules::choose_truncated(&truncation, self.policy));
        }
        if (watermarks.start_offset..=watermarks.end_offset).contains(&position) {
            return None;
        }
        let range = OutOfRange {
            token: assignment.token,
            partition,
            topic_id,
            position,
            log_start_offset: watermarks.start_offset,
            end_offset: assignment.end_offset,
        };
        Some(start_rules::choose_out_of_range(&range, self.policy))
    }

    /// The assignment that the consumer would receive.
    fn assignment(&self, at: &TopicPartition, watermarks: Watermarks, partition: &PartitionInspection) -> Assignment {
        let topic = self.metadata.topics.iter().find(|topic| topic.name == at.topic);
        Assignment {
            // No consumer waits for a start position here.
            token: StartToken::new(0),
            partition: at.clone(),
            topic_id: topic.and_then(|topic| topic.id),
            committed: partition.committed.clone(),
            log_start_offset: watermarks.start_offset,
            end_offset: match self.kafka.isolation_level {
                IsolationLevel::ReadCommitted => watermarks.last_stable_offset,
                IsolationLevel::ReadUncommitted => watermarks.end_offset,
            },
            cluster_id: Arc::from(self.metadata.cluster_id.clone().unwrap_or_default()),
        }
    }

    /// The next offset to read of each partition, within its log: a fetch outside of the log is refused.
    pub(super) fn unread_offsets(&self, partitions: &Partitions) -> BTreeMap<TopicPartition, i64> {
        let offset = |(at, partition): (&TopicPartition, &PartitionInspection)| {
            let watermarks = partition.watermarks?;
            let stored = self.local.position(at).map(|stored| stored.next_offset);
            let position = partition.position(stored).unwrap_or(watermarks.end_offset);
            Some((at.clone(), position.clamp(watermarks.start_offset, watermarks.end_offset)))
        };
        partitions.iter().filter_map(offset).collect()
    }
}

/// The last stable offset of each partition with an open transaction.
pub(super) fn blocked_offsets(partitions: &Partitions) -> BTreeMap<TopicPartition, i64> {
    let offset = |(at, partition): (&TopicPartition, &PartitionInspection)| {
        let watermarks = partition.watermarks?;
        let is_blocked = watermarks.last_stable_offset < watermarks.end_offset;
        is_blocked.then(|| (at.clone(), watermarks.last_stable_offset))
    };
    partitions.iter().filter_map(offset).collect()
}
