//! Damaged files.

use crate::storage::contract::Engine;
use crate::storage::contract::verify::a_sound_database;
use crate::storage::sqlite::fixtures::Place;
use crate::storage::{Invariant, Violation};

#[test]
fn damage_is_found() {
    let (place, database) = a_sound_database::<Place>();
    drop(database);
    // An index that lacks a row.
    place.execute(
        "PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_projects_1')
         WHERE name = 'sqlite_autoindex_opportunities_1'",
    );
    let found = place.violations();
    assert!(found.iter().any(|one| matches!(one, (Invariant::Integrity, Violation::Damage(_)))), "{found:?}");

    let (place, database) = a_sound_database::<Place>();
    drop(database);
    let mut bytes = std::fs::read(&place.settings.path).unwrap();
    bytes[8192..].fill(0xff);
    std::fs::write(&place.settings.path, bytes).unwrap();
    let found = place.violations();
    assert!(found.iter().any(|(invariant, _)| *invariant == Invariant::Integrity), "{found:?}");

    let (place, _database) = a_sound_database::<Place>();
    place.execute(
        "UPDATE consumer_offsets SET topic = x'00' WHERE partition = 0; UPDATE opportunities SET kafka_offset = 'x'",
    );
    assert!(!place.violations().is_empty());
}
