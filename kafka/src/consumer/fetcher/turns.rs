//! Turns of partitions, so that each is the first in its turn. Must not know what they take turns in.

use crate::types::TopicPartition;

/// Turns sorted partitions so that the one after `first` is the first now: each has its turn, whichever come and go.
pub(in crate::consumer) fn take_turns(partitions: &mut [TopicPartition], first: &mut Option<TopicPartition>) {
    let passed = first.as_ref().map_or(0, |first| partitions.partition_point(|at| at <= first));
    partitions.rotate_left(passed);
    *first = partitions.first().cloned();
}
