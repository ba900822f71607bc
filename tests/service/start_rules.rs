//! Where a partition starts, rule by rule, on real brokers and with Kafka's own tools: a stored position is obeyed, an operator's
//! reset is obeyed, a loss is never passed over in silence, and every jump is on record.

use testkit::ProduceOptions;

use crate::support::load::Load;
use crate::support::scene;
use crate::support::scene::{Change, Scene};

fn change(partition: i32, from: impl Into<Option<i64>>, to: i64, reason: &str) -> Change {
    (partition, from.into(), to, reason.to_owned())
}

/// Every row that came of an event, and where it came from.
fn events(scene: &Scene) -> Vec<(String, i32, i64, String)> {
    let query = "SELECT event_id, kafka_partition, kafka_offset, created_at FROM opportunities
                 UNION ALL SELECT event_id, kafka_partition, kafka_offset, created_at FROM projects ORDER BY 1";
    scene.rows(query, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
}

/// What an operator sees: Kafka's tool shows every partition of the group without lag.
fn assert_no_lag(scene: &Scene, partitions: usize) {
    let offsets = scene.cluster.group_offsets(&scene.group()).unwrap();
    assert_eq!(offsets.len(), partitions, "{offsets:?}");
    assert!(offsets.iter().all(|offset| offset.lag == Some(0) && offset.current == offset.end), "{offsets:?}");
}

/// A topic of 3 partitions with events and other things in it.
fn loaded(scene: &Scene) -> Load {
    let load = Load::of(900, 3, 200);
    scene.kafka.produce(&scene.topic, &ProduceOptions::default(), load.records.iter().cloned()).unwrap();
    load
}

/// The topic has been replayed as a whole: the same rows from the same places, counters anew.
fn assert_replayed(scene: &Scene, load: &Load, before: &[(String, i32, i64, String)]) {
    scene.assert_at_end();
    load.assert_stored(&scene.place.database());
    assert_eq!(events(scene), before, "rows and where they come from");
    assert_eq!(scene.first_offsets(), [0, 0, 0], "counters anew");
    let expected: Vec<Change> = (0..3).map(|partition| change(partition, 300, 0, "group_reset")).collect();
    assert_eq!(scene.changes_after(3), expected);
    assert_no_lag(scene, 3);
}

#[test]
fn a_reset_while_stopped_replays_the_topic() {
    for version in testkit::VERSIONS {
        let scene = Scene::on(version, "reset-stopped", 3);
        let load = loaded(&scene);
        scene.run_to_end();
        assert_no_lag(&scene, 3);
        assert_eq!(scene.changes_after(0), [0, 1, 2].map(|partition| change(partition, None, 0, "first_start")));
        let before = events(&scene);
        scene.reset("", &["--to-earliest"]);
        scene.run_to_end();
        assert_replayed(&scene, &load, &before);
    }
}

#[test]
fn a_reset_while_running_replays_the_topic() {
    let scene = Scene::without_members("reset-running", 3);
    let load = loaded(&scene);
    let mut service = scene.place.start(&["run"]);
    scene.place.wait_for("the load", |place| place.stored() == 900);
    // What is still to be committed would make the service look at the group's offsets: here nothing is.
    (0..3).for_each(|partition| drop(scene.wait_committed(partition, 300)));
    let before = events(&scene);
    scene.reset("", &["--to-earliest"]);
    scene.place.wait_for("the replay", |place| scene.changes().len() == 6 && place.stored() == 900);
    Scene::stop(&mut service);
    assert_replayed(&scene, &load, &before);
}

#[test]
fn a_reset_of_one_partition_moves_that_one_only() {
    let scene = Scene::new("reset-one", 2);
    scene.produce(0, 0..10);
    scene.produce(1, 0..10);
    scene.run_to_end();
    // Back: what is read again is applied again.
    scene.reset(":0", &["--to-offset", "7"]);
    scene.run_to_end();
    assert_eq!(scene.first_offsets(), [7, 0]);
    assert_eq!(scene.changes_after(2), [change(0, 10, 7, "group_reset")]);
    assert_eq!(scene.stored_offsets(0), (0..10).collect::<Vec<_>>());
    // Forth: what is passed over on purpose is not read.
    scene.produce(1, 10..20);
    scene.reset(":1", &["--to-offset", "15"]);
    scene.run_to_end();
    assert_eq!(scene.first_offsets(), [7, 15]);
    assert_eq!(scene.changes_after(3), [change(1, 10, 15, "group_reset")]);
    assert_eq!(scene.stored_offsets(1), (0..10).chain(15..20).collect::<Vec<_>>());
    assert_no_lag(&scene, 2);
}

#[test]
fn without_a_commit_or_behind_our_own_the_stored_offset_counts() {
    let scene = Scene::new("stored-counts", 1);
    scene.produce(0, 0..10);
    scene.run_to_end();
    let ours = scene.kafka.committed_offsets(&scene.group()).unwrap()[&(scene.topic.clone(), 0)].metadata.clone();
    // As after a crash between storing and committing, and as after a backup was restored.
    for offset in [4, 9999] {
        scene.kafka.commit_offset(&scene.group(), &scene.topic, 0, offset, &ours).unwrap();
        scene.run_to_end();
    }
    // As after a week in which the service did not run.
    scene.kafka.delete_group(&scene.group()).unwrap();
    scene.produce(0, 10..15);
    scene.run_to_end();
    assert_eq!(scene.changes(), [change(0, None, 0, "first_start")]);
    assert_eq!(scene.first_offsets(), [0]);
    assert_eq!(scene.number("applied"), 15, "nothing is read twice");
}

#[test]
fn a_restored_backup_goes_on_from_its_own_offsets() {
    let scene = Scene::without_topic(testkit::NEWEST, "backup");
    let mut service = scene.place.start(&["run"]);
    scene.place.wait_warning(0, &[&scene.topic]); // The topic is missing: the database is as it was made.
    let empty = scene.back_up();
    Scene::stop(&mut service);
    scene.create_topic(1);
    scene.produce(0, 0..10);
    scene.run_to_end();
    let half = scene.back_up();
    scene.produce(0, 10..20);
    scene.run_to_end();

    scene.restore(&half);
    scene.run_to_end();
    assert_eq!(scene.changes(), [change(0, None, 0, "first_start")]);
    assert_eq!((scene.first_offsets(), scene.number("applied")), (vec![0], 20));

    let lines = scene.place.log().len();
    scene.restore(&empty);
    scene.run_to_end();
    scene.place.wait_warning(lines, &["holds no position", "first offset"]);
    assert_eq!(scene.changes(), [change(0, None, 0, "older_backup")]);
    assert_eq!(scene.stored_offsets(0), (0..20).collect::<Vec<_>>());
}

#[test]
fn a_backup_from_before_the_first_read_begins_at_the_first_offset_whatever_the_setting_says() {
    let mut scene = Scene::without_topic(testkit::NEWEST, "backup-latest");
    scene.place.set("KAFKA_AUTO_OFFSET_RESET", "latest");
    let mut service = scene.place.start(&["run"]);
    scene.place.wait_warning(0, &[&scene.topic]);
    let empty = scene.back_up();
    Scene::stop(&mut service);
    scene.create_topic(1);
    scene.produce(0, 0..10);
    scene.run_to_end();
    assert_eq!(scene.changes(), [change(0, None, 10, "first_start")]);
    scene.restore(&empty);
    scene.kafka.delete_records(&scene.topic, 0, 3).unwrap();
    scene.run_to_end();
    assert_eq!(scene.changes(), [change(0, None, 3, "older_backup")]);
    assert_eq!(scene.stored_offsets(0), (3..10).collect::<Vec<_>>());
}

#[test]
fn a_group_belongs_to_one_database() {
    let scene = Scene::without_members("two-databases", 1);
    scene.produce(0, 0..10);
    scene.run_to_end();
    let other = scene.beside();
    let said = other.is_refused(&["another database", &scene.database_id(), "--reset-offsets"]);
    assert!(said.contains(&other.database_id()), "{said}");
    assert_eq!(other.changes(), []);
    scene.run_to_end(); // The refused one has not touched the group.

    other.reset("", &["--to-offset", "4"]);
    other.run_to_end();
    assert_eq!(other.changes(), [change(0, None, 4, "group_reset")]);
    assert_eq!(other.stored_offsets(0), (4..10).collect::<Vec<_>>());
    scene.is_refused(&[&scene.database_id(), &other.database_id()]);
}

#[test]
fn a_running_service_yields_to_nobody_but_a_reset() {
    let scene = Scene::without_members("taken-over", 1);
    scene.produce(0, 0..10);
    let mut service = scene.place.start(&["run"]);
    scene.place.wait_for("the events", |place| place.stored() == 10);
    let ours = scene.wait_committed(0, 10);
    let theirs = ours.replace(&scene.database_id(), "0123456789abcdef0123456789abcdef");
    assert_ne!(ours, theirs);
    scene.kafka.commit_offset(&scene.group(), &scene.topic, 0, 3, &theirs).unwrap();
    scene.produce(0, 10..11);
    service.ends_with(1);
    let said = scene.place.stderr();
    scene::assert_last_line_has(&said, &["another database", "0123456789abcdef0123456789abcdef", &scene.database_id()]);
    let committed = scene.kafka.committed_offsets(&scene.group()).unwrap();
    assert_eq!(committed[&(scene.topic.clone(), 0)].metadata, theirs, "left as it was found");
}

#[test]
fn offsets_of_a_service_before_ours_are_obeyed() {
    for version in testkit::VERSIONS {
        let scene = Scene::on(version, "foreign", 3);
        (0..3).for_each(|partition| drop(scene.produce(partition, 0..10)));
        scene.kafka.commit_offset(&scene.group(), &scene.topic, 0, 6, "").unwrap();
        scene.kafka.commit_offset(&scene.group(), &scene.topic, 1, 10, "left by another program").unwrap();
        scene.run_to_end();
        let expected = [change(0, None, 6, "group_reset"), change(1, None, 10, "group_reset")];
        // A partition that the other service had not read has no offset to obey.
        assert_eq!(scene.changes_after(0)[..2], expected);
        assert_eq!(scene.changes_after(0)[2], change(2, None, 0, "first_start"));
        assert_eq!(scene.stored_offsets(0), (6..10).collect::<Vec<_>>());
        assert!(scene.stored_offsets(1).is_empty());
        assert_eq!(scene.stored_offsets(2), (0..10).collect::<Vec<_>>());
        let details = scene.rows("SELECT detail FROM position_changes WHERE partition = 1", |row| row.get(0));
        let [detail]: [String; 1] = details.try_into().unwrap();
        assert!(detail.contains("left by another program"), "{detail}");
    }
}

#[test]
fn our_mark_copied_from_another_cluster_is_a_reset() {
    let scene = Scene::new("mirrored", 1);
    scene.produce(0, 0..10);
    scene.run_to_end();
    let mark = format!("database={} cluster=of-another-world", scene.database_id());
    scene.kafka.commit_offset(&scene.group(), &scene.topic, 0, 4, &mark).unwrap();
    scene.run_to_end();
    assert_eq!(scene.changes_after(1), [change(0, 10, 4, "group_reset")]);
    // Nor does the mark of another database count there.
    scene.kafka.commit_offset(&scene.group(), &scene.topic, 0, 5, "database=another cluster=of-another-world").unwrap();
    scene.run_to_end();
    assert_eq!(scene.changes_after(2), [change(0, 10, 5, "group_reset")]);
}

#[test]
fn without_any_position_the_setting_decides() {
    let mut scene = Scene::new("first-start", 1);
    scene.produce(0, 0..10);
    scene.kafka.delete_records(&scene.topic, 0, 3).unwrap();
    scene.place.set("KAFKA_AUTO_OFFSET_RESET", "error");
    scene.is_refused(&["KAFKA_AUTO_OFFSET_RESET", &format!("{}-0", scene.topic), "--reset-offsets"]);
    assert!(scene.kafka.committed_offsets(&scene.group()).unwrap().is_empty(), "nothing is claimed");
    scene.reset("", &["--to-offset", "8"]); // As the message says.
    scene.run_to_end();
    assert_eq!(scene.changes(), [change(0, None, 8, "group_reset")]);

    for (setting, start) in [("earliest", 3), ("latest", 10)] {
        let mut scene = scene.beside();
        let group = format!("{}-{setting}", scene.group());
        scene.place.set("KAFKA_AUTO_OFFSET_RESET", setting).set("KAFKA_GROUP_ID", &group);
        scene.place.run_to_end();
        scene.place.assert_clean();
        assert_eq!(scene.changes(), [change(0, None, start, "first_start")]);
        assert_eq!(scene.stored_offsets(0), (start..10).collect::<Vec<_>>());
    }
}

#[test]
fn a_partition_that_is_added_later_is_read_from_its_beginning() {
    let mut scene = Scene::new("added", 1);
    scene.place.set("KAFKA_AUTO_OFFSET_RESET", "latest");
    scene.produce(0, 0..10);
    let mut service = scene.place.start(&["run"]);
    scene.place.wait_for("the first start", |_| scene.place.database_path().exists() && scene.place.stored() == 10);
    scene.kafka.add_partitions(&scene.topic, 2).unwrap();
    scene.produce(1, 0..5);
    scene.place.wait_for("the second partition", |place| place.stored() == 15);
    Scene::stop(&mut service);
    scene.kafka.add_partitions(&scene.topic, 3).unwrap();
    scene.produce(2, 0..7);
    scene.run_to_end();
    let expected = [(0, 10, "first_start"), (1, 0, "new_partition"), (2, 0, "new_partition")];
    assert_eq!(scene.changes(), expected.map(|(partition, to, reason)| change(partition, None, to, reason)));
    assert_eq!([0, 1, 2].map(|partition| scene.stored_offsets(partition).len()), [0, 5, 7]);
}

#[test]
fn a_second_service_on_the_same_database_is_refused() {
    let scene = Scene::new("second", 1);
    let mut first = scene.place.start(&["run"]);
    scene.place.wait_for("the first service", |place| place.number("SELECT count(*) FROM consumer_offsets") == Some(1));
    let second = scene.place.ask(&["run"]);
    assert_eq!(second.code, Some(1), "{second:?}");
    scene::assert_last_line_has(&second.stderr, &["another process", "enterprise.db.lock"]);
    assert!(first.is_running());
    scene.produce(0, 0..10);
    scene.place.wait_for("the events", |place| place.stored() == 10);
    first.kill();
    scene.run_to_end(); // A lock does not outlive its process.
}
