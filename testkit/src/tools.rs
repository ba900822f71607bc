//! Kafka's own command-line tools, as an operator runs them.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::java::{self, Limits};

const HEAP_MIB_MAX: u32 = 128;

/// One line of `kafka-consumer-groups --describe`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupOffset {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The committed offset, if there is one.
    pub current: Option<i64>,
    /// The end offset.
    pub end: Option<i64>,
    /// The lag.
    pub lag: Option<i64>,
}

impl Cluster {
    /// Runs one of Kafka's tools, such as `org.apache.kafka.tools.TopicCommand`, in its jars: about a second each.
    /// `--bootstrap-server` is added. Returns its standard output; any exit code except 0 is an error.
    pub fn tool(&self, class: &str, arguments: &[&str], input: &[u8]) -> Result<String> {
        static RUNS: AtomicU32 = AtomicU32::new(0);
        let scratch = self.run_dir().join(format!("tool-{}", RUNS.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir_all(&scratch).map_err(Error::io(format!("create {}", scratch.display())))?;
        let limits = Limits { heap_mib_max: HEAP_MIB_MAX };
        let java = java::command(&self.jars().class_path(), &scratch, limits)?;
        let mut child = Command::new("env")
            .args(&java)
            .args([class, "--bootstrap-server", &self.bootstrap_servers()])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(Error::io("run java"))?;
        let to_tool = child.stdin.take();
        let output = thread::scope(|scope| {
            // On another thread, so that neither side waits for the other. A tool may leave input unread.
            scope.spawn(move || to_tool.map(|mut to_tool| to_tool.write_all(input)));
            child.wait_with_output()
        });
        let output = output.map_err(Error::io("wait for java"))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(said);
        }
        let output = format!("{said}{}", String::from_utf8_lossy(&output.stderr));
        Err(Error::Program { command: format!("{class} {}", arguments.join(" ")), output })
    }

    /// Produces with `kafka-console-producer`: one record per line; `options` are its arguments, such as
    /// `["--compression-codec", "zstd"]` or `["--reader-property", "parse.key=true"]`.
    pub fn console_produce(&self, topic: &str, options: &[&str], lines: &[u8]) -> Result<()> {
        let mut arguments = vec!["--topic", topic];
        arguments.extend(options);
        // The class was moved in 4.0 (KAFKA-14525).
        let package = if self.jars().version().starts_with("3.") { "kafka" } else { "org.apache.kafka" };
        self.tool(&format!("{package}.tools.ConsoleProducer"), &arguments, lines).map(drop)
    }

    /// The output of `kafka-consumer-groups --describe` for a group, by topic and partition.
    pub fn group_offsets(&self, group: &str) -> Result<Vec<GroupOffset>> {
        let printed = self.consumer_groups(&["--describe", "--offsets", "--group", group])?;
        let mut offsets: Vec<GroupOffset> = printed.lines().filter_map(|line| parse_offset(group, line)).collect();
        offsets.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        Ok(offsets)
    }

    /// `kafka-consumer-groups --reset-offsets --execute`; `scope` is `topic` or `topic:0,1`, `to` such as
    /// `["--to-earliest"]` or `["--to-offset", "7"]`. Kafka refuses it while the group has members.
    pub fn reset_offsets(&self, group: &str, scope: &str, to: &[&str]) -> Result<()> {
        let mut arguments = vec!["--reset-offsets", "--execute", "--group", group, "--topic", scope];
        arguments.extend(to);
        self.consumer_groups(&arguments).map(drop)
    }

    /// The latest generation of a classic group, or epoch of a group of the consumer protocol, from the coordinators' logs: no request
    /// returns that of a classic group. `None` if the logs have none.
    pub fn generation(&self, group: &str) -> Result<Option<i32>> {
        let mut latest = None;
        for node in self.nodes() {
            let log = node.log_file();
            let said = fs::read(&log).map_err(Error::io(format!("read {}", log.display())))?;
            let said = String::from_utf8_lossy(&said);
            latest = latest.max(said.lines().filter_map(|line| parse_generation(group, line)).max());
        }
        Ok(latest)
    }

    /// Runs `kafka-consumer-groups`. It exits with 0 after most failures, which only its output shows.
    pub fn consumer_groups(&self, arguments: &[&str]) -> Result<String> {
        const CLASS: &str = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
        // The tool's own timeout of 5 s is short on a busy machine.
        let arguments = [arguments, &["--timeout", "60000"]].concat();
        let printed = self.tool(CLASS, &arguments, b"")?;
        if printed.lines().any(|line| line.starts_with("Error: ")) {
            return Err(Error::Program { command: format!("{CLASS} {}", arguments.join(" ")), output: printed });
        }
        Ok(printed)
    }
}

/// A line begins `GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG`; `-` is no value.
fn parse_offset(group: &str, line: &str) -> Option<GroupOffset> {
    let mut words = line.split_whitespace();
    if words.next()? != group {
        return None;
    }
    let topic = words.next()?.to_owned();
    let partition = words.next()?.parse().ok()?;
    let mut number = || words.next().and_then(|word| word.parse().ok());
    Some(GroupOffset { topic, partition, current: number(), end: number(), lag: number() })
}

/// A line holds `Stabilized group NAME generation 3` or `[GroupId NAME] Bumped group epoch to 3`.
fn parse_generation(group: &str, line: &str) -> Option<i32> {
    let classic = || line.split_once("Stabilized group ")?.1.strip_prefix(group)?.strip_prefix(" generation ");
    let consumer =
        || line.split_once("[GroupId ")?.1.strip_prefix(group)?.split_once("group epoch to ").map(|(_, rest)| rest);
    let rest = classic().or_else(consumer)?;
    rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}
