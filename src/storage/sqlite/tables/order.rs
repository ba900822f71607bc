//! Which event of an id wins, as SQL: the same for every table of events, for an upsert and for a view over several databases. Must not
//! know their other columns.

/// The keys that order the events of an id, the most significant first: the time of the event, else the timestamp of its record, else the
/// least time; then partition, offset and topic. `prefix` names the row, such as `excluded.`.
fn keys(prefix: &str) -> [String; 4] {
    [
        format!("coalesce({prefix}last_modified, {}, '')", time_of(&format!("{prefix}kafka_timestamp"))),
        format!("{prefix}kafka_partition"),
        format!("{prefix}kafka_offset"),
        format!("{prefix}kafka_topic"),
    ]
}

/// Milliseconds since 1970 in the format of `last_modified`. Times outside of the years 0 to 9999 count as the nearest inside, where text
/// sorts as time; NULL stays NULL. SQLite rounds the fraction of seconds back to the same millisecond.
pub(crate) fn time_of(ms: &str) -> String {
    format!(
        "strftime('%Y-%m-%dT%H:%M:%f000000Z', max(-62167219200000, min(253402300799999, {ms})) / 1000.0, 'unixepoch')"
    )
}

/// For an upsert: true if the new event is greater than the stored one or equal to it. An equal event is the same record, or another record
/// at its offset, of a log that was truncated since.
pub(crate) fn unless_older(table: &str) -> String {
    let stored = keys(&format!("{table}.")).join(", ");
    format!("({}) >= ({stored})", keys("excluded.").join(", "))
}

/// The `ORDER BY` that sorts the greatest event first.
pub(crate) fn greatest_first() -> String {
    keys("").map(|key| format!("{key} DESC")).join(", ")
}
