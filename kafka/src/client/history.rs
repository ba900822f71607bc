//! What metadata has said before of each topic, so that one answer is never believed against a newer one: a broker that has been cut
//! off, or lags behind the controller, names leaders of earlier epochs and topics that are deleted. Kafka's own client keeps the
//! epochs for the same reason
//! ([KIP-320](https://cwiki.apache.org/confluence/display/KAFKA/KIP-320%3A+Allow+fetchers+to+detect+and+handle+log+truncation)).
//! Sends no request.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::protocol::{Metadata, TopicMetadata};
use crate::types::TopicId;

/// So many answers in a row must name an earlier epoch, or an earlier id of a topic, before they count. They do so where a topic
/// was deleted and created again on brokers before 2.8, which give topics no ids, or where a cluster was restored from a backup.
const EARLIER_ANSWERS_MIN: u32 = 3;
/// Earlier ids that are kept of a topic.
const RETIRED_IDS_MAX: usize = 16;

/// What an answer about a topic is, beside the last one that was believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    /// As new, as far as can be told.
    Current,
    /// Another topic of the same name, or older than what is known: which of the two, this answer alone does not say.
    OtherId,
    /// Older than what is known: an earlier leader epoch, or the id of a topic that has been deleted.
    Earlier,
}

/// The last answer that was believed.
#[derive(Debug)]
struct Known {
    topic: TopicMetadata,
    /// By partition, as far as brokers have named any.
    epochs: BTreeMap<i32, i32>,
    /// Ids that the topic had before, the last one at the end.
    retired: Vec<TopicId>,
    /// How many answers in a row were earlier.
    earlier_answers: u32,
}

/// What is known of each topic.
#[derive(Debug, Default)]
pub(super) struct History {
    topics: HashMap<Arc<str>, Known>,
}

impl History {
    /// The topics of an answer that contradict what is known of them, so that other brokers should be asked.
    pub(super) fn contradicted(&self, metadata: &Metadata) -> BTreeSet<Arc<str>> {
        let contradicts = |topic: &&TopicMetadata| self.age(topic) != Age::Current;
        metadata.topics.iter().filter(contradicts).map(|topic| Arc::clone(&topic.name)).collect()
    }

    /// Takes from another broker's answer what it knows better. Gives the topics that remain contradicted.
    pub(super) fn correct(&self, metadata: &mut Metadata, other: Metadata) -> BTreeSet<Arc<str>> {
        for broker in other.brokers {
            if metadata.brokers.iter().all(|known| known.id != broker.id) {
                metadata.brokers.push(broker);
            }
        }
        for topic in other.topics {
            let is_better = topic.error.is_none() && self.age(&topic) == Age::Current;
            let worse = metadata.topics.iter_mut().find(|worse| worse.name == topic.name);
            if let Some(worse) = worse.filter(|worse| is_better && self.age(worse) != Age::Current) {
                *worse = topic;
            }
        }
        self.contradicted(metadata)
    }

    /// Takes note of what is believed; puts what is known in the place of what is not.
    pub(super) fn learn(&mut self, metadata: &mut Metadata) {
        for topic in metadata.topics.iter_mut().filter(|topic| topic.error.is_none()) {
            let age = self.age(topic);
            let Some(known) = self.topics.get_mut(&topic.name) else {
                self.topics.insert(Arc::clone(&topic.name), Known::new(topic));
                continue;
            };
            if age == Age::Earlier {
                known.earlier_answers += 1;
                if known.earlier_answers < EARLIER_ANSWERS_MIN {
                    log::warn!(
                        "the metadata of topic '{}' is older than what is known of it; it is not used",
                        topic.name
                    );
                    topic.clone_from(&known.topic);
                    continue;
                }
            }
            known.believe(topic, age);
        }
    }

    fn age(&self, topic: &TopicMetadata) -> Age {
        let Some(known) = self.topics.get(&topic.name).filter(|_| topic.error.is_none()) else { return Age::Current };
        if let Some((named, id)) = topic.id.zip(known.topic.id)
            && named != id
        {
            return if known.retired.contains(&named) { Age::Earlier } else { Age::OtherId };
        }
        let is_earlier = topic.partitions.iter().any(|partition| {
            let of_partition = known.epochs.get(&partition.partition);
            partition.leader_epoch.zip(of_partition).is_some_and(|(named, known)| named < *known)
        });
        if is_earlier { Age::Earlier } else { Age::Current }
    }
}

