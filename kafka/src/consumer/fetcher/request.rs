//! Builds fetch requests: for which partitions, and for how many bytes. Must not know responses.

use std::time::Instant;

use crate::consumer::config::Builder;
use crate::consumer::partitions::Partitions;
use crate::protocol::FetchRequest;
use crate::types::TopicPartition;

/// Least share of a fetch that one partition gets, in bytes: Kafka's own default (`max.partition.fetch.bytes`).
const PARTITION_BYTES_MIN: u32 = 1024 * 1024;

/// The request to one broker for some of its partitions; for one alone where that is needed.
pub(in crate::consumer) fn fetch_request(
    config: &Builder,
    partitions: &Partitions,
    wanted: Vec<TopicPartition>,
    bytes_max: u32,
    now: Instant,
) -> FetchRequest {
    let state = |at: &TopicPartition| partitions.get(at);
    let alone = wanted.iter().position(|at| state(at).is_some_and(|partition| partition.fetch_alone));
    let (wanted, bytes_max) = match alone {
        Some(index) => (wanted.into_iter().skip(index).take(1).collect(), 1),
        None => (wanted, bytes_max),
    };
    let may_be_redirected =
        wanted.iter().filter_map(state).all(|partition| partition.leadership.may_be_redirected(now));
    let share = bytes_max / u32::try_from(wanted.len()).unwrap_or(u32::MAX).max(1);
    let partition_bytes_max = share.max(PARTITION_BYTES_MIN).min(bytes_max);
    let partitions = wanted.into_iter().filter_map(|at| {
        let partition = partitions.get(&at)?;
        partition.fetch_request(at, to_i32(partition_bytes_max))
    });
    FetchRequest {
        isolation: config.isolation,
        max_wait: config.fetch_wait,
        min_bytes: 1,
        max_bytes: to_i32(bytes_max),
        rack: config.rack.clone().filter(|_| may_be_redirected),
        partitions: partitions.collect(),
    }
}

/// The soft limit of a fetch: what is set, or less if its share of the memory is less.
pub(in crate::consumer) fn fetch_bytes_max(config: &Builder, share: usize) -> u32 {
    config.fetch_bytes_max.min(u32::try_from(share).unwrap_or(u32::MAX)).max(1)
}

/// Sizes go over the wire as `i32`; the limit of 2 GiB is far above what is meant.
fn to_i32(bytes: u32) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}
