//! Every unidentified payload is kept byte for byte, in the table and once in the log file, with the right reason; every event has
//! the right columns; no payload stops the service.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension};
use serde_json::{Value, json};
use testkit::{Client, Cluster, Position, ProduceOptions, Record, unique};

use crate::support::payload_cases;
use crate::support::payload_cases::{Case, Expected};
use crate::support::process::{Installation, json_lines};

fn cluster() -> (&'static Cluster, &'static Client) {
    let cluster = testkit::shared(testkit::NEWEST).unwrap();
    (cluster, cluster.client().unwrap())
}

/// The record of a case: keys and headers of every kind, by its number.
fn record(number: usize, case: &Case) -> Record {
    let value = case.value.as_ref().map(|value| match std::str::from_utf8(value) {
        Ok(text) => text.replace('@', &number.to_string()).into_bytes(),
        Err(_) => value.clone(),
    });
    let record =
        Record { value, timestamp_ms: Some(1_767_268_800_000 + i64::try_from(number).unwrap()), ..Record::default() };
    match number % 5 {
        0 => record,
        1 => record.key("").header("trace", Some(b"1")),
        2 => record.key("a key").header("h", None).header("h", Some(b"")),
        3 => record.key(vec![0, 0xff, 10]).header("h\u{e9}", Some(&[0, 0xfe])),
        _ => record.key("k\"\n").header("", Some(b"nameless")),
    }
}

/// The format of `unidentified_messages.headers`.
fn headers_json(record: &Record) -> Value {
    record
        .headers
        .iter()
        .map(|(name, value)| json!([name, value.as_ref().map(|value| BASE64_STANDARD.encode(value))]))
        .collect()
}

/// The message of an offset: key, value, headers, reason, time of the record.
type Message = (Option<Vec<u8>>, Option<Vec<u8>>, String, String, i64);

fn message(database: &Connection, offset: i64) -> Option<Message> {
    let query =
        "SELECT key, value, headers, reason, kafka_timestamp FROM unidentified_messages WHERE kafka_offset = ?1";
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?));
    database.query_row(query, [offset], row).optional().unwrap()
}

/// The row of an offset, by column; a long text as its number of letters.
fn row(database: &Connection, table: &str, offset: i64) -> Option<BTreeMap<String, Value>> {
    let mut statement = database.prepare(&format!("SELECT * FROM {table} WHERE kafka_offset = ?1")).unwrap();
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let columns = |row: &rusqlite::Row<'_>| {
        let value = |at: usize| match row.get_ref_unwrap(at) {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => json!(number),
            ValueRef::Real(number) => json!(number),
            ValueRef::Text(text) => match std::str::from_utf8(text).unwrap() {
                long if long.chars().count() > 10_000 => json!(long.chars().count()),
                text => json!(text),
            },
            ValueRef::Blob(_) => panic!("no column is a blob"),
        };
        Ok(names.iter().enumerate().map(|(at, name)| (name.clone(), value(at))).collect())
    };
    statement.query_row([offset], columns).optional().unwrap()
}

/// The bytes of a field of the log file: text, null, or base64 with another name.
fn logged_bytes(line: &Value, name: &str) -> Option<Vec<u8>> {
    match (line.get(name), line.get(format!("{name}_base64"))) {
        (Some(Value::String(text)), None) => Some(text.clone().into_bytes()),
        (Some(Value::Null), None) => None,
        (None, Some(Value::String(base64))) => {
            let bytes = BASE64_STANDARD.decode(base64).unwrap();
            assert!(std::str::from_utf8(&bytes).is_err(), "text needs no base64: {line}");
            Some(bytes)
        }
        fields => panic!("{name}: {fields:?}"),
    }
}

#[test]
fn every_payload_is_stored_or_kept_byte_for_byte() {
    let cases = payload_cases::all();
    let records: Vec<Record> = cases.iter().enumerate().map(|(number, case)| record(number, case)).collect();
    let (cluster, kafka) = cluster();
    let topic = unique("payloads");
    kafka.create_topic(&topic, 1, &[("max.message.bytes", "8000000")]).unwrap();
    let large = ProduceOptions::default().config("max.request.size", "8000000");
    let positions = kafka.produce(&topic, &large, records.iter().cloned()).unwrap();
    let installation = Installation::new(&cluster.bootstrap_servers(), &topic);
    installation.run_to_end();
    installation.assert_clean();

    let database = installation.database();
    let log = json_lines(&installation.unidentified_path());
    let mut kept = 0;
    for (number, ((case, record), at)) in cases.iter().zip(&records).zip(&positions).enumerate() {
        let shown =
            String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).chars().take(100).collect::<String>();
        let logged: Vec<&Value> = log.iter().filter(|line| line["offset"] == at.offset).collect();
        match &case.expected {
            Expected::Kept(reason) => {
                kept += 1;
                let (key, value, headers, stored_reason, time) =
                    message(&database, at.offset).unwrap_or_else(|| panic!("not kept: {shown}"));
                assert_eq!(stored_reason, *reason, "{shown}");
                assert!(key == record.key && value == record.value, "not byte for byte: {shown}");
                assert_eq!(serde_json::from_str::<Value>(&headers).unwrap(), headers_json(record), "{shown}");
                assert_eq!(Some(time), record.timestamp_ms, "{shown}");
                let [line] = logged[..] else { panic!("{} log lines: {shown}", logged.len()) };
                assert_eq!(
                    (&line["topic"], &line["partition"], &line["reason"]),
                    (&json!(topic), &json!(0), &json!(reason))
                );
                assert!(line["error"].as_str().is_some_and(|error| !error.is_empty() && error.len() < 400), "{line}");
                assert!(
                    logged_bytes(line, "payload") == record.value && logged_bytes(line, "key") == record.key,
                    "{shown}"
                );
            }
            Expected::Stored(table, columns) => {
                assert_eq!((message(&database, at.offset), logged.len()), (None, 0), "{shown}");
                let row = row(&database, table, at.offset).unwrap_or_else(|| panic!("not stored: {shown}"));
                let columns = columns.replace('@', &number.to_string());
                let columns: BTreeMap<String, Value> = serde_json::from_str(&columns).unwrap();
                for (name, value) in columns {
                    assert_eq!(row.get(&name), Some(&value), "{name} of {shown}");
                }
            }
        }
    }
    let counted = database.query_row("SELECT applied, stale, unidentified, absent FROM consumer_offsets", [], |row| {
        Ok([row.get::<_, usize>(0)?, row.get(1)?, row.get(2)?, row.get(3)?])
    });
    assert_eq!(counted.unwrap(), [cases.len() - kept, 0, kept, 0]);
    assert_eq!(log.len(), kept);
}

