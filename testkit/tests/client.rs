//! The Java client and Kafka's tools, on every version that the project is tested with.

mod support;

use support::wait_until;
use testkit::{Codec, Position, ProduceOptions, Record, unique};

#[test]
fn records_arrive_where_they_were_sent_in_every_codec() {
    for version in testkit::VERSIONS {
        let kafka = testkit::shared(version).unwrap().client().unwrap();
        let topic = unique("codecs");
        kafka.create_topic(&topic, 2, &[]).unwrap();
        for (at, codec) in (0..).zip(Codec::ALL) {
            let options = ProduceOptions::default().codec(codec).linger_ms(100).batch_bytes(1 << 20);
            let records = [
                Record::value("a").key("k").partition(1).timestamp_ms(1_700_000_000_000),
                Record::tombstone().key("").partition(1).header("h", None).header("h", Some(b"")),
            ];
            let positions = kafka.produce(&topic, &options, records).unwrap();
            let expected = [2 * at, 2 * at + 1].map(|offset| Position { partition: 1, offset });
            assert_eq!(positions, expected, "{version} {codec:?}");
        }
        assert_eq!(kafka.end_offsets(&topic).unwrap(), [0, 10]);
        let read_back = testkit::shared(version)
            .unwrap()
            .tool(
                "org.apache.kafka.tools.consumer.ConsoleConsumer",
                &[
                    &["--topic", &topic, "--from-beginning", "--max-messages", "10", "--timeout-ms", "20000"][..],
                    &["--property", "print.timestamp=true", "--property", "print.headers=true"],
                    &["--property", "print.key=true"],
                ]
                .concat(),
                b"",
            )
            .unwrap();
        let record = "CreateTime:1700000000000\tNO_HEADERS\tk\ta\n";
        assert_eq!(read_back.matches(record).count(), 5, "{read_back}");
        assert_eq!(read_back.matches("\th:null,h:\t\tnull\n").count(), 5, "{read_back}");
    }
}

#[test]
fn a_long_generated_list_is_streamed() {
    let kafka = testkit::shared(testkit::NEWEST).unwrap().client().unwrap();
    let topic = unique("many");
    kafka.create_topic(&topic, 6, &[]).unwrap();
    let records = (0..200_000).map(|n: i32| Record::value(format!("{{\"n\":{n}}}").repeat(20)).partition(n % 6));
    let options = ProduceOptions::default().codec(Codec::Lz4).batch_bytes(200_000).linger_ms(50);
    let positions = kafka.produce(&topic, &options, records).unwrap();
    assert_eq!(positions.len(), 200_000);
    assert_eq!(positions[199_999], Position { partition: 199_999 % 6, offset: 199_999 / 6 });
    assert_eq!(kafka.end_offsets(&topic).unwrap().iter().sum::<i64>(), 200_000);
}

#[test]
fn transactions_are_committed_aborted_and_left_open() {
    for version in testkit::VERSIONS {
        let kafka = testkit::shared(version).unwrap().client().unwrap();
        let (topic, id) = (unique("transactions"), unique("id"));
        kafka.create_topic(&topic, 1, &[]).unwrap();
        let options = ProduceOptions::default();
        for commit in [true, false] {
            let transaction = kafka.begin(&id, &options).unwrap();
            transaction.produce(&topic, [Record::value("a"), Record::value("b")]).unwrap();
            if commit { transaction.commit() } else { transaction.abort() }.unwrap();
        }
        // The broker writes the marker of a transaction after it has responded.
        let wait_for_stable = |offset| {
            wait_until(&format!("last stable offset {offset}, Kafka {version}"), || {
                kafka.stable_offsets(&topic).unwrap() == [offset]
            });
        };
        // Two records and a marker, twice.
        wait_for_stable(6);
        let open = kafka.begin(&id, &options).unwrap();
        assert_eq!(open.produce(&topic, [Record::value("c")]).unwrap(), [Position { partition: 0, offset: 6 }]);
        drop(open);
        assert_eq!(kafka.end_offsets(&topic).unwrap(), [7], "{version}");
        assert_eq!(kafka.stable_offsets(&topic).unwrap(), [6], "{version}");
        kafka.begin(&id, &options).unwrap().commit().unwrap();
        // The next transaction has aborted the open one.
        wait_for_stable(8);
    }
}

