//! The service is killed at its n-th system call, before it or halfway through it: the database is sound, and after the next run the
//! tables are those of an undisturbed service.

use std::fs;

use rusqlite::Connection;

use super::crash_fixture::{CrashFixture, PARTITIONS, assert_sound, calls_of, copy_directory, dies, sample};
use super::shim::{Call, DISK, Plan};
use crate::support::process::Installation;
use crate::support::sized;
use crate::{replay, unidentified};

const RUN: &[&str] = &["run", "--exit-at-end"];

/// Both moments of a call at which the process is killed; in the CI size one of them for each call.
fn plans(call: usize) -> Vec<Plan> {
    let both = vec![Plan::Kill(call), Plan::Tear(call)];
    if sized(false, true) { both } else { both.into_iter().skip(call % 2).take(1).collect() }
}

/// Checks what a killed process has left, once the tables exist.
fn assert_left_sound(installation: &Installation) {
    let path = installation.database_path();
    if !path.exists() {
        return;
    }
    // As a writer, like the next service: a process killed while it created the file may leave a rollback journal.
    let copy = tempfile::tempdir().unwrap();
    copy_directory(path.parent().unwrap(), copy.path());
    let database = Connection::open(copy.path().join("enterprise.db")).unwrap();
    let check: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    if !path.with_extension("db-journal").exists()
        && installation.number("SELECT count(*) FROM database_identity").is_some()
    {
        assert_sound(installation);
        installation.assert_consistent();
    }
}

/// In one installation, at the first call, at the second, and so on until a run ends before that call.
fn killed_in_a_row(protocol: &str) {
    let fixture = CrashFixture::new("in-a-row", 200);
    let mut installation = fixture.installation(protocol);
    let mut kills = 0;
    for call in (1..).step_by(sized(5, 1)) {
        let plan = if call % 2 == 0 { Plan::Kill(call) } else { Plan::Tear(call) };
        if !dies(&mut installation, RUN, &plan) {
            break;
        }
        assert_left_sound(&installation);
        kills += 1;
    }
    assert!(kills > 10, "{kills} kills");
    fixture.assert_ends_well(&mut installation);
}

#[test]
fn killed_one_call_later_each_time() {
    killed_in_a_row("none");
}

#[test]
fn killed_one_call_later_each_time_as_a_member_of_a_group() {
    killed_in_a_row("classic");
}

#[test]
fn killed_at_any_call_of_a_first_start() {
    let fixture = CrashFixture::new("first-start", 60);
    let calls = calls_of(&mut fixture.installation("none"));
    for call in sample(&calls, |call| matches!(call, Call::Synced(_))) {
        for plan in plans(call) {
            eprintln!("{plan} of {}", calls.len());
            let mut installation = fixture.installation("none");
            dies(&mut installation, RUN, &plan);
            assert_left_sound(&installation);
            fixture.assert_ends_well(&mut installation);
        }
    }
}

/// The WAL is checkpointed at least twice.
#[test]
fn killed_during_checkpoints() {
    let fixture = CrashFixture::new("checkpoint", 1200);
    let installation = || {
        let mut installation = fixture.installation("none");
        installation.set("WAL_MAX_BYTES", "1048576");
        installation
    };
    let calls = calls_of(&mut installation());
    let is_checkpoint =
        |call: &&Call| matches!(call, Call::Truncated { path, length: 0 } if path.ends_with("enterprise.db-wal"));
    assert!(calls.iter().filter(is_checkpoint).count() >= 2, "no checkpoint within {} calls", calls.len());
    for call in checkpoint_calls(&calls) {
        for plan in plans(call) {
            eprintln!("{plan} of {}", calls.len());
            let mut installation = installation();
            dies(&mut installation, RUN, &plan);
            assert_left_sound(&installation);
            fixture.assert_ends_well(&mut installation);
        }
    }
}

