//! Every accepted spelling of a value with its stored form, and spellings that are refused.

use super::*;
use crate::entity::json::Json;
use crate::entity::rules;

/// The name of a case, the JSON that is sent, and the value that is stored: `None` is absent.
type Accepted<T> = (&'static str, &'static str, Option<T>);

/// Checks a field of an opportunity: the stored form of accepted spellings, and the errors of others, which quote them.
fn check_field<T>(
    name: &str,
    set: impl Fn(&mut Opportunity<'static>, Option<T>),
    accepted: Vec<Accepted<T>>,
    expected: &str,
    refused: &[(&str, &str)],
) {
    for (case, json, value) in accepted {
        let event = opportunity(|event| set(event, value));
        assert_eq!(decode(Some(opportunity_json(&format!(r#","{name}":{json}"#)).as_bytes())), Ok(event), "{case}");
    }
    for (case, json) in refused {
        let error = format!("{name} is {json}, not {expected}");
        let rejection = Rejection { reason: Reason::InvalidField, error };
        let value = opportunity_json(&format!(r#","{name}":{json}"#));
        assert_eq!(decode(Some(value.as_bytes())), Err(rejection), "{case}");
    }
}

#[test]
fn numbers() {
    let held = |value: f64| Some(value.into());
    let kept = |value, text: &'static str| Some(Number { value, text: Some(text.into()) });
    check_field(
        "amount",
        |event, amount| event.amount = amount,
        vec![
            ("null", "null", None),
            ("empty", r#""""#, None),
            ("zero", "0", held(0.0)),
            ("negative zero is zero", "-0.0", held(-0.0)),
            ("negative", "-1", held(-1.0)),
            ("fraction and exponent", "12.5e-1", held(1.25)),
            ("capital exponent with sign", "1E+3", held(1000.0)),
            ("ordinary decimal", "0.1", held(0.1)),
            ("zeros at the end", "50000.00", held(50_000.0)),
            ("as many digits as a double always holds", "123456789012345", held(123_456_789_012_345.0)),
            ("17 digits that a double holds", "0.30000000000000004", held(0.300_000_000_000_000_04)),
            ("greatest double", "1.7976931348623157e308", held(f64::MAX)),
            ("least double", "5e-324", held(5e-324)),
            // A fast parser that does not round correctly gives a neighbouring double.
            ("nearest double", "51.24817837550540", held(51.248_178_375_505_4)),
            ("many zeros", "1000000000000000000000", held(1e21)),
            ("zero with an exponent beyond all", "0e99999999999999999999", held(0.0)),
            ("in quotes", r#""50000.00""#, held(50_000.0)),
            ("in quotes with exponent", r#""1e3""#, held(1000.0)),
            ("in quotes with blanks", r#"" 5 ""#, held(5.0)),
            ("in quotes with escapes", r#""\u0035\t""#, held(5.0)),
            ("in quotes with plus", r#""+5""#, held(5.0)),
            ("in quotes, no digit before the point", r#""-.5""#, held(-0.5)),
            ("in quotes, no digit after the point", r#""5.""#, held(5.0)),
            ("in quotes, leading zeros", r#""007.50""#, held(7.5)),
            // Numbers that the column cannot hold.
            ("2^53 + 1", "9007199254740993", kept(9_007_199_254_740_992.0, "9007199254740993")),
            (
                "sixteen digits too many",
                "12345678901234567890.123456789",
                kept(12_345_678_901_234_567_000.0, "12345678901234567890.123456789"),
            ),
            ("in quotes", r#""12345678901234567890""#, kept(12_345_678_901_234_567_000.0, "12345678901234567890")),
            (
                "with blanks: the number alone",
                r#"" -9007199254740993 ""#,
                kept(-9_007_199_254_740_992.0, "-9007199254740993"),
            ),
            ("below all doubles", "1e-400", kept(0.0, "1e-400")),
            ("exponent beyond all", "1e-99999999999999999999", kept(0.0, "1e-99999999999999999999")),
            ("one digit more", "7.2057594037927933e16", kept(72_057_594_037_927_936.0, "7.2057594037927933e16")),
            (
                "a difference in the 29th digit",
                "0.10000000000000000000000000001",
                kept(0.1, "0.10000000000000000000000000001"),
            ),
        ],
        "a finite number",
        &[
            ("beyond all doubles", "1e400"),
            ("the same, negative", "-1e400"),
            ("in quotes", r#""1e400""#),
            ("exponent beyond all", "1e99999999999999999999"),
            ("no number", r#""NaN""#),
            ("no number either", r#""-Infinity""#),
            ("words", r#""a lot""#),
            ("comma for thousands, or for a point", r#""1,000.00""#),
            ("the same", r#""1,5""#),
            ("grouped", r#""1 000""#),
            ("Rust's own grouping", r#""1_000""#),
            ("currency", r#""$5""#),
            ("hexadecimal", r#""0x10""#),
            ("two points", r#""1.2.3""#),
            ("a sign alone", r#""-""#),
            ("a point alone", r#"".""#),
            ("no exponent", r#""1e""#),
            ("no mantissa", r#""e5""#),
            ("two signs", r#""+-5""#),
            ("digits of another script", r#""٥""#),
            ("blanks alone", r#""  ""#),
            ("a blank of another kind", "\"\u{a0}5\""),
            ("boolean", "true"),
            ("list", "[]"),
            ("object", "{}"),
        ],
    );
}

#[test]
fn percents() {
    check_field(
        "probability",
        |event, probability| event.probability = probability,
        vec![
            ("null", "null", None),
            ("empty", r#""""#, None),
            ("least", "0", Some(0)),
            ("greatest", "100", Some(100)),
            ("with the fraction 0", "75.0", Some(75)),
            ("with an exponent", "7.5e1", Some(75)),
            ("with zeros", "100.000000000000000000000", Some(100)),
            ("with a negative exponent", "1000e-1", Some(100)),
            ("negative zero is zero", "-0", Some(0)),
            ("zero with an exponent beyond all", "0e99999999999999999999", Some(0)),
            ("in quotes", r#""75""#, Some(75)),
            ("in quotes with fraction and blanks", r#"" 75.00 ""#, Some(75)),
        ],
        "an integer from 0 to 100",
        &[
            ("beyond", "101"),
            ("far beyond", "99999999999999999999"),
            ("beyond all doubles", "1e400"),
            ("exponent beyond all", "1e99999999999999999999"),
            ("exponent below all", "1e-99999999999999999999"),
            ("negative", "-1"),
            ("no integer", "75.5"),
            ("not an integer, though its nearest double is one", "75.00000000000000000001"),
            ("a fraction of 1", "0.75"),
            ("wraps around in a byte", "256"),
            ("with its unit", r#""75%""#),
            ("in quotes, no integer", r#""75.5""#),
            ("boolean", "false"),
        ],
    );
}

#[test]
fn days() {
    let day = |day: &'static str| Some(day.into());
    check_field(
        "expected_close_date",
        |event, date| event.expected_close_date = date,
        vec![
            ("null", "null", None),
            ("empty", r#""""#, None),
            ("leap day", r#""2024-02-29""#, day("2024-02-29")),
            ("leap day of a century", r#""2000-02-29""#, day("2000-02-29")),
            ("least", r#""0000-02-29""#, day("0000-02-29")),
            ("escaped", r#""2024\u002d12-31""#, day("2024-12-31")),
            ("blanks around", r#""2024-01-01 ""#, day("2024-01-01")),
            ("midnight", r#""2024-06-30T00:00:00Z""#, day("2024-06-30")),
            ("its own zone counts, not UTC", r#""2024-06-30T00:00:00+02:00""#, day("2024-06-30")),
            ("late in the day", r#""2024-06-30T23:59:59.999-0800""#, day("2024-06-30")),
            ("no zone", r#""2024-06-30 00:00:00""#, day("2024-06-30")),
            ("escaped moment", r#""2024-06-30\u005400:00:00""#, day("2024-06-30")),
        ],
        "a calendar day YYYY-MM-DD",
        &[
            ("no such day", r#""2024-02-30""#),
            ("no leap year", r#""2023-02-29""#),
            ("no leap year either", r#""1900-02-29""#),
            ("30 days", r#""2024-04-31""#),
            ("no such month", r#""2024-13-10""#),
            ("month zero", r#""2024-00-10""#),
            ("day zero", r#""2024-01-00""#),
            ("one digit", r#""2024-1-1""#),
            ("year of two digits", r#""24-01-01""#),
            ("year of five", r#""12024-01-01""#),
            ("signed year", r#""+2024-01-01""#),
            ("month or day first", r#""06/07/2024""#),
            ("slashes", r#""2024/01/01""#),
            ("without separators", r#""20240630""#),
            ("no such hour", r#""2024-06-30T25:00:00Z""#),
            ("a moment of no such day", r#""2024-02-30T00:00:00Z""#),
            ("a moment without time", r#""2024-06-30T""#),
            ("digits of another script", r#""٢٠٢٤-٠١-٠١""#),
            // In which zone is midnight? Days since 1970, or a date without separators?
            ("milliseconds since 1970", "1719705600000"),
            ("a number", "20240101"),
            ("list", "[]"),
        ],
    );
}

/// The stored time of a `last_modified`, or the whole error.
fn last_modified(json: &str) -> Result<Option<String>, String> {
    let value = opportunity_json(&format!(r#","meta_data":{{"last_modified":{json}}}"#));
    match decode(Some(value.as_bytes())) {
        Ok(event) => Ok(event.last_modified().map(|time| time.effective().as_str().to_owned())),
        Err(rejection) => Err(rejection.error),
    }
}

#[test]
fn moments() {
    for (case, json, expected) in [
        ("null", "null", None),
        ("empty", r#""""#, None),
        ("RFC 3339", r#""2024-05-01T12:34:56Z""#, Some("2024-05-01T12:34:56.000000000Z")),
        ("lower case", r#""2024-05-01t12:34:56z""#, Some("2024-05-01T12:34:56.000000000Z")),
        ("blank for T", r#""2024-05-01 12:34:56Z""#, Some("2024-05-01T12:34:56.000000000Z")),
        ("tenths", r#""2024-05-01T12:34:56.7Z""#, Some("2024-05-01T12:34:56.700000000Z")),
        ("nanoseconds", r#""2024-05-01T12:34:56.123456789Z""#, Some("2024-05-01T12:34:56.123456789Z")),
        ("finer is cut off", r#""2024-05-01T12:34:56.99999999999999999999Z""#, Some("2024-05-01T12:34:56.999999999Z")),
        ("comma for the point", r#""2024-05-01 12:34:56,789""#, Some("2024-05-01T12:34:56.789000000Z")),
        ("zone", r#""2024-05-01T00:30:00+01:00""#, Some("2024-04-30T23:30:00.000000000Z")),
        ("zone to the west", r#""2024-12-31T23:30:00-23:59""#, Some("2025-01-01T23:29:00.000000000Z")),
        ("negative zero zone", r#""2024-05-01T12:34:56-00:00""#, Some("2024-05-01T12:34:56.000000000Z")),
        ("zone of quarters", r#""2024-05-01T12:34:56+05:45""#, Some("2024-05-01T06:49:56.000000000Z")),
        ("Salesforce", r#""2024-03-24T20:40:35.000+0000""#, Some("2024-03-24T20:40:35.000000000Z")),
        ("zone without colon", r#""2024-03-24T20:40:35-0530""#, Some("2024-03-25T02:10:35.000000000Z")),
        ("zone of hours", r#""2024-03-24T20:40:35+02""#, Some("2024-03-24T18:40:35.000000000Z")),
        ("blank before the zone", r#""2024-03-24 20:40:35 +0200""#, Some("2024-03-24T18:40:35.000000000Z")),
        ("UTC by name", r#""2024-03-24 20:40:35 UTC""#, Some("2024-03-24T20:40:35.000000000Z")),
        ("no zone is UTC", r#""2024-03-24T20:40:35""#, Some("2024-03-24T20:40:35.000000000Z")),
        ("Java without seconds", r#""2024-05-01T12:34Z""#, Some("2024-05-01T12:34:00.000000000Z")),
        ("blanks around", r#"" 2024-05-01T12:34:56Z\n""#, Some("2024-05-01T12:34:56.000000000Z")),
        ("escaped", r#""2024\u002d05-01T12:34:56Z""#, Some("2024-05-01T12:34:56.000000000Z")),
        ("least", r#""0000-01-01T00:00:00Z""#, Some("0000-01-01T00:00:00.000000000Z")),
        ("greatest", r#""9999-12-31T23:59:59.999999999Z""#, Some("9999-12-31T23:59:59.999999999Z")),
        ("leap second", r#""2016-12-31T23:59:60Z""#, Some("2016-12-31T23:59:59.999999999Z")),
        ("leap second elsewhere", r#""2016-12-31T15:59:60.5-08:00""#, Some("2016-12-31T23:59:59.999999999Z")),
        ("seconds", "1711312835", Some("2024-03-24T20:40:35.000000000Z")),
        ("seconds with a fraction", "1711312835.1234567891", Some("2024-03-24T20:40:35.123456789Z")),
        ("milliseconds", "1711312835123", Some("2024-03-24T20:40:35.123000000Z")),
        ("milliseconds as a double", "1711312835123.0", Some("2024-03-24T20:40:35.123000000Z")),
        ("milliseconds as Java writes a double", "1.711312835123E12", Some("2024-03-24T20:40:35.123000000Z")),
        ("microseconds", "1711312835123456", Some("2024-03-24T20:40:35.123456000Z")),
        ("nanoseconds since 1970", "1711312835123456789", Some("2024-03-24T20:40:35.123456789Z")),
        ("digits", r#""1711312835""#, Some("2024-03-24T20:40:35.000000000Z")),
        ("digits of milliseconds", r#""1711312835123""#, Some("2024-03-24T20:40:35.123000000Z")),
        ("first of ten digits", "1000000000", Some("2001-09-09T01:46:40.000000000Z")),
        ("last of ten digits", "9999999999", Some("2286-11-20T17:46:39.000000000Z")),
        ("last of all digits", "9999999999999999999", Some("2286-11-20T17:46:39.999999999Z")),
    ] {
        assert_eq!(last_modified(json), Ok(expected.map(str::to_owned)), "{case}");
    }
    for (case, json) in [
        ("a day is no moment", r#""2024-05-01""#),
        ("no digits of a fraction", r#""2024-05-01T12:34:56.Z""#),
        ("zone of one digit", r#""2024-05-01T12:34:56+1:00""#),
        ("no such zone", r#""2024-05-01T12:34:56+24:00""#),
        ("no such minutes of a zone", r#""2024-05-01T12:34:56+01:60""#),
        ("zone with seconds", r#""2024-05-01T12:34:56+01:00:00""#),
        ("name of a zone that means several", r#""2024-05-01T12:34:56 CST""#),
        ("24 o'clock", r#""2024-05-01T24:00:00Z""#),
        ("no such minute", r#""2024-05-01T12:60:00Z""#),
        ("no leap second", r#""2024-05-01T12:34:60Z""#),
        ("no leap second either", r#""2024-05-01T23:59:60Z""#),
        ("no such second", r#""2024-05-01T12:34:61Z""#),
        ("no such day", r#""2024-02-30T12:34:56Z""#),
        ("another separator", r#""2024-05-01_12:34:56Z""#),
        ("text after the zone", r#""2024-05-01T12:34:56Zx""#),
        ("hours alone", r#""2024-05-01T12Z""#),
        ("before the year 0", r#""0000-01-01T00:00:00+00:01""#),
        ("after the year 9999", r#""9999-12-31T23:59:59-00:01""#),
        ("month or day first", r#""05/06/2024 12:34:56""#),
        ("a name of a month", r#""1 May 2024 12:34:56 GMT""#),
        ("words", r#""yesterday""#),
        ("zero", "0"),
        ("negative", "-1711312835"),
        ("9 digits", "999999999"),
        ("a date without separators", "20240324"),
        ("with hours and minutes", "202403242040"),
        ("with seconds", "20240324204035"),
        ("in quotes", r#""20240324204035""#),
        ("with milliseconds", "20240324204035000"),
        ("20 digits", "17113128351234567890"),
        ("beyond all doubles", "1e400"),
        ("boolean", "true"),
        ("list of parts, as Java writes it", "[2024,5,1,12,34]"),
        ("object", "{}"),
    ] {
        let expected = format!(
            "meta_data holds an invalid field: last_modified is {json}, not a time like 2024-01-31T12:00:00Z, or since 1970 \
             in 10 (s), 13 (ms), 16 (us) or 19 (ns) digits"
        );
        assert_eq!(last_modified(json), Err(expected), "{case}");
    }
}

#[test]
fn texts_and_objects() {
    check_field(
        "account_id",
        |event, account| event.account_id = account,
        vec![("null", "null", None), ("empty", r#""""#, None), ("kept as sent", r#"" 0042 ""#, Some(" 0042 ".into()))],
        "a string",
        &[("a number may have lost zeros", "5"), ("boolean", "false"), ("object", r#"{"id":1}"#)],
    );
    check_field("owner_id", |event, owner| event.owner_id = owner, vec![], "a string", &[("number", "5")]);
    check_field(
        "meta_data",
        |event, meta_data| event.meta_data = meta_data,
        vec![("null", "null", None), ("empty", r#""""#, None)],
        "a JSON object",
        &[("text", r#""{}""#), ("list", "[]"), ("number", "5"), ("boolean", "false")],
    );
}

#[test]
fn an_empty_marker_counts_as_absent_if_the_other_one_is_filled() {
    let sent = r#"{"event_id":"x","name":"n","stage":"","status":"s"}"#;
    check(sent, Ok(project(|event| (event.event_id, event.extra) = ("x".into(), Some(r#"{"stage":""}"#.to_owned())))));
    check(r#"{"event_id":"x","name":"n","stage":""}"#, invalid("stage is empty"));
    check(r#"{"event_id":"opp_1","name":"n","stage":"","status":""}"#, invalid("stage is empty"));
}

#[test]
fn every_example_of_the_table_is_accepted_and_documented() {
    let messages = include_str!("../../../docs/messages.md");
    for (rule, example) in rules::EXAMPLES {
        let json = Json::new(example);
        let is_accepted = match *rule {
            "number" => rules::number(json).is_ok(),
            "percent" => rules::percent(json).is_ok(),
            "date" => rules::date(json).is_ok(),
            "instant" => rules::instant(json).is_ok(),
            "text" => rules::text(json).is_ok(),
            other => panic!("a rule without a test: {other}"),
        };
        assert!(is_accepted, "{rule}: {example}");
        assert!(messages.contains(example), "docs/messages.md: {rule} does not show {example}");
    }
}

#[test]
fn numbers_in_fields_without_a_column_are_kept_as_sent() {
    let extra_json = r#"{"n":12345678901234567890.123456789,"m":1e400,"z":-0,"q":"00042"}"#;
    let more = extra_json.strip_prefix('{').unwrap().strip_suffix('}').unwrap();
    check(opportunity_json(&format!(",{more}")), Ok(extra(extra_json)));
    check(
        opportunity_json(&format!(r#","meta_data":{extra_json}"#)),
        Ok(opportunity(|event| event.meta_data = Some(MetaData { json: extra_json, last_modified: None }))),
    );
}

#[test]
fn framing_and_byte_order_mark_are_removed() {
    let json = opportunity_json("");
    let with = |before: &[u8]| [before, json.as_bytes()].concat();
    for (case, before) in [
        ("nothing", &b""[..]),
        ("byte order mark", b"\xef\xbb\xbf"),
        ("byte order mark and blanks", b"\xef\xbb\xbf \n"),
        ("Confluent's framing", b"\0\0\0\0\x2a"),
        ("a schema id that is not UTF-8", b"\0\xff\xfe\xfd\xfc"),
        ("framing and byte order mark", b"\0\0\0\0\x01\xef\xbb\xbf"),
        ("framing and blanks", b"\0\0\0\0\x01\r\n\t "),
    ] {
        assert_eq!(decode(Some(&with(before))), Ok(opportunity(|_| {})), "{case}");
    }
    for (case, before, first) in [
        (
            "framing cut short",
            &b"\0\0\0\x2a"[..],
            "0x00 (taken for Confluent's framing with schema id 10875, then 0x22)",
        ),
        (
            "framing twice",
            b"\0\0\0\0\x01\0\0\0\0\x01",
            "0x00 (taken for Confluent's framing with schema id 1, then 0x00)",
        ),
        ("another framing", b"\x01\0\0\0\x01", "0x01"),
        ("byte order mark twice", b"\xef\xbb\xbf\xef\xbb\xbf", "0xef"),
        ("byte order mark after blanks", b" \xef\xbb\xbf", "0x20"),
        ("another byte order mark", b"\xff\xfe", "0xff"),
        ("zero", b"\0", "0x00 (taken for Confluent's framing with schema id 2065851766, then 0x65)"),
    ] {
        let Err(Rejection { reason: Reason::NotJson, error }) = decode(Some(&with(before))) else { panic!("{case}") };
        assert!(error.ends_with(&format!("; the first byte is {first}")), "{case}: {error}");
    }
    // The text in the frame is decoded like one without framing.
    check(b"\0\0\0\0\x01[]", unknown("[] is not a JSON object"));
    let Err(nothing) = decode(Some(b"\0\0\0\0\x01")) else { panic!("an event of no bytes") };
    assert!(nothing.error.ends_with("; the first byte is 0x00"), "{nothing:?}");
    let Err(bytes) = decode(Some(b"\0\0\0\0\x01{\xff")) else { panic!("an event of no text") };
    assert!(bytes.error.starts_with("not UTF-8 from byte 6 on"), "{bytes:?}");
}
