//! The kit's part of the build directory. Several processes may fill it at the same time; none sees an incomplete entry.

use std::collections::hash_map::DefaultHasher;
use std::env;
use std::fs::{self, File, TryLockError};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::wait;

/// Longest wait for another process, which may be downloading over a slow connection.
const LOCK_DEADLINE: Duration = Duration::from_mins(15);

/// `target/testkit`, or the same below `CARGO_TARGET_DIR`.
pub(crate) fn root() -> PathBuf {
    let kit = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = match env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => PathBuf::from(directory),
        None => kit.parent().unwrap_or(kit).join("target"),
    };
    // Absolute, since brokers and tools run in other directories; relative if the working directory is not known.
    std::path::absolute(&target).unwrap_or(target).join("testkit")
}

/// The directory of that name in the cache; fills it first if it is missing.
///
/// `fill` works on a temporary directory, which is renamed when it is complete. A process that is killed leaves a temporary directory
/// behind, and the next one removes it. One process fills at a time; the others wait.
pub(crate) fn directory(name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let root = root();
    let complete = root.join(name);
    if complete.is_dir() {
        return Ok(complete);
    }
    fs::create_dir_all(&root).map_err(Error::io(format!("create {}", root.display())))?;
    let _lock = lock(&root.join("lock"))?;
    if complete.is_dir() {
        return Ok(complete);
    }
    remove_leftovers(&root);
    let partial = root.join(format!("{PARTIAL}{name}-{}", process::id()));
    fs::create_dir_all(&partial).map_err(Error::io(format!("create {}", partial.display())))?;
    fill(&partial)?;
    fs::rename(&partial, &complete).map_err(Error::io(format!("rename {}", partial.display())))?;
    Ok(complete)
}

/// The name of an entry that a source creates: another source has another name.
pub(crate) fn name_of(kind: &str, source: &str) -> String {
    let mut hasher = DefaultHasher::new();
    source.hash(&mut hasher);
    format!("{kind}-{:016x}", hasher.finish())
}

const PARTIAL: &str = "partial-";

fn lock(path: &Path) -> Result<File> {
    let doing = || format!("lock {}", path.display());
    let file = File::options().create(true).append(true).open(path).map_err(Error::io(doing()))?;
    let locked = wait::poll(Instant::now() + LOCK_DEADLINE, || match file.try_lock() {
        Ok(()) => Ok(Some(())),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(Error::io(doing())(source)),
    })?;
    locked.map(|()| file).ok_or_else(|| Error::TimedOut { what: doing(), waited: LOCK_DEADLINE })
}

/// Removes temporary directories of killed processes; the lock is held, so no process uses them. One that stays is harmless.
fn remove_leftovers(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(PARTIAL) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
