//! The `reset` command on real brokers: the next start reads from where it says, a new database is filled again, and a group with members
//! is left alone.

use std::fs;

use crate::support::child::{Answer, Place};
use crate::support::scene::Scene;

/// Runs the command, which must succeed; gives the lines of its table, each as its columns.
fn reset(place: &Place, arguments: &[&str]) -> Vec<Vec<String>> {
    let answer = place.ask(&[&["reset"], arguments].concat());
    assert_eq!(answer.code, Some(0), "{answer:?}");
    rows(&answer)
}

/// Topic, partition, old and new offset, records from there.
fn rows(answer: &Answer) -> Vec<Vec<String>> {
    let lines = answer.stdout.lines().skip(2);
    let columns = lines.map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    columns.filter(|columns| columns.len() >= 5 && columns[1].parse::<i32>().is_ok()).collect()
}

fn row(scene: &Scene, partition: i32, from: &str, to: i64, ahead: i64) -> Vec<String> {
    [scene.topic.clone(), partition.to_string(), from.to_owned(), to.to_string(), ahead.to_string()].to_vec()
}

fn committed(scene: &Scene) -> Vec<i64> {
    let offsets = scene.kafka.committed_offsets(&scene.group()).unwrap();
    let mut offsets: Vec<_> = offsets.into_iter().collect();
    offsets.sort_by_key(|((_, partition), _)| *partition);
    offsets.into_iter().map(|(_, committed)| committed.offset).collect()
}

#[test]
fn a_new_database_is_filled_again() {
    for version in testkit::VERSIONS {
        let scene = Scene::on(version, "reset-all", 2);
        scene.produce(0, 0..10);
        scene.produce(1, 0..5);
        scene.run_to_end();
        for suffix in ["", "-wal", "-shm"] {
            fs::remove_file(format!("{}{suffix}", scene.place.database_path().display())).unwrap();
        }
        let lines = scene.place.log().len();
        let checked = scene.place.ask(&["check"]).stdout;
        assert!(checked.lines().any(|line| line.contains("warn") && line.contains("reset --to-earliest")), "{checked}");
        scene.run_to_end();
        assert_eq!(scene.place.number("SELECT count(*) FROM opportunities"), Some(0));
        let warning = scene.place.wait_warning(lines, &["this database is new", "reset --to-earliest"]);
        assert_eq!((warning["records"].as_i64(), warning["partitions"].as_i64()), (Some(15), Some(2)), "{warning}");
        for partition in [format!("{}-0: 10", scene.topic), format!("{}-1: 5", scene.topic)] {
            assert!(warning["message"].as_str().unwrap().contains(&partition), "{warning}");
        }

        let expected = [row(&scene, 0, "10", 0, 10), row(&scene, 1, "5", 0, 5)];
        assert_eq!(reset(&scene.place, &["--to-earliest", "--dry-run"]), expected);
        assert_eq!(committed(&scene), [10, 5], "a dry run changes nothing");
        assert_eq!(reset(&scene.place, &["--to-earliest"]), expected);
        assert_eq!(committed(&scene), [0, 0]);
        scene.run_to_end();
        assert_eq!(scene.stored_offsets(0), (0..10).collect::<Vec<_>>());
        assert_eq!(scene.stored_offsets(1), (0..5).collect::<Vec<_>>());
        assert_eq!(
            scene.changes_after(2),
            [0, 1].map(|partition| (partition, Some(if partition == 0 { 10 } else { 5 }), 0, "group_reset".to_owned()))
        );
    }
}

