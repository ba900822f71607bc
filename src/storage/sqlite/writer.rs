//! The writer's part of the seam: each call is the database's own, with its error by kind.

use std::sync::Arc;

use super::database::Database;
use super::error::{Context, ensure_written};
use super::tables::unidentified;
use crate::storage::attempt::Attempt;
use crate::storage::batch::PartitionBatch;
use crate::storage::counts::OffsetCounts;
use crate::storage::error::StorageError;
use crate::storage::kept::Pruner;
use crate::storage::message::{MessagePlace, StoredMessage, UnidentifiedMessages};
use crate::storage::position::{OffsetJump, StoredPosition};
use crate::storage::statistics::{DatabaseSizes, DatabaseStatistics};
use crate::storage::writer::Writer;

impl Writer for Database {
    fn id(&self) -> &str {
        self.id()
    }

    fn position(&mut self, topic: &str, partition: i32) -> Result<Option<StoredPosition>, StorageError> {
        Ok(self.position(topic, partition)?)
    }

    fn positions(&mut self) -> Result<Vec<StoredPosition>, StorageError> {
        Ok(self.positions()?)
    }

    fn knows_topic(&mut self, topic: &str) -> Result<bool, StorageError> {
        Ok(self.knows_topic(topic)?)
    }

    fn apply(&mut self, batches: &[PartitionBatch<'_>], attempt: &mut Attempt) -> Result<OffsetCounts, StorageError> {
        Ok(self.apply(batches, attempt)?)
    }

    fn growth(&self) -> u32 {
        self.growth.factor()
    }

    fn store_jumps(&mut self, jumps: &[OffsetJump], attempt: &mut Attempt) -> Result<(), StorageError> {
        Ok(self.store_jumps(jumps, attempt)?)
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        Ok(self.sync()?)
    }

    fn begin_sync(&mut self, notify: Box<dyn FnOnce() + Send>) -> Result<(), StorageError> {
        Ok(self.begin_sync(notify)?)
    }

    fn sync_result(&mut self) -> Option<Result<(), StorageError>> {
        self.sync_result().map(|result| Ok(result?))
    }

    fn check_identity(&mut self) -> Result<(), StorageError> {
        Ok(self.check_identity()?)
    }

    fn statistics(&self) -> Arc<DatabaseStatistics> {
        self.wal.statistics()
    }

    fn sizes(&self) -> Result<DatabaseSizes, StorageError> {
        Ok(self.sizes()?)
    }

    fn unidentified(&mut self) -> &mut dyn UnidentifiedMessages {
        self
    }

    fn pruner(&mut self) -> &mut dyn Pruner {
        self
    }
}

impl UnidentifiedMessages for Database {
    fn messages_after(
        &mut self,
        id: i64,
        messages_max: u32,
        bytes_max: usize,
    ) -> Result<Vec<StoredMessage>, StorageError> {
        Ok(self.read(|transaction, _| unidentified::after(transaction, id, messages_max, bytes_max))?)
    }

    fn find_messages_after(&mut self, id: i64, at: &MessagePlace<'_>) -> Result<Vec<i64>, StorageError> {
        Ok(self.read(|transaction, _| unidentified::find_after(transaction, id, at))?)
    }

    fn log_cursor(&mut self) -> Result<i64, StorageError> {
        Ok(self.read(|transaction, _| unidentified::log_cursor(transaction))?)
    }

    fn set_log_cursor(&mut self, last_id: i64) -> Result<(), StorageError> {
        Ok(self.write(|transaction, _, _| {
            let written = unidentified::set_log_cursor(transaction, last_id);
            ensure_written(
                written.context("store the cursor of the log of unidentified messages")?,
                "unidentified_log_cursor",
            )
        })?)
    }

    fn sync_messages(&mut self) -> Result<(), StorageError> {
        Ok(self.sync()?)
    }
}
