//! The files of the database and the logs: removed, moved, replaced and linked while the service runs; their permissions, and who may
//! read them.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::process::Installation;
use crate::support::topic_fixture::TopicFixture;

/// The group's offset of partition 0.
fn committed(fixture: &TopicFixture) -> i64 {
    fixture.kafka.committed_offsets(&fixture.group()).unwrap()[&(fixture.topic.clone(), 0)].offset
}

fn errors(installation: &Installation) -> Vec<String> {
    let is_error = |line: &Value| line["level"] == "ERROR";
    installation
        .log()
        .iter()
        .filter(|line| is_error(line))
        .map(|line| line["message"].as_str().unwrap().to_owned())
        .collect()
}

fn beside(database: &Path, suffix: &str) -> PathBuf {
    PathBuf::from(format!("{}{suffix}", database.display()))
}

/// Runs a service, changes its files, and produces more records or leaves it idle: it must end with one ERROR, and commit nothing
/// after that.
fn check_noticed(fixture: TopicFixture, with_records: bool, change: impl Fn(&Path), said: &[&str]) -> TopicFixture {
    fixture.produce(0, 0..10);
    let mut service = fixture.installation.start(&["run"]);
    fixture.installation.wait_for("the events", |installation| installation.stored() == 10);
    fixture.wait_committed(0, 10);
    change(&fixture.installation.database_path());
    if with_records {
        fixture.produce(0, 10..20);
    }
    service.ends_with(1);
    let errors = errors(&fixture.installation);
    assert_eq!(errors.len(), 1, "{errors:?}");
    for part in said.iter().chain(&["no further offset is committed"]) {
        assert!(errors[0].contains(part), "'{part}' is not in {errors:?}");
    }
    assert_eq!(committed(&fixture), 10, "nothing more was committed");
    drop(service);
    fixture
}

#[test]
fn a_database_that_is_removed_while_it_runs_ends_the_service() {
    let remove = |database: &Path| {
        for suffix in ["", "-wal", "-shm"] {
            fs::remove_file(beside(database, suffix)).unwrap();
        }
    };
    for with_records in [true, false] {
        let fixture = check_noticed(
            TopicFixture::new("removed", 1),
            with_records,
            remove,
            &["enterprise.db' was removed", "reset"],
        );
        assert!(!fixture.installation.database_path().exists());
    }
    check_noticed(TopicFixture::without_members("removed-none", 1), false, remove, &["enterprise.db' was removed"]);
}

#[test]
fn a_stop_after_the_database_was_removed_is_a_failure() {
    let fixture = TopicFixture::new("removed-stop", 1);
    fixture.produce(0, 0..10);
    let mut service = fixture.installation.start(&["run"]);
    fixture.wait_committed(0, 10);
    fs::remove_dir_all(fixture.installation.path().join("data")).unwrap();
    service.signal("TERM");
    service.ends_with(1);
    assert_eq!(errors(&fixture.installation).len(), 1);
}

#[test]
fn another_database_at_its_path_ends_the_service_and_stays_sound() {
    let fixture = TopicFixture::new("swapped", 1);
    fixture.produce(0, 0..5);
    fixture.run_to_end();
    let other = fixture.back_up();
    let put = |database: &Path| {
        let aside = beside(database, ".new");
        fs::write(&aside, &other).unwrap();
        fs::rename(aside, database).unwrap();
    };
    fixture.produce(0, 5..10);
    let mut service = fixture.installation.start(&["run"]);
    fixture.wait_committed(0, 10);
    put(&fixture.installation.database_path());
    fixture.produce(0, 10..110);
    service.ends_with(1);
    let errors = errors(&fixture.installation);
    assert!(errors.len() == 1 && errors[0].contains("was replaced by another file"), "{errors:?}");
    assert_eq!(committed(&fixture), 10);
    // It continues from the positions of the other database, and every event is stored once.
    fixture.run_to_end();
    assert_eq!(fixture.stored_offsets(0), (0..110).collect::<Vec<_>>());
    assert_eq!(fixture.installation.ask(&["verify"]).code, Some(0));
}

