//! `docs/troubleshooting.md` has every WARN and ERROR of the code, and no text that the code does not have.

use super::{report, sources};

const DOCUMENT: &str = "docs/troubleshooting.md";

/// Parts of the log lines that documents quote, but for the values in them.
const QUOTED: [&str; 11] = [
    "this database is new, and another database has committed the group's offsets: records before them are not read",
    "were deleted by retention",
    "to continue with the remaining records, set the group's offset for this partition with 'enterprise-consumer \
     reset' or kafka-consumer-groups --reset-offsets, or start with FAIL_ON_DATA_LOSS=false",
    "the log was truncated and rewritten from offset",
    "what was read stays in the database; the records that replaced it were not read",
    "failed, trying again: ",
    "SQLite failed to ",
    " succeeded after ",
    "cannot resolve the broker's name '",
    ", learnt from bootstrap server ",
    "; trying again",
];

/// WARN lines whose text is not in a call of `warn!`, and where it is.
const OTHER_WARNINGS: [&str; 8] = [
    "cannot write the log file; new lines are on the console only", // src/runtime/logger
    "the log file can be written again",
    "is not a setting; did you mean", // src/settings, logged at the start
    "sends the password in clear text",
    "sends the token in clear text",
    "begins or ends with a blank or a quote, which is taken as a part of it",
    "every user of this machine may read",
    "lets other machines read metrics and status without a token",
];

/// The texts of the errors that end the service, or are logged while it retries.
const ERROR_TEXTS: [&str; 5] = [
    "kafka/src/error/display.rs",
    "kafka/src/sasl/mod.rs",
    "kafka/src/tls/fault.rs",
    "src/service/start_rules/error.rs",
    "src/storage/sqlite/error_text.rs",
];

/// Beginnings of error texts that are not on the page, and why.
const NOT_EXPLAINED: [(&str, &str); 6] = [
    (", ", "continues an error"),
    ("; ", "continues an error"),
    ("{expected} and is gone", "continues an error"),
    ("offset {offset} of topic id", "continues an error"),
    ("the broker does not support it", "continues an error"),
    ("the path '{}' is not UTF-8", "only `views` has it, and says what is wrong"),
];

/// Shorter pieces of a text are in everything.
const PIECE_CHARS_MIN: usize = 9;

#[test]
fn every_text_of_the_document_is_in_the_code() {
    let code = code();
    let document = document();
    let first_cells = document.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let mut problems = Vec::new();
    for text in first_cells.flat_map(|cell| cell.split('`').step_by(2)) {
        for piece in text.split('…').map(|piece| piece.trim_matches([' ', ';', ':'])) {
            if piece.chars().count() >= PIECE_CHARS_MIN && !code.contains(piece) {
                problems.push(format!("'{piece}'"));
            }
        }
    }
    report(&problems, &format!("{DOCUMENT} explains texts that no source file has: write what the code says now."));
}

#[test]
fn every_warning_and_error_of_the_code_is_in_the_document() {
    let code = code();
    let document = document().replace('`', "");
    let mut problems = Vec::new();
    for call in ["warn!(", "error!("] {
        for (_, behind) in code.match_indices(call).map(|(at, _)| code.split_at(at + call.len())) {
            let text = literal(behind);
            let piece = longest_piece(text);
            if piece.chars().count() >= PIECE_CHARS_MIN && !contains_start(&document, piece) {
                problems.push(format!("'{text}'"));
            }
        }
    }
    report(&problems, &format!("{DOCUMENT} must say what these lines mean and what to do."));
}

#[test]
fn other_warnings_are_in_the_code_and_in_the_document() {
    let (code, document) = (code(), document());
    let is_missing = |text: &&&str| !code.contains(**text) || !document.contains(**text);
    let problems: Vec<String> = OTHER_WARNINGS.iter().filter(is_missing).map(|text| format!("'{text}'")).collect();
    report(&problems, &format!("The code and {DOCUMENT} must both have these texts, or none of them."));
}

