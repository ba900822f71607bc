//! The positions that this process has committed, so that it notices when the database has lost them: if a WAL was removed, or the disk did
//! not keep it, SQLite reports nothing when it opens the database again. No I/O.

use std::collections::BTreeMap;

use crate::storage::position::StoredPosition;

/// The position of each partition as it was committed last.
#[derive(Clone, Debug, Default)]
pub(super) struct CommittedPositions(BTreeMap<String, BTreeMap<i32, Position>>);

#[derive(Clone, Copy, Debug)]
struct Position {
    /// `None`: the reading that was stored before this process began.
    reading: Option<i64>,
    next_offset: i64,
}

/// A committed position that is no longer stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LostPosition {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) expected: i64,
    pub(super) found: Option<i64>,
}

impl CommittedPositions {
    /// Remembers an offset jump, which began a reading.
    pub(super) fn note_jump(&mut self, topic: &str, partition: i32, reading: i64, next_offset: i64) {
        let position = Position { reading: Some(reading), next_offset };
        self.0.entry(topic.to_owned()).or_default().insert(partition, position);
    }

    /// Remembers a position that a batch advanced.
    pub(super) fn note_advance(&mut self, topic: &str, partition: i32, next_offset: i64) {
        let known = self.0.get_mut(topic).and_then(|partitions| partitions.get_mut(&partition));
        if let Some(position) = known {
            position.next_offset = next_offset;
        } else {
            let position = Position { reading: None, next_offset };
            self.0.entry(topic.to_owned()).or_default().insert(partition, position);
        }
    }

    /// The first committed position that is not stored. A stored position may be greater: a COMMIT that failed may have taken effect.
    pub(super) fn find_lost(&self, stored: &[StoredPosition]) -> Option<LostPosition> {
        self.0.iter().find_map(|(topic, partitions)| {
            partitions.iter().find_map(|(partition, position)| {
                let stored = stored.iter().find(|stored| stored.topic == *topic && stored.partition == *partition);
                let is_stored = stored.is_some_and(|stored| {
                    let reading = position.reading.unwrap_or(stored.reading);
                    (stored.reading, stored.next_offset) >= (reading, position.next_offset)
                });
                (!is_stored).then(|| LostPosition {
                    topic: topic.clone(),
                    partition: *partition,
                    expected: position.next_offset,
                    found: stored.map(|stored| stored.next_offset),
                })
            })
        })
    }
}