#[test]
fn a_moved_directory_ends_the_service_and_the_database_works_there() {
    let moved = |database: &Path| {
        let directory = database.parent().unwrap();
        fs::rename(directory, directory.with_extension("moved")).unwrap();
    };
    let mut fixture =
        check_noticed(TopicFixture::new("moved", 1), true, moved, &["enterprise.db' was removed or moved"]);
    assert!(!fixture.installation.path().join("data").exists(), "nothing is created in its place");
    fixture.installation.set("DATABASE_URL", "sqlite:///data.moved/enterprise.db");
    fixture.run_to_end();
    assert_eq!(fixture.stored_offsets(0), (0..20).collect::<Vec<_>>());
}

#[test]
fn a_replaced_wal_ends_the_service_and_the_next_one_stores_everything() {
    let replaced = |database: &Path| {
        fs::write(beside(database, "-new"), "").unwrap();
        fs::rename(beside(database, "-new"), beside(database, "-wal")).unwrap();
    };
    let copied = |database: &Path| {
        fs::copy(beside(database, "-wal"), beside(database, "-new")).unwrap();
        fs::rename(beside(database, "-new"), beside(database, "-wal")).unwrap();
    };
    let removed = |suffix: &'static str| move |database: &Path| fs::remove_file(beside(database, suffix)).unwrap();
    let check = |change: &dyn Fn(&Path), said: &str| {
        let fixture = check_noticed(TopicFixture::new("beside", 1), true, change, &[said]);
        fixture.run_to_end();
        assert_eq!(fixture.stored_offsets(0), (0..20).collect::<Vec<_>>());
    };
    check(&replaced, "-wal' was replaced by another file");
    check(&copied, "-wal' was replaced by another file");
    check(&removed("-wal"), "-wal' was removed");
    check(&removed("-shm"), "-shm' was removed");
}

#[test]
fn a_link_that_leads_to_another_database_ends_the_service() {
    let mut fixture = TopicFixture::new("retargeted", 1);
    let at = |name: &str| fixture.installation.path().join(name);
    for name in ["first", "second"] {
        fs::create_dir(at(name)).unwrap();
    }
    symlink("first", at("link")).unwrap();
    let link = at("link");
    fixture.installation.set("DATABASE_URL", "sqlite:///link/enterprise.db");
    let retarget = |_: &Path| {
        fs::remove_file(&link).unwrap();
        symlink("second", &link).unwrap();
    };
    check_noticed(fixture, true, retarget, &["link/enterprise.db' was removed or moved"]);
}

#[test]
fn no_second_service_starts_by_another_name_or_without_the_lock_file() {
    let fixture = TopicFixture::new("locks", 1);
    fixture.produce(0, 0..10);
    let mut service = fixture.installation.start(&["run"]);
    fixture.wait_committed(0, 10);
    let database = fixture.installation.database_path();
    let refused = |installation: &Installation| {
        let answer = installation.ask(&["run", "--exit-at-end"]);
        assert_eq!(answer.code, Some(1), "{answer:?}");
        assert!(answer.stderr.contains("another process of this program uses the database"), "{answer:?}");
    };
    refused(&fixture.on_same_database(&[]));
    fs::remove_file(beside(&database, ".lock")).unwrap();
    refused(&fixture.on_same_database(&[]));
    let mut other = fixture.another_installation().installation;
    fs::create_dir(other.path().join("data")).unwrap();
    fs::hard_link(&database, other.database_path()).unwrap();
    refused(&other);
    other.set("DATABASE_URL", "sqlite:///link.db");
    symlink(&database, other.database_path()).unwrap();
    refused(&other);
    TopicFixture::stop(&mut service);
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).mode() & 0o7777
}

/// Runs a service with an umask and returns the modes of the files that it creates.
fn modes(umask: &str, file_mode: Option<&str>) -> Vec<(&'static str, u32)> {
    let mut fixture = TopicFixture::new("modes", 1);
    let shell = format!("umask {umask}; exec \"$@\"");
    fixture.installation.wrap(&["sh", "-c", &shell, "sh"]);
    if let Some(file_mode) = file_mode {
        fixture.installation.set("FILE_MODE", file_mode);
    }
    fixture
        .kafka
        .produce(&fixture.topic, &testkit::ProduceOptions::default(), [testkit::Record::value("no event")])
        .unwrap();
    let mut service = fixture.installation.start(&["run"]);
    fixture.installation.wait_for("the message", |installation| {
        fs::metadata(installation.unidentified_path()).is_ok_and(|file| file.len() > 0)
    });
    let names = [
        "data",
        "data/enterprise.db",
        "data/enterprise.db-wal",
        "data/enterprise.db-shm",
        "data/enterprise.db.lock",
        "logs",
        "logs/consumer.log",
        "logs/unidentified_messages.log",
    ];
    let found = names.map(|name| (name, mode(&fixture.installation.path().join(name)))).to_vec();
    TopicFixture::stop(&mut service);
    found
}

