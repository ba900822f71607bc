//! What the machine does to a database file: its file system, its names, and the permission to write it. Must not open SQLite.

use std::error::Error;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::paths::side_file;
use crate::runtime::durable_fs;
use crate::runtime::permissions::FileMode;
use crate::runtime::probe::{self, ProbeError};
use crate::settings::DatabaseSettings;
use crate::storage::error::{ErrorKind, StorageError};

/// The files that SQLite creates, by what follows the database's path ([temporary files](https://www.sqlite.org/tempfiles.html)).
const SQLITE_FILES: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// Network file systems, as named in `/proc/self/mountinfo`, on which SQLite's locks and shared memory do not work reliably
/// (<https://www.sqlite.org/useovernet.html>).
const NETWORK_FILE_SYSTEMS: [&str; 12] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "afs",
    "ceph",
    "glusterfs",
    "fuse.glusterfs",
    "fuse.sshfs",
    "lustre",
];

/// The files of the database, each with the mode that it should have.
pub(in crate::storage) fn files(settings: &DatabaseSettings) -> Vec<(PathBuf, FileMode)> {
    let database = durable_fs::resolve(&settings.path);
    let of_sqlite = SQLITE_FILES.map(|suffix| (side_file(&database, suffix), settings.file_mode));
    let lock_file = (side_file(&database, ".lock"), FileMode::Owner);
    of_sqlite.into_iter().chain([lock_file]).collect()
}

/// Warnings about the file system and the names of the database.
pub(in crate::storage) fn warnings(settings: &DatabaseSettings) -> Vec<String> {
    network_file_system(&settings.path).into_iter().chain(hard_links(&settings.path)).collect()
}

/// Checks that the database file can be written, and that SQLite can create its other files in the same directory.
pub(in crate::storage) fn check_access(settings: &DatabaseSettings) -> Result<(), AccessError> {
    let path = &settings.path;
    // Opening with O_APPEND changes nothing.
    match File::options().append(true).open(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(AccessError::File { path: path.clone(), source });
        }
        Err(_) | Ok(_) => {}
    }
    probe::write_in_directory_of(path).map_err(AccessError::Directory)
}

fn hard_links(path: &Path) -> Option<String> {
    let database = durable_fs::resolve(path);
    let names = fs::metadata(&database).ok()?.nlink();
    (names > 1).then(|| {
        format!(
            "file '{}' has {names} names (hard links): SQLite finds its write-ahead log under this one only",
            database.display()
        )
    })
}

/// A warning if the database is on a file system on which SQLite is not reliable.
fn network_file_system(path: &Path) -> Option<String> {
    let absolute = std::path::absolute(path).ok()?;
    let existing = absolute.ancestors().find(|ancestor| ancestor.exists())?.canonicalize().ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let kind = file_system_of(&existing, &mounts)?;
    NETWORK_FILE_SYSTEMS.contains(&kind).then(|| {
        format!(
            "'{}' lies on a network file system ({kind}), where SQLite's locks and shared memory do not work reliably: use a \
             local disk",
            path.display()
        )
    })
}

/// The type of the file system of a path: that of the longest mount point above it
/// (<https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html>).
fn file_system_of<'a>(path: &Path, mountinfo: &'a str) -> Option<&'a str> {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (mount, rest) = line.split_once(" - ")?;
        let point = mount.split(' ').nth(4)?;
        path.starts_with(point).then_some((point.len(), rest.split(' ').next()?))
    });
    // Of several mounts on one mount point, the last one is visible.
    mounts.max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}

/// Why the files of a database cannot be written.
#[derive(Debug)]
pub(in crate::storage) enum AccessError {
    /// The database file cannot be opened for writing.
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// No file can be written in its directory.
    Directory(ProbeError),
}

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, .. } => write!(f, "'{}' cannot be written to", path.display()),
            Self::Directory(error) => error.fmt(f),
        }
    }
}

impl Error for AccessError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::File { source, .. } => Some(source),
            Self::Directory(error) => error.source(),
        }
    }
}

impl From<AccessError> for StorageError {
    fn from(error: AccessError) -> Self {
        Self::new(ErrorKind::Transient, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::sqlite::fixtures::Place;

    #[test]
    fn the_longest_and_last_mount_point_counts() {
        let mounts = "\
22 1 0:21 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:26 / /srv rw - nfs4 server:/export rw
31 30 0:27 / /srv/local rw - xfs /dev/vdb rw
32 31 0:28 / /srv/local rw - tmpfs tmpfs rw
";
        let check = |path: &str, kind| assert_eq!(file_system_of(Path::new(path), mounts), kind, "{path}");
        check("/var/lib", Some("ext4"));
        check("/srv/data", Some("nfs4"));
        check("/srv/localhost", Some("nfs4"));
        check("/srv/local/data", Some("tmpfs"));
        assert_eq!(file_system_of(Path::new("/x"), "nonsense"), None);
    }

    #[test]
    fn a_second_name_of_the_database_is_a_warning() {
        let place = Place::new();
        assert_eq!(warnings(&place.settings), Vec::<String>::new());
        drop(place.open());
        assert_eq!(warnings(&place.settings), Vec::<String>::new());
        fs::hard_link(&place.settings.path, place.path(".second")).unwrap();
        let [warning] = &warnings(&place.settings)[..] else { panic!("one warning") };
        assert!(warning.contains("has 2 names (hard links)"), "{warning}");
    }

    #[test]
    fn access_is_checked_without_creating_the_database() {
        let place = Place::new();
        check_access(&place.settings).unwrap();
        assert!(!place.settings.path.exists());
        fs::create_dir(&place.settings.path).unwrap();
        let error = check_access(&place.settings).unwrap_err();
        assert!(matches!(&error, AccessError::File { path, .. } if *path == place.settings.path), "{error:?}");
    }

    #[test]
    fn the_lock_file_is_for_its_owner_only() {
        let mut place = Place::new();
        place.settings.file_mode = FileMode::Group;
        let found = files(&place.settings);
        let expected = ["", "-wal", "-shm", "-journal", ".lock"].map(|suffix| {
            let mode = if suffix == ".lock" { FileMode::Owner } else { FileMode::Group };
            (place.path(suffix), mode)
        });
        assert_eq!(found, expected);
    }
}
