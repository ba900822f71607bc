//! The database: the only place that opens SQLite, and the transactions in which everything takes effect.
//! Must not know Kafka, nor how a message is decoded.

mod apply;
mod batch;
mod checkpointer;
mod error;
mod events;
mod files;
mod lock;
mod open;
mod part;
mod reader;
mod replay;
mod schema;
mod sync_state;
pub mod tables;
mod trial;
mod wal;
mod written;

use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use apply::Unfinished;
pub use error::DatabaseError;
use error::{Doing, ensure_written};
use files::{Beside, Opened};
pub use files::{DatabaseFile, FileChange};
pub use lock::DatabaseLock;
pub use reader::{DatabaseReader, Summary};
pub use replay::{Rehearsal, Replay, Replayed, Understood};
pub use trial::try_to_store;
use wal::Wal;
use written::{Lost, Written};

use crate::settings::{DatabaseSettings, Synchronous};
use crate::storage::sqlite::tables::identity;
use crate::storage::sqlite::tables::offset::{self, StoredPosition};
use crate::storage::sqlite::tables::position_change::{self, PositionMove};
use crate::storage::sqlite::tables::unidentified::{self, StoredMessage};

/// The database, open for writing. After an error that may have spoiled the connection the next call opens a new one.
#[derive(Debug)]
pub struct Database {
    file: Opened,
    beside: Beside,
    /// A file that was removed or replaced while it was open: nothing is done any more.
    lost: Option<FileChange>,
    synchronous: Synchronous,
    group_id: String,
    id: String,
    /// Before the connection, so that its own is closed first: who closes the last one carries the log over.
    wal: Wal,
    connection: Option<Connection>,
    /// What the last [`apply`](Self::apply) left, if it failed.
    unfinished: Option<Unfinished>,
    /// The readings that the last [`move_positions`](Self::move_positions) would have begun, if that failed at its commit: SQLite can
    /// fail after it has written everything.
    uncertain_move: Option<i64>,
    /// What a connection that is opened again must find.
    written: Written,
}

impl Database {
    /// Opens the database. Makes the file, and its directory, if there is none; brings an older one up to date.
    pub fn open(settings: &DatabaseSettings, group_id: &str) -> Result<Self, DatabaseError> {
        let path = open::resolve(&settings.path, Some(settings.file_mode))?;
        let connection = open::open_writer(&path, settings.synchronous, settings.file_mode)?;
        Self::new(&path, connection, settings, group_id)
    }

    /// Opens a database that exists, beside the service that it belongs to.
    ///
    /// # Errors
    /// [`DatabaseError::Missing`] if there is none.
    pub fn open_existing(settings: &DatabaseSettings, group_id: &str) -> Result<Self, DatabaseError> {
        let path = open::resolve(&settings.path, None)?;
        open::refuse_missing(&path)?;
        let connection = open::open_existing_writer(&path, settings.synchronous)?;
        Self::new(&path, connection, settings, group_id)
    }

    fn new(
        path: &Path,
        mut connection: Connection,
        settings: &DatabaseSettings,
        group_id: &str,
    ) -> Result<Self, DatabaseError> {
        let id = read_id(&mut connection)?;
        open::sync_directory(path)?;
        let file = Opened::now(&settings.path, path)?;
        let mut beside = Beside::new(path);
        beside.verify()?;
        Ok(Self {
            wal: Wal::new(file.clone(), settings.wal_bytes_max),
            file,
            beside,
            lost: None,
            synchronous: settings.synchronous,
            group_id: group_id.to_owned(),
            id,
            connection: Some(connection),
            unfinished: None,
            uncertain_move: None,
            written: Written::default(),
        })
    }

    /// The database's id: random, made with the file.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The file, as an absolute path without links.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The position of one partition, if it has one.
    pub fn position(&mut self, topic: &str, partition: i32) -> Result<Option<StoredPosition>, DatabaseError> {
        self.read(|transaction, group_id| offset::find(transaction, group_id, topic, partition))
    }

    /// The group's positions, by topic and partition.
    pub fn positions(&mut self) -> Result<Vec<StoredPosition>, DatabaseError> {
        self.read(offset::all)
    }

    /// Whether any partition of the topic has a position, so that one without is new.
    pub fn knows_topic(&mut self, topic: &str) -> Result<bool, DatabaseError> {
        self.read(|transaction, group_id| offset::knows_topic(transaction, group_id, topic))
    }

