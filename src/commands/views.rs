//! The `views` command: prints SQL that combines several databases into views. Must not know what the views contain.

use std::path::PathBuf;

use crate::runtime::output;
use crate::storage::{self, StorageError};

/// Prints the statements for these files.
pub fn print(databases: &[PathBuf]) -> Result<(), StorageError> {
    output::print(storage::views(databases)?);
    Ok(())
}
