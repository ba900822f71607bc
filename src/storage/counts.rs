//! What became of offsets: `applied`, `stale`, `unidentified` or `absent`, and the counters of these outcomes.

use std::collections::BTreeMap;
use std::ops::AddAssign;

/// What became of one offset. Each offset of a batch has exactly one outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The event is stored: by this batch, or since an earlier one that held the same record.
    Applied,
    /// The event is older than the stored event of its id and changes nothing.
    Stale,
    /// The record is kept as an unidentified message, also because the database rejected its row.
    Unidentified,
    /// The offset has no record: it was compacted, or holds a control record or a record of an aborted transaction.
    Absent,
}

impl Outcome {
    /// Every outcome, in the order of the columns of `consumer_offsets`.
    pub const ALL: [Self; 4] = [Self::Applied, Self::Stale, Self::Unidentified, Self::Absent];

    /// The outcome's column in `consumer_offsets`, which is also its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Stale => "stale",
            Self::Unidentified => "unidentified",
            Self::Absent => "absent",
        }
    }
}

/// How many offsets have each outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OffsetCounts([u64; Outcome::ALL.len()]);

impl OffsetCounts {
    /// How many offsets have an outcome.
    pub fn get(&self, outcome: Outcome) -> u64 {
        self.iter().find(|(counted, _)| *counted == outcome).map_or(0, |(_, count)| count)
    }

    /// Counts offsets.
    pub fn add(&mut self, outcome: Outcome, count: u64) {
        for (counted, total) in Outcome::ALL.into_iter().zip(&mut self.0) {
            if counted == outcome {
                *total = total.saturating_add(count);
            }
        }
    }

    /// How many offsets there are.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// How many offsets hold a record.
    pub fn records(&self) -> u64 {
        self.total().saturating_sub(self.get(Outcome::Absent))
    }

    /// What was counted after `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut counts = Self::default();
        for ((outcome, now), (_, before)) in self.iter().zip(earlier.iter()) {
            counts.add(outcome, now.saturating_sub(before));
        }
        counts
    }

    /// Each outcome and its count, in the order of [`Outcome::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Outcome, u64)> {
        Outcome::ALL.into_iter().zip(self.0)
    }

    /// Counts by a function that gives the count of each outcome.
    pub fn try_from_fn<E>(mut count: impl FnMut(Outcome) -> Result<u64, E>) -> Result<Self, E> {
        let mut counts = Self::default();
        for outcome in Outcome::ALL {
            counts.add(outcome, count(outcome)?);
        }
        Ok(counts)
    }
}

impl AddAssign for OffsetCounts {
    fn add_assign(&mut self, more: Self) {
        for (outcome, count) in more.iter() {
            self.add(outcome, count);
        }
    }
}

/// The counts of several partitions, by topic and number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionCounts {
    counts: BTreeMap<(String, i32), OffsetCounts>,
    last_rejected: Option<RejectedRecord>,
}

/// A record that decodes to an event whose row the database has rejected. It counts as unidentified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedRecord {
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The record's offset.
    pub offset: i64,
    /// Why, in the words of the database.
    pub error: String,
}

impl PartitionCounts {
    /// Counts offsets of one partition.
    pub fn add(&mut self, topic: &str, partition: i32, counts: OffsetCounts) {
        *self.counts.entry((topic.to_owned(), partition)).or_default() += counts;
    }

    /// Counts those of others, too.
    pub fn extend(&mut self, more: &Self) {
        for ((topic, partition), counts) in &more.counts {
            self.add(topic, *partition, *counts);
        }
        if let Some(rejected) = &more.last_rejected {
            self.last_rejected = Some(rejected.clone());
        }
    }

    /// The database has rejected the row of a record.
    pub fn note_rejected(&mut self, rejected: RejectedRecord) {
        self.last_rejected = Some(rejected);
    }

    /// The last record whose row the database has rejected.
    pub fn last_rejected(&self) -> Option<&RejectedRecord> {
        self.last_rejected.as_ref()
    }

    /// Each partition and its counts.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i32, OffsetCounts)> {
        self.counts.iter().map(|((topic, partition), counts)| (topic.as_str(), *partition, *counts))
    }

    /// The sum over all partitions.
    pub fn total(&self) -> OffsetCounts {
        let mut total = OffsetCounts::default();
        for counts in self.counts.values() {
            total += *counts;
        }
        total
    }
}

impl<const N: usize> From<[(Outcome, u64); N]> for OffsetCounts {
    fn from(counts: [(Outcome, u64); N]) -> Self {
        let mut sum = Self::default();
        for (outcome, count) in counts {
            sum.add(outcome, count);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_by_outcome() {
        let mut counts = OffsetCounts::from([(Outcome::Applied, 2), (Outcome::Absent, 5)]);
        counts += [(Outcome::Applied, 1), (Outcome::Unidentified, 4)].into();
        let found: Vec<_> = counts.iter().map(|(outcome, count)| (outcome.name(), count)).collect();
        assert_eq!(found, [("applied", 3), ("stale", 0), ("unidentified", 4), ("absent", 5)]);
        assert_eq!((counts.total(), counts.records()), (12, 7));
        let since = counts.since(&[(Outcome::Applied, 1), (Outcome::Stale, 2)].into());
        assert_eq!(since, [(Outcome::Applied, 2), (Outcome::Unidentified, 4), (Outcome::Absent, 5)].into());
    }
}
