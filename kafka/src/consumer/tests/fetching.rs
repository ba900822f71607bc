//! What fetches request, and what their responses mean for the partitions.

use super::*;

#[test]
fn a_partition_is_fetched_alone_once() {
    let mut consumer = consumer();
    consumer.read_all_from(&nowhere(), 2);
    let states = |consumer: &Consumer| consumer.partitions.values().map(|state| state.fetch_alone).collect::<Vec<_>>();
    for partition in consumer.partitions.values_mut() {
        partition.fetch_alone = true;
    }
    consumer.fetched(LEADER, 0, |_| ()).unwrap();
    assert_eq!(states(&consumer), [false, true]);
    // Incomplete, though fetched alone: that is a failure of the broker.
    consumer.fetched(LEADER, 1, |fetched| fetched.records = Bytes::from_static(&BATCH[..100])).unwrap();
    assert_eq!(states(&consumer), [false, true]);
    assert!(
        matches!(consumer.retrying().error, Error::CorruptBatch { partition, offset: 0, .. } if partition == at(1))
    );
    assert_eq!(consumer.wanted(LEADER), [0]);
}

#[test]
fn the_pauses_between_fetches_of_a_damaged_batch_grow() {
    let mut consumer = consumer();
    consumer.read_all_from(&nowhere(), 1);
    let mut damaged = BATCH.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    for attempt in 1..5 {
        consumer.fetched(LEADER, 0, |fetched| fetched.records = damaged.clone().into()).unwrap();
        assert!(consumer.take_records(10, Instant::now()).is_empty());
        let retrying = consumer.retrying();
        assert!(matches!(retrying.error, Error::CorruptBatch { .. }), "{}", retrying.error);
        assert_eq!(retrying.attempt, attempt);
        assert!(consumer.wanted(LEADER).is_empty(), "it waits");
    }
    consumer.fetched(LEADER, 0, |fetched| fetched.records = BATCH.into()).unwrap();
    assert_eq!(consumer.take_records(10, Instant::now() + retry().max).len(), 1);
    assert_eq!(consumer.wanted(LEADER), [0], "good records end the wait");
}

#[test]
fn a_replica_that_fails_is_left_for_the_leader_which_may_not_name_it_again() {
    let now = Instant::now();
    let mut consumer = consumer();
    consumer.read_all_from(&nowhere(), 1);
    let requested_rack =
        |consumer: &Consumer| fetcher::fetch_request(&consumer.config, &consumer.partitions, vec![at(0)], 1, now).rack;
    assert_eq!(requested_rack(&consumer).as_deref(), Some("here"));
    consumer.fetched(LEADER, 0, |fetched| fetched.preferred_read_replica = Some(FOLLOWER)).unwrap();
    assert_eq!((consumer.wanted(LEADER), consumer.wanted(FOLLOWER)), (vec![], vec![0]));
    consumer.fetched(FOLLOWER, 0, |fetched| fetched.error = Some(ErrorCode::OFFSET_OUT_OF_RANGE)).unwrap();
    assert_eq!(consumer.phase(0), PhaseName::Reading, "only the leader's refusal counts");
    assert_eq!((consumer.wanted(LEADER), consumer.wanted(FOLLOWER)), (vec![0], vec![]));
    assert_eq!(requested_rack(&consumer), None);
    // The follower's response to an earlier fetch.
    consumer.fetched(FOLLOWER, 0, |fetched| fetched.error = Some(ErrorCode::NOT_LEADER_OR_FOLLOWER)).unwrap();
    assert!(consumer.events.is_empty());
    assert_eq!(consumer.wanted(LEADER), [0]);
    // A replica that metadata does not name.
    consumer.fetched(LEADER, 0, |fetched| fetched.preferred_read_replica = Some(99)).unwrap();
    assert_eq!(consumer.wanted(LEADER), [0]);
}

#[test]
fn a_new_leader_ends_the_wait_for_the_old_one() {
    let mut consumer = consumer();
    consumer.read_all_from(&nowhere(), 2);
    consumer.fetched(LEADER, 0, |fetched| fetched.error = Some(ErrorCode::NOT_LEADER_OR_FOLLOWER)).unwrap();
    assert!(matches!(consumer.retrying().error, Error::Broker { code: ErrorCode::NOT_LEADER_OR_FOLLOWER, .. }));
    assert!(consumer.topology.due_at(false) <= Instant::now());
    assert_eq!(consumer.wanted(LEADER), [1]);
    consumer.handle(Message::Metadata(Ok(metadata(&nowhere(), 1, &[None, Some(LEADER)])))).unwrap();
    assert!(consumer.wanted(FOLLOWER).is_empty() && consumer.is_settled());
    consumer.handle(Message::Metadata(Ok(metadata(&nowhere(), 1, &[Some(FOLLOWER), Some(LEADER)])))).unwrap();
    assert_eq!((consumer.wanted(FOLLOWER), consumer.wanted(LEADER)), (vec![0], vec![1]));
}