#[test]
fn each_target_and_each_scope() {
    let scene = Scene::new("reset-targets", 2);
    scene.produce(0, 0..10);
    scene.produce(1, 0..10);
    scene.kafka.delete_records(&scene.topic, 0, 3).unwrap();
    let topic = |partitions: &str| format!("{}{partitions}", scene.topic);
    // Before the first run: what a new group shall start with.
    assert_eq!(reset(&scene.place, &["--to-offset", "7", "--topic", &topic(":1")]), [row(&scene, 1, "-", 7, 3)]);
    assert_eq!(reset(&scene.place, &["--to-earliest", "--topic", &topic(":0")]), [row(&scene, 0, "-", 3, 7)]);
    assert_eq!(committed(&scene), [3, 7]);
    scene.run_to_end();
    assert_eq!((scene.stored_offsets(0), scene.stored_offsets(1)), ((3..10).collect(), (7..10).collect()));

    // An offset that the log does not have is the nearest one that it has, and that is said.
    let answer = scene.place.ask(&["reset", "--to-offset", "1", "--topic", &topic("")]);
    assert_eq!(answer.code, Some(0));
    assert!(answer.stdout.contains("the log does not have 1"), "{answer:?}");
    assert_eq!(committed(&scene), [3, 1]);
    let all = |arguments: &[&str], expected: [i64; 2]| {
        reset(&scene.place, arguments);
        assert_eq!(committed(&scene), expected, "{arguments:?}");
    };
    all(&["--to-latest"], [10, 10]);
    all(&["--to-datetime", "2001-01-01"], [3, 0]);
    all(&["--to-datetime", "2101-01-01T00:00:00+02:00"], [10, 10]);
    scene.run_to_end();

    let refused = |arguments: &[&str], code: i32, parts: &[&str]| {
        let answer = scene.place.ask(&[&["reset"], arguments].concat());
        assert_eq!(answer.code, Some(code), "{answer:?}");
        for part in parts {
            assert!(answer.stderr.contains(part), "{answer:?}");
        }
        assert_eq!(committed(&scene), [10, 10], "nothing was changed");
    };
    refused(&["--to-earliest", "--topic", &topic(":0,2")], 1, &["partition 2", &scene.topic, "does not exist"]);
    refused(&["--to-earliest", "--topic", "another"], 2, &["'another'", "KAFKA_TOPIC"]);
    refused(&[], 2, &["exactly one of --to-earliest"]);
    refused(&["--to-datetime", "tomorrow"], 2, &["'tomorrow'", "2026-01-15T09:30:00Z"]);
}

#[test]
fn a_group_with_members_is_left_alone_and_they_are_named() {
    for protocol in ["classic", "consumer"] {
        let mut scene = Scene::new("reset-members", 1);
        scene.place.set("KAFKA_GROUP_PROTOCOL", protocol).set("KAFKA_CLIENT_ID", "the-client");
        scene.produce(0, 0..10);
        let mut service = scene.place.start(&["run"]);
        scene.wait_committed(0, 10);
        for arguments in [vec!["reset", "--to-earliest"], vec!["reset", "--to-earliest", "--dry-run"]] {
            let answer = scene.place.ask(&arguments);
            assert_eq!(answer.code, Some(1), "{answer:?}");
            for part in ["has members", &scene.database_id(), "the-client", "127.0.0.1"] {
                assert!(answer.stderr.contains(part), "{protocol}: {answer:?}");
            }
        }
        Scene::stop(&mut service);
        assert_eq!(committed(&scene), [10]);
        reset(&scene.place, &["--to-earliest"]);
        scene.run_to_end();
        assert_eq!(scene.number("applied"), 10, "read again");
    }
}

#[test]
fn a_running_service_without_membership_obeys() {
    let scene = Scene::without_members("reset-running-ours", 1);
    scene.produce(0, 0..10);
    let mut service = scene.place.start(&["run"]);
    scene.wait_committed(0, 10);
    reset(&scene.place, &["--to-offset", "4"]);
    scene.place.wait_for("the reset", |_| scene.first_offsets() == [4] && scene.next_offsets() == [10]);
    assert_eq!(scene.changes().len(), 2);
    Scene::stop(&mut service);
    scene.assert_at_end();
}
