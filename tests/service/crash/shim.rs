//! The shim of `shim.c`: compiled once, put before a service, and its trace read. Knows nothing of what the calls mean.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::OnceLock;

use crate::support::process::Installation;

/// The directory of a place in which calls count.
pub const DISK: &str = "disk";

/// `errno` of a disk that fails, that is full, and that may not be written to.
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

/// What a service did, or tried to.
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
    /// To a socket; no call that is counted.
    Sent(Vec<u8>),
}

/// Puts the shim before whatever is started in the place from now on.
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
        // Other processes may be at it too.
        let made = library.with_extension(process::id().to_string());
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/service/crash/shim.c");
        let words = ["-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", source, "-ldl", "-lpthread", "-o"];
        let status = Command::new("cc").args(words).arg(&made).status();
        assert!(status.is_ok_and(|status| status.success()), "needs a C compiler, `cc`");
        fs::rename(&made, &library).unwrap();
        library
    })
}

/// Everything that was done, in its order; of several runs, one after the other.
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
