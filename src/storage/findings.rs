//! The invariants of a database, and what violates them.

use super::counts::Outcome;

/// A rule that holds between any two transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invariant {
    /// The database engine finds no damage.
    Integrity,
    /// The counters of each position cover every offset since they began.
    Counters,
    /// No row is of a record at or after the highest position of its partition.
    Rows,
    /// Every unidentified message that a position has counted is kept, or counted as pruned.
    Unidentified,
}

impl Invariant {
    /// Every invariant, in the order of reports.
    pub const ALL: [Self; 4] = [Self::Integrity, Self::Counters, Self::Rows, Self::Unidentified];
}

/// What violates an invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The engine found damage, or a value of a type that no service writes.
    Damage(String),
    /// The counters of a position do not add up to its offsets, or its highest value is less than the present one.
    Miscounted(CountedPosition),
    /// Rows of records at or after the highest position of their partition.
    Beyond {
        /// The table.
        table: &'static str,
        /// The topic's name.
        topic: String,
        /// The partition's number.
        partition: i64,
        /// The highest position of the partition over all groups and times, if it has any.
        high_offset: Option<i64>,
        /// How many rows.
        rows: u64,
        /// The first of their offsets.
        first_offset: i64,
        /// The last of their offsets.
        last_offset: i64,
    },
    /// Fewer messages are kept or pruned than were counted.
    Missing {
        /// The position that has counted them.
        position: CountedPosition,
        /// How many there are.
        kept: u64,
    },
}

/// A position and its counters as the table has them, which need not be valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedPosition {
    /// The consumer group.
    pub group_id: String,
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: i64,
    /// The offset at which the counters began.
    pub first_offset: i64,
    /// The first offset that has not taken effect.
    pub next_offset: i64,
    /// The greatest `next_offset` ever.
    pub high_offset: i64,
    /// The count of each outcome, in the order of [`Outcome::ALL`](super::Outcome::ALL).
    pub counters: [i64; Outcome::ALL.len()],
    /// How many of the unidentified messages were pruned.
    pub pruned: i64,
}

impl CountedPosition {
    /// The count of an outcome.
    pub fn count(&self, outcome: Outcome) -> i64 {
        self.counts().find(|(counted, _)| *counted == outcome).map_or(0, |(_, count)| count)
    }

    /// Each outcome and its count.
    pub fn counts(&self) -> impl Iterator<Item = (Outcome, i64)> {
        Outcome::ALL.into_iter().zip(self.counters)
    }
}
