//! Reads what was stored after a cursor. Must not wait for it.

use rusqlite::{Row, Transaction, params};

use super::now::now;
use super::{browse, event};
use crate::entity::Kind;
use crate::storage::tail::{EventCursor, StoredEvent, TailCursor, TailItem, TailStep};

/// The rows of a table in which rows that an event has replaced are looked for: nothing else than their times tells, so all are read.
pub(crate) const ROWS_READ_MAX: i64 = 100_000;

/// Advances a cursor to the end of what is stored.
pub(crate) fn begin(transaction: &Transaction<'_>) -> rusqlite::Result<TailCursor> {
    let message_id =
        transaction.query_row("SELECT ifnull(max(id), 0) FROM unidentified_messages", [], |row| row.get(0))?;
    let mut cursor = TailCursor { message_id, ..TailCursor::default() };
    let now = now(transaction)?;
    for kind in Kind::ALL {
        *cursor.events.get_mut(kind) = EventCursor {
            row_id: event::last_row(transaction, kind)?,
            stored_at: now.clone(),
            ..EventCursor::default()
        };
        // Rows of this very moment.
        events_after(transaction, kind, cursor.events.get_mut(kind), u32::MAX)?;
    }
    Ok(cursor)
}

/// What was stored after a cursor, which is advanced: of each table no more than `rows_max` rows.
pub(crate) fn after(
    transaction: &Transaction<'_>,
    cursor: &mut TailCursor,
    rows_max: u32,
) -> rusqlite::Result<(TailStep, bool)> {
    let mut step = TailStep::default();
    let rows_max_usize = usize::try_from(rows_max).unwrap_or(usize::MAX);
    let mut is_complete = true;
    for kind in Kind::ALL {
        let events = events_after(transaction, kind, cursor.events.get_mut(kind), rows_max)?;
        is_complete &= events.len() < rows_max_usize;
        step.items.extend(events.into_iter().map(TailItem::Event));
        if event::last_row(transaction, kind)? > ROWS_READ_MAX {
            step.only_new_rows.push(kind.table());
        }
    }
    let messages = browse::after(transaction, cursor.message_id, rows_max)?;
    is_complete &= messages.len() < rows_max_usize;
    cursor.message_id = messages.last().map_or(cursor.message_id, |message| message.id);
    step.items.extend(messages.into_iter().map(TailItem::Message));
    step.items.sort_by(|one, other| one.stored_at().cmp(other.stored_at()));
    Ok((step, is_complete))
}

fn events_after(
    transaction: &Transaction<'_>,
    kind: Kind,
    cursor: &mut EventCursor,
    rows_max: u32,
) -> rusqlite::Result<Vec<StoredEvent>> {
    let table = kind.table();
    let columns = "rowid, event_id, kafka_topic, kafka_partition, kafka_offset, updated_at, created_at = updated_at";
    let event = |row: &Row<'_>| {
        let row_id: i64 = row.get(0)?;
        let event = StoredEvent {
            table,
            event_id: row.get(1)?,
            topic: row.get(2)?,
            partition: row.get(3)?,
            offset: row.get(4)?,
            stored_at: row.get(5)?,
            is_first: row.get(6)?,
        };
        Ok((row_id, event))
    };
    let found: Vec<(i64, StoredEvent)> = if event::last_row(transaction, kind)? > ROWS_READ_MAX {
        transaction
            .prepare_cached(&format!("SELECT {columns} FROM {table} WHERE rowid > ?1 ORDER BY rowid LIMIT ?2"))?
            .query_map(params![cursor.row_id, rows_max], event)?
            .collect::<rusqlite::Result<_>>()?
    } else {
        // Those of the cursor's time may be among the found ones again.
        let limit = i64::from(rows_max).saturating_add(i64::try_from(cursor.rows.len()).unwrap_or(i64::MAX));
        let sql = format!("SELECT {columns} FROM {table} WHERE updated_at >= ?1 ORDER BY updated_at, rowid LIMIT ?2");
        transaction
            .prepare_cached(&sql)?
            .query_map(params![cursor.stored_at, limit], event)?
            .collect::<rusqlite::Result<_>>()?
    };
    let mut events = Vec::new();
    for (row_id, event) in found {
        if event.stored_at > cursor.stored_at {
            cursor.stored_at.clone_from(&event.stored_at);
            cursor.rows.clear();
        }
        let is_new = event.stored_at < cursor.stored_at || cursor.rows.insert((row_id, event.partition, event.offset));
        cursor.row_id = cursor.row_id.max(row_id);
        if is_new {
            events.push(event);
        }
    }
    Ok(events)
}
