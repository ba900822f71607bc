//! Which batches belong to aborted transactions
//! ([KIP-98](https://cwiki.apache.org/confluence/display/KAFKA/KIP-98+-+Exactly+Once+Delivery+and+Transactional+Messaging)).
//! Knows nothing of positions.

use std::collections::HashSet;

use super::header::Batch;
use crate::protocol::AbortedTransaction;

/// What a control batch says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    Abort,
    /// A commit, or a mark of the broker's that readers pass over.
    Other,
}

impl Marker {
    const ABORT_TYPE: i16 = 0;

    pub(super) fn from_type(marker_type: i16) -> Self {
        if marker_type == Self::ABORT_TYPE { Self::Abort } else { Self::Other }
    }
}

/// Follows a fetch, batch by batch in offset order.
#[derive(Debug)]
pub(super) struct AbortedTransactions {
    /// Those that begin after the batches seen so far, the next one last.
    ahead: Vec<AbortedTransaction>,
    /// Producers that are in an aborted transaction where we are.
    producers: HashSet<i64>,
}

impl AbortedTransactions {
    pub(super) fn new(mut aborted: Vec<AbortedTransaction>) -> Self {
        aborted.sort_unstable_by_key(|transaction| std::cmp::Reverse(transaction.first_offset));
        Self { ahead: aborted, producers: HashSet::new() }
    }

    /// Whether the next batch, one of records, is part of an aborted transaction.
    pub(super) fn hide(&mut self, batch: &Batch) -> bool {
        self.reach(batch);
        batch.is_transactional() && self.producers.contains(&batch.producer_id)
    }

    /// Takes note of the next batch, a control batch.
    pub(super) fn mark(&mut self, batch: &Batch, marker: Marker) {
        self.reach(batch);
        if marker == Marker::Abort {
            self.producers.remove(&batch.producer_id);
        }
    }

    fn reach(&mut self, batch: &Batch) {
        while let Some(next) = self.ahead.pop_if(|next| next.first_offset < batch.next_offset) {
            self.producers.insert(next.producer_id);
        }
    }
}
