//! Compiles the shim of `shim.c` once, preloads it into a service, and reads its trace. Must not know what the calls mean.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::OnceLock;

use crate::support::process::Installation;

/// The directory of an installation in which calls are counted.
pub const DISK: &str = "disk";

/// `errno` of a disk that fails, is full, or is read-only.
pub const EIO: i32 = 5;
pub const ENOSPC: i32 = 28;
pub const EROFS: i32 = 30;

/// What the shim does. Calls are counted from 1.
#[derive(Clone, Debug)]
pub enum Plan {
    /// Nothing.
    Watch,
    /// The process dies before this call.
    Kill(usize),
    /// The process dies in this call: half of a write is done, any other call as a whole.
    Tear(usize),
    /// Calls of these kinds fail: see `shim.c`.
    Refuse { kinds: &'static str, calls: Range<usize>, error: i32 },
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Watch => Ok(()),
            Self::Kill(call) => write!(f, "kill {call}"),
            Self::Tear(call) => write!(f, "tear {call}"),
            Self::Refuse { kinds, calls, error } => write!(f, "fail {kinds} {} {} {error}", calls.start, calls.end),
        }
    }
}

/// A call of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    Opened,
    Created(PathBuf),
    Written {
        path: PathBuf,
        offset: usize,
        bytes: Vec<u8>,
    },
    Truncated {
        path: PathBuf,
        length: usize,
    },
    Synced(PathBuf),
    SyncFailed(PathBuf),
    Unlinked(PathBuf),
    MadeDirectory(PathBuf),
    /// A call that failed and changed nothing.
    Failed,
    /// Bytes sent to a socket; not counted.
    Sent(Vec<u8>),
}

/// Preloads the shim into every program that is started in the installation from now on.
pub fn install(installation: &mut Installation, plan: &Plan, trace: Option<&Path>) {
    let (under, trace) = (installation.path().join(DISK), trace.map_or("", |path| path.to_str().unwrap()).to_owned());
    fs::create_dir_all(&under).unwrap();
    installation.set("LD_PRELOAD", library().to_str().unwrap());
    installation.set("FAULTS_UNDER", under.to_str().unwrap());
    installation.set("FAULTS_PLAN", &plan.to_string()).set("FAULTS_TRACE", &trace);
}

pub fn remove(installation: &mut Installation) {
    installation.set("LD_PRELOAD", "");
}

fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shim.so");
        // Other processes may compile it at the same time.
        let made = library.with_extension(process::id().to_string());
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/service/crash/shim.c");
        let words = ["-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", source, "-ldl", "-lpthread", "-o"];
        let status = Command::new("cc").args(words).arg(&made).status();
        assert!(status.is_ok_and(|status| status.success()), "needs a C compiler, `cc`");
        fs::rename(&made, &library).unwrap();
        library
    })
}

/// All calls in order, of all runs.
pub fn read_trace(trace: &Path) -> Vec<Call> {
    let bytes = fs::read(trace).unwrap();
    let mut rest = bytes.as_slice();
    let mut calls = Vec::new();
    while !rest.is_empty() {
        calls.push(read_call(&mut rest));
    }
    calls
}

fn read_call(rest: &mut &[u8]) -> Call {
    let mut take = |length: usize| rest.split_off(..length).unwrap();
    let kind = take(1)[0];
    let number = usize::from_ne_bytes(take(8).try_into().unwrap());
    let mut length = || usize::try_from(u32::from_ne_bytes(take(4).try_into().unwrap())).unwrap();
    let (path_length, length) = (length(), length());
    let path = PathBuf::from(OsStr::from_bytes(take(path_length)));
    let bytes = take(length).to_vec();
    match kind {
        b'o' => Call::Opened,
        b'c' => Call::Created(path),
        b'w' => Call::Written { path, offset: number, bytes },
        b't' => Call::Truncated { path, length: number },
        b's' => Call::Synced(path),
        b'f' => Call::SyncFailed(path),
        b'u' => Call::Unlinked(path),
        b'm' => Call::MadeDirectory(path),
        b'x' => Call::Failed,
        b'n' => Call::Sent(bytes),
        other => panic!("no kind of call: {other}"),
    }
}
