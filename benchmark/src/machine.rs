//! What it was measured on.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::Result;
use crate::options::Options;

/// The machine, and the versions of everything that was measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Machine {
    /// Name and value, in the order to be printed.
    pub facts: Vec<(String, String)>,
}

impl Machine {
    pub fn look(options: &Options) -> Result<Self> {
        let memory_kib: u64 = first_word(&value_in("/proc/meminfo", "MemTotal")?).parse()?;
        let facts = [
            ("Date", OffsetDateTime::now_utc().date().to_string()),
            ("Service", service_version(options)?),
            ("Processor", value_in("/proc/cpuinfo", "model name")?),
            ("Cores", std::thread::available_parallelism()?.to_string()),
            ("Memory", format!("{:.1} GiB", memory_kib as f64 / f64::from(1 << 20))),
            ("Kernel", format!("Linux {}", fs::read_to_string("/proc/sys/kernel/osrelease")?.trim())),
            ("File system", file_system(&options.work)?),
            ("Rust", said(Command::new("rustc").arg("--version"))?),
            ("Kafka", testkit::NEWEST.to_owned()),
            ("SQLite", rusqlite::version().to_owned()),
            ("librdkafka", rdkafka::util::get_rdkafka_version().1),
            ("Python", python(options)?),
        ];
        Ok(Self { facts: facts.map(|(name, value)| (name.to_owned(), value)).to_vec() })
    }
}

fn service_version(options: &Options) -> Result<String> {
    let version = said(Command::new(&options.service_static).arg("--version"))?;
    let commit = said(Command::new("git").args(["describe", "--always", "--dirty"]))?;
    Ok(format!("{version}, commit {commit}"))
}

fn python(options: &Options) -> Result<String> {
    let script = "import confluent_kafka, platform, sqlite3; print(f'{platform.python_version()}, \
                  confluent-kafka {confluent_kafka.__version__}, SQLite {sqlite3.sqlite_version}')";
    said(Command::new(&options.python).args(["-c", script]))
}

/// The first line of `name: value` in a file of the kernel.
fn value_in(file: &str, name: &str) -> Result<String> {
    let text = fs::read_to_string(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
    Ok(line.map_or("unknown", |(_, value)| value.trim()).to_owned())
}

fn first_word(text: &str) -> &str {
    text.split(' ').next().unwrap_or_default()
}

/// Of the mount that holds a path ([proc_pid_mountinfo(5)](https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html)).
fn file_system(path: &Path) -> Result<String> {
    let path = path.canonicalize()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let holders = mounts.lines().filter_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        let at = Path::new(mount.split(' ').nth(4)?);
        path.starts_with(at).then(|| (at.components().count(), first_word(file_system)))
    });
    Ok(holders.max_by_key(|(depth, _)| *depth).map_or("unknown", |(_, name)| name).to_owned())
}

fn said(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
