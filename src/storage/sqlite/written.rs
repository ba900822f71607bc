//! What this process has committed, as far as it takes to notice that the database has lost it: of a WAL that was removed, or that the
//! disk did not keep, SQLite says nothing when it opens the database again. No I/O.

use std::collections::BTreeMap;

use crate::storage::sqlite::tables::offset::StoredPosition;

/// The position of each partition as it was committed last.
#[derive(Clone, Debug, Default)]
pub(super) struct Written(BTreeMap<String, BTreeMap<i32, Position>>);

#[derive(Clone, Copy, Debug)]
struct Position {
    /// `None`: the one that was there before this process.
    reading: Option<i64>,
    next_offset: i64,
}

/// A position that is no longer there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) expected: i64,
    pub(super) found: Option<i64>,
}

impl Written {
    /// A position was moved, which began a reading.
    pub(super) fn note_move(&mut self, topic: &str, partition: i32, reading: i64, next_offset: i64) {
        let position = Position { reading: Some(reading), next_offset };
        self.0.entry(topic.to_owned()).or_default().insert(partition, position);
    }

    /// A position was advanced by reading.
    pub(super) fn note_advance(&mut self, topic: &str, partition: i32, next_offset: i64) {
        let known = self.0.get_mut(topic).and_then(|partitions| partitions.get_mut(&partition));
        if let Some(position) = known {
            position.next_offset = next_offset;
        } else {
            let position = Position { reading: None, next_offset };
            self.0.entry(topic.to_owned()).or_default().insert(partition, position);
        }
    }

    /// Whether the stored positions are at least these. A commit that failed may have taken effect, so there may be more.
    pub(super) fn find_lost(&self, stored: &[StoredPosition]) -> Option<Lost> {
        self.0.iter().find_map(|(topic, partitions)| {
            partitions.iter().find_map(|(partition, position)| {
                let stored = stored.iter().find(|stored| stored.topic == *topic && stored.partition == *partition);
                let is_there = stored.is_some_and(|stored| {
                    let reading = position.reading.unwrap_or(stored.reading);
                    (stored.reading, stored.next_offset) >= (reading, position.next_offset)
                });
                (!is_there).then(|| Lost {
                    topic: topic.clone(),
                    partition: *partition,
                    expected: position.next_offset,
                    found: stored.map(|stored| stored.next_offset),
                })
            })
        })
    }
}
