//! Random events and their expected tables: each record is created with its expected outcome, and the tables are computed from these by
//! the rule which event wins. Shares no code with the service.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::Value;
use testkit::{Position, Random, Record};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use super::process::json_lines;

/// The format of a stored `last_modified`: UTC, with a fixed width.
const FIXED_WIDTH: &[time::format_description::BorrowedFormatItem<'_>] =
    time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:9]Z");
/// Noon of 2026-01-01, in seconds since 1970: all times are near it.
const SECONDS: i64 = 1_767_268_800;

/// A record and its expected outcome.
#[derive(Clone)]
pub struct Sent {
    pub record: Record,
    outcome: Outcome,
}

#[derive(Clone)]
enum Outcome {
    /// Table, id, the columns between id and `last_modified` in the order of the table, `last_modified`, `extra`.
    Event { table: &'static str, id: String, columns: Vec<Value>, last_modified: Option<String>, extra: Option<String> },
    /// The reason of an unidentified message.
    Unidentified(&'static str),
}

/// `count` records for a topic with `partitions` partitions.
pub fn events(seed: u64, count: u64, partitions: i32) -> Vec<Sent> {
    let count_max = usize::try_from(count).unwrap();
    stream(seed, count / 3 + 1, partitions).take(count_max).collect()
}

/// An endless stream of records with about `ids` ids.
pub fn stream(seed: u64, ids: u64, partitions: i32) -> impl Iterator<Item = Sent> {
    let mut random = Random::from_seed(seed);
    (0..).map(move |number| sent(&mut random, number, ids, partitions))
}

fn sent(random: &mut Random, number: u64, ids: u64, partitions: i32) -> Sent {
    // A few ids have many events, most have few.
    let ids = if random.one_in(4) { 50 } else { ids };
    let id = random.below(ids);
    let (value, outcome) = match random.below(40) {
        0 => broken(random, id),
        1..=25 => opportunity(random, format!("opp_{id}"), number),
        _ => project(random, format!("proj_{id}"), number),
    };
    let mut record = Record { value, ..Record::default() }.partition(random.below(partitions));
    // Few different times, so that partition and offset have to decide.
    record = record.timestamp_ms((SECONDS + random.below(500)) * 1000 + 7);
    if !random.one_in(5) {
        record = record.key(format!("key {id}"));
    }
    if random.one_in(6) {
        record = record.header("source", Some(b"test")).header("source", None).header("", Some(&[0, 255]));
    }
    Sent { record, outcome }
}

fn opportunity(random: &mut Random, id: String, number: u64) -> (Option<Vec<u8>>, Outcome) {
    let mut json = Json::new(&id);
    let name = json.text("name", &format!("Grünwald \u{1f680} \"{number}\"\n"));
    let stage = json.text("stage", random.pick(&["Prospecting", "Proposal", "Closed Won"]).unwrap());
    let amount = json.maybe(random, "amount", |random| {
        let quarters = random.below(4_000_000) - 1000;
        (format!("{}", f64::from(quarters) / 4.0), Value::Real(f64::from(quarters) / 4.0))
    });
    let probability = json.maybe(random, "probability", |random| {
        let percent = random.below(101);
        (percent.to_string(), Value::Integer(percent))
    });
    let date = json.maybe(random, "expected_close_date", day);
    let (account, owner) = json.people(random);
    let (meta_data, last_modified) = json.meta_data(random);
    let (value, extra) = json.end(random);
    let columns = vec![name, stage, amount, probability, date, account, owner, meta_data];
    (Some(value), Outcome::Event { table: "opportunities", id, columns, last_modified, extra })
}

fn project(random: &mut Random, id: String, number: u64) -> (Option<Vec<u8>>, Outcome) {
    let mut json = Json::new(&id);
    let status = json.text("status", random.pick(&["Planned", "In Progress", "Done"]).unwrap());
    let name = json.text("name", &format!("project {number} \\ \u{7f}"));
    let start = json.maybe(random, "start_date", day);
    let end = json.maybe(random, "end_date", day);
    let budget = json.maybe(random, "budget", |random| {
        let budget = f64::from(random.below(1_000_000));
        (format!("{budget:e}"), Value::Real(budget))
    });
    let (account, owner) = json.people(random);
    let (meta_data, last_modified) = json.meta_data(random);
    let (value, extra) = json.end(random);
    let columns = vec![name, status, start, end, budget, account, owner, meta_data];
    (Some(value), Outcome::Event { table: "projects", id, columns, last_modified, extra })
}

fn day(random: &mut Random) -> (String, Value) {
    let day = format!("20{:02}-{:02}-{:02}", random.below(100), 1 + random.below(12), 1 + random.below(28));
    (format!("\"{day}\""), Value::Text(day))
}

fn broken(random: &mut Random, id: u64) -> (Option<Vec<u8>>, Outcome) {
    let (value, reason): (Option<&[u8]>, _) = *random
        .pick(&[
            (None, "empty"),
            (Some(b"".as_slice()), "empty"),
            (Some(b"{\"event_id\":\"opp_@\",\"name\":\"cut o"), "not_json"),
            (Some(b"\xff\xfe@"), "not_json"),
            (Some(b"[\"opp_@\"]"), "unknown_type"),
            (Some(b"{\"event_id\":\"x_@\",\"name\":\"neither\"}"), "unknown_type"),
            (Some(b"{\"event_id\":\"opp_@\",\"name\":\"n\",\"stage\":\"s\",\"amount\":\"12 EUR\"}"), "invalid_field"),
            (
                Some(b"{\"event_id\":\"proj_@\",\"name\":\"n\",\"status\":\"s\",\"end_date\":\"2026-02-30\"}"),
                "invalid_field",
            ),
        ])
        .unwrap();
    let value = value.map(|value| {
        let parts: Vec<&[u8]> = value.split(|byte| *byte == b'@').collect();
        parts.join(id.to_string().as_bytes())
    });
    (value, Outcome::Unidentified(reason))
}

/// A JSON object that is being written.
struct Json {
    text: String,
    extra: Vec<String>,
}

impl Json {
    fn new(id: &str) -> Self {
        Self { text: format!("{{\"event_id\":\"{id}\""), extra: Vec::new() }
    }

    fn field(&mut self, name: &str, value: &str) {
        write!(self.text, ",\"{name}\": {value}").unwrap();
    }

    fn text(&mut self, name: &str, value: &str) -> Value {
        self.field(name, &serde_json::to_string(value).unwrap());
        Value::Text(value.to_owned())
    }

    /// Adds a field that is present, null or absent.
    fn maybe(&mut self, random: &mut Random, name: &str, value: impl Fn(&mut Random) -> (String, Value)) -> Value {
        match random.below(8) {
            0 => Value::Null,
            1 => {
                self.field(name, "null");
                Value::Null
            }
            _ => {
                let (json, value) = value(random);
                self.field(name, &json);
                value
            }
        }
    }

    fn people(&mut self, random: &mut Random) -> (Value, Value) {
        let person = |random: &mut Random| {
            let id = format!("id-{}", random.below(100));
            (format!("\"{id}\""), Value::Text(id))
        };
        (self.maybe(random, "account_id", person), self.maybe(random, "owner_id", person))
    }

    /// `meta_data` as sent, and the time in it.
    fn meta_data(&mut self, random: &mut Random) -> (Value, Option<String>) {
        if random.one_in(6) {
            return (Value::Null, None);
        }
        let mut last_modified = None;
        let mut json = "{ \"source\": \"crm\",\"tags\":[\"a\" , \"b\"]".to_owned();
        if !random.one_in(5) {
            // Few different times, so that there are ties.
            let nanos = *random.pick(&[0_i128, 500_000_000, 123_456_789, 7_000_000]).unwrap();
            let seconds = SECONDS + random.below(300);
            let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(seconds) * 1_000_000_000 + nanos).unwrap();
            let zone = UtcOffset::from_whole_seconds(*random.pick(&[0, 7200, -19800, 20700]).unwrap()).unwrap();
            let sent = time.to_offset(zone).format(&Rfc3339).unwrap();
            write!(json, ",\"last_modified\":\"{sent}\"").unwrap();
            last_modified = Some(time.format(&FIXED_WIDTH).unwrap());
        }
        json += ",\"notes\":\"née\\u00e9\"}";
        self.field("meta_data", &json);
        (Value::Text(json), last_modified)
    }

    /// The bytes, and the fields without a column.
    fn end(mut self, random: &mut Random) -> (Vec<u8>, Option<String>) {
        for (name, value) in [("region", "\"EMEA\""), ("scores", "[1.50, 2e3]"), ("Amount", "null")] {
            if random.one_in(5) {
                self.field(name, value);
                self.extra.push(format!("\"{name}\":{value}"));
            }
        }
        let extra = (!self.extra.is_empty()).then(|| format!("{{{}}}", self.extra.join(",")));
        (format!("{}}}", self.text).into_bytes(), extra)
    }
}

/// The order of the events of one id: time, partition, offset.
pub(super) type Order = (String, i32, i64);

/// Topic, partition, offset.
pub(super) type Coordinates = (String, i32, i64);

/// The expected tables of produced records.
#[derive(Default)]
pub struct Tables {
    /// By table and id: the order, and every column except `created_at` and `updated_at`.
    pub(super) events: BTreeMap<(&'static str, String), (Order, Vec<Value>)>,
    /// By topic, partition and offset: timestamp, key, value, headers, reason.
    pub(super) unidentified: BTreeMap<Coordinates, Vec<Value>>,
    records: i64,
}

impl Tables {
    /// Adds records of one topic with their positions.
    pub fn add(&mut self, topic: &str, sent: &[Sent], positions: &[Position]) {
        assert_eq!(sent.len(), positions.len());
        for (sent, at) in sent.iter().zip(positions) {
            self.records += 1;
            let timestamp = sent.record.timestamp_ms.unwrap();
            match &sent.outcome {
                Outcome::Unidentified(reason) => {
                    let row = unidentified(&sent.record, timestamp, reason);
                    self.unidentified.insert((topic.to_owned(), at.partition, at.offset), row);
                }
                Outcome::Event { table, id, columns, last_modified, extra } => {
                    let time = last_modified.clone().unwrap_or_else(|| as_time(timestamp));
                    let order = (time, at.partition, at.offset);
                    let mut row = columns.clone();
                    row.extend([text(last_modified.clone()), text(extra.clone()), Value::Text(topic.to_owned())]);
                    row.extend([i64::from(at.partition), at.offset, timestamp].map(Value::Integer));
                    let stored = self.events.get(&(*table, id.clone()));
                    if stored.is_none_or(|(greatest, _)| *greatest <= order) {
                        self.events.insert((*table, id.clone()), (order, row));
                    }
                }
            }
        }
    }

