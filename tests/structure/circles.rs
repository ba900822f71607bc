//! No import circle between files: a reader can begin at the leaves.

use std::collections::{BTreeMap, BTreeSet};

use super::modules::Crate;
use super::{report, sources};

const ROOTS: [&str; 4] = ["src", "kafka/src", "testkit/src", "fuzzkit/src"];

/// Files of circles that are still to be opened. The list only shrinks: a file that is in no circle any more must leave it.
const KNOWN: [&str; 56] = [
    "kafka/src/consumer/broker.rs",
    "kafka/src/consumer/builder.rs",
    "kafka/src/consumer/commits.rs",
    "kafka/src/consumer/control.rs",
    "kafka/src/consumer/group/classic.rs",
    "kafka/src/consumer/group/mod.rs",
    "kafka/src/consumer/group/server_side.rs",
    "kafka/src/consumer/group/task.rs",
    "kafka/src/consumer/holds.rs",
    "kafka/src/consumer/membership.rs",
    "kafka/src/consumer/mod.rs",
    "kafka/src/consumer/partition.rs",
    "kafka/src/consumer/validation.rs",
    "kafka/src/protocol/mod.rs",
    "kafka/src/protocol/reader.rs",
    "kafka/src/record_batch/headers.rs",
    "kafka/src/record_batch/mod.rs",
    "kafka/src/record_batch/packed.rs",
    "kafka/src/sasl/mod.rs",
    "kafka/src/security.rs",
    "kafka/src/types.rs",
    "src/cli.rs",
    "src/commands/check/database.rs",
    "src/commands/check/mod.rs",
    "src/commands/reset.rs",
    "src/commands/status/mod.rs",
    "src/entity/clock.rs",
    "src/entity/fields.rs",
    "src/entity/metadata.rs",
    "src/entity/mod.rs",
    "src/entity/opportunity.rs",
    "src/entity/payload.rs",
    "src/entity/project.rs",
    "src/runtime/durable_fs.rs",
    "src/runtime/permissions.rs",
    "src/service/commits.rs",
    "src/service/failures.rs",
    "src/service/mod.rs",
    "src/service/progress.rs",
    "src/service/simulation/cluster.rs",
    "src/service/simulation/disk.rs",
    "src/service/simulation/log.rs",
    "src/service/simulation/mod.rs",
    "src/service/simulation/truth.rs",
    "src/settings/files.rs",
    "src/settings/mod.rs",
    "src/storage/sqlite/apply.rs",
    "src/storage/sqlite/batch.rs",
    "src/storage/sqlite/checkpointer.rs",
    "src/storage/sqlite/error.rs",
    "src/storage/sqlite/events.rs",
    "src/storage/sqlite/files.rs",
    "src/storage/sqlite/mod.rs",
    "src/storage/sqlite/wal.rs",
    "src/unidentified/mod.rs",
    "src/unidentified/tail.rs",
];

type Imports = BTreeMap<String, BTreeMap<String, String>>;

#[test]
fn no_import_circle_between_files() {
    let sources = sources::with_extensions(&["rs"]);
    let mut problems = Vec::new();
    let mut in_circles = BTreeSet::new();
    for root in ROOTS {
        let imports = Crate::read(&sources, root).imports();
        for circle in circles(&imports) {
            in_circles.extend(circle.clone());
            if !circle.iter().all(|file| KNOWN.contains(&file.as_str())) {
                problems.extend(describe(&imports, &circle));
            }
        }
    }
    for known in KNOWN.iter().filter(|known| !in_circles.contains(**known)) {
        problems.push(format!("{known} is in no circle any more: remove it from KNOWN in tests/structure/circles.rs"));
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
