//! The accepted metadata of each topic, so that stale metadata is not used: a broker that is isolated, or lags behind
//! the controller, returns leaders of earlier epochs and deleted topics. Kafka's clients keep the leader epochs for the
//! same reason
//! ([KIP-320](https://cwiki.apache.org/confluence/display/KAFKA/KIP-320%3A+Allow+fetchers+to+detect+and+handle+log+truncation)).
//! Sends no request.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::protocol::{Metadata, TopicMetadata};
use crate::types::TopicId;

/// This many responses in a row must have an earlier epoch, or an earlier id of a topic, before they are accepted. That
/// happens if a topic is deleted and recreated on brokers before 2.8, which have no topic ids, or if a cluster is
/// restored from a backup.
const STALE_RESPONSES_MIN: u32 = 3;
/// The number of earlier ids kept of a topic.
const RETIRED_IDS_MAX: usize = 16;

/// The age of a topic's metadata, relative to the accepted one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    /// Not older, as far as can be known.
    Current,
    /// With another topic id: a recreated topic, or stale metadata. One response alone does not show which.
    OtherId,
    /// Stale: an earlier leader epoch, or the id of a deleted topic.
    Stale,
}

/// The accepted metadata of a topic.
#[derive(Debug)]
struct Accepted {
    topic: TopicMetadata,
    /// Leader epochs by partition, as far as brokers have returned any.
    epochs: BTreeMap<i32, i32>,
    /// Earlier ids of the topic, the latest one last.
    retired: Vec<TopicId>,
    /// Count of stale responses in a row.
    stale_responses: u32,
}

/// The accepted metadata of all topics.
#[derive(Debug, Default)]
pub(super) struct History {
    topics: HashMap<Arc<str>, Accepted>,
}

impl History {
    /// The topics whose metadata contradicts the accepted one, so that metadata of other brokers is needed.
    pub(super) fn contradicted(&self, metadata: &Metadata) -> BTreeSet<Arc<str>> {
        let contradicts = |topic: &&TopicMetadata| self.age(topic) != Age::Current;
        metadata.topics.iter().filter(contradicts).map(|topic| Arc::clone(&topic.name)).collect()
    }

    /// Replaces contradicting topics by those of another broker's response that do not contradict. Returns the topics
    /// that still do.
    pub(super) fn correct(&self, metadata: &mut Metadata, other: Metadata) -> BTreeSet<Arc<str>> {
        for broker in other.brokers {
            if metadata.brokers.iter().all(|known| known.id != broker.id) {
                metadata.brokers.push(broker);
            }
        }
        for topic in other.topics {
            let is_current = topic.error.is_none() && self.age(&topic) == Age::Current;
            let contradicting = metadata.topics.iter_mut().find(|contradicting| contradicting.name == topic.name);
            if let Some(contradicting) =
                contradicting.filter(|contradicting| is_current && self.age(contradicting) != Age::Current)
            {
                *contradicting = topic;
            }
        }
        self.contradicted(metadata)
    }

    /// Accepts metadata; replaces stale topics by the accepted ones.
    pub(super) fn accept(&mut self, metadata: &mut Metadata) {
        for topic in metadata.topics.iter_mut().filter(|topic| topic.error.is_none()) {
            let age = self.age(topic);
            let Some(accepted) = self.topics.get_mut(&topic.name) else {
                self.topics.insert(Arc::clone(&topic.name), Accepted::new(topic));
                continue;
            };
            if age == Age::Stale {
                accepted.stale_responses += 1;
                if accepted.stale_responses < STALE_RESPONSES_MIN {
                    log::warn!("stale metadata of topic '{}' is not used", topic.name);
                    topic.clone_from(&accepted.topic);
                    continue;
                }
            }
            accepted.replace(topic, age);
        }
    }

    fn age(&self, topic: &TopicMetadata) -> Age {
        let Some(accepted) = self.topics.get(&topic.name).filter(|_| topic.error.is_none()) else {
            return Age::Current;
        };
        if let Some((named, id)) = topic.id.zip(accepted.topic.id)
            && named != id
        {
            return if accepted.retired.contains(&named) { Age::Stale } else { Age::OtherId };
        }
        let is_earlier = topic.partitions.iter().any(|partition| {
            let of_partition = accepted.epochs.get(&partition.partition);
            partition.leader_epoch.zip(of_partition).is_some_and(|(named, accepted)| named < *accepted)
        });
        if is_earlier { Age::Stale } else { Age::Current }
    }
}

