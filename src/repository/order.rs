//! Which event of one id wins, as SQL: the same for every table of events. Must not know their other columns.

/// Milliseconds since 1970 as `last_modified` spells a time. Those outside of the years 0 to 9999 count as the nearest inside,
/// where text sorts as time; NULL stays NULL. SQLite rounds its way over the fraction of seconds back to the same millisecond.
macro_rules! time_of {
    ($ms:literal) => {
        concat!(
            "strftime('%Y-%m-%dT%H:%M:%f000000Z', max(-62167219200000, min(253402300799999, ",
            $ms,
            ")) / 1000.0, 'unixepoch')"
        )
    };
}

/// For an event's upsert: true if the new event is the greater one, or has the order of the stored one: it is that again, or
/// another record at its offset, of a log that was truncated since. Events are ordered by `last_modified`, else the record's time, else before all that have one; then by partition, offset and topic.
macro_rules! unless_older {
    ($table:literal) => {
        concat!(
            "(coalesce(excluded.last_modified, ",
            $crate::repository::order::time_of!("excluded.kafka_timestamp"),
            ", ''), excluded.kafka_partition, excluded.kafka_offset, excluded.kafka_topic) >= (coalesce(",
            concat!($table, ".last_modified, "),
            $crate::repository::order::time_of!("kafka_timestamp"),
            concat!(", ''), ", $table, ".kafka_partition, ", $table, ".kafka_offset, ", $table, ".kafka_topic)")
        )
    };
}

pub(crate) use {time_of, unless_older};
