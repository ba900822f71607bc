//! Sizes and heads of files.

use super::{report, sources};

/// Lines of a source file.
const LINES_MAX: usize = 400;
/// Lines of documents that a newcomer reads first.
const DOCUMENTS: [(&str, usize, usize); 2] = [("README.md", 200, 13_000), ("ARCHITECTURE.md", 300, 30_000)];

#[test]
fn source_files_are_short() {
    let mut problems = Vec::new();
    for source in sources::with_extensions(&["rs"]) {
        let lines = source.text.lines().count();
        if lines > LINES_MAX {
            problems.push(format!("{} has {lines} lines", source.path));
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
