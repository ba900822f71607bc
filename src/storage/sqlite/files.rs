//! Which files SQLite has open, by device and inode, and whether their paths still lead to them. In WAL mode SQLite itself continues to
//! write into files that were removed or replaced
//! (<https://www.sqlite.org/howtocorrupt.html#_unlinking_or_renaming_a_database_file_while_in_use>). Must not open any of them.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::SqliteError;
use super::file_change::{DatabaseFile, FileChange};
use super::paths::side_file;

/// A file, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// `None` if there is no file.
    fn of(path: &Path) -> Result<Option<Self>, SqliteError> {
        match fs::metadata(path) {
            Ok(metadata) => Ok(Some(Self { device: metadata.dev(), inode: metadata.ino() })),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(source) => Err(SqliteError::Io { action: "read the metadata of", path: path.to_owned(), source }),
        }
    }
}

/// The database file that was opened.
#[derive(Clone, Debug)]
pub(super) struct OpenedFile {
    /// As the settings name it, which may be a link.
    named: PathBuf,
    /// Absolute, without links.
    path: PathBuf,
    id: FileId,
}

impl OpenedFile {
    /// The file that is at both paths now.
    pub(super) fn now(named: &Path, path: &Path) -> Result<Self, SqliteError> {
        let missing = || SqliteError::Missing { path: path.to_owned() };
        let opened =
            Self { named: named.to_owned(), path: path.to_owned(), id: FileId::of(path)?.ok_or_else(missing)? };
        opened.verify()?;
        Ok(opened)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Fails if the database is no longer found under its names.
    pub(super) fn verify(&self) -> Result<(), SqliteError> {
        verify(&self.path, DatabaseFile::Database, self.id)?;
        verify(&self.named, DatabaseFile::Database, self.id)
    }

    /// Whether another file is at the resolved path, whatever the links to it are.
    pub(super) fn has_another_in_its_place(&self) -> bool {
        FileId::of(&self.path).ok().flatten().is_some_and(|found| found != self.id)
    }

    /// Whether the path leads to another database now.
    pub(super) fn is_replaced(&self) -> bool {
        matches!(self.verify(), Err(SqliteError::FileChanged(FileChange { replaced: true, .. })))
    }
}

fn verify(path: &Path, file: DatabaseFile, expected: FileId) -> Result<(), SqliteError> {
    let found = FileId::of(path)?;
    if found == Some(expected) {
        return Ok(());
    }
    Err(SqliteError::FileChanged(FileChange { path: path.to_owned(), file, replaced: found.is_some() }))
}

/// The `-wal` and `-shm` files that a connection has open. They are the same as long as this process has any connection: SQLite removes or
/// recreates them only when no other connection has the database open.
#[derive(Debug)]
pub(super) struct SideFiles {
    wal: SideFile,
    shm: SideFile,
}

#[derive(Debug)]
struct SideFile {
    file: DatabaseFile,
    path: PathBuf,
    /// `None` if no connection has it open.
    id: Option<FileId>,
}

impl SideFiles {
    pub(super) fn new(database: &Path) -> Self {
        let file = |file, suffix| SideFile { file, path: side_file(database, suffix), id: None };
        Self { wal: file(DatabaseFile::Wal, "-wal"), shm: file(DatabaseFile::Shm, "-shm") }
    }

    /// Forgets the files, after the last connection of this process was closed: another process may recreate or remove them.
    pub(super) fn forget(&mut self) {
        self.wal.id = None;
        self.shm.id = None;
    }

    /// Renames the `-wal` file that was opened, if it is still at its path, so that SQLite does not apply it to another database.
    pub(super) fn rename_wal(&self) {
        let SideFile { path, id, .. } = &self.wal;
        if id.is_none() || FileId::of(path).ok().flatten() != *id {
            return;
        }
        let aside = side_file(path, ".orphaned");
        match fs::rename(path, &aside) {
            Ok(()) => {
                log::warn!(path:% = aside.display(); "the WAL of the replaced database was renamed");
            }
            Err(error) => {
                log::warn!(
                    path:% = path.display();
                    "remove this WAL before the next start, it belongs to the replaced database: {error}"
                );
            }
        }
    }

    /// Remembers the files once SQLite has opened them; fails if a remembered file is no longer at its path.
    pub(super) fn verify(&mut self) -> Result<(), SqliteError> {
        for SideFile { file, path, id } in [&mut self.wal, &mut self.shm] {
            match id {
                Some(id) => verify(path, *file, *id)?,
                None => *id = FileId::of(path)?,
            }
        }
        Ok(())
    }
}
