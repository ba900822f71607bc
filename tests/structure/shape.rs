//! Sizes and heads of files.

use super::{report, sources};

/// Lines of a source file.
const LINES_MAX: usize = 400;
/// Lines of documents that a newcomer reads first.
const DOCUMENTS: [(&str, usize, usize); 2] = [("README.md", 200, 13_000), ("ARCHITECTURE.md", 300, 30_000)];

/// Longer files, still to be split. The list only shrinks.
const LONG: [&str; 15] = [
    "kafka/src/consumer/tests/mod.rs",
    "kafka/src/error/mod.rs",
    "kafka/tests/client/consumer.rs",
    "src/cli.rs",
    "src/commands/inspection.rs",
    "src/entity/tests/mod.rs",
    "src/entity/tests/values.rs",
    "src/settings/mod.rs",
    "src/settings/tests.rs",
    "src/storage/sqlite/error.rs",
    "src/storage/sqlite/mod.rs",
    "src/storage/sqlite/tests/failures.rs",
    "tests/service/hostile.rs",
    "tests/service/settings.rs",
    "tests/service/support/fake_broker.rs",
];

#[test]
fn source_files_are_short() {
    let mut problems = Vec::new();
    for source in sources::with_extensions(&["rs"]) {
        let lines = source.text.lines().count();
        let is_listed = LONG.contains(&source.path.as_str());
        if lines > LINES_MAX && !is_listed {
            problems.push(format!("{} has {lines} lines", source.path));
        } else if lines <= LINES_MAX && is_listed {
            problems
                .push(format!("{} has {lines} lines: remove it from LONG in tests/structure/shape.rs", source.path));
        }
    }
    report(&problems, "Split the file by subject: 400 lines are the limit.");
}

#[test]
fn every_source_file_says_at_its_head_what_it_does() {
    let problems: Vec<String> = sources::with_extensions(&["rs"])
        .iter()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| format!("{} does not begin with '//! '", source.path))
        .collect();
    report(&problems, "Say at the head of the file what it does and what it must not know.");
}

#[test]
fn first_documents_are_short() {
    let mut problems = Vec::new();
    for source in sources::with_extensions(&["md"]) {
        let Some((_, lines_max, bytes_max)) = DOCUMENTS.iter().find(|(path, ..)| *path == source.path) else {
            continue;
        };
        let (lines, bytes) = (source.text.lines().count(), source.text.len());
        if lines > *lines_max || bytes > *bytes_max {
            problems.push(format!("{}: {lines} lines of {lines_max}, {bytes} bytes of {bytes_max}", source.path));
        }
    }
    report(&problems, "Move what not every reader needs to docs/, and link it.");
}
