//! What happened to a file that SQLite has open.

use std::fmt;
use std::path::PathBuf;

/// A file that SQLite has open was removed or replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::storage) struct FileChange {
    /// The file.
    pub path: PathBuf,
    /// Which of the database's files it is.
    pub file: DatabaseFile,
    /// Whether another file is at its path now.
    pub replaced: bool,
}

/// A file of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::storage) enum DatabaseFile {
    /// The database itself.
    Database,
    /// Its WAL, `-wal`.
    Wal,
    /// The index of that, `-shm`.
    Shm,
}

impl fmt::Display for FileChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        if self.replaced {
            write!(f, "'{path}' was replaced by another file while the service had it open")?;
        } else {
            write!(f, "'{path}' was removed or moved while the service had it open")?;
        }
        f.write_str(": no further offset is committed to Kafka, and what was not committed is read again. ")?;
        match (self.file, self.replaced) {
            (DatabaseFile::Database, false) => f.write_str(
                "Put the database back, or restore a backup, and start again; a new database does not read again what the \
                 group has committed, unless 'enterprise-consumer reset --to-earliest' is run first",
            ),
            (DatabaseFile::Database, true) => f.write_str(
                "The next start continues with the database that is there now, from the positions in it; files of a database \
                 may be replaced only while the service is stopped",
            ),
            (DatabaseFile::Wal | DatabaseFile::Shm, _) => f.write_str(
                "Start again; the -wal and -shm files belong to SQLite and must not be changed while the service runs",
            ),
        }
    }
}
