//! Processes and directories that never outlive this process, however it ends: by returning from `main` with them in a
//! `static`, by a panic, or by SIGKILL.
//!
//! Each has a guard, a small `sh` that reads from a pipe whose other end only this process has (Rust opens it close-on-exec, so no
//! other child inherits it). When this process ends, the kernel closes the pipe, and the guard reads the end of its input and cleans
//! up. Must not know Kafka.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Instant;

use crate::wait;

/// Starts the guard in the background and executes the program.
///
/// The program has the pid of this shell, which leads a process group of its own: a Ctrl-C at the terminal does not reach
/// it. The guard is in that group too and kills all of it (`kill 0`), so it never kills a foreign process with a reused process id.
const GUARD_PROCESS: &str = r#"exec 3<&0
(trap '' HUP INT TERM; while read -r _; do :; done; kill -s KILL 0) <&3 3<&- >/dev/null 2>&1 &
exec "$@" </dev/null 3<&-"#;

/// Removes the directory `$1` at the end of its input; retries for ten seconds, as killed programs may still write to it.
const GUARD_DIRECTORY: &str = r#"trap '' HUP INT TERM
while read -r _; do :; done
tries=0
while [ -e "$1" ] && [ "$tries" -lt 100 ]; do rm -rf "$1"; tries=$((tries + 1)); sleep 0.1; done"#;

/// A signal for a guarded process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGTERM: stop in order.
    Term,
    /// SIGSTOP: pause.
    Stop,
    /// SIGCONT: resume.
    Cont,
}

/// A child process that ends with this process. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Guarded {
    child: Child,
    _lifeline: Option<ChildStdin>,
}

impl Guarded {
    /// Runs a program with an empty input; both outputs go to `log`.
    pub(crate) fn spawn(program: &[OsString], log: &File) -> io::Result<Self> {
        Self::spawn_into(program, log, log)
    }

    /// Like [`Self::spawn`], with a file for each output.
    pub(crate) fn spawn_into(program: &[OsString], output: &File, errors: &File) -> io::Result<Self> {
        let mut child = Command::new("sh")
            .args(["-c", GUARD_PROCESS, "sh"])
            .args(program)
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(errors.try_clone()?)
            .process_group(0)
            .spawn()?;
        let lifeline = child.stdin.take();
        Ok(Self { child, _lifeline: lifeline })
    }

    /// The program's process id, which is not reused before [`Self::wait_until`] or dropping has reaped the process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the program; no error if it has just ended.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        let name = match signal {
            Signal::Term => "TERM",
            Signal::Stop => "STOP",
            Signal::Cont => "CONT",
        };
        // The `kill` of the shell: not every machine has the program.
        let command = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &command]).stdin(Stdio::null()).status()?;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("'{command}' failed"))) }
    }

    /// The exit status, as soon as the program has ended; `None` if it has not at the deadline.
    pub(crate) fn wait_until(&mut self, deadline: Instant) -> io::Result<Option<ExitStatus>> {
        wait::poll(deadline, || self.child.try_wait())
    }

    /// The exit status if the program has ended.
    pub(crate) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// SIGKILL, and waits for the end. Works on a stopped process too.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // The guard kills again when the lifeline is dropped.
        let _ = self.kill();
    }
}

/// A directory that is removed when this process ends.
#[derive(Debug)]
pub(crate) struct TempDir {
    path: PathBuf,
    guard: Child,
}

impl TempDir {
    /// Creates the directory, and its parents, which stay.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        // The guard first: the directory never exists without it.
        let guard = Command::new("sh")
            .args(["-c", GUARD_DIRECTORY, "sh"])
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let directory = Self { path: path.to_owned(), guard };
        fs::create_dir_all(path)?;
        Ok(directory)
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // If this fails, the guard retries; `wait` closes its input first.
        let _ = fs::remove_dir_all(&self.path);
        let _ = self.guard.wait();
    }
}
