//! Unidentified messages as commands list, read and prune them.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::path::Path;

use super::error::StorageError;
use super::topic_id::TopicId;
use crate::entity::Reason;

/// Which messages: those that match every part that is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageFilter {
    /// Of the topic of this name.
    pub topic: Option<String>,
    /// Of the partition of this number.
    pub partition: Option<i32>,
    /// Kept for this reason.
    pub reason: Option<Reason>,
    /// Stored at this time or later, RFC 3339 in UTC with milliseconds.
    pub since: Option<String>,
    /// Stored before this time, likewise.
    pub before: Option<String>,
    /// Whether they have been replayed.
    pub replayed: Option<bool>,
}

/// A message without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedMessage {
    /// Ascends in the order of storing.
    pub id: i64,
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The record's offset.
    pub offset: i64,
    /// Milliseconds since 1970; `None` if the record has no timestamp.
    pub timestamp_ms: Option<i64>,
    /// Why the record is unidentified.
    pub reason: String,
    /// What exactly is wrong with it.
    pub error: String,
    /// When the message was stored, RFC 3339.
    pub received_at: String,
    /// When it was replayed, if it was.
    pub replayed_at: Option<String>,
    /// The size of the key; `None` if there is none.
    pub key_bytes: Option<u64>,
    /// The size of the value; `None` of a tombstone.
    pub value_bytes: Option<u64>,
}

/// A message with everything that is kept of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptMessage {
    /// What a list shows of it.
    pub listed: ListedMessage,
    /// The topic's id; `None` if not known.
    pub topic_id: Option<TopicId>,
    /// The key, byte for byte.
    pub key: Option<Vec<u8>>,
    /// The value, byte for byte.
    pub value: Option<Vec<u8>>,
    /// The headers as JSON; see `schema.sql`.
    pub headers: String,
}

/// What to do with messages that are not in the log file of unidentified messages yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnloggedMessages {
    /// They stay: the service will write them.
    Keep,
    /// They are pruned as the others: there is no log file.
    Prune,
}

impl UnloggedMessages {
    /// What to do with them if this is the log file.
    pub fn of(log_file: Option<&Path>) -> Self {
        if log_file.is_some() { Self::Keep } else { Self::Prune }
    }
}

/// Which messages to prune.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PruneRequest {
    /// The messages.
    pub filter: MessageFilter,
    /// Those that are not in the log file.
    pub unlogged: UnloggedMessages,
}

/// How far a prune has come: in the order of the times of storing, and of ids where these are equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneCursor {
    /// When the last message that was examined was stored.
    pub received_at: String,
    /// Its id.
    pub id: i64,
}

/// One step of a prune.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneStep {
    /// What it deleted.
    pub pruned: PruneCounts,
    /// Where the next step begins; `None` after the last one.
    pub next: Option<PruneCursor>,
}

/// Messages of one partition and reason.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PruneGroup {
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// Why they were kept.
    pub reason: String,
}

/// How many messages, and the bytes of their keys, values and headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PruneCount {
    /// The messages.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl AddAssign for PruneCount {
    fn add_assign(&mut self, more: Self) {
        self.messages += more.messages;
        self.bytes += more.bytes;
    }
}

/// What was pruned, or would be, by partition and reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneCounts(BTreeMap<PruneGroup, PruneCount>);

impl PruneCounts {
    /// Counts messages.
    pub fn add(&mut self, group: PruneGroup, count: PruneCount) {
        *self.0.entry(group).or_default() += count;
    }

    /// Counts those of others, too.
    pub fn extend(&mut self, more: Self) {
        for (group, count) in more.0 {
            self.add(group, count);
        }
    }

    /// Each partition and reason with its count, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&PruneGroup, PruneCount)> {
        self.0.iter().map(|(group, count)| (group, *count))
    }

    /// The sum.
    pub fn total(&self) -> PruneCount {
        let mut total = PruneCount::default();
        for count in self.0.values() {
            total += *count;
        }
        total
    }
}

/// A database whose unidentified messages are pruned, also while a service runs.
pub trait Pruner {
    /// Examines some messages after a cursor, and deletes those that match, in one transaction of a few milliseconds. Each position that has
    /// counted a deleted message counts it as pruned in the same transaction. Repeating a step that failed is safe.
    fn prune(&mut self, request: &PruneRequest, after: &PruneCursor) -> Result<PruneStep, StorageError>;
}
