//! What `status` and `check` tell an operator, and how they end: beside a running service, after it, without a broker, a database,
//! a topic, or a permission. Neither changes anything.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use testkit::{Codec, ProduceOptions, Record};

use crate::support::child::{Answer, Place};
use crate::support::scene;
use crate::support::scene::Scene;

fn status(place: &Place) -> Value {
    status_with(place, &[], 0)
}

fn status_with(place: &Place, options: &[&str], code: i32) -> Value {
    let answer = place.ask(&[&["status", "--json"], options].concat());
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(code), ""), "{answer:?}");
    serde_json::from_str(&answer.stdout).unwrap()
}

/// The lines of `check` about one thing, each as its mark and text.
fn lines<'a>(answer: &'a Answer, what: &str) -> Vec<(&'a str, &'a str)> {
    let of_thing = |line: &'a str| {
        let (thing, rest) = line.split_once(' ')?;
        let (mark, text) = rest.trim_start().split_once(' ')?;
        (thing == what).then_some((mark, text.trim_start()))
    };
    answer.stdout.lines().filter_map(of_thing).collect()
}

/// `check` must fail because of one thing only, and say all of this about it.
fn finds(place: &Place, what: &str, parts: &[&str]) {
    let answer = place.ask(&["check"]);
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(1), ""), "{answer:?}");
    let failures: Vec<&str> = answer.stdout.lines().filter(|line| line.contains(" FAIL ")).collect();
    assert_eq!(failures.len(), 1, "{answer:?}");
    let found = lines(&answer, what);
    assert_eq!(found[0].0, "FAIL", "{answer:?}");
    for part in parts {
        assert!(found[0].1.contains(part), "'{part}' is not in '{}'", found[0].1);
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

/// A port where nobody answers: nobody listens there any more.
fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// The lag in seconds must be the age of a record: at least when it was looked at, and at most as long as the look took.
fn assert_age(place: &Place, partition: usize, record_ms: i64) {
    let before = now_ms();
    let seconds = status(place)["partitions"][partition]["lag_seconds"].as_f64().unwrap();
    let (least, most) = (before - record_ms, now_ms() - record_ms);
    let found = (seconds * 1000.0).round();
    #[allow(clippy::cast_precision_loss)] // Some hours in milliseconds.
    let fits = (least as f64..=most as f64).contains(&found);
    assert!(fits, "{found} ms is not between {least} and {most}");
}

#[test]
fn status_tells_what_is_stored_and_how_far_behind_that_is() {
    for version in testkit::VERSIONS {
        let scene = Scene::on(version, "status", 2);
        scene.produce(0, 0..10);
        let broken = ["", "{", "{", "[]"].map(|value| Record::value(value).partition(1));
        scene.kafka.produce(&scene.topic, &ProduceOptions::default(), broken).unwrap();
        let project = Record::value(r#"{"event_id":"proj_1","name":"p","status":"open"}"#).partition(1);
        scene.kafka.produce(&scene.topic, &ProduceOptions::default(), [project.clone(), project]).unwrap();
        scene.run_to_end();
        // An hour ago and later, and not read.
        let times: Vec<i64> = (0..5).map(|number| now_ms() - 3_600_000 + number * 60_000).collect();
        let late = times.iter().map(|time| Record::value("late").partition(0).timestamp_ms(*time));
        scene.kafka.produce(&scene.topic, &ProduceOptions::default(), late).unwrap();

        let report = status(&scene.place);
        assert_eq!(report["database"]["id"], scene.database_id());
        assert_eq!(report["kafka"], json!({ "group": scene.group(), "state": "Empty", "members": 0 }));
        assert_eq!(report["rows"], json!({ "opportunities": 10, "projects": 1 }));
        assert_eq!(report["unidentified"], json!({ "empty": 1, "not_json": 2, "unknown_type": 1 }));
        let numbers = ["partition", "next_offset", "end_offset", "lag_records", "applied", "unidentified", "absent"];
        let shown = |at: usize| numbers.map(|name| report["partitions"][at][name].as_i64().unwrap());
        assert_eq!([shown(0), shown(1)], [[0, 10, 15, 5, 10, 0, 0], [1, 6, 6, 0, 2, 4, 0]]);
        assert_eq!(report["partitions"][1]["lag_seconds"], 0.0);
        assert_age(&scene.place, 0, times[0]);
        let changes = report["position_changes"].as_array().unwrap();
        let jumps: Vec<_> = changes.iter().map(|change| (&change["to_offset"], &change["reason"])).collect();
        assert_eq!(jumps, [(&json!(0), &json!("first_start")), (&json!(0), &json!("first_start"))]);
        assert_eq!(scene.next_offsets(), [10, 6], "status reads nothing");
    }
}

#[test]
fn status_tells_the_age_of_the_record_that_is_next_within_a_batch() {
    let mut scene = Scene::new("status-batch", 1);
    scene.place.set("BATCH_MAX_RECORDS", "1");
    let time = |number: i64| 1_600_000_000_000 + number * 1_000_000;
    let record = |number| Record::value(format!("number {number}")).timestamp_ms(time(number));
    let one_batch = ProduceOptions::default().codec(Codec::Zstd).batch_bytes(1 << 20).linger_ms(10_000);
    scene.kafka.produce(&scene.topic, &one_batch, (0..3000).map(record)).unwrap();
    let mut service = scene.place.start(&["run"]);
    scene.place.wait_for("some records", |place| place.stored() >= 5);
    service.kill();
    drop(service);
    let next = scene.next_offsets()[0];
    assert!((5..3000).contains(&next), "killed too late");
    let report = status(&scene.place);
    assert_eq!(report["partitions"][0]["lag_records"], 3000 - next);
    assert_age(&scene.place, 0, time(next));
}

#[test]
fn status_in_words_says_the_same() {
    let scene = Scene::new("status-words", 1);
    scene.produce(0, 0..10);
    scene.run_to_end();
    scene.reset("", &["--to-offset", "7"]);
    scene.run_to_end();
    scene.produce(0, 10..13);
    let answer = scene.place.ask(&["status"]);
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""), "{answer:?}");
    let id = scene.database_id();
    for part in [&*id, &scene.group(), "10 opportunities, 0 projects", "unidentified  none", "group_reset", "10 -> 7"] {
        assert!(answer.stdout.contains(part), "'{part}' is not in:\n{}", answer.stdout);
    }
    let row = answer.stdout.lines().find(|line| line.starts_with(&scene.topic)).unwrap();
    let words: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(words[..5], [&*scene.topic, "0", "10", "13", "3"], "{row}");
}

