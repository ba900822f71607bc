//! The kind of each error, and what it does to the connection.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use rusqlite::ffi;

use crate::storage::ErrorKind;
use crate::storage::sqlite::error::SqliteError;

fn failed_with(code: i32) -> SqliteError {
    let source = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
    SqliteError::Sqlite { action: "write", source }
}

/// A failure of the environment must not make a message of a record, and a rejection must not be retried.
#[test]
fn each_code_has_its_kind() {
    let transient = [
        ffi::SQLITE_PERM,
        ffi::SQLITE_ABORT,
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
    let locked = [ffi::SQLITE_BUSY, ffi::SQLITE_BUSY_SNAPSHOT, ffi::SQLITE_LOCKED];
    let rejected = [
        ffi::SQLITE_CONSTRAINT,
        ffi::SQLITE_CONSTRAINT_CHECK,
        ffi::SQLITE_CONSTRAINT_TRIGGER,
        ffi::SQLITE_TOOBIG,
        ffi::SQLITE_MISMATCH,
    ];
    let fatal = [
        ffi::SQLITE_ERROR,
        ffi::SQLITE_INTERNAL,
        ffi::SQLITE_CORRUPT,
        ffi::SQLITE_NOTADB,
        ffi::SQLITE_MISUSE,
        ffi::SQLITE_RANGE,
    ];
    let check = |codes: &[i32], kind: ErrorKind| {
        for &code in codes {
            let error = failed_with(code);
            assert_eq!((error.kind(), error.is_rejection()), (kind, kind == ErrorKind::Rejected), "{error:?}");
        }
    };
    check(&transient, ErrorKind::Transient);
    check(&locked, ErrorKind::Locked);
    check(&rejected, ErrorKind::Rejected);
    check(&fatal, ErrorKind::Fatal);
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
