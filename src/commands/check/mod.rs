//! The `check` command: checks everything that `run` needs, and prints what `run` would fail on or warn about. Changes nothing; must
//! not decode records.

mod database;
mod findings;
mod permissions;

use std::collections::BTreeSet;
use std::time::SystemTime;

use kafka::TopicPartition;

use crate::commands::inspection;
use crate::commands::inspection::requests;
use crate::commands::inspection::view::{Inspection, LocalState, PartitionInspection, Reader};
use crate::runtime::error_chain::ErrorChain;
use crate::service::expiry;
use crate::service::start_rules::{self, CommitMetadata, READ_SKIPPED, StartDecision, StartError};
use crate::settings::{HttpSettings, KafkaSettings, Settings};
use findings::Findings;

/// Prints problems, and with `verbose` also what is fine. Returns whether `run` would work.
pub fn check(settings: &Settings, verbose: bool) -> bool {
    let mut findings = Findings::new(verbose);
    findings.ok("settings", describe(settings));
    for warning in &settings.warnings {
        findings.warn("settings", warning.as_str());
    }
    // Before the database is opened: SQLite changes the mode of an empty WAL to that of the database.
    for warning in permissions::warnings(settings) {
        findings.warn("files", warning);
    }
    let local = database::check(settings, &mut findings);
    database::check_logs(settings, &mut findings);
    check_http(&settings.http, &mut findings);
    let kafka = &settings.kafka;
    match kafka.security.load() {
        Err(error) => findings.fail("security", ErrorChain(&error).to_string()),
        Ok(security) => {
            findings.ok("security", kafka.security.describe());
            if let Some(warning) = expiry::warning(&security, SystemTime::now()) {
                findings.warn("security", warning);
            }
            let mut client = requests::client(kafka, security);
            let inspection =
                inspection::inspect(settings, &mut client, local.as_ref().unwrap_or(&LocalState::default()));
            check_cluster(kafka, &inspection, &mut findings);
            if local.is_some() {
                check_starts(&inspection, &mut findings);
            }
        }
    }
    !findings.has_failures()
}

fn describe(settings: &Settings) -> String {
    let kafka = &settings.kafka;
    format!("topics {}, group '{}', isolation level {}", kafka.topics.join(", "), kafka.group_id, kafka.isolation_level)
}

/// Checks what the HTTP server needs, but for its address, which a running service has taken.
fn check_http(http: &HttpSettings, findings: &mut Findings) {
    match (http.load_token(), &http.listen) {
        (Err(error), _) => findings.fail("http", ErrorChain(&error).to_string()),
        (Ok(Some(_)), Some(listen)) => findings.ok("http", format!("{listen}, with a token")),
        (Ok(None), Some(listen)) => findings.ok("http", format!("{listen}, without a token")),
        (Ok(_), None) => {}
    }
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

/// The ids of other databases in the metadata of the group's committed offsets.
fn other_databases(inspection: &Inspection) -> BTreeSet<String> {
    let committed =
        inspection.partitions.values().filter(|partition| !matches!(partition.reader, Reader::ThisInstance(_)));
    let claims = committed.filter_map(|partition| CommitMetadata::parse(&partition.committed.as_ref()?.metadata));
    claims.filter(|claim| claim.cluster_id == inspection.cluster_id).map(|claim| claim.database_id).collect()
}

/// Checks where `run` would start each partition.
fn check_starts(inspection: &Inspection, findings: &mut Findings) {
    let mut refused: Vec<String> = Vec::new();
    for (at, partition) in &inspection.partitions {
        match &partition.start {
            // Printed once for all partitions: the text differs in the partition only.
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

/// Whether a member of the group belongs to the database that committed the offset.
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
