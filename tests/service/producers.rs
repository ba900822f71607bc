//! Producers with clocks that are ahead, messages that an earlier version did not recognise, and several databases as one.

use serde_json::json;
use testkit::{ProduceOptions, Record};

use crate::support::process::{Installation, is_warning};
use crate::support::topic_fixture::TopicFixture;

/// 2023-11-14T22:13:20Z, in milliseconds.
const RECORD_MS: i64 = 1_700_000_000_000;
const RECORD: &str = "2023-11-14T22:13:20.000000000Z";
const AHEAD: &str = "2999-01-01T00:00:00.000000000Z";

fn event(id: &str, name: &str, last_modified: &str) -> String {
    format!(r#"{{"event_id":"{id}","name":"{name}","stage":"won","meta_data":{{"last_modified":"{last_modified}"}}}}"#)
}

/// Unidentified messages of an earlier version.
fn keep(installation: &Installation, values: &[&[u8]]) {
    let database = rusqlite::Connection::open(installation.database_path()).unwrap();
    for (value, offset) in values.iter().zip(0_i64..) {
        let insert = "INSERT INTO unidentified_messages
                (kafka_topic, topic_id, kafka_partition, kafka_offset, kafka_timestamp, value, headers, reason, error, received_at)
            VALUES ('earlier', '', 0, ?1, ?2, ?3, '[]', 'invalid_field', 'of an earlier time', '2024-01-01T00:00:00.000Z')";
        database.execute(insert, (offset, RECORD_MS, value)).unwrap();
    }
    let last = "INSERT INTO consumer_offsets
            (group_id, topic, partition, next_offset, first_offset, high_offset, topic_id, unidentified, updated_at)
        VALUES ('earlier', 'earlier', 0, ?1, 0, ?1, '', ?1, '2024-01-01T00:00:00.000Z')";
    database.execute(last, [i64::try_from(values.len()).unwrap()]).unwrap();
}

fn texts<const N: usize>(fixture: &TopicFixture, query: &str) -> Vec<[Option<String>; N]> {
    fixture.rows(query, |row| {
        let columns: rusqlite::Result<Vec<_>> = (0..N).map(|column| row.get(column)).collect();
        Ok(columns?.try_into().unwrap())
    })
}

#[test]
fn a_clock_that_is_ahead_freezes_no_row_and_is_reported() {
    let fixture = TopicFixture::new("clocks", 1);
    let installation = &fixture.installation;
    let send = |value: String, timestamp_ms: i64| {
        let record = Record::value(value).partition(0).timestamp_ms(timestamp_ms);
        fixture.kafka.produce(&fixture.topic, &ProduceOptions::default(), [record]).unwrap();
    };
    send(event("opp_1", "of a clock that is ahead", AHEAD), RECORD_MS);
    send(event("opp_2", "likewise", AHEAD), RECORD_MS);
    send(event("opp_1", "of the next day", "2023-11-15T22:13:20Z"), RECORD_MS + 86_400_000);
    installation.run_to_end();
    // The record's timestamp counts in a replay too: the event of the next day wins.
    keep(installation, &[event("opp_1", "replayed", AHEAD).as_bytes(), event("opp_3", "replayed", AHEAD).as_bytes()]);
    let said = "\
replayed      2 opportunities
stale         1 of them, older than the stored event of their id
unidentified  none
";
    let dry = installation.ask(&["replay", "--dry-run"]);
    assert_eq!(dry.stdout, format!("{said}dry run       nothing was written\n"), "{dry:?}");
    assert_eq!(installation.ask(&["replay"]).stdout, said);

    let rows = "SELECT event_id, name, last_modified, last_modified_sent, meta_data LIKE '%2999%' FROM opportunities ORDER BY 1";
    let own = |text: &str| Some(text.to_owned());
    assert_eq!(
        fixture.rows(rows, |row| Ok((
            row.get::<_, Option<String>>(0)?,
            row.get::<_, Option<String>>(1)?,
            row.get::<_, Option<String>>(2)?,
            row.get::<_, Option<String>>(3)?,
            row.get::<_, bool>(4)?
        ))),
        [
            (own("opp_1"), own("of the next day"), own("2023-11-15T22:13:20.000000000Z"), None, false),
            (own("opp_2"), own("likewise"), own(RECORD), own(AHEAD), true),
            (own("opp_3"), own("replayed"), own(RECORD), own(AHEAD), true),
        ]
    );
    let answer = installation.ask(&["status", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(report["last_modified_ahead"], json!(2));
    let shown = installation.ask(&["status"]).stdout;
    assert!(
        shown.contains("clocks        2 rows with a last_modified too far ahead of the record's timestamp"),
        "{shown}"
    );
    let is_clock =
        |line: &serde_json::Value| is_warning(line, &["last_modified is too far ahead of the record's timestamp"]);
    let warnings: Vec<_> = installation.log().into_iter().filter(is_clock).collect();
    assert_eq!(warnings.len(), 1, "one for all of them: {warnings:?}");
    assert_eq!((&warnings[0]["partition"], &warnings[0]["last_modified"]), (&json!(0), &json!(AHEAD)), "{warnings:?}");
    assert_eq!(installation.ask(&["verify"]).code, Some(0));
}

#[test]
fn without_a_limit_a_time_counts_as_sent() {
    let mut fixture = TopicFixture::new("clocks-free", 1);
    fixture.installation.set("LAST_MODIFIED_MAX_AHEAD_MS", "0");
    let record = Record::value(event("opp_1", "n", AHEAD)).partition(0).timestamp_ms(RECORD_MS);
    fixture.kafka.produce(&fixture.topic, &ProduceOptions::default(), [record]).unwrap();
    fixture.run_to_end();
    let stored = texts::<2>(&fixture, "SELECT last_modified, last_modified_sent FROM opportunities");
    assert_eq!(stored, [[Some(AHEAD.to_owned()), None]]);
}

#[test]
fn a_replay_stores_messages_that_an_earlier_version_did_not_recognise() {
    let fixture = TopicFixture::new("refused-before", 1);
    fixture.run_to_end();
    let opportunity = |field: &str, value: &str| {
        format!(r#"{{"event_id":"{field}","name":"n","stage":"s","{field}":{value}}}"#).into_bytes()
    };
    let moment = |id: &str, json: &str| {
        format!(r#"{{"event_id":"{id}","name":"n","stage":"s","meta_data":{{"last_modified":{json}}}}}"#).into_bytes()
    };
    let plain = r#"{"event_id":"@","name":"n","stage":"s"}"#;
    let values: Vec<Vec<u8>> = vec![
        opportunity("probability", "75.0"),
        opportunity("amount", r#""50000.00""#),
        opportunity("expected_close_date", r#""2024-06-30T00:00:00Z""#),
        opportunity("meta_data", r#""""#),
        moment("salesforce", r#""2023-11-14T21:13:20.000+0000""#),
        moment("seconds", "1699999999"),
        [b"\0\0\0\0\x07", plain.replace('@', "framed").as_bytes()].concat(),
        [b"\xef\xbb\xbf", plain.replace('@', "marked").as_bytes()].concat(),
        opportunity("probability", "75.5"),
    ];
    let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
    keep(&fixture.installation, &values);
    let said = fixture.installation.ask(&["replay"]).stdout;
    assert!(said.starts_with("replayed      8 opportunities\n") && said.contains("1 invalid_field"), "{said}");
    let stored = texts::<4>(
        &fixture,
        "SELECT event_id, coalesce(CAST(amount AS TEXT), CAST(probability AS TEXT), expected_close_date), last_modified, meta_data
         FROM opportunities ORDER BY 1",
    );
    let row = |columns: [&str; 4]| columns.map(|text| (!text.is_empty()).then(|| text.to_owned()));
    assert_eq!(
        stored,
        [
            ["amount", "50000.0", "", ""],
            ["expected_close_date", "2024-06-30", "", ""],
            ["framed", "", "", ""],
            ["marked", "", "", ""],
            ["meta_data", "", "", ""],
            ["probability", "75", "", ""],
            ["salesforce", "", "2023-11-14T21:13:20.000000000Z", r#"{"last_modified":"2023-11-14T21:13:20.000+0000"}"#],
            ["seconds", "", "2023-11-14T22:13:19.000000000Z", r#"{"last_modified":1699999999}"#],
        ]
        .map(row)
    );
}

#[test]
fn views_show_several_databases_as_one() {
    let first = TopicFixture::new("views", 1);
    first.produce(0, 0..5);
    first.run_to_end();
    let mut second = first.another_installation();
    second.installation.set("KAFKA_GROUP_ID", &format!("another-{}", first.group()));
    first.produce(0, 3..4);
    second.installation.run_to_end();

    let path = |fixture: &TopicFixture| fixture.installation.database_path().display().to_string();
    let answer = first.installation.ask(&["views", &path(&first), &path(&second)]);
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""));
    let reader = rusqlite::Connection::open_in_memory().unwrap();
    reader.execute_batch(&answer.stdout).unwrap();
    let number = |sql: &str| reader.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(number("SELECT count(*) FROM all_opportunities"), 5);
    assert_eq!(number("SELECT kafka_offset FROM all_opportunities WHERE event_id = 'opp_0_3'"), 5);
    assert_eq!(number("SELECT count(*) FROM all_projects"), 0);

    let missing = first.installation.ask(&["views", "data/none.db"]);
    assert_eq!((missing.code, missing.stdout.as_str()), (Some(1), ""), "{missing:?}");
    assert!(missing.stderr.contains("data/none.db"), "{missing:?}");
    assert!(!first.installation.path().join("data/none.db").exists(), "looking makes nothing");
    let none = first.installation.ask(&["views"]);
    assert_eq!(none.code, Some(2), "{none:?}");
}
