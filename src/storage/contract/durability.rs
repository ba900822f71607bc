//! Syncs, a database that is opened again, and one that was not created.

use std::sync::mpsc::channel;
use std::time::Duration;

use super::Engine;
use crate::storage::attempt::Attempt;
use crate::storage::error::ErrorKind;
use crate::storage::fixtures::{GROUP, TOPIC, batch, rejected};
use crate::storage::{self};

/// A power cut cannot be tested here: see the crash tests of the service.
pub(in crate::storage) fn what_was_stored_before_a_sync_is_synced<E: Engine>() {
    let place = E::create();
    let mut database = place.open_at_0(1);
    database.sync().unwrap();
    assert!(database.sync_result().is_none(), "no sync was begun");
    for offset in 0..3 {
        database.apply(&[batch(0, offset, offset + 1, vec![rejected(offset)])], &mut Attempt::default()).unwrap();
        let (notify, notified) = channel();
        database.begin_sync(Box::new(move || notify.send(()).unwrap())).unwrap();
        notified.recv_timeout(Duration::from_mins(1)).unwrap();
        database.sync_result().expect("it has ended").unwrap();
        assert!(database.sync_result().is_none(), "its result is given once");
    }
    database.check_identity().unwrap();
}

pub(in crate::storage) fn an_existing_database_keeps_its_id<E: Engine>() {
    let place = E::create();
    let mut database = place.open_at_0(1);
    database.apply(&[batch(0, 0, 1, vec![rejected(0)])], &mut Attempt::default()).unwrap();
    database.unidentified().set_log_cursor(1).unwrap();
    let id = database.id().to_owned();
    let stored = database.position(TOPIC, 0).unwrap();
    drop(database);
    let mut database = place.open();
    assert_eq!((database.id(), place.inspector().id().unwrap().as_str()), (id.as_str(), id.as_str()));
    assert_eq!(database.position(TOPIC, 0).unwrap(), stored);
    assert_eq!(database.unidentified().log_cursor().unwrap(), 1);
}

pub(in crate::storage) fn a_database_that_was_not_created_is_missing<E: Engine>() {
    let place = E::create();
    let settings = place.settings();
    let kinds = [
        storage::inspect(settings).err().map(|error| error.kind()),
        storage::open_replayer(settings, GROUP).err().map(|error| error.kind()),
        storage::open_dry_run(settings).err().map(|error| error.kind()),
        storage::try_to_store(settings, GROUP).err().map(|error| error.kind()),
    ];
    assert_eq!(kinds, [Some(ErrorKind::Missing); 4]);
    drop(place.open());
    storage::try_to_store(settings, GROUP).unwrap();
    assert_eq!(place.number("SELECT count(*) FROM opportunities"), 0, "it was rolled back");
    assert_eq!(place.open().positions().unwrap(), []);
}

pub(in crate::storage) fn access_is_checked_without_a_database<E: Engine>() {
    let place = E::create();
    storage::check_access(place.settings()).unwrap();
    let error = storage::inspect(place.settings()).err().map(|error| error.kind());
    assert_eq!(error, Some(ErrorKind::Missing), "none was created");
    assert_eq!(storage::warnings(place.settings()), Vec::<String>::new());
}
