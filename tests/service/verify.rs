//! `verify` while the service runs, after it, and without permission to write; and each violation of an invariant that another program
//! causes.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use rusqlite::Connection;
use testkit::{ProduceOptions, Record};

use crate::support::process::Installation;
use crate::support::topic_fixture::{self, TopicFixture};

const SOUND: &str = "\
integrity     ok    the database engine finds no damage
counters      ok    of every position: next_offset - first_offset = applied + stale + unidentified + absent
rows          ok    no row lies at or beyond the highest position of its partition
unidentified  ok    every unidentified message that was counted is kept or was pruned
";

fn assert_sound(installation: &Installation) {
    let answer = installation.ask(&["verify"]);
    assert_eq!((answer.code, answer.stdout.as_str(), answer.stderr.as_str()), (Some(0), SOUND, ""), "{answer:?}");
}

/// Checks that `verify` fails, prints exactly these violations (with topic and group replaced), and that the other invariants hold.
fn assert_off(fixture: &TopicFixture, expected: &[&str]) {
    let answer = fixture.installation.ask(&["verify"]);
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(1), ""), "{answer:?}");
    let text = answer.stdout.replace(&fixture.group(), "G").replace(&fixture.topic, "T");
    let (fine, off): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| SOUND.lines().any(|sound| sound == *line));
    assert_eq!(off, expected, "{text}");
    let rule = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    for line in SOUND.lines() {
        assert_ne!(fine.contains(&line), off.iter().any(|off| rule(off) == rule(line)), "{text}");
    }
}

#[test]
fn a_database_is_sound_while_its_service_runs_and_after_it() {
    let mut fixture = TopicFixture::new("verify", 2);
    fixture.installation.set("BATCH_MAX_RECORDS", "7");
    let mut service = fixture.installation.start(&["run"]);
    fixture.installation.wait_for("the database", |installation| {
        installation.number("SELECT count(*) FROM database_identity") == Some(1)
    });
    let mut stored = 0;
    while stored < 900 {
        for partition in 0..2 {
            fixture.produce(partition, stored..stored + 100);
            let broken = (0..50).map(|_| Record::value("{").partition(partition));
            fixture.kafka.produce(&fixture.topic, &ProduceOptions::default(), broken).unwrap();
        }
        assert_sound(&fixture.installation);
        stored += 300;
        fixture.installation.wait_for("the records", |installation| installation.stored() >= stored);
    }
    TopicFixture::stop(&mut service);
    assert_sound(&fixture.installation);
    fixture.installation.assert_clean();
}

#[test]
fn each_violation_is_named() {
    let fixture = TopicFixture::new("verify-off", 1);
    fixture.produce(0, 0..10);
    let broken = ["", "{", "[]"].map(|value| Record::value(value).partition(0));
    fixture.kafka.produce(&fixture.topic, &ProduceOptions::default(), broken).unwrap();
    fixture.run_to_end();
    let sound = fixture.back_up();
    let check = |deed: &str, expected: &[&str]| {
        fixture.restore(&sound);
        Connection::open(fixture.installation.database_path()).unwrap().execute_batch(deed).unwrap();
        assert_off(&fixture, expected);
    };
    check(
        "PRAGMA ignore_check_constraints = ON; UPDATE consumer_offsets SET applied = 9",
        &[
            "counters      FAIL  T-0 of group 'G': next_offset 13, first_offset 0, high_offset 13, but applied 9, stale 0, \
             unidentified 3, absent 0",
        ],
    );
    check(
        "UPDATE opportunities SET kafka_offset = kafka_offset + 5",
        &["rows          FAIL  T-0: 2 of opportunities from offset 13 to 14, but its highest position is 13"],
    );
    check(
        "UPDATE opportunities SET kafka_partition = 3 WHERE kafka_offset = 7",
        &["rows          FAIL  T-3: 1 of opportunities from offset 7 to 7, but it has no position"],
    );
    check(
        "DELETE FROM unidentified_messages WHERE reason = 'empty'",
        &["unidentified  FAIL  T-0 of group 'G': 3 counted from offset 0 to before 13, but only 2 kept"],
    );
    check(
        "DELETE FROM consumer_offsets",
        &[
            "rows          FAIL  T-0: 10 of opportunities from offset 0 to 9, but it has no position",
            "rows          FAIL  T-0: 3 of unidentified_messages from offset 10 to 12, but it has no position",
        ],
    );
    fixture.restore(&sound);
    assert_sound(&fixture.installation);
}

#[test]
fn verify_needs_no_permission_to_write_but_a_database_of_ours() {
    let mut fixture = TopicFixture::new("verify-read-only", 1);
    let answer = fixture.installation.ask(&["verify"]);
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(1), ""), "{answer:?}");
    topic_fixture::assert_last_line_has(&answer.stderr, &["no database", "data/enterprise.db"]);
    assert!(!fixture.installation.path().join("data").exists(), "looking makes nothing");

    fixture.produce(0, 0..10);
    fixture.run_to_end();
    // File modes do not apply to root, unless it drops that capability.
    let modest = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"];
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    fixture.installation.wrap(if is_root { &modest } else { &[] });
    let data = fixture.installation.path().join("data");
    fs::set_permissions(fixture.installation.database_path(), fs::Permissions::from_mode(0o444)).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o555)).unwrap();
    assert_sound(&fixture.installation);
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();

    fs::write(fixture.installation.database_path(), "no database at all".repeat(100)).unwrap();
    let answer = fixture.installation.ask(&["verify"]);
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(1), ""), "{answer:?}");
    topic_fixture::assert_last_line_has(&answer.stderr, &["enterprise.db"]);
}
