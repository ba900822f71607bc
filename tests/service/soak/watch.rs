//! Watches what could grow without end: the memory of the service, whichever process that is, and its write-ahead log.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::process::memory_kib;

/// Between two looks.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// What was seen so far.
#[derive(Default)]
pub struct Watch {
    /// The process that is the service now.
    pub pid: AtomicU32,
    pub memory_kib_max: AtomicU64,
    pub wal_bytes_max: AtomicU64,
}

impl Watch {
    /// Looks until `over`.
    pub fn look(&self, wal: &Path, over: &AtomicBool) {
        while !over.load(Ordering::Relaxed) {
            // Neither needs to be there: the service may just have ended.
            let memory_kib = memory_kib(self.pid.load(Ordering::Relaxed), "VmHWM").unwrap_or(0);
            self.memory_kib_max.fetch_max(memory_kib, Ordering::Relaxed);
            self.wal_bytes_max.fetch_max(wal_bytes(wal), Ordering::Relaxed);
            thread::sleep(CHECK_INTERVAL);
        }
    }
}

/// Size of the write-ahead log.
pub fn wal_bytes(wal: &Path) -> u64 {
    fs::metadata(wal).map_or(0, |file| file.len())
}
