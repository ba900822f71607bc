//! Where the files of a database are. Must not open SQLite.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::error::SqliteError;
use crate::runtime::durable_fs;
use crate::runtime::permissions::FileMode;

/// The absolute path without links, under which SQLite creates its other files. Creates the directory if it is given a mode for that.
pub(super) fn resolve(path: &Path, create_directory: Option<FileMode>) -> Result<PathBuf, SqliteError> {
    let failed = |action, at: &Path| {
        let path = at.to_owned();
        move |source| SqliteError::Io { action, path, source }
    };
    let resolved = match path.canonicalize() {
        Ok(resolved) => resolved,
        Err(error) if error.kind() == io::ErrorKind::NotFound => durable_fs::resolve(path),
        Err(error) => return Err(failed("find", path)(error)),
    };
    if let Some(mode) = create_directory {
        let directory = durable_fs::parent(&resolved);
        durable_fs::create_all(directory, mode).map_err(failed("create the directory", directory))?;
    }
    Ok(resolved)
}

/// The path of a file that belongs to the database: `<database><suffix>`.
pub(super) fn side_file(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// Makes the name of a new `-wal` file durable. SQLite does that with its own first sync of the file, which may come long after the
/// first one of this program.
pub(super) fn sync_directory(path: &Path) -> Result<(), SqliteError> {
    durable_fs::sync_name(path).map_err(|source| SqliteError::Io {
        action: "sync the directory of",
        path: path.to_owned(),
        source,
    })
}
