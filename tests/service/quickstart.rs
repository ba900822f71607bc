//! `./quickstart` in an empty directory, with a broker of the test kit and the program of this test run. What it does without
//! `KAFKA_BOOTSTRAP_SERVERS`, which needs port 9092 and a complete build, is not tested here.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;
use testkit::unique;

/// The rows of one table, the unidentified messages, and the partitions that the script stored.
const COUNTS: &str = "SELECT (SELECT count(*) FROM opportunities), (SELECT count(*) FROM projects),
                             (SELECT count(*) FROM unidentified_messages), (SELECT count(*) FROM consumer_offsets)";

/// A directory with the script, and a `cargo` that builds in the workspace. It does not build the service again: other tests run it.
fn prepare() -> TempDir {
    let directory = TempDir::new().unwrap();
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::copy(workspace.join("quickstart"), directory.path().join("quickstart")).unwrap();
    let cargo = directory.path().join("bin/cargo");
    fs::create_dir(cargo.parent().unwrap()).unwrap();
    let script = format!(
        "#!/bin/sh\n\
         case \"$*\" in *'--bin enterprise-consumer'*) exit 0 ;; esac\n\
         exec '{}' \"$@\" --manifest-path '{}/Cargo.toml'\n",
        env!("CARGO"),
        workspace.display()
    );
    fs::write(&cargo, script).unwrap();
    fs::set_permissions(&cargo, Permissions::from_mode(0o755)).unwrap();
    directory
}

fn quickstart(directory: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(directory.join("quickstart"));
    command.args(arguments).current_dir(directory).envs(variables.iter().copied());
    command.env("PATH", format!("{}:{path}", directory.join("bin").display())).output().unwrap()
}

#[test]
fn the_samples_of_each_round_are_stored_and_shown() {
    let cluster = testkit::shared(testkit::NEWEST).unwrap();
    let topic = unique("quickstart");
    let directory = prepare();
    let variables = [("KAFKA_BOOTSTRAP_SERVERS", &*cluster.bootstrap_servers()), ("KAFKA_TOPIC", &topic)];
    for (round, counts) in [(1, (1_200, 400, 19, 3)), (2, (1_240, 440, 38, 3))] {
        let output = quickstart(directory.path(), &[], &variables);
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{stdout}\n{stderr}");
        for part in [
            format!("Producing round {round} of the sample events to {topic}"),
            format!("rows          {} opportunities, {} projects", counts.0, counts.1),
            "Done in ".to_owned(),
            "Database      data/enterprise.db".to_owned(),
        ] {
            assert!(stdout.contains(&part), "'{part}' is not in:\n{stdout}");
        }
        let database = directory.path().join("data/enterprise.db");
        let database = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        let stored: (i64, i64, i64, i64) = database.query_row(COUNTS, [], row).unwrap();
        assert_eq!(stored, counts, "round {round}");
    }
}

#[test]
fn usage() {
    let directory = prepare();
    for (argument, code) in [("--help", 0), ("--fast", 2)] {
        let output = quickstart(directory.path(), &[argument], &[]);
        let text = [output.stdout, output.stderr].concat();
        assert_eq!(output.status.code(), Some(code), "{argument}");
        assert!(String::from_utf8_lossy(&text).contains("Usage: ./quickstart [--keep]"), "{argument}");
    }
}
