//! Compares the outputs that documents show with the program's: everything that does not change from run to run.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::Value;

use super::blocks::Block;
use super::stage::Stage;

/// Outputs that are not compared here: a part of them, why, and the file that covers them instead.
const NOT_COMPARED: [(&str, &str, &str); 5] = [
    ("[ERROR] data loss on", "needs a broker that has lost records", "tests/structure/troubleshooting.rs"),
    ("this database is new", "needs the offsets of another database", "tests/structure/troubleshooting.rs"),
    ("replaces an earlier event", "runs until it is stopped", "tests/service/unidentified.rs"),
    ("storing a batch failed", "needs a locked database", "tests/structure/troubleshooting.rs"),
    (
        "cannot resolve the broker's name",
        "needs a broker that advertises a wrong address",
        "tests/structure/troubleshooting.rs",
    ),
];

/// Compares the outputs that are shown. They are found by parts of them; each must be there, and no other output.
pub fn compare(stage: &Stage, blocks: &[Block]) {
    let compared = RefCell::new(BTreeSet::new());
    let find = |parts: &[&str]| {
        let is_it = |block: &&Block| block.is_output() && parts.iter().all(|part| block.text.contains(part));
        let found = blocks.iter().find(is_it).unwrap_or_else(|| panic!("no document shows an output with {parts:?}"));
        compared.borrow_mut().insert(found.place());
        found
    };
    compare_texts(stage, &find);
    compare_json(stage, &find);
    compare_messages(stage, &find);
    compare_groups(stage, &find);
    for block in blocks.iter().filter(|block| block.is_output() && !compared.borrow().contains(&block.place())) {
        let is_listed = NOT_COMPARED.iter().any(|(part, ..)| block.text.contains(part));
        assert!(
            is_listed,
            "nothing compares the output at {}: compare it in tests/documents/outputs.rs",
            block.place()
        );
    }
}

fn compare_texts<'a>(stage: &Stage, find: &impl Fn(&[&str]) -> &'a Block) {
    let shown = find(&["enterprise-consumer [--env-file PATH]"]);
    let help = stage.succeeds("enterprise-consumer --help", &[]);
    for word in
        shown.text.split(|char: char| char.is_whitespace() || "[]|".contains(char)).filter(|word| !word.is_empty())
    {
        assert!(help.contains(word) || word == "...", "{} has '{word}', which --help does not have", shown.place());
    }

    let shown = find(&["==> Its status"]);
    let (_, status) = shown.text.split_once("==> Its status\n").unwrap();
    // The quick start prints more after the status.
    let now = stage.succeeds("enterprise-consumer status", &[]);
    // A new broker may not have a group coordinator at first, which is a warning.
    let now = now.lines().filter(|line| !line.starts_with("last error"));
    let begin: Vec<&str> = now.take(status.lines().count()).collect();
    assert_same(shown, status, &begin.join("\n"));

    let shown = find(&["enterprise-consumer: BATCH_MAX_RECORDS"]);
    let output = stage.shell("enterprise-consumer check", &[("BATCH_MAX_RECORDS", "0")]);
    assert_same(shown, &shown.text, &String::from_utf8(output.stderr).unwrap());

    let shown = find(&["brokers ", "(localhost:1)"]);
    let output =
        stage.shell("mkdir empty; cd empty; enterprise-consumer check", &[("KAFKA_BOOTSTRAP_SERVERS", "localhost:1")]);
    assert_same(shown, &shown.text, &String::from_utf8(output.stdout).unwrap());

    let shown = find(&["settings ", "first_start"]);
    let checked = stage.succeeds("cd empty; enterprise-consumer check --verbose", &[("KAFKA_GROUP_ID", "nobody")]);
    assert_eq!(subjects(&shown.text), subjects(&checked), "{} shows other lines:\n{checked}", shown.place());

    // The lines of a database without violations; the violations are invented.
    let shown = find(&["integrity     ok"]);
    let verified = stage.succeeds("enterprise-consumer verify", &[]);
    for line in shown.text.lines().filter(|line| !line.contains("FAIL")) {
        assert!(verified.lines().any(|now| now == line), "{} shows '{line}'; now:\n{verified}", shown.place());
    }

    let shown = find(&["replayed  ", "stale  ", "unidentified  "]);
    let labels =
        |text: &str| text.lines().filter_map(|line| line.split("  ").next().map(str::to_owned)).collect::<Vec<_>>();
    let replayed = stage.succeeds("enterprise-consumer replay", &[]);
    assert_eq!(labels(&shown.text), labels(&replayed), "{} shows other lines", shown.place());

    let event = find(&["\"event_id\": \"opp_"]);
    let shown = find(&["event_id = opp_"]);
    assert_same(shown, &without_place(&shown.text), &without_place(&stage.row_of("opportunities", &event.text)));
    stage.row_of("projects", &find(&["\"event_id\": \"proj_"]).text);
}