#[test]
fn topics_change() {
    for version in testkit::VERSIONS {
        let kafka = testkit::shared(version).unwrap().client().unwrap();
        let topic = unique("topics");
        let first_id = kafka.create_topic(&topic, 1, &[("cleanup.policy", "compact")]).unwrap();
        assert_eq!(kafka.topic_id(&topic).unwrap(), first_id);
        assert_eq!(kafka.leaders(&topic).unwrap(), [Some(1)]);
        kafka.add_partitions(&topic, 3).unwrap();
        kafka.configure_topic(&topic, &[("cleanup.policy", "delete")]).unwrap();
        let records = (0..5).map(|n: u8| Record::value(vec![n]).partition(2));
        kafka.produce(&topic, &ProduceOptions::default(), records).unwrap();
        kafka.delete_records(&topic, 2, 3).unwrap();
        assert_eq!(kafka.start_offsets(&topic).unwrap(), [0, 0, 3]);
        assert_eq!(kafka.end_offsets(&topic).unwrap(), [0, 0, 5]);
        kafka.delete_topic(&topic).unwrap();
        let refused = kafka.topic_id(&topic).unwrap_err().to_string();
        assert!(refused.contains("failed to describe a topic"), "{refused}");
        assert_ne!(kafka.create_topic(&topic, 1, &[]).unwrap(), first_id);
    }
}

#[test]
fn group_offsets_are_read_and_reset_as_an_operator_does() {
    for version in testkit::VERSIONS {
        let cluster = testkit::shared(version).unwrap();
        let kafka = cluster.client().unwrap();
        let (topic, group) = (unique("groups"), unique("group"));
        kafka.create_topic(&topic, 1, &[]).unwrap();
        cluster.console_produce(&topic, &["--compression-codec", "gzip"], b"one\ntwo\nthree\n").unwrap();
        kafka.commit_offset(&group, &topic, 0, 2, "left by a test").unwrap();

        let committed = &kafka.committed_offsets(&group).unwrap()[&(topic.clone(), 0)];
        assert_eq!((committed.offset, committed.metadata.as_str()), (2, "left by a test"), "{version}");
        let described = cluster.group_offsets(&group).unwrap();
        assert_eq!(described.len(), 1, "{described:?}");
        assert_eq!((described[0].current, described[0].end, described[0].lag), (Some(2), Some(3), Some(1)));

        cluster.reset_offsets(&group, &topic, &["--to-earliest"]).unwrap();
        let committed = &kafka.committed_offsets(&group).unwrap()[&(topic.clone(), 0)];
        assert_eq!((committed.offset, committed.metadata.as_str()), (0, ""), "{version}");
        assert!(cluster.reset_offsets(&group, "no-such-topic", &["--to-earliest"]).is_err(), "{version}");
        kafka.delete_group(&group).unwrap();
        assert!(kafka.committed_offsets(&group).unwrap().is_empty(), "{version}");
    }
}

#[test]
fn a_failed_request_is_an_error_and_the_next_one_works() {
    let kafka = testkit::shared(testkit::NEWEST).unwrap().client().unwrap();
    let topic = unique("errors");
    kafka.create_topic(&topic, 1, &[]).unwrap();
    let refused = kafka.create_topic(&topic, 1, &[]).unwrap_err().to_string();
    assert!(refused.contains("TopicExistsException"), "{refused}");
    let wrong = ProduceOptions::default().config("acks", "many");
    assert!(kafka.produce(&topic, &wrong, [Record::value("a"), Record::value("b")]).is_err());
    let too_large = kafka.produce(&topic, &ProduceOptions::default(), [Record::value(vec![0; 2_000_000])]);
    assert!(too_large.unwrap_err().to_string().contains("RecordTooLargeException"));
    assert_eq!(kafka.produce(&topic, &ProduceOptions::default(), [Record::value("c")]).unwrap().len(), 1);
}
