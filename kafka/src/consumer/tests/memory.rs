//! One budget for all partitions and brokers: which partition gets memory, which waits, and that each wait ends.

use std::collections::VecDeque;

use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::records::{Compression, RecordBatchEncoder, RecordEncodeOptions, TimestampType};
use testkit::Random;

use super::*;

/// A consumer with so much memory that reads so many partitions.
fn consumer_within(bytes_max: usize, partitions: i32) -> Consumer {
    let mut consumer = consumer();
    let freed = consumer.messages.clone();
    *consumer.fetcher.budget() = Budget::new(bytes_max, move || drop(freed.send(Message::Nudge)));
    consumer.read_all_from(&nowhere(), partitions);
    consumer
}

/// A compressed batch of records whose values have these sizes.
fn batch(base_offset: i64, sizes: &[usize]) -> Vec<u8> {
    encoded(base_offset, sizes, Compression::Snappy)
}

fn encoded(base_offset: i64, sizes: &[usize], compression: Compression) -> Vec<u8> {
    let record = |(size, offset): (&usize, i64)| kafka_protocol::records::Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: 5,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: TimestampType::Creation,
        offset,
        sequence: i32::try_from(offset).unwrap(),
        timestamp: 1,
        key: None,
        value: Some(vec![b'x'; *size].into()),
        headers: IndexMap::new(),
    };
    let records: Vec<_> = sizes.iter().zip(base_offset..).map(record).collect();
    let mut bytes = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression };
    RecordBatchEncoder::encode(&mut bytes, &records, &options).unwrap();
    bytes.to_vec()
}

impl Consumer {
    /// The leader sends batches of one partition.
    fn sent(&mut self, partition: i32, batches: &[Vec<u8>]) {
        self.fetched(LEADER, partition, |fetched| fetched.records = batches.concat().into()).unwrap();
    }

    fn take(&mut self, records_max: usize) -> Vec<PartitionRecords> {
        self.take_records(records_max, Instant::now())
    }

    /// Whether the consumer was nudged since the last call.
    fn was_nudged(&self) -> bool {
        self.received.try_iter().filter(|message| matches!(message, Message::Nudge)).count() > 0
    }
}

fn numbers(taken: &[PartitionRecords]) -> Vec<i32> {
    taken.iter().map(|records| records.partition.partition).collect()
}

#[test]
fn partitions_with_large_batches_are_read_one_after_the_other() {
    const PARTITIONS: i32 = 12;
    const BATCH_BYTES: usize = 300_000;
    let mut consumer = consumer_within(100_000, PARTITIONS);
    for partition in 0..PARTITIONS {
        consumer.sent(partition, &[batch(0, &[BATCH_BYTES])]);
    }
    let mut order = Vec::new();
    for _ in 0..PARTITIONS {
        let taken = consumer.take(1000);
        order.extend(numbers(&taken));
        assert!(consumer.take(1000).is_empty(), "no memory for another one");
        let (_, batches) = consumer.fetcher.budget().held();
        assert!((BATCH_BYTES..BATCH_BYTES + 10_000).contains(&batches), "{batches}");
        assert!(!consumer.was_nudged());
        thread::spawn(move || drop(taken)).join().unwrap();
        assert!(order.len() == 12 || consumer.was_nudged());
    }
    assert_eq!(order, (0..PARTITIONS).collect::<Vec<_>>());
    assert_eq!(consumer.fetcher.budget().held(), (0, 0));
}

#[test]
fn a_large_batch_gets_its_turn_while_others_come() {
    let mut consumer = consumer_within(100_000, 3);
    let small = |number: i64| batch(number, &[1000]);
    consumer.sent(0, &[small(0), small(1), small(2), small(3)]);
    consumer.sent(1, &[batch(0, &[500_000])]);
    consumer.sent(2, &[small(0), small(1), small(2), small(3)]);
    let first = consumer.take(1);
    assert_eq!(numbers(&first), [0]);
    // The turn of partition 1: there is no memory, and partition 2 opens nothing that would keep it so.
    assert!(consumer.take(2).is_empty());
    drop(first);
    assert_eq!(numbers(&consumer.take(1)), [1]);
    assert_eq!(consumer.fetcher.without_memory(), None);
    assert_eq!(numbers(&consumer.take(100)), [2, 0], "the others go on");
}

#[test]
fn open_batches_are_read_to_their_ends_while_another_waits() {
    let mut consumer = consumer_within(100_000, 2);
    consumer.sent(0, &[batch(0, &[10_000; 5])]);
    consumer.sent(1, &[batch(0, &[500_000])]);
    let first = consumer.take(1);
    drop(first);
    // Partition 0 still holds the memory of its batch, so that it must go on for partition 1 to be read.
    let mut order = Vec::new();
    for _ in 0..5 {
        order.extend(numbers(&consumer.take(1)));
    }
    assert_eq!(order, [0, 0, 0, 0, 1]);
}

