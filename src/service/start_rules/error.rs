//! Why a partition must not be read before an operator has decided where. Must not decide anything.

use std::fmt;

use kafka::TopicPartition;

use crate::storage::JumpReason;

/// Why a partition cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartError {
    /// Records were lost before they were read.
    DataLoss {
        /// The partition.
        partition: TopicPartition,
        /// What happened.
        reason: JumpReason,
        /// Which records are lost.
        detail: String,
    },
    /// Another database has read the partition, and no consumer group assigns partitions.
    OtherDatabase {
        /// The partition.
        partition: TopicPartition,
        /// The id in the group's commit metadata.
        committed_by: String,
        /// The id of the database in use.
        database_id: String,
    },
    /// Nothing is stored, nothing is committed, and `KAFKA_AUTO_OFFSET_RESET` is `error`.
    NoPosition(TopicPartition),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DataLoss { partition, detail, .. } => write!(
                f,
                "data loss on {partition}: {detail}; to continue with the remaining records, set the group's offset for this \
                 partition with 'enterprise-consumer reset' or kafka-consumer-groups --reset-offsets, or start with \
                 FAIL_ON_DATA_LOSS=false"
            ),
            Self::OtherDatabase { partition, committed_by, database_id } => write!(
                f,
                "{partition} was read into another database (id '{committed_by}'), not into this one (id '{database_id}'): with \
                 KAFKA_GROUP_PROTOCOL=none a group belongs to one database; start with that database or another \
                 KAFKA_GROUP_ID, or, if that database no longer exists, reset the group's offsets with 'enterprise-consumer \
                 reset' or kafka-consumer-groups --reset-offsets"
            ),
            Self::NoPosition(partition) => write!(
                f,
                "{partition} has no stored and no committed offset, and KAFKA_AUTO_OFFSET_RESET is 'error': set an offset with \
                 'enterprise-consumer reset' or kafka-consumer-groups --reset-offsets, or choose 'earliest' or 'latest'"
            ),
        }
    }
}

impl std::error::Error for StartError {}
