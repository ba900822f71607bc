//! Links of documents lead to files and headings that are there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use super::sources::repository;
use super::{report, sources};

/// Documents that are linked before they are written. The list only shrinks.
const NOT_YET: [&str; 0] = [];

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
            if NOT_YET.contains(&target.as_str()) {
                if is_there {
                    problems.push(format!("{target} is there: remove it from NOT_YET in tests/structure/links.rs"));
                }
            } else if !is_there {
                problems.push(format!("{path}:{line}: '{link}': there is no {target}"));
            } else if !has_anchor {
                problems.push(format!("{path}:{line}: '{link}': {target} has no such heading"));
            }
        }
    }
    report(&problems, "Correct the links; headings become anchors as GitHub does it.");
}

/// `src/a.rs` in the text of a document about the code is a file, also where it is no link.
#[test]
fn files_that_documents_name_are_there() {
    let mut problems = Vec::new();
    // The changelog names files of the past, the guide files that its reader creates.
    let excepted = ["CHANGELOG.md", "docs/internals/adding-an-event-type.md"];
    for source in sources::with_extensions(&["md"]).iter().filter(|source| !excepted.contains(&source.path.as_str())) {
        for (line, content) in prose(&source.text) {
            for name in content.split('`').skip(1).step_by(2) {
                let is_path = name.contains('/') && !name.contains([' ', '…', '*', '<']) && !name.contains("://");
                let root = name.split('/').next().unwrap_or_default();
                let is_ours =
                    ["src", "kafka", "testkit", "fuzzkit", "fuzz", "tests", "docs", "scripts", "deploy", ".ci"];
                if is_path && is_ours.contains(&root) && !name.contains("NAME") && !repository().join(name).exists() {
                    problems.push(format!("{}:{line}: there is no `{name}`", source.path));
                }
            }
        }
    }
    report(&problems, "Correct the path.");
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
