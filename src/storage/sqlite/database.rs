//! The writer's connection: opens it, opens it again after an error, runs its transactions, and checks that the files are still those that
//! were opened. Must not know what a transaction holds.

use std::path::Path;

use nix::sys::statvfs::statvfs;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::committed::{CommittedPositions, LostPosition};
use super::error::{Context, SqliteError};
use super::file_change::{DatabaseFile, FileChange};
use super::files::{OpenedFile, SideFiles};
use super::growth::Growth;
use super::open;
use super::paths::{self, sync_directory};
use super::tables::now::now;
use super::tables::{identity, offset};
use super::wal::Wal;
use crate::settings::{DatabaseSettings, Synchronous};
use crate::storage::statistics::DatabaseSizes;

/// The database, open for writing. After an error that may have made the connection unusable the next call opens a new one.
#[derive(Debug)]
pub(crate) struct Database {
    file: OpenedFile,
    side_files: SideFiles,
    /// A file that was removed or replaced while it was open. Every call fails from then on.
    lost: Option<FileChange>,
    synchronous: Synchronous,
    pub(super) group_id: String,
    id: String,
    /// Before the connection, so that the checkpoint thread's connection is closed first: closing the last connection checkpoints.
    pub(super) wal: Wal,
    pub(super) connection: Option<Connection>,
    /// What a connection that is opened again must find.
    pub(super) committed: CommittedPositions,
    pub(super) growth: Growth,
}

impl Database {
    /// Opens the database. Creates the file and its directory if there are none; migrates an older one.
    pub(in crate::storage) fn open(settings: &DatabaseSettings, group_id: &str) -> Result<Self, SqliteError> {
        let path = paths::resolve(&settings.path, Some(settings.file_mode))?;
        let connection = open::open_writer(&path, settings.synchronous, settings.file_mode)?;
        Self::new(&path, connection, settings, group_id)
    }

    /// Opens an existing database, which a running service may have open too.
    ///
    /// # Errors
    /// [`SqliteError::Missing`] if there is none.
    pub(in crate::storage) fn open_existing(settings: &DatabaseSettings, group_id: &str) -> Result<Self, SqliteError> {
        let path = paths::resolve(&settings.path, None)?;
        open::refuse_missing(&path)?;
        let connection = open::open_existing_writer(&path, settings.synchronous)?;
        Self::new(&path, connection, settings, group_id)
    }

    fn new(
        path: &Path,
        mut connection: Connection,
        settings: &DatabaseSettings,
        group_id: &str,
    ) -> Result<Self, SqliteError> {
        let id = read_id(&mut connection)?;
        sync_directory(path)?;
        let file = OpenedFile::now(&settings.path, path)?;
        let mut side_files = SideFiles::new(path);
        side_files.verify()?;
        let growth = Growth::new(settings.cache_bytes_max);
        growth.set_cache(&connection)?;
        Ok(Self {
            wal: Wal::new(file.clone(), settings.wal_bytes_max),
            file,
            side_files,
            lost: None,
            synchronous: settings.synchronous,
            group_id: group_id.to_owned(),
            id,
            connection: Some(connection),
            committed: CommittedPositions::default(),
            growth,
        })
    }

    /// The database's id.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The sizes of the database's files, and the free space of their file system.
    pub(super) fn sizes(&self) -> Result<DatabaseSizes, SqliteError> {
        let path = self.file.path();
        let failed = |source| SqliteError::Io { action: "read the metadata of", path: path.to_owned(), source };
        let database_bytes = std::fs::metadata(path).map_err(failed)?.len();
        let space = statvfs(path).map_err(|error| failed(error.into()))?;
        let free_bytes = space.blocks_available().saturating_mul(space.fragment_size());
        Ok(DatabaseSizes { database_bytes, wal_bytes: self.wal.bytes()?, free_bytes })
    }

    /// Fails, now and in every later call, if a file that SQLite has open was removed or replaced. Costs a few calls of `stat`. What was
    /// stored since then is in files that the next start does not open, so no offset may be committed after that.
    pub(super) fn check_identity(&mut self) -> Result<(), SqliteError> {
        self.refuse_lost()?;
        let result = self.file.verify().and_then(|()| match &self.connection {
            Some(_) => self.side_files.verify(),
            None => Ok(()),
        });
        if let Err(SqliteError::FileChanged(change)) = &result {
            self.close_changed_files(change);
            self.lost = Some(change.clone());
        }
        result
    }

    /// Fails once [`check_identity`](Self::check_identity) has failed.
    pub(super) fn refuse_lost(&self) -> Result<(), SqliteError> {
        self.lost.as_ref().map_or(Ok(()), |change| Err(SqliteError::FileChanged(change.clone())))
    }

