//! `unidentified` and `prune`: what an operator sees of messages that are not events, how they are produced again, and how they are
//! deleted while the service runs; `tail`.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};
use testkit::{ProduceOptions, Record, unique};

use crate::output::installation_with_database;
use crate::replay;
use crate::support::process::{Answer, Installation, WAIT_MAX, signal, wait_until};
use crate::support::topic_fixture::TopicFixture;

/// The messages of [`replay::keep_many`] that are kept.
pub const KEPT: &str = "SELECT count(*) FROM unidentified_messages WHERE kafka_topic = 'earlier'";

/// Messages for a prune of many transactions.
const MANY: i64 = 20_000;

fn succeeds(installation: &Installation, arguments: &[&str]) -> Answer {
    let answer = installation.ask(arguments);
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""), "{answer:?}");
    answer
}

fn lines(answer: &Answer) -> Vec<Value> {
    answer.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Keys and payloads of the messages of a topic, as `export` has them.
fn exported(installation: &Installation, topic: &str) -> BTreeSet<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let answer = succeeds(installation, &["unidentified", "export", "--topic", topic]);
    lines(&answer).iter().map(|line| (text(&line["key"]), text(&line["payload"]))).collect()
}

#[test]
fn a_message_is_listed_shown_and_produced_again() {
    let fixture = TopicFixture::new("unidentified", 1);
    let installation = &fixture.installation;
    let bad = r#"{"event_id":"opp_1","name":"n","stage":"s","probability":140}"#;
    let record = |key: &str, value: &[u8]| Record::value(value).key(key).partition(0);
    let records = [
        record("k1", bad.as_bytes()),
        record("k2", b"{\"a\":\t1}\t"),
        record("k3", b"\x1b[2J\xff"),
        record("k4", b"a\nb"),
        Record::tombstone().partition(0),
    ];
    fixture.kafka.produce(&fixture.topic, &ProduceOptions::default(), records).unwrap();
    fixture.run_to_end();

    let topic = fixture.topic.as_str();
    let answer = succeeds(installation, &["unidentified"]);
    let listed: Vec<&str> = answer.stdout.lines().skip(1).collect();
    assert_eq!(listed.len(), 5, "{answer:?}");
    assert!(
        listed[0].ends_with(&format!("no        empty          {topic} 0 4: no value (a tombstone)")),
        "{answer:?}"
    );
    let answer = succeeds(installation, &["unidentified", "list", "--reason", "invalid_field", "--json"]);
    let [line] = &lines(&answer)[..] else { panic!("{answer:?}") };
    assert_eq!((&line["offset"], &line["payload_bytes"], line.get("payload")), (&json!(0), &json!(61), None));

    let shown = succeeds(installation, &["unidentified", "show", topic, "0", "0"]).stdout;
    let expected = [
        "error      probability is 140, not an integer from 0 to 100\n",
        "field      probability\nposition   line 1, column 58 (byte 57)\n",
        "key        k1 (2 bytes)\nheaders    []\n",
    ];
    assert!(expected.iter().all(|part| shown.contains(part)), "{shown}");
    let [.., above, marker, _, _, _, _] = shown.lines().collect::<Vec<_>>()[..] else { panic!("{shown}") };
    let before = |line: &str, at: &str| line.split_once(at).map(|(before, _)| before.chars().count());
    assert_eq!(before(above, "140}"), before(marker, "^"), "{shown}");
    let shown = succeeds(installation, &["unidentified", "show", topic, "0", "2"]).stdout;
    assert!(shown.ends_with("payload    5 bytes:\n\\u{1b}[2J\\xff\n"), "{shown}");
    let raw = Command::new(env!("CARGO_BIN_EXE_enterprise-consumer"))
        .args(["unidentified", "show", topic, "0", "2", "--raw"])
        .current_dir(installation.path())
        .envs(installation.variables())
        .output()
        .unwrap();
    assert_eq!((raw.status.code(), raw.stdout.as_slice()), (Some(0), &b"\x1b[2J\xff"[..]));
    let answer = installation.ask(&["unidentified", "show", topic, "0", "9"]);
    let said = format!("no unidentified message is kept of '{topic}', partition 0, offset 9");
    assert_eq!((answer.code, answer.stderr), (Some(1), format!("enterprise-consumer: {said}\n")));

    let all = lines(&succeeds(installation, &["unidentified", "export"]));
    let payloads: Vec<_> = all.iter().map(|line| (&line["key"], &line["payload"], &line["payload_base64"])).collect();
    assert_eq!(payloads[0], (&json!("k1"), &json!(bad), &Value::Null));
    assert_eq!(payloads[2], (&json!("k3"), &Value::Null, &json!("G1sySv8=")));
    assert_eq!(payloads[4], (&Value::Null, &Value::Null, &Value::Null));

    let answer = installation.ask(&["unidentified", "export", "--produce"]);
    assert_eq!(answer.code, Some(1), "{answer:?}");
    let refused: Vec<&str> = answer.stderr.lines().filter(|line| line.contains("is left out")).collect();
    assert_eq!(refused.len(), 3, "{answer:?}");
    let file = installation.path().join("messages.tsv");
    fs::write(&file, &answer.stdout).unwrap();
    let expected: BTreeSet<_> =
        [("k1", bad), ("k2", "{\"a\":\t1}\t")].map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let (by_tool, by_kcat) = (unique("again-tool"), unique("again-kcat"));
    for topic in [&by_tool, &by_kcat] {
        fixture.kafka.create_topic(topic, 1, &[]).unwrap();
    }
    let options = ["--reader-property", "parse.key=true"];
    fixture.cluster.console_produce(&by_tool, &options, answer.stdout.as_bytes()).unwrap();
    let kcat = Command::new("kcat")
        .args(["-P", "-b", &fixture.cluster.bootstrap_servers(), "-t", &by_kcat, "-K", "\\t"])
        .stdin(Stdio::from(fs::File::open(&file).unwrap()))
        .status()
        .unwrap();
    assert!(kcat.success());
    // The same bytes arrive, so they are not events again either.
    let again = Installation::new(&fixture.cluster.bootstrap_servers(), &format!("{by_tool},{by_kcat}"));
    again.run_to_end();
    for topic in [&by_tool, &by_kcat] {
        assert_eq!(exported(&again, topic), expected, "{topic}");
    }
}

