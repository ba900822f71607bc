//! Every rule, as a table.

use std::sync::Arc;

use kafka::{Assignment, CommittedOffset, OutOfRange, StartToken, TopicId, TopicPartition, Truncation};

use super::{
    CommitMetadata, Policy, StartDecision, StartError, StoredOffset, choose, choose_out_of_range, choose_truncated,
};
use crate::settings::OffsetReset;
use crate::storage::{self, JumpReason};

const LOG_START: i64 = 10;
const LOG_END: i64 = 100;
const TOPIC_ID: TopicId = TopicId([7; 16]);
const OLD_TOPIC_ID: TopicId = TopicId([6; 16]);

/// Epochs of the last record, as stored and as committed.
const STORED_EPOCH: Option<i32> = Some(4);
const COMMITTED_EPOCH: Option<i32> = Some(5);

/// Who has committed which offset.
#[derive(Clone, Copy, Debug)]
enum Committed {
    Nothing,
    Own(i64),
    OtherDatabase(i64),
    OtherCluster(i64),
    OtherProgram(i64),
    Tool(i64),
}

/// What is committed and stored, and what the settings allow.
#[derive(Clone, Copy, Debug)]
struct Case {
    committed: Committed,
    stored: Option<(i64, TopicId)>,
    topic_known: bool,
    reset: OffsetReset,
    fail_on_data_loss: bool,
    exclusive: bool,
}

const CASE: Case = Case {
    committed: Committed::Nothing,
    stored: None,
    topic_known: false,
    reset: OffsetReset::Earliest,
    fail_on_data_loss: true,
    exclusive: true,
};

fn own() -> CommitMetadata {
    CommitMetadata { database_id: "own".into(), cluster_id: "here".into() }
}

fn run(case: Case) -> Result<StartDecision, StartError> {
    let metadata = |database: &str, cluster: &str| {
        CommitMetadata { database_id: database.into(), cluster_id: cluster.into() }.to_string()
    };
    let committed = match case.committed {
        Committed::Nothing => None,
        Committed::Own(offset) => Some((offset, COMMITTED_EPOCH, metadata("own", "here"))),
        Committed::OtherDatabase(offset) => Some((offset, COMMITTED_EPOCH, metadata("other", "here"))),
        Committed::OtherCluster(offset) => Some((offset, COMMITTED_EPOCH, metadata("own", "there"))),
        Committed::OtherProgram(offset) => Some((offset, STORED_EPOCH, String::new())),
        Committed::Tool(offset) => Some((offset, None, String::new())),
    };
    let assignment = Assignment {
        token: StartToken::new(1),
        partition: TopicPartition::new("t", 0),
        topic_id: Some(TOPIC_ID),
        committed: committed.map(|(offset, leader_epoch, metadata)| CommittedOffset { offset, leader_epoch, metadata }),
        log_start_offset: LOG_START,
        end_offset: LOG_END,
        cluster_id: Arc::from("here"),
    };
    let topic_id = case.stored.and_then(|(_, id)| storage::TopicId::new(id.to_string()));
    let stored = case.stored.map(|(next_offset, _)| StoredOffset {
        next_offset,
        topic_id: topic_id.as_ref(),
        leader_epoch: STORED_EPOCH,
    });
    let policy = Policy { reset: case.reset, fail_on_data_loss: case.fail_on_data_loss, exclusive: case.exclusive };
    choose(&assignment, stored, case.topic_known, &own(), policy)
}

#[track_caller]
fn resumes(case: Case, at: i64) {
    assert_eq!(run(case), Ok(StartDecision::Resume { offset: at, leader_epoch: STORED_EPOCH }), "{case:?}");
}

#[track_caller]
fn jumps(case: Case, to: i64, why: JumpReason) {
    match run(case) {
        Ok(StartDecision::Jump { to_offset, reason, .. }) => assert_eq!((to_offset, reason), (to, why), "{case:?}"),
        other => panic!("{case:?}: {other:?}"),
    }
}

/// The leader epoch of the record before the offset that the position jumps to.
fn epoch_of_jump(case: Case) -> Option<i32> {
    match run(case) {
        Ok(StartDecision::Jump { leader_epoch, .. }) => leader_epoch,
        other => panic!("{case:?}: {other:?}"),
    }
}

#[track_caller]
fn refuses(case: Case, words: &[&str]) {
    let error = run(case).expect_err("must be refused").to_string();
    for word in words {
        assert!(error.contains(word), "'{error}' does not say '{word}'");
    }
}

const HERE: Option<(i64, TopicId)> = Some((50, TOPIC_ID));
const BEFORE: Option<(i64, TopicId)> = Some((50, OLD_TOPIC_ID));

#[test]
fn rule_0_a_recreated_topic_is_data_loss() {
    for committed in [Committed::Nothing, Committed::Own(50)] {
        let case = Case { committed, stored: BEFORE, topic_known: true, ..CASE };
        refuses(case, &["t-0", "deleted and recreated", "offset 50", "--reset-offsets", "FAIL_ON_DATA_LOSS=false"]);
        jumps(Case { fail_on_data_loss: false, ..case }, LOG_START, JumpReason::TopicRecreated);
    }
    let other = Case { committed: Committed::OtherDatabase(50), stored: BEFORE, exclusive: false, ..CASE };
    refuses(other, &["deleted and recreated"]);
}

#[test]
fn rule_1_the_stored_offset_is_used() {
    for committed in [Committed::Nothing, Committed::Own(20), Committed::Own(90)] {
        resumes(Case { committed, stored: HERE, topic_known: true, ..CASE }, 50);
    }
    jumps(Case { committed: Committed::Own(90), ..CASE }, LOG_START, JumpReason::OlderBackup);
    jumps(
        Case { committed: Committed::Own(90), reset: OffsetReset::Latest, ..CASE },
        LOG_START,
        JumpReason::OlderBackup,
    );
}

