//! The commit metadata that marks a group offset as committed by this program. Must not know offsets.

use std::fmt;

/// The `metadata` of an [`OffsetCommit` request](https://kafka.apache.org/protocol#The_Messages_OffsetCommit): it names
/// the database that holds what was read up to the offset.
///
/// The cluster's id is part of it because a mirrored or restored cluster copies group offsets with their metadata:
/// there the offsets say nothing about the content of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitMetadata {
    /// Id of the database that holds the rows.
    pub database_id: String,
    /// Id of the cluster that the records were read from.
    pub cluster_id: String,
}

impl CommitMetadata {
    /// Parses the metadata of a group offset; `None` if this program did not write it.
    pub fn parse(metadata: &str) -> Option<Self> {
        let (database_id, cluster_id) = metadata.strip_prefix("database=")?.split_once(" cluster=")?;
        Some(Self { database_id: database_id.to_owned(), cluster_id: cluster_id.to_owned() })
    }
}

impl fmt::Display for CommitMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "database={} cluster={}", self.database_id, self.cluster_id)
    }
}
