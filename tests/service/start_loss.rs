//! Records that were lost before they were read, because the topic or the records were deleted: with `FAIL_ON_DATA_LOSS` the service
//! stops and says what is lost and how to continue; without it, the service continues and logs the loss. A reset accepts a loss.

use crate::support::topic_fixture::{Change, TopicFixture, assert_last_line_has};

const HOW_TO_ACCEPT: [&str; 3] = ["data loss", "--reset-offsets", "FAIL_ON_DATA_LOSS=false"];

fn change(partition: i32, from: i64, to: i64, reason: &str) -> Change {
    (partition, Some(from), to, reason.to_owned())
}

/// Numbers of the events in the table, of partition 0.
fn numbers(fixture: &TopicFixture) -> Vec<i64> {
    let query =
        "SELECT CAST(substr(event_id, 7) AS INTEGER) FROM opportunities WHERE event_id LIKE 'opp_0_%' ORDER BY 1";
    fixture.rows(query, |row| row.get(0))
}

/// Stored topic ids of the partitions.
fn topic_ids(fixture: &TopicFixture) -> Vec<String> {
    fixture.rows("SELECT topic_id FROM consumer_offsets ORDER BY partition", |row| row.get(0))
}

#[test]
fn a_topic_recreated_while_stopped_is_a_loss() {
    for version in testkit::VERSIONS {
        let mut fixture = TopicFixture::on(version, "recreated", 2);
        fixture.produce(0, 0..10);
        fixture.run_to_end();
        let (before, now) = fixture.recreate_topic(2);
        // As many as before, so that the offsets alone do not show it.
        fixture.produce(0, 100..112);
        let said = fixture.assert_refused(&HOW_TO_ACCEPT);
        assert_last_line_has(&said, &[&fixture.topic, "deleted", &before, &now]);

        fixture.installation.set("FAIL_ON_DATA_LOSS", "false");
        let lines = fixture.installation.log().len();
        fixture.run_to_end();
        let warning = fixture.installation.wait_warning(lines, &["deleted", &before, &now]);
        assert_eq!(
            (warning["reason"].as_str(), &warning["topic"]),
            (Some("topic_recreated"), &fixture.topic.as_str().into())
        );
        assert_eq!(fixture.changes_after(2), [change(0, 10, 0, "topic_recreated"), change(1, 0, 0, "topic_recreated")]);
        assert_eq!(topic_ids(&fixture), [now.as_str(), now.as_str()]);
        assert_eq!(numbers(&fixture), (0..10).chain(100..112).collect::<Vec<_>>());
        assert_eq!(fixture.first_offsets(), [0, 0]);
        fixture.run_to_end(); // Once is enough.
        assert_eq!(fixture.changes().len(), 4);
    }
}

#[test]
fn a_reset_accepts_a_recreated_topic() {
    let fixture = TopicFixture::new("recreated-accepted", 1);
    fixture.produce(0, 0..10);
    fixture.run_to_end();
    let (_, now) = fixture.recreate_topic(1);
    fixture.produce(0, 100..112);
    fixture.assert_refused(&HOW_TO_ACCEPT);
    // A reset to the stored offset: it is an offset of another topic nevertheless.
    fixture.reset("", &["--to-offset", "10"]);
    fixture.run_to_end();
    assert_eq!(fixture.changes_after(1), [change(0, 10, 10, "group_reset")]);
    assert_eq!(topic_ids(&fixture), [now]);
    assert_eq!(numbers(&fixture), (0..10).chain(110..112).collect::<Vec<_>>());
    // A topic with fewer records than were read of the deleted one.
    fixture.recreate_topic(1);
    fixture.produce(0, 200..203);
    fixture.assert_refused(&HOW_TO_ACCEPT);
    fixture.reset("", &["--to-earliest"]);
    fixture.run_to_end();
    assert_eq!(fixture.changes_after(2), [change(0, 12, 0, "group_reset")]);
    assert_eq!(numbers(&fixture), (0..10).chain(110..112).chain(200..203).collect::<Vec<_>>());
}

