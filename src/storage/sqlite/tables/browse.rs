//! Reads `unidentified_messages` for people: filters, lists, finds. Must not change them.

use std::ops::ControlFlow;
use std::sync::LazyLock;

use rusqlite::{Row, ToSql, Transaction, named_params};

use super::topic_id;
use crate::storage::kept::{KeptMessage, ListedMessage, MessageFilter};

/// Whether a row matches a [`MessageFilter`], whose values are named parameters. The `+` keeps SQLite from choosing an index: rows are
/// read in the order of ids, without sorting them.
pub(super) const MATCHES: &str = "
    (:topic IS NULL OR +kafka_topic = :topic)
    AND (:partition IS NULL OR kafka_partition = :partition)
    AND (:reason IS NULL OR reason = :reason)
    AND (:since IS NULL OR +received_at >= :since)
    AND (:before IS NULL OR +received_at < :before)
    AND (:replayed IS NULL OR (replayed_at IS NOT NULL) = :replayed)";

/// The parameters of [`MATCHES`], and one more.
macro_rules! parameters {
    ($filter:expr, $name:literal: $value:expr) => {
        rusqlite::named_params! {
            ":topic": $filter.topic,
            ":partition": $filter.partition,
            ":reason": $filter.reason.map($crate::entity::Reason::as_str),
            ":since": $filter.since,
            ":before": $filter.before,
            ":replayed": $filter.replayed,
            $name: $value,
        }
    };
}

pub(super) use parameters;

/// The ids between which all rows of a time are. Times nearly ascend with ids, so few others are between them. `+id` makes SQLite read the
/// index over times, and not the rows in the order of ids.
const ID_RANGE: &str = "
    id >= CASE WHEN :since IS NULL THEN 0 ELSE
        (SELECT min(+id) FROM unidentified_messages INDEXED BY unidentified_messages_by_time WHERE received_at >= :since) END
    AND id <= CASE WHEN :before IS NULL THEN 9223372036854775807 ELSE
        (SELECT max(+id) FROM unidentified_messages INDEXED BY unidentified_messages_by_time WHERE received_at < :before) END";

const LISTED: &str =
    "id, kafka_topic, kafka_partition, kafka_offset, kafka_timestamp, reason, error, received_at, replayed_at,
    length(key), length(value)";
const BYTES: &str = "topic_id, key, value, headers";

static LIST: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {LISTED} FROM unidentified_messages WHERE {ID_RANGE} AND {MATCHES} ORDER BY id DESC LIMIT :messages_max"
    )
});

static READ: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {LISTED}, {BYTES} FROM unidentified_messages WHERE {ID_RANGE} AND {MATCHES} ORDER BY id LIMIT :messages_max"
    )
});

/// The index begins with the name and the id of a topic, so the ids are found first: one step in the index for each.
static AT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH RECURSIVE topic_ids (known) AS (
             SELECT min(topic_id) FROM unidentified_messages WHERE kafka_topic = :topic
             UNION ALL
             SELECT (SELECT min(topic_id) FROM unidentified_messages WHERE kafka_topic = :topic AND topic_id > known)
             FROM topic_ids WHERE known IS NOT NULL)
         SELECT {LISTED}, {BYTES} FROM unidentified_messages
         WHERE kafka_topic = :topic AND topic_id IN (SELECT known FROM topic_ids WHERE known IS NOT NULL)
             AND kafka_partition = :partition AND kafka_offset = :offset
         ORDER BY id"
    )
});

fn listed(row: &Row<'_>) -> rusqlite::Result<ListedMessage> {
    Ok(ListedMessage {
        id: row.get(0)?,
        topic: row.get(1)?,
        partition: row.get(2)?,
        offset: row.get(3)?,
        timestamp_ms: row.get(4)?,
        reason: row.get(5)?,
        error: row.get(6)?,
        received_at: row.get(7)?,
        replayed_at: row.get(8)?,
        key_bytes: row.get(9)?,
        value_bytes: row.get(10)?,
    })
}