    /// Puts positions somewhere else, their counters anew, and notes why; all of them or none.
    ///
    /// # Errors
    /// [`DatabaseError::PositionConflict`] if a position is not where the caller believed it to be.
    pub fn move_positions(&mut self, moves: &[PositionMove]) -> Result<(), DatabaseError> {
        if let Some(reading) = self.uncertain_move {
            let have_moved = self.have_moved(moves, reading)?;
            self.uncertain_move = None;
            if have_moved {
                self.note_moves(moves, reading);
                return Ok(());
            }
        }
        let mut written = None;
        let result = self.write(|transaction, group_id, now| {
            let reading = offset::next_reading(transaction).doing("move a position")?;
            for moved in moves {
                if !offset::put(transaction, group_id, moved, reading, now).doing("move a position")? {
                    let expected = (moved.from, moved.topic_id.as_str());
                    return Err(not_moved(transaction, group_id, (&moved.topic, moved.partition), expected));
                }
                let noted = position_change::insert(transaction, group_id, moved, now);
                ensure_written(noted.doing("note a change of position")?, "position_changes")?;
            }
            written = Some(reading);
            Ok(())
        });
        match (&result, written) {
            (Ok(()), Some(reading)) => self.note_moves(moves, reading),
            _ => self.uncertain_move = written,
        }
        result
    }

    fn note_moves(&mut self, moves: &[PositionMove], reading: i64) {
        for moved in moves {
            self.written.note_move(&moved.topic, moved.partition, reading, moved.to);
        }
    }

    /// Makes everything that took effect so far survive a power cut. To be called before an offset is committed to Kafka.
    ///
    /// # Errors
    /// [`DatabaseError::FileChanged`] if what was synced is no longer found under the database's name.
    pub fn sync_wal(&mut self) -> Result<(), DatabaseError> {
        self.refuse_lost()?;
        let synced = self.sync_without_verifying();
        self.verified(synced)
    }

    fn sync_without_verifying(&mut self) -> Result<(), DatabaseError> {
        if !self.wal.is_in_doubt() {
            return self.wal.sync();
        }
        self.give_up_connection();
        self.connect()?;
        let Some(connection) = &self.connection else { return Ok(()) };
        let result = self.wal.recover(connection);
        self.learn_from(result)
    }

    /// What came of a sync, and whether the files are still those that were opened. A file that was removed or replaced is the
    /// cause of a failure, where there is one.
    fn verified(&mut self, synced: Result<(), DatabaseError>) -> Result<(), DatabaseError> {
        match self.verify_files() {
            Err(changed @ DatabaseError::FileChanged(_)) => Err(changed),
            verified => synced.and(verified),
        }
    }

    /// Begins the same without waiting for the disk. `notify` is called when [`sync_ended`](Self::sync_ended) says what came of it,
    /// on another thread.
    pub fn begin_sync(&mut self, notify: impl FnOnce() + Send + 'static) -> Result<(), DatabaseError> {
        self.refuse_lost()?;
        if self.wal.is_in_doubt() {
            self.sync_without_verifying()?;
        }
        self.wal.begin_sync(notify)
    }

    /// What came of the sync that was begun last, once; `None` as long as it is under way. See [`sync_wal`](Self::sync_wal).
    pub fn sync_ended(&mut self) -> Option<Result<(), DatabaseError>> {
        let result = self.wal.sync_ended()?;
        Some(self.verified(result))
    }

    /// The unidentified messages after the one of that id; see [`unidentified::after`] for the bounds.
    pub(crate) fn unidentified_after(
        &mut self,
        id: i64,
        messages_max: u32,
        bytes_max: usize,
    ) -> Result<Vec<StoredMessage>, DatabaseError> {
        self.read(|transaction, _| unidentified::after(transaction, id, messages_max, bytes_max))
    }

    /// The ids of unidentified messages after the one of that id, by where they lay and when they were kept; see
    /// [`unidentified::find_after`].
    pub(crate) fn find_unidentified_after(
        &mut self,
        id: i64,
        place: (&str, i32, i64),
        received_at: &str,
    ) -> Result<Vec<i64>, DatabaseError> {
        self.read(|transaction, _| unidentified::find_after(transaction, id, place, received_at))
    }

    /// The id of the last unidentified message that is in the log file.
    pub(crate) fn unidentified_log_cursor(&mut self) -> Result<i64, DatabaseError> {
        self.read(|transaction, _| unidentified::log_cursor(transaction))
    }

    /// Notes that the unidentified messages up to that id are in the log file.
    pub(crate) fn set_unidentified_log_cursor(&mut self, last_id: i64) -> Result<(), DatabaseError> {
        self.write(|transaction, _, _| {
            let noted = unidentified::set_log_cursor(transaction, last_id);
            ensure_written(noted.doing("note how far the log of unidentified messages is")?, "unidentified_log_cursor")
        })
    }

    fn bound_wal(&mut self) -> Result<(), DatabaseError> {
        if self.wal.is_in_doubt() && self.wal.must_shrink()? {
            match self.sync_wal() {
                Err(DatabaseError::NotSynced { .. }) if !self.wal.is_full()? => {}
                result => result?,
            }
        }
        self.connect()?;
        let Some(connection) = &self.connection else { return Ok(()) };
        let result = self.wal.keep_bounded(connection);
        self.learn_from(result)
    }

