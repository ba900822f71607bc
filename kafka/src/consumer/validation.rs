//! Whether a partition's log still has what was read of it. Before records come from a leader that has not been read from yet,
//! it is asked where the epoch of the last record ends in its log
//! ([KIP-320](https://cwiki.apache.org/confluence/display/KAFKA/KIP-320%3A+Allow+fetchers+to+detect+and+handle+log+truncation)).
//! An offset alone does not show it: a log that was truncated may have grown past the offset again, with other records.
//!
//! Each fetch names the epoch of the leader that it was meant for, and a leader of another epoch refuses it. So no record of a new leader
//! is returned before its log has been compared, and none of an old leader after its successor is known. One gap remains:
//! a leader that was replaced in an unclean election, and has not noticed, still sends records that will be truncated. They are
//! returned until metadata names the new leader; then the comparison finds them.
//!
//! One response that shows a truncation is not enough. Event Hubs has sent wrong ones, and a Redpanda leader that has just been
//! elected may lag behind the high watermark. The leader that fresh metadata names is asked again, until a response repeats the last
//! one or shows no truncation.
//!
//! Must not know partitions or phases.

use std::time::Duration;

use crate::backoff::{Backoff, RetryPolicy};
use crate::millis::millis;
use crate::protocol::{EpochEnd, OffsetForLeaderPartition};

/// A truncation that one response has shown and another one has to confirm.
#[derive(Debug)]
pub(super) struct Suspicion {
    divergence: EpochEnd,
    /// The metadata that was known then: the leader is asked again after the next.
    metadata_serial: u64,
    backoff: Backoff,
}

/// What a response that shows a truncation means.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The last response showed the same.
    Confirmed,
    /// Ask again after fresh metadata, and after the wait.
    Suspected(Suspicion, Duration),
}

impl Suspicion {
    /// Whether fresh metadata has come since.
    pub(super) fn may_ask_again(&self, metadata_serial: u64) -> bool {
        self.metadata_serial != metadata_serial
    }
}

/// Judges a response that shows a truncation.
pub(super) fn judge(
    last: Option<Suspicion>,
    divergence: EpochEnd,
    metadata_serial: u64,
    retry: RetryPolicy,
) -> Verdict {
    if last.as_ref().is_some_and(|last| last.divergence == divergence) {
        return Verdict::Confirmed;
    }
    // However long it takes: the setting is about failures, and may be as low as one.
    let retry = RetryPolicy { attempts_max: None, ..retry };
    let mut backoff = last.map_or_else(|| Backoff::new(retry), |last| last.backoff);
    let wait = backoff.next_wait().unwrap_or(retry.max);
    Verdict::Suspected(Suspicion { divergence, metadata_serial, backoff }, wait)
}

/// Logs a truncation that has to be confirmed.
pub(super) fn warn_suspected(
    requested: &OffsetForLeaderPartition,
    position: i64,
    divergence: EpochEnd,
    wait: Duration,
) {
    log::warn!(
        position = position,
        position_epoch = requested.epoch,
        end_offset = divergence.end_offset,
        end_epoch = divergence.epoch,
        wait_ms = millis(wait);
        "the leader's log of {} seems to be truncated; asking again after fresh metadata",
        requested.partition
    );
}
