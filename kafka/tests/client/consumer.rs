//! The consumer against single brokers of the oldest and the newest version, with records of Kafka's official client.

use std::num::NonZeroU32;

use kafka::{Consumer, Error, ErrorCode, Header, IsolationLevel, Record, TopicPartition, Watermarks};
use testkit::{Codec, ProduceOptions, unique};

use crate::support::{Reader, addresses, numbers, on_each_version, wait_for};

#[test]
fn records_of_every_codec_arrive_as_they_were_sent() {
    on_each_version("codecs", 1, &[], |setup| {
        let bytes = |text: &'static str| bytes::Bytes::from_static(text.as_bytes());
        let header = |name: &'static str, value: Option<&'static str>| Header {
            name: name.as_bytes(),
            value: value.map(str::as_bytes),
        };
        let mut expected = Vec::new();
        for codec in Codec::ALL {
            let sent = [
                testkit::Record::value("a value").key("a key").header("h", Some(b"1")).header("h", None),
                testkit::Record::value("").key("").header("", Some(b"")),
                testkit::Record::tombstone(),
                testkit::Record::value("x".repeat(100_000)),
            ];
            let options = ProduceOptions::default().codec(codec).linger_ms(100).batch_bytes(1 << 20);
            let sent = sent.into_iter().map(|record| record.partition(0).timestamp_ms(1_700_000_000_000));
            setup.produce(&options, sent);
            let record =
                |key: Option<&'static str>, value: Option<bytes::Bytes>, headers: Vec<Header<'static>>| Record {
                    offset: 0,
                    timestamp_ms: Some(1_700_000_000_000),
                    key: key.map(bytes),
                    value,
                    headers: headers.into_iter().collect(),
                };
            expected.extend([
                record(Some("a key"), Some(bytes("a value")), vec![header("h", Some("1")), header("h", None)]),
                record(Some(""), Some(bytes("")), vec![header("", Some(""))]),
                record(None, None, vec![]),
                record(None, Some("x".repeat(100_000).into()), vec![]),
            ]);
        }
        for (record, offset) in expected.iter_mut().zip(0..) {
            record.offset = offset;
        }
        let mut reader = setup.reader();
        reader.until_position(&setup.at(0), 20);
        assert!(reader.records[&setup.at(0)] == expected, "{:?}", setup.cluster.version());
        assert_eq!(reader.ends[&setup.at(0)], 20);
        assert!(reader.retried.is_empty(), "{:?}", reader.retried);
    });
}

#[test]
fn the_isolation_level_decides_which_transactions_are_visible() {
    on_each_version("transactions", 1, &[], |setup| {
        let (kafka, at, id) = (setup.kafka(), setup.at(0), unique("id"));
        let options = ProduceOptions::default();
        let value = |value: &str| [testkit::Record::value(value)];
        for (text, commit) in [("committed", true), ("aborted", false)] {
            let transaction = kafka.begin(&id, &options).unwrap();
            transaction.produce(&setup.topic, value(text)).unwrap();
            if commit { transaction.commit() } else { transaction.abort() }.unwrap();
        }
        setup.produce(&options, value("between")); // at offset 4
        let open = kafka.begin(&id, &options).unwrap();
        open.produce(&setup.topic, value("open")).unwrap(); // at offset 5
        setup.produce(&options, value("after"));

        let mut dirty = Reader::new(setup.builder().with_isolation_level(IsolationLevel::ReadUncommitted));
        dirty.until_position(&at, 7);
        assert_eq!(dirty.values(&at), ["committed", "aborted", "between", "open", "after"]);
        assert_eq!((dirty.assigned[0].end_offset, dirty.ends[&at]), (7, 7));

        let mut clean = setup.reader();
        clean.until_position(&at, 5);
        assert_eq!(clean.values(&at), ["committed", "between"]);
        assert_eq!((clean.assigned[0].end_offset, clean.ends[&at]), (5, 5));
        let mut client = setup.client();
        for (isolation, end) in [(IsolationLevel::ReadCommitted, 5), (IsolationLevel::ReadUncommitted, 7)] {
            let offsets = client.log_offsets(std::slice::from_ref(&at), isolation).unwrap();
            assert_eq!(offsets[0].1.as_ref().unwrap(), &(0, end));
        }

        open.commit().unwrap();
        clean.until_position(&at, 8);
        assert_eq!(clean.values(&at), ["committed", "between", "open", "after"]);
        let aborted = kafka.begin(&id, &options).unwrap();
        aborted.produce(&setup.topic, value("aborted, too")).unwrap();
        aborted.abort().unwrap();
        clean.until_position(&at, 10);
        assert_eq!(clean.values(&at).len(), 4, "the position goes past what is not visible");
    });
}