    /// Whether the moves were made that would have begun those readings. The offsets do not tell: a position can be moved to where it is.
    fn have_moved(&mut self, moves: &[PositionMove], reading: i64) -> Result<bool, DatabaseError> {
        for moved in moves {
            let stored = self.position(&moved.topic, moved.partition)?;
            if stored.is_none_or(|stored| (stored.reading, stored.next_offset) != (reading, moved.to)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// One write transaction: given the group and the time, committed unless it fails.
    fn write<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, &str, &str) -> Result<T, DatabaseError>,
    ) -> Result<T, DatabaseError> {
        let (connection, group_id) = self.connect()?;
        let result = write(connection, group_id, work);
        self.learn_from(result)
    }

    /// One read transaction: all it sees is of one moment.
    fn read<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>, &str) -> rusqlite::Result<T>,
    ) -> Result<T, DatabaseError> {
        let (connection, group_id) = self.connect()?;
        let result = connection.transaction().and_then(|transaction| work(&transaction, group_id));
        self.learn_from(result.doing("read the database"))
    }

    /// The connection, opened anew if the last one was dropped, and the group.
    fn connect(&mut self) -> Result<(&mut Connection, &str), DatabaseError> {
        self.refuse_lost()?;
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.reopen()?,
        };
        Ok((self.connection.insert(connection), &self.group_id))
    }

    fn reopen(&mut self) -> Result<Connection, DatabaseError> {
        // A database that is away is waited for; another one must not get the content of our `-wal` file.
        if self.file.is_replaced() {
            self.verify_files()?;
        }
        let path = self.file.path();
        let mut connection = open::open_existing_writer(path, self.synchronous)?;
        let found = read_id(&mut connection)?;
        if found != self.id {
            return Err(DatabaseError::Replaced { path: path.to_owned(), expected: self.id.clone(), found });
        }
        let positions = connection.transaction().and_then(|transaction| offset::all(&transaction, &self.group_id));
        if let Some(Lost { topic, partition, expected, found }) =
            self.written.find_lost(&positions.doing("read positions")?)
        {
            return Err(DatabaseError::Lost { path: path.to_owned(), topic, partition, expected, found });
        }
        open::sync_directory(path)?;
        self.verify_files()?;
        self.beside.verify()?;
        Ok(connection)
    }

    /// Passes a result on, and draws the consequences of an error for the next call.
    fn learn_from<T>(&mut self, result: Result<T, DatabaseError>) -> Result<T, DatabaseError> {
        if let Err(error) = &result {
            if error.is_disk_full() {
                self.wal.note_disk_full();
            }
            if error.is_io_failure() {
                self.wal.note_io_failure();
            }
            if error.spoils_connection() {
                self.give_up_connection();
            }
        }
        result
    }

    fn give_up_connection(&mut self) {
        if let Some(connection) = self.connection.take() {
            open::close_as_it_is(connection);
        }
        self.wal.close();
        self.beside.forget();
    }
}

fn write<T>(
    connection: &mut Connection,
    group_id: &str,
    work: impl FnOnce(&Transaction<'_>, &str, &str) -> Result<T, DatabaseError>,
) -> Result<T, DatabaseError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).doing("begin to write")?;
    let now = now(&transaction).doing("read the clock")?;
    let done = work(&transaction, group_id, &now)?;
    transaction.commit().doing("commit")?;
    Ok(done)
}

/// The present time as every table spells it: RFC 3339, UTC, milliseconds.
fn now(transaction: &Transaction<'_>) -> rusqlite::Result<String> {
    transaction.prepare_cached("SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now')")?.query_row([], |row| row.get(0))
}

fn read_id(connection: &mut Connection) -> Result<String, DatabaseError> {
    connection.transaction().and_then(|transaction| identity::find(&transaction)).doing("read the database's id")
}

/// Why a position was not moved from where the caller believed it to be.
fn not_moved(
    transaction: &Transaction<'_>,
    group_id: &str,
    (topic, partition): (&str, i32),
    (offset, topic_id): (Option<i64>, &str),
) -> DatabaseError {
    let stored = match offset::find(transaction, group_id, topic, partition) {
        Err(source) => return DatabaseError::Sqlite { action: "read a position", source },
        Ok(stored) => stored.map(|stored| (stored.next_offset, stored.topic_id)),
    };
    let is_same_topic = |other: &str| other == topic_id || other.is_empty() || topic_id.is_empty();
    match &stored {
        None if offset.is_none() => DatabaseError::NotWritten { table: "consumer_offsets" },
        Some((next_offset, id)) if Some(*next_offset) == offset && is_same_topic(id) => {
            DatabaseError::NotWritten { table: "consumer_offsets" }
        }
        _ => DatabaseError::PositionConflict {
            topic: topic.to_owned(),
            partition,
            expected: (offset, topic_id.to_owned()),
            stored,
        },
    }
}

/// SQLite checkpoints and removes the log when its last connection is closed, which must not happen after a failed sync: a power cut
/// in the middle would leave pages of two times, and no log to repair them.
impl Drop for Database {
    fn drop(&mut self) {
        if self.wal.is_in_doubt() {
            self.give_up_connection();
        }
    }
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;
