//! Foreign consumers as members of a consumer group: Kafka's console consumer, and `kcat` (librdkafka). Each is a process that ends
//! with this process and prints the records that it reads. Must not know the state of its group.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::client::Position;
use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::guard::{Guarded, Signal, TempDir};
use crate::java::{self, Limits};
use crate::ports;

/// Longest time of a stop in order, which commits offsets and leaves the group; it takes a fraction of a second.
const STOP_DEADLINE: Duration = Duration::from_mins(1);

const HEAP_MIB_MAX: u32 = 128;

/// A running consumer in a group. Dropping it kills it; the group removes it after its session timeout.
#[derive(Debug)]
pub struct Member {
    process: Guarded,
    parse: fn(&str) -> Option<Position>,
    // Dropped last: the process writes there.
    directory: TempDir,
}

impl Cluster {
    /// Kafka's console consumer as a member of a group, from the earliest offset where nothing is committed. `settings` are
    /// [its own](https://kafka.apache.org/documentation/#consumerconfigs), such as `("client.id", "java")`.
    pub fn java_member(&self, group: &str, topic: &str, settings: &[(&str, &str)]) -> Result<Member> {
        let directory = new_directory()?;
        let mut command =
            java::command(&self.jars().class_path(), directory.path(), Limits { heap_mib_max: HEAP_MIB_MAX })?;
        let servers = self.bootstrap_servers();
        let fixed = ["org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", &servers];
        let read = ["--group", group, "--topic", topic, "--from-beginning"];
        // The older names still work, but print a deprecation warning among the records (KIP-1147).
        let (formatter_property, consumer_property) = if self.jars().version() < "4.2" {
            ("--property", "--consumer-property")
        } else {
            ("--formatter-property", "--command-property")
        };
        let shown = ["print.value=false", "print.partition=true", "print.offset=true"];
        command.extend(fixed.into_iter().chain(read).map(OsString::from));
        command.extend(shown.iter().flat_map(|shown| [formatter_property, *shown]).map(OsString::from));
        for (name, value) in settings {
            command.extend([consumer_property.into(), format!("{name}={value}").into()]);
        }
        Member::spawn(&command, directory, parse_java)
    }

    /// Like [`Self::java_member`], with `kcat` and [librdkafka's settings](https://docs.confluent.io/platform/current/clients/librdkafka/html/md_CONFIGURATION.html).
    pub fn kcat_member(&self, group: &str, topic: &str, settings: &[(&str, &str)]) -> Result<Member> {
        let found =
            Command::new("kcat").arg("-V").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            return Err(Error::Missing(
                "members of another make need kcat, not found on PATH: install it (Debian, Ubuntu: apt install kcat)"
                    .to_owned(),
            ));
        }
        let mut command: Vec<OsString> =
            ["kcat", "-b", &self.bootstrap_servers(), "-X", "auto.offset.reset=earliest"].map(OsString::from).into();
        for (name, value) in settings {
            command.extend(["-X".into(), format!("{name}={value}").into()]);
        }
        // Unbuffered. Its own messages go to standard error.
        command.extend(["-u", "-f", "%p %o\n", "-G", group, topic].map(OsString::from));
        Member::spawn(&command, new_directory()?, parse_kcat)
    }
}

impl Member {
    fn spawn(command: &[OsString], directory: TempDir, parse: fn(&str) -> Option<Position>) -> Result<Self> {
        let create = |name| {
            let path = directory.path().join(name);
            File::create(&path).map_err(Error::io(format!("create {}", path.display())))
        };
        let process = Guarded::spawn_into(command, &create(OUTPUT)?, &create(ERRORS)?);
        Ok(Self { process: process.map_err(Error::io("run a member of a group"))?, parse, directory })
    }

    /// The records of one topic that it has read so far, in order.
    pub fn read(&self) -> Result<Vec<Position>> {
        let printed = self.printed(OUTPUT)?;
        // The last line may be incomplete.
        let complete = printed.rsplit_once('\n').map_or("", |(lines, _)| lines);
        let position = |line| (self.parse)(line).ok_or_else(|| self.failed(&format!("printed '{line}'")));
        complete.lines().map(position).collect()
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.process.try_wait().map_err(Error::io("wait for a member"))?.is_none())
    }

    /// Stops it in order: it commits its offsets, leaves the group, and ends.
    pub fn stop(&mut self) -> Result<()> {
        self.process.signal(Signal::Term).map_err(Error::io("stop a member"))?;
        let ended = self.process.wait_until(Instant::now() + STOP_DEADLINE).map_err(Error::io("wait for a member"))?;
        ended.map(drop).ok_or_else(|| self.failed("did not stop"))
    }

    /// Pauses it (SIGSTOP): it sends no heartbeats, and stays a member until its session times out.
    pub fn pause(&self) -> Result<()> {
        self.process.signal(Signal::Stop).map_err(Error::io("pause a member"))
    }

    /// Resumes it after [`Self::pause`] (SIGCONT).
    pub fn resume(&self) -> Result<()> {
        self.process.signal(Signal::Cont).map_err(Error::io("resume a member"))
    }

    /// Its standard error so far, for the message of a failed test.
    pub fn said(&self) -> Result<String> {
        self.printed(ERRORS)
    }

    fn printed(&self, name: &str) -> Result<String> {
        let path: PathBuf = self.directory.path().join(name);
        let read =
            |path: &PathBuf| -> io::Result<String> { Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned()) };
        read(&path).map_err(Error::io(format!("read {}", path.display())))
    }

    fn failed(&self, what: &str) -> Error {
        let output = self.said().unwrap_or_default();
        Error::Program { command: format!("a member of a group, which {what},"), output }
    }
}

const OUTPUT: &str = "output";
const ERRORS: &str = "errors";

fn new_directory() -> Result<TempDir> {
    let name = format!("member-{}-{:08x}", std::process::id(), ports::random() & 0xffff_ffff);
    let path = crate::cache::root().join("run").join(name);
    TempDir::create(&path).map_err(Error::io(format!("create {}", path.display())))
}

/// A line is `Partition:2\tOffset:17`.
fn parse_java(line: &str) -> Option<Position> {
    let (partition, offset) = line.split_once('\t')?;
    let partition = partition.strip_prefix("Partition:")?.parse().ok()?;
    Some(Position { partition, offset: offset.strip_prefix("Offset:")?.parse().ok()? })
}

/// A line is `2 17`.
fn parse_kcat(line: &str) -> Option<Position> {
    let (partition, offset) = line.split_once(' ')?;
    Some(Position { partition: partition.parse().ok()?, offset: offset.parse().ok()? })
}
