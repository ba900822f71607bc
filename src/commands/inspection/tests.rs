//! Judging of responses without a broker: starts, readers, and the offsets whose age is requested.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use kafka::{CommittedOffset, GroupDescription, MemberDescription, Metadata, TopicPartition, Truncated, Watermarks};

use super::judge::{Judge, blocked_offsets};
use super::view::{LocalState, PartitionInspection, Reader};
use crate::service::start_rules::{Policy, StartDecision};
use crate::settings::Settings;
use crate::storage::{OffsetCounts, StoredPosition};

const DATABASE_ID: &str = "d1";
const CLUSTER_ID: &str = "c1";

/// The log of the partition has offsets 3 to 9; a transaction is open from offset 8 on.
const LOG: Watermarks = Watermarks { start_offset: 3, last_stable_offset: 8, end_offset: 10 };

fn partition() -> TopicPartition {
    TopicPartition::new("sales_events", 0)
}

fn settings(variables: &[(&str, &str)]) -> Settings {
    let environment = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    Settings::load(environment, Some(Path::new("/dev/null"))).unwrap()
}

fn metadata() -> Metadata {
    Metadata { cluster_id: Some(CLUSTER_ID.to_owned()), brokers: Vec::new(), topics: Vec::new() }
}

fn stored_position(next_offset: i64) -> StoredPosition {
    StoredPosition {
        group_id: "enterprise-consumer-group".to_owned(),
        topic: partition().topic.to_string(),
        partition: 0,
        next_offset,
        first_offset: 0,
        high_offset: next_offset,
        topic_id: None,
        leader_epoch: Some(2),
        counters: OffsetCounts::default(),
        updated_at: String::new(),
        pruned: 0,
        reading: 0,
    }
}

fn committed(offset: i64, database_id: &str) -> CommittedOffset {
    let metadata = format!("database={database_id} cluster={CLUSTER_ID}");
    CommittedOffset { offset, leader_epoch: None, metadata }
}

/// What is known of the partition before it is judged.
#[derive(Clone, Default)]
struct Known {
    stored: Option<i64>,
    committed: Option<CommittedOffset>,
    truncated: Option<Truncated>,
    reader: Reader,
    log: Option<Watermarks>,
}

/// Judges one partition with these variables.
fn judge(known: Known, variables: &[(&str, &str)]) -> (PartitionInspection, Option<i64>, Option<i64>) {
    let (settings, metadata) = (settings(variables), metadata());
    let positions = known.stored.map(stored_position).into_iter().collect();
    let local = LocalState { database_id: Some(DATABASE_ID.to_owned()), positions };
    let judge = Judge { kafka: &settings.kafka, policy: Policy::of(&settings), local: &local, metadata: &metadata };
    let inspected = PartitionInspection {
        watermarks: known.log,
        committed: known.committed,
        reader: known.reader,
        ..PartitionInspection::default()
    };
    let mut partitions = BTreeMap::from([(partition(), inspected)]);
    judge.choose_starts(&mut partitions);
    let validated = judge.positions_to_validate(&partitions);
    let truncations = known
        .truncated
        .filter(|_| !validated.is_empty())
        .map(|truncated| (partition(), truncated))
        .into_iter()
        .collect();
    judge.confirm_starts(&mut partitions, &truncations);
    let unread = judge.unread_offsets(&partitions).get(&partition()).copied();
    let blocked = blocked_offsets(&partitions).get(&partition()).copied();
    (partitions.remove(&partition()).unwrap(), unread, blocked)
}

/// The start as text.
fn describe(start: &PartitionInspection) -> String {
    match &start.start {
        None => "none".to_owned(),
        Some(Ok(StartDecision::Resume { offset, .. })) => format!("resumes at {offset}"),
        Some(Ok(StartDecision::Jump { to_offset, reason, .. })) => format!("jumps to {to_offset}: {}", reason.as_str()),
        Some(Err(_)) => "fails".to_owned(),
    }
}

