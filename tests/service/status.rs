//! `status` and `check`, their output and their exit codes: while a service runs, after it, and without a broker, a database, a topic, or
//! a permission. Neither changes anything.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use testkit::{Codec, ProduceOptions, Record};

use crate::support::process::{Answer, Installation};
use crate::support::topic_fixture;
use crate::support::topic_fixture::TopicFixture;

fn status(installation: &Installation) -> Value {
    status_with(installation, &[], 0)
}

fn status_with(installation: &Installation, options: &[&str], code: i32) -> Value {
    let answer = installation.ask(&[&["status", "--json"], options].concat());
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(code), ""), "{answer:?}");
    serde_json::from_str(&answer.stdout).unwrap()
}

/// The lines of `check` about one thing, each as its mark and text.
fn lines<'a>(answer: &'a Answer, what: &str) -> Vec<(&'a str, &'a str)> {
    let of_thing = |line: &'a str| {
        let (thing, rest) = line.split_once(' ')?;
        let (mark, text) = rest.trim_start().split_once(' ')?;
        (thing == what).then_some((mark, text.trim_start()))
    };
    answer.stdout.lines().filter_map(of_thing).collect()
}

/// Checks that `check` fails because of one subject only, with a text that has all parts.
fn finds(installation: &Installation, what: &str, parts: &[&str]) {
    let answer = installation.ask(&["check"]);
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(1), ""), "{answer:?}");
    let failures: Vec<&str> = answer.stdout.lines().filter(|line| line.contains(" FAIL ")).collect();
    assert_eq!(failures.len(), 1, "{answer:?}");
    let found = lines(&answer, what);
    assert_eq!(found[0].0, "FAIL", "{answer:?}");
    for part in parts {
        assert!(found[0].1.contains(part), "'{part}' is not in '{}'", found[0].1);
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

/// A port without a server.
fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Checks that the lag in seconds is the age of a record, at some moment while the command ran.
fn assert_age(installation: &Installation, partition: usize, record_ms: i64) {
    let before = now_ms();
    let seconds = status(installation)["partitions"][partition]["lag_seconds"].as_f64().unwrap();
    let (least, most) = (before - record_ms, now_ms() - record_ms);
    let found = (seconds * 1000.0).round();
    #[allow(clippy::cast_precision_loss)] // Some hours in milliseconds.
    let fits = (least as f64..=most as f64).contains(&found);
    assert!(fits, "{found} ms is not between {least} and {most}");
}

#[test]
fn status_shows_rows_positions_and_lag() {
    for version in testkit::VERSIONS {
        let fixture = TopicFixture::on(version, "status", 2);
        fixture.produce(0, 0..10);
        let broken = ["", "{", "{", "[]"].map(|value| Record::value(value).partition(1));
        fixture.kafka.produce(&fixture.topic, &ProduceOptions::default(), broken).unwrap();
        let project = Record::value(r#"{"event_id":"proj_1","name":"p","status":"open"}"#).partition(1);
        fixture.kafka.produce(&fixture.topic, &ProduceOptions::default(), [project.clone(), project]).unwrap();
        fixture.run_to_end();
        // From an hour ago on, and not read.
        let times: Vec<i64> = (0..5).map(|number| now_ms() - 3_600_000 + number * 60_000).collect();
        let late = times.iter().map(|time| Record::value("late").partition(0).timestamp_ms(*time));
        fixture.kafka.produce(&fixture.topic, &ProduceOptions::default(), late).unwrap();

        let report = status(&fixture.installation);
        assert_eq!(report["database"]["id"], fixture.database_id());
        assert_eq!(report["kafka"], json!({ "group": fixture.group(), "state": "Empty", "members": 0 }));
        assert_eq!(report["rows"], json!({ "opportunities": 10, "projects": 1 }));
        assert_eq!(report["unidentified"], json!({ "empty": 1, "not_json": 2, "unknown_type": 1 }));
        let numbers = ["partition", "next_offset", "end_offset", "lag_records", "applied", "unidentified", "absent"];
        let shown = |at: usize| numbers.map(|name| report["partitions"][at][name].as_i64().unwrap());
        assert_eq!([shown(0), shown(1)], [[0, 10, 15, 5, 10, 0, 0], [1, 6, 6, 0, 2, 4, 0]]);
        assert_eq!(report["partitions"][1]["lag_seconds"], 0.0);
        assert_age(&fixture.installation, 0, times[0]);
        let changes = report["position_changes"].as_array().unwrap();
        let jumps: Vec<_> = changes.iter().map(|change| (&change["to_offset"], &change["reason"])).collect();
        assert_eq!(jumps, [(&json!(0), &json!("first_start")), (&json!(0), &json!("first_start"))]);
        assert_eq!(fixture.next_offsets(), [10, 6], "status reads nothing");
    }
}

#[test]
fn status_shows_the_age_of_the_next_record_within_a_batch() {
    let mut fixture = TopicFixture::new("status-batch", 1);
    fixture.installation.set("BATCH_MAX_RECORDS", "1");
    let time = |number: i64| 1_600_000_000_000 + number * 1_000_000;
    let record = |number| Record::value(format!("number {number}")).timestamp_ms(time(number));
    let one_batch = ProduceOptions::default().codec(Codec::Zstd).batch_bytes(1 << 20).linger_ms(10_000);
    fixture.kafka.produce(&fixture.topic, &one_batch, (0..3000).map(record)).unwrap();
    let mut service = fixture.installation.start(&["run"]);
    fixture.installation.wait_for("some records", |installation| installation.stored() >= 5);
    service.kill();
    drop(service);
    let next = fixture.next_offsets()[0];
    assert!((5..3000).contains(&next), "killed too late");
    let report = status(&fixture.installation);
    assert_eq!(report["partitions"][0]["lag_records"], 3000 - next);
    assert_age(&fixture.installation, 0, time(next));
}

#[test]
fn status_as_text_shows_the_same() {
    let fixture = TopicFixture::new("status-words", 1);
    fixture.produce(0, 0..10);
    fixture.run_to_end();
    fixture.reset("", &["--to-offset", "7"]);
    fixture.run_to_end();
    fixture.produce(0, 10..13);
    let answer = fixture.installation.ask(&["status"]);
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""), "{answer:?}");
    let id = fixture.database_id();
    for part in [&*id, &fixture.group(), "10 opportunities, 0 projects", "unidentified  none", "group_reset", "10 -> 7"]
    {
        assert!(answer.stdout.contains(part), "'{part}' is not in:\n{}", answer.stdout);
    }
    let row = answer.stdout.lines().find(|line| line.starts_with(&fixture.topic)).unwrap();
    let words: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(words[..5], [&*fixture.topic, "0", "10", "13", "3"], "{row}");
}

