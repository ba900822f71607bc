//! Brokers that do not respond, and brokers that throttle.

use kafka_protocol::messages::metadata_response::MetadataResponseTopic;

use super::*;
use crate::client::Client;
use crate::connection::ConnectionSettings;

#[test]
fn metadata_is_requested_sooner_while_a_fetch_is_late() {
    // It accepts connections and never responds.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
    let mut consumer = consumer();
    consumer.read_all_from(&address, 1);
    let now = Instant::now();
    let later = |seconds| now + Duration::from_secs(seconds);
    consumer.topology.set_times(now, later(10));
    consumer.send_fetches(now).unwrap();
    let late_at = now + consumer.config.connection.late_after() + consumer.config.fetch_wait;
    assert_eq!((consumer.metadata_due_at(now), consumer.next_timer(now)), (later(10), Some(late_at)));
    assert_eq!(consumer.metadata_due_at(late_at), later(1), "it is late");
    consumer.topology.set_times(late_at, later(10));
    assert_eq!(consumer.next_timer(late_at), Some(late_at + Duration::from_secs(1)), "again and again");
    let late: Vec<i32> =
        consumer.fetcher.brokers().iter().filter(|(_, broker)| broker.is_late(late_at)).map(|(id, _)| *id).collect();
    assert_eq!(late, [LEADER]);
    consumer.fetcher.brokers().get_mut(&LEADER).unwrap().responded();
    assert_eq!(consumer.metadata_due_at(late_at), later(10));
}

#[test]
fn a_suspect_broker_is_tried_after_all_others() {
    let suspect = TcpListener::bind("127.0.0.1:0").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address =
        |listener: &TcpListener| Address { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
    let hosts = vec![address(&suspect), address(&listener)];
    let mut client = Client::new(hosts, ConnectionSettings::default());
    client.suspect(&[address(&suspect)]);
    let peer = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (_, version, id) = request(&mut stream);
        let metadata = ApiVersion::default().with_api_key(3).with_min_version(4).with_max_version(9);
        respond(&mut stream, &ApiVersionsResponse::default().with_api_keys(vec![metadata]), version, id);
        let (_, version, id) = request(&mut stream);
        let topic = MetadataResponseTopic::default().with_name(Some(messages::TopicName("t".into())));
        respond(&mut stream, &messages::MetadataResponse::default().with_topics(vec![topic]), version, id);
    });
    client.metadata(vec!["t".into()]).unwrap();
    peer.join().unwrap();
    suspect.set_nonblocking(true).unwrap();
    assert!(suspect.accept().is_err(), "no connection");
}

#[test]
fn a_throttled_client_sends_no_fetch_for_that_time() {
    let mut consumer = consumer();
    consumer.read_all_from(&nowhere(), 1);
    let request = fetcher::fetch_request(&consumer.config, &consumer.partitions, vec![at(0)], 1, Instant::now());
    let serial = consumer.fetcher.serial_of(LEADER);
    let response = FetchResponse { throttle: Duration::from_secs(7), partitions: vec![] };
    let before = Instant::now();
    consumer
        .handle(Message::Fetched(CompletedFetch { broker: LEADER, serial, request, result: Ok(response) }))
        .unwrap();
    let after = Instant::now();
    let broker = consumer.fetcher.brokers().get_mut(&LEADER).unwrap();
    assert!(!broker.is_free(before + Duration::from_millis(6999)));
    assert!(broker.is_free(after + Duration::from_secs(7)));
}
