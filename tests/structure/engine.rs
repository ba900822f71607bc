//! SQLite stays in its folder: everything else uses `storage`.

use super::{report, sources};

/// The folder that may name rusqlite.
const ENGINE: &str = "src/storage/sqlite/";

#[test]
fn rusqlite_is_named_in_the_engine_alone() {
    let mut problems = Vec::new();
    let sources = sources::with_extensions(&["rs"]);
    let is_test = |path: &str| {
        path.split('/').any(|part| ["tests", "tests.rs", "fuzzing", "fuzzing.rs", "simulation"].contains(&part))
    };
    let names_it =
        |text: &str| text.lines().any(|line| line.contains("rusqlite::") && !line.trim_start().starts_with("//"));
    for source in sources.iter().filter(|source| source.path.starts_with("src/") && !is_test(&source.path)) {
        if names_it(&source.text) && !source.path.starts_with(ENGINE) {
            problems.push(format!("{} names rusqlite", source.path));
        }
    }
    report(&problems, "Use the types of src/storage, or move the code to src/storage/sqlite.");
}
