//! Replaying into a database that an operator has changed.

use crate::storage::contract::Engine;
use crate::storage::contract::replay::{OUTCOMES, events, everything, kept, pending, recover};
use crate::storage::sqlite::database::Database;
use crate::storage::sqlite::error::SqliteError;
use crate::storage::sqlite::fixtures::{GROUP, Place, jump};
use crate::storage::sqlite::replay::DryRun;
use crate::storage::{Attempt, ErrorKind};

#[test]
fn a_dry_run_ignores_what_an_operator_has_added() {
    let (place, _database) = kept::<Place>();
    place.execute(
        "CREATE TABLE regions (id TEXT PRIMARY KEY);
         ALTER TABLE opportunities ADD COLUMN region TEXT REFERENCES regions;
         CREATE TRIGGER none BEFORE INSERT ON opportunities BEGIN SELECT RAISE(ROLLBACK, 'none'); END",
    );
    let mut dry_run = place.dry_run();
    let pending = pending(&mut *dry_run);
    assert_eq!(dry_run.replay(&recover(&pending, events())).unwrap(), OUTCOMES);
}

#[test]
fn a_rejection_of_the_whole_transaction_stores_nothing() {
    let (place, mut database) = kept::<Place>();
    place.execute(
        "CREATE TRIGGER all_or_nothing BEFORE INSERT ON projects BEGIN SELECT RAISE(ROLLBACK, 'the whole transaction'); END",
    );
    let before = everything(&place);
    let pending = pending(&mut *database);
    let error = database.replay(&recover(&pending, events())).expect_err("refused");
    assert!(error.kind() == ErrorKind::Rejected, "{error:?}");
    assert_eq!(everything(&place), before);
    assert_eq!(database.replay(&recover(&pending[..3], events())).unwrap(), OUTCOMES[..3]);
}

#[test]
fn a_replay_creates_no_database() {
    let place = Place::new();
    let missing = |error: SqliteError| assert!(matches!(error, SqliteError::Missing { .. }), "{error:?}");
    missing(Database::open_existing(&place.settings, GROUP).unwrap_err());
    missing(DryRun::open(&place.settings.path).unwrap_err());
    assert!(!place.settings.path.exists());
    let mut database = place.open();
    database.store_jumps(&[jump(0, None, 0)], &mut Attempt::default()).unwrap();
    let second = Database::open_existing(&place.settings, GROUP).unwrap();
    assert_eq!(second.id(), database.id());
}
