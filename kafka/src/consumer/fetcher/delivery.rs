//! Hands fetched records to the user: from which partitions, in which order, and how many. Must not know brokers.

use std::time::Instant;

use super::rotation::rotate;
use crate::consumer::event::PartitionRecords;
use crate::consumer::event_queue::EventQueue;
use crate::consumer::partitions::Partitions;
use crate::consumer::topology::Topology;
use crate::record_batch::{Progress, ReadBudget};
use crate::types::TopicPartition;

/// The order in which partitions are read.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    /// The partition that the last records were first taken from.
    last_first: Option<TopicPartition>,
    /// The partition whose next batch there was no memory for: it is the first to get some.
    without_memory: Option<TopicPartition>,
}

impl Delivery {
    /// Takes fetched records, from one partition after the other, until the read budget is used up. That counts decompressed bytes, so
    /// that memory is bounded.
    pub(super) fn take_records(
        &mut self,
        mut read_budget: ReadBudget,
        partitions: &mut Partitions,
        (topology, events): (&mut Topology, &mut EventQueue),
        now: Instant,
    ) -> Vec<PartitionRecords> {
        let mut order = partitions.select(|_, partition| partition.has_fetched());
        if order.is_empty() {
            return Vec::new();
        }
        let last_first = self.last_first.clone();
        rotate(&mut order, &mut self.last_first);
        if let Some(at) = self.without_memory.take()
            && let Some(index) = order.iter().position(|other| *other == at)
        {
            order.get_mut(..=index).unwrap_or_default().rotate_right(1);
        }
        let mut taken = Vec::new();
        for at in order {
            if read_budget.is_full() {
                break;
            }
            let Some(partition) = partitions.get_mut(&at) else { continue };
            let Some((records, result)) = partition.read(&at, read_budget) else { continue };
            let progress = match result {
                Ok(progress) => {
                    // Good records end the growth of the pauses, unless the next fetch fails already and waits.
                    if partition.pause.is_over(now) {
                        partition.pause.succeeded();
                    }
                    progress
                }
                Err(error) => {
                    // What was read before the damage counts; the rest is fetched again, from there.
                    let failed = partitions.fail(&at, error, now, topology, events);
                    failed.unwrap_or_else(|error| events.fail(error));
                    Progress::Done
                }
            };
            if progress == Progress::NoMemory && read_budget.may_decompress {
                // The others may go on with what they have: that frees memory. If they got more, there might never be enough.
                read_budget.may_decompress = false;
                self.without_memory = Some(at);
            }
            if records.next_offset > records.from_offset {
                records.records.iter().for_each(|record| read_budget.fill(record));
                taken.push(records);
            }
        }
        if taken.is_empty() {
            self.last_first = last_first;
        }
        taken
    }

    #[cfg(test)]
    pub(super) fn without_memory(&self) -> Option<&TopicPartition> {
        self.without_memory.as_ref()
    }
}
