//! The service as a process in a separate directory: starts, signals and observes it by its log file and its database; it never
//! outlives the test. Knows the contracts of both, not how the service works.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use tempfile::TempDir;

/// Longest wait for anything, on a busy machine.
pub const WAIT_MAX: Duration = Duration::from_mins(1);

/// Time between two checks of a condition.
const CHECK_INTERVAL: Duration = Duration::from_millis(10);

/// The directory, settings and database of one service; several processes may run there, one after the other.
pub struct Installation {
    directory: TempDir,
    variables: BTreeMap<String, String>,
    /// A command line before the program's name, such as a shell that sets limits.
    wrapper: Vec<String>,
}

impl Installation {
    /// Short backoffs and a detailed log; otherwise defaults.
    pub fn new(bootstrap_servers: &str, topic: &str) -> Self {
        let mut installation =
            Self { directory: TempDir::new().unwrap(), variables: BTreeMap::new(), wrapper: Vec::new() };
        installation.set("KAFKA_BOOTSTRAP_SERVERS", bootstrap_servers).set("KAFKA_TOPIC", topic);
        installation.set("KAFKA_GROUP_ID", &format!("group-of-{topic}"));
        installation.set("RETRY_INITIAL_MS", "10").set("RETRY_MAX_MS", "100").set("LOG_LEVEL", "DEBUG");
        installation
    }

    pub fn set(&mut self, variable: &str, value: &str) -> &mut Self {
        self.variables.insert(variable.to_owned(), value.to_owned());
        self
    }

    /// Runs the program with this command line before it from now on.
    pub fn wrap(&mut self, words: &[&str]) -> &mut Self {
        self.wrapper = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// The consumer group.
    pub fn group(&self) -> String {
        self.variables.get("KAFKA_GROUP_ID").cloned().unwrap_or_default()
    }

    pub fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn database_path(&self) -> PathBuf {
        let url = self.variables.get("DATABASE_URL").and_then(|url| url.strip_prefix("sqlite:///"));
        self.path().join(url.unwrap_or("data/enterprise.db"))
    }

    pub fn log_path(&self) -> PathBuf {
        self.path().join("logs/consumer.log")
    }

    pub fn wal_path(&self) -> PathBuf {
        self.path().join("data/enterprise.db-wal")
    }

    pub fn unidentified_path(&self) -> PathBuf {
        let path = self.variables.get("UNIDENTIFIED_LOG_FILE");
        self.path().join(path.map_or("logs/unidentified_messages.log", String::as_str))
    }

    /// Starts the program; its output is kept in the directory.
    pub fn start(&self, arguments: &[&str]) -> Service<'_> {
        self.start_into(arguments, "stdout", "stderr")
    }

    /// Runs a command to its end, while a service may be running here, and returns its output.
    pub fn ask(&self, arguments: &[&str]) -> Answer {
        let names = ["answer.stdout", "answer.stderr"];
        let read = |name| fs::read_to_string(self.path().join(name)).unwrap();
        for name in names {
            File::create(self.path().join(name)).unwrap();
        }
        let status = self.start_into(arguments, names[0], names[1]).wait(WAIT_MAX);
        Answer { code: status.code(), stdout: read(names[0]), stderr: read(names[1]) }
    }

