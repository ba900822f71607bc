//! Times as SQL and as Rust write them.

use crate::entity::UtcTime;
use crate::storage::sqlite::tables::order::time_of;

/// The expected texts are from Python's `datetime`.
#[test]
fn a_timestamp_of_kafka_has_the_format_of_last_modified() {
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    let check = |ms: Option<i64>, expected: Option<&str>| {
        let sql = format!("SELECT {}", time_of("?1"));
        let time: Option<String> = connection.query_row(&sql, [ms], |row| row.get(0)).unwrap();
        assert_eq!(time.as_deref(), expected, "{ms:?}");
        assert_eq!(ms.map(UtcTime::from_unix_ms).as_ref().map(UtcTime::as_str), expected, "{ms:?}");
    };
    check(None, None);
    check(Some(0), Some("1970-01-01T00:00:00.000000000Z"));
    check(Some(-1), Some("1969-12-31T23:59:59.999000000Z"));
    check(Some(1_714_979_289_123), Some("2024-05-06T07:08:09.123000000Z"));
    check(Some(253_402_300_799_999), Some("9999-12-31T23:59:59.999000000Z"));
    check(Some(253_402_300_800_000), Some("9999-12-31T23:59:59.999000000Z"));
    check(Some(-62_167_219_200_000), Some("0000-01-01T00:00:00.000000000Z"));
    check(Some(i64::MIN), Some("0000-01-01T00:00:00.000000000Z"));
    // Every millisecond of a second, far from 1970, where a double has the fewest digits for the fraction.
    for ms in 0..1000 {
        check(Some(253_402_300_799_000 + ms), Some(&format!("9999-12-31T23:59:59.{ms:03}000000Z")));
        check(Some(-62_135_596_800_000 + ms), Some(&format!("0001-01-01T00:00:00.{ms:03}000000Z")));
    }
}