#[test]
fn a_broker_at_another_address_is_another_connection() {
    let mut consumer = consumer();
    consumer.read_all_from(&nowhere(), 1);
    let before = consumer.fetcher.serial_of(LEADER);
    assert_eq!(before, SERIAL_OF_LEADER);
    let elsewhere = Address { port: 2, ..nowhere() };
    consumer.handle(Message::Metadata(Ok(metadata(&elsewhere, 1, &[Some(LEADER)])))).unwrap();
    assert_ne!(consumer.fetcher.serial_of(LEADER), before);
    // The response of the old connection is dropped, even a failure.
    let request = fetcher::fetch_request(&consumer.config, &consumer.partitions, vec![at(0)], 1, Instant::now());
    let result = Err(Error::Config("would be fatal".to_owned()));
    consumer.handle(Message::Fetched(CompletedFetch { broker: LEADER, serial: before, request, result })).unwrap();
    let mut alone = metadata(&elsewhere, 1, &[Some(LEADER)]);
    alone.brokers.truncate(1);
    consumer.handle(Message::Metadata(Ok(alone))).unwrap();
    assert_eq!(
        consumer.fetcher.brokers().keys().collect::<Vec<_>>(),
        [&LEADER],
        "a broker that has left the cluster is removed"
    );
}

#[test]
fn each_partition_comes_first_once_while_others_are_added_and_removed() {
    let mut first = None;
    let mut rotated = |partitions: &[i32]| {
        let mut partitions: Vec<TopicPartition> = partitions.iter().map(|partition| at(*partition)).collect();
        fetcher::rotate(&mut partitions, &mut first);
        partitions.iter().map(|at| at.partition).collect::<Vec<_>>()
    };
    assert_eq!(rotated(&[0, 1, 2, 3]), [0, 1, 2, 3]);
    assert_eq!(rotated(&[0, 1, 2, 3]), [1, 2, 3, 0]);
    assert_eq!(rotated(&[0, 1, 3]), [3, 0, 1]);
    assert_eq!(rotated(&[0, 1, 2, 3]), [0, 1, 2, 3]);
    assert_eq!(rotated(&[0]), [0]);
    assert!(rotated(&[]).is_empty());
    assert_eq!(rotated(&[2]), [2]);
}

#[test]
fn a_poll_returns_little_more_than_a_fetch() {
    let mut consumer = consumer();
    consumer.config.fetch_bytes_max = 1;
    consumer.read_all_from(&nowhere(), 3);
    for partition in 0..3 {
        consumer.fetched(LEADER, partition, |fetched| fetched.records = BATCH.into()).unwrap();
    }
    let mut order = Vec::new();
    for _ in 0..3 {
        let taken = consumer.take_records(1000, Instant::now());
        assert_eq!(taken.len(), 1, "one exceeds the limit");
        order.push(taken[0].partition.partition);
    }
    assert_eq!(order, [0, 1, 2]);
}

#[test]
fn records_count_as_held_while_the_user_has_them() {
    let now = Instant::now();
    let mut consumer = consumer();
    consumer.read_all_from(&nowhere(), 2);
    for partition in 0..2 {
        consumer.fetched(LEADER, partition, |fetched| fetched.records = BATCH.into()).unwrap();
    }
    let is_free = |consumer: &mut Consumer| consumer.fetcher.brokers().get_mut(&LEADER).unwrap().is_free(now);
    assert!(!is_free(&mut consumer), "two responses are in memory");
    let taken = consumer.take_records(1000, now);
    assert!(consumer.partitions.values().all(|partition| !partition.has_fetched()));
    assert!(!is_free(&mut consumer), "they still are");
    drop(taken);
    assert!(is_free(&mut consumer));
}

#[test]
fn the_next_fetch_is_sent_before_records_are_returned_and_a_dropped_consumer_closes_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
    let (fetches, seen) = channel();
    let peer = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (_, version, id) = request(&mut stream);
        let fetch = ApiVersion::default().with_api_key(1).with_min_version(4).with_max_version(12);
        respond(&mut stream, &ApiVersionsResponse::default().with_api_keys(vec![fetch]), version, id);
        let (_, version, id) = request(&mut stream);
        let records = PartitionData::default().with_records(Some(Bytes::from_static(BATCH)));
        let topic = FetchableTopicResponse::default()
            .with_topic(messages::TopicName("t".into()))
            .with_partitions(vec![records.with_last_stable_offset(1000)]);
        respond(&mut stream, &messages::FetchResponse::default().with_responses(vec![topic]), version, id);
        // Gets no response.
        let (key, _, id) = request(&mut stream);
        fetches.send((key, id)).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty(), "two fetches at once");
    });
    let builder = Consumer::from_hosts(vec![nowhere()]).with_topic("t").with_group("g");
    let mut consumer = builder.with_request_timeout(Duration::from_millis(200)).create().unwrap();
    consumer.read_all_from(&address, 1);
    consumer.topology.set_times(Instant::now(), after(Instant::now(), Duration::MAX));
    let Event::Records(records) = consumer.poll(Duration::from_mins(1), 1000).unwrap() else { panic!() };
    assert_eq!(seen.recv_timeout(Duration::from_mins(1)).unwrap().0, 1);
    drop(records);
    drop(consumer);
    peer.join().unwrap();
}
