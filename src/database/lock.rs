//! The lock that lets only one service use a database. Must not open the database.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::error::DatabaseError;
use super::open::{beside, resolve};

/// Held from before the database is opened until the process ends, in whatever way. Readers need none.
#[derive(Debug)]
pub struct DatabaseLock {
    /// The system gives the lock back when this is closed.
    _file: File,
    path: PathBuf,
}

impl DatabaseLock {
    /// The lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The lock file of a database, which need not be there.
    ///
    /// # Errors
    /// [`DatabaseError::Io`] if the database's path cannot be resolved.
    pub fn path_of(database: &Path) -> Result<PathBuf, DatabaseError> {
        Ok(beside(&resolve(database, false)?, ".lock"))
    }

    /// Takes the lock: that of a file named `<database>.lock`, which stays there afterwards.
    ///
    /// # Errors
    /// [`DatabaseError::LockHeld`] if another process has it.
    pub fn acquire(database: &Path) -> Result<Self, DatabaseError> {
        let path = beside(&resolve(database, true)?, ".lock");
        let failed = |action, source: io::Error| DatabaseError::Io { action, path: path.clone(), source };
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(|source| failed("open the lock file", source))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file, path }),
            Err(TryLockError::WouldBlock) => Err(DatabaseError::LockHeld { path }),
            Err(TryLockError::Error(source)) => Err(failed("lock", source)),
        }
    }
}
