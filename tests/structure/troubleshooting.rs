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
    let pieces = literal.split('{').map(|part| part.split_once('}').map_or(part, |(_, behind)| behind));
    let pieces = pieces.flat_map(|piece| piece.split(['(', ')'])).map(|piece| piece.trim_matches([' ', ';', ':', ',']));
    pieces.max_by_key(|piece| piece.len()).unwrap_or_default()
}

fn document() -> String {
    let found = sources::with_extensions(&["md"]).into_iter().find(|source| source.path == DOCUMENT);
    found.unwrap().text
}

/// The sources of the program and the client, without tests; literals of several lines in one.
fn code() -> String {
    let mut code = String::new();
    for source in sources::with_extensions(&["rs"]) {
        let is_program = source.path.starts_with("src/") || source.path.starts_with("kafka/src/");
        let is_test = source
            .path
            .split('/')
            .any(|part| ["tests", "tests.rs", "fuzzing", "fuzzing.rs", "simulation"].contains(&part));
        if is_program && !is_test {
            let text = source.text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            for line in text.lines().map(str::trim) {
                match line.strip_suffix('\\') {
                    Some(line) => code.push_str(line),
                    None => code.extend([line, " "]),
                }
            }
        }
    }
    code
}
