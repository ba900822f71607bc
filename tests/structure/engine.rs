//! SQLite stays in its folder: everything else uses `storage`.

use super::{report, sources};

/// What names rusqlite, and may.
const ENGINE: &str = "src/storage/sqlite/";

/// Files outside of it that still do. The list only shrinks.
const KNOWN: [&str; 2] = ["src/service/simulation/disk.rs", "src/service/simulation/truth.rs"];

#[test]
fn rusqlite_is_named_in_the_engine_alone() {
    let mut problems = Vec::new();
    let sources = sources::with_extensions(&["rs"]);
    let is_test =
        |path: &str| path.split('/').any(|part| ["tests", "tests.rs", "fuzzing", "fuzzing.rs"].contains(&part));
    let names_it =
        |text: &str| text.lines().any(|line| line.contains("rusqlite::") && !line.trim_start().starts_with("//"));
    for source in sources.iter().filter(|source| source.path.starts_with("src/") && !is_test(&source.path)) {
        let is_known = KNOWN.contains(&source.path.as_str());
        match (names_it(&source.text), is_known || source.path.starts_with(ENGINE)) {
            (true, false) => problems.push(format!("{} names rusqlite", source.path)),
            (false, true) if is_known => {
                problems.push(format!(
                    "{} no longer names rusqlite: remove it from KNOWN in tests/structure/engine.rs",
                    source.path
                ));
            }
            _ => {}
        }
    }
    report(&problems, "Use the types of src/storage, or move the code to src/storage/sqlite.");
}
