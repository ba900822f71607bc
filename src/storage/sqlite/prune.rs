//! The pruner: deletes unidentified messages in short transactions. Must not know which ones and why.

use super::database::Database;
use super::error::{Context, SqliteError};
use super::tables::prune::{self, Deletion, Examined, Statements};
use crate::storage::error::StorageError;
use crate::storage::kept::{PruneCounts, PruneCursor, PruneRequest, PruneStep, Pruner};

/// Greatest number of messages that a step examines, and so deletes: the running service waits for the end of its transaction.
const STEP_MESSAGES_MAX: usize = 1_000;

/// Bytes of messages from which on a step deletes no further one. SQLite reads each page of a large value to free it.
const STEP_BYTES_MAX: u64 = 8 << 20;

impl Pruner for Database {
    fn prune(&mut self, request: &PruneRequest, after: &PruneCursor) -> Result<PruneStep, StorageError> {
        Ok(self.prune_step(request, after)?)
    }
}

impl Database {
    fn prune_step(&mut self, request: &PruneRequest, after: &PruneCursor) -> Result<PruneStep, SqliteError> {
        // Most messages may match nothing: a read transaction finds that out without the lock.
        let Examined { matches, next } =
            self.read(|transaction, _| prune::examine(transaction, request, after, STEP_MESSAGES_MAX, STEP_BYTES_MAX))?;
        if matches.is_empty() {
            return Ok(PruneStep { pruned: PruneCounts::default(), next });
        }
        self.bound_wal()?;
        let pruned = self.write(|transaction, _, _| {
            const ACTION: &str = "prune unidentified messages";
            let mut statements = Statements::prepare(transaction).context(ACTION)?;
            let mut pruned = PruneCounts::default();
            for id in matches {
                let deletion = statements.delete(id, &request.filter, &mut pruned).context(ACTION)?;
                if deletion == Deletion::NotWritten {
                    return Err(SqliteError::NotWritten { table: "unidentified_messages" });
                }
            }
            Ok(pruned)
        })?;
        self.check_identity()?;
        Ok(PruneStep { pruned, next })
    }
}
