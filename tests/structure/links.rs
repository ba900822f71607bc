//! Links of documents lead to files and headings that are there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::sources::repository;
use super::{report, sources};

/// Documents about the code that need not name what is there: the changelog names the past, the guide what its reader creates.
const EXCEPTED: [&str; 2] = ["CHANGELOG.md", "docs/internals/adding-an-event-type.md"];

/// Names of other programs in documents about the code.
const FOREIGN: [&str; 1] = ["UnexpectedEOF"]; // an error of kafkang

#[test]
fn links_lead_to_files_and_headings() {
    let documents: BTreeMap<String, String> =
        sources::with_extensions(&["md"]).into_iter().map(|source| (source.path, source.text)).collect();
    let headings: BTreeMap<&str, BTreeSet<String>> =
        documents.iter().map(|(path, text)| (path.as_str(), anchors(text))).collect();
    let mut problems = Vec::new();
    for (path, text) in &documents {
        for (line, link) in links(text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) =
                link.split_once('#').map_or((link.as_str(), None), |(file, anchor)| (file, Some(anchor)));
            let target = if file.is_empty() { path.clone() } else { join(path, file) };
            let is_there = repository().join(&target).exists();
            let has_anchor =
                anchor.is_none_or(|anchor| headings.get(target.as_str()).is_some_and(|all| all.contains(anchor)));
            if !is_there {
                problems.push(format!("{path}:{line}: '{link}': there is no {target}"));
            } else if !has_anchor {
                problems.push(format!("{path}:{line}: '{link}': {target} has no such heading"));
            }
        }
    }
    report(&problems, "Correct the links; headings become anchors as GitHub does it.");
}

/// `src/a.rs` in the text of a document is a file, also where it is no link; and so is the end of a path, such as `a.rs`.
#[test]
fn files_that_documents_name_are_there() {
    let rust = sources::with_extensions(&["rs"]);
    let is_end_of_a_path =
        |name: &str| rust.iter().any(|source| format!("/{}", source.path).ends_with(&format!("/{name}")));
    let mut problems = Vec::new();
    for (place, name) in names_in_prose() {
        let is_path = name.contains('/') && !name.contains([' ', '…', '*', '<']) && !name.contains("://");
        let root = name.split('/').next().unwrap_or_default();
        let is_ours =
            ["src", "kafka", "musl-memory", "testkit", "fuzzkit", "fuzz", "tests", "docs", "scripts", "deploy", ".ci"];
        let is_missing = if is_path && is_ours.contains(&root) && !name.contains("NAME") {
            !repository().join(&name).exists() && !is_end_of_a_path(&name)
        } else {
            Path::new(&name).extension().is_some_and(|it| it == "rs") && !name.contains(' ') && !is_end_of_a_path(&name)
        };
        if is_missing {
            problems.push(format!("{place}: there is no `{name}`"));
        }
    }
    report(&problems, "Correct the path.");
}

/// `SomeType` and `SomeType::method` in the text of a document about the code are names in the code.
#[test]
fn types_that_documents_name_are_in_the_code() {
    let sources = sources::with_extensions(&["rs"]);
    let words: BTreeSet<&str> = sources
        .iter()
        .flat_map(|source| source.text.split(|char: char| !char.is_alphanumeric() && char != '_'))
        .collect();
    let is_type = |name: &str| {
        let first = name.split("::").next().unwrap_or_default();
        let humps = first.chars().filter(char::is_ascii_uppercase).count();
        first.chars().all(|char| char.is_ascii_alphabetic())
            && first.starts_with(|char: char| char.is_ascii_uppercase())
            && first.contains(|char: char| char.is_ascii_lowercase())
            && (humps > 1 || name.contains("::"))
    };
    let mut problems = Vec::new();
    let is_about_code =
        |place: &str| ["ARCHITECTURE.md", "docs/internals/"].iter().any(|start| place.starts_with(start));
    for (place, name) in names_in_prose() {
        let is_checked = is_about_code(&place) && is_type(&name) && !FOREIGN.contains(&name.as_str());
        if is_checked && !name.split("::").all(|part| words.contains(part.trim_end_matches("()"))) {
            problems.push(format!("{place}: the code has no `{name}`"));
        }
    }
    report(&problems, "Name what the code has now.");
}

/// The names in backticks, with their places.
fn names_in_prose() -> Vec<(String, String)> {
    let mut names = Vec::new();
    for source in sources::with_extensions(&["md"]).iter().filter(|source| !EXCEPTED.contains(&&*source.path)) {
        for (line, content) in prose(&source.text) {
            let found = content.split('`').skip(1).step_by(2);
            names.extend(found.map(|name| (format!("{}:{line}", source.path), name.to_owned())));
        }
    }
    names
}

/// The targets of `[text](target)` outside of code, with their lines.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (line, content) in prose(text) {
        let mut rest = content.as_str();
        while let Some((_, behind)) = rest.split_once("](") {
            let Some((target, next)) = behind.split_once(')') else { break };
            found.push((line, target.split_whitespace().next().unwrap_or_default().to_owned()));
            rest = next;
        }
    }
    found
}

/// Lines outside of fenced blocks.
fn prose(text: &str) -> Vec<(usize, String)> {
    let mut is_code = false;
    let mut lines = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        if content.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            lines.push((line, content.to_owned()));
        }
    }
    lines
}

fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).into_iter().filter_map(|(_, line)| {
        let title = line.trim_start_matches('#').strip_prefix(' ').map(str::to_owned)?;
        line.starts_with('#').then_some(title)
    });
    headings.map(|title| anchor(&title)).collect()
}

/// As GitHub makes it: lower case, blanks as hyphens, nothing else but letters, digits, `-` and `_`.
fn anchor(title: &str) -> String {
    let kept = title.chars().filter(|char| char.is_alphanumeric() || [' ', '-', '_'].contains(char));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// `file` as seen from the folder of `document`, without `..`.
fn join(document: &str, file: &str) -> String {
    let mut joined = PathBuf::new();
    for part in Path::new(document).parent().unwrap_or(Path::new("")).join(file).components() {
        match part {
            Component::ParentDir => {
                joined.pop();
            }
            Component::CurDir => {}
            other => joined.push(other),
        }
    }
    joined.to_string_lossy().into_owned()
}

#[test]
fn anchors_are_those_of_github() {
    assert_eq!(anchor("TLS and SASL"), "tls-and-sasl");
    assert_eq!(anchor("`status --json`: fields"), "status---json-fields");
    assert_eq!(join("docs/a/b.md", "../c.md"), "docs/c.md");
}
