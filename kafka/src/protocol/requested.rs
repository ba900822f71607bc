//! Checks that a response is about the partitions of its request: each of them once, and no other. Must not know a
//! particular message.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::reader::{Malformed, Reader};
use crate::text::shorten;
use crate::types::TopicPartition;

/// The shortest topic of a response: its name and the count of its partitions.
const TOPIC_BYTES_MIN: usize = 3;

/// The partitions of a request that its response has not named yet.
pub(super) struct Requested {
    missing: HashMap<Arc<str>, HashSet<i32>>,
}

impl Requested {
    pub(super) fn new<'a>(partitions: impl IntoIterator<Item = &'a TopicPartition>) -> Self {
        let mut missing: HashMap<Arc<str>, HashSet<i32>> = HashMap::new();
        for requested in partitions {
            missing.entry(Arc::clone(&requested.topic)).or_default().insert(requested.partition);
        }
        Self { missing }
    }

    /// Takes out a partition that the response names. A second time is an error, like a partition that was not
    /// requested.
    pub(super) fn take(&mut self, topic: &str, partition: i32) -> Result<TopicPartition, Malformed> {
        let name = self.missing.get_key_value(topic).map(|(name, _)| Arc::clone(name));
        let is_missing = self.missing.get_mut(topic).is_some_and(|partitions| partitions.remove(&partition));
        match name {
            Some(name) if is_missing => Ok(TopicPartition::new(name, partition)),
            _ => Err(Malformed(format!("partition {}-{partition}, which was not requested", shorten(topic)))),
        }
    }

    /// For responses that must have every requested partition.
    pub(super) fn finish(self) -> Result<(), Malformed> {
        let missing = self.missing.iter().find_map(|(topic, partitions)| Some((topic, partitions.iter().next()?)));
        match missing {
            None => Ok(()),
            Some((topic, partition)) => Err(Malformed(format!("partition {topic}-{partition} is missing"))),
        }
    }
}

/// Reads an array of topics, each with its name and an array of partitions of at least `partition_bytes_min` bytes.
pub(super) fn read_topics<T>(
    from: &mut Reader,
    partition_bytes_min: usize,
    mut partition: impl FnMut(&mut Reader, &str) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let topics = from.array(TOPIC_BYTES_MIN, |from| {
        let topic = from.string()?;
        let partitions = from.array(partition_bytes_min, |from| partition(from, &topic))?;
        from.skip_tagged_fields()?;
        Ok(partitions)
    })?;
    Ok(topics.into_iter().flatten().collect())
}

/// Groups partitions by topic for a request; topics and partitions keep the order of their first mention.
pub(crate) fn by_topic<'a, T>(items: impl IntoIterator<Item = (&'a TopicPartition, T)>) -> Vec<(&'a Arc<str>, Vec<T>)> {
    let mut indexes: HashMap<&str, usize> = HashMap::new();
    let mut topics: Vec<(&Arc<str>, Vec<T>)> = Vec::new();
    for (partition, item) in items {
        let index = *indexes.entry(&partition.topic).or_insert(topics.len());
        match topics.get_mut(index) {
            Some((_, items)) => items.push(item),
            None => topics.push((&partition.topic, vec![item])),
        }
    }
    topics
}
