//! Prunes `unidentified_messages`, and counts in `consumer_offsets` what was pruned. Must not know when or why.

use rusqlite::{CachedStatement, OptionalExtension, Transaction, named_params, params};

use super::browse::{MATCHES, parameters};
use super::unidentified;
use crate::storage::kept::{
    MessageFilter, PruneCount, PruneCounts, PruneCursor, PruneGroup, PruneRequest, UnloggedMessages,
};

/// The bytes of a row that take most of its place. SQLite reads a length without the bytes.
const SIZE: &str = "ifnull(length(key), 0) + ifnull(length(value), 0) + length(headers)";

/// The messages of one step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Examined {
    /// Those that match, by id.
    pub(crate) matches: Vec<i64>,
    /// Where the next step begins; `None` if none is after these.
    pub(crate) next: Option<PruneCursor>,
}

/// The greatest id that may be pruned.
fn id_max(transaction: &Transaction<'_>, unlogged: UnloggedMessages) -> rusqlite::Result<i64> {
    match unlogged {
        UnloggedMessages::Keep => unidentified::log_cursor(transaction),
        UnloggedMessages::Prune => Ok(i64::MAX),
    }
}

/// Examines the messages after a cursor, in the order of the index over the times of storing: at most `messages_max`, and none after the
/// matches have reached `bytes_max`.
pub(crate) fn examine(
    transaction: &Transaction<'_>,
    request: &PruneRequest,
    after: &PruneCursor,
    messages_max: usize,
    bytes_max: u64,
) -> rusqlite::Result<Examined> {
    let id_max = id_max(transaction, request.unlogged)?;
    let candidates = candidates(transaction, &request.filter, after, messages_max)?;
    let mut matching = transaction
        .prepare_cached(&format!("SELECT {SIZE} FROM unidentified_messages WHERE id = :id AND {MATCHES}"))?;
    let (mut matches, mut bytes) = (Vec::new(), 0_u64);
    for candidate in &candidates {
        if candidate.id > id_max {
            continue;
        }
        let found = matching.query_row(parameters!(request.filter, ":id": candidate.id), |row| row.get(0));
        let Some(size) = found.optional()? else { continue };
        matches.push(candidate.id);
        bytes = bytes.saturating_add(size);
        if bytes >= bytes_max {
            return Ok(Examined { matches, next: Some(candidate.clone()) });
        }
    }
    let is_complete = candidates.len() < messages_max;
    let last = candidates.into_iter().next_back();
    Ok(Examined { matches, next: if is_complete { None } else { last } })
}

/// The next messages in the index over the times of storing, which alone is read.
fn candidates(
    transaction: &Transaction<'_>,
    filter: &MessageFilter,
    after: &PruneCursor,
    messages_max: usize,
) -> rusqlite::Result<Vec<PruneCursor>> {
    let first = PruneCursor { received_at: filter.since.clone().unwrap_or_default(), id: 0 };
    let after = if after.received_at < first.received_at { &first } else { after };
    transaction
        .prepare_cached(CANDIDATES)?
        .query_map(
            named_params! {
                ":after": after.received_at,
                ":after_id": after.id,
                ":before": filter.before,
                ":messages_max": i64::try_from(messages_max).unwrap_or(i64::MAX),
            },
            |row| Ok(PruneCursor { received_at: row.get(0)?, id: row.get(1)? }),
        )?
        .collect()
}

/// A BLOB is greater than every text.
const CANDIDATES: &str = "
    SELECT received_at, id FROM unidentified_messages INDEXED BY unidentified_messages_by_time
    WHERE (received_at, id) > (:after, :after_id) AND received_at < coalesce(:before, x'')
    ORDER BY received_at, id LIMIT :messages_max";

/// The statements that delete messages.
pub(crate) struct Statements<'t> {
    find: CachedStatement<'t>,
    delete: CachedStatement<'t>,
    count: CachedStatement<'t>,
    /// The groups that have positions.
    groups: Vec<String>,
}

