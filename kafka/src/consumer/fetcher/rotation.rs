//! A rotation of partitions, so that each comes first once. Must not know what the order is for.

use crate::types::TopicPartition;

/// Rotates sorted partitions so that the one after `first` comes first. Partitions may have been added or removed since the last call.
pub(in crate::consumer) fn rotate(partitions: &mut [TopicPartition], first: &mut Option<TopicPartition>) {
    let passed = first.as_ref().map_or(0, |first| partitions.partition_point(|at| at <= first));
    partitions.rotate_left(passed);
    *first = partitions.first().cloned();
}
