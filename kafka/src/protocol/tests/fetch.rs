//! Fetch requests and responses.

use super::*;

fn requested(topic: &str, number: i32, topic_id: Option<TopicId>) -> FetchPartition {
    let leader_epoch = Some(4).filter(|_| number == 0);
    FetchPartition { partition: partition(topic, number), topic_id, position: 100, leader_epoch, max_bytes: 1000 }
}

fn request(partitions: Vec<FetchPartition>) -> FetchRequest {
    FetchRequest {
        isolation: IsolationLevel::ReadCommitted,
        max_wait: Duration::from_millis(500),
        min_bytes: 1,
        max_bytes: 2000,
        rack: Some("east".to_owned()),
        partitions,
    }
}

/// A topic of a response, by name or by id, depending on the version.
fn topic(version: i16, name: &str, id: TopicId, partitions: Vec<PartitionData>) -> FetchableTopicResponse {
    let topic = FetchableTopicResponse::default().with_partitions(partitions);
    if version >= 13 {
        topic.with_topic_id(id.0.to_vec().try_into().unwrap())
    } else {
        topic.with_topic(topic_name(name))
    }
}

#[test]
fn responses_in_all_versions() {
    let request = request(vec![requested("a", 0, Some(TOPIC_ID)), requested("a", 1, Some(TOPIC_ID))]);
    for version in versions(&request) {
        let full = PartitionData::default()
            .with_partition_index(0)
            .with_high_watermark(120)
            .with_last_stable_offset(110)
            .with_log_start_offset(90)
            .with_aborted_transactions(Some(vec![
                fetch_response::AbortedTransaction::default().with_producer_id(9.into()).with_first_offset(101),
            ]))
            .with_preferred_read_replica(BrokerId(if version >= 11 { 3 } else { -1 }))
            .with_records(Some(Bytes::from_static(b"batches")));
        // Newer responses have tagged fields that older clients do not know.
        let full = if version >= 12 {
            let leader = fetch_response::LeaderIdAndEpoch::default().with_leader_id(BrokerId(2)).with_leader_epoch(5);
            full.with_current_leader(leader).with_unknown_tagged_field(9, Bytes::from_static(b"?"))
        } else {
            full
        };
        let refused = PartitionData::default().with_partition_index(1).with_error_code(1).with_high_watermark(-1);
        let refused = refused.with_aborted_transactions(None).with_records(None).with_log_start_offset(-1);
        let response = messages::FetchResponse::default().with_throttle_time_ms(25).with_responses(vec![topic(
            version,
            "a",
            TOPIC_ID,
            vec![full, refused],
        )]);
        let expected = FetchResponse {
            throttle: Duration::from_millis(25),
            partitions: vec![
                FetchedPartition {
                    partition: partition("a", 0),
                    error: None,
                    high_watermark: 120,
                    last_stable_offset: 110,
                    preferred_read_replica: Some(3).filter(|_| version >= 11),
                    aborted: vec![AbortedTransaction { producer_id: 9, first_offset: 101 }],
                    records: Bytes::from_static(b"batches"),
                },
                FetchedPartition {
                    partition: partition("a", 1),
                    error: Some(ErrorCode::OFFSET_OUT_OF_RANGE),
                    high_watermark: -1,
                    last_stable_offset: -1,
                    preferred_read_replica: None,
                    aborted: vec![],
                    records: Bytes::new(),
                },
            ],
        };
        check(&request, version, &response, &Ok(expected));
    }
}

#[test]
fn responses_about_other_partitions() {
    let request = request(vec![requested("a", 0, Some(TOPIC_ID)), requested("a", 1, Some(TOPIC_ID))]);
    let empty = |number| PartitionData::default().with_partition_index(number).with_records(None);
    for version in versions(&request) {
        for topics in [
            vec![topic(version, "b", TopicId([8; 16]), vec![empty(0)])],
            vec![topic(version, "a", TOPIC_ID, vec![empty(2)])],
            vec![topic(version, "a", TOPIC_ID, vec![empty(0), empty(0)])],
        ] {
            let response = messages::FetchResponse::default().with_responses(topics);
            assert!(is_malformed(&decoded(&request, version, encoded(&response, version))), "version {version}");
        }
        if version >= 7 {
            let response = messages::FetchResponse::default().with_error_code(100);
            let code = ErrorCode::UNKNOWN_TOPIC_ID;
            check(&request, version, &response, &Err(Failure::Refused { code, subject: String::new() }));
        }
    }
}

#[test]
fn records_share_the_response() {
    let request = request(vec![requested("a", 0, Some(TOPIC_ID))]);
    let data = PartitionData::default().with_records(Some(Bytes::from_static(b"batches")));
    let response = messages::FetchResponse::default().with_responses(vec![topic(17, "a", TOPIC_ID, vec![data])]);
    let bytes = encoded(&response, 17);
    let fetched = decoded(&request, 17, bytes.clone()).unwrap();
    let range = bytes.as_ptr_range();
    assert!(range.contains(&fetched.partitions[0].records.as_ptr()));
}

#[test]
fn requests_in_all_versions() {
    let partitions =
        vec![requested("b", 1, Some(TopicId([8; 16]))), requested("a", 0, Some(TOPIC_ID)), requested("b", 0, None)];
    let request = request(partitions);
    for version in versions(&request) {
        let sent: messages::FetchRequest = sent(&request, version);
        assert_eq!((sent.max_wait_ms, sent.min_bytes, sent.max_bytes, sent.isolation_level), (500, 1, 2000, 1));
        assert_eq!((sent.session_id, sent.session_epoch), (0, -1));
        assert_eq!(sent.rack_id.as_str(), if version >= 11 { "east" } else { "" });
        let topics: Vec<_> = sent
            .topics
            .iter()
            .map(|topic| {
                let partitions: Vec<_> = topic.partitions.iter().map(|requested| requested.partition).collect();
                if version >= 13 {
                    (topic.topic_id.as_bytes()[0].to_string(), partitions)
                } else {
                    (topic.topic.to_string(), partitions)
                }
            })
            .collect();
        let names = if version >= 13 { ["8", "7"] } else { ["b", "a"] };
        assert_eq!(topics, [(names[0].to_owned(), vec![1, 0]), (names[1].to_owned(), vec![0])]);
        let requested = &sent.topics[1].partitions[0];
        assert_eq!(
            (requested.fetch_offset, requested.partition_max_bytes, requested.log_start_offset),
            (100, 1000, -1)
        );
        assert_eq!(requested.current_leader_epoch, if version >= 9 { 4 } else { -1 });
    }
}

#[test]
fn topics_without_an_id_are_requested_by_name() {
    assert_eq!(request(vec![requested("a", 0, Some(TOPIC_ID))]).version_max(), 17);
    assert_eq!(request(vec![requested("a", 0, Some(TOPIC_ID)), requested("b", 0, None)]).version_max(), 12);
}