#[test]
fn every_error_text_is_in_the_document() {
    let document = document().replace('`', "");
    let mut problems = Vec::new();
    for source in sources::with_extensions(&["rs"]).iter().filter(|source| ERROR_TEXTS.contains(&&*source.path)) {
        let code = code_of(&source.text);
        for call in ["write!(", "write_str("] {
            for (_, behind) in code.match_indices(call).map(|(at, _)| code.split_at(at + call.len())) {
                let text = literal(behind);
                let mut pieces = pieces(text).filter(|piece| piece.chars().count() >= PIECE_CHARS_MIN).peekable();
                let is_excepted = NOT_EXPLAINED.iter().any(|(start, _)| text.starts_with(start));
                if pieces.peek().is_some() && !is_excepted && !pieces.any(|piece| contains_start(&document, piece)) {
                    problems.push(format!("{}: '{text}'", source.path));
                }
            }
        }
    }
    report(&problems, &format!("{DOCUMENT} must say what these errors mean and what to do."));
}

#[test]
fn quoted_log_lines_are_those_of_the_code() {
    let code = code();
    let documents: String = sources::with_extensions(&["md"]).into_iter().map(|source| source.text).collect();
    let mut problems = Vec::new();
    for piece in QUOTED {
        if !code.contains(piece) {
            problems.push(format!("the code no longer says '{piece}'"));
        }
        if !documents.contains(piece) {
            problems.push(format!("no document quotes '{piece}'"));
        }
    }
    report(
        &problems,
        "Quote what the code says now (README.md, docs/guarantees.md), and update QUOTED in tests/structure/troubleshooting.rs.",
    );
}

/// Whether the document has the beginning or the end of the text: enough to find it.
fn contains_start(document: &str, piece: &str) -> bool {
    let words: Vec<&str> = piece.split(' ').collect();
    let enough = words.len().min(4);
    let ends = [&words[..enough], &words[words.len() - enough..]];
    ends.iter().any(|words| document.contains(words.join(" ").trim_matches([':', ';', ','])))
}

/// The first literal of a macro call.
fn literal(call: &str) -> &str {
    let Some((_, text)) = call.split_once('"') else { return "" };
    &text[..text.find('"').unwrap_or(text.len())]
}

/// The longest piece of a literal without placeholders.
fn longest_piece(literal: &str) -> &str {
    pieces(literal).max_by_key(|piece| piece.len()).unwrap_or_default()
}

/// The pieces of a literal without placeholders and parentheses.
fn pieces(literal: &str) -> impl Iterator<Item = &str> {
    let pieces = literal.split('{').map(|part| part.split_once('}').map_or(part, |(_, behind)| behind));
    pieces.flat_map(|piece| piece.split(['(', ')'])).map(|piece| piece.trim_matches([' ', ';', ':', ',', '\'']))
}

fn document() -> String {
    let found = sources::with_extensions(&["md"]).into_iter().find(|source| source.path == DOCUMENT);
    found.unwrap().text
}

/// The sources of the program and the client, without tests.
fn code() -> String {
    let mut code = String::new();
    for source in sources::with_extensions(&["rs"]) {
        let is_program = source.path.starts_with("src/") || source.path.starts_with("kafka/src/");
        let is_test = source
            .path
            .split('/')
            .any(|part| ["tests", "tests.rs", "fuzzing", "fuzzing.rs", "simulation"].contains(&part));
        if is_program && !is_test {
            code.push_str(&code_of(&source.text));
        }
    }
    code
}

/// A source file without its tests, in one line; literals of several lines in one.
fn code_of(text: &str) -> String {
    let mut code = String::new();
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    for line in text.lines().map(str::trim) {
        match line.strip_suffix('\\') {
            Some(line) => code.push_str(line),
            None => code.extend([line, " "]),
        }
    }
    code
}
