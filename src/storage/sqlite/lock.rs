//! The locks that let only one service use a database: one of a lock file next to it, one of the database file itself, so that neither a
//! removed lock file nor another name of the database allows a second service. Must not open SQLite.
//!
//! Any process that can open a file can hold an advisory lock on it. So only its owner can open the lock file. The database may be
//! readable by a group (`FILE_MODE`), and a reader can hold a read lock, which blocks a write lock; but only a process that can write the
//! database can hold a write lock. So a read lock never counts as another service.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::{self, off_t};

use super::error::SqliteError;
use super::open::create_file;
use super::paths::{resolve, side_file};
use crate::runtime::permissions::{self, FileMode};

/// Mode of the lock file, whatever `FILE_MODE` says.
const LOCK_FILE_MODE: u32 = 0o600;

/// The byte of the database file that is locked: after SQLite's own lock bytes
/// ([`PENDING_BYTE`](https://www.sqlite.org/fileformat2.html#the_lock_byte_page) and the next 511) and after the last byte of the largest
/// database.
const LOCKED_BYTE: off_t = 1 << 62;

/// How often the lock of the database file is tried while other processes take and release read locks.
const LOCK_ATTEMPTS_MAX: u32 = 3;

/// The locks of a service, from before it opens the database until its process ends. Readers need none.
///
/// The database file stays open as long, so that its inode number is not given to another file. Must be dropped after the last connection:
/// closing any file of the database releases SQLite's own locks
/// (<https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_>).
#[derive(Debug)]
pub struct DatabaseLock {
    _lock_file: File,
    _database: File,
    path: PathBuf,
}

impl DatabaseLock {
    /// The lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The lock file of a database, which need not exist.
    ///
    /// # Errors
    /// [`SqliteError::Io`] if the database's path cannot be resolved.
    pub(in crate::storage) fn path_of(database: &Path) -> Result<PathBuf, SqliteError> {
        Ok(side_file(&resolve(database, None)?, ".lock"))
    }

    /// Takes the lock of the file `<database>.lock`, which is not removed afterwards, and that of the database file. Creates both files and
    /// the directory if they do not exist.
    ///
    /// # Errors
    /// [`SqliteError::LockHeld`] if another process has one of them.
    pub(in crate::storage) fn acquire(database: &Path, mode: FileMode) -> Result<Self, SqliteError> {
        let database = resolve(database, Some(mode))?;
        let path = side_file(&database, ".lock");
        let lock_file = lock_by_name(&path)?;
        let database_file = create_file(&database, mode)?;
        lock_by_inode(&database_file, &database)?;
        Ok(Self { _lock_file: lock_file, _database: database_file, path })
    }
}

fn lock_by_name(path: &Path) -> Result<File, SqliteError> {
    let failed = |action, source: io::Error| SqliteError::Io { action, path: path.to_owned(), source };
    let file = permissions::open(path, OpenOptions::new().append(true), LOCK_FILE_MODE)
        .map_err(|source| failed("open the lock file", source))?;
    // An older version created it with the umask's mode. If another user owns it, the mode stays.
    let _ = file.set_permissions(Permissions::from_mode(LOCK_FILE_MODE));
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(SqliteError::LockHeld { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed("lock", source)),
    }
}

/// An [open file description lock](https://man7.org/linux/man-pages/man2/fcntl_locking.2.html): it belongs to this open file, not to
/// the process as SQLite's locks do, and ends with it.
fn lock_by_inode(file: &File, path: &Path) -> Result<(), SqliteError> {
    for _ in 0..LOCK_ATTEMPTS_MAX {
        match fcntl(file, FcntlArg::F_OFD_SETLK(&lock(libc::F_WRLCK))) {
            Ok(_) => return Ok(()),
            Err(Errno::EAGAIN | Errno::EACCES) => {}
            Err(error @ (Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP)) => {
                log::warn!(
                    path:% = path.display();
                    "the file system has no open file description locks ({error}): only the lock file prevents a second service"
                );
                return Ok(());
            }
            Err(error) => {
                return Err(SqliteError::Io { action: "lock", path: path.to_owned(), source: error.into() });
            }
        }
        // If a read lock would be refused too, another process has a write lock.
        let mut found = lock(libc::F_RDLCK);
        let result = fcntl(file, FcntlArg::F_OFD_GETLK(&mut found));
        if result.is_err() || i32::from(found.l_type) != libc::F_UNLCK {
            return Err(SqliteError::LockHeld { path: path.to_owned() });
        }
    }
    log::warn!(
        path:% = path.display();
        "a reader of the database blocks the lock of its file: only the lock file prevents a second service"
    );
    Ok(())
}

fn lock(kind: libc::c_int) -> libc::flock {
    libc::flock {
        // F_RDLCK, F_WRLCK and F_UNLCK are 0 to 2; SEEK_SET is 0.
        l_type: kind.try_into().unwrap_or_default(),
        l_whence: 0,
        l_start: LOCKED_BYTE,
        l_len: 1,
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_database_itself_is_locked_under_every_name() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().canonicalize().unwrap().join(name);
        let lock = DatabaseLock::acquire(&at("a.db"), FileMode::Owner).unwrap();
        fs::create_dir(at("other")).unwrap();
        fs::hard_link(at("a.db"), at("other/b.db")).unwrap();
        let held = |name: &str| match DatabaseLock::acquire(&at(name), FileMode::Owner) {
            Err(SqliteError::LockHeld { path }) => path,
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(held("a.db"), at("a.db.lock"));
        assert_eq!(held("other/b.db"), at("other/b.db"));
        fs::remove_file(at("a.db.lock")).unwrap();
        assert_eq!(held("a.db"), at("a.db"));
        drop(lock);
        DatabaseLock::acquire(&at("other/b.db"), FileMode::Owner).unwrap();
    }

    #[test]
    fn a_read_lock_does_not_count() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a.db");
        drop(DatabaseLock::acquire(&path, FileMode::Group).unwrap());
        let reader = File::open(&path).unwrap();
        let read_lock = super::lock(libc::F_RDLCK);
        fcntl(&reader, FcntlArg::F_OFD_SETLK(&read_lock)).unwrap();
        assert_eq!(
            fcntl(&reader, FcntlArg::F_OFD_SETLK(&super::lock(libc::F_WRLCK))),
            Err(Errno::EBADF),
            "a write lock needs permission to write"
        );
        reader.try_lock().unwrap();
        DatabaseLock::acquire(&path, FileMode::Group).expect("neither lock counts");
    }

    #[test]
    fn only_its_owner_can_open_the_lock_file() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a.db");
        let lock_path = place.path().join("a.db.lock");
        let mode = || fs::metadata(&lock_path).unwrap().permissions().mode() & 0o777;
        drop(DatabaseLock::acquire(&path, FileMode::Group).unwrap());
        assert_eq!(mode(), 0o600);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        fs::set_permissions(&lock_path, Permissions::from_mode(0o644)).unwrap();
        drop(DatabaseLock::acquire(&path, FileMode::Group).unwrap());
        assert_eq!(mode(), 0o600, "of an older version");
    }
}
