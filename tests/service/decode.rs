//! `decode` as producers use it in their own tests: files and pipes, without a broker and a database.

use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::process::{Answer, Installation};

const EVENT: &str = r#"{"event_id":"opp_1","name":"n","stage":"s","amout":5}"#;

fn decode(arguments: &[&str], files: &[(&str, &[u8])]) -> Answer {
    let installation = Installation::new("localhost:1", "nowhere");
    for (name, content) in files {
        fs::write(installation.path().join(name), content).unwrap();
    }
    let answer = installation.ask(&[&["decode"], arguments].concat());
    let made: Vec<_> = fs::read_dir(installation.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(made.len(), files.len() + 2, "nothing but the two outputs is made: {made:?}");
    answer
}

fn lines(answer: &Answer) -> Vec<Value> {
    answer.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn each_line_has_a_verdict_and_the_exit_code_says_whether_all_are_events() {
    let project =
        r#"{"event_id":"proj_1","name":"n","status":"s","meta_data":{"last_modified":"2026-01-15T09:30:00+01:00"}}"#;
    let all = format!("{EVENT}\n{project}");
    let answer = decode(&["all"], &[("all", all.as_bytes())]);
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""), "{answer:?}");
    let expected = [
        json!({"file": "all", "line": 1, "verdict": "event", "table": "opportunities", "event_id": "opp_1", "extra": ["amout"]}),
        json!({"file": "all", "line": 2, "verdict": "event", "table": "projects", "event_id": "proj_1",
               "last_modified": "2026-01-15T08:30:00.000000000Z"}),
    ];
    assert_eq!(lines(&answer), expected);

    let some = b"{\"event_id\":\"opp_1\",\"name\":\"n\",\"stage\":\"s\",\"probability\":140}\r\n\n\xff\n\x1b[2J\n";
    let answer = decode(&["some"], &[("some", some)]);
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(1), ""), "{answer:?}");
    assert!(!answer.stdout.contains('\u{1b}'), "{answer:?}");
    let found = lines(&answer);
    assert_eq!(
        found[0],
        json!({"file": "some", "line": 1, "verdict": "unidentified", "reason": "invalid_field",
               "error": "probability is 140, not an integer from 0 to 100", "field": "probability",
               "position": {"byte": 57, "line": 1, "column": 58}})
    );
    assert_eq!((&found[1]["reason"], &found[1]["error"]), (&json!("empty"), &json!("a value of zero bytes")));
    assert_eq!((&found[2]["reason"], &found[2]["position"]["byte"]), (&json!("not_json"), &json!(0)));
    assert_eq!((&found[3]["reason"], found.len()), (&json!("not_json"), 4));
}

#[test]
fn a_file_may_be_one_message_and_several_files_may_be_read() {
    let pretty = EVENT.replace(',', ",\n");
    let files: [(&str, &[u8]); 3] = [("a", pretty.as_bytes()), ("b", b""), ("c", EVENT.as_bytes())];
    let answer = decode(&["--whole", "a", "c"], &files);
    assert_eq!((answer.code, lines(&answer)[0]["file"].as_str(), lines(&answer).len()), (Some(0), Some("a"), 2));
    let answer = decode(&["--whole", "a", "b"], &files);
    assert_eq!((answer.code, &lines(&answer)[1]["reason"]), (Some(1), &json!("empty")), "{answer:?}");
    let answer = decode(&["c", "c"], &files);
    assert_eq!((answer.code, lines(&answer).len()), (Some(0), 2));
}

#[test]
fn input_that_cannot_be_read_is_wrong_usage() {
    for (arguments, said) in [
        (&["missing"][..], "cannot read 'missing': No such file or directory (os error 2)"),
        (&["empty"], "there is no message in the input"),
        (&[], "there is no message in the input"),
        (&["--fast"], "invalid option '--fast'; see --help"),
    ] {
        let answer = decode(arguments, &[("empty", b"")]);
        assert_eq!((answer.code, answer.stdout.as_str()), (Some(2), ""), "{answer:?}");
        assert_eq!(answer.stderr, format!("enterprise-consumer: {said}\n"));
    }
    let answer = decode(&["event", "missing"], &[("event", EVENT.as_bytes())]);
    assert_eq!((answer.code, lines(&answer).len()), (Some(2), 1), "what was read before is printed: {answer:?}");
}

/// A pipe that stays open: the verdict comes before the next line.
#[test]
fn a_line_from_a_pipe_is_answered_at_once() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_enterprise-consumer"))
        .args(["decode", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    for number in 1..3 {
        stdin.write_all(format!("{EVENT}\n").as_bytes()).unwrap();
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let mut byte = [0];
            stdout.read_exact(&mut byte).unwrap();
            line.extend(byte);
        }
        let verdict: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!((&verdict["line"], verdict.get("file")), (&json!(number), None));
    }
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