    fn start_into(&self, arguments: &[&str], stdout: &str, stderr: &str) -> Service<'_> {
        let program = env!("CARGO_BIN_EXE_enterprise-consumer").to_owned();
        let mut words = unignoring();
        words.extend(self.wrapper.iter().cloned());
        words.push(program);
        words.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let output = |name| File::options().append(true).create(true).open(self.path().join(name)).unwrap();
        let (first, rest) = words.split_first().unwrap();
        let child = Command::new(first)
            .args(rest)
            .current_dir(self.path())
            .env_clear()
            .envs(&self.variables)
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(output(stdout))
            .stderr(output(stderr))
            .spawn()
            .unwrap();
        Service { installation: self, child }
    }

    /// Runs until the end of every partition, and checks that the exit code is 0.
    pub fn run_to_end(&self) {
        self.start(&["run", "--exit-at-end"]).ends_with(0);
    }

    /// The lines of the log file so far; each must be a JSON object.
    pub fn log(&self) -> Vec<Value> {
        json_lines(&self.log_path())
    }

    pub fn stderr(&self) -> String {
        fs::read_to_string(self.path().join("stderr")).unwrap_or_default()
    }

    /// The database, opened for reading while the service runs.
    pub fn database(&self) -> Connection {
        let connection = Connection::open_with_flags(self.database_path(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        connection.busy_timeout(WAIT_MAX).unwrap();
        connection
    }

    /// The result of a query with one number; `None` while the table does not exist.
    pub fn number(&self, query: &str) -> Option<i64> {
        let path = self.database_path();
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
        connection.busy_timeout(WAIT_MAX).ok()?;
        connection.query_row(query, [], |row| row.get(0)).ok()
    }

    /// Offsets that have taken effect, over all partitions.
    pub fn stored(&self) -> i64 {
        self.number("SELECT coalesce(sum(next_offset), 0) FROM consumer_offsets").unwrap_or(0)
    }

    /// Checks the invariants between two transactions, of a database that alone reads every partition.
    pub fn assert_clean(&self) {
        self.assert_consistent();
        let missing = "SELECT (SELECT count(*) FROM unidentified_messages) - (SELECT coalesce(sum(unidentified), 0) FROM consumer_offsets)";
        assert_eq!(self.number(missing), Some(0), "unidentified messages counted but not kept, or the other way round");
    }

    /// Checks the invariants that hold even if partitions move between databases, which restarts their counters.
    pub fn assert_consistent(&self) {
        let database = self.database();
        let check: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
        assert_eq!(check, "ok");
        let off = "SELECT count(*) FROM consumer_offsets
                   WHERE next_offset - first_offset <> applied + stale + unidentified + absent";
        assert_eq!(self.number(off), Some(0), "the counter equation");
        for table in ["opportunities", "projects", "unidentified_messages"] {
            let beyond = format!(
                "SELECT count(*) FROM {table} AS row WHERE NOT EXISTS (SELECT 1 FROM consumer_offsets AS position
                 WHERE topic = kafka_topic AND partition = kafka_partition AND kafka_offset < high_offset)"
            );
            assert_eq!(self.number(&beyond), Some(0), "rows of {table} beyond the highest stored position");
        }
        let missing = "SELECT count(*) FROM consumer_offsets AS position WHERE unidentified > (SELECT count(*) FROM unidentified_messages
                       WHERE kafka_topic = topic AND kafka_partition = partition AND kafka_offset >= first_offset AND kafka_offset < next_offset)";
        assert_eq!(self.number(missing), Some(0), "unidentified messages counted but not kept");
    }

    /// Waits for a condition; panics with the end of the log after the deadline.
    pub fn wait_for(&self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + WAIT_MAX;
        while !condition(self) {
            assert!(Instant::now() < deadline, "{what} did not come; {}", self.tail());
            thread::sleep(CHECK_INTERVAL);
        }
    }

    /// Waits for a WARN after the first `from` lines whose message has all parts; returns it.
    pub fn wait_warning(&self, from: usize, parts: &[&str]) -> Value {
        let find = |installation: &Self| installation.log().into_iter().skip(from).find(|line| is_warning(line, parts));
        self.wait_for(&format!("a WARN with {parts:?}"), |installation| find(installation).is_some());
        find(self).unwrap()
    }

    /// The end of the logs, for the message of a failed assertion.
    pub fn tail(&self) -> String {
        let log = fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(30)..).unwrap_or_default().join("\n");
        format!("the log ends:\n{tail}\nstandard error ends:\n{}", self.stderr().lines().last().unwrap_or_default())
    }
}

/// A command line that resets ignored stop signals: if the tests were started with `nohup`, the service would ignore them too.
fn unignoring() -> Vec<String> {
    let ignored = signal_mask("self", "SigIgn");
    let is_ignored = [1, 2, 15].iter().any(|signal| ignored & (1 << (signal - 1)) != 0);
    if is_ignored { vec!["env".to_owned(), "--default-signal=HUP,INT,TERM".to_owned()] } else { Vec::new() }
}

/// A signal mask of a process, such as `SigIgn`, from `/proc`: bit 0 is signal 1.
pub fn signal_mask(pid: &str, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap()
}

/// Waits for a condition.
pub fn wait_until(what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + deadline;
    while !condition() {
        assert!(Instant::now() < until, "{what} did not come");
        thread::sleep(CHECK_INTERVAL);
    }
}

/// Whether a log line is a WARN whose message holds all parts.
pub fn is_warning(line: &Value, parts: &[&str]) -> bool {
    line["level"] == "WARN" && line["message"].as_str().is_some_and(|text| parts.iter().all(|part| text.contains(part)))
}

/// The complete lines of a file, each a JSON object; none if there is no file.
pub fn json_lines(path: &Path) -> Vec<Value> {
    let bytes = fs::read(path).unwrap_or_default();
    let complete = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let text = std::str::from_utf8(bytes.get(..complete).unwrap()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// The output of a command.
#[derive(Debug)]
pub struct Answer {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A running program; killed when this is dropped.
pub struct Service<'a> {
    installation: &'a Installation,
    child: Child,
}

impl Service<'_> {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the end, which must come before the deadline.
    pub fn wait(&mut self, deadline: Duration) -> ExitStatus {
        let until = Instant::now() + deadline;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "still runs after {deadline:?}; {}", self.installation.tail());
            thread::sleep(CHECK_INTERVAL);
        }
    }

    /// Waits for the end and compares the exit code.
    pub fn ends_with(&mut self, code: i32) {
        let status = self.wait(WAIT_MAX);
        assert_eq!(status.code(), Some(code), "{status}; {}", self.installation.tail());
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Its memory peak so far, in KiB.
    pub fn peak_kib(&self) -> u64 {
        memory_kib(self.pid(), "VmHWM").unwrap()
    }
}

impl Drop for Service<'_> {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A memory field of a process in [`/proc`](https://man7.org/linux/man-pages/man5/proc_pid_status.5.html), in KiB: `VmRSS` its present
/// memory, `VmHWM` its peak; `None` once it has ended.
pub fn memory_kib(pid: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// Sends a signal to a process, by its name. With the `kill` of the shell: not every machine has the program.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().unwrap();
    assert!(status.success());
}
