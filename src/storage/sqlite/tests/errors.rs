//! What an error means for the caller: wait, keep the record as a message, or ask a person.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use crate::storage::sqlite::error::SqliteError;
use rusqlite::ffi;

fn failed_with(code: i32) -> SqliteError {
    let source = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
    SqliteError::Sqlite { action: "write", source }
}

/// A record must not become a message for what the disk does, nor be waited for that is refused for ever.
#[test]
fn each_code_has_its_kind() {
    let environment = [
        ffi::SQLITE_PERM,
        ffi::SQLITE_ABORT,
        ffi::SQLITE_BUSY,
        ffi::SQLITE_BUSY_SNAPSHOT,
        ffi::SQLITE_LOCKED,
        ffi::SQLITE_NOMEM,
        ffi::SQLITE_READONLY,
        ffi::SQLITE_INTERRUPT,
        ffi::SQLITE_IOERR,
        ffi::SQLITE_IOERR_WRITE,
        ffi::SQLITE_IOERR_FSYNC,
        ffi::SQLITE_FULL,
        ffi::SQLITE_CANTOPEN,
        ffi::SQLITE_PROTOCOL,
        ffi::SQLITE_SCHEMA,
    ];
    let refusals = [
        ffi::SQLITE_CONSTRAINT,
        ffi::SQLITE_CONSTRAINT_CHECK,
        ffi::SQLITE_CONSTRAINT_TRIGGER,
        ffi::SQLITE_TOOBIG,
        ffi::SQLITE_MISMATCH,
    ];
    let for_a_person = [
        ffi::SQLITE_ERROR,
        ffi::SQLITE_INTERNAL,
        ffi::SQLITE_CORRUPT,
        ffi::SQLITE_NOTADB,
        ffi::SQLITE_MISUSE,
        ffi::SQLITE_RANGE,
    ];
    let check = |codes: &[i32], is_retriable: bool, is_rejection: bool| {
        for &code in codes {
            let error = failed_with(code);
            assert_eq!((error.kind().is_retriable(), error.is_rejection()), (is_retriable, is_rejection), "{error:?}");
        }
    };
    check(&environment, true, false);
    check(&refusals, false, true);
    check(&for_a_person, false, false);
}

#[test]
fn a_connection_is_kept_after_errors_that_sqlite_recovers_from_only() {
    let kept = [
        ffi::SQLITE_BUSY,
        ffi::SQLITE_LOCKED,
        ffi::SQLITE_FULL,
        ffi::SQLITE_INTERRUPT,
        ffi::SQLITE_CONSTRAINT,
        ffi::SQLITE_TOOBIG,
        ffi::SQLITE_MISMATCH,
    ];
    let spoiled = [
        ffi::SQLITE_IOERR,
        ffi::SQLITE_IOERR_FSYNC,
        ffi::SQLITE_READONLY,
        ffi::SQLITE_CANTOPEN,
        ffi::SQLITE_NOMEM,
        ffi::SQLITE_CORRUPT,
    ];
    assert!(kept.iter().all(|&code| !failed_with(code).spoils_connection()));
    assert!(spoiled.iter().all(|&code| failed_with(code).spoils_connection()));
    let elsewhere = SqliteError::Io { action: "sync", path: "-wal".into(), source: io::ErrorKind::Other.into() };
    assert!(elsewhere.kind().is_retriable() && !elsewhere.is_rejection() && !elsewhere.spoils_connection());
}

#[test]
fn a_full_disk_is_recognized_and_every_cause_is_kept() {
    let full =
        [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_TOOBIG].map(|code| failed_with(code).is_disk_full());
    assert_eq!(full, [true, false, false]);
    let source = || rusqlite::Error::InvalidQuery;
    let path = PathBuf::from("-wal");
    let caused = [
        SqliteError::Sqlite { action: "write", source: source() },
        SqliteError::WalNotReadable { path: path.clone(), source: source() },
        SqliteError::Io { action: "sync", path: path.clone(), source: io::ErrorKind::Other.into() },
    ];
    assert!(caused.iter().all(|error| error.source().is_some()));
    assert!(SqliteError::NotSynced { path }.source().is_none());
}
