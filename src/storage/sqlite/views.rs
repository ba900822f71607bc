//! SQL for views over several database files. Opens the files only to know that they can be read.

use std::path::{Path, PathBuf};

use super::error::SqliteError;
use super::inspector::DatabaseReader;
use super::tables::views;

/// The statements that attach the databases and create the views.
///
/// # Errors
/// That of the first database that cannot be read, or whose path is not UTF-8.
pub(in crate::storage) fn views(databases: &[PathBuf]) -> Result<String, SqliteError> {
    let paths = databases.iter().map(|path| absolute(path)).collect::<Result<Vec<_>, _>>()?;
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    Ok(views::sql(&paths))
}

/// The absolute path of a database that exists, so that the statements mean the same file in every working directory.
fn absolute(path: &Path) -> Result<String, SqliteError> {
    DatabaseReader::open(path)?;
    let absolute = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    absolute.into_os_string().into_string().map_err(|path| SqliteError::NotUtf8 { path: path.into() })
}