#[test]
fn positions_outside_the_log_are_confirmed_and_holes_passed() {
    on_each_version("holes", 2, &[], |setup| {
        let (low, high) = (setup.at(0), setup.at(1));
        for partition in 0..2 {
            setup.produce_numbers(partition, 0..10);
        }
        setup.kafka().delete_records(&setup.topic, 0, 4).unwrap();
        let mut reader =
            setup.reader().choose(|assignment| Some(if assignment.partition.partition == 0 { 2 } else { 11 }));
        reader.until("both out of range", |reader| reader.out_of_range.len() == 2);
        assert!(!reader.consumer.is_settled());
        for range in reader.out_of_range.clone() {
            let id = range.topic_id.unwrap().to_string();
            assert_eq!(id, setup.kafka().topic_id(&setup.topic).unwrap());
            let (position, start) = if range.partition == low { (2, 4) } else { (11, 0) };
            assert_eq!((range.position, range.log_start_offset, range.end_offset), (position, start, 10));
            reader.start(&range.partition, range.log_start_offset);
        }
        reader.until_position(&low, 10);
        reader.until_position(&high, 10);
        assert_eq!(reader.values(&low), numbers(4..10));
        assert_eq!(reader.values(&high), numbers(0..10));
        assert!(reader.consumer.is_settled());
        // Also while it is read: the fetched records come first.
        let mut slow = setup
            .reader()
            .records_max(1)
            .choose(|assignment| Some(assignment.log_start_offset).filter(|_| assignment.partition.partition == 1));
        slow.until_position(&high, 1);
        setup.kafka().delete_records(&setup.topic, 1, 10).unwrap();
        setup.produce_numbers(1, 10..20);
        slow.until_position(&high, 20);
        assert_eq!(slow.values(&high), numbers(0..20), "all had been fetched before");
    });
}

#[test]
fn a_compacted_log_is_read() {
    let settings = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "100"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("max.compaction.lag.ms", "100"),
    ];
    on_each_version("compacted", 1, &settings, |setup| {
        let at = setup.at(0);
        let keyed = |n: i64| testkit::Record::value(n.to_string()).key((n % 5).to_string());
        let options = ProduceOptions::default().codec(Codec::Lz4).linger_ms(50);
        setup.produce(&options, (0..100).map(keyed));
        let mut end = 100;
        let reader = wait_for("compaction", || {
            // The active segment is not compacted, and only the next record ends it.
            setup.produce(&options, [testkit::Record::value("last").key("last")]);
            end += 1;
            let mut reader = setup.reader();
            reader.until_position(&at, end);
            (reader.records[&at].len() < 100).then_some(reader)
        });
        let values = reader.values(&at);
        assert_eq!(values[..5], numbers(95..100), "the last record of each key stays, at its offset");
        assert_eq!(reader.records[&at][0].offset, 95);
    });
}

