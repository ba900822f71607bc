//! Topic ids as columns have them: `''` for none.

use rusqlite::Row;

use crate::storage::topic_id::TopicId;

/// Reads a column.
pub(crate) fn get(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<TopicId>> {
    row.get::<_, String>(column).map(TopicId::new)
}