#[test]
fn a_topic_recreated_while_running_is_a_loss() {
    let fixture = TopicFixture::new("recreated-running", 1);
    fixture.produce(0, 0..10);
    let mut service = fixture.installation.start(&["run"]);
    fixture.installation.wait_for("the events", |installation| installation.stored() == 10);
    let (before, now) = fixture.recreate_topic(1);
    fixture.produce(0, 100..112);
    service.ends_with(1);
    assert_last_line_has(&fixture.installation.stderr(), &HOW_TO_ACCEPT);
    assert_last_line_has(&fixture.installation.stderr(), &[&fixture.topic, &before, &now]);
    assert_eq!(fixture.next_offsets(), [10], "nothing of the new topic was read");
    assert_eq!(fixture.changes().len(), 1);
}

#[test]
fn a_topic_recreated_while_running_is_read_if_loss_is_accepted() {
    let mut fixture = TopicFixture::new("recreated-goes-on", 1);
    fixture.installation.set("FAIL_ON_DATA_LOSS", "false");
    fixture.produce(0, 0..10);
    let mut service = fixture.installation.start(&["run"]);
    fixture.installation.wait_for("the events", |installation| installation.stored() == 10);
    let lines = fixture.installation.log().len();
    fixture.kafka.delete_topic(&fixture.topic).unwrap();
    // The service retries while the topic is missing: permissions or outdated metadata may be the cause.
    fixture.installation.wait_warning(lines, &["trying again", &fixture.topic]);
    assert!(service.is_running());
    let now = fixture.create_topic(1);
    fixture.produce(0, 100..112);
    fixture.installation.wait_warning(lines, &["deleted", &now]);
    fixture.installation.wait_for("the new events", |installation| installation.stored() == 12);
    TopicFixture::stop(&mut service);
    fixture.assert_at_end();
    assert_eq!(fixture.changes_after(1), [change(0, 10, 0, "topic_recreated")]);
    assert_eq!(numbers(&fixture), (0..10).chain(100..112).collect::<Vec<_>>());
}

#[test]
fn records_deleted_by_retention_are_a_loss() {
    for version in testkit::VERSIONS {
        let mut fixture = TopicFixture::on(version, "retention", 1);
        fixture.produce(0, 0..10);
        fixture.run_to_end();
        fixture.kafka.delete_records(&fixture.topic, 0, 10).unwrap();
        fixture.run_to_end(); // Records that were read may be deleted.
        fixture.produce(0, 10..30);
        fixture.kafka.delete_records(&fixture.topic, 0, 17).unwrap();
        let said = fixture.assert_refused(&HOW_TO_ACCEPT);
        assert_last_line_has(&said, &[&format!("{}-0", fixture.topic), "from offset 10 to 16 ", "retention"]);

        fixture.installation.set("FAIL_ON_DATA_LOSS", "false");
        let lines = fixture.installation.log().len();
        fixture.run_to_end();
        let warning = fixture.installation.wait_warning(lines, &["from offset 10 to 16 ", "retention"]);
        assert_eq!((warning["reason"].as_str(), warning["to_offset"].as_i64()), (Some("offsets_expired"), Some(17)));
        assert_eq!(fixture.changes_after(1), [change(0, 10, 17, "offsets_expired")]);
        assert_eq!((fixture.first_offsets(), numbers(&fixture)), (vec![17], (0..10).chain(17..30).collect()));
    }
}

#[test]
fn a_reset_accepts_a_deletion_by_retention() {
    let fixture = TopicFixture::new("retention-accepted", 1);
    fixture.produce(0, 0..10);
    fixture.run_to_end();
    fixture.produce(0, 10..30);
    fixture.kafka.delete_records(&fixture.topic, 0, 17).unwrap();
    fixture.assert_refused(&HOW_TO_ACCEPT);
    fixture.reset("", &["--to-earliest"]);
    fixture.run_to_end();
    assert_eq!(fixture.changes_after(1), [change(0, 10, 17, "group_reset")]);
    assert_eq!(numbers(&fixture), (0..10).chain(17..30).collect::<Vec<_>>());
}