#[test]
fn topics_and_partitions_come_and_go() {
    on_each_version("changing", 1, &[], |setup| {
        let kafka = setup.kafka();
        let (missing, first, added) = (unique("missing"), setup.at(0), setup.at(1));
        let appeared = TopicPartition::new(missing.as_str(), 0);
        setup.produce_numbers(0, 0..3);
        let mut reader = Reader::new(setup.builder().with_topic(missing.as_str()));
        reader.until_position(&first, 3);
        assert!(!reader.consumer.is_settled(), "a topic is missing");
        let failures = reader.retried.iter().map(|retrying| retrying.error.to_string()).collect::<String>();
        assert!(failures.contains(&format!("topic '{missing}' does not exist")), "{failures}");
        assert!(!kafka.topic_exists(&missing).unwrap(), "the request has not created it");

        kafka.create_topic(&missing, 1, &[]).unwrap();
        kafka.add_partitions(&setup.topic, 2).unwrap();
        setup.produce_numbers(1, 0..2);
        kafka.produce(&missing, &ProduceOptions::default(), [testkit::Record::value("a")]).unwrap();
        reader.until_position(&added, 2);
        reader.until_position(&appeared, 1);
        assert!(reader.consumer.is_settled());

        kafka.delete_topic(&setup.topic).unwrap();
        reader.retried.clear();
        reader.until("an error about the deletion", |reader| {
            reader.retried.iter().any(|retrying| retrying.error.to_string().contains("does not exist"))
        });
        assert!(reader.lost.is_empty(), "only another id proves that it is gone for good");
        let before = reader.assigned.last().unwrap().topic_id;
        assert!(!kafka.topic_exists(&setup.topic).unwrap());
        let id = kafka.create_topic(&setup.topic, 1, &[]).unwrap();
        setup.produce_numbers(0, 100..101);
        reader.until("the new topic's record", |reader| reader.records[&first].len() == 4);
        reader.lost.sort();
        assert_eq!(reader.lost, [first.clone(), added]);
        let again = reader.assigned.last().unwrap();
        assert_eq!((&again.partition, again.topic_id.unwrap().to_string()), (&first, id));
        assert_ne!(again.topic_id, before);
        assert_eq!(reader.positions[&first], 1);
        assert!(reader.consumer.is_settled());
        // The other topic was not held up, and commits of the deleted one hold up no other.
        reader.commit();
        assert_eq!(kafka.committed_offsets(&setup.group).unwrap()[&(missing, 0)].offset, 1);
    });
}

#[test]
fn limits_hold_and_partitions_have_their_turns() {
    on_each_version("limits", 3, &[], |setup| {
        let options = ProduceOptions::default().batch_bytes(20_000);
        let many = (0..3000).map(|n: i32| testkit::Record::value(format!("{n:0>1000}")).partition(0));
        setup.produce(&options, many);
        for partition in 1..3 {
            let few = (0..30).map(|n: i32| testkit::Record::value(format!("{n:0>1000}")).partition(partition));
            setup.produce(&options, few);
        }
        let bytes = NonZeroU32::new(100_000).unwrap();
        let mut reader = Reader::new(setup.builder().with_fetch_max_bytes(bytes)).records_max(10);
        reader.until("all records", |reader| reader.positions.values().sum::<i64>() == 3060);
        let counts = reader.polls.iter().map(|poll| poll.iter().map(|(_, records)| records).sum::<usize>());
        assert_eq!(counts.max(), Some(10));
        let last_of_few = reader.polls.iter().rposition(|poll| poll.iter().any(|(at, _)| at.partition > 0)).unwrap();
        assert!(last_of_few < 100, "{last_of_few} of {} polls until the small partitions came", reader.polls.len());
    });
}