impl Known {
    fn new(topic: &TopicMetadata) -> Self {
        let epochs = epochs(topic).collect();
        Self { topic: topic.clone(), epochs, retired: Vec::new(), earlier_answers: 0 }
    }

    fn believe(&mut self, topic: &TopicMetadata, age: Age) {
        self.earlier_answers = 0;
        if age != Age::Current {
            self.epochs.clear();
        }
        self.epochs.extend(epochs(topic));
        // A broker that gives no id, an older one amid an upgrade, proves nothing.
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

    fn answer(id: Option<u8>, epoch: Option<i32>) -> Metadata {
        let partition = PartitionMetadata { partition: 0, leader: Some(1), leader_epoch: epoch, error: None };
        let id = id.map(|id| TopicId([id; 16]));
        let topic = TopicMetadata { name: "t".into(), id, error: None, partitions: vec![partition] };
        Metadata { cluster_id: None, brokers: Vec::new(), topics: vec![topic] }
    }

    /// What is believed after an answer that no other broker corrects.
    fn learn(history: &mut History, mut answer: Metadata) -> (Option<u8>, Option<i32>) {
        history.learn(&mut answer);
        let [topic] = answer.topics.as_slice() else { panic!("{answer:?}") };
        (topic.id.map(|id| id.0[0]), topic.partitions[0].leader_epoch)
    }

    #[test]
    fn an_epoch_that_goes_back_is_believed_only_when_it_stays_so() {
        for id in [Some(FIRST), None] {
            let mut history = History::default();
            assert_eq!(learn(&mut history, answer(id, Some(5))), (id, Some(5)));
            assert!(!history.contradicted(&answer(id, Some(4))).is_empty());
            assert_eq!(learn(&mut history, answer(id, Some(4))), (id, Some(5)));
            // A broker that knows no epochs says nothing of them; what was known before it still counts.
            assert_eq!(learn(&mut history, answer(id, None)), (id, None));
            assert_eq!(learn(&mut history, answer(id, Some(4))), (id, None));
            assert_eq!(learn(&mut history, answer(id, Some(6))), (id, Some(6)));
            for _ in 1..EARLIER_ANSWERS_MIN {
                assert_eq!(learn(&mut history, answer(id, Some(0))), (id, Some(6)));
            }
            assert_eq!(learn(&mut history, answer(id, Some(0))), (id, Some(0)));
            assert_eq!(learn(&mut history, answer(id, Some(1))), (id, Some(1)));
        }
    }

    #[test]
    fn the_id_of_a_deleted_topic_does_not_come_back() {
        let mut history = History::default();
        assert_eq!(learn(&mut history, answer(Some(FIRST), Some(5))), (Some(FIRST), Some(5)));
        assert!(!history.contradicted(&answer(Some(SECOND), Some(0))).is_empty(), "another broker is asked");
        assert_eq!(learn(&mut history, answer(Some(SECOND), Some(0))), (Some(SECOND), Some(0)), "an epoch of its own");
        assert_eq!(learn(&mut history, answer(Some(FIRST), Some(9))), (Some(SECOND), Some(0)));
        assert_eq!(learn(&mut history, answer(None, Some(0))), (None, Some(0)));
        assert_eq!(learn(&mut history, answer(Some(FIRST), Some(9))).0, Some(SECOND));
        assert_eq!(learn(&mut history, answer(Some(SECOND), Some(1))), (Some(SECOND), Some(1)));
    }

    #[test]
    fn another_broker_corrects_what_is_older() {
        let mut history = History::default();
        learn(&mut history, answer(Some(FIRST), Some(5)));
        let mut stale = answer(Some(SECOND), Some(7));
        assert_eq!(history.correct(&mut stale, answer(Some(SECOND), Some(8))).len(), 1, "it agrees");
        assert!(history.correct(&mut stale, answer(Some(FIRST), Some(6))).is_empty());
        assert_eq!(learn(&mut history, stale), (Some(FIRST), Some(6)));
    }
}
