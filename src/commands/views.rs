//! The `views` command: prints SQL by which a reader sees several databases as one. Must not know what the views hold.

use std::path::PathBuf;

use crate::cli;
use crate::storage::{self, StorageError};

/// Prints the statements for these files.
pub fn print(databases: &[PathBuf]) -> Result<(), StorageError> {
    cli::print(storage::views(databases)?);
    Ok(())
}