#[test]
fn messages_are_pruned_while_the_service_runs_and_after_a_kill() {
    let mut installation = installation_with_database();
    // No service has written these messages to a log file.
    replay::keep_many(&installation, MANY);
    let answer = succeeds(&installation, &["prune", "--all"]);
    assert_eq!(answer.stdout, "pruned   0 messages, 0 bytes\n");
    installation.set("UNIDENTIFIED_LOG_FILE", "");
    let mut service = installation.start(&["run"]);
    let dry_run = succeeds(&installation, &["prune", "--before", "0s", "--dry-run"]).stdout;
    let before = installation.number(KEPT).unwrap();
    let mut kept = before;
    while kept > MANY / 2 {
        let mut prune = installation.start(&["prune", "--before", "0s"]);
        installation.wait_for("some of it", |installation| installation.number(KEPT).is_some_and(|now| now < kept));
        prune.kill();
        kept = installation.number(KEPT).unwrap();
        succeeds(&installation, &["verify"]);
    }
    assert_eq!((before, kept % 1000), (MANY, 0), "a transaction has 1,000 messages");
    assert!(kept > 0, "killed too late");
    let answer = succeeds(&installation, &["prune", "--before", "0s"]);
    assert!(answer.stdout.contains(&format!("pruned   {kept} messages, ")), "{answer:?}");
    assert!(
        dry_run.contains(&format!("pruned   {MANY} messages, ")) && dry_run.ends_with("nothing was deleted\n"),
        "{dry_run}"
    );
    assert_eq!(installation.number("SELECT pruned FROM consumer_offsets WHERE topic = 'earlier'"), Some(MANY));
    succeeds(&installation, &["verify"]);
    TopicFixture::stop(&mut service);
    drop(service);

    // A running service does the same by age.
    keep_ten(&installation);
    installation.set("UNIDENTIFIED_KEEP_DAYS", "30");
    let mut service = installation.start(&["run"]);
    installation.wait_for("the retention", |installation| installation.number(KEPT) == Some(0));
    TopicFixture::stop(&mut service);
    succeeds(&installation, &["verify"]);
}

fn tail(installation: &Installation) -> Child {
    Command::new(env!("CARGO_BIN_EXE_enterprise-consumer"))
        .args(["tail", "--json"])
        .current_dir(installation.path())
        .env_clear()
        .envs(installation.variables())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn ends_well(child: &mut Child) {
    wait_until("the end of the tail", WAIT_MAX, || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_tail_prints_what_is_stored_until_it_is_stopped_or_nobody_reads_it() {
    let installation = installation_with_database();
    let now = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";
    let execute = |sql: &str| {
        Connection::open(installation.database_path()).unwrap().execute_batch(sql).unwrap();
    };
    let mut child = tail(&installation);
    let (lines_to, lines) = channel();
    let stdout = child.stdout.take().unwrap();
    let reader = thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            lines_to.send(serde_json::from_str::<Value>(&line.unwrap()).unwrap()).unwrap();
        }
    });
    // It prints what is stored after it has begun.
    let first = (0..300).find_map(|offset| {
        execute(&format!(
            "INSERT INTO unidentified_messages
                 (kafka_topic, topic_id, kafka_partition, kafka_offset, headers, reason, error, received_at)
             VALUES ('t', '', 3, {offset}, '[]', 'empty', 'of a test', {now})"
        ));
        lines.recv_timeout(Duration::from_millis(200)).ok()
    });
    let first = first.unwrap();
    assert_eq!(
        (&first["verdict"], &first["partition"], &first["reason"]),
        (&json!("unidentified"), &json!(3), &json!("empty"))
    );
    execute(&format!(
        "INSERT INTO opportunities (event_id, name, stage, kafka_topic, kafka_partition, kafka_offset, created_at, updated_at)
         VALUES ('opp_1', 'n', 's', 't', 0, 7, {now}, {now})"
    ));
    let event = lines.iter().find(|line| line["verdict"] == "event").unwrap();
    assert_eq!((&event["event_id"], &event["offset"], &event["is_first"]), (&json!("opp_1"), &json!(7), &json!(true)));
    // SIGINT may be ignored here, as in what a shell runs in the background.
    signal(child.id(), "TERM");
    ends_well(&mut child);
    reader.join().unwrap();

    let mut child = tail(&installation);
    drop(child.stdout.take());
    ends_well(&mut child);
}

/// Keeps some old messages, after all were pruned.
fn keep_ten(installation: &Installation) {
    Connection::open(installation.database_path())
        .unwrap()
        .execute_batch("DELETE FROM consumer_offsets WHERE topic = 'earlier'")
        .unwrap();
    replay::keep_many(installation, 10);
}