fn compare_json<'a>(stage: &Stage, find: &impl Fn(&[&str]) -> &'a Block) {
    let log = std::fs::read_to_string(stage.path().join("logs/consumer.log")).unwrap();
    assert_same_keys(
        find(&["\"message\":\"progress\""]),
        log.lines().find(|line| line.contains("\"progress\"")).unwrap(),
    );
    let log = std::fs::read_to_string(stage.path().join("logs/unidentified_messages.log")).unwrap();
    assert_same_keys(
        find(&["\"reason\":\"unknown_type\""]),
        log.lines().find(|line| line.contains("unknown_type")).unwrap(),
    );
    let status: Value = serde_json::from_str(&stage.succeeds("enterprise-consumer status --json", &[])).unwrap();
    assert_same_keys(find(&["\"lag_records\""]), &status["partitions"][0].to_string());
}

fn compare_messages<'a>(stage: &Stage, find: &impl Fn(&[&str]) -> &'a Block) {
    let all = stage.succeeds("enterprise-consumer unidentified --limit 0", &[]);
    let shown = find(&["topic partition offset: error"]);
    assert_eq!(shown.text.lines().next(), all.lines().next(), "{} has other titles", shown.place());
    let error = |line: &'a str| line.split_once(": ").unwrap().1;
    for error in shown.text.lines().skip(1).map(error) {
        assert!(all.contains(&format!(": {error}\n")), "{} shows '{error}', which no message has", shown.place());
    }

    let shown = find(&["position   line"]);
    let line = all.lines().find(|line| line.ends_with(": probability is 140, not an integer from 0 to 100")).unwrap();
    let coordinates = line.split(": ").next().unwrap().split_whitespace().skip(3).collect::<Vec<_>>().join(" ");
    let now = stage.succeeds(&format!("enterprise-consumer unidentified show {coordinates}"), &[]);
    let differs = ["topic id", "partition", "offset", "timestamp", "received", "key"];
    let same = |text: &str| -> Vec<String> {
        let is_same = |line: &&str| !differs.iter().any(|label| line.starts_with(label));
        text.lines().filter(is_same).map(str::to_owned).collect()
    };
    assert_eq!(same(&shown.text), same(&now), "{} shows another message", shown.place());

    let shown = find(&["nothing was deleted"]);
    let now = stage.succeeds("enterprise-consumer prune --reason not_json --dry-run", &[]);
    let kinds = |text: &str| -> Vec<String> {
        let without_numbers = |line: &str| line.chars().filter(|char| !char.is_ascii_digit()).collect();
        let mut kinds: Vec<String> = text.lines().map(without_numbers).collect();
        kinds.dedup();
        kinds
    };
    assert_eq!(kinds(&shown.text), kinds(&now), "{} shows other lines", shown.place());

    let shown = find(&["\"verdict\":\"event\""]);
    let script = r#"printf '%s\n' '{"event_id":"opp_1","name":"Renewal","stage":"won","amout":5}' \
        '{"event_id":"opp_2","name":"Renewal","stage":"won","probability":140}' > messages.jsonl
        enterprise-consumer decode messages.jsonl || true"#;
    assert_same(shown, &shown.text, &stage.succeeds(script, &[]));
}

fn compare_groups<'a>(stage: &Stage, find: &impl Fn(&[&str]) -> &'a Block) {
    let shown = find(&["CURRENT-OFFSET"]);
    let described = stage.cluster.consumer_groups(&["--describe", "--group", "enterprise-consumer-group"]).unwrap();
    let titles = |text: &str| -> Vec<String> {
        let title = text.lines().find(|line| line.contains("CURRENT-OFFSET")).unwrap();
        title.split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(titles(&shown.text), titles(&described), "{} shows other columns", shown.place());

    // Last, since the next start reads the topic again.
    let shown = find(&["the next start reads from there"]);
    assert_same(shown, &shown.text, &stage.succeeds("enterprise-consumer reset --to-earliest", &[]));
}

fn assert_same(shown: &Block, text: &str, now: &str) {
    let (shown_lines, now_lines): (Vec<_>, Vec<_>) =
        (text.lines().map(same_ids).collect(), now.lines().map(same_ids).collect());
    assert_eq!(shown_lines, now_lines, "{} (left) differs from the program (right)", shown.place());
}

/// The subjects of the lines of `check`, each once.
fn subjects(text: &str) -> Vec<&str> {
    let mut subjects: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    subjects.dedup();
    subjects
}

/// Replaces random ids and times.
fn same_ids(line: &str) -> String {
    let is_time = |word: &str| word.len() == 24 && word.ends_with('Z') && word.get(10..11) == Some("T");
    let words: Vec<&str> = line.split(' ').map(|word| if is_time(word) { "TIME" } else { word }).collect();
    let line = words.join(" ");
    let is_id = |word: &&str| word.len() == 32 && word.chars().all(|char| char.is_ascii_hexdigit());
    let ids: Vec<&str> = line.split(|char: char| !char.is_ascii_alphanumeric()).filter(is_id).collect();
    ids.iter().fold(line.trim_end().to_owned(), |line, id| line.replace(id, "ID"))
}

/// Without the columns for place and time of the record.
fn without_place(row: &str) -> String {
    let changes = ["kafka_", "created_at", "updated_at"];
    let lines = row.lines().map(str::trim).filter(|line| !changes.iter().any(|column| line.starts_with(column)));
    lines.collect::<Vec<_>>().join("\n")
}

fn assert_same_keys(shown: &Block, now: &str) {
    let keys = |text: &str| {
        let object: Value = serde_json::from_str(text).unwrap();
        object.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(keys(&shown.text), keys(now), "{} shows other fields", shown.place());
}
