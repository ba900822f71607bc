//! Holds an answer against its question: each partition that was asked about is answered once, and no other. Knows no
//! message.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Malformed;
use crate::text::shorten;
use crate::types::TopicPartition;

/// The partitions of a request that are still to be answered.
pub(crate) struct Asked {
    open: HashMap<Arc<str>, HashSet<i32>>,
}

impl Asked {
    pub(crate) fn new<'a>(partitions: impl IntoIterator<Item = &'a TopicPartition>) -> Self {
        let mut open: HashMap<Arc<str>, HashSet<i32>> = HashMap::new();
        for asked in partitions {
            open.entry(Arc::clone(&asked.topic)).or_default().insert(asked.partition);
        }
        Self { open }
    }

    /// Takes an answer; a second one about the same partition is an error like one that nobody asked for.
    pub(crate) fn answer(&mut self, topic: &str, partition: i32) -> Result<TopicPartition, Malformed> {
        let name = self.open.get_key_value(topic).map(|(name, _)| Arc::clone(name));
        let open = self.open.get_mut(topic).is_some_and(|partitions| partitions.remove(&partition));
        match name {
            Some(name) if open => Ok(TopicPartition::new(name, partition)),
            _ => Err(Malformed(format!("an answer about {}-{partition}, which was not asked", shorten(topic)))),
        }
    }

    /// For responses that promise an answer about every partition.
    pub(crate) fn finish(self) -> Result<(), Malformed> {
        let open = self.open.iter().find_map(|(topic, partitions)| Some((topic, partitions.iter().next()?)));
        match open {
            None => Ok(()),
            Some((topic, partition)) => Err(Malformed(format!("no answer about {topic}-{partition}"))),
        }
    }
}

/// Groups by topic, as requests carry partitions; topics and partitions keep the order of their first mention.
pub(crate) fn by_topic<'a, T>(items: impl IntoIterator<Item = (&'a TopicPartition, T)>) -> Vec<(&'a Arc<str>, Vec<T>)> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut topics: Vec<(&Arc<str>, Vec<T>)> = Vec::new();
    for (partition, item) in items {
        let place = *places.entry(&partition.topic).or_insert(topics.len());
        match topics.get_mut(place) {
            Some((_, items)) => items.push(item),
            None => topics.push((&partition.topic, vec![item])),
        }
    }
    topics
}
