//! `replay` while a service runs, twice, killed, stopped, and without permission to write. The tests repair the kept values, as if the
//! program accepted more than before.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use rusqlite::Connection;
use rusqlite::types::Value;
use testkit::{ProduceOptions, Record};

use crate::support::process::{Installation, WAIT_MAX, json_lines};
use crate::support::topic_fixture::{self, TopicFixture};

/// Messages for a replay of many transactions.
const MANY: i64 = 20_000;

fn connect(installation: &Installation) -> Connection {
    let connection = Connection::open(installation.database_path()).unwrap();
    connection.busy_timeout(WAIT_MAX).unwrap();
    connection
}

fn assert_says(installation: &Installation, arguments: &[&str], expected: &str) {
    let answer = installation.ask(arguments);
    assert_eq!((answer.code, answer.stdout.as_str(), answer.stderr.as_str()), (Some(0), expected, ""), "{answer:?}");
}

fn assert_sound(installation: &Installation) {
    let answer = installation.ask(&["verify"]);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    installation.assert_consistent();
}

/// Everything in the tables that the running service does not write.
fn everything(installation: &Installation) -> BTreeMap<&'static str, Vec<Vec<Value>>> {
    let tables = ["opportunities", "projects", "unidentified_messages", "consumer_offsets"];
    let rows = |table: &'static str| {
        let database = installation.database();
        let mut statement = database.prepare(&format!("SELECT * FROM {table} ORDER BY rowid")).unwrap();
        let columns = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| (0..columns).map(|column| row.get(column)).collect();
        (table, statement.query_map([], row).unwrap().map(Result::unwrap).collect())
    };
    tables.map(rows).into()
}

/// Unidentified messages, all except each hundredth recognised now, each with a different id.
pub fn keep_many(installation: &Installation, messages: i64) {
    connect(installation)
        .execute_batch(&format!(
            "BEGIN IMMEDIATE;
             WITH RECURSIVE number(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n + 1 < {messages})
             INSERT INTO unidentified_messages
                 (kafka_topic, topic_id, kafka_partition, kafka_offset, kafka_timestamp, value, headers, reason, error, received_at)
             SELECT 'earlier', '', 0, n, 1700000000000 + n, CAST(iif(n % 100 = 0, '{{',
                 printf('{{\"event_id\":\"proj_%d\",\"name\":\"n\",\"status\":\"s\"}}', n)) AS BLOB),
                 '[]', 'unknown_type', 'of an earlier time', '2024-01-01T00:00:00.000Z' FROM number;
             INSERT INTO consumer_offsets
                 (group_id, topic, partition, next_offset, first_offset, high_offset, topic_id, unidentified, updated_at)
             VALUES ('earlier', 'earlier', 0, {messages}, 0, {messages}, '', {messages}, '2024-01-01T00:00:00.000Z');
             COMMIT;"
        ))
        .unwrap();
}

pub const REPLAYED: &str = "SELECT count(replayed_at) FROM unidentified_messages WHERE kafka_topic = 'earlier'";

/// Checks that exactly those messages are marked whose event is in its table.
pub fn assert_marked_where_stored(installation: &Installation) {
    let different = "SELECT count(*) FROM unidentified_messages AS message WHERE kafka_topic = 'earlier' AND
         (replayed_at IS NULL) = EXISTS (SELECT 1 FROM projects WHERE event_id = 'proj_' || message.kafka_offset)";
    assert_eq!(installation.number(different), Some(0));
}

