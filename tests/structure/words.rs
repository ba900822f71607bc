//! The language rule (CONTRIBUTING.md, "Language"): words of our own for what Kafka, SQLite, TLS or systemd have a word for are refused.

use super::{report, sources};

/// What is refused, in any case and as whole words, also as a part of an identifier; and what to write.
const PHRASES: [(&str, &str); 55] = [
    ("carry over", "checkpoint"),
    ("carries over", "checkpoint"),
    ("carried over", "checkpoint"),
    ("carrying over", "checkpoint"),
    ("sign of life", "heartbeat"),
    ("signs of life", "heartbeat"),
    ("anew", "again, or a new …"),
    ("division", "assignment"),
    ("divided anew", "rebalance"),
    ("told", "name the actor: log, report, commit, send"),
    ("unsaid", "uncommitted"),
    ("news", "event, message, partition offsets"),
    ("who we are", "authentication, credentials"),
    ("give back", "revoke, release or return"),
    ("gives back", "revoke, release or return"),
    ("gave back", "revoke, release or return"),
    ("given back", "revoke, release or return"),
    ("gone by retention", "deleted by retention"),
    ("mend", "fix"),
    ("mends", "fix"),
    ("mended", "fix"),
    ("made again", "recreated"),
    ("made when missing", "created if missing"),
    ("rehearsal", "dry run"),
    ("rehearse", "dry run"),
    ("ridden out", "retried"),
    ("rides out", "retried"),
    ("works again", "succeeded after N attempts"),
    ("come together", "handshake failed, authentication failed"),
    ("comes together", "handshake failed, authentication failed"),
    ("helpful broker", "last responsive broker"),
    ("doubtful broker", "suspect broker"),
    ("patience", "timeout, timing"),
    ("patiently", "with retry"),
    ("left as it is", "not changed"),
    ("leave it as it is", "do not change it"),
    ("leaves it as it is", "does not change it"),
    ("log as it is", "without a checkpoint"),
    ("stays as it is", "does not change"),
    ("beside the service", "while the service runs"),
    ("beside the writer", "in a second connection, on another thread"),
    ("beside it", "say where or when: in the same folder, at the same time"),
    ("beside that", "say where or when: in the same folder, at the same time"),
    ("where it lay", "its topic, partition and offset"),
    ("where they lay", "their topic, partition and offset"),
    ("what is left", "the remaining …"),
    ("is no event", "is not an event"),
    ("are no events", "are not events"),
    ("not believed", "rejected, not trusted"),
    ("looks whether", "checks whether"),
    ("look whether", "check whether"),
    ("holds together", "invariants hold"),
    ("in its turn", "say the order"),
    ("is told", "name the actor: logs, receives, is notified"),
    ("so that who", "name the actor"),
];

/// Names of types that are refused in Rust, exactly; and what to write.
const NAMES: [(&str, &str); 8] = [
    ("Care", "a verb phrase for what is done on failure"),
    ("Mend", "Fix"),
    ("News", "Event, Message"),
    ("Pace", "Timing"),
    ("Patience", "PollTimeout, Timing"),
    ("Rehearsal", "DryRun"),
    ("Room", "ReadBudget"),
    ("Side", "a noun that stands alone"),
];

/// Files and lines that may have such words, and why. A line is excepted if it contains the text.
const EXCEPTIONS: [(&str, &str, &str); 4] = [
    ("tests/structure/words.rs", "", "has the list"),
    ("tests/structure/troubleshooting.rs", "    \"", "has the texts that documents quote"),
    ("docs/guarantees.md", "Z [", "quotes log lines, which are compared with the code"),
    ("CHANGELOG.md", " is now ", "quotes the old text of a log line, an error or an output"),
];

#[test]
fn the_words_are_those_of_the_field() {
    let mut sources =
        sources::with_extensions(&["rs", "md", "sql", "yml", "toml", "service", "conf", "example", "java", "py"]);
    sources.extend(sources::scripts());
    let mut problems = Vec::new();
    for source in &sources {
        for (line, content) in (1..).zip(source.text.lines()) {
            let is_excepted = EXCEPTIONS.iter().any(|(path, text, _)| source.path == *path && content.contains(text));
            if !is_excepted {
                let found = found_in(content, sources::has_extension(source, "rs"));
                problems
                    .extend(found.map(|(bad, instead)| format!("{}:{line}: '{bad}'; write: {instead}", source.path)));
            }
        }
    }
    report(&problems, "Use the words of docs/glossary.md; rewrite the sentence rather than replace a word.");
}

fn found_in(line: &str, is_rust: bool) -> Option<(&'static str, &'static str)> {
    let words = format!(" {} ", words_of(line));
    let phrase = PHRASES.into_iter().find(|(phrase, _)| words.contains(&format!(" {phrase} ")));
    let is_name = |name: &str| line.split(|char: char| !char.is_alphanumeric() && char != '_').any(|word| word == name);
    phrase.or_else(|| NAMES.into_iter().find(|(name, _)| is_rust && is_name(name)))
}

/// Lower case, one blank between words; `snake_case` and `CamelCase` taken apart.
fn words_of(line: &str) -> String {
    let mut words = String::new();
    let mut was_lower = false;
    for char in line.chars() {
        if (char.is_uppercase() && was_lower) || (!char.is_alphanumeric() && !words.ends_with(' ')) {
            words.push(' ');
        }
        if char.is_alphanumeric() {
            words.extend(char.to_lowercase());
        }
        was_lower = char.is_lowercase();
    }
    words.trim().to_owned()
}

#[test]
fn phrases_are_found_in_prose_and_identifiers() {
    let bad = |line| found_in(line, true).map(|(bad, _)| bad);
    assert_eq!(bad("// The log is carried  over, then synced."), Some("carried over"));
    assert_eq!(bad("fn is_told(&self)"), Some("told"));
    assert_eq!(bad("struct NewsOfPartitions;"), Some("news"));
    assert_eq!(bad("enum Care { Gone }"), Some("Care"));
    assert_eq!(bad("// Take care: threshold, newsletter, amend, recommend, behind."), None);
}
