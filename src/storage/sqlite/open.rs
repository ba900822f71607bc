//! Opens SQLite: refuses files of other programs and sets the pragmas. Must not know what the tables hold.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, FileControl, OpenFlags};

use super::error::{Context, SqliteError};
use super::files::OpenedFile;
use super::paths::side_file;
use super::schema::{SCHEMA, stored_version};
use super::tables::tally;
use super::wal_file::wal_bytes;
use crate::runtime::permissions::{self, FileMode};
use crate::settings::Synchronous;

/// `PRAGMA application_id` of our files, as `schema.sql` sets it
/// ([SQLite's file format](https://www.sqlite.org/fileformat2.html#application_id)).
const APPLICATION_ID: u32 = 0x454e_434e;

/// The first bytes of every [SQLite file](https://www.sqlite.org/fileformat2.html#the_database_header).
const MAGIC: &[u8] = b"SQLite format 3\0";
const HEADER_BYTES: u64 = 100;
/// The bytes 68 to 71 of the file.
const APPLICATION_ID_AFTER_MAGIC: Range<usize> = 52..56;

/// How long SQLite itself waits for a lock. Short, because the caller retries with backoff and can be stopped in between.
const BUSY_TIMEOUT: Duration = Duration::from_millis(300);

/// The size that SQLite truncates the `-wal` file to when it restarts it, in bytes: as much as it needs until the next restart.
const JOURNAL_SIZE_LIMIT_BYTES: u32 = 64 << 20;

/// Prepared statements that a connection caches: all that this program has.
const STATEMENTS_KEPT: usize = 64;

/// Opens for writing. Creates the file if there is none; migrates an older one.
pub(super) fn open_writer(path: &Path, synchronous: Synchronous, mode: FileMode) -> Result<Connection, SqliteError> {
    refuse_foreign(path)?;
    if !path.exists() {
        // SQLite would create it with the umask's mode; it gives its other files the mode of this one
        // (`findCreateFileMode` in <https://sqlite.org/src/file/src/os_unix.c>).
        create_file(path, mode)?;
    }
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Before WAL mode, so that the header with the application id is in the database file itself.
    SCHEMA.migrate(&mut connection, path)?;
    set_up_writer(&connection, path, synchronous)?;
    Ok(connection)
}

/// Opens an existing database of the present version for writing.
pub(super) fn open_existing_writer(path: &Path, synchronous: Synchronous) -> Result<Connection, SqliteError> {
    refuse_foreign(path)?;
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    refuse_read_only(&connection, path)?;
    SCHEMA.refuse_other(stored_version(&connection)?, path)?;
    set_up_writer(&connection, path, synchronous)?;
    Ok(connection)
}

/// Opens a second connection to the database that this process has open, for checkpoints. Another database at that path must not get the
/// content of this `-wal` file.
pub(super) fn open_second(opened: &OpenedFile) -> Result<Connection, SqliteError> {
    opened.verify()?;
    let connection = connect(opened.path(), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    opened.verify()?;
    keep_wal(&connection)?;
    // SQLite opens the WAL with the first read.
    stored_version(&connection)?;
    Ok(connection)
}

/// Creates an empty database file if there is none, with its mode; opens it.
pub(super) fn create_file(path: &Path, mode: FileMode) -> Result<File, SqliteError> {
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(SqliteError::Foreign { path: path.to_owned(), found: "not a regular file" });
    }
    let opened = permissions::open(path, OpenOptions::new().read(true).write(true), mode.file());
    opened.map_err(|source| match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem if path.exists() => {
            SqliteError::ReadOnly { path: path.to_owned() }
        }
        _ => SqliteError::Io { action: "open the database file", path: path.to_owned(), source },
    })
}

/// Closes a connection without a checkpoint: SQLite would make one without reporting whether it failed.
pub(super) fn close_without_checkpoint(connection: Connection) {
    // If that fails too, SQLite makes the checkpoint.
    let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
    drop(connection);
}

/// Opens for reading, whether a service runs or not, and without permission to write.
pub(super) fn open_reader(path: &Path) -> Result<Connection, SqliteError> {
    refuse_missing(path)?;
    refuse_foreign(path)?;
    let opened = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(|connection| {
        let version = stored_version(&connection)?;
        Ok((connection, version))
    });
    let (connection, version) = match opened {
        // A database in WAL mode needs its `-shm` file. A process that cannot create it can only read the database file, without its WAL:
        // https://www.sqlite.org/wal.html#read_only_databases.
        Err(SqliteError::Sqlite { source, .. })
            if matches!(source.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly)) =>
        {
            let wal = side_file(path, "-wal");
            if wal_bytes(&wal)? > 0 {
                return Err(SqliteError::WalNotReadable { path: wal, source });
            }
            let connection = connect_immutable(path)?;
            let version = stored_version(&connection)?;
            (connection, version)
        }
        opened => opened?,
    };
    SCHEMA.refuse_other(version, path)?;
    Ok(connection)
}

