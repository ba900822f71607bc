//! The `check` command: looks at everything that the service needs, changes nothing, and says what `run` would fail or stumble on.
//! Must not read records.

mod database;

use std::collections::BTreeSet;
use std::fmt;

use kafka::TopicPartition;

use crate::cli;
use crate::commands::inspection::{self, Inspection, Local, PartitionInspection, Reader};
use crate::runtime::error_chain::ErrorChain;
use crate::runtime::permissions;
use crate::service::start_rules::{self, CommitMetadata, READ_SKIPPED, StartDecision, StartError};
use crate::settings::{KafkaSettings, Settings};

/// What a look at one thing found.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Finding {
    /// Shown on request only.
    Ok(String),
    /// Works, but an operator should know.
    Warning(String),
    /// The service cannot work like this.
    Failure(String),
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    subject: &'static str,
    finding: Finding,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mark, text) = match &self.finding {
            Finding::Ok(text) => ("ok", text),
            Finding::Warning(text) => ("warn", text),
            Finding::Failure(text) => ("FAIL", text),
        };
        writeln!(f, "{:<9} {mark:<5} {text}", self.subject)
    }
}

/// Collects the findings and prints them as they come.
struct Findings {
    verbose: bool,
    failures: usize,
}

impl Findings {
    fn add(&mut self, subject: &'static str, finding: Finding) {
        if matches!(finding, Finding::Failure(_)) {
            self.failures += 1;
        }
        if self.verbose || !matches!(finding, Finding::Ok(_)) {
            cli::print(Line { subject, finding });
        }
    }

    fn ok(&mut self, subject: &'static str, text: impl Into<String>) {
        self.add(subject, Finding::Ok(text.into()));
    }

    fn warn(&mut self, subject: &'static str, text: impl Into<String>) {
        self.add(subject, Finding::Warning(text.into()));
    }

    fn fail(&mut self, subject: &'static str, text: impl Into<String>) {
        self.add(subject, Finding::Failure(text.into()));
    }
}

/// Prints what is wrong, and with `verbose` also what is fine; true if the service can work.
pub fn check(settings: &Settings, verbose: bool) -> bool {
    let mut findings = Findings { verbose, failures: 0 };
    findings.ok("settings", describe(settings));
    for warning in &settings.warnings {
        findings.warn("settings", warning.as_str());
    }
    // Before SQLite opens the files: it gives an empty `-wal` file the mode of the database.
    for warning in permissions::warnings(settings) {
        findings.warn("files", warning);
    }
    let local = database::check(settings, &mut findings);
    database::check_logs(settings, &mut findings);
    let kafka = &settings.kafka;
    match kafka.security.load() {
        // No broker can be called like this.
        Err(error) => findings.fail("security", ErrorChain(&error).to_string()),
        Ok(security) => {
            findings.ok("security", kafka.security.describe());
            let mut client = inspection::client(kafka, security);
            let inspection = Inspection::make(settings, &mut client, local.as_ref().unwrap_or(&Local::default()));
            check_cluster(kafka, &inspection, &mut findings);
            if local.is_some() {
                check_starts(&inspection, &mut findings);
            }
        }
    }
    findings.failures == 0
}

fn describe(settings: &Settings) -> String {
    let kafka = &settings.kafka;
    format!("topics {}, group '{}', isolation level {}", kafka.topics.join(", "), kafka.group_id, kafka.isolation_level)
}

