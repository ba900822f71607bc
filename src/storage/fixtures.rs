//! Values that the tests of all engines share: jumps, batches, records, events.

// A target for libFuzzer uses some of this too.
#![allow(clippy::expect_used)]
#![cfg_attr(feature = "fuzzing", allow(dead_code))]

use super::batch::{Entry, PartitionBatch};
use super::counts::{OffsetCounts, Outcome};
use super::headers::Header;
use super::position::{JumpReason, OffsetJump};
use super::range::OffsetRange;
use super::topic_id::TopicId;
use crate::entity::{Event, LastModified, MetaData, Opportunity, Project, Reason, Rejection, UtcTime};

pub(crate) const GROUP: &str = "group-1";
pub(crate) const TOPIC: &str = "sales_events";
pub(crate) const TOPIC_ID: &str = "AAECAwQFBgcICQoLDA0ODw";

/// A topic id for a test, which is short.
pub(crate) fn topic_id(text: &str) -> &'static TopicId {
    Box::leak(Box::new(TopicId::new(text).expect("not empty")))
}

pub(crate) fn counts(applied: u64, stale: u64, unidentified: u64, absent: u64) -> OffsetCounts {
    let counts = [applied, stale, unidentified, absent];
    let mut sum = OffsetCounts::default();
    for (outcome, count) in Outcome::ALL.into_iter().zip(counts) {
        sum.add(outcome, count);
    }
    sum
}

pub(crate) fn jump(partition: i32, from: Option<i64>, to: i64) -> OffsetJump {
    OffsetJump {
        topic: TOPIC.to_owned(),
        partition,
        from,
        to,
        topic_id: TopicId::new(TOPIC_ID),
        leader_epoch: Some(1),
        reason: JumpReason::GroupReset,
        detail: "a test".to_owned(),
    }
}

pub(crate) fn batch(partition: i32, from_offset: i64, next_offset: i64, entries: Vec<Entry<'_>>) -> PartitionBatch<'_> {
    PartitionBatch {
        topic: TOPIC,
        topic_id: Some(topic_id(TOPIC_ID)),
        partition,
        leader_epoch: Some(7),
        offsets: OffsetRange { from: from_offset, next: next_offset },
        // Tests are short.
        entries: entries.leak(),
    }
}

static NO_HEADERS: Vec<Header<'static>> = Vec::new();

pub(crate) fn entry(offset: i64, decoded: Result<Event<'_>, Rejection>) -> Entry<'_> {
    Entry {
        offset,
        timestamp_ms: 1_700_000_000_000_i64.checked_add(offset),
        key: Some(b"key"),
        value: Some(b"value"),
        headers: &NO_HEADERS,
        decoded,
    }
}

pub(crate) fn rejected(offset: i64) -> Entry<'static> {
    entry(offset, Err(Rejection { reason: Reason::NotJson, error: "expected value at line 1 column 1".to_owned() }))
}

pub(crate) fn opportunity(event_id: &str) -> Opportunity<'_> {
    Opportunity {
        event_id: event_id.into(),
        name: "Renewal".into(),
        stage: "won".into(),
        amount: None,
        probability: None,
        expected_close_date: None,
        account_id: None,
        owner_id: None,
        meta_data: None,
        extra: None,
    }
}

pub(crate) fn project(event_id: &str) -> Project<'_> {
    Project {
        event_id: event_id.into(),
        name: "Roll-out".into(),
        status: "running".into(),
        start_date: None,
        end_date: None,
        budget: None,
        account_id: None,
        owner_id: None,
        meta_data: None,
        extra: None,
    }
}

pub(crate) fn modified(last_modified: &str) -> MetaData<'static> {
    let last_modified = UtcTime::read(last_modified).map(LastModified::new);
    MetaData { json: "{}", last_modified: Some(last_modified.expect("a time")) }
}