#[test]
fn a_start_is_judged_by_the_log_the_database_and_the_group() {
    let log = Some(LOG);
    let other_member = || Reader::Other(MemberDescription::default());
    let truncated = Some(Truncated { divergence_offset: 4, divergence_epoch: 1 });
    let cases = [
        ("no position", Known { log, ..Known::default() }, "jumps to 3: first_start", "jumps to 3: first_start"),
        ("stored", Known { log, stored: Some(5), ..Known::default() }, "resumes at 5", "resumes at 5"),
        ("at the end", Known { log, stored: Some(10), ..Known::default() }, "resumes at 10", "resumes at 10"),
        ("expired", Known { log, stored: Some(2), ..Known::default() }, "fails", "jumps to 3: offsets_expired"),
        ("beyond", Known { log, stored: Some(11), ..Known::default() }, "fails", "jumps to 8: log_truncated"),
        (
            "truncated",
            Known { log, stored: Some(7), truncated, ..Known::default() },
            "fails",
            "jumps to 4: log_truncated",
        ),
        (
            "reset by an operator",
            Known { log, stored: Some(5), committed: Some(committed(9, DATABASE_ID)), ..Known::default() },
            "resumes at 5",
            "resumes at 5",
        ),
        (
            "read by another database before",
            Known { log, committed: Some(committed(9, "d2")), ..Known::default() },
            "jumps to 9: other_database",
            "jumps to 9: other_database",
        ),
        ("read by another member", Known { log, reader: other_member(), ..Known::default() }, "none", "none"),
        ("unknown log", Known { stored: Some(5), ..Known::default() }, "none", "none"),
    ];
    for (name, known, with_fail_on_data_loss, without) in cases {
        assert_eq!(describe(&judge(known.clone(), &[]).0), with_fail_on_data_loss, "{name}");
        assert_eq!(describe(&judge(known, &[("FAIL_ON_DATA_LOSS", "false")]).0), without, "{name}");
    }
}

#[test]
fn a_log_is_not_validated_if_the_settings_forbid_it() {
    let truncated = Some(Truncated { divergence_offset: 4, divergence_epoch: 1 });
    let known = Known { log: Some(LOG), stored: Some(7), truncated, ..Known::default() };
    assert_eq!(describe(&judge(known, &[("KAFKA_VALIDATE_LEADER_EPOCHS", "false")]).0), "resumes at 7");
}

#[test]
fn records_read_for_another_database_are_skipped_by_a_new_one() {
    let skipped = |stored| {
        let known = Known { log: Some(LOG), stored, committed: Some(committed(9, "d2")), ..Known::default() };
        judge(known, &[]).0.skipped
    };
    assert_eq!((skipped(None), skipped(Some(5))), (6, 0));
}

#[test]
fn ages_are_requested_within_the_log() {
    for (stored, unread) in [(5, 5), (10, 10), (2, 10), (11, 10)] {
        let known = Known { log: Some(LOG), stored: Some(stored), ..Known::default() };
        let (_, found, blocked) = judge(known, &[]);
        assert_eq!((found, blocked), (Some(unread), Some(8)), "{stored}");
    }
    let closed = Watermarks { last_stable_offset: 10, ..LOG };
    let (_, _, blocked) = judge(Known { log: Some(closed), ..Known::default() }, &[]);
    assert_eq!(blocked, None);
}

#[test]
fn the_member_of_this_instance_is_recognised() {
    let none = &[("KAFKA_GROUP_PROTOCOL", "none")][..];
    let consumer = &[("KAFKA_GROUP_PROTOCOL", "consumer")][..];
    let named = &[("KAFKA_GROUP_INSTANCE_ID", "i1")][..];
    for (variables, member_id, instance_id, is_this_instance) in [
        (none, "d1", Some("d1"), false),
        (&[][..], "m", Some("d1"), true),
        (&[][..], "d1", Some("d2"), false),
        // Brokers before 2.4.
        (&[][..], "d1-0a", None, true),
        (&[][..], "d10-0a", None, false),
        (named, "m", Some("i1"), true),
        (named, "m", Some("d1"), false),
        (named, "i1-0a", None, true),
        (consumer, "d1", None, true),
        (consumer, "d2", Some("d1"), false),
    ] {
        let (settings, metadata) = (settings(variables), metadata());
        let local = LocalState { database_id: Some(DATABASE_ID.to_owned()), positions: Vec::new() };
        let judge = Judge { kafka: &settings.kafka, policy: Policy::of(&settings), local: &local, metadata: &metadata };
        let member = MemberDescription {
            id: member_id.to_owned(),
            instance_id: instance_id.map(str::to_owned),
            partitions: BTreeSet::from([partition()]),
            ..MemberDescription::default()
        };
        let group = GroupDescription { state: "Stable".to_owned(), members: vec![member.clone()] };
        let reader = if is_this_instance { Reader::ThisInstance(member) } else { Reader::Other(member) };
        assert_eq!(judge.readers(&group), [(partition(), reader)], "{variables:?} {member_id} {instance_id:?}");
    }
}