    /// Runs a write transaction: `work` gets the group and the present time. Commits unless `work` fails.
    pub(super) fn write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, &str, &str) -> Result<T, SqliteError>,
    ) -> Result<T, SqliteError> {
        let (connection, group_id) = self.connect()?;
        let result = write(connection, group_id, work);
        self.note_failure(result)
    }

    /// Runs a read transaction, which sees the database as of one moment.
    pub(super) fn read<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, &str) -> rusqlite::Result<T>,
    ) -> Result<T, SqliteError> {
        let (connection, group_id) = self.connect()?;
        let result = connection.transaction().and_then(|transaction| work(&transaction, group_id));
        self.note_failure(result.context("read the database"))
    }

    /// The connection, opened again if the last one was discarded, and the group.
    pub(super) fn connect(&mut self) -> Result<(&mut Connection, &str), SqliteError> {
        self.refuse_lost()?;
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.reopen()?,
        };
        Ok((self.connection.insert(connection), &self.group_id))
    }

    /// Passes a result on. An error decides what the next call does first: shrink or recover the WAL, open a new connection.
    pub(super) fn note_failure<T>(&mut self, result: Result<T, SqliteError>) -> Result<T, SqliteError> {
        if let Err(error) = &result {
            if error.is_disk_full() {
                self.wal.note_disk_full();
            }
            if error.is_io_failure() {
                self.wal.note_io_failure();
            }
            if error.spoils_connection() {
                self.discard_connection();
            }
        }
        result
    }

    /// Closes every connection of this process without a checkpoint.
    pub(super) fn discard_connection(&mut self) {
        if let Some(connection) = self.connection.take() {
            open::close_without_checkpoint(connection);
        }
        self.wal.close();
        self.side_files.forget();
    }

    fn reopen(&mut self) -> Result<Connection, SqliteError> {
        // A missing database may come back. Another database at the path must not get the content of our `-wal` file.
        if self.file.is_replaced() {
            self.check_identity()?;
        }
        let path = self.file.path();
        let mut connection = open::open_existing_writer(path, self.synchronous)?;
        self.growth.set_cache(&connection)?;
        let found = read_id(&mut connection)?;
        if found != self.id {
            return Err(SqliteError::Replaced { path: path.to_owned(), expected: self.id.clone(), found });
        }
        let positions = connection.transaction().and_then(|transaction| offset::all(&transaction, &self.group_id));
        if let Some(LostPosition { topic, partition, expected, found }) =
            self.committed.find_lost(&positions.context("read positions")?)
        {
            return Err(SqliteError::Lost { path: path.to_owned(), topic, partition, expected, found });
        }
        sync_directory(path)?;
        self.check_identity()?;
        self.side_files.verify()?;
        Ok(connection)
    }

    /// Closes the database after one of its files was removed or replaced, so that the next start finds files that belong together.
    fn close_changed_files(&mut self, change: &FileChange) {
        match (change.file, change.replaced) {
            // SQLite would apply a `-wal` file that is left to whatever database is at the path. If the `-wal` file was removed, its content
            // would be missing from the database.
            (DatabaseFile::Database, _) | (DatabaseFile::Wal, false) => {
                self.wal.close();
                if !self.truncate_wal() && self.file.has_another_in_its_place() {
                    self.side_files.rename_wal();
                }
            }
            // Another `-wal` file may hold older pages than a checkpoint would write now. Another `-shm` file may have let other processes
            // write at the same time; SQLite recreates it from the `-wal` file.
            (DatabaseFile::Wal, true) | (DatabaseFile::Shm, _) => {}
        }
        self.discard_connection();
    }

    /// Checkpoints the whole WAL into the database file, wherever both are now. False if that fails.
    fn truncate_wal(&self) -> bool {
        let Some(connection) = &self.connection else { return false };
        let busy: rusqlite::Result<bool> =
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
        matches!(busy, Ok(false))
    }
}

/// SQLite checkpoints and removes the WAL when its last connection is closed, which must not happen after a failed sync: a power cut
/// during that checkpoint would leave pages of two states of the database, and no WAL to repair them.
impl Drop for Database {
    fn drop(&mut self) {
        if !self.wal.is_trusted() {
            self.discard_connection();
        }
    }
}

fn write<T>(
    connection: &mut Connection,
    group_id: &str,
    work: impl FnOnce(&Transaction<'_>, &str, &str) -> Result<T, SqliteError>,
) -> Result<T, SqliteError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).context("begin to write")?;
    let now = now(&transaction).context("read the clock")?;
    let done = work(&transaction, group_id, &now)?;
    transaction.commit().context("commit")?;
    Ok(done)
}

fn read_id(connection: &mut Connection) -> Result<String, SqliteError> {
    connection.transaction().and_then(|transaction| identity::find(&transaction)).context("read the database's id")
}
