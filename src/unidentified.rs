//! The log file of unidentified messages: a projection of their table, one JSON object a line, each message once.
//! Must not decide what is unidentified, and never stops the service.

use std::path::PathBuf;
use std::time::Instant;

use crate::database::Database;

/// The log file. A cursor in the database says how far the table has been written out.
#[derive(Debug)]
pub struct UnidentifiedLog {
    path: Option<PathBuf>,
}

impl UnidentifiedLog {
    /// A log at `path`; `None` for no log. Opens nothing yet.
    pub fn new(path: Option<PathBuf>) -> Self {
        Self { path }
    }

    /// Writes out some of what is pending. To be called in every turn of the loop: it looks once a second, or at once while
    /// there is more. A failure is logged once and tried again.
    pub fn advance(&mut self, _database: &mut Database) {
        let _ = &self.path;
    }

    /// Writes out all that is pending, but begins nothing after `until`.
    pub fn finish(&mut self, _database: &mut Database, _until: Instant) {
        let _ = &self.path;
    }
}
