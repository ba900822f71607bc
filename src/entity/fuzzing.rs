//! Fuzzes the decoder with values of any bytes, and compares events with SQLite's JSON parser and with `serde_json`: every field that was
//! sent is in the event, no other field is, and every stored JSON text is valid.

use std::collections::HashMap;
use std::time::Duration;

use fuzzkit::{Target, within};
use rusqlite::Connection;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::entity::json::{reference, scanner};
use crate::entity::{self, Decoder, Event, LastModified, MetaData, Number, Reason, Rejection};
use crate::runtime::millis::millis;

/// Greatest memory for decoding, per byte of the value: the list of fields while it grows.
const MEMORY_FACTOR: usize = 32;
/// The same for an ordinary event.
const MEMORY_LEAST: usize = 4 * 1024;
/// Greatest length of an error, in characters.
const ERROR_CHARS_MAX: usize = 400;
/// The timestamp of a record, in milliseconds since 1970, and how far after it a `last_modified` may be.
const RECORD_MS: i64 = 1_711_312_835_123;
const MAX_AHEAD: Duration = Duration::from_hours(24);
/// Greatest nesting of JSON.
const NESTING_MAX: usize = 128;

pub(crate) const TARGET: Target = Target {
    name: "event",
    run: event,
    words: &[
        "\"event_id\":",
        "\"name\":",
        "\"stage\":",
        "\"status\":",
        "\"amount\":",
        "\"probability\":",
        "\"expected_close_date\":",
        "\"budget\":",
        "\"start_date\":",
        "\"meta_data\":",
        "\"last_modified\":",
        "\"opp_1\",",
        "\"proj_1\",",
        "null",
        "1e400",
        "-0",
        "\"\\ud800\"",
        "\"\\u0041\"",
        "\\",
        "\u{feff}",
        "[[[[[[[[",
        "{\"a\":",
        "2024-02-29",
        "T23:59:60Z",
        "+02:00",
        "\0\0\0\0\x01",
        "\"75.0\"",
        "\" 50000.00 \"",
        "\"\",",
        "12345678901234567890.123456789",
        "e-99999999999999999999",
        "1711312835123",
        "2024-03-24 20:40:35.000+0000",
    ],
    tries: 6_000,
};

fn event(input: &[u8]) -> bool {
    let decoded = within(input.len() * MEMORY_FACTOR + MEMORY_LEAST, || entity::decode(Some(input)));
    assert_eq!(decoded, entity::decode(Some(input)), "the same bytes have another outcome");
    check_clock(input, &decoded);
    let text = std::str::from_utf8(json_of(input)).ok();
    text.map(check_members);
    let sqlite = |sqlite: &Connection| match &decoded {
        Ok(event) => {
            let text = text.unwrap_or_default();
            assert!(is_json(sqlite, text), "an event that is not JSON");
            check_event(sqlite, event, text);
        }
        Err(rejection) => check_rejection(sqlite, rejection, input, text),
    };
    SQLITE.with(|opened| assert!(opened.as_ref().map(sqlite).is_some(), "no SQLite"));
    decoded.is_ok()
}

/// The scanner and `serde_json` agree whether a text is a JSON object, and on its members, also those of nested objects. Returns whether it
/// is one.
pub(super) fn check_members(text: &str) -> bool {
    let (mut scanned, mut expected) = (Vec::new(), Vec::new());
    let is_object = scanner::read_members(text, |member| scanned.push(member)).is_some();
    let reference = reference::read_members(text, |member| expected.push(member));
    assert_eq!(is_object, reference == Ok(true), "{reference:?}: {text}");
    if is_object {
        assert_eq!(scanned, expected, "{text}");
        let objects = scanned.iter().map(|member| member.value.text()).filter(|value| value.starts_with('{'));
        objects.for_each(|object| assert!(check_members(object), "{object}"));
    }
    is_object
}

/// With the timestamp of a record, the event is the same, except for a time that is too far ahead.
fn check_clock(input: &[u8], decoded: &Result<Event<'_>, Rejection>) {
    let with_limit = Decoder { last_modified_max_ahead: Some(MAX_AHEAD) };
    let limit_ms = RECORD_MS.saturating_add_unsigned(millis(MAX_AHEAD));
    match (with_limit.decode(Some(input), Some(RECORD_MS)), decoded) {
        (Ok(bounded), Ok(event)) => {
            let unix_ms = |time: &LastModified| time.effective().unix_ms();
            let (sent, effective) = (event.last_modified().map(unix_ms), bounded.last_modified().map(unix_ms));
            assert_eq!(effective, sent.map(|sent| if sent > limit_ms { RECORD_MS } else { sent }));
        }
        (bounded, event) => assert_eq!(bounded.as_ref().err(), event.as_ref().err()),
    }
}

