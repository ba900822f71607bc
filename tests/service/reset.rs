//! The `reset` command: the next start reads from the new offsets, a new database is filled again, and a group with members is refused.

use std::fs;

use crate::support::process::{Answer, Installation};
use crate::support::topic_fixture::TopicFixture;

/// Runs the command, checks that it succeeds, and returns the columns of each line of its table.
fn reset(installation: &Installation, arguments: &[&str]) -> Vec<Vec<String>> {
    let answer = installation.ask(&[&["reset"], arguments].concat());
    assert_eq!(answer.code, Some(0), "{answer:?}");
    rows(&answer)
}

/// Topic, partition, old and new offset, records from there.
fn rows(answer: &Answer) -> Vec<Vec<String>> {
    let lines = answer.stdout.lines().skip(2);
    let columns = lines.map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    columns.filter(|columns| columns.len() >= 5 && columns[1].parse::<i32>().is_ok()).collect()
}

fn row(fixture: &TopicFixture, partition: i32, from: &str, to: i64, ahead: i64) -> Vec<String> {
    [fixture.topic.clone(), partition.to_string(), from.to_owned(), to.to_string(), ahead.to_string()].to_vec()
}

fn committed(fixture: &TopicFixture) -> Vec<i64> {
    let offsets = fixture.kafka.committed_offsets(&fixture.group()).unwrap();
    let mut offsets: Vec<_> = offsets.into_iter().collect();
    offsets.sort_by_key(|((_, partition), _)| *partition);
    offsets.into_iter().map(|(_, committed)| committed.offset).collect()
}

#[test]
fn a_new_database_is_filled_again() {
    for version in testkit::VERSIONS {
        let fixture = TopicFixture::on(version, "reset-all", 2);
        fixture.produce(0, 0..10);
        fixture.produce(1, 0..5);
        fixture.run_to_end();
        for suffix in ["", "-wal", "-shm"] {
            fs::remove_file(format!("{}{suffix}", fixture.installation.database_path().display())).unwrap();
        }
        let lines = fixture.installation.log().len();
        let checked = fixture.installation.ask(&["check"]).stdout;
        assert!(checked.lines().any(|line| line.contains("warn") && line.contains("reset --to-earliest")), "{checked}");
        fixture.run_to_end();
        assert_eq!(fixture.installation.number("SELECT count(*) FROM opportunities"), Some(0));
        let warning = fixture.installation.wait_warning(lines, &["this database is new", "reset --to-earliest"]);
        assert_eq!((warning["records"].as_i64(), warning["partitions"].as_i64()), (Some(15), Some(2)), "{warning}");
        for partition in [format!("{}-0: 10", fixture.topic), format!("{}-1: 5", fixture.topic)] {
            assert!(warning["message"].as_str().unwrap().contains(&partition), "{warning}");
        }

        let expected = [row(&fixture, 0, "10", 0, 10), row(&fixture, 1, "5", 0, 5)];
        assert_eq!(reset(&fixture.installation, &["--to-earliest", "--dry-run"]), expected);
        assert_eq!(committed(&fixture), [10, 5], "a dry run changes nothing");
        assert_eq!(reset(&fixture.installation, &["--to-earliest"]), expected);
        assert_eq!(committed(&fixture), [0, 0]);
        fixture.run_to_end();
        assert_eq!(fixture.stored_offsets(0), (0..10).collect::<Vec<_>>());
        assert_eq!(fixture.stored_offsets(1), (0..5).collect::<Vec<_>>());
        assert_eq!(
            fixture.changes_after(2),
            [0, 1].map(|partition| (partition, Some(if partition == 0 { 10 } else { 5 }), 0, "group_reset".to_owned()))
        );
    }
}

