//! `OffsetForLeaderEpoch`.

use kafka_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};

use super::*;

#[test]
fn offset_for_leader_epoch() {
    let requested = |topic, number, current_leader_epoch, epoch| OffsetForLeaderPartition {
        partition: partition(topic, number),
        current_leader_epoch,
        epoch,
    };
    let partitions = vec![requested("a", 0, 7, 5), requested("b", 0, 8, 8), requested("a", 1, 9, 0)];
    let request = OffsetForLeaderEpochRequest { partitions };
    for version in versions(&request) {
        let sent: messages::OffsetForLeaderEpochRequest = sent(&request, version);
        assert_eq!(sent.replica_id, BrokerId(-1));
        let requested = sent.topics.iter().flat_map(|topic| {
            let name = topic.topic.to_string();
            topic.partitions.iter().map(move |requested| {
                (name.clone(), requested.partition, requested.current_leader_epoch, requested.leader_epoch)
            })
        });
        assert_eq!(
            requested.collect::<Vec<_>>(),
            [("a".into(), 0, 7, 5), ("a".into(), 1, 9, 0), ("b".into(), 0, 8, 8)]
        );

        let found = |partition, epoch, end_offset, error| {
            let found = EpochEndOffset::default().with_partition(partition).with_leader_epoch(epoch);
            found.with_end_offset(end_offset).with_error_code(error)
        };
        let topic = |name, partitions| {
            OffsetForLeaderTopicResult::default().with_topic(topic_name(name)).with_partitions(partitions)
        };
        let response = |topics| messages::OffsetForLeaderEpochResponse::default().with_topics(topics);
        let complete = response(vec![
            topic("a", vec![found(1, -1, -1, 0), found(0, 4, 120, 0)]),
            topic("b", vec![found(0, -1, -1, 74)]),
        ]);
        let ended = |topic, number, result| (partition(topic, number), result);
        let expected = vec![
            ended("a", 1, Ok(None)),
            ended("a", 0, Ok(Some(EpochEnd { epoch: 4, end_offset: 120 }))),
            ended("b", 0, Err(ErrorCode::FENCED_LEADER_EPOCH)),
        ];
        check(&request, version, &complete, &Ok(expected));

        let b = || topic("b", vec![found(0, 1, 1, 0)]);
        for topics in [
            vec![topic("a", vec![found(0, 1, 1, 0), found(1, 1, 1, 0)])],
            vec![topic("a", vec![found(0, 1, 1, 0), found(1, 1, 1, 0), found(1, 1, 1, 0)]), b()],
            vec![topic("a", vec![found(0, 1, 1, 0), found(1, 1, 1, 0), found(2, 1, 1, 0)]), b()],
        ] {
            assert!(is_malformed(&decoded(&request, version, encoded(&response(topics), version))));
        }
    }
}