#[test]
fn recognised_messages_are_stored_while_the_service_runs() {
    let mut fixture = TopicFixture::new("replay", 1);
    // Times much later than those of the records count.
    fixture.installation.set("LAST_MODIFIED_MAX_AHEAD_MS", "0");
    let installation = &fixture.installation;
    let mut service = installation.start(&["run"]);
    fixture.produce(0, 0..3);
    let broken = ["a", "b", "c", "d", "{", ""].map(|value| Record::value(value).partition(0));
    fixture.kafka.produce(&fixture.topic, &ProduceOptions::default(), broken).unwrap();
    installation.wait_for("the records", |installation| installation.stored() == 9);
    installation.wait_for("their log", |installation| json_lines(&installation.unidentified_path()).len() == 6);
    fixture.wait_committed(0, 9);
    let log = fs::read(installation.unidentified_path()).unwrap();
    assert_says(
        installation,
        &["replay"],
        "\
replayed      none
stale         0 of them, older than the stored event of their id
unidentified  1 empty, 5 not_json
",
    );
    let repair = |offset: i64, value: &str| {
        let set = "UPDATE unidentified_messages SET value = CAST(?2 AS BLOB) WHERE kafka_offset = ?1";
        assert_eq!(connect(installation).execute(set, (offset, value)).unwrap(), 1);
    };
    let opportunity = |id: &str, name: &str, day: &str| {
        format!(
            r#"{{"event_id":"{id}","name":"{name}","stage":"won","meta_data":{{"last_modified":"{day}T00:00:00Z"}}}}"#
        )
    };
    repair(3, &opportunity("opp_0_0", "too old", "2001-01-01"));
    repair(4, &opportunity("opp_0_1", "greatest", "2999-01-02"));
    repair(5, &opportunity("opp_0_1", "less", "2999-01-01"));
    repair(6, r#"{"event_id":"proj_1","name":"new","status":"open","budget":5}"#);
    repair(7, r#"{"event_id":"proj_1","name":"new","status":"open","budget":"5 EUR"}"#);

    let before = everything(installation);
    let said = "\
replayed      3 opportunities, 1 projects
stale         2 of them, older than the stored event of their id
unidentified  1 empty, 1 invalid_field
";
    assert_says(installation, &["replay", "--dry-run"], &format!("{said}dry run       nothing was written\n"));
    assert_eq!(everything(installation), before);
    assert_says(installation, &["replay"], said);
    let names = fixture.rows("SELECT name FROM opportunities ORDER BY event_id", |row| row.get::<_, String>(0));
    assert_eq!(names, ["number 0", "greatest", "number 2"]);
    let offsets = "SELECT kafka_offset FROM unidentified_messages WHERE replayed_at IS NOT NULL ORDER BY 1";
    assert_eq!(fixture.rows(offsets, |row| row.get::<_, i64>(0)), [3, 4, 5, 6]);
    let after = everything(installation);
    assert_eq!(after["consumer_offsets"], before["consumer_offsets"]);
    assert_says(
        installation,
        &["replay"],
        "\
replayed      none
stale         0 of them, older than the stored event of their id
unidentified  1 empty, 1 invalid_field
",
    );
    assert_eq!(everything(installation), after, "a second time changes nothing");
    let status: serde_json::Value = serde_json::from_str(&installation.ask(&["status", "--json"]).stdout).unwrap();
    assert_eq!(status["unidentified"], serde_json::json!({ "empty": 1, "not_json": 1 }));

    // The service continues, and a stored event of a later record wins over a replayed one.
    let later = opportunity("opp_0_1", "greater still", "2999-01-03");
    fixture.kafka.produce(&fixture.topic, &ProduceOptions::default(), [Record::value(later).partition(0)]).unwrap();
    installation.wait_for("another record", |installation| installation.stored() == 10);
    TopicFixture::stop(&mut service);
    let name = "SELECT name FROM opportunities WHERE event_id = 'opp_0_1'";
    assert_eq!(fixture.rows(name, |row| row.get::<_, String>(0)), ["greater still"]);
    assert_eq!(fs::read(installation.unidentified_path()).unwrap(), log, "the log file is of what was received");
    assert_sound(installation);
    installation.assert_clean();
}

#[test]
fn after_a_kill_another_replay_continues() {
    let fixture = TopicFixture::new("replay-kill", 1);
    let installation = &fixture.installation;
    let mut service = installation.start(&["run"]);
    fixture.produce(0, 0..10);
    installation.wait_for("the records", |installation| installation.stored() == 10);
    keep_many(installation, MANY);
    let (mut replayed, mut kills) = (0, 0);
    while replayed < MANY / 2 {
        let mut replay = installation.start(&["replay"]);
        installation
            .wait_for("some of it", |installation| installation.number(REPLAYED).is_some_and(|now| now > replayed));
        replay.kill();
        kills += 1;
        replayed = installation.number(REPLAYED).unwrap();
        assert_marked_where_stored(installation);
    }
    assert!(kills > 0 && replayed < MANY * 99 / 100, "killed too late");
    fixture.produce(0, 10..20);
    installation.wait_for("more records", |installation| installation.stored() == 20 + MANY);
    assert_sound(installation);
    let said = format!(
        "replayed      {} projects\nstale         0 of them, older than the stored event of their id\nunidentified  {} not_json\n",
        MANY * 99 / 100 - replayed,
        MANY / 100
    );
    assert_says(installation, &["replay", "--dry-run"], &format!("{said}dry run       nothing was written\n"));
    assert_says(installation, &["replay"], &said);
    assert_marked_where_stored(installation);
    TopicFixture::stop(&mut service);
    assert_sound(installation);
}

#[test]
fn a_signal_stops_it_between_two_transactions() {
    let fixture = TopicFixture::new("replay-stop", 1);
    let installation = &fixture.installation;
    fixture.run_to_end();
    keep_many(installation, MANY);
    let mut replay = installation.start(&["replay"]);
    installation.wait_for("some of it", |installation| installation.number(REPLAYED).is_some_and(|now| now > 0));
    replay.signal("TERM");
    replay.ends_with(0);
    let replayed = installation.number(REPLAYED).unwrap();
    let said = fs::read_to_string(installation.path().join("stdout")).unwrap();
    assert!(said.contains(&format!("replayed      {replayed} projects\n")), "{said}");
    assert!(said.contains("stopped       before all messages were read"), "{said}");
    assert_marked_where_stored(installation);
    let answer = installation.ask(&["replay"]);
    assert!(answer.stdout.contains(&format!("{} projects", MANY * 99 / 100 - replayed)), "{answer:?}");
    assert_sound(installation);
}

#[test]
fn events_that_sqlite_rejects_are_skipped_and_the_others_are_stored() {
    let fixture = TopicFixture::new("replay-refused", 1);
    let installation = &fixture.installation;
    fixture.run_to_end();
    keep_many(installation, MANY);
    for (raise, name) in [("ABORT", "proj_7"), ("FAIL", "proj_7777"), ("ROLLBACK", "proj_15777")] {
        connect(installation)
            .execute_batch(&format!(
                "CREATE TRIGGER no_{name} AFTER INSERT ON projects WHEN new.event_id = '{name}'
                 BEGIN SELECT RAISE({raise}, 'we do not want this one'); END"
            ))
            .unwrap();
    }
    let answer = installation.ask(&["replay"]);
    let said = format!("replayed      {} projects\n", MANY * 99 / 100 - 3);
    assert!(answer.code == Some(0) && answer.stdout.starts_with(&said), "{answer:?}");
    assert!(answer.stdout.contains(&format!("{} not_json, 3 rejected", MANY / 100)), "{answer:?}");
    assert_marked_where_stored(installation);
    connect(installation)
        .execute_batch("DROP TRIGGER no_proj_7; DROP TRIGGER no_proj_7777; DROP TRIGGER no_proj_15777")
        .unwrap();
    assert!(installation.ask(&["replay"]).stdout.starts_with("replayed      3 projects\n"));
    assert_sound(installation);
}

#[test]
fn a_dry_run_needs_no_permission_to_write_and_a_replay_says_that_it_does() {
    let mut fixture = TopicFixture::new("replay-read-only", 1);
    for command in [&["replay"][..], &["replay", "--dry-run"]] {
        let answer = fixture.installation.ask(command);
        assert_eq!((answer.code, answer.stdout.as_str()), (Some(1), ""), "{answer:?}");
        topic_fixture::assert_last_line_has(&answer.stderr, &["no database", "data/enterprise.db"]);
    }
    assert!(!fixture.installation.path().join("data").exists(), "looking makes nothing");

    fixture.run_to_end();
    keep_many(&fixture.installation, MANY);
    // File modes do not apply to root, unless it drops that capability.
    let modest = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"];
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    fixture.installation.wrap(if is_root { &modest } else { &[] }).set("RETRY_MAX_ATTEMPTS", "2");
    let data = fixture.installation.path().join("data");
    fs::set_permissions(fixture.installation.database_path(), fs::Permissions::from_mode(0o444)).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o555)).unwrap();
    let answer = fixture.installation.ask(&["replay", "--dry-run"]);
    let said = format!("replayed      {} projects\n", MANY * 99 / 100);
    assert!(answer.code == Some(0) && answer.stdout.starts_with(&said), "{answer:?}");
    let answer = fixture.installation.ask(&["replay"]);
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(1), ""), "{answer:?}");
    topic_fixture::assert_last_line_has(&answer.stderr, &["enterprise.db", "no permission to write to"]);
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_locked_database_is_retried() {
    let mut fixture = TopicFixture::new("replay-locked", 1);
    fixture.run_to_end();
    keep_many(&fixture.installation, MANY);
    let somebody = connect(&fixture.installation);
    somebody.execute_batch("BEGIN IMMEDIATE").unwrap();
    fixture.installation.set("RETRY_MAX_ATTEMPTS", "2");
    let answer = fixture.installation.ask(&["replay"]);
    assert_eq!(answer.code, Some(1), "{answer:?}");
    topic_fixture::assert_last_line_has(
        &answer.stderr,
        &["gave up after 2 failed attempts in a row", "database is locked"],
    );
    fixture.installation.set("RETRY_MAX_ATTEMPTS", "0");
    let mut replay = fixture.installation.start(&["replay"]);
    fixture.installation.wait_for("a refusal", |installation| installation.stderr().contains("trying again"));
    somebody.execute_batch("COMMIT").unwrap();
    replay.ends_with(0);
    assert_eq!(fixture.installation.number(REPLAYED), Some(MANY * 99 / 100));
}
