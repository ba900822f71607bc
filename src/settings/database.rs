//! The variables of the database, their defaults and their types. Must not open it.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use super::error::SettingsError;
use super::rules;
use super::variables::Variables;
use crate::runtime::permissions::FileMode;

/// `DATABASE_URL`, as a path.
const DATABASE_PATH_DEFAULT: &str = "data/enterprise.db";
/// `WAL_MAX_BYTES`, in bytes: much more than a batch needs, much less than a disk has.
const WAL_MAX_BYTES_DEFAULT: u64 = 1 << 30;
/// Least `WAL_MAX_BYTES`, in bytes: a batch must fit.
const WAL_MAX_BYTES_LEAST: u64 = 1 << 20;
/// `DATABASE_CACHE_MAX_BYTES`, in bytes. (Measured with random ids: 32 MiB are not faster.)
const CACHE_MAX_BYTES_DEFAULT: u64 = 24 << 20;
/// `DATABASE_CACHE_MAX_BYTES`, in bytes: a few hundred pages at least, and no more than any machine has.
const CACHE_MAX_BYTES: RangeInclusive<u64> = 1 << 20..=1 << 40;

/// The settings of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseSettings {
    /// The database file, absolute or relative to the working directory.
    pub path: PathBuf,
    /// When SQLite syncs.
    pub synchronous: Synchronous,
    /// Size of the WAL from which on nothing is written, in bytes.
    pub wal_bytes_max: u64,
    /// The most memory of the page cache, in bytes.
    pub cache_bytes_max: u64,
    /// Permissions of a new database and its directory.
    pub file_mode: FileMode,
}

/// [`PRAGMA synchronous`](https://www.sqlite.org/pragma.html#pragma_synchronous).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synchronous {
    /// At checkpoints.
    Normal,
    /// At every commit.
    Full,
}

pub(super) fn read(variables: &mut Variables, file_mode: FileMode) -> Result<DatabaseSettings, SettingsError> {
    Ok(DatabaseSettings {
        path: variables.or("DATABASE_URL", PathBuf::from(DATABASE_PATH_DEFAULT), rules::database_path)?,
        synchronous: variables.or(
            "DATABASE_SYNCHRONOUS",
            Synchronous::Normal,
            rules::choice(&[("NORMAL", Synchronous::Normal), ("FULL", Synchronous::Full)]),
        )?,
        wal_bytes_max: variables.or(
            "WAL_MAX_BYTES",
            WAL_MAX_BYTES_DEFAULT,
            rules::number(WAL_MAX_BYTES_LEAST..=i64::MAX.unsigned_abs(), " bytes"),
        )?,
        cache_bytes_max: variables.or(
            "DATABASE_CACHE_MAX_BYTES",
            CACHE_MAX_BYTES_DEFAULT,
            rules::number(CACHE_MAX_BYTES, " bytes"),
        )?,
        file_mode,
    })
}
