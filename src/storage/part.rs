//! Parts of batches, each of which takes effect in one transaction: halves where the database rejects a batch, the rest where some of it
//! has been committed. No I/O.

use super::batch::{Entry, PartitionBatch};
use super::range::OffsetRange;

/// Consecutive offsets of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'b> {
    /// The batch. Its own offsets and entries are those of the whole batch.
    pub(super) batch: &'b PartitionBatch<'b>,
    /// The offsets of the part.
    pub(super) offsets: OffsetRange,
    /// Its records.
    pub(super) entries: &'b [Entry<'b>],
}

impl<'b> Part<'b> {
    /// All of a batch.
    pub(super) fn whole(batch: &'b PartitionBatch<'b>) -> Self {
        Self { batch, offsets: batch.offsets, entries: batch.entries }
    }

    /// The rest of the part from a position on; `None` if the position is outside of it.
    pub(super) fn from(self, position: i64) -> Option<Self> {
        if !(self.offsets.from..=self.offsets.next).contains(&position) {
            return None;
        }
        let before = self.entries.partition_point(|entry| entry.offset < position);
        let offsets = OffsetRange { from: position, next: self.offsets.next };
        Some(Self { offsets, entries: self.entries.get(before..)?, ..self })
    }

    /// Whether it has no offset and no record.
    pub(super) fn is_empty(&self) -> bool {
        self.offsets.is_empty() && self.entries.is_empty()
    }

    /// The part before a record, and the part from that record on.
    fn split(self, records: usize) -> Option<(Self, Self)> {
        let (before, after) = self.entries.split_at_checked(records)?;
        let OffsetRange { from, next } = self.offsets;
        let at = after.first().map_or(next, |entry| entry.offset);
        Some((
            Self { offsets: OffsetRange { from, next: at }, entries: before, ..self },
            Self { offsets: OffsetRange { from: at, next }, entries: after, ..self },
        ))
    }
}

/// Splits parts into two lists with half of the records each. `None` if there are fewer than two records.
pub(super) fn halves<'b>(parts: &[Part<'b>]) -> Option<(Vec<Part<'b>>, Vec<Part<'b>>)> {
    let records: usize = parts.iter().map(|part| part.entries.len()).sum();
    let mut missing = records / 2;
    if missing == 0 {
        return None;
    }
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for part in parts {
        if missing == 0 {
            second.push(*part);
            continue;
        }
        let taken = missing.min(part.entries.len());
        missing -= taken;
        let (before, after) = part.split(taken)?;
        first.push(before);
        second.extend((!after.is_empty()).then_some(after));
    }
    Some((first, second))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::sqlite::fixtures::{batch, rejected};

    /// Partition, range, offsets of the records.
    fn shown(parts: &[Part<'_>]) -> Vec<(i32, i64, i64, Vec<i64>)> {
        let offsets = |part: &Part<'_>| part.entries.iter().map(|entry| entry.offset).collect();
        parts.iter().map(|part| (part.batch.partition, part.offsets.from, part.offsets.next, offsets(part))).collect()
    }

    #[test]
    fn halves_hold_every_offset_once_and_in_order() {
        let batches = [
            batch(0, 0, 10, vec![rejected(2), rejected(3), rejected(7)]),
            batch(1, 5, 9, vec![]),
            batch(2, 0, 4, vec![rejected(0), rejected(3)]),
        ];
        let whole: Vec<Part<'_>> = batches.iter().map(Part::whole).collect();
        let (first, second) = halves(&whole).unwrap();
        assert_eq!(shown(&first), [(0, 0, 7, vec![2, 3])]);
        assert_eq!(shown(&second), [(0, 7, 10, vec![7]), (1, 5, 9, vec![]), (2, 0, 4, vec![0, 3])]);
        let (first, second) = halves(&second).unwrap();
        assert_eq!(shown(&first), [(0, 7, 10, vec![7])]);
        assert_eq!(shown(&second), [(1, 5, 9, vec![]), (2, 0, 4, vec![0, 3])]);
        let (first, second) = halves(&second).unwrap();
        assert_eq!(shown(&first), [(1, 5, 9, vec![]), (2, 0, 3, vec![0])]);
        assert_eq!(shown(&second), [(2, 3, 4, vec![3])]);
        assert!(halves(&first).is_none() && halves(&second).is_none() && halves(&[]).is_none());
    }

    #[test]
    fn the_rest_begins_at_the_position() {
        let batch = batch(0, 10, 20, vec![rejected(12), rejected(15)]);
        let whole = Part::whole(&batch);
        let rest = |position| whole.from(position).map(|part| shown(&[part]));
        assert_eq!(rest(10), Some(vec![(0, 10, 20, vec![12, 15])]));
        assert_eq!(rest(13), Some(vec![(0, 13, 20, vec![15])]));
        assert_eq!(rest(20), Some(vec![(0, 20, 20, vec![])]));
        assert!(whole.from(20).unwrap().is_empty() && !whole.from(16).unwrap().is_empty());
        assert_eq!((rest(9), rest(21)), (None, None));
    }
}
