//! The `views` command: prints SQL that combines several databases into views. Opens the databases only to check that they can be
//! read. Must not know what the views contain.

use std::path::{Path, PathBuf};

use crate::commands::error::{CommandError, PathNotUtf8};
use crate::runtime::output;
use crate::storage::sqlite::DatabaseReader;
use crate::storage::sqlite::tables::views;

/// Prints the statements for these files.
pub fn print(databases: &[PathBuf]) -> Result<(), CommandError> {
    let paths = databases.iter().map(|path| absolute(path)).collect::<Result<Vec<_>, _>>()?;
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    output::print(views::sql(&paths));
    Ok(())
}

/// The absolute path of an existing database, so that the statements work in any working directory.
fn absolute(path: &Path) -> Result<String, CommandError> {
    DatabaseReader::open(path)?;
    let absolute = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    absolute.into_os_string().into_string().map_err(|path| CommandError::PathNotUtf8(PathNotUtf8(path.into())))
}