#[test]
fn new_files_are_for_their_owner_or_for_the_group_whatever_the_umask_is() {
    let check = |umask: &str, file_mode: Option<&str>, directory: u32, file: u32| {
        for (name, mode) in modes(umask, file_mode) {
            let expected = match name {
                "data" | "logs" => directory,
                "data/enterprise.db.lock" => 0o600,
                _ => file,
            };
            assert_eq!(mode, expected, "{name} under umask {umask}: {mode:o}");
        }
    };
    check("000", None, 0o700, 0o600);
    check("077", Some("0640"), 0o750, 0o640);
}

#[test]
fn check_warns_about_files_that_others_can_read() {
    let fixture = TopicFixture::new("open-files", 1);
    fixture.produce(0, 0..1);
    fixture.run_to_end();
    let warns = |file: &str| {
        let said = fixture.installation.ask(&["check"]);
        assert_eq!(said.code, Some(0), "{said:?}");
        said.stdout.lines().any(|line| line.contains("warn") && line.contains(file) && line.contains("chmod"))
    };
    let files = ["data/enterprise.db", "data/enterprise.db-wal", "data/enterprise.db.lock", "logs/consumer.log"];
    let set = |file: &str, mode| {
        fs::set_permissions(fixture.installation.path().join(file), fs::Permissions::from_mode(mode)).unwrap();
    };
    for file in files {
        for other in files {
            set(other, 0o600);
        }
        assert!(!warns(file), "{file}");
        set(file, 0o644);
        assert!(warns(file), "{file}");
    }
}

/// A group of the service and of an analyst.
const READERS: &str = "4242";

/// The output of `sqlite3` for a user in these groups only.
fn as_reader(group: &str, program: &[&str]) -> Output {
    let regid = format!("--regid={group}");
    Command::new("setpriv").args(["--reuid=65534", &regid, "--clear-groups"]).args(program).output().unwrap()
}

/// As documented: `FILE_MODE=0640`, a group, and `sqlite3 -readonly`. Only root can become another user; otherwise this test checks
/// only the modes.
#[test]
fn a_reader_of_the_group_reads_while_the_service_runs_and_after_it_and_nobody_else_does() {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !is_root {
        return;
    }
    let mut fixture = TopicFixture::new("readers", 1);
    fixture.installation.set("FILE_MODE", "0640");
    let group = format!("--regid={READERS}");
    fixture.installation.wrap(&["setpriv", &group, "--clear-groups"]);
    // Like /var/lib, which has the service's directory.
    fs::set_permissions(fixture.installation.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let database = fixture.installation.database_path().display().to_string();
    let count = |group: &str| {
        let query = "SELECT count(*) FROM opportunities";
        let output = as_reader(group, &["sqlite3", "-readonly", &database, query]);
        String::from_utf8_lossy(&output.stdout).trim().parse::<i64>().map_err(|_| output)
    };
    fixture.produce(0, 0..10);
    let mut service = fixture.installation.start(&["run"]);
    fixture.wait_committed(0, 10);
    assert_eq!(count(READERS).unwrap(), 10, "while it runs");
    count("65534").unwrap_err();
    let lock = format!("{database}.lock");
    let opened = as_reader(READERS, &["sh", "-c", "exec 3< \"$1\"", "sh", &lock]);
    assert!(!opened.status.success(), "a reader must not be able to hold the lock: {opened:?}");
    let written = as_reader(READERS, &["sqlite3", &database, "DELETE FROM opportunities"]);
    assert!(!written.status.success(), "{written:?}");
    TopicFixture::stop(&mut service);
    for suffix in ["-wal", "-shm"] {
        assert!(beside(Path::new(&database), suffix).exists(), "{suffix} stays for readers");
    }
    assert_eq!(count(READERS).unwrap(), 10, "after it");
    count("65534").unwrap_err();
    // Nor do its locks block the service: a read lock on the database file.
    fixture.produce(0, 10..20);
    let mut service = fixture.installation.start(&["run"]);
    fixture.wait_committed(0, 20);
    assert_eq!(count(READERS).unwrap(), 20, "while it runs again");
    service.kill();
    assert_eq!(count(READERS).unwrap(), 20, "after a crash");
}