/// The calls of checkpoints, and those around them.
fn checkpoint_calls(calls: &[Call]) -> Vec<usize> {
    let mut wal = false;
    let mut chosen = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        match call {
            Call::Created(path) => wal |= path.ends_with("enterprise.db-wal"),
            Call::Written { path, .. } | Call::Synced(path) if wal && path.ends_with("enterprise.db") => {
                chosen.extend([index, index + 1, index + 2]);
            }
            _ => {}
        }
    }
    chosen.dedup();
    let step = sized(chosen.len() / 12, chosen.len() / 200).max(1);
    let last = chosen.last().copied();
    chosen.into_iter().step_by(step).chain(last).collect()
}

/// An operator resets the group to the earliest offset: the jump is stored and committed, and everything is read again.
#[test]
fn killed_while_following_a_reset() {
    let fixture = CrashFixture::new("reset", 60);
    let mut sound = fixture.installation("none");
    fixture.assert_ends_well(&mut sound);
    // The same database, after a new reset each time.
    let reset = || {
        let mut installation = fixture.installation("none");
        installation.set("KAFKA_GROUP_ID", &sound.group());
        copy_directory(&sound.path().join(DISK), &installation.path().join(DISK));
        for partition in 0..PARTITIONS {
            fixture.kafka.commit_offset(&installation.group(), &fixture.topic, partition, 0, "").unwrap();
        }
        installation
    };
    let jumps = |installation: &Installation| {
        installation.number("SELECT count(*) FROM position_changes WHERE from_offset > 0 AND to_offset = 0").unwrap()
    };
    let calls = calls_of(&mut reset());
    for call in sample(&calls, |call| matches!(call, Call::Synced(_))) {
        for plan in plans(call) {
            eprintln!("{plan} of {}", calls.len());
            let mut installation = reset();
            dies(&mut installation, RUN, &plan);
            assert_left_sound(&installation);
            fixture.assert_ends_well(&mut installation);
            assert_eq!(jumps(&installation), i64::from(PARTITIONS), "each jump is noted once");
        }
    }
}

#[test]
fn killed_during_a_replay() {
    killed_during(&["replay"], replay::assert_marked_where_stored, |installation| {
        installation.number(replay::REPLAYED)
    });
}

#[test]
fn killed_during_a_prune() {
    let counted = |installation: &Installation| {
        let pruned = "SELECT unidentified - pruned FROM consumer_offsets WHERE topic = 'earlier'";
        assert_eq!(installation.number(pruned), installation.number(unidentified::KEPT));
    };
    killed_during(&["prune", "--all"], counted, |installation| installation.number(unidentified::KEPT));
}

/// A command that works on kept messages is killed at its calls: what it leaves is sound, and another run ends as one without a kill.
fn killed_during(command: &[&str], assert_left: fn(&Installation), end: fn(&Installation) -> Option<i64>) {
    let fixture = CrashFixture::new(command[0], 0);
    let kept = fixture.installation("none");
    kept.run_to_end();
    let messages = 1100;
    replay::keep_many(&kept, messages);
    let copy = || {
        let mut installation = fixture.installation("none");
        // No service has written these messages to a log file.
        installation.set("UNIDENTIFIED_LOG_FILE", "");
        copy_directory(&kept.path().join(DISK), &installation.path().join(DISK));
        installation
    };
    let log = |installation: &Installation| {
        fs::read(installation.path().join(DISK).join("logs/unidentified_messages.log")).unwrap()
    };
    let mut whole = copy();
    let trace = whole.path().join("trace");
    super::shim::install(&mut whole, &Plan::Watch, Some(&trace));
    assert_eq!(whole.ask(command).code, Some(0));
    let calls: Vec<Call> = super::shim::read_trace(&trace);
    for call in sample(&calls, |call| matches!(call, Call::Synced(_))) {
        for plan in plans(call) {
            eprintln!("{plan} of {}", calls.len());
            let mut installation = copy();
            dies(&mut installation, command, &plan);
            assert_sound(&installation);
            assert_left(&installation);
            assert_eq!(installation.ask(command).code, Some(0));
            assert_sound(&installation);
            assert_left(&installation);
            assert_eq!(end(&installation), end(&whole));
            assert_eq!(log(&installation), log(&kept), "the command writes no log");
        }
    }
}