#[test]
fn retention_overtakes_a_running_service_that_cannot_store() {
    let mut fixture = TopicFixture::new("retention-running", 1);
    // One batch a fetch: few records are buffered when the lock ends.
    fixture.installation.set("KAFKA_FETCH_MAX_BYTES", "1").set("BATCH_MAX_RECORDS", "1");
    fixture.produce(0, 0..1);
    let mut service = fixture.installation.start(&["run"]);
    fixture.installation.wait_for("the first event", |installation| installation.stored() == 1);
    let lock = rusqlite::Connection::open(fixture.installation.database_path()).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let lines = fixture.installation.log().len();
    (1..30).for_each(|number| drop(fixture.produce(0, number..number + 1)));
    fixture.kafka.delete_records(&fixture.topic, 0, 25).unwrap();
    fixture.installation.wait_warning(lines, &["storing a batch"]);
    drop(lock);
    service.ends_with(1);
    let stored = fixture.next_offsets()[0];
    assert!((2..25).contains(&stored), "{stored} were at hand");
    let gone = format!("from offset {stored} to 24 ");
    assert_last_line_has(&fixture.installation.stderr(), &HOW_TO_ACCEPT);
    assert_last_line_has(&fixture.installation.stderr(), &[&gone]);
    drop(service);

    fixture.installation.set("FAIL_ON_DATA_LOSS", "false");
    fixture.run_to_end();
    assert_eq!(fixture.changes_after(1), [change(0, stored, 25, "offsets_expired")]);
    assert_eq!(numbers(&fixture), (0..stored).chain(25..30).collect::<Vec<_>>());
}

#[test]
fn a_position_beyond_the_end_is_a_loss() {
    let mut fixture = TopicFixture::new("beyond", 1);
    fixture.produce(0, 0..10);
    fixture.run_to_end();
    // Kafka's tool refuses such an offset: another client sets it, or the log was truncated.
    fixture.kafka.commit_offset(&fixture.group(), &fixture.topic, 0, 100, "").unwrap();
    let answer = fixture.installation.ask(&["run", "--exit-at-end"]);
    assert_eq!(answer.code, Some(1), "{answer:?}");
    assert_last_line_has(&answer.stderr, &HOW_TO_ACCEPT);
    assert_last_line_has(&answer.stderr, &["ends at offset 10", "position 100"]);
    fixture.installation.set("FAIL_ON_DATA_LOSS", "false");
    fixture.run_to_end();
    assert_eq!(fixture.changes_after(1), [change(0, 10, 100, "group_reset"), change(0, 100, 10, "log_truncated")]);
    assert_eq!(numbers(&fixture), (0..10).collect::<Vec<_>>());
}

#[test]
fn a_position_within_an_open_transaction_is_no_loss() {
    let mut fixture = TopicFixture::new("open-transaction", 1);
    let transaction =
        fixture.kafka.begin(&testkit::unique("transaction"), &testkit::ProduceOptions::default()).unwrap();
    let value = r#"{"event_id":"opp_0_0","name":"not committed","stage":"won"}"#;
    transaction.produce(&fixture.topic, [testkit::Record::value(value)]).unwrap();
    fixture.installation.set("KAFKA_ISOLATION_LEVEL", "read_uncommitted");
    fixture.installation.run_to_end();
    assert_eq!(fixture.next_offsets(), [1]);
    // With `read_committed` the log ends before that.
    fixture.installation.set("KAFKA_ISOLATION_LEVEL", "read_committed");
    assert_eq!(fixture.kafka.stable_offsets(&fixture.topic).unwrap(), [0]);
    fixture.installation.run_to_end();
    assert_eq!((fixture.next_offsets(), fixture.changes().len()), (vec![1], 1));
    transaction.commit().unwrap();
    // The commit marker is written a little after the commit was acknowledged.
    let is_stable = || fixture.kafka.stable_offsets(&fixture.topic).unwrap() == [2];
    fixture.installation.wait_for("the end of the transaction", |_| is_stable());
    fixture.run_to_end();
}
