//! Batches in parts, each of which takes effect as a whole: cut in halves where SQLite refuses them together, and cut short where
//! some of it has taken effect. No I/O.

use crate::storage::sqlite::tables::{Entry, PartitionBatch};

/// A stretch of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'b> {
    /// Where the records come from. Its own range and entries are those of the whole batch.
    pub(super) batch: &'b PartitionBatch<'b>,
    /// Where the part begins.
    pub(super) from_offset: i64,
    /// Where it ends.
    pub(super) next_offset: i64,
    /// Its records.
    pub(super) entries: &'b [Entry<'b>],
}

impl<'b> Part<'b> {
    /// All of a batch.
    pub(super) fn whole(batch: &'b PartitionBatch<'b>) -> Self {
        Self { batch, from_offset: batch.from_offset, next_offset: batch.next_offset, entries: batch.entries }
    }

    /// What is left of it from a position on; `None` if that lies somewhere else.
    pub(super) fn from(self, position: i64) -> Option<Self> {
        if !(self.from_offset..=self.next_offset).contains(&position) {
            return None;
        }
        let before = self.entries.partition_point(|entry| entry.offset < position);
        Some(Self { from_offset: position, entries: self.entries.get(before..)?, ..self })
    }

    /// Whether it covers no offset and holds no record.
    pub(super) fn is_empty(&self) -> bool {
        self.from_offset == self.next_offset && self.entries.is_empty()
    }

    /// The part before a record, and the one from it on.
    fn cut(self, records: usize) -> Option<(Self, Self)> {
        let (before, after) = self.entries.split_at_checked(records)?;
        let border = after.first().map_or(self.next_offset, |entry| entry.offset);
        Some((
            Self { next_offset: border, entries: before, ..self },
            Self { from_offset: border, entries: after, ..self },
        ))
    }
}

/// Cuts into two with half of the records each; the first comes before the second. `None` if there are not two records.
pub(super) fn halves<'b>(parts: &[Part<'b>]) -> Option<(Vec<Part<'b>>, Vec<Part<'b>>)> {
    let records: usize = parts.iter().map(|part| part.entries.len()).sum();
    let mut room = records / 2;
    if room == 0 {
        return None;
    }
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for part in parts {
        if room == 0 {
            second.push(*part);
            continue;
        }
        let taken = room.min(part.entries.len());
        room -= taken;
        let (before, after) = part.cut(taken)?;
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
        parts.iter().map(|part| (part.batch.partition, part.from_offset, part.next_offset, offsets(part))).collect()
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
    fn what_is_left_begins_at_the_position() {
        let batch = batch(0, 10, 20, vec![rejected(12), rejected(15)]);
        let whole = Part::whole(&batch);
        let left = |position| whole.from(position).map(|part| shown(&[part]));
        assert_eq!(left(10), Some(vec![(0, 10, 20, vec![12, 15])]));
        assert_eq!(left(13), Some(vec![(0, 13, 20, vec![15])]));
        assert_eq!(left(20), Some(vec![(0, 20, 20, vec![])]));
        assert!(whole.from(20).unwrap().is_empty() && !whole.from(16).unwrap().is_empty());
        assert_eq!((left(9), left(21)), (None, None));
    }
}