#[test]
fn rule_2_another_database() {
    let case = Case { committed: Committed::OtherDatabase(60), ..CASE };
    refuses(case, &["'other'", "'own'", "KAFKA_GROUP_ID"]);
    refuses(Case { stored: HERE, ..case }, &["'other'", "'own'"]);
    let shared = Case { exclusive: false, ..case };
    jumps(shared, 60, JumpReason::OtherDatabase);
    jumps(Case { stored: HERE, ..shared }, 60, JumpReason::OtherDatabase);
    resumes(Case { stored: Some((70, TOPIC_ID)), ..shared }, 70);
}

#[test]
fn rule_3_an_offset_that_was_set_is_followed() {
    for committed in [Committed::Tool, Committed::OtherCluster] {
        for (stored, offset) in [(None, 30), (HERE, 30), (HERE, 80), (BEFORE, 30), (BEFORE, 50)] {
            let case = Case { committed: committed(offset), stored, topic_known: stored.is_some(), ..CASE };
            jumps(case, offset, JumpReason::GroupReset);
        }
    }
    resumes(Case { committed: Committed::OtherProgram(50), stored: HERE, topic_known: true, ..CASE }, 50);
}

#[test]
fn the_leader_epoch_is_kept_unless_the_offset_was_set_without_one() {
    let set = |committed| epoch_of_jump(Case { committed, stored: HERE, topic_known: true, ..CASE });
    assert_eq!(set(Committed::Tool(30)), None);
    assert_eq!(set(Committed::Tool(50)), None, "set to the stored offset, without a leader epoch");
    assert_eq!(set(Committed::OtherCluster(50)), COMMITTED_EPOCH);
    let other = Case { committed: Committed::OtherDatabase(60), exclusive: false, ..CASE };
    assert_eq!(epoch_of_jump(other), COMMITTED_EPOCH);
    assert_eq!(epoch_of_jump(Case { committed: Committed::Own(90), ..CASE }), None);
    assert_eq!(epoch_of_jump(CASE), None);
}

#[test]
fn rule_4_nothing_is_stored_or_committed() {
    jumps(CASE, LOG_START, JumpReason::FirstStart);
    jumps(Case { reset: OffsetReset::Latest, ..CASE }, LOG_END, JumpReason::FirstStart);
    refuses(Case { reset: OffsetReset::Error, ..CASE }, &["t-0", "KAFKA_AUTO_OFFSET_RESET", "'earliest'"]);
    for reset in [OffsetReset::Latest, OffsetReset::Error] {
        jumps(Case { reset, topic_known: true, ..CASE }, LOG_START, JumpReason::NewPartition);
    }
}

#[test]
fn commit_metadata_is_parsed_as_it_is_written() {
    assert_eq!(CommitMetadata::parse(&own().to_string()), Some(own()));
    for metadata in ["", "database=own", "cluster=here", "consumer-1 database=own cluster=here"] {
        assert_eq!(CommitMetadata::parse(metadata), None, "{metadata}");
    }
}

#[test]
fn a_position_outside_the_log() {
    let range = |position| OutOfRange {
        token: StartToken::new(1),
        partition: TopicPartition::new("t", 0),
        topic_id: Some(TOPIC_ID),
        position,
        log_start_offset: LOG_START,
        end_offset: LOG_END,
    };
    let policy = Policy { reset: OffsetReset::Latest, fail_on_data_loss: false, exclusive: true };
    let check = |position, to: i64, why: JumpReason, words: &str| {
        match choose_out_of_range(&range(position), policy) {
            Ok(StartDecision::Jump { to_offset, reason, .. }) => assert_eq!((to_offset, reason), (to, why)),
            other => panic!("{other:?}"),
        }
        let error = choose_out_of_range(&range(position), Policy { fail_on_data_loss: true, ..policy });
        let error = error.expect_err("must be refused").to_string();
        assert!(error.contains(words), "'{error}' does not say '{words}'");
    };
    check(3, LOG_START, JumpReason::OffsetsExpired, "records from offset 3 to 9 were deleted by retention");
    check(120, LOG_END, JumpReason::LogTruncated, "ends at offset 100, before the position 120");
}

#[test]
fn a_log_that_was_truncated_and_rewritten() {
    let policy = Policy { reset: OffsetReset::Latest, fail_on_data_loss: false, exclusive: true };
    let check = |divergence_offset, words: &[&str]| {
        let truncation = Truncation {
            token: StartToken::new(1),
            partition: TopicPartition::new("t", 0),
            topic_id: Some(TOPIC_ID),
            position: 50,
            position_epoch: 4,
            divergence_offset,
            divergence_epoch: 3,
        };
        let Ok(StartDecision::Jump { to_offset, leader_epoch, reason, .. }) = choose_truncated(&truncation, policy)
        else {
            panic!()
        };
        assert_eq!((to_offset, leader_epoch, reason), (divergence_offset, Some(3), JumpReason::LogTruncated));
        let error = choose_truncated(&truncation, Policy { fail_on_data_loss: true, ..policy });
        let error = error.expect_err("must be refused").to_string();
        for word in words.iter().chain(&["data loss on t-0", "stays in the database", "--reset-offsets"]) {
            assert!(error.contains(word), "'{error}' does not say '{word}'");
        }
    };
    check(20, &["rewritten from offset 20 on", "offsets 20 to 49 were read"]);
    check(49, &["rewritten from offset 49 on", "offsets 49 to 49 were read"]);
    check(50, &["rewritten from offset 50 on", "offset 49 was read"]);
}