#[test]
fn status_and_check_work_beside_a_running_service() {
    let scene = Scene::new("beside", 1);
    let mut service = scene.place.start(&["run"]);
    scene.produce(0, 0..10);
    scene.place.wait_for("the events", |place| place.stored() == 10);
    scene.wait_committed(0, 10);
    assert_eq!(status(&scene.place)["rows"]["opportunities"], 10);
    let silent = scene.place.ask(&["check"]);
    assert_eq!((silent.code, silent.stdout.as_str(), silent.stderr.as_str()), (Some(0), "", ""), "{silent:?}");
    let check = scene.place.ask(&["check", "--verbose"]);
    assert_eq!((check.code, check.stderr.as_str()), (Some(0), ""), "{check:?}");
    let expected = [
        ("settings", scene.topic.as_str()),
        ("database", &scene.database_id()),
        ("security", "PLAINTEXT"),
        ("brokers", "1 broker of cluster"),
        ("topic", "1 partition"),
        ("group", "offsets of 1 partition"),
        ("start", "resumes at offset 10"),
        ("logs", "consumer.log"),
    ];
    for (what, part) in expected {
        let found = lines(&check, what);
        assert!(found[0].0 == "ok" && found[0].1.contains(part), "{what} {part}: {check:?}");
    }
    scene.produce(0, 10..20);
    scene.place.wait_for("more events", |place| place.stored() == 20);
    Scene::stop(&mut service);
    assert_eq!(status(&scene.place)["partitions"][0]["next_offset"], 20);
}