#[test]
fn a_batch_larger_than_a_fetch_comes_and_one_larger_than_all_limits_is_named() {
    on_each_version("large", 3, &[("max.message.bytes", "3000000")], |setup| {
        let options = ProduceOptions::default().config("max.request.size", "4000000").batch_bytes(1000);
        for partition in 0..3 {
            let sizes = [100, 2_000_000, 100];
            setup.produce(&options, sizes.map(|size| testkit::Record::value(vec![b'x'; size]).partition(partition)));
        }
        // Smaller than every batch: each comes as the first of its fetch.
        let one = NonZeroU32::new(1).unwrap();
        let mut reader = Reader::new(setup.builder().with_fetch_max_bytes(one));
        reader.until("all records", |reader| reader.positions.values().sum::<i64>() == 9);

        let limit = NonZeroU32::new(1_000_000).unwrap();
        let mut reader = Reader::new(setup.builder().with_fetch_max_bytes(limit).with_receive_max_bytes(limit));
        let error = reader.until_error(|_| {});
        let Error::BatchTooLarge { partition, offset: 1, limit_bytes: 1_000_000 } = &error else { panic!("{error}") };
        assert_eq!(*partition.topic, *setup.topic);
        // The same by decompression.
        let at = TopicPartition::new(unique("bomb"), 0);
        setup.kafka().create_topic(&at.topic, 1, &[("max.message.bytes", "3000000")]).unwrap();
        setup.kafka().end_offsets(&at.topic).unwrap();
        let records = [10, 2_000_000].map(|size| testkit::Record::value(vec![b'x'; size]));
        setup.kafka().produce(&at.topic, &options.codec(Codec::Zstd), records).unwrap();
        let builder = Consumer::from_hosts(addresses(&setup.cluster.bootstrap_servers()))
            .with_topic(&*at.topic)
            .with_group(setup.group.as_str());
        let mut reader = Reader::new(builder.with_fetch_max_bytes(limit).with_receive_max_bytes(limit));
        let error = reader.until_error(|_| {});
        assert!(matches!(&error, Error::BatchTooLarge { partition, offset: 1, .. } if *partition == at), "{error}");
        assert_eq!(reader.positions[&at], 1, "what lies before it came");
    });
}

#[test]
fn the_client_describes_groups_and_logs() {
    on_each_version("watermarks", 2, &[], |setup| {
        let stamped = |n: i64| testkit::Record::value("v").partition(0).timestamp_ms(1000 + n);
        setup.produce(&ProduceOptions::default(), (0..3).map(stamped));
        setup.kafka().delete_records(&setup.topic, 0, 1).unwrap();
        let mut client = setup.client();
        let missing = unique("missing");
        let topics = vec![setup.topic.as_str().into(), missing.as_str().into()];
        let metadata = client.metadata(topics).unwrap();
        assert!(metadata.cluster_id.is_some());
        assert_eq!(metadata.brokers[0].address, addresses(&setup.cluster.bootstrap_servers())[0]);
        let topic = |name: &str| metadata.topics.iter().find(|topic| &*topic.name == name).unwrap();
        assert_eq!(topic(&setup.topic).id.unwrap().to_string(), setup.kafka().topic_id(&setup.topic).unwrap());
        assert_eq!(topic(&setup.topic).partitions.len(), 2);
        assert_eq!(topic(&missing).error, Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));

        let partitions = [setup.at(0), setup.at(1), TopicPartition::new(missing.as_str(), 0)];
        let offsets = setup.client().watermarks(&partitions).unwrap();
        let of = |at: &TopicPartition| &offsets.iter().find(|(of, _)| of == at).unwrap().1;
        let bounds = |start_offset, end_offset| Watermarks { start_offset, last_stable_offset: end_offset, end_offset };
        assert_eq!(
            (of(&partitions[0]).as_ref().unwrap(), of(&partitions[1]).as_ref().unwrap()),
            (&bounds(1, 3), &bounds(0, 0))
        );
        assert!(of(&partitions[2]).is_err());

        for (offset, time) in [(1, Some(1001)), (2, Some(1002)), (3, None)] {
            let offsets = [(partitions[0].clone(), offset), (partitions[1].clone(), 0)].into();
            let found = client.timestamps_at(&offsets).unwrap();
            let of = |at| found.iter().find(|(of, _)| of == at).unwrap().1.as_ref().unwrap();
            assert_eq!((of(&partitions[0]), of(&partitions[1])), (&time, &None));
        }
        let mut found = client.timestamps_at(&[(partitions[0].clone(), 0)].into()).unwrap();
        let refused = found.remove(0).1.unwrap_err();
        assert!(matches!(refused, Error::Broker { code: ErrorCode::OFFSET_OUT_OF_RANGE, .. }), "{refused}");
    });
}