#[test]
fn each_target_and_each_scope() {
    let fixture = TopicFixture::new("reset-targets", 2);
    fixture.produce(0, 0..10);
    fixture.produce(1, 0..10);
    fixture.kafka.delete_records(&fixture.topic, 0, 3).unwrap();
    let topic = |partitions: &str| format!("{}{partitions}", fixture.topic);
    // Before the first run: the start of a new group.
    assert_eq!(
        reset(&fixture.installation, &["--to-offset", "7", "--topic", &topic(":1")]),
        [row(&fixture, 1, "-", 7, 3)]
    );
    assert_eq!(
        reset(&fixture.installation, &["--to-earliest", "--topic", &topic(":0")]),
        [row(&fixture, 0, "-", 3, 7)]
    );
    assert_eq!(committed(&fixture), [3, 7]);
    fixture.run_to_end();
    assert_eq!((fixture.stored_offsets(0), fixture.stored_offsets(1)), ((3..10).collect(), (7..10).collect()));

    // An offset outside of the log is replaced by the nearest one, and the output says so.
    let answer = fixture.installation.ask(&["reset", "--to-offset", "1", "--topic", &topic("")]);
    assert_eq!(answer.code, Some(0));
    assert!(answer.stdout.contains("the log does not have 1"), "{answer:?}");
    assert_eq!(committed(&fixture), [3, 1]);
    let all = |arguments: &[&str], expected: [i64; 2]| {
        reset(&fixture.installation, arguments);
        assert_eq!(committed(&fixture), expected, "{arguments:?}");
    };
    all(&["--to-latest"], [10, 10]);
    all(&["--to-datetime", "2001-01-01"], [3, 0]);
    all(&["--to-datetime", "2101-01-01T00:00:00+02:00"], [10, 10]);
    fixture.run_to_end();

    let refused = |arguments: &[&str], code: i32, parts: &[&str]| {
        let answer = fixture.installation.ask(&[&["reset"], arguments].concat());
        assert_eq!(answer.code, Some(code), "{answer:?}");
        for part in parts {
            assert!(answer.stderr.contains(part), "{answer:?}");
        }
        assert_eq!(committed(&fixture), [10, 10], "nothing was changed");
    };
    refused(&["--to-earliest", "--topic", &topic(":0,2")], 1, &["partition 2", &fixture.topic, "does not exist"]);
    refused(&["--to-earliest", "--topic", "another"], 2, &["'another'", "KAFKA_TOPIC"]);
    refused(&[], 2, &["exactly one of --to-earliest"]);
    refused(&["--to-datetime", "tomorrow"], 2, &["'tomorrow'", "2026-01-15T09:30:00Z"]);
}

#[test]
fn a_group_with_members_is_refused_and_they_are_named() {
    for protocol in ["classic", "consumer"] {
        let mut fixture = TopicFixture::new("reset-members", 1);
        fixture.installation.set("KAFKA_GROUP_PROTOCOL", protocol).set("KAFKA_CLIENT_ID", "the-client");
        fixture.produce(0, 0..10);
        let mut service = fixture.installation.start(&["run"]);
        fixture.wait_committed(0, 10);
        for arguments in [vec!["reset", "--to-earliest"], vec!["reset", "--to-earliest", "--dry-run"]] {
            let answer = fixture.installation.ask(&arguments);
            assert_eq!(answer.code, Some(1), "{answer:?}");
            for part in ["has members", &fixture.database_id(), "the-client", "127.0.0.1"] {
                assert!(answer.stderr.contains(part), "{protocol}: {answer:?}");
            }
        }
        TopicFixture::stop(&mut service);
        assert_eq!(committed(&fixture), [10]);
        reset(&fixture.installation, &["--to-earliest"]);
        fixture.run_to_end();
        assert_eq!(fixture.number("applied"), 10, "read again");
    }
}

#[test]
fn a_running_service_without_membership_follows_a_reset() {
    let fixture = TopicFixture::without_members("reset-running-ours", 1);
    fixture.produce(0, 0..10);
    let mut service = fixture.installation.start(&["run"]);
    fixture.wait_committed(0, 10);
    reset(&fixture.installation, &["--to-offset", "4"]);
    fixture.installation.wait_for("the reset", |_| fixture.first_offsets() == [4] && fixture.next_offsets() == [10]);
    assert_eq!(fixture.changes().len(), 2);
    TopicFixture::stop(&mut service);
    fixture.assert_at_end();
}