/// The bytes of up to four records of a batch.
fn sizes_of_batch(random: &mut Random) -> Vec<usize> {
    (0..=random.below(3_usize)).map(|_| 1 + random.below(8_000_usize)).collect()
}

#[test]
fn every_record_comes_within_any_budget() {
    let mut random = Random::from_seed(7);
    for round in 0..40 {
        let memory = [1, 2_000, 20_000, 200_000][round % 4];
        let mut consumer = consumer_within(memory, 5);
        let mut expected = 0;
        let mut largest = 0;
        for partition in 0..5 {
            for _ in 0..2 {
                let from = consumer.fetch_offset(partition);
                let sizes: Vec<Vec<usize>> = (0..=random.below(3_usize)).map(|_| sizes_of_batch(&mut random)).collect();
                let mut batches = Vec::new();
                let mut next = from;
                for sizes in &sizes {
                    batches.push(batch(next, sizes));
                    next += i64::try_from(sizes.len()).unwrap();
                    largest = largest.max(sizes.iter().sum::<usize>() + 1_000);
                }
                expected += usize::try_from(next - from).unwrap();
                consumer.sent(partition, &batches);
            }
        }
        let mut held: VecDeque<Vec<PartitionRecords>> = VecDeque::new();
        let mut seen = 0;
        while seen < expected {
            let taken = consumer.take(1 + random.below(4_usize));
            assert!(consumer.fetcher.budget().held().1 <= memory.max(largest));
            if taken.is_empty() {
                assert!(held.pop_front().is_some(), "round {round}: {seen} of {expected}, and no records are held");
                assert!(consumer.was_nudged() || !held.is_empty());
                continue;
            }
            seen += taken.iter().map(|records| records.records.len()).sum::<usize>();
            held.push_back(taken);
            if held.len() > 3 {
                held.remove(random.below(3_usize));
            }
        }
        held.clear();
        assert_eq!(consumer.fetcher.budget().held(), (0, 0), "round {round}");
    }
}

#[test]
fn brokers_share_the_bytes_of_fetches() {
    let consumer = consumer();
    let ask = |memory: usize, brokers| {
        fetcher::fetch_bytes_max(&consumer.config, Budget::new(memory, || ()).fetch_bytes(brokers))
    };
    let default = usize::try_from(BUFFER_BYTES_MAX_DEFAULT).unwrap();
    assert_eq!((ask(default, 1), ask(default, 2)), (4 << 20, 4 << 20));
    assert_eq!(ask(default, 8), 1 << 20);
    assert_eq!((ask(default, 0), ask(1, 3)), (4 << 20, 1));
}

/// Two brokers with responses larger than all memory: the second is received once the first has been dropped, and is not late.
#[test]
fn a_response_waits_for_memory_and_is_received_then() {
    const VALUE_BYTES: usize = 200_000;
    let mut consumer = consumer_within(100_000, 1);
    let mut large = consumer.fetcher.budget().response(0);
    assert!(large.resize(150_000, || panic!("it is the only one")));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
    let peer = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (_, version, id) = request(&mut stream);
        let fetch = ApiVersion::default().with_api_key(1).with_min_version(4).with_max_version(12);
        respond(&mut stream, &ApiVersionsResponse::default().with_api_keys(vec![fetch]), version, id);
        let (_, version, id) = request(&mut stream);
        let records = PartitionData::default().with_records(Some(encoded(0, &[VALUE_BYTES], Compression::None).into()));
        let topic = FetchableTopicResponse::default()
            .with_topic(messages::TopicName("t".into()))
            .with_partitions(vec![records.with_last_stable_offset(1000)]);
        respond(&mut stream, &messages::FetchResponse::default().with_responses(vec![topic]), version, id);
        stream
    });
    consumer.read_all_from(&address, 1);
    consumer.topology.set_times(Instant::now(), after(Instant::now(), Duration::MAX));
    consumer.send_fetches(Instant::now()).unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    // It is late until it has to wait for memory, and never after that.
    let late = Instant::now() + Duration::from_hours(1);
    while consumer.fetcher.brokers()[&LEADER].is_late(late) {
        assert!(Instant::now() < deadline);
        thread::yield_now();
    }
    assert!(consumer.received.try_recv().is_err(), "not received yet");
    drop(large);
    let Event::Records(records) = consumer.poll(Duration::from_mins(1), 10).unwrap() else { panic!() };
    assert_eq!(records[0].records[0].value.as_ref().unwrap().len(), VALUE_BYTES);
    assert!(consumer.fetcher.budget().held().0 > VALUE_BYTES);
    drop(records);
    drop(peer.join().unwrap());
}
