//! Numbers of a database that another thread may read at any time. The database's own threads store them. Must not know
//! who reads them.

use std::time::Duration;

use kafka::Stage;

use crate::runtime::measures::{Counter, Histogram};

/// Bounds of the histograms of work of the disk, in microseconds: from a fast SSD to a disk that is overloaded.
const DISK_BOUNDS_US: &[u64] =
    &[500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000, 30_000_000];

/// What the threads of a database count.
#[derive(Debug, Default)]
pub struct DatabaseStatistics {
    /// Checkpoints of the WAL.
    pub checkpoints: Timed,
    /// Syncs of the WAL.
    pub syncs: Timed,
    /// What the checkpoint thread does. A disk may take any time for that: a writer that waits for it is late itself.
    pub checkpoint_stage: Stage,
}

/// One kind of work of the disk.
#[derive(Debug)]
pub struct Timed {
    /// How long each took, whatever its result.
    pub duration: Histogram,
    /// Those that failed.
    pub failed: Counter,
}

impl Default for Timed {
    fn default() -> Self {
        Self { duration: Histogram::of_microseconds(DISK_BOUNDS_US), failed: Counter::default() }
    }
}

impl Timed {
    /// Counts one.
    pub fn note(&self, duration: Duration, succeeded: bool) {
        self.duration.observe_duration(duration);
        if !succeeded {
            self.failed.increment();
        }
    }
}

/// Sizes of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatabaseSizes {
    /// Of the database file.
    pub database_bytes: u64,
    /// Of the `-wal` file.
    pub wal_bytes: u64,
    /// What the file system has left for this user.
    pub free_bytes: u64,
}