/// The value without Confluent's framing and a byte order mark.
fn json_of(input: &[u8]) -> &[u8] {
    let unframed = if input.first() == Some(&0) { input.get(5..).unwrap_or(input) } else { input };
    unframed.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(unframed)
}

thread_local! {
    static SQLITE: Option<Connection> = Connection::open_in_memory().ok();
}

/// The result of a query with two texts as parameters.
fn query(sqlite: &Connection, sql: &str, one: &str, other: &str) -> Option<bool> {
    let mut statement = sqlite.prepare_cached(sql).ok()?;
    statement.query_row([one, other], |row| row.get(0)).ok()?
}

/// Whether a text is JSON according to RFC 8259.
fn is_json(sqlite: &Connection, text: &str) -> bool {
    let result = query(sqlite, "SELECT json_valid(?1, 1) AND ?2 = ''", text, "");
    assert!(result.is_some(), "the query failed");
    result == Some(true)
}

fn check_rejection(sqlite: &Connection, rejection: &Rejection, input: &[u8], text: Option<&str>) {
    let Rejection { reason, error } = rejection;
    if let Some(begin) = entity::locate(input, rejection).and_then(|location| location.begin) {
        assert!(begin.byte <= input.len() && begin.line >= 1, "{begin:?}");
    }
    assert!(error.chars().count() <= ERROR_CHARS_MAX && !error.contains(char::is_control), "{error:?}");
    assert_eq!(*reason == Reason::Empty, input.is_empty());
    if *reason == Reason::NotJson {
        let first = input.first().map(|byte| format!("; the first byte is 0x{byte:02x}"));
        assert!(first.is_some_and(|first| error.contains(&first)), "{error:?}");
    }
    let Some(text) = text else { return assert_eq!(*reason, Reason::NotJson) };
    // For SQLite a zero ends the text.
    if input.is_empty() || text.contains('\0') {
        return;
    }
    let is_json = is_json(sqlite, text) && nesting(text) <= NESTING_MAX;
    assert_eq!(*reason == Reason::NotJson, !is_json, "{rejection:?}");
}

