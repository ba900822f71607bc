//! Which files SQLite has open, by device and inode, and whether their paths still lead to them. In WAL mode SQLite itself goes on
//! writing into files that were removed or replaced
//! (<https://www.sqlite.org/howtocorrupt.html#_unlinking_or_renaming_a_database_file_while_in_use>). Must not open any of them.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Database;
use super::error::DatabaseError;
use super::open::beside;

/// A file, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// `None` if there is no file.
    fn of(path: &Path) -> Result<Option<Self>, DatabaseError> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(Some(Self { device: metadata.dev(), inode: metadata.ino() })),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(source) => Err(DatabaseError::Io { action: "look at", path: path.to_owned(), source }),
        }
    }
}

/// What has become of a file that SQLite has open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileChange {
    /// The file.
    pub path: PathBuf,
    /// Which of the database's files it is.
    pub file: DatabaseFile,
    /// Whether another file is there now.
    pub replaced: bool,
}

/// A file of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseFile {
    /// The database itself.
    Database,
    /// Its write-ahead log, `-wal`.
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
                "The next start goes on with the database that is there now, from the positions in it; files of a database \
                 may be replaced only while the service is stopped",
            ),
            (DatabaseFile::Wal | DatabaseFile::Shm, _) => f.write_str(
                "Start again; the files beside a database belong to SQLite and must be left alone while the service runs",
            ),
        }
    }
}

/// The database file that was opened.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    /// As the settings name it, which may be a link.
    named: PathBuf,
    /// Absolute, without links.
    path: PathBuf,
    id: FileId,
}

impl Opened {
    /// The file that is there now, if it is the same under both names.
    pub(super) fn now(named: &Path, path: &Path) -> Result<Self, DatabaseError> {
        let missing = || DatabaseError::Missing { path: path.to_owned() };
        let opened =
            Self { named: named.to_owned(), path: path.to_owned(), id: FileId::of(path)?.ok_or_else(missing)? };
        opened.verify()?;
        Ok(opened)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Fails if the database is no longer found under its names.
    pub(super) fn verify(&self) -> Result<(), DatabaseError> {
        verify(&self.path, DatabaseFile::Database, self.id)?;
        verify(&self.named, DatabaseFile::Database, self.id)
    }

    /// Whether another file lies exactly where this one lay, whatever the links to it are.
    fn has_another_in_its_place(&self) -> bool {
        FileId::of(&self.path).ok().flatten().is_some_and(|found| found != self.id)
    }

    /// Whether the path leads to another database now.
    pub(super) fn is_replaced(&self) -> bool {
        matches!(self.verify(), Err(DatabaseError::FileChanged(FileChange { replaced: true, .. })))
    }
}

fn verify(path: &Path, file: DatabaseFile, expected: FileId) -> Result<(), DatabaseError> {
    let found = FileId::of(path)?;
    if found == Some(expected) {
        return Ok(());
    }
    Err(DatabaseError::FileChanged(FileChange { path: path.to_owned(), file, replaced: found.is_some() }))
}

/// The files that a connection has open beside the database: the same ones for as long as this process has any connection,
/// since SQLite removes or recreates them only when nobody else has the database open.
#[derive(Debug)]
pub(super) struct Beside {
    files: [(DatabaseFile, PathBuf, Option<FileId>); 2],
}

impl Beside {
    pub(super) fn new(database: &Path) -> Self {
        let file = |file, suffix| (file, beside(database, suffix), None);
        Self { files: [file(DatabaseFile::Wal, "-wal"), file(DatabaseFile::Shm, "-shm")] }
    }

    /// The last connection of this process is closed: SQLite may give them to others, or remove them.
    pub(super) fn forget(&mut self) {
        for (_, _, id) in &mut self.files {
            *id = None;
        }
    }

    /// Renames our `-wal` file, if it is the one at its path, so that SQLite does not apply it to another database.
    fn set_wal_aside(&self) {
        let [(_, path, id), _] = &self.files;
        if id.is_none() || FileId::of(path).ok().flatten() != *id {
            return;
        }
        let aside = beside(path, ".orphaned");
        match fs::rename(path, &aside) {
            Ok(()) => {
                log::warn!(path:% = aside.display(); "the write-ahead log of the database that was here before is kept");
            }
            Err(error) => {
                log::warn!(
                    path:% = path.display();
                    "remove this file before the next start, it belongs to the database that was here before: {error}"
                );
            }
        }
    }

    /// Remembers the files that are there when SQLite has opened them; those that are remembered must still be there.
    pub(super) fn verify(&mut self) -> Result<(), DatabaseError> {
        for (file, path, id) in &mut self.files {
            match id {
                Some(id) => verify(path, *file, *id)?,
                None => *id = FileId::of(path)?,
            }
        }
        Ok(())
    }
}

impl Database {
    /// Fails, and does nothing any more, if a file that SQLite has open was removed or replaced. A few calls of `stat`. What was
    /// stored before is where nobody looks for it, so no offset may be committed after that.
    pub fn verify_files(&mut self) -> Result<(), DatabaseError> {
        self.refuse_lost()?;
        let result = self.file.verify().and_then(|()| match &self.connection {
            Some(_) => self.beside.verify(),
            None => Ok(()),
        });
        if let Err(DatabaseError::FileChanged(change)) = &result {
            self.abandon(change);
            self.lost = Some(change.clone());
        }
        result
    }

    /// Fails once [`verify_files`](Self::verify_files) has failed.
    pub(super) fn refuse_lost(&self) -> Result<(), DatabaseError> {
        self.lost.as_ref().map_or(Ok(()), |change| Err(DatabaseError::FileChanged(change.clone())))
    }

    /// Closes the database so that the next start finds files that belong together.
    fn abandon(&mut self, change: &FileChange) {
        match (change.file, change.replaced) {
            // A `-wal` file that is left beside another database would be applied to that one; without the file, what was in it
            // would be missing from ours.
            (DatabaseFile::Database, _) | (DatabaseFile::Wal, false) => {
                self.wal.close();
                // Beside our database, or none, it is where it belongs.
                if !self.empty_wal() && self.file.has_another_in_its_place() {
                    self.beside.set_wal_aside();
                }
            }
            // Another `-wal` file may hold older pages than those that a checkpoint would write now. Another `-shm` file may
            // have let others write beside us: SQLite recreates it from the `-wal` file.
            (DatabaseFile::Wal, true) | (DatabaseFile::Shm, _) => {}
        }
        self.give_up_connection();
    }

    /// Writes all that is in the `-wal` file into the database, wherever both are now; false if that is not possible.
    fn empty_wal(&self) -> bool {
        let Some(connection) = &self.connection else { return false };
        let busy: rusqlite::Result<bool> =
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
        matches!(busy, Ok(false))
    }
}
