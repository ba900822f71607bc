//! Where the blocks run: a directory as a reader has it after the quick start, with its own broker and the program on the path. Knows
//! nothing of documents.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;
use testkit::{Cluster, ProduceOptions, Record, samples};

/// The seed of the quick start's samples.
const SEED: u64 = 2025;
const TOPIC: &str = "sales_events";
const PARTITIONS: u32 = 3;
const PROGRAM: &str = env!("CARGO_BIN_EXE_enterprise-consumer");

/// The service reads until it is stopped; here, until it has caught up.
const SHIM: &str = r#"#!/bin/bash
skip=; command=
for word; do
    if [ -n "$skip" ]; then skip=; continue; fi
    case "$word" in
    --env-file) skip=1 ;;
    --exit-at-end | -*h | --help | -V | --version) command=$word ;;
    -*) ;;
    *) command=$word ;;
    esac
done
case "$command" in
'' | run) exec "$PROGRAM" "$@" --exit-at-end ;;
*) exec "$PROGRAM" "$@" ;;
esac
"#;

pub struct Stage {
    pub cluster: &'static Cluster,
    directory: TempDir,
}

impl Stage {
    /// After `./quickstart`: topic, samples, and a database that has them.
    pub fn after_quickstart(repository: &Path) -> Self {
        let cluster = testkit::shared(testkit::NEWEST).unwrap();
        let kafka = cluster.client().unwrap();
        kafka.create_topic(TOPIC, PARTITIONS, &[]).unwrap();
        kafka.produce(TOPIC, &ProduceOptions::default(), samples::events(SEED, 1)).unwrap();
        let directory = TempDir::new().unwrap();
        let stage = Self { cluster, directory };
        for folder in ["bin", "target/debug"] {
            fs::create_dir_all(stage.path().join(folder)).unwrap();
            let shim = stage.path().join(folder).join("enterprise-consumer");
            fs::write(&shim, SHIM).unwrap();
            fs::set_permissions(&shim, fs::Permissions::from_mode(0o755)).unwrap();
        }
        // A reader is in the repository's folder.
        for entry in fs::read_dir(repository).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            let is_visible = !name.to_string_lossy().starts_with('.');
            if is_visible && !["target", "data", "logs"].iter().any(|own| name == *own) {
                symlink(entry.path(), stage.path().join(name)).unwrap();
            }
        }
        stage.succeeds("enterprise-consumer", &[]);
        stage
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Runs a script in the directory, and waits for what it has started in the background.
    pub fn shell(&self, script: &str, variables: &[(&str, &str)]) -> Output {
        let path = std::env::var("PATH").unwrap();
        Command::new("bash")
            .args(["-c", &format!("set -eu\n{script}\nwait\n")])
            .current_dir(self.path())
            .env_clear()
            .env("PATH", format!("{}:{path}", self.path().join("bin").display()))
            .env("PROGRAM", PROGRAM)
            .env("KAFKA_BOOTSTRAP_SERVERS", self.cluster.bootstrap_servers())
            .envs(variables.iter().copied())
            .output()
            .unwrap()
    }

    /// The same, for what must succeed; gives what it printed.
    pub fn succeeds(&self, script: &str, variables: &[(&str, &str)]) -> String {
        let output = self.shell(script, variables);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}\n{}: {said}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Stores one event in a database of its own, and gives its row as `sqlite3 -line` shows it.
    pub fn row_of(&self, table: &str, event: &str) -> String {
        let topic = format!("documents_{table}");
        let kafka = self.cluster.client().unwrap();
        kafka.create_topic(&topic, 1, &[]).unwrap();
        kafka.produce(&topic, &ProduceOptions::default(), [Record::value(event)]).unwrap();
        let database = format!("{table}.db");
        let variables = [
            ("KAFKA_TOPIC", topic.as_str()),
            ("KAFKA_GROUP_ID", topic.as_str()),
            ("DATABASE_URL", &format!("sqlite:///{database}")),
            ("LOG_FILE", ""),
            ("UNIDENTIFIED_LOG_FILE", ""),
        ];
        self.succeeds("enterprise-consumer", &variables);
        let row = self.succeeds(&format!("sqlite3 -line -readonly {database} 'SELECT * FROM {table}'"), &[]);
        fs::remove_file(self.path().join(database)).unwrap();
        row
    }
}