impl Accepted {
    fn new(topic: &TopicMetadata) -> Self {
        let epochs = epochs(topic).collect();
        Self { topic: topic.clone(), epochs, retired: Vec::new(), stale_responses: 0 }
    }

    fn replace(&mut self, topic: &TopicMetadata, age: Age) {
        self.stale_responses = 0;
        if age != Age::Current {
            self.epochs.clear();
        }
        self.epochs.extend(epochs(topic));
        // A missing id proves nothing: in a rolling upgrade, older brokers return none.
        let id = topic.id.or(self.topic.id);
        if let Some(before) = self.topic.id.filter(|before| Some(*before) != id) {
            self.retired.retain(|retired| Some(*retired) != id && *retired != before);
            self.retired.push(before);
            self.retired.drain(..self.retired.len().saturating_sub(RETIRED_IDS_MAX));
        }
        self.topic = TopicMetadata { id, ..topic.clone() };
    }
}

fn epochs(topic: &TopicMetadata) -> impl Iterator<Item = (i32, i32)> {
    topic.partitions.iter().filter_map(|partition| Some((partition.partition, partition.leader_epoch?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::PartitionMetadata;

    const FIRST: u8 = 1;
    const SECOND: u8 = 2;

    fn response(id: Option<u8>, epoch: Option<i32>) -> Metadata {
        let partition = PartitionMetadata { partition: 0, leader: Some(1), leader_epoch: epoch, error: None };
        let id = id.map(|id| TopicId([id; 16]));
        let topic = TopicMetadata { name: "t".into(), id, error: None, partitions: vec![partition] };
        Metadata { cluster_id: None, brokers: Vec::new(), topics: vec![topic] }
    }

    /// The accepted metadata after a response that no other broker corrects.
    fn accept(history: &mut History, mut response: Metadata) -> (Option<u8>, Option<i32>) {
        history.accept(&mut response);
        let [topic] = response.topics.as_slice() else { panic!("{response:?}") };
        (topic.id.map(|id| id.0[0]), topic.partitions[0].leader_epoch)
    }

    #[test]
    fn an_earlier_epoch_is_accepted_only_after_several_responses() {
        for id in [Some(FIRST), None] {
            let mut history = History::default();
            assert_eq!(accept(&mut history, response(id, Some(5))), (id, Some(5)));
            assert!(!history.contradicted(&response(id, Some(4))).is_empty());
            assert_eq!(accept(&mut history, response(id, Some(4))), (id, Some(5)));
            // A response without epochs does not reset the accepted ones.
            assert_eq!(accept(&mut history, response(id, None)), (id, None));
            assert_eq!(accept(&mut history, response(id, Some(4))), (id, None));
            assert_eq!(accept(&mut history, response(id, Some(6))), (id, Some(6)));
            for _ in 1..STALE_RESPONSES_MIN {
                assert_eq!(accept(&mut history, response(id, Some(0))), (id, Some(6)));
            }
            assert_eq!(accept(&mut history, response(id, Some(0))), (id, Some(0)));
            assert_eq!(accept(&mut history, response(id, Some(1))), (id, Some(1)));
        }
    }

    #[test]
    fn the_id_of_a_deleted_topic_is_stale() {
        let mut history = History::default();
        assert_eq!(accept(&mut history, response(Some(FIRST), Some(5))), (Some(FIRST), Some(5)));
        assert!(
            !history.contradicted(&response(Some(SECOND), Some(0))).is_empty(),
            "metadata of another broker is needed"
        );
        assert_eq!(
            accept(&mut history, response(Some(SECOND), Some(0))),
            (Some(SECOND), Some(0)),
            "an epoch of its own"
        );
        assert_eq!(accept(&mut history, response(Some(FIRST), Some(9))), (Some(SECOND), Some(0)));
        assert_eq!(accept(&mut history, response(None, Some(0))), (None, Some(0)));
        assert_eq!(accept(&mut history, response(Some(FIRST), Some(9))).0, Some(SECOND));
        assert_eq!(accept(&mut history, response(Some(SECOND), Some(1))), (Some(SECOND), Some(1)));
    }

    #[test]
    fn another_broker_corrects_stale_metadata() {
        let mut history = History::default();
        accept(&mut history, response(Some(FIRST), Some(5)));
        let mut stale = response(Some(SECOND), Some(7));
        assert_eq!(history.correct(&mut stale, response(Some(SECOND), Some(8))).len(), 1, "it agrees");
        assert!(history.correct(&mut stale, response(Some(FIRST), Some(6))).is_empty());
        assert_eq!(accept(&mut history, stale), (Some(FIRST), Some(6)));
    }
}
