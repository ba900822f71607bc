//! Values of any bytes. What is JSON is told by SQLite's parser too, and what an event holds by `serde_json`'s full one: nothing
//! that was sent is missing, nothing is there that was not sent, and what is kept as JSON is JSON to whoever reads the tables.

use fuzzkit::{Target, within};
use rusqlite::Connection;
use serde_json::{Map, Value};

use crate::entity::{self, Event, MetaData, Reason, Rejection};

/// Memory that decoding may take, per byte of the value: the list of fields while it grows.
const MEMORY_FACTOR: usize = 24;
/// The same for an ordinary event.
const MEMORY_LEAST: usize = 4 * 1024;
/// An error quotes no more characters than this, all told.
const ERROR_CHARS_MAX: usize = 400;
/// As deep may JSON be.
const NESTING_MAX: usize = 128;

pub(super) const TARGET: Target = Target {
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
    ],
    tries: 6_000,
};

fn event(input: &[u8]) -> bool {
    let decoded = within(input.len() * MEMORY_FACTOR + MEMORY_LEAST, || entity::decode(Some(input)));
    assert_eq!(decoded, entity::decode(Some(input)), "the same bytes, another outcome");
    let text = std::str::from_utf8(input).ok();
    let sqlite = |sqlite: &Connection| match &decoded {
        Ok(event) => {
            let text = text.unwrap_or_default();
            assert!(is_json(sqlite, text), "an event that is no JSON");
            check_event(sqlite, event, text);
        }
        Err(rejection) => check_rejection(sqlite, rejection, input, text),
    };
    SQLITE.with(|opened| assert!(opened.as_ref().map(sqlite).is_some(), "no SQLite"));
    decoded.is_ok()
}

thread_local! {
    static SQLITE: Option<Connection> = Connection::open_in_memory().ok();
}

/// The answer of SQLite to a question about two texts.
fn ask(sqlite: &Connection, question: &str, one: &str, other: &str) -> Option<bool> {
    let mut statement = sqlite.prepare_cached(question).ok()?;
    statement.query_row([one, other], |row| row.get(0)).ok()?
}

/// Strictly, as the RFC has it.
fn is_json(sqlite: &Connection, text: &str) -> bool {
    let answer = ask(sqlite, "SELECT json_valid(?1, 1) AND ?2 = ''", text, "");
    assert!(answer.is_some(), "SQLite does not answer");
    answer == Some(true)
}

fn check_rejection(sqlite: &Connection, rejection: &Rejection, input: &[u8], text: Option<&str>) {
    let Rejection { reason, error } = rejection;
    assert!(error.chars().count() <= ERROR_CHARS_MAX && !error.contains(char::is_control), "{error:?}");
    assert_eq!(*reason == Reason::Empty, input.is_empty());
    let Some(text) = text else { return assert_eq!(*reason, Reason::NotJson) };
    // SQLite takes a zero for the end of the text.
    if input.is_empty() || input.contains(&0) {
        return;
    }
    let is_json = is_json(sqlite, text) && nesting(text) <= NESTING_MAX;
    assert_eq!(*reason == Reason::NotJson, !is_json, "{rejection:?}");
}

/// Of JSON: how many brackets are open at once.
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
    let (known, number, dates, meta_data, extra) = taken_apart(event);
    assert!(extra.is_none_or(|extra| is_json(sqlite, extra)), "{extra:?}");
    assert!(meta_data.is_none_or(|meta_data| is_json(sqlite, meta_data.json)), "{meta_data:?}");
    for date in dates {
        assert_eq!(ask(sqlite, "SELECT date(?1) = ?2", date, date), Some(true), "{date} is no day");
    }
    // Numbers beyond range and lone surrogates may be anywhere in what is kept, and are nothing to this parser.
    let Ok(Value::Object(mut sent)) = serde_json::from_str(text) else { return };
    let (name, number) = number;
    let number_sent = sent.remove(name).and_then(|number| number.as_f64());
    assert!(is_near(number, number_sent), "{number:?} for {number_sent:?}");
    let mut kept: Map<String, Value> = extra.and_then(|extra| serde_json::from_str(extra).ok()).unwrap_or_default();
    for (name, value) in known {
        if sent.get(name).is_some_and(Value::is_null) {
            sent.remove(name);
        }
        if let Some(value) = value {
            assert_eq!(kept.insert(name.to_owned(), value), None, "{name} is an extra too");
        }
    }
    assert_eq!(kept, sent);
    if let Some(MetaData { json, last_modified }) = meta_data {
        check_time(sqlite, json, last_modified.as_deref());
    }
}

type TakenApart<'a> = (
    Vec<(&'static str, Option<Value>)>,
    (&'static str, Option<f64>),
    Vec<&'a str>,
    Option<&'a MetaData<'a>>,
    Option<&'a str>,
);

/// The fields that the type knows, its number, its days, and what is kept as JSON.
fn taken_apart<'a>(event: &'a Event<'a>) -> TakenApart<'a> {
    let text = |text: &str| Some(Value::from(text));
    let json = |meta_data: &Option<MetaData>| {
        meta_data.as_ref().map(|meta_data| serde_json::from_str(meta_data.json).unwrap_or(Value::Null))
    };
    match event {
        Event::Opportunity(it) => {
            let known = vec![
                ("event_id", text(&it.event_id)),
                ("name", text(&it.name)),
                ("stage", text(&it.stage)),
                ("probability", it.probability.map(Value::from)),
                ("expected_close_date", it.expected_close_date.as_deref().and_then(text)),
                ("account_id", it.account_id.as_deref().and_then(text)),
                ("owner_id", it.owner_id.as_deref().and_then(text)),
                ("meta_data", json(&it.meta_data)),
            ];
            let dates = it.expected_close_date.iter().map(AsRef::as_ref).collect();
            (known, ("amount", it.amount), dates, it.meta_data.as_ref(), it.extra.as_deref())
        }
        Event::Project(it) => {
            let known = vec![
                ("event_id", text(&it.event_id)),
                ("name", text(&it.name)),
                ("status", text(&it.status)),
                ("start_date", it.start_date.as_deref().and_then(text)),
                ("end_date", it.end_date.as_deref().and_then(text)),
                ("account_id", it.account_id.as_deref().and_then(text)),
                ("owner_id", it.owner_id.as_deref().and_then(text)),
                ("meta_data", json(&it.meta_data)),
            ];
            let dates = it.start_date.iter().chain(&it.end_date).map(AsRef::as_ref).collect();
            (known, ("budget", it.budget), dates, it.meta_data.as_ref(), it.extra.as_deref())
        }
    }
}

/// The full parser may be off by the last bit or two.
fn is_near(one: Option<f64>, other: Option<f64>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => (one - other).abs() <= one.abs() * f64::EPSILON * 2.0,
        (one, other) => one.is_none() && other.is_none(),
    }
}

/// The time is of a fixed form, and SQLite takes it for the same second as the one that was sent, if it knows that form.
fn check_time(sqlite: &Connection, json: &str, last_modified: Option<&str>) {
    let sent = serde_json::from_str::<Value>(json).unwrap_or_default();
    let sent = sent.get("last_modified").and_then(Value::as_str);
    let Some(time) = last_modified else { return assert_eq!(sent, None) };
    let form: String = time.chars().map(|char| if char.is_ascii_digit() { '0' } else { char }).collect();
    assert_eq!(form, "0000-00-00T00:00:00.000000000Z");
    let same = ask(sqlite, "SELECT unixepoch(?1) = unixepoch(?2)", time, sent.unwrap_or_default());
    assert!(same.unwrap_or(true), "{time} for {sent:?}");
}
