//! `check` and `status` apply the start rules: what `run` would fail on or skip, which records an open transaction blocks, and whether
//! a service runs.

use serde_json::{Value, json};
use testkit::{Codec, OLDEST, ProduceOptions, Record};

use crate::support::process::Installation;
use crate::support::topic_fixture::TopicFixture;

/// The report, whatever the exit code.
fn report(installation: &Installation) -> Value {
    let answer = installation.ask(&["status", "--json"]);
    serde_json::from_str(&answer.stdout).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

fn exit_code(installation: &Installation, arguments: &[&str]) -> Option<i32> {
    installation.ask(arguments).code
}

/// Checks that `check` fails with a line about the start that has all parts.
fn check_fails(installation: &Installation, parts: &[&str]) {
    let answer = installation.ask(&["check"]);
    assert_eq!(answer.code, Some(1), "{answer:?}");
    let failures: Vec<&str> = answer.stdout.lines().filter(|line| line.starts_with("start ")).collect();
    assert!(parts.iter().all(|part| failures[0].contains(part)), "{answer:?}");
}

#[test]
fn a_recreated_topic_fails_in_check_as_in_run() {
    for version in testkit::VERSIONS {
        let mut fixture = TopicFixture::on(version, "inspect-recreated", 1);
        fixture.produce(0, 0..10);
        fixture.run_to_end();
        let (before, now) = fixture.recreate_topic(1);
        fixture.produce(0, 100..115);
        fixture.assert_refused(&["data loss"]);
        check_fails(&fixture.installation, &["FAIL", "data loss", &before, &now]);
        let row = &report(&fixture.installation)["partitions"][0];
        assert_eq!((&row["lag_records"], &row["lag_seconds"]), (&Value::Null, &Value::Null), "{row}");
        assert_eq!(row["next_start"]["action"], "fails", "{row}");
        assert!(row["next_start"]["error"].as_str().unwrap().contains(&now), "{row}");
        assert_eq!(exit_code(&fixture.installation, &["status", "--max-lag-seconds", "1000000"]), Some(1));

        fixture.installation.set("FAIL_ON_DATA_LOSS", "false");
        let answer = fixture.installation.ask(&["check"]);
        assert_eq!(answer.code, Some(0), "{answer:?}");
        assert!(answer.stdout.contains("warn") && answer.stdout.contains("topic_recreated"), "{answer:?}");
        let row = &report(&fixture.installation)["partitions"][0];
        assert_eq!((&row["lag_records"], &row["next_start"]["to_offset"]), (&json!(15), &json!(0)), "{row}");
    }
}

#[test]
fn a_position_beyond_the_end_and_one_before_the_start_are_losses() {
    let fixture = TopicFixture::new("inspect-range", 1);
    fixture.produce(0, 0..5);
    fixture.run_to_end();
    fixture.produce(0, 5..10);
    fixture.kafka.delete_records(&fixture.topic, 0, 7).unwrap();
    check_fails(&fixture.installation, &["FAIL", "data loss", "offset 5 to 6"]);
    assert_eq!(report(&fixture.installation)["partitions"][0]["next_start"]["action"], "fails");
    let writer = rusqlite::Connection::open(fixture.installation.database_path()).unwrap();
    let beyond =
        "UPDATE consumer_offsets SET next_offset = 50, high_offset = 50, absent = absent + 45, leader_epoch = NULL";
    writer.execute(beyond, []).unwrap();
    drop(writer);
    check_fails(&fixture.installation, &["FAIL", "data loss", "ends at offset 10", "position 50"]);
    let row = &report(&fixture.installation)["partitions"][0];
    assert_eq!((&row["lag_records"], &row["end_offset"]), (&Value::Null, &json!(10)), "{row}");
    fixture.assert_refused(&["data loss", "ends at offset 10"]);
}

#[test]
fn a_reset_made_while_stopped_shows_before_the_start() {
    let fixture = TopicFixture::new("inspect-reset", 1);
    fixture.produce(0, 0..10);
    fixture.run_to_end();
    assert_eq!(report(&fixture.installation)["partitions"][0]["next_start"], Value::Null);
    fixture.reset("", &["--to-offset", "4"]);
    let row = &report(&fixture.installation)["partitions"][0];
    assert_eq!(
        (&row["next_offset"], &row["committed_offset"], &row["lag_records"]),
        (&json!(10), &json!(4), &json!(6)),
        "{row}"
    );
    let start = &row["next_start"];
    assert_eq!(
        (&start["action"], &start["from_offset"], &start["to_offset"], &start["reason"]),
        (&json!("moves_position"), &json!(10), &json!(4), &json!("group_reset")),
        "{row}"
    );
    let words = fixture.installation.ask(&["status"]).stdout;
    assert!(words.contains("the next start moves 10 -> 4  group_reset"), "{words}");
    fixture.run_to_end();
    assert_eq!(report(&fixture.installation)["partitions"][0]["next_start"], Value::Null);
}

#[test]
fn records_behind_an_open_transaction_are_lag() {
    let fixture = TopicFixture::new("inspect-transaction", 1);
    fixture.produce(0, 0..3);
    let transaction = fixture.kafka.begin(&fixture.topic, &ProduceOptions::default()).unwrap();
    let event = |number| Record::value(format!(r#"{{"event_id":"opp_{number}","name":"n","stage":"s"}}"#)).partition(0);
    transaction.produce(&fixture.topic, (100..103).map(event)).unwrap();
    fixture.produce(0, 3..43);
    fixture.installation.run_to_end();
    let row = &report(&fixture.installation)["partitions"][0];
    let offsets = ["next_offset", "last_stable_offset", "end_offset", "lag_records", "blocked_records"];
    assert_eq!(offsets.map(|name| row[name].as_i64().unwrap()), [3, 3, 46, 43, 43], "{row}");
    assert!(row["lag_seconds"].as_f64().unwrap() > 0.0 && row["blocked_seconds"].as_f64().unwrap() > 0.0, "{row}");
    let words = fixture.installation.ask(&["status"]).stdout;
    assert!(words.contains("43 records from offset 3 on wait for an open transaction"), "{words}");
    transaction.commit().unwrap();
    fixture.run_to_end();
    let row = &report(&fixture.installation)["partitions"][0];
    assert_eq!(offsets.map(|name| row[name].as_i64().unwrap()), [47, 47, 47, 0, 0], "{row}");
    assert_eq!((&row["lag_seconds"], &row["blocked_seconds"]), (&json!(0.0), &json!(0.0)), "{row}");
}

#[test]
fn status_tells_whether_a_service_runs() {
    let mut fixture = TopicFixture::new("inspect-service", 1);
    fixture.produce(0, 0..3);
    fixture.run_to_end();
    let service = &report(&fixture.installation)["service"];
    assert_eq!((&service["running"], &service["pid"]), (&json!(false), &Value::Null), "{service}");
    assert!(service["started_at"].as_str() < service["stopped_at"].as_str(), "{service}");

    fixture.installation.set("LOG_FILE", "data"); // A directory: the log says that it cannot be written.
    let mut running = fixture.installation.start(&["run"]);
    fixture.produce(0, 3..6);
    fixture.installation.wait_for("the events", |installation| installation.stored() == 6);
    let service = &report(&fixture.installation)["service"];
    assert_eq!((&service["running"], &service["pid"]), (&json!(true), &json!(running.pid())), "{service}");
    assert_eq!(service["stopped_at"], Value::Null, "{service}");
    running.kill();
    drop(running);
    let service = &report(&fixture.installation)["service"];
    assert_eq!((&service["running"], &service["stopped_at"]), (&json!(false), &Value::Null), "{service}");

    fixture.installation.set("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1").set("RETRY_MAX_ATTEMPTS", "1");
    assert_eq!(exit_code(&fixture.installation, &["run"]), Some(1));
    let service = &report(&fixture.installation)["service"];
    let last_error = &service["last_error"];
    assert_eq!(last_error["level"], "ERROR", "{service}");
    assert!(last_error["message"].as_str().unwrap().contains("127.0.0.1:1"), "{service}");
}

#[test]
fn a_lag_above_the_limit_is_an_exit_code() {
    let fixture = TopicFixture::new("inspect-limit", 1);
    fixture.produce(0, 0..3);
    fixture.run_to_end();
    assert_eq!(exit_code(&fixture.installation, &["status", "--max-lag-seconds", "0"]), Some(0));
    let old = Record::value("late").timestamp_ms(1_600_000_000_000);
    fixture.kafka.produce(&fixture.topic, &ProduceOptions::default(), [old]).unwrap();
    assert_eq!(exit_code(&fixture.installation, &["status"]), Some(0));
    assert_eq!(exit_code(&fixture.installation, &["status", "--max-lag-seconds", "3600"]), Some(1));
    assert_eq!(exit_code(&fixture.installation, &["status", "--json", "--max-lag-seconds", "1e9"]), Some(0));
}

#[test]
fn the_age_of_many_partitions_is_known_however_large_their_batches_are() {
    let fixture = TopicFixture::new("inspect-many", 40);
    fixture.installation.run_to_end();
    let time = |partition: i32| 1_600_000_000_000 + i64::from(partition) * 1_000_000;
    // Some batches are larger than the first fetch of each partition.
    let size = |partition: i32| if partition % 4 == 0 { 300_000 } else { 100 };
    let record =
        |partition: i32| Record::value(vec![b'x'; size(partition)]).partition(partition).timestamp_ms(time(partition));
    let options = ProduceOptions::default().codec(Codec::None).batch_bytes(1 << 20);
    fixture.kafka.produce(&fixture.topic, &options, (0..40).map(record)).unwrap();
    let report = report(&fixture.installation);
    let rows = report["partitions"].as_array().unwrap();
    assert_eq!(rows.len(), 40);
    let ages: Vec<f64> =
        rows.iter().map(|row| row["lag_seconds"].as_f64().unwrap_or_else(|| panic!("{row}"))).collect();
    // Each record is 1000 s younger than the previous one.
    for pair in ages.windows(2) {
        assert!((pair[0] - pair[1] - 1000.0).abs() < 0.01, "{ages:?}");
    }
}

#[test]
fn check_finds_rows_that_cannot_be_stored() {
    let fixture = TopicFixture::new("inspect-store", 1);
    fixture.produce(0, 0..3);
    fixture.run_to_end();
    let writer = rusqlite::Connection::open(fixture.installation.database_path()).unwrap();
    writer.execute_batch("ALTER TABLE projects RENAME COLUMN budget TO money").unwrap();
    let answer = fixture.installation.ask(&["check"]);
    assert_eq!(answer.code, Some(1), "{answer:?}");
    assert!(answer.stdout.contains("no row can be stored") && answer.stdout.contains("budget"), "{answer:?}");
    writer.execute_batch("ALTER TABLE projects RENAME COLUMN money TO budget").unwrap();
    assert_eq!(exit_code(&fixture.installation, &["check"]), Some(0));
    assert_eq!(
        fixture.installation.number("SELECT count(*) FROM unidentified_messages"),
        Some(0),
        "check leaves nothing"
    );
    assert_eq!(fixture.installation.number("SELECT count(*) FROM consumer_offsets"), Some(1), "check leaves nothing");
}

#[test]
fn check_looks_at_the_log_files() {
    let mut fixture = TopicFixture::new("inspect-logs", 1);
    fixture.produce(0, 0..1);
    fixture.run_to_end();
    fixture.installation.set("LOG_FILE", "data").set("UNIDENTIFIED_LOG_FILE", "/dev/null/messages.log");
    let answer = fixture.installation.ask(&["check"]);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    for name in ["LOG_FILE 'data'", "UNIDENTIFIED_LOG_FILE '/dev/null/messages.log'"] {
        assert!(answer.stdout.lines().any(|line| line.contains("warn") && line.contains(name)), "{name}: {answer:?}");
    }
}

#[test]
fn check_fails_where_the_brokers_lack_the_group_protocol() {
    let mut fixture = TopicFixture::on(OLDEST, "inspect-protocol", 1);
    fixture.installation.set("KAFKA_GROUP_PROTOCOL", "consumer");
    let answer = fixture.installation.ask(&["check"]);
    assert_eq!(answer.code, Some(1), "{answer:?}");
    assert!(answer.stdout.contains("group ") && answer.stdout.contains("choose classic"), "{answer:?}");
    for protocol in ["classic", "none"] {
        assert_eq!(
            exit_code(fixture.installation.set("KAFKA_GROUP_PROTOCOL", protocol), &["check"]),
            Some(0),
            "{protocol}"
        );
    }
}
