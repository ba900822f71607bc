//! No import circle between files: a reader can begin at the leaves.

use std::collections::{BTreeMap, BTreeSet};

use super::modules::Crate;
use super::{report, sources};

const ROOTS: [&str; 5] = ["src", "kafka/src", "musl-memory/src", "testkit/src", "fuzzkit/src"];

type Imports = BTreeMap<String, BTreeMap<String, String>>;

#[test]
fn no_import_circle_between_files() {
    let sources = sources::with_extensions(&["rs"]);
    let mut problems = Vec::new();
    for root in ROOTS {
        let imports = Crate::read(&sources, root).imports();
        for circle in circles(&imports) {
            problems.extend(describe(&imports, &circle));
        }
    }
    report(
        &problems,
        "Move what both files need to a file that both import, as a leaf; a child must not import its own mod.rs.",
    );
}

fn describe(imports: &Imports, circle: &BTreeSet<String>) -> Vec<String> {
    let mut lines = vec![format!("circle of {} files:", circle.len())];
    for file in circle {
        for (other, name) in imports[file].iter().filter(|(other, _)| circle.contains(*other)) {
            lines.push(format!("    {file} -> {other}: {name}"));
        }
    }
    lines
}

/// Groups of files that reach each other.
fn circles(imports: &Imports) -> Vec<BTreeSet<String>> {
    let reached: BTreeMap<&String, BTreeSet<&String>> =
        imports.keys().map(|file| (file, reach(imports, file))).collect();
    let mut circles: Vec<BTreeSet<String>> = Vec::new();
    for file in imports.keys().filter(|file| reached[file].contains(file)) {
        if !circles.iter().any(|circle| circle.contains(file)) {
            let back = reached[file].iter().filter(|other| reached.get(*other).is_some_and(|from| from.contains(file)));
            circles.push(back.map(|other| (*other).clone()).collect());
        }
    }
    circles
}

fn reach<'a>(imports: &'a Imports, from: &String) -> BTreeSet<&'a String> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&String> = imports[from].keys().collect();
    while let Some(file) = open.pop() {
        if reached.insert(file) {
            open.extend(imports.get(file).into_iter().flat_map(BTreeMap::keys));
        }
    }
    reached
}

#[test]
fn circles_are_found() {
    let to = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), String::new())).collect();
    let imports = BTreeMap::from([
        ("a".to_owned(), to(&["b"])),
        ("b".to_owned(), to(&["c"])),
        ("c".to_owned(), to(&["b", "d"])),
        ("d".to_owned(), to(&[])),
    ]);
    assert_eq!(circles(&imports), [BTreeSet::from(["b".to_owned(), "c".to_owned()])]);
}