#[test]
fn without_a_broker_status_says_what_is_missing() {
    let mut scene = Scene::new("broker-away", 1);
    scene.produce(0, 0..10);
    scene.run_to_end();
    let away = nobody();
    scene.place.set("KAFKA_BOOTSTRAP_SERVERS", &away);
    let report = status_with(&scene.place, &[], 1);
    assert!(report["kafka"]["error"].as_str().unwrap().contains(&away), "{report}");
    assert_eq!(report["rows"]["opportunities"], 10);
    let row = &report["partitions"][0];
    assert_eq!(row["next_offset"], 10);
    assert_eq!(
        (&row["end_offset"], &row["lag_records"], &row["lag_seconds"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    let words = scene.place.ask(&["status"]);
    assert_eq!(words.code, Some(1));
    assert!(words.stdout.contains("end offsets are missing") && words.stdout.contains(&away), "{words:?}");
    finds(&scene.place, "brokers", &["KAFKA_BOOTSTRAP_SERVERS", &away]);
}

#[test]
fn without_a_database_status_fails_and_check_does_not() {
    let scene = Scene::new("no-database", 1);
    for arguments in [&["status"][..], &["status", "--json"]] {
        let answer = scene.place.ask(arguments);
        assert_eq!((answer.code, answer.stdout.as_str()), (Some(1), ""), "{answer:?}");
        scene::assert_last_line_has(&answer.stderr, &["no database", "data/enterprise.db"]);
    }
    let check = scene.place.ask(&["check", "--verbose"]);
    assert_eq!(check.code, Some(0), "{check:?}");
    let found = lines(&check, "database");
    assert!(found[0].0 == "ok" && found[0].1.contains("does not exist yet"), "{check:?}");
    assert_eq!(lines(&check, "group"), [("ok", &*format!("'{}' has committed nothing yet", scene.group()))]);
    assert!(!scene.place.path().join("data").exists(), "looking makes nothing");
    assert!(!scene.place.path().join("logs").exists(), "looking makes nothing");
}

#[test]
fn a_missing_topic_is_named_and_not_created() {
    let mut scene = Scene::new("topic-missing", 1);
    scene.produce(0, 0..10);
    scene.run_to_end();
    let missing = testkit::unique("missing");
    scene.place.set("KAFKA_TOPIC", &format!("{},{missing}", scene.topic));
    let report = status_with(&scene.place, &[], 1);
    assert!(report["kafka"]["error"].as_str().unwrap().contains(&missing), "{report}");
    assert_eq!(report["partitions"][0]["end_offset"], 10, "the other topic's are known: {report}");
    let answer = scene.place.ask(&["check", "--verbose"]);
    let mut topics = lines(&answer, "topic");
    topics.sort_unstable();
    assert_eq!(topics.iter().map(|(mark, _)| *mark).collect::<Vec<_>>(), ["FAIL", "ok"], "{answer:?}");
    assert!(topics[0].1.contains(&missing) && topics[0].1.contains("create it"), "{answer:?}");
    assert_eq!(answer.code, Some(1));
    assert!(!scene.kafka.topic_exists(&missing).unwrap());
}

#[test]
fn check_finds_a_group_of_another_database() {
    let scene = Scene::without_members("group-taken", 1);
    scene.produce(0, 0..10);
    scene.run_to_end();
    let mut other = scene.beside();
    finds(&other.place, "start", &[&scene.topic, &scene.database_id(), "KAFKA_GROUP_ID", "--reset-offsets"]);
    other.reset("", &["--to-earliest"]); // One of the ways that it names.
    assert_eq!(other.place.ask(&["check"]).code, Some(0));
    // Members of a group have a database each.
    scene.run_to_end();
    let answer = other.place.set("KAFKA_GROUP_PROTOCOL", "classic").ask(&["check", "--verbose"]);
    assert_eq!(answer.code, Some(0));
    assert!(answer.stdout.contains(&format!("of other databases (id {})", scene.database_id())), "{}", answer.stdout);
}

#[test]
fn check_and_status_refuse_a_file_that_is_not_ours() {
    let scene = Scene::new("foreign-file", 1);
    let path = scene.place.database_path();
    fs::create_dir(path.parent().unwrap()).unwrap();
    let database = rusqlite::Connection::open(&path).unwrap();
    database.execute_batch("CREATE TABLE somebody (else_s)").unwrap();
    drop(database);
    for content in [fs::read(&path).unwrap(), b"no database at all, but a text of some length".repeat(100)] {
        fs::write(&path, &content).unwrap();
        finds(&scene.place, "database", &["enterprise.db"]);
        let answer = scene.place.ask(&["status"]);
        assert_eq!((answer.code, answer.stdout.as_str()), (Some(1), ""), "{answer:?}");
        scene::assert_last_line_has(&answer.stderr, &["enterprise.db"]);
        assert_eq!(fs::read(&path).unwrap(), content, "looking changes nothing");
    }
}

#[test]
fn status_needs_no_permission_to_write() {
    let mut scene = Scene::new("read-only", 1);
    scene.produce(0, 0..10);
    let set = |scene: &Scene, directory: u32, file: u32| {
        let data = scene.place.path().join("data");
        for found in fs::read_dir(&data).unwrap() {
            fs::set_permissions(found.unwrap().path(), fs::Permissions::from_mode(file)).unwrap();
        }
        fs::set_permissions(data, fs::Permissions::from_mode(directory)).unwrap();
    };
    // Modes do not bind root, unless it gives up that privilege.
    let modest = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"];
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let wrapper: &[&str] = if is_root { &modest } else { &[] };

    scene.run_to_end();
    set(&scene, 0o555, 0o444);
    scene.place.wrap(wrapper);
    assert_eq!(status(&scene.place)["partitions"][0]["next_offset"], 10);
    finds(&scene.place, "database", &["cannot be written to", "Permission denied"]);
    set(&scene, 0o555, 0o644);
    finds(&scene.place, "database", &["data' is not a directory that can be written to"]);

    // Beside a running service the shared memory is there to be read.
    set(&scene, 0o755, 0o644);
    scene.place.wrap(&[]);
    let mut service = scene.place.start(&["run"]);
    scene.produce(0, 10..20);
    scene.place.wait_for("more events", |place| place.stored() == 20);
    let beside = scene.beside_database(wrapper);
    set(&scene, 0o555, 0o444);
    assert_eq!(status(&beside)["partitions"][0]["next_offset"], 20);
    // After a crash, nothing old may be shown for new: either it is read, or it is said that it cannot be.
    service.kill();
    let answer = beside.ask(&["status", "--json"]);
    match answer.code {
        Some(0) => assert_eq!(status(&beside)["partitions"][0]["next_offset"], 20),
        _ => scene::assert_last_line_has(&answer.stderr, &["enterprise.db-wal", "permission to write"]),
    }
    set(&scene, 0o755, 0o644);
}

#[test]
fn help_and_version_need_nothing() {
    let mut place = Place::new("no broker:at all", "");
    place.set("RETRY_MAX_MS", "wrong");
    for option in ["--help", "-h"] {
        let answer = place.ask(&[option]);
        assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""), "{answer:?}");
        for part in [
            "run",
            "--exit-at-end",
            "check",
            "status",
            "--json",
            "replay",
            "--dry-run",
            "reset",
            "--to-earliest",
            "--to-datetime",
            "--topic",
            "verify",
            "--env-file",
            "--version",
            "Exit codes",
        ] {
            assert!(answer.stdout.contains(part), "'{part}' is not in:\n{}", answer.stdout);
        }
        assert!(answer.stdout.lines().all(|line| line.len() <= 100), "too wide for a terminal");
    }
    for option in ["--version", "-V"] {
        let answer = place.ask(&[option]);
        let expected = format!("enterprise-consumer {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!((answer.code, answer.stdout), (Some(0), expected));
    }
    assert_eq!(place.ask(&["status"]).code, Some(2));
    assert_eq!(place.ask(&["check"]).code, Some(2));
    let answer = place.ask(&["statistics"]);
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(2), ""), "{answer:?}");
    scene::assert_last_line_has(&answer.stderr, &["statistics", "--help"]);
}
