//! The record of a service in the lock file of its database, as JSON: `status` reads when the service started and its
//! last problem. Must not decide whether a service runs: the lock itself shows that, because a killed service leaves
//! its record behind.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::observability::Metrics;
use crate::runtime::logger::{self, Problem};

/// The longest record, in bytes; the lock file of another program can have any size.
const RECORD_BYTES_MAX: u64 = 64 * 1024;

/// The state of the service of a database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ServiceState {
    /// Whether a service holds the lock of the database.
    pub running: bool,
    /// Its process id.
    pub pid: Option<u32>,
    /// When it started, RFC 3339; if none is running, when the last one did.
    pub started_at: Option<String>,
    /// When the last one stopped; `None` while one is running, and after one was killed.
    pub stopped_at: Option<String>,
    /// Its last warning or error.
    pub last_error: Option<Problem>,
}

/// The record in the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Content {
    pid: u32,
    started_at: String,
    stopped_at: Option<String>,
    last_error: Option<Problem>,
}

/// The record of this process. When it is dropped, the service has stopped.
#[derive(Debug)]
pub struct ServiceRecord(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    content: Mutex<Content>,
}

impl ServiceRecord {
    /// Begins the record in a lock file that this process holds. From then on it keeps the last warning or error of the
    /// log.
    pub fn begin(lock_file: &Path, metrics: Arc<Metrics>) -> Self {
        let content =
            Content { pid: std::process::id(), started_at: logger::now(), stopped_at: None, last_error: None };
        let shared = Arc::new(Shared { path: lock_file.to_owned(), content: Mutex::new(content) });
        shared.change(|_| {});
        let observer = Arc::clone(&shared);
        logger::on_problem(move |problem| {
            metrics.note_problem(problem.clone());
            observer.change(|content| content.last_error = Some(problem));
        });
        Self(shared)
    }
}

impl Drop for ServiceRecord {
    fn drop(&mut self) {
        self.0.change(|content| content.stopped_at = Some(logger::now()));
    }
}

impl Shared {
    fn change(&self, change: impl FnOnce(&mut Content)) {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut content);
        // The record only informs. A record that cannot be written, as on a full disk, must not stop the service.
        let _ = write(&self.path, &content);
    }
}

fn write(path: &Path, content: &Content) -> io::Result<()> {
    let text = serde_json::to_string(content)? + "\n";
    // The file is not created: without it the lock is lost.
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.set_len(0)?;
    file.write_all(text.as_bytes())
}

impl ServiceState {
    /// Reads the state from the lock file of a database. Takes no lock, which would keep a service from starting.
    pub fn read(lock_file: &Path) -> Self {
        // Only the owner may read the file, but everybody may read its metadata.
        let holder = std::fs::metadata(lock_file).ok().and_then(|found| {
            let locks = std::fs::read_to_string("/proc/locks").ok()?;
            holder_of(&locks, found.dev(), found.ino())
        });
        let content = File::open(lock_file).ok().and_then(|file| {
            let mut text = String::new();
            file.take(RECORD_BYTES_MAX).read_to_string(&mut text).ok()?;
            serde_json::from_str::<Content>(&text).ok()
        });
        // The record of an earlier service is not that of the running one.
        let content = content.filter(|content| holder.is_none_or(|pid| pid == content.pid));
        Self {
            running: holder.is_some(),
            pid: holder,
            started_at: content.as_ref().map(|content| content.started_at.clone()),
            stopped_at: content.as_ref().and_then(|content| content.stopped_at.clone()).filter(|_| holder.is_none()),
            last_error: content.and_then(|content| content.last_error),
        }
    }
}

/// The process that holds an exclusive `flock` of a file, from the text of `/proc/locks`
/// (<https://man7.org/linux/man-pages/man5/proc_locks.5.html>).
fn holder_of(locks: &str, device: u64, inode: u64) -> Option<u32> {
    let (major, minor) = (major(device), minor(device));
    let is_file = |place: &str| {
        let mut parts = place.split(':');
        let mut hexadecimal = || parts.next().and_then(|part| u64::from_str_radix(part, 16).ok());
        (hexadecimal(), hexadecimal()) == (Some(major), Some(minor))
            && parts.next().and_then(|part| part.parse().ok()) == Some(inode)
    };
    locks.lines().find_map(|line| match line.split_whitespace().collect::<Vec<_>>().as_slice() {
        [_, "FLOCK", _, "WRITE", pid, place, ..] if is_file(place) => pid.parse().ok(),
        _ => None,
    })
}

/// The inverse of `makedev(3)` of glibc.
fn major(device: u64) -> u64 {
    ((device >> 32) & 0xffff_f000) | ((device >> 8) & 0xfff)
}

fn minor(device: u64) -> u64 {
    ((device >> 12) & 0xffff_ff00) | (device & 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_found_by_device_and_inode() {
        let locks = "\
1: POSIX  ADVISORY  WRITE 10 fe:00:77 0 EOF
2: FLOCK  ADVISORY  READ 11 fe:00:77 0 EOF
3: FLOCK  ADVISORY  WRITE 12 fe:01:77 0 EOF
4: FLOCK  ADVISORY  WRITE 13 fe:00:77 0 EOF
4: -> FLOCK  ADVISORY  WRITE 14 fe:00:78 0 EOF
";
        let device = 0xfe << 8;
        assert_eq!(holder_of(locks, device, 77), Some(13));
        assert_eq!(holder_of(locks, device, 78), None, "it only waits for the lock");
        assert_eq!(holder_of(locks, device | 1, 77), Some(12));
        assert_eq!(holder_of("nonsense", device, 77), None);
    }

    #[test]
    fn a_lock_is_seen_while_it_is_held_and_the_record_remains() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("e.db.lock");
        assert_eq!(ServiceState::read(&path), ServiceState::default());
        let file = File::create_new(&path).unwrap();
        assert_eq!(ServiceState::read(&path), ServiceState::default());
        file.lock().unwrap();
        let settings = crate::settings::Settings::load(Vec::new(), None).unwrap();
        let metrics = Metrics::new(crate::observability::Description::of(&settings));
        let record = ServiceRecord::begin(&path, Arc::new(metrics));
        let state = ServiceState::read(&path);
        assert_eq!((state.running, state.pid, state.stopped_at), (true, Some(std::process::id()), None));
        assert!(state.started_at.is_some() && state.last_error.is_none());
        drop(record);
        drop(file);
        let state = ServiceState::read(&path);
        assert_eq!((state.running, state.pid), (false, None));
        assert!(state.started_at.is_some() && state.stopped_at.is_some());
    }
}
