//! Refuses settings that name the same file: by any spelling, through any link, even if the file does not exist yet. Opens and
//! creates nothing.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::SettingsError;
use crate::runtime::durable_fs::resolve;

/// The database, the files that SQLite creates in the same directory
/// ([temporary files](https://www.sqlite.org/tempfiles.html)), and the lock file.
const DATABASE_FILES: [(&str, &str); 5] = [
    ("", "the database"),
    ("-wal", "the database's write-ahead log"),
    ("-shm", "the database's shared memory"),
    ("-journal", "the database's rollback journal"),
    (".lock", "the database's lock file"),
];

/// Refuses a log file that is also a file of the database, a file that is read, or the other log file: appended lines would destroy
/// it. `log_files` and `files_read` have the names of their variables.
pub(super) fn refuse_shared<'a>(
    log_files: impl Iterator<Item = (&'static str, &'a Path)>,
    database: &Path,
    files_read: Vec<(&'static str, &Path)>,
    env_file: &Path,
) -> Result<(), SettingsError> {
    let database = resolve(database);
    let mut taken: Vec<(String, FileIdentity)> = Vec::new();
    for (suffix, what) in DATABASE_FILES {
        let mut name = OsString::from(&database);
        name.push(suffix);
        let file = FileIdentity::of(Path::new(&name));
        taken.push((format!("{what} ('{}')", file.path.display()), file));
    }
    for (variable, path) in files_read {
        taken.push((variable.to_owned(), FileIdentity::of(path)));
    }
    // Not `/dev/null`, which stands for no settings file.
    if env_file.is_file() || !env_file.exists() {
        taken.push(("the settings file".to_owned(), FileIdentity::of(env_file)));
    }
    for (variable, path) in log_files {
        let file = FileIdentity::of(path);
        if let Some((what, _)) = taken.iter().find(|(_, other)| file.is_same(other)) {
            return Err(SettingsError::contradiction(variable, format!("must be another file than {what}")));
        }
        taken.push((variable.to_owned(), file));
    }
    Ok(())
}

/// The file that a path leads to.
struct FileIdentity {
    path: PathBuf,
    /// Device and inode of an existing regular file, which identify hard links.
    inode: Option<(u64, u64)>,
}

impl FileIdentity {
    fn of(path: &Path) -> Self {
        let regular = fs::metadata(path).ok().filter(fs::Metadata::is_file);
        Self { path: resolve(path), inode: regular.map(|file| (file.dev(), file.ino())) }
    }

    fn is_same(&self, other: &Self) -> bool {
        self.path == other.path || self.inode.is_some() && self.inode == other.inode
    }
}
