//! Whether two settings name the same file: by any spelling, through any link, and also if the file does not exist yet. Opens and
//! creates nothing.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Settings, SettingsError};
use crate::runtime::durable_fs::resolve;

/// The database, the files that SQLite creates beside it
/// ([temporary files](https://www.sqlite.org/tempfiles.html)), and our lock.
const DATABASE_FILES: [(&str, &str); 5] = [
    ("", "the database"),
    ("-wal", "the database's write-ahead log"),
    ("-shm", "the database's shared memory"),
    ("-journal", "the database's rollback journal"),
    (".lock", "the database's lock file"),
];

/// Fails if a log file is one of the files that something else is kept in: lines appended there would destroy it.
pub(super) fn refuse_shared(settings: &Settings, env_file: &Path) -> Result<(), SettingsError> {
    let log_files = [("LOG_FILE", &settings.log.file), ("UNIDENTIFIED_LOG_FILE", &settings.unidentified_log_file)];
    let log_files: Vec<(&'static str, Place)> =
        log_files.into_iter().filter_map(|(name, path)| Some((name, Place::of(path.as_deref()?)))).collect();
    let database = resolve(&settings.database.path);
    let mut taken: Vec<(String, Place)> = Vec::new();
    for (suffix, what) in DATABASE_FILES {
        let mut name = OsString::from(&database);
        name.push(suffix);
        let place = Place::of(Path::new(&name));
        taken.push((format!("{what} ('{}')", place.path.display()), place));
    }
    for (variable, path) in settings.kafka.security.files() {
        taken.push((variable.to_owned(), Place::of(path)));
    }
    // It may be `/dev/null`, for none.
    if env_file.is_file() || !env_file.exists() {
        taken.push(("the settings file".to_owned(), Place::of(env_file)));
    }
    for (variable, place) in log_files {
        if let Some((what, _)) = taken.iter().find(|(_, other)| place.is_same(other)) {
            return Err(SettingsError::contradiction(variable, format!("must be another file than {what}")));
        }
        taken.push((variable.to_owned(), place));
    }
    Ok(())
}

/// Where a path leads.
struct Place {
    path: PathBuf,
    /// Device and inode of an existing regular file: two names of one file are hard links.
    inode: Option<(u64, u64)>,
}

impl Place {
    fn of(path: &Path) -> Self {
        let regular = fs::metadata(path).ok().filter(fs::Metadata::is_file);
        Self { path: resolve(path), inode: regular.map(|file| (file.dev(), file.ino())) }
    }

    fn is_same(&self, other: &Self) -> bool {
        self.path == other.path || self.inode.is_some() && self.inode == other.inode
    }
}
