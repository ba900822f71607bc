//! Runs a command and says what it used: wall clock, CPU, memory, bytes written.
//!
//! A process of this program stands between, for two reasons: the usage of ended children is a sum over all of them, and on
//! Linux a child's peak memory begins with that of the process it was forked from, which here is a few MiB.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{Usage as Rusage, UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};

use crate::Result;

/// The unit of `ru_oublock`, whatever the disk's blocks are. Linux makes it from `write_bytes` of `/proc/PID/io`, the pages that
/// the process has made dirty ([getrusage(2)](https://man7.org/linux/man-pages/man2/getrusage.2.html)).
const BLOCK_BYTES: i64 = 512;
/// The unit of `ru_maxrss`.
const RSS_BYTES: i64 = 1024;

/// What one run used.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Usage {
    pub wall_seconds: f64,
    /// User and system.
    pub cpu_seconds: f64,
    /// `None` where it says nothing, as the process holds all rows in memory.
    pub rss_bytes_max: Option<u64>,
    pub written_bytes: u64,
}

impl Usage {
    /// What was used between two looks.
    pub fn between(begun: Instant, before: &Rusage, after: &Rusage) -> Self {
        let cpu = |usage: &Rusage| (usage.user_time() + usage.system_time()).num_microseconds();
        Self {
            wall_seconds: begun.elapsed().as_secs_f64(),
            cpu_seconds: (cpu(after) - cpu(before)) as f64 / 1e6,
            rss_bytes_max: None,
            written_bytes: (after.block_writes() - before.block_writes()).cast_unsigned() * BLOCK_BYTES as u64,
        }
    }
}

/// A command to be measured.
pub struct Measured<'a> {
    pub program: &'a Path,
    pub arguments: Vec<OsString>,
    pub variables: Vec<(String, String)>,
    /// Where it runs, and where what it prints is kept.
    pub directory: &'a Path,
}

impl Measured<'_> {
    /// Runs it to its end; an error if it fails.
    pub fn run(self) -> Result<Usage> {
        let usage_file = self.directory.join("usage.json");
        let log = self.directory.join("output.log");
        let output = File::create(&log)?;
        let status = Command::new(std::env::current_exe()?)
            .arg("measure")
            .arg(&usage_file)
            .arg(self.program)
            .args(self.arguments)
            .env_clear()
            .envs(self.variables)
            .current_dir(self.directory)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .status()?;
        if !status.success() {
            let said = fs::read_to_string(&log)?;
            return Err(format!("{} failed ({status}): {}", self.program.display(), last_lines(&said)).into());
        }
        Ok(serde_json::from_slice(&fs::read(&usage_file)?)?)
    }
}

/// The process between: runs the command and writes what it used. Fails as the command does.
pub fn child(usage_file: &PathBuf, command: &[OsString]) -> Result<()> {
    let (program, arguments) = command.split_first().ok_or("no command to measure")?;
    let before = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let begun = Instant::now();
    let status = Command::new(program).args(arguments).status()?;
    let after = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let mut usage = Usage::between(begun, &before, &after);
    usage.rss_bytes_max = Some((after.max_rss() * RSS_BYTES).cast_unsigned());
    if !status.success() {
        return Err(format!("{} ended with {status}", program.display()).into());
    }
    Ok(fs::write(usage_file, serde_json::to_vec(&usage)?)?)
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join(" | ")
}