/// Fails if there is no file.
pub(super) fn refuse_missing(path: &Path) -> Result<(), SqliteError> {
    if path.exists() { Ok(()) } else { Err(SqliteError::Missing { path: path.to_owned() }) }
}

/// Fails unless the file is a database of this program, empty or absent, as its header says. Only the application id can be trusted, which
/// the transaction that creates the tables writes and no other one changes. A crash during a checkpoint leaves pages of two states of the
/// database, and a header that counts more pages than there are.
///
/// Not for a process that has the database open: closing a file releases all locks that the process holds on it
/// (<https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_>).
fn refuse_foreign(path: &Path) -> Result<(), SqliteError> {
    let foreign = |found| Err(SqliteError::Foreign { path: path.to_owned(), found });
    let failed = |source| SqliteError::Io { action: "read the header of", path: path.to_owned(), source };
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(failed(source)),
        Ok(metadata) if !metadata.is_file() => return foreign("not a regular file"),
        Ok(_) => {}
    }
    let mut header = Vec::new();
    File::open(path).and_then(|file| file.take(HEADER_BYTES).read_to_end(&mut header)).map_err(failed)?;
    let application_id = header.strip_prefix(MAGIC).and_then(|rest| rest.get(APPLICATION_ID_AFTER_MAGIC));
    match application_id {
        Some(id) if id == APPLICATION_ID.to_be_bytes() => Ok(()),
        Some(_) => foreign("the database of another program"),
        None if header.is_empty() => Ok(()),
        // A crash while it was created: SQLite rolls that back to an empty file.
        None if header.iter().all(|&byte| byte == 0) && side_file(path, "-journal").exists() => Ok(()),
        None => foreign("not an SQLite database"),
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, SqliteError> {
    let connection =
        Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).context("open the database")?;
    connection.busy_timeout(BUSY_TIMEOUT).context("set the busy timeout")?;
    Ok(connection)
}

/// See <https://www.sqlite.org/uri.html#uriimmutable>.
fn connect_immutable(path: &Path) -> Result<Connection, SqliteError> {
    let mut uri = b"file:".to_vec();
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'%' => uri.extend(b"%25"),
            b'?' => uri.extend(b"%3f"),
            b'#' => uri.extend(b"%23"),
            _ => uri.push(byte),
        }
    }
    uri.extend(b"?immutable=1");
    let uri = PathBuf::from(OsString::from_vec(uri));
    connect(&uri, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI)
}

/// SQLite opens a file read-only if it has no permission to write, and would stay read-only when it gets the permission.
fn refuse_read_only(connection: &Connection, path: &Path) -> Result<(), SqliteError> {
    if connection.is_readonly("main").context("open the database")? {
        return Err(SqliteError::ReadOnly { path: path.to_owned() });
    }
    Ok(())
}

fn set_up_writer(connection: &Connection, path: &Path, synchronous: Synchronous) -> Result<(), SqliteError> {
    refuse_read_only(connection, path)?;
    if switch_to_wal(connection).context("switch to WAL mode")? != ["wal"] {
        return Err(SqliteError::NoWal { path: path.to_owned() });
    }
    keep_wal(connection)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    tally::register(connection).context("set up the connection")?;
    // No temporary files: a container may have no directory for them. No memory map: an I/O error would be a signal.
    connection
        .execute_batch(&format!(
            "PRAGMA synchronous = {};
             PRAGMA temp_store = MEMORY;
             PRAGMA mmap_size = 0;
             PRAGMA wal_autocheckpoint = 0;
             PRAGMA journal_size_limit = {JOURNAL_SIZE_LIMIT_BYTES};",
            match synchronous {
                Synchronous::Normal => "NORMAL",
                Synchronous::Full => "FULL",
            }
        ))
        .context("set up the connection")
}

/// Closing the last connection truncates the `-wal` file and keeps it, with the `-shm` file, instead of removing both: a reader without
/// permission to create them needs them (<https://www.sqlite.org/wal.html#read_only_databases>,
/// [`SQLITE_FCNTL_PERSIST_WAL`](https://www.sqlite.org/c3ref/c_fcntl_begin_atomic_write.html)).
fn keep_wal(connection: &Connection) -> Result<(), SqliteError> {
    let mut on = 1;
    connection.file_control(Some("main"), FileControl::PersistWal(&mut on)).context("make the WAL persistent")
}

/// Switches to WAL mode; gives the mode that SQLite reports. All rows are read, as SQLite commits the switch after the last one.
fn switch_to_wal(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    connection.prepare("PRAGMA journal_mode = WAL")?.query_map([], |row| row.get(0))?.collect()
}