fn check_cluster(kafka: &KafkaSettings, inspection: &Inspection, findings: &mut Findings) {
    for failure in &inspection.failures {
        findings.fail(failure.subject, failure.text.as_str());
    }
    if inspection.brokers > 0 {
        let brokers = counted(inspection.brokers, "broker");
        findings.ok("brokers", format!("{brokers} of cluster '{}'", inspection.cluster_id));
    }
    for topic in &inspection.topics {
        let partitions = counted(topic.partitions, "partition");
        if topic.leaderless > 0 {
            let text =
                format!("'{}': {} of {partitions} have no leader; look at the brokers", topic.name, topic.leaderless);
            findings.fail("topic", text);
        } else {
            findings.ok("topic", format!("'{}': {partitions}", topic.name));
        }
    }
    if inspection.topics.is_empty() || inspection.failures.iter().any(|failure| failure.subject == "group") {
        return;
    }
    let group = &kafka.group_id;
    let committed = inspection.partitions.values().filter(|partition| partition.committed.is_some()).count();
    let others = other_databases(inspection);
    findings.ok(
        "group",
        match (committed, others.is_empty()) {
            (0, _) => format!("'{group}' has committed nothing yet"),
            (_, true) => format!("'{group}' has offsets of {}", counted(committed, "partition")),
            (_, false) => {
                let ids: Vec<&str> = others.iter().map(String::as_str).collect();
                let partitions = counted(committed, "partition");
                format!("'{group}' has offsets of {partitions}, some of other databases (id {})", ids.join(", "))
            }
        },
    );
}

/// The databases other than that of this instance that the group's offsets were committed for.
fn other_databases(inspection: &Inspection) -> BTreeSet<String> {
    let committed =
        inspection.partitions.values().filter(|partition| !matches!(partition.reader, Reader::ThisInstance(_)));
    let claims = committed.filter_map(|partition| CommitMetadata::parse(&partition.committed.as_ref()?.metadata));
    claims.filter(|claim| claim.cluster_id == inspection.cluster_id).map(|claim| claim.database_id).collect()
}

/// What `run` would do with each partition.
fn check_starts(inspection: &Inspection, findings: &mut Findings) {
    let mut refused: Vec<String> = Vec::new();
    for (at, partition) in &inspection.partitions {
        match &partition.start {
            // What is said of the other partitions would be the same but for the number.
            Some(Err(error)) => match error {
                StartError::DataLoss { .. } => findings.fail("start", error.to_string()),
                StartError::OtherDatabase { .. } | StartError::NoPosition(_) => refused.push(error.to_string()),
            },
            Some(Ok(choice)) => check_choice(at, choice, partition, inspection, findings),
            None => match &partition.reader {
                Reader::Other(member) => findings.ok(
                    "start",
                    format!("{at}: read by member '{}' (client '{}' at {})", member.id, member.client_id, member.host),
                ),
                Reader::Unassigned | Reader::ThisInstance(_) => {}
            },
        }
    }
    match refused.as_slice() {
        [] => {}
        [one] => findings.fail("start", one.as_str()),
        [first, others @ ..] => {
            findings.fail("start", format!("{first} (and {} more)", counted(others.len(), "partition")));
        }
    }
}

fn check_choice(
    at: &TopicPartition,
    choice: &StartDecision,
    partition: &PartitionInspection,
    inspection: &Inspection,
    findings: &mut Findings,
) {
    match choice {
        StartDecision::Resume { offset, .. } => findings.ok("start", format!("{at}: resumes at offset {offset}")),
        StartDecision::Jump { to_offset, reason, detail, .. } => {
            let text = format!("{at}: starts at offset {to_offset}: {reason}: {detail}");
            if partition.skipped > 0 && !is_read_by_a_member(partition, inspection) {
                findings.warn(
                    "start",
                    format!(
                        "{text}; this database does not get the {} offsets before; {READ_SKIPPED}",
                        partition.skipped
                    ),
                );
            } else if start_rules::is_warning(*reason) {
                findings.warn("start", text);
            } else {
                findings.ok("start", text);
            }
        }
    }
}

/// Whether the database that the offset was committed for is that of a member of the group.
fn is_read_by_a_member(partition: &PartitionInspection, inspection: &Inspection) -> bool {
    let claim = partition.committed.as_ref().and_then(|committed| CommitMetadata::parse(&committed.metadata));
    let (Some(claim), Some(group)) = (claim, &inspection.group) else { return false };
    group.members.iter().any(|member| {
        member.instance_id.as_deref() == Some(&claim.database_id) || member.id.starts_with(&claim.database_id)
    })
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
