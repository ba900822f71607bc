//! The start rules, with real brokers and Kafka's tools: the service resumes at its stored position, follows a reset, never skips a loss
//! silently, and records every jump.

use testkit::ProduceOptions;

use crate::support::load::Load;
use crate::support::topic_fixture;
use crate::support::topic_fixture::{Change, TopicFixture};

fn change(partition: i32, from: impl Into<Option<i64>>, to: i64, reason: &str) -> Change {
    (partition, from.into(), to, reason.to_owned())
}

/// Every row of an event, with its coordinates.
fn events(fixture: &TopicFixture) -> Vec<(String, i32, i64, String)> {
    let query = "SELECT event_id, kafka_partition, kafka_offset, created_at FROM opportunities
                 UNION ALL SELECT event_id, kafka_partition, kafka_offset, created_at FROM projects ORDER BY 1";
    fixture.rows(query, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
}

/// Checks that Kafka's tool shows every partition of the group without lag.
fn assert_no_lag(fixture: &TopicFixture, partitions: usize) {
    let offsets = fixture.cluster.group_offsets(&fixture.group()).unwrap();
    assert_eq!(offsets.len(), partitions, "{offsets:?}");
    assert!(offsets.iter().all(|offset| offset.lag == Some(0) && offset.current == offset.end), "{offsets:?}");
}

/// A topic of 3 partitions with events and unidentified messages.
fn loaded(fixture: &TopicFixture) -> Load {
    let load = Load::of(900, 3, 200);
    fixture.kafka.produce(&fixture.topic, &ProduceOptions::default(), load.records.iter().cloned()).unwrap();
    load
}

/// Checks that the whole topic was read again: the same rows with the same coordinates, and new counters.
fn assert_replayed(fixture: &TopicFixture, load: &Load, before: &[(String, i32, i64, String)]) {
    fixture.assert_at_end();
    load.assert_stored(&fixture.installation.database());
    assert_eq!(events(fixture), before, "rows and where they come from");
    assert_eq!(fixture.first_offsets(), [0, 0, 0], "counters restart");
    let expected: Vec<Change> = (0..3).map(|partition| change(partition, 300, 0, "group_reset")).collect();
    assert_eq!(fixture.changes_after(3), expected);
    assert_no_lag(fixture, 3);
}

#[test]
fn a_reset_while_stopped_replays_the_topic() {
    for version in testkit::VERSIONS {
        let fixture = TopicFixture::on(version, "reset-stopped", 3);
        let load = loaded(&fixture);
        fixture.run_to_end();
        assert_no_lag(&fixture, 3);
        assert_eq!(fixture.changes_after(0), [0, 1, 2].map(|partition| change(partition, None, 0, "first_start")));
        let before = events(&fixture);
        fixture.reset("", &["--to-earliest"]);
        fixture.run_to_end();
        assert_replayed(&fixture, &load, &before);
    }
}

#[test]
fn a_reset_while_running_replays_the_topic() {
    let fixture = TopicFixture::without_members("reset-running", 3);
    let load = loaded(&fixture);
    let mut service = fixture.installation.start(&["run"]);
    fixture.installation.wait_for("the load", |installation| installation.stored() == 900);
    // Without uncommitted offsets, so that only the timer makes the service read the group's offsets.
    (0..3).for_each(|partition| drop(fixture.wait_committed(partition, 300)));
    let before = events(&fixture);
    fixture.reset("", &["--to-earliest"]);
    fixture
        .installation
        .wait_for("the replay", |installation| fixture.changes().len() == 6 && installation.stored() == 900);
    TopicFixture::stop(&mut service);
    assert_replayed(&fixture, &load, &before);
}

#[test]
fn a_reset_of_one_partition_moves_that_one_only() {
    let fixture = TopicFixture::new("reset-one", 2);
    fixture.produce(0, 0..10);
    fixture.produce(1, 0..10);
    fixture.run_to_end();
    // Back: records are applied again.
    fixture.reset(":0", &["--to-offset", "7"]);
    fixture.run_to_end();
    assert_eq!(fixture.first_offsets(), [7, 0]);
    assert_eq!(fixture.changes_after(2), [change(0, 10, 7, "group_reset")]);
    assert_eq!(fixture.stored_offsets(0), (0..10).collect::<Vec<_>>());
    // Forward: skipped records are not read.
    fixture.produce(1, 10..20);
    fixture.reset(":1", &["--to-offset", "15"]);
    fixture.run_to_end();
    assert_eq!(fixture.first_offsets(), [7, 15]);
    assert_eq!(fixture.changes_after(3), [change(1, 10, 15, "group_reset")]);
    assert_eq!(fixture.stored_offsets(1), (0..10).chain(15..20).collect::<Vec<_>>());
    assert_no_lag(&fixture, 2);
}

#[test]
fn without_a_commit_or_with_an_older_own_commit_the_stored_offset_counts() {
    let fixture = TopicFixture::new("stored-counts", 1);
    fixture.produce(0, 0..10);
    fixture.run_to_end();
    let ours = fixture.kafka.committed_offsets(&fixture.group()).unwrap()[&(fixture.topic.clone(), 0)].metadata.clone();
    // As after a crash between storing and committing, and as after a backup was restored.
    for offset in [4, 9999] {
        fixture.kafka.commit_offset(&fixture.group(), &fixture.topic, 0, offset, &ours).unwrap();
        fixture.run_to_end();
    }
    // As after a week in which the service did not run.
    fixture.kafka.delete_group(&fixture.group()).unwrap();
    fixture.produce(0, 10..15);
    fixture.run_to_end();
    assert_eq!(fixture.changes(), [change(0, None, 0, "first_start")]);
    assert_eq!(fixture.first_offsets(), [0]);
    assert_eq!(fixture.number("applied"), 15, "nothing is read twice");
}

#[test]
fn a_restored_backup_resumes_at_its_own_offsets() {
    let fixture = TopicFixture::without_topic(testkit::NEWEST, "backup");
    let mut service = fixture.installation.start(&["run"]);
    fixture.installation.wait_warning(0, &[&fixture.topic]); // The topic is missing: the database is empty.
    let empty = fixture.back_up();
    TopicFixture::stop(&mut service);
    fixture.create_topic(1);
    fixture.produce(0, 0..10);
    fixture.run_to_end();
    let half = fixture.back_up();
    fixture.produce(0, 10..20);
    fixture.run_to_end();

    fixture.restore(&half);
    fixture.run_to_end();
    assert_eq!(fixture.changes(), [change(0, None, 0, "first_start")]);
    assert_eq!((fixture.first_offsets(), fixture.number("applied")), (vec![0], 20));

    let lines = fixture.installation.log().len();
    fixture.restore(&empty);
    fixture.run_to_end();
    fixture.installation.wait_warning(lines, &["holds no position", "first offset"]);
    assert_eq!(fixture.changes(), [change(0, None, 0, "older_backup")]);
    assert_eq!(fixture.stored_offsets(0), (0..20).collect::<Vec<_>>());
}

#[test]
fn a_backup_from_before_the_first_read_begins_at_the_first_offset_whatever_the_setting_says() {
    let mut fixture = TopicFixture::without_topic(testkit::NEWEST, "backup-latest");
    fixture.installation.set("KAFKA_AUTO_OFFSET_RESET", "latest");
    let mut service = fixture.installation.start(&["run"]);
    fixture.installation.wait_warning(0, &[&fixture.topic]);
    let empty = fixture.back_up();
    TopicFixture::stop(&mut service);
    fixture.create_topic(1);
    fixture.produce(0, 0..10);
    fixture.run_to_end();
    assert_eq!(fixture.changes(), [change(0, None, 10, "first_start")]);
    fixture.restore(&empty);
    fixture.kafka.delete_records(&fixture.topic, 0, 3).unwrap();
    fixture.run_to_end();
    assert_eq!(fixture.changes(), [change(0, None, 3, "older_backup")]);
    assert_eq!(fixture.stored_offsets(0), (3..10).collect::<Vec<_>>());
}

#[test]
fn a_group_belongs_to_one_database() {
    let fixture = TopicFixture::without_members("two-databases", 1);
    fixture.produce(0, 0..10);
    fixture.run_to_end();
    let other = fixture.another_installation();
    let said = other.assert_refused(&["another database", &fixture.database_id(), "--reset-offsets"]);
    assert!(said.contains(&other.database_id()), "{said}");
    assert_eq!(other.changes(), []);
    fixture.run_to_end(); // The refused start has not changed the group.

    other.reset("", &["--to-offset", "4"]);
    other.run_to_end();
    assert_eq!(other.changes(), [change(0, None, 4, "group_reset")]);
    assert_eq!(other.stored_offsets(0), (4..10).collect::<Vec<_>>());
    fixture.assert_refused(&[&fixture.database_id(), &other.database_id()]);
}

#[test]
fn a_running_service_follows_a_reset_only() {
    let fixture = TopicFixture::without_members("taken-over", 1);
    fixture.produce(0, 0..10);
    let mut service = fixture.installation.start(&["run"]);
    fixture.installation.wait_for("the events", |installation| installation.stored() == 10);
    let ours = fixture.wait_committed(0, 10);
    let theirs = ours.replace(&fixture.database_id(), "0123456789abcdef0123456789abcdef");
    assert_ne!(ours, theirs);
    fixture.kafka.commit_offset(&fixture.group(), &fixture.topic, 0, 3, &theirs).unwrap();
    fixture.produce(0, 10..11);
    service.ends_with(1);
    let said = fixture.installation.stderr();
    topic_fixture::assert_last_line_has(
        &said,
        &["another database", "0123456789abcdef0123456789abcdef", &fixture.database_id()],
    );
    let committed = fixture.kafka.committed_offsets(&fixture.group()).unwrap();
    assert_eq!(committed[&(fixture.topic.clone(), 0)].metadata, theirs, "left as it was found");
}

#[test]
fn offsets_of_another_service_are_followed() {
    for version in testkit::VERSIONS {
        let fixture = TopicFixture::on(version, "foreign", 3);
        (0..3).for_each(|partition| drop(fixture.produce(partition, 0..10)));
        fixture.kafka.commit_offset(&fixture.group(), &fixture.topic, 0, 6, "").unwrap();
        fixture.kafka.commit_offset(&fixture.group(), &fixture.topic, 1, 10, "left by another program").unwrap();
        fixture.run_to_end();
        let expected = [change(0, None, 6, "group_reset"), change(1, None, 10, "group_reset")];
        // A partition that the other service has not read has no committed offset.
        assert_eq!(fixture.changes_after(0)[..2], expected);
        assert_eq!(fixture.changes_after(0)[2], change(2, None, 0, "first_start"));
        assert_eq!(fixture.stored_offsets(0), (6..10).collect::<Vec<_>>());
        assert!(fixture.stored_offsets(1).is_empty());
        assert_eq!(fixture.stored_offsets(2), (0..10).collect::<Vec<_>>());
        let details = fixture.rows("SELECT detail FROM position_changes WHERE partition = 1", |row| row.get(0));
        let [detail]: [String; 1] = details.try_into().unwrap();
        assert!(detail.contains("left by another program"), "{detail}");
    }
}

#[test]
fn metadata_copied_from_another_cluster_is_a_reset() {
    let fixture = TopicFixture::new("mirrored", 1);
    fixture.produce(0, 0..10);
    fixture.run_to_end();
    let mark = format!("database={} cluster=of-another-world", fixture.database_id());
    fixture.kafka.commit_offset(&fixture.group(), &fixture.topic, 0, 4, &mark).unwrap();
    fixture.run_to_end();
    assert_eq!(fixture.changes_after(1), [change(0, 10, 4, "group_reset")]);
    // Nor does the metadata of another database count there.
    fixture
        .kafka
        .commit_offset(&fixture.group(), &fixture.topic, 0, 5, "database=another cluster=of-another-world")
        .unwrap();
    fixture.run_to_end();
    assert_eq!(fixture.changes_after(2), [change(0, 10, 5, "group_reset")]);
}

#[test]
fn without_any_position_the_setting_decides() {
    let mut fixture = TopicFixture::new("first-start", 1);
    fixture.produce(0, 0..10);
    fixture.kafka.delete_records(&fixture.topic, 0, 3).unwrap();
    fixture.installation.set("KAFKA_AUTO_OFFSET_RESET", "error");
    fixture.assert_refused(&["KAFKA_AUTO_OFFSET_RESET", &format!("{}-0", fixture.topic), "--reset-offsets"]);
    assert!(fixture.kafka.committed_offsets(&fixture.group()).unwrap().is_empty(), "nothing is claimed");
    fixture.reset("", &["--to-offset", "8"]); // As the message suggests.
    fixture.run_to_end();
    assert_eq!(fixture.changes(), [change(0, None, 8, "group_reset")]);

    for (setting, start) in [("earliest", 3), ("latest", 10)] {
        let mut fixture = fixture.another_installation();
        let group = format!("{}-{setting}", fixture.group());
        fixture.installation.set("KAFKA_AUTO_OFFSET_RESET", setting).set("KAFKA_GROUP_ID", &group);
        fixture.installation.run_to_end();
        fixture.installation.assert_clean();
        assert_eq!(fixture.changes(), [change(0, None, start, "first_start")]);
        assert_eq!(fixture.stored_offsets(0), (start..10).collect::<Vec<_>>());
    }
}

#[test]
fn a_partition_that_is_added_later_is_read_from_its_beginning() {
    let mut fixture = TopicFixture::new("added", 1);
    fixture.installation.set("KAFKA_AUTO_OFFSET_RESET", "latest");
    fixture.produce(0, 0..10);
    let mut service = fixture.installation.start(&["run"]);
    fixture.installation.wait_for("the first start", |_| {
        fixture.installation.database_path().exists() && fixture.installation.stored() == 10
    });
    fixture.kafka.add_partitions(&fixture.topic, 2).unwrap();
    fixture.produce(1, 0..5);
    fixture.installation.wait_for("the second partition", |installation| installation.stored() == 15);
    TopicFixture::stop(&mut service);
    fixture.kafka.add_partitions(&fixture.topic, 3).unwrap();
    fixture.produce(2, 0..7);
    fixture.run_to_end();
    let expected = [(0, 10, "first_start"), (1, 0, "new_partition"), (2, 0, "new_partition")];
    assert_eq!(fixture.changes(), expected.map(|(partition, to, reason)| change(partition, None, to, reason)));
    assert_eq!([0, 1, 2].map(|partition| fixture.stored_offsets(partition).len()), [0, 5, 7]);
}

#[test]
fn a_second_service_on_the_same_database_is_refused() {
    let fixture = TopicFixture::new("second", 1);
    let mut first = fixture.installation.start(&["run"]);
    fixture.installation.wait_for("the first service", |installation| {
        installation.number("SELECT count(*) FROM consumer_offsets") == Some(1)
    });
    let second = fixture.installation.ask(&["run"]);
    assert_eq!(second.code, Some(1), "{second:?}");
    topic_fixture::assert_last_line_has(&second.stderr, &["another process", "enterprise.db.lock"]);
    assert!(first.is_running());
    fixture.produce(0, 0..10);
    fixture.installation.wait_for("the events", |installation| installation.stored() == 10);
    first.kill();
    fixture.run_to_end(); // The lock ends with its process.
}
