//! The fetched batches of one partition that have not been read yet. Must not know phases or brokers.

use std::collections::VecDeque;

use super::position::Position;
use crate::consumer::event::PartitionRecords;
use crate::consumer::response_hold::ResponseHold;
use crate::error::Result;
use crate::record_batch::{PartitionReader, Progress, ReadBudget};
use crate::types::TopicPartition;

/// Responses in the queue of one partition at most: one that is being read, and the next one.
const RESPONSES_MAX: usize = 2;

/// The batches of one response.
pub(in crate::consumer) struct FetchedBatches {
    pub(in crate::consumer) reader: PartitionReader,
    /// End of the log when they were fetched.
    pub(in crate::consumer) end_offset: i64,
    pub(in crate::consumer) response: ResponseHold,
}

/// The batches of the last responses, in the order of their offsets.
#[derive(Default)]
pub(super) struct FetchQueue(VecDeque<FetchedBatches>);

impl FetchQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has_room(&self) -> bool {
        self.0.len() < RESPONSES_MAX
    }

    /// The offset after the last batch.
    pub(super) fn end_offset(&self) -> Option<i64> {
        self.0.back().map(|batches| batches.reader.end_position())
    }

    pub(super) fn push(&mut self, batches: FetchedBatches) {
        self.0.push_back(batches);
    }

    /// Reads the next records, perhaps none, and advances the position. After damage the queue is empty: its batches are fetched again,
    /// from the position.
    pub(super) fn read(
        &mut self,
        at: &TopicPartition,
        position: &mut Position,
        read_budget: ReadBudget,
    ) -> Option<(PartitionRecords, Result<Progress>)> {
        let front = self.0.front_mut()?;
        let mut records = Vec::new();
        let result = front.reader.read(read_budget, &mut records);
        let read = PartitionRecords {
            partition: at.clone(),
            leader_epoch: front.reader.leader_epoch(),
            from_offset: position.offset,
            next_offset: front.reader.position(),
            end_offset: front.end_offset,
            records,
            _response: front.response.clone(),
        };
        position.advance(read.next_offset, read.leader_epoch);
        if front.reader.is_empty() {
            self.0.pop_front();
        }
        if result.is_err() {
            self.0.clear();
        }
        Some((read, result))
    }
}