/// What became of a message that was to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deletion {
    /// It was deleted and counted.
    Done,
    /// It is no longer there, or no longer matches.
    Gone,
    /// A trigger kept the row.
    NotWritten,
}

impl<'t> Statements<'t> {
    pub(crate) fn prepare(transaction: &'t Transaction<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            find: transaction.prepare_cached(&format!(
                "SELECT kafka_topic, kafka_partition, reason, {SIZE}, topic_id, kafka_offset, reading FROM unidentified_messages
                 WHERE id = :id AND {MATCHES}"
            ))?,
            delete: transaction.prepare_cached("DELETE FROM unidentified_messages WHERE id = ?1")?,
            // A message counts for the positions that `invariants.rs` counts it for. Where another one at its offset does too, nothing is
            // missing yet.
            count: transaction.prepare_cached(
                "UPDATE consumer_offsets AS position SET pruned = min(pruned + 1, unidentified)
                 WHERE group_id = ?6 AND topic = ?1 AND partition = ?2 AND ?3 IN (position.topic_id, '') AND reading <= ?5
                     AND first_offset <= ?4 AND next_offset > ?4
                     AND NOT EXISTS (
                         SELECT 1 FROM unidentified_messages AS message
                         WHERE kafka_topic = ?1 AND message.topic_id IN (position.topic_id, '') AND kafka_partition = ?2
                             AND kafka_offset = ?4 AND message.reading >= position.reading)",
            )?,
            groups: transaction
                .prepare_cached("SELECT DISTINCT group_id FROM consumer_offsets")?
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?,
        })
    }

    /// Deletes a message if it still matches, and counts it.
    pub(crate) fn delete(
        &mut self,
        id: i64,
        filter: &MessageFilter,
        pruned: &mut PruneCounts,
    ) -> rusqlite::Result<Deletion> {
        let mut found = self.find.query(parameters!(filter, ":id": id))?;
        let Some(row) = found.next()? else { return Ok(Deletion::Gone) };
        let group = PruneGroup { topic: row.get(0)?, partition: row.get(1)?, reason: row.get(2)? };
        let bytes = row.get(3)?;
        let (topic_id, offset, reading): (String, i64, i64) = (row.get(4)?, row.get(5)?, row.get(6)?);
        drop(found);
        if self.delete.execute([id])? != 1 {
            return Ok(Deletion::NotWritten);
        }
        for group_id in &self.groups {
            self.count.execute(params![group.topic, group.partition, topic_id, offset, reading, group_id])?;
        }
        pruned.add(group, PruneCount { messages: 1, bytes });
        Ok(Deletion::Done)
    }
}

/// What a request would prune. The sums are made here: SQLite would sort all rows by their groups.
pub(crate) fn count(transaction: &Transaction<'_>, request: &PruneRequest) -> rusqlite::Result<PruneCounts> {
    let mut statement = transaction.prepare_cached(&format!(
        "SELECT kafka_topic, kafka_partition, reason, {SIZE} FROM unidentified_messages WHERE id <= :id_max AND {MATCHES}"
    ))?;
    let id_max = id_max(transaction, request.unlogged)?;
    let mut rows = statement.query(parameters!(request.filter, ":id_max": id_max))?;
    let mut counts = PruneCounts::default();
    while let Some(row) = rows.next()? {
        let group = PruneGroup { topic: row.get(0)?, partition: row.get(1)?, reason: row.get(2)? };
        counts.add(group, PruneCount { messages: 1, bytes: row.get(3)? });
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::sqlite::fixtures::Place;

    /// The retention of a service that has nothing to delete costs one step in an index.
    #[test]
    fn old_messages_are_found_by_their_time_alone() {
        let place = Place::new();
        drop(place.open());
        let expected = "SEARCH unidentified_messages USING COVERING INDEX unidentified_messages_by_time \
                        (received_at>? AND received_at<?)";
        assert_eq!(place.query_plan(CANDIDATES), [expected]);
    }
}
