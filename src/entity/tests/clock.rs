//! The time of an event, limited by the timestamp of its record.

use std::time::Duration;

use super::*;

/// The time that orders an event, and the one that was sent if that is another, by the milliseconds of the record.
fn clock(max_ahead: Option<Duration>, sent: &str, record_ms: Option<i64>) -> (String, Option<String>) {
    let value = opportunity_json(&format!(r#","meta_data":{{"last_modified":"{sent}"}}"#));
    let decoder = Decoder { last_modified_max_ahead: max_ahead };
    let event = decoder.decode(Some(value.as_bytes()), record_ms).unwrap();
    let time = event.last_modified().unwrap();
    (time.effective().as_str().to_owned(), time.too_far_ahead().map(|sent| sent.as_str().to_owned()))
}

#[test]
fn a_producers_clock_may_not_be_too_far_ahead() {
    const DAY: Option<Duration> = Some(Duration::from_hours(24));
    const RECORD_MS: Option<i64> = Some(1_711_312_835_123);
    const RECORD: &str = "2024-03-24T20:40:35.123000000Z";
    for (case, max_ahead, sent, record_ms, expected) in [
        ("long before", DAY, "1999-01-01T00:00:00.000000000Z", RECORD_MS, None),
        ("at the same time", DAY, RECORD, RECORD_MS, None),
        ("a day after", DAY, "2024-03-25T20:40:35.123000000Z", RECORD_MS, None),
        ("less than a millisecond more", DAY, "2024-03-25T20:40:35.123999999Z", RECORD_MS, None),
        ("a millisecond more", DAY, "2024-03-25T20:40:35.124000000Z", RECORD_MS, Some(RECORD)),
        ("a year", DAY, "2025-03-24T20:40:35.123000000Z", RECORD_MS, Some(RECORD)),
        ("the end of times", DAY, "9999-12-31T23:59:59.999999999Z", RECORD_MS, Some(RECORD)),
        ("no limit", None, "9999-12-31T23:59:59.999999999Z", RECORD_MS, None),
        ("another limit", Some(Duration::from_millis(1)), "2024-03-24T20:40:35.125000000Z", RECORD_MS, Some(RECORD)),
        ("a limit beyond all", Some(Duration::MAX), "9999-12-31T23:59:59.999999999Z", RECORD_MS, None),
        ("a record without time", DAY, "9999-12-31T23:59:59.999999999Z", None, None),
        ("a record of 1970", DAY, "2024-03-24T20:40:35.123000000Z", Some(0), None),
        ("a record's time in seconds", DAY, "2024-03-24T20:40:35.123000000Z", Some(1_711_312_835), None),
        ("a record's time in microseconds", DAY, "9999-12-31T23:59:59.999999999Z", Some(1_711_312_835_123_456), None),
        ("a negative time of a record", DAY, "2024-03-24T20:40:35.123000000Z", Some(i64::MIN), None),
    ] {
        let expected = expected.map_or((sent, None), |record| (record, Some(sent)));
        let (effective, ahead) = clock(max_ahead, sent, record_ms);
        assert_eq!((effective.as_str(), ahead.as_deref()), expected, "{case}");
    }
}
