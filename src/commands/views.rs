//! The `views` command: prints SQL by which a reader sees several databases as one. Opens them only to know that they can be read;
//! must not know what the views hold.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::cli;
use crate::storage::sqlite::tables::views;
use crate::storage::sqlite::{DatabaseError, DatabaseReader};

/// Prints the statements for these files.
pub fn print(databases: &[PathBuf]) -> Result<(), ViewsError> {
    let paths = databases.iter().map(|path| absolute(path)).collect::<Result<Vec<_>, _>>()?;
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    cli::print(views::sql(&paths));
    Ok(())
}

/// The path of a database that exists, so that the statements mean the same file from everywhere.
fn absolute(path: &Path) -> Result<String, ViewsError> {
    DatabaseReader::open(path).map_err(ViewsError::Database)?;
    let absolute = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    absolute.into_os_string().into_string().map_err(|path| ViewsError::NotUtf8(path.into()))
}

/// Why no views can be printed.
#[derive(Debug)]
pub enum ViewsError {
    /// A file is missing, or no database of this program and version.
    Database(DatabaseError),
    /// SQL is text.
    NotUtf8(PathBuf),
}

impl fmt::Display for ViewsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(error) => error.fmt(f),
            Self::NotUtf8(path) => {
                write!(f, "the path '{}' is not UTF-8, and cannot be written in SQL", path.display())
            }
        }
    }
}

/// `Database` stands for its error itself, whose cause is the cause.
impl Error for ViewsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Database(error) => error.source(),
            Self::NotUtf8(_) => None,
        }
    }
}