fn kept(row: &Row<'_>) -> rusqlite::Result<KeptMessage> {
    Ok(KeptMessage {
        listed: listed(row)?,
        topic_id: topic_id::get(row, 11)?,
        key: row.get(12)?,
        value: row.get(13)?,
        headers: row.get(14)?,
    })
}

/// Calls a function with the newest messages that match, newest first, until it breaks.
pub(crate) fn list(
    transaction: &Transaction<'_>,
    filter: &MessageFilter,
    messages_max: u64,
    each: &mut dyn FnMut(ListedMessage) -> ControlFlow<()>,
) -> rusqlite::Result<()> {
    let parameters = parameters!(filter, ":messages_max": sql_limit(messages_max));
    for_each(transaction, &LIST, parameters, |row| Ok(each(listed(row)?)))
}

/// Calls a function with the messages that match, in the order of storing, until it breaks. One message is in memory at a time.
pub(crate) fn read(
    transaction: &Transaction<'_>,
    filter: &MessageFilter,
    messages_max: u64,
    each: &mut dyn FnMut(KeptMessage) -> ControlFlow<()>,
) -> rusqlite::Result<()> {
    let parameters = parameters!(filter, ":messages_max": sql_limit(messages_max));
    for_each(transaction, &READ, parameters, |row| Ok(each(kept(row)?)))
}

/// The messages after `id`, in the order of ids, no more than `messages_max`.
pub(super) fn after(transaction: &Transaction<'_>, id: i64, messages_max: u32) -> rusqlite::Result<Vec<ListedMessage>> {
    transaction
        .prepare_cached(&format!("SELECT {LISTED} FROM unidentified_messages WHERE id > ?1 ORDER BY id LIMIT ?2"))?
        .query_map((id, messages_max), listed)?
        .collect()
}

/// The greatest limit of SQL is none.
fn sql_limit(messages_max: u64) -> i64 {
    i64::try_from(messages_max).unwrap_or(i64::MAX)
}

fn for_each(
    transaction: &Transaction<'_>,
    sql: &str,
    parameters: &[(&str, &dyn ToSql)],
    mut each: impl FnMut(&Row<'_>) -> rusqlite::Result<ControlFlow<()>>,
) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    while let Some(row) = rows.next()? {
        if each(row)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// Calls a function with the messages at an offset, of every topic of the name, in the order of storing.
pub(crate) fn at(
    transaction: &Transaction<'_>,
    (topic, partition, offset): (&str, i32, i64),
    each: &mut dyn FnMut(KeptMessage) -> ControlFlow<()>,
) -> rusqlite::Result<()> {
    let parameters = named_params! { ":topic": topic, ":partition": partition, ":offset": offset };
    for_each(transaction, &AT, parameters, |row| Ok(each(kept(row)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::sqlite::fixtures::Place;

    /// No statement sorts messages or reads those that it can pass over.
    #[test]
    fn messages_are_found_without_reading_others() {
        let place = Place::new();
        drop(place.open());
        let plan = |sql: &str| place.query_plan(sql).join("; ");
        for sql in [&LIST, &READ] {
            let plan = plan(sql);
            assert!(
                plan.starts_with("SEARCH unidentified_messages USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
                "{plan}"
            );
            assert_eq!(plan.matches("COVERING INDEX unidentified_messages_by_time (received_at").count(), 2, "{plan}");
            assert!(!plan.contains("B-TREE"), "{plan}");
        }
        let plan = plan(&AT);
        let search = "SEARCH unidentified_messages USING INDEX unidentified_messages_by_offset \
                      (kafka_topic=? AND topic_id=? AND kafka_partition=? AND kafka_offset=?)";
        assert!(plan.starts_with(search) && !plan.contains("SCAN unidentified_messages"), "{plan}");
    }
}