#[test]
fn status_and_check_work_while_a_service_runs() {
    let fixture = TopicFixture::new("beside", 1);
    let mut service = fixture.installation.start(&["run"]);
    fixture.produce(0, 0..10);
    fixture.installation.wait_for("the events", |installation| installation.stored() == 10);
    fixture.wait_committed(0, 10);
    assert_eq!(status(&fixture.installation)["rows"]["opportunities"], 10);
    let silent = fixture.installation.ask(&["check"]);
    assert_eq!((silent.code, silent.stdout.as_str(), silent.stderr.as_str()), (Some(0), "", ""), "{silent:?}");
    let check = fixture.installation.ask(&["check", "--verbose"]);
    assert_eq!((check.code, check.stderr.as_str()), (Some(0), ""), "{check:?}");
    let expected = [
        ("settings", fixture.topic.as_str()),
        ("database", &fixture.database_id()),
        ("security", "PLAINTEXT"),
        ("brokers", "1 broker of cluster"),
        ("topic", "1 partition"),
        ("group", "offsets of 1 partition"),
        ("start", "resumes at offset 10"),
        ("logs", "consumer.log"),
    ];
    for (what, part) in expected {
        let found = lines(&check, what);
        assert!(found[0].0 == "ok" && found[0].1.contains(part), "{what} {part}: {check:?}");
    }
    fixture.produce(0, 10..20);
    fixture.installation.wait_for("more events", |installation| installation.stored() == 20);
    TopicFixture::stop(&mut service);
    assert_eq!(status(&fixture.installation)["partitions"][0]["next_offset"], 20);
}

