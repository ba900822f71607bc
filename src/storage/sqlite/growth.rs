//! Decides by how much transactions and the page cache grow. Must not know what a transaction holds, nor who makes batches.
//!
//! Rows whose ids are neighbours share pages. Where ids come in no order, each row changes pages of its own: a transaction writes nearly
//! every page of the index to the WAL, and one of four times as many rows writes little more. So both grow while transactions write much
//! more to the WAL than their records have bytes, and shrink when that ends. Small transactions say nothing about this: their pages are
//! few, and the service has caught up.

use rusqlite::Connection;

use super::error::{Context, SqliteError};
use crate::storage::batch::ORDINARY_RECORDS;
use crate::storage::part::Part;

/// The greatest factor, for settings that allow more than the defaults. (Measured with random ids, half of them updates: of the CPU time of
/// 5,000 rows a transaction and 16 MiB of cache, 20,000 and 32 MiB take 0.72, 50,000 and 48 MiB 0.65.)
const FACTOR_MAX: u32 = 16;

/// The page cache at the factor 1, in bytes. (Measured with sequential ids: 4 MiB are slower, 16 MiB are not faster.)
const CACHE_BYTES: u64 = 8 << 20;

/// Transactions with fewer records are small.
const RECORDS_MIN: usize = ORDINARY_RECORDS / 2;

/// What a row has besides the bytes of its record, roughly: topic, times, and its entry in the index.
const ROW_OVERHEAD_BYTES: u64 = 200;

/// From this many times the bytes of its rows on, what a transaction writes to the WAL makes both grow; with sequential ids it is below 1,
/// with random ones above 3.
const GROW_FROM: u64 = 2;

/// A frame of the WAL: a page and its header.
const FRAME_BYTES: u64 = 4_096 + 24;

/// The present factor, and what decides about it.
#[derive(Debug)]
pub(super) struct Growth {
    factor: u32,
    cache_bytes_max: u64,
    /// The bytes of the rows of the last transaction, unless it was small.
    row_bytes: Option<u64>,
}

impl Growth {
    pub(super) fn new(cache_bytes_max: u64) -> Self {
        Self { factor: 1, cache_bytes_max, row_bytes: None }
    }

    /// By how much the next batch may exceed an ordinary one.
    pub(super) fn factor(&self) -> u32 {
        self.factor
    }

    /// Notes a transaction that has been committed.
    pub(super) fn note_transaction(&mut self, parts: &[Part<'_>]) {
        let entries = || parts.iter().flat_map(|part| part.entries);
        let records = entries().count();
        let bytes = || entries().map(|entry| entry.value.map_or(0, <[u8]>::len) as u64 + ROW_OVERHEAD_BYTES).sum();
        self.row_bytes = (records >= RECORDS_MIN).then(bytes);
    }

    /// Notes how many frames it has written to the WAL; true if the factor has changed.
    pub(super) fn note_frames(&mut self, frames: u64) -> bool {
        let Some(row_bytes) = self.row_bytes.take() else { return false };
        let wal_bytes = frames.saturating_mul(FRAME_BYTES);
        let factor = if wal_bytes >= row_bytes.saturating_mul(GROW_FROM) {
            self.factor.saturating_mul(2).min(FACTOR_MAX)
        } else if wal_bytes < row_bytes {
            (self.factor / 2).max(1)
        } else {
            self.factor
        };
        std::mem::replace(&mut self.factor, factor) != factor
    }

    /// Sets the size of a connection's [page cache](https://www.sqlite.org/pragma.html#pragma_cache_size), which SQLite allocates as it needs.
    pub(super) fn set_cache(&self, connection: &Connection) -> Result<(), SqliteError> {
        let bytes = CACHE_BYTES.saturating_mul(self.factor.into()).min(self.cache_bytes_max);
        let sql = format!("PRAGMA cache_size = -{}", bytes / 1024);
        connection.execute_batch(&sql).context("set the size of the page cache")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::sqlite::fixtures::{batch, rejected};

    const RECORDS: i64 = 2_500;
    const ROWS_BYTES: u64 = RECORDS.cast_unsigned() * (ROW_OVERHEAD_BYTES + "value".len() as u64);

    /// The factors after transactions of so many records that have written so many bytes to the WAL, in parts per ten of their rows' bytes.
    fn factors(transactions: &[(i64, u64)]) -> Vec<u32> {
        let mut growth = Growth::new(1 << 30);
        let factor = |&(records, tenths): &(i64, u64)| {
            let batch = batch(0, 0, records, (0..records).map(rejected).collect());
            growth.note_transaction(&[Part::whole(&batch)]);
            let before = growth.factor();
            let has_changed = growth.note_frames((ROWS_BYTES * tenths / 10).div_ceil(FRAME_BYTES));
            assert_eq!(has_changed, growth.factor() != before);
            growth.factor()
        };
        transactions.iter().map(factor).collect()
    }

    #[test]
    fn it_grows_while_a_transaction_writes_far_more_than_its_rows_and_shrinks_after_that() {
        assert_eq!(factors(&[(RECORDS, 21); 6]), [2, 4, 8, 16, 16, 16]);
        assert_eq!(factors(&[(RECORDS, 19), (RECORDS, 9)]), [1, 1]);
        assert_eq!(factors(&[(RECORDS, 21), (RECORDS, 19), (RECORDS, 9), (RECORDS, 9)]), [2, 2, 1, 1]);
    }

    #[test]
    fn a_small_transaction_changes_nothing() {
        assert_eq!(factors(&[(RECORDS - 1, 100), (RECORDS, 100), (RECORDS - 1, 0), (0, 0)]), [1, 2, 2, 2]);
    }

    #[test]
    fn the_cache_grows_up_to_its_limit() {
        let connection = Connection::open_in_memory().unwrap();
        let mut growth = Growth::new(20 << 20);
        for (factor, kib) in [(1, 8 << 10), (2, 16 << 10), (4, 20 << 10)] {
            growth.factor = factor;
            growth.set_cache(&connection).unwrap();
            let set: i64 = connection.query_row("PRAGMA cache_size", [], |row| row.get(0)).unwrap();
            assert_eq!(set, -kib);
        }
    }
}
