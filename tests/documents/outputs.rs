//! Outputs that documents show, compared with what the program gives now: all that does not change from run to run.

use serde_json::Value;

use super::blocks::Block;
use super::stage::Stage;

/// Compares the outputs that are shown. They are found by how they begin, and each must be there.
pub fn compare(stage: &Stage, blocks: &[Block]) {
    let find = |parts: &[&str]| {
        let is_it = |block: &&Block| {
            let is_output = ["text", "json"].contains(&block.language.as_str());
            is_output && parts.iter().all(|part| block.text.contains(part))
        };
        blocks.iter().find(is_it).unwrap_or_else(|| panic!("no document shows an output with {parts:?}"))
    };

    let shown = find(&["==> Its status"]);
    let (_, status) = shown.text.split_once("==> Its status\n").unwrap();
    // What is shown is shortened at the end.
    let now = stage.succeeds("enterprise-consumer status", &[]);
    // A new broker may not be ready for groups at first, which is a warning.
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

    // The lines of a sound database; what is wrong with others is made up.
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

fn assert_same(shown: &Block, text: &str, now: &str) {
    let (shown_lines, now_lines): (Vec<_>, Vec<_>) =
        (text.lines().map(same_ids).collect(), now.lines().map(same_ids).collect());
    assert_eq!(shown_lines, now_lines, "{} shows what the program no longer gives", shown.place());
}

/// What the lines of `check` are about, each once.
fn subjects(text: &str) -> Vec<&str> {
    let mut subjects: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    subjects.dedup();
    subjects
}

/// Random ids and times are made the same.
fn same_ids(line: &str) -> String {
    let is_time = |word: &str| word.len() == 24 && word.ends_with('Z') && word.get(10..11) == Some("T");
    let words: Vec<&str> = line.split(' ').map(|word| if is_time(word) { "TIME" } else { word }).collect();
    let line = words.join(" ");
    let is_id = |word: &&str| word.len() == 32 && word.chars().all(|char| char.is_ascii_hexdigit());
    let ids: Vec<&str> = line.split(|char: char| !char.is_ascii_alphanumeric()).filter(is_id).collect();
    ids.iter().fold(line.trim_end().to_owned(), |line, id| line.replace(id, "ID"))
}

/// Without the columns that say where and when a record came.
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