/// Unidentified messages, each with a different payload.
fn produce_broken(kafka: &Client, topic: &str, numbers: std::ops::Range<u32>) -> Vec<Position> {
    let records = numbers.map(|number| Record::value(format!("broken {number} {}", "x".repeat(200))).partition(0));
    kafka.produce(topic, &ProduceOptions::default(), records).unwrap()
}

/// The offsets in a log file, which must be complete lines.
fn logged_offsets(path: &Path) -> Vec<i64> {
    let mut offsets: Vec<i64> = json_lines(path).iter().map(|line| line["offset"].as_i64().unwrap()).collect();
    offsets.sort_unstable();
    offsets
}

#[test]
fn each_message_is_logged_once_however_often_the_service_is_killed() {
    const ROUNDS: u32 = 10;
    const MESSAGES: u32 = 2_000;
    let (cluster, kafka) = cluster();
    let topic = unique("killed");
    kafka.create_topic(&topic, 1, &[]).unwrap();
    let mut installation = Installation::new(&cluster.bootstrap_servers(), &topic);
    installation.set("BATCH_MAX_RECORDS", "20").set("LOG_LEVEL", "INFO");
    let file_bytes =
        |installation: &Installation| fs::metadata(installation.unidentified_path()).map_or(0, |file| file.len());
    for round in 0..ROUNDS {
        produce_broken(kafka, &topic, round * MESSAGES..(round + 1) * MESSAGES);
        let before = (installation.stored(), file_bytes(&installation));
        let mut service = installation.start(&["run"]);
        // While messages are stored, or while they are written to the log file.
        installation.wait_for("the moment to kill", |installation| {
            if round % 2 == 0 { installation.stored() > before.0 } else { file_bytes(installation) > before.1 }
        });
        service.kill();
    }
    installation.run_to_end();
    assert_eq!(
        logged_offsets(&installation.unidentified_path()),
        (0..i64::from(ROUNDS * MESSAGES)).collect::<Vec<_>>()
    );
    installation.assert_clean();
}

#[test]
fn each_message_is_logged_once_when_logrotate_copies_and_truncates() {
    let (cluster, kafka) = cluster();
    let topic = unique("rotated");
    kafka.create_topic(&topic, 1, &[]).unwrap();
    let installation = Installation::new(&cluster.bootstrap_servers(), &topic);
    let mut service = installation.start(&["run"]);
    let mut rotated = Vec::new();
    let mut sent = 0;
    for round in 0..5 {
        produce_broken(kafka, &topic, round * 100..(round + 1) * 100);
        sent += 100;
        let expected = sent - rotated.len();
        installation.wait_for("the round's lines", |installation| {
            json_lines(&installation.unidentified_path()).len() == expected
        });
        if round == 2 {
            // A file that is shorter than a killed service left it must cause no error. (If the service is killed before it has stored the
            // cursor, and the file is rotated before the next start, duplicates are possible.)
            installation.wait_for("the cursor", |installation| {
                installation.number("SELECT last_id FROM unidentified_log_cursor") == Some(300)
            });
            service.kill();
        }
        let copy = installation.path().join(format!("rotated.{round}"));
        fs::copy(installation.unidentified_path(), &copy).unwrap();
        File::options().write(true).open(installation.unidentified_path()).unwrap().set_len(0).unwrap();
        rotated.extend(logged_offsets(&copy));
        if round == 2 {
            service = installation.start(&["run"]);
        }
    }
    produce_broken(kafka, &topic, 500..510);
    installation.wait_for("the last lines", |installation| json_lines(&installation.unidentified_path()).len() == 10);
    service.signal("TERM");
    service.ends_with(0);
    rotated.extend(logged_offsets(&installation.unidentified_path()));
    rotated.sort_unstable();
    assert_eq!(rotated, (0..510).collect::<Vec<_>>());
    assert!(!fs::read(installation.unidentified_path()).unwrap().contains(&0), "a hole where the file was cut");
}