#[test]
fn without_a_broker_status_says_what_is_missing() {
    let mut fixture = TopicFixture::new("broker-away", 1);
    fixture.produce(0, 0..10);
    fixture.run_to_end();
    let away = nobody();
    fixture.installation.set("KAFKA_BOOTSTRAP_SERVERS", &away);
    let report = status_with(&fixture.installation, &[], 1);
    assert!(report["kafka"]["error"].as_str().unwrap().contains(&away), "{report}");
    assert_eq!(report["rows"]["opportunities"], 10);
    let row = &report["partitions"][0];
    assert_eq!(row["next_offset"], 10);
    assert_eq!(
        (&row["end_offset"], &row["lag_records"], &row["lag_seconds"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    let words = fixture.installation.ask(&["status"]);
    assert_eq!(words.code, Some(1));
    assert!(words.stdout.contains("end offsets are missing") && words.stdout.contains(&away), "{words:?}");
    finds(&fixture.installation, "brokers", &["KAFKA_BOOTSTRAP_SERVERS", &away]);
}

#[test]
fn without_a_database_status_fails_and_check_does_not() {
    let fixture = TopicFixture::new("no-database", 1);
    for arguments in [&["status"][..], &["status", "--json"]] {
        let answer = fixture.installation.ask(arguments);
        assert_eq!((answer.code, answer.stdout.as_str()), (Some(1), ""), "{answer:?}");
        topic_fixture::assert_last_line_has(&answer.stderr, &["no database", "data/enterprise.db"]);
    }
    let check = fixture.installation.ask(&["check", "--verbose"]);
    assert_eq!(check.code, Some(0), "{check:?}");
    let found = lines(&check, "database");
    assert!(found[0].0 == "ok" && found[0].1.contains("does not exist yet"), "{check:?}");
    assert_eq!(lines(&check, "group"), [("ok", &*format!("'{}' has committed nothing yet", fixture.group()))]);
    assert!(!fixture.installation.path().join("data").exists(), "looking makes nothing");
    assert!(!fixture.installation.path().join("logs").exists(), "looking makes nothing");
}

#[test]
fn a_missing_topic_is_named_and_not_created() {
    let mut fixture = TopicFixture::new("topic-missing", 1);
    fixture.produce(0, 0..10);
    fixture.run_to_end();
    let missing = testkit::unique("missing");
    fixture.installation.set("KAFKA_TOPIC", &format!("{},{missing}", fixture.topic));
    let report = status_with(&fixture.installation, &[], 1);
    assert!(report["kafka"]["error"].as_str().unwrap().contains(&missing), "{report}");
    assert_eq!(report["partitions"][0]["end_offset"], 10, "the other topic's are known: {report}");
    let answer = fixture.installation.ask(&["check", "--verbose"]);
    let mut topics = lines(&answer, "topic");
    topics.sort_unstable();
    assert_eq!(topics.iter().map(|(mark, _)| *mark).collect::<Vec<_>>(), ["FAIL", "ok"], "{answer:?}");
    assert!(topics[0].1.contains(&missing) && topics[0].1.contains("create it"), "{answer:?}");
    assert_eq!(answer.code, Some(1));
    assert!(!fixture.kafka.topic_exists(&missing).unwrap());
}

#[test]
fn check_finds_a_group_of_another_database() {
    let fixture = TopicFixture::without_members("group-taken", 1);
    fixture.produce(0, 0..10);
    fixture.run_to_end();
    let mut other = fixture.another_installation();
    finds(&other.installation, "start", &[&fixture.topic, &fixture.database_id(), "KAFKA_GROUP_ID", "--reset-offsets"]);
    other.reset("", &["--to-earliest"]); // One of the suggestions of the message.
    assert_eq!(other.installation.ask(&["check"]).code, Some(0));
    // Each member of a group has a database.
    fixture.run_to_end();
    let answer = other.installation.set("KAFKA_GROUP_PROTOCOL", "classic").ask(&["check", "--verbose"]);
    assert_eq!(answer.code, Some(0));
    assert!(answer.stdout.contains(&format!("of other databases (id {})", fixture.database_id())), "{}", answer.stdout);
}

#[test]
fn check_and_status_refuse_a_foreign_file() {
    let fixture = TopicFixture::new("foreign-file", 1);
    let path = fixture.installation.database_path();
    fs::create_dir(path.parent().unwrap()).unwrap();
    let database = rusqlite::Connection::open(&path).unwrap();
    database.execute_batch("CREATE TABLE somebody (else_s)").unwrap();
    drop(database);
    for content in [fs::read(&path).unwrap(), b"no database at all, but a text of some length".repeat(100)] {
        fs::write(&path, &content).unwrap();
        finds(&fixture.installation, "database", &["enterprise.db"]);
        let answer = fixture.installation.ask(&["status"]);
        assert_eq!((answer.code, answer.stdout.as_str()), (Some(1), ""), "{answer:?}");
        topic_fixture::assert_last_line_has(&answer.stderr, &["enterprise.db"]);
        assert_eq!(fs::read(&path).unwrap(), content, "looking changes nothing");
    }
}

#[test]
fn status_needs_no_permission_to_write() {
    let mut fixture = TopicFixture::new("read-only", 1);
    fixture.produce(0, 0..10);
    let set = |fixture: &TopicFixture, directory: u32, file: u32| {
        let data = fixture.installation.path().join("data");
        for found in fs::read_dir(&data).unwrap() {
            fs::set_permissions(found.unwrap().path(), fs::Permissions::from_mode(file)).unwrap();
        }
        fs::set_permissions(data, fs::Permissions::from_mode(directory)).unwrap();
    };
    // File modes do not apply to root, unless it drops that capability.
    let modest = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"];
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let wrapper: &[&str] = if is_root { &modest } else { &[] };

    fixture.run_to_end();
    set(&fixture, 0o555, 0o444);
    fixture.installation.wrap(wrapper);
    assert_eq!(status(&fixture.installation)["partitions"][0]["next_offset"], 10);
    finds(&fixture.installation, "database", &["cannot be written to", "Permission denied"]);
    set(&fixture, 0o555, 0o644);
    finds(&fixture.installation, "database", &["data' is not a directory that can be written to"]);

    // While a service runs, the shared memory file exists.
    set(&fixture, 0o755, 0o644);
    fixture.installation.wrap(&[]);
    let mut service = fixture.installation.start(&["run"]);
    fixture.produce(0, 10..20);
    fixture.installation.wait_for("more events", |installation| installation.stored() == 20);
    let beside = fixture.on_same_database(wrapper);
    set(&fixture, 0o555, 0o444);
    assert_eq!(status(&beside)["partitions"][0]["next_offset"], 20);
    // After a crash, `status` must not show outdated rows: it reads the WAL, or fails.
    service.kill();
    let answer = beside.ask(&["status", "--json"]);
    match answer.code {
        Some(0) => assert_eq!(status(&beside)["partitions"][0]["next_offset"], 20),
        _ => topic_fixture::assert_last_line_has(&answer.stderr, &["enterprise.db-wal", "permission to write"]),
    }
    set(&fixture, 0o755, 0o644);
}

#[test]
fn help_and_version_need_nothing() {
    let mut installation = Installation::new("no broker:at all", "");
    installation.set("RETRY_MAX_MS", "wrong");
    for option in ["--help", "-h"] {
        let answer = installation.ask(&[option]);
        assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""), "{answer:?}");
        for part in [
            "run",
            "--exit-at-end",
            "check",
            "status",
            "--json",
            "replay",
            "--dry-run",
            "reset",
            "--to-earliest",
            "--to-datetime",
            "--topic",
            "verify",
            "--env-file",
            "--version",
            "Exit codes",
        ] {
            assert!(answer.stdout.contains(part), "'{part}' is not in:\n{}", answer.stdout);
        }
        assert!(answer.stdout.lines().all(|line| line.len() <= 100), "too wide for a terminal");
    }
    for command in ["decode", "unidentified", "prune"] {
        let answer = installation.ask(&[command, "--help"]);
        assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""), "{answer:?}");
        assert!(answer.stdout.contains(&format!("Usage: enterprise-consumer {command} ")), "{answer:?}");
        assert!(answer.stdout.lines().all(|line| line.len() <= 100), "too wide for a terminal: {answer:?}");
    }
    for option in ["--version", "-V"] {
        let answer = installation.ask(&[option]);
        let expected = format!("enterprise-consumer {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!((answer.code, answer.stdout), (Some(0), expected));
    }
    assert_eq!(installation.ask(&["status"]).code, Some(2));
    assert_eq!(installation.ask(&["check"]).code, Some(2));
    let answer = installation.ask(&["statistics"]);
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(2), ""), "{answer:?}");
    topic_fixture::assert_last_line_has(&answer.stderr, &["statistics", "--help"]);
}
