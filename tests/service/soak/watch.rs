//! Measures what could grow without bound: the memory of the service's present process, and its WAL.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::process::memory_kib;

/// Time between two measurements.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// The measurements so far.
#[derive(Default)]
pub struct Watch {
    /// The present process of the service.
    pub pid: AtomicU32,
    pub memory_kib_max: AtomicU64,
    pub wal_bytes_max: AtomicU64,
}

impl Watch {
    /// Measures until `over`.
    pub fn look(&self, wal: &Path, over: &AtomicBool) {
        while !over.load(Ordering::Relaxed) {
            // Both may be missing: the service may have ended.
            let memory_kib = memory_kib(self.pid.load(Ordering::Relaxed), "VmHWM").unwrap_or(0);
            self.memory_kib_max.fetch_max(memory_kib, Ordering::Relaxed);
            self.wal_bytes_max.fetch_max(wal_bytes(wal), Ordering::Relaxed);
            thread::sleep(CHECK_INTERVAL);
        }
    }
}

/// Size of the WAL.
pub fn wal_bytes(wal: &Path) -> u64 {
    fs::metadata(wal).map_or(0, |file| file.len())
}