/// The greatest number of brackets that are open at once.
fn nesting(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => depth += 1,
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn check_event(sqlite: &Connection, event: &Event<'_>, text: &str) {
    let Known { texts, days, number, percent, meta_data, extra } = known_fields(event);
    assert!(extra.is_none_or(|extra| is_json(sqlite, extra)), "{extra:?}");
    assert!(meta_data.is_none_or(|meta_data| is_json(sqlite, meta_data.json)), "{meta_data:?}");
    for day in days.iter().filter_map(|(_, day)| *day) {
        assert_eq!(query(sqlite, "SELECT date(?1) = ?2", day, day), Some(true), "{day} is not a day");
    }
    // Fields that are not read may have numbers out of range and lone surrogates, which this parser refuses.
    let Ok(Value::Object(mut sent)) = serde_json::from_str(text) else { return };
    let raw: Raw<'_> = serde_json::from_str(text).unwrap_or_default();
    // Null and the empty string count as absent.
    let mut take = |name: &str| sent.remove(name).filter(|value| !value.is_null() && value.as_str() != Some(""));
    for (name, text) in texts {
        assert_eq!(take(name), text.map(Value::from), "{name}");
    }
    for (name, day) in days {
        let sent = take(name);
        let begins = |day: &str| sent.as_ref().and_then(Value::as_str).is_some_and(|it| it.trim().starts_with(day));
        assert!(day.map_or(sent.is_none(), begins), "{name}: {day:?} for {sent:?}");
    }
    let (name, number) = number;
    check_number(number, take(name).as_ref(), raw.get(name).map(|raw| raw.get()));
    if let Some((name, percent)) = percent {
        let sent = take(name).as_ref().and_then(as_number);
        assert!(is_near(percent.map(f64::from), sent), "{name}: {percent:?} for {sent:?}");
    }
    let object = take("meta_data");
    assert_eq!(meta_data.map(|meta_data| serde_json::from_str(meta_data.json).unwrap_or(Value::Null)), object);
    let kept: Map<String, Value> = extra.and_then(|extra| serde_json::from_str(extra).ok()).unwrap_or_default();
    assert_eq!(kept, sent);
    if let Some(MetaData { json, last_modified }) = meta_data {
        check_time(sqlite, json, last_modified.as_ref());
    }
}

/// The values of an object as sent.
type Raw<'a> = HashMap<String, &'a RawValue>;

/// The values of an event, by the names of the fields.
struct Known<'a> {
    texts: Vec<(&'static str, Option<&'a str>)>,
    days: Vec<(&'static str, Option<&'a str>)>,
    number: (&'static str, Option<&'a Number<'a>>),
    percent: Option<(&'static str, Option<u8>)>,
    meta_data: Option<&'a MetaData<'a>>,
    extra: Option<&'a str>,
}

fn known_fields<'a>(event: &'a Event<'a>) -> Known<'a> {
    match event {
        Event::Opportunity(it) => Known {
            texts: vec![
                ("event_id", Some(&*it.event_id)),
                ("name", Some(&*it.name)),
                ("stage", Some(&*it.stage)),
                ("account_id", it.account_id.as_deref()),
                ("owner_id", it.owner_id.as_deref()),
            ],
            days: vec![("expected_close_date", it.expected_close_date.as_deref())],
            number: ("amount", it.amount.as_ref()),
            percent: Some(("probability", it.probability)),
            meta_data: it.meta_data.as_ref(),
            extra: it.extra.as_deref(),
        },
        Event::Project(it) => Known {
            texts: vec![
                ("event_id", Some(&*it.event_id)),
                ("name", Some(&*it.name)),
                ("status", Some(&*it.status)),
                ("account_id", it.account_id.as_deref()),
                ("owner_id", it.owner_id.as_deref()),
            ],
            days: vec![("start_date", it.start_date.as_deref()), ("end_date", it.end_date.as_deref())],
            number: ("budget", it.budget.as_ref()),
            percent: None,
            meta_data: it.meta_data.as_ref(),
            extra: it.extra.as_deref(),
        },
    }
}

/// The number is the nearest double, and it has a text only if the double is another number.
fn check_number(number: Option<&Number<'_>>, sent: Option<&Value>, raw: Option<&str>) {
    assert!(is_near(number.map(|number| number.value), sent.and_then(as_number)), "{number:?} for {sent:?}");
    let Some(number) = number else { return };
    let Some(written) = sent.and_then(Value::as_str).map(str::trim).or(raw) else { return };
    let is_held = plain(&format!("{:e}", number.value)) == plain(written);
    assert_eq!(number.text.as_deref(), (!is_held).then_some(written), "{number:?}");
}

/// The sign of a decimal, its digits without zeros around them, and its exponent.
fn plain(decimal: &str) -> (bool, String, i128) {
    let lower = decimal.to_ascii_lowercase();
    let (mantissa, exponent) = lower.split_once('e').unwrap_or((&lower, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = whole.trim_start_matches(['+', '-']).to_owned() + fraction;
    let significant = digits.trim_start_matches('0');
    let leading_zeros = digits.len() - significant.len();
    let significant = significant.trim_end_matches('0').to_owned();
    if significant.is_empty() {
        return (false, significant, 0);
    }
    let exponent = exponent.parse::<i128>().unwrap_or(if exponent.starts_with('-') { -(1 << 64) } else { 1 << 64 });
    let point = i128::try_from(whole.trim_start_matches(['+', '-']).len()).unwrap_or_default();
    (mantissa.starts_with('-'), significant, exponent + point - i128::try_from(leading_zeros).unwrap_or_default())
}

/// A number, or a string with a number.
fn as_number(value: &Value) -> Option<f64> {
    value.as_str().map_or_else(|| value.as_f64(), |text| text.trim().parse().ok())
}

/// The full parser may be wrong in the last two bits.
fn is_near(one: Option<f64>, other: Option<f64>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => (one - other).abs() <= one.abs() * f64::EPSILON * 2.0,
        (one, other) => one.is_none() && other.is_none(),
    }
}

/// The time has the fixed format, and for SQLite it is in the same second as the sent one, if SQLite can parse that.
fn check_time(sqlite: &Connection, json: &str, last_modified: Option<&LastModified>) {
    let sent = serde_json::from_str::<Value>(json).unwrap_or_default();
    let sent = sent.get("last_modified").filter(|sent| !sent.is_null() && sent.as_str() != Some(""));
    let Some(time) = last_modified else { return assert_eq!(sent, None) };
    assert_eq!(time.too_far_ahead(), None, "there is no record timestamp");
    let time = time.effective();
    let form: String = time.as_str().chars().map(|char| if char.is_ascii_digit() { '0' } else { char }).collect();
    assert_eq!(form, "0000-00-00T00:00:00.000000000Z");
    let seconds = time.unix_ms().div_euclid(1000).to_string();
    assert_eq!(
        query(sqlite, "SELECT unixepoch(?1) = CAST(?2 AS INTEGER)", time.as_str(), &seconds),
        Some(true),
        "{time:?}"
    );
    // A number is a Julian day for SQLite.
    let text = sent.and_then(Value::as_str).map(str::trim).filter(|text| text.parse::<f64>().is_err());
    let same = query(sqlite, "SELECT unixepoch(?1) = unixepoch(?2)", time.as_str(), text.unwrap_or_default());
    assert!(same.unwrap_or(true), "{time:?} for {sent:?}");
}