    /// Checks that the database has exactly these rows, and that its counters agree.
    pub fn assert_stored(&self, database: &Connection) {
        for table in TABLES {
            let stored = stored_events(database, table);
            let expected: BTreeMap<&String, &Vec<Value>> =
                self.events.iter().filter(|((of, _), _)| *of == table).map(|((_, id), (_, row))| (id, row)).collect();
            for (id, row) in &expected {
                assert_eq!(stored.get(*id), Some(*row), "{table}: {id}");
            }
            assert_eq!(stored.len(), expected.len(), "rows of {table}");
        }
        let stored = stored_messages(database);
        for (at, message) in &self.unidentified {
            assert_eq!(stored.get(at), Some(message), "the unidentified message at {at:?}");
        }
        let surplus = stored.keys().find(|at| !self.unidentified.contains_key(*at));
        assert_eq!(surplus, None, "an unidentified message that is none");
        let counted = rows(database, "SELECT sum(applied + stale), sum(unidentified) FROM consumer_offsets");
        let unidentified = i64::try_from(self.unidentified.len()).unwrap();
        assert_eq!(counted, [[self.records - unidentified, unidentified].map(Value::Integer)], "counters");
    }

    /// Checks that the log file of unidentified messages has each of them once.
    pub fn assert_logged(&self, file: &Path) {
        let mut logged: Vec<Coordinates> = json_lines(file)
            .iter()
            .map(|line| {
                let number = |name: &str| line[name].as_i64().unwrap();
                let topic = line["topic"].as_str().unwrap().to_owned();
                (topic, i32::try_from(number("partition")).unwrap(), number("offset"))
            })
            .collect();
        logged.sort();
        let expected: Vec<&Coordinates> = self.unidentified.keys().collect();
        assert_eq!(logged.iter().collect::<Vec<_>>(), expected);
    }
}

/// The tables of events.
pub(super) const TABLES: [&str; 2] = ["opportunities", "projects"];

/// The rows of a table by id: every column except the id, `created_at` and `updated_at`; the coordinates come last.
pub(super) fn stored_events(database: &Connection, table: &str) -> BTreeMap<String, Vec<Value>> {
    let columns = match table {
        "projects" => "name, status, start_date, end_date, budget, account_id, owner_id, meta_data",
        _ => "name, stage, amount, probability, expected_close_date, account_id, owner_id, meta_data",
    };
    let query = format!(
        "SELECT event_id, {columns}, last_modified, extra, kafka_topic, kafka_partition, kafka_offset, kafka_timestamp FROM {table}"
    );
    let mut stored = BTreeMap::new();
    for mut row in rows(database, &query) {
        let Value::Text(id) = row.remove(0) else { panic!("an id that is no text") };
        assert!(stored.insert(id, row).is_none(), "an id twice");
    }
    stored
}

/// The unidentified messages.
pub(super) fn stored_messages(database: &Connection) -> BTreeMap<Coordinates, Vec<Value>> {
    let query = "SELECT kafka_topic, kafka_partition, kafka_offset, kafka_timestamp, key, value, headers, reason
                     FROM unidentified_messages";
    let mut stored = BTreeMap::new();
    for mut row in rows(database, query) {
        let rest = row.split_off(3);
        let [Value::Text(topic), Value::Integer(partition), Value::Integer(offset)] = &row[..] else {
            panic!("coordinates are {row:?}")
        };
        let at = (topic.clone(), i32::try_from(*partition).unwrap(), *offset);
        assert!(stored.insert(at, rest).is_none(), "a message twice");
    }
    stored
}

/// A time in milliseconds as text that sorts as time.
pub(super) fn as_time(timestamp_ms: i64) -> String {
    let nanos = i128::from(timestamp_ms) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap().format(&FIXED_WIDTH).unwrap()
}

fn unidentified(record: &Record, timestamp: i64, reason: &str) -> Vec<Value> {
    use base64::Engine;
    let bytes = |bytes: &Option<Vec<u8>>| bytes.clone().map_or(Value::Null, Value::Blob);
    let encode = |bytes: &Vec<u8>| base64::prelude::BASE64_STANDARD.encode(bytes);
    let headers: serde_json::Value =
        record.headers.iter().map(|(name, value)| serde_json::json!([name, value.as_ref().map(encode)])).collect();
    let (key, value) = (bytes(&record.key), bytes(&record.value));
    vec![Value::Integer(timestamp), key, value, Value::Text(headers.to_string()), Value::Text(reason.to_owned())]
}

fn text(text: Option<String>) -> Value {
    text.map_or(Value::Null, Value::Text)
}

fn rows(database: &Connection, query: &str) -> Vec<Vec<Value>> {
    let mut statement = database.prepare(query).unwrap();
    let columns = statement.column_count();
    let row = |row: &rusqlite::Row<'_>| (0..columns).map(|column| row.get(column)).collect();
    statement.query_map([], row).unwrap().map(Result::unwrap).collect()
}
