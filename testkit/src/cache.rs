//! The kit's corner of the build directory, and how several processes fill it at once without ever seeing half of it.

use std::env;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::wait;

/// Another process may be downloading; on a slow line that takes minutes.
const LOCK_DEADLINE: Duration = Duration::from_mins(15);

/// `target/testkit`, or the same below `CARGO_TARGET_DIR`.
pub(crate) fn root() -> PathBuf {
    let kit = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = match env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => PathBuf::from(directory),
        None => kit.parent().unwrap_or(kit).join("target"),
    };
    // Absolute, since brokers and tools run in other directories; as it is if the system cannot tell.
    std::path::absolute(&target).unwrap_or(target).join("testkit")
}

/// Gives the directory of that name in the cache; fills it first if it is not there.
///
/// `fill` works on a directory beside it, which takes its name only when it is complete: whoever is killed half-way
/// leaves a leftover, and the next one clears it away. One process fills at a time; the others wait.
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

/// Of processes that were killed; we hold the lock, so nobody works on them. A leftover that stays hurts nobody.
fn remove_leftovers(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(PARTIAL) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
