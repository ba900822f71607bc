//! Which event of one id wins, as SQL: the same for every table of events, whether a new event meets the stored one or rows of
//! several databases meet in a view. Must not know their other columns.

/// What orders the events of one id, the most significant first: the time of the event, else of its record, else before all that
/// have one; then the place of the record. `prefix` names the row that the columns are of, such as `excluded.`.
fn keys(prefix: &str) -> [String; 4] {
    [
        format!("coalesce({prefix}last_modified, {}, '')", time_of(&format!("{prefix}kafka_timestamp"))),
        format!("{prefix}kafka_partition"),
        format!("{prefix}kafka_offset"),
        format!("{prefix}kafka_topic"),
    ]
}

/// Milliseconds since 1970 as `last_modified` spells a time. Those outside of the years 0 to 9999 count as the nearest inside,
/// where text sorts as time; NULL stays NULL. SQLite rounds its way over the fraction of seconds back to the same millisecond.
pub(crate) fn time_of(ms: &str) -> String {
    format!(
        "strftime('%Y-%m-%dT%H:%M:%f000000Z', max(-62167219200000, min(253402300799999, {ms})) / 1000.0, 'unixepoch')"
    )
}

/// For an event's upsert: true if the new event is the greater one, or has the order of the stored one: it is that again, or
/// another record at its offset, of a log that was truncated since.
pub(crate) fn unless_older(table: &str) -> String {
    let stored = keys(&format!("{table}.")).join(", ");
    format!("({}) >= ({stored})", keys("excluded.").join(", "))
}

/// The `ORDER BY` that sorts the greatest event first.
pub(crate) fn greatest_first() -> String {
    keys("").map(|key| format!("{key} DESC")).join(", ")
}
